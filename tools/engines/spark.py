"""A job on Apache Spark, by PySpark: one task for each piece, which Spark runs again elsewhere when its worker dies.

Beam has a Spark runner too, whose job server is a file of 300 MB that pip does not bring; PySpark is whole as it is
installed, and pieces need nothing of Beam.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from tools.cli.errors import InputError
from tools.engines.jobs import Job, Worker

if TYPE_CHECKING:
    from tools.engines.engine import Engine

_MOST_TASKS = 10_000
_TRIES = 4
_EXCEPTION = re.compile(r"[\w.$]+(?:Exception|Error): (.+)")
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
    with _java_kept_quiet() as said:
        try:
            builder = SparkSession.builder.appName(title)
            for name, value in settings.items():
                builder = builder.config(name, value)
            session = builder.getOrCreate()
        except Exception as error:
            said.seek(0)
            line = _of_java(said.read().decode("utf-8", "replace")) or _of_java(str(error))
            line = line or f"is there a Java? {_first(error)}"
            raise InputError(f"--runner=spark: Spark can't be started: {line[:200]}") from error
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


@contextlib.contextmanager
def _java_kept_quiet() -> Iterator[IO[bytes]]:
    """A Java that is started inside writes its notices and stack traces into this file, which is gone in the end."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        usual = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(usual, 2)
            os.close(usual)


def _first(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _of_java(text: str) -> str:
    """What the first exception in Java's words says, '' without one."""
    found = _EXCEPTION.search(text)
    return found[1].strip() if found else ""


def _cause(error: BaseException) -> str:
    """The line of the error that says what was wrong in the task."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "InputError: " in line]
    if named:
        return named[-1].partition("InputError: ")[2]
    aborted = next((line for line in lines if "Job aborted" in line), "")
    kept = aborted or _of_java(str(error)) or _first(error)
    return f"{kept[:300]}; the same command goes on with the pieces that are whole"
