"""A job on Apache Spark, by PySpark: one task for each piece, which Spark runs again elsewhere when its worker dies.

Beam has a Spark runner too, whose job server is a file of 300 MB that pip does not bring; PySpark is whole as it is
installed, and pieces need nothing of Beam.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tools.cli.errors import InputError
from tools.engines.jobs import Job, Worker

if TYPE_CHECKING:
    from tools.engines.engine import Engine

_MOST_TASKS = 10_000
_TRIES = 4
# key of the job -> what its setup returned, in a Python worker, which Spark uses for one task after the other.
_states: dict[str, Any] = {}


def _pieces_of_task(worker: Worker, pieces: Iterable[int]) -> Iterator[dict[str, int]]:
    key = worker.key()
    if key not in _states:
        _states.clear()
        _states[key] = worker.setup()
    for piece in pieces:
        outcome = worker.job.process(_states[key], piece)
        counters = dict(outcome.counters)
        for reason, _ in outcome.skipped:
            counters[f"skipped: {reason}"] = counters.get(f"skipped: {reason}", 0) + 1
        yield counters


def run(engine: Engine, job: Job, pieces: Sequence[int], title: str) -> dict[str, int]:
    """See `Engine.run`."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*sys.path]))
    settings = engine.configuration(
        {
            # so many processes here, and so many tries of each task, unless a cluster's master is given
            "spark.master": f"local[{engine.processes},{_TRIES}]",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.python.worker.reuse": "true",
            "spark.log.level": "OFF",
        }
    )
    try:
        builder = SparkSession.builder.appName(title)
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    except Exception as error:
        line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"--runner=spark: Spark can't be started (is there a Java?): {line[:200]}") from error
    try:
        context = session.sparkContext
        tasks = context.parallelize(list(pieces), min(len(pieces), _MOST_TASKS))
        counted = tasks.mapPartitions(functools.partial(_pieces_of_task, Worker.of(job))).collect()
    except Exception as error:
        raise InputError(f"--runner=spark: {_cause(error)}") from error
    finally:
        session.stop()
    counters: dict[str, int] = {}
    for one in counted:
        for name, count in one.items():
            counters[name] = counters.get(name, 0) + count
    return counters


def _cause(error: BaseException) -> str:
    """The line of the error that says what was wrong in the task."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "InputError: " in line]
    if named:
        return named[-1].partition("InputError: ")[2]
    kept = [line for line in lines if "Job aborted" in line] or lines[:1] or [type(error).__name__]
    return f"{kept[0][:300]}; the same command goes on with the pieces that are whole"
