"""A job on Apache Flink, by PyFlink: a bounded stream of pieces, mapped by Python processes of Flink's task managers.

Beam has a Flink runner too, whose job server is a file of 200 MB that pip does not bring; PyFlink is whole as it is
installed, and pieces need nothing of Beam. What a job gives back by `execute_and_collect` is lost when Flink restarts
it, so a job whose worker is lost ends with one line, and the same command goes on with the pieces that are left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tools.cli.errors import InputError
from tools.engines.jobs import Job, Worker

if TYPE_CHECKING:
    from tools.engines.engine import Engine


def run(engine: Engine, job: Job, pieces: Sequence[int], title: str) -> dict[str, int]:
    """See `Engine.run`."""
    from pyflink.common import Configuration, Types
    from pyflink.datastream import StreamExecutionEnvironment

    settings = engine.configuration(
        {
            # so many processes here, unless a cluster's address is given
            "parallelism.default": str(engine.processes),
            "taskmanager.numberOfTaskSlots": str(engine.processes),
            "execution.runtime-mode": "BATCH",
            "rest.bind-port": "0",
            "python.executable": sys.executable,
            "python.client.executable": sys.executable,
            # pieces are long: hand each over as it is done
            "python.fn-execution.bundle.size": "1",
            "restart-strategy.type": "none",
        }
    )
    # Without it a local run maps in threads of this process.
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*sys.path]))
    configuration = Configuration()
    for name, value in settings.items():
        configuration.set_string(name, value)
    counters: dict[str, int] = {}
    try:
        environment = StreamExecutionEnvironment.get_execution_environment(configuration)
        stream = environment.from_collection(list(pieces), type_info=Types.INT()).rebalance()
        done = stream.map(_mapped(Worker.of(job)), output_type=Types.PICKLED_BYTE_ARRAY())
        done.set_parallelism(int(settings["parallelism.default"]))  # a batch job of little data would be one process
        with done.execute_and_collect(title) as counted:
            for one in counted:
                for name, count in one.items():
                    counters[name] = counters.get(name, 0) + count
    except Exception as error:
        raise InputError(f"--runner=flink: {_cause(error)}") from error
    return counters


def _mapped(worker: Worker) -> Any:
    from pyflink.datastream import MapFunction, RuntimeContext

    class Pieces(MapFunction):
        """Does pieces; gives what was counted for each."""

        def open(self, runtime_context: RuntimeContext) -> None:
            """Flink's hook: once in each subtask."""
            self._state = worker.setup()

        def map(self, piece: int) -> dict[str, int]:
            """Flink's hook: one piece."""
            outcome = worker.job.process(self._state, piece)
            counters = dict(outcome.counters)
            for reason, _ in outcome.skipped:
                counters[f"skipped: {reason}"] = counters.get(f"skipped: {reason}", 0) + 1
            return counters

    return Pieces()


def _cause(error: BaseException) -> str:
    """The line of the error that says what was wrong in the task; Flink wraps it in many others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "InputError: " in line]
    if named:
        return named[-1].partition("InputError: ")[2]
    kept = [line for line in lines if line.startswith("Caused by: ")][-1:] or lines[:1] or [type(error).__name__]
    return f"{kept[0][:300]}; the same command goes on with the pieces that are whole"
