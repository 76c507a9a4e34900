"""A job as an Apache Beam pipeline: one DoFn that sets itself up once in each worker, counters, skipped records beside.

``Create(pieces) | Reshuffle | ParDo``: the pieces' results go to storage by the job itself, so the pipeline carries
numbers only. With ``direct`` the pipeline runs on Beam's FnApiRunner in several processes; Beam's own choice of a
direct runner would download a binary.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tools.cli.errors import InputError
from tools.engines.jobs import Job, Worker

if TYPE_CHECKING:
    from tools.engines.engine import Engine

_NAMESPACE = "pose3d"
_RUNNERS = {"dataflow": "DataflowRunner"}


class PieceDoFn(apache_beam.DoFn):
    """Does pieces; yields their numbers, and what was skipped under the tag 'skipped'."""

    def __init__(self, worker: Worker):
        self._worker = worker
        self._state: Any = None

    def setup(self) -> None:
        """Beam's hook: once in each worker."""
        self._state = self._worker.setup()

    def process(self, piece: int) -> Iterator[Any]:
        """Beam's hook: one piece."""
        outcome = self._worker.job.process(self._state, piece)
        for name, count in outcome.counters.items():
            Metrics.counter(_NAMESPACE, name).inc(count)
        for reason, record in outcome.skipped:
            yield apache_beam.pvalue.TaggedOutput("skipped", (reason, record))
        yield piece


def _count_reason(counted: tuple[str, int]) -> tuple[str, int]:
    Metrics.counter(_NAMESPACE, f"skipped: {counted[0]}").inc(counted[1])
    return counted


def run(engine: Engine, job: Job, pieces: Sequence[int], title: str) -> dict[str, int]:
    """See `Engine.run`."""
    words = list(engine.options)
    runner: Any = _RUNNERS.get(engine.name)
    if engine.name == "direct":
        words += ["--default_sdk_harness_log_level=CRITICAL", f"--direct_num_workers={engine.processes}"]
        words += ["--direct_running_mode=multi_processing"] if engine.processes > 1 else []
    # Beam's workers import this project by its name; those it starts here get this process' search path.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*sys.path]))
    options = PipelineOptions(words, job_name=_job_name(title), save_main_session=False)
    runner = _direct_runner(options) if engine.name == "direct" else runner
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what fails is raised
    pipeline = apache_beam.Pipeline(runner=runner, options=options)
    done = (
        pipeline
        | "Pieces" >> apache_beam.Create(list(pieces))
        | "Deal out" >> apache_beam.Reshuffle()
        | title >> apache_beam.ParDo(PieceDoFn(Worker.of(job))).with_outputs("skipped", main="done")
    )
    (
        done.skipped
        | "Skipped, by reason" >> apache_beam.combiners.Count.PerKey()
        | "As metrics" >> apache_beam.Map(_count_reason)
    )
    with _Watch(engine.name == "direct"):
        try:
            result = pipeline.run()
            state = result.wait_until_finish()
        except Exception as error:
            raise InputError(f"--runner={engine.name}: {_cause(error)}") from error
    if str(state) not in ("DONE", "None"):
        raise InputError(f"--runner={engine.name}: the pipeline ended as {state}; the same command goes on from there")
    counters = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    return {counter.key.metric.name: counter.result for counter in counters}


def _direct_runner(options: PipelineOptions) -> Any:
    """Beam's FnApiRunner, whose workers know the pipeline's options."""
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(info))


def _job_name(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())[:40].strip("-")


def _cause(error: BaseException) -> str:
    """The line of a worker's traceback that says what was wrong; Beam wraps it in many others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.partition("InputError: ")[2] for line in lines if "InputError: " in line]
    if named or isinstance(error, InputError):
        return (named or lines)[-1].split(" [while running")[0]
    return (lines[-1] if lines else type(error).__name__)[:300]


class _Watch:
    """Ends this process with one line when a worker process of the direct runner dies: the runner would wait for ever.

    Beam's direct runner does not run lost work again; the engines of clusters do. What is whole stays on disk.
    """

    def __init__(self, active: bool):
        self._active, self._before = active, threading.excepthook

    def __enter__(self) -> None:
        if self._active:
            threading.excepthook = self._failed

    def __exit__(self, *_: Any) -> None:
        threading.excepthook = self._before

    def _failed(self, failure: Any) -> None:
        """Of a thread of the runner that waited for a worker process."""
        match = re.search(r"exited with return code (-?\d+)", str(failure.exc_value))
        if match is None:
            self._before(failure)
            return
        code = int(match[1])
        number = -code if code < 0 else code - 128  # of a shell: 128 and the number of the signal
        how = f"by signal {signal.Signals(number).name}" if number > 0 else f"with status {code}"
        print(
            f"error: --runner=direct: a worker process was ended {how} (out of memory?); the same command goes on with "
            "the pieces that are whole",
            file=sys.stderr,
            flush=True,
        )
        for other in _workers_of_this_process():
            os.kill(other, signal.SIGKILL)
        os._exit(2)


def _workers_of_this_process() -> list[int]:
    """Process ids of Beam's workers below this process, which starts each by a shell."""
    parents = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(stat.split("/")[2])
            with open(stat) as file, open(f"/proc/{pid}/cmdline") as command:
                if "apache_beam.runners.worker" in command.read():
                    parents[pid] = int(file.read().rpartition(") ")[2].split()[1])
    shells = [pid for pid, parent in parents.items() if parent == os.getpid()]
    # One whose shell was ended ends by itself, when it finds this process gone.
    return shells + [pid for pid, parent in parents.items() if parent in shells]
