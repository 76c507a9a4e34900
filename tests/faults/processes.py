"""Commands as processes: forked from one that has imported everything, stopped or disturbed at a chosen point.

TensorFlow takes seconds to load. The parent imports it without running any operation, so that it has one thread and
can be forked; each child then is a process of its own that runs one command as a shell would start it.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import importlib
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# Before NumPy is imported, whose libraries start threads; a process with threads can't be forked.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {
    "os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "shutil.copyfile": 2,
}  # fmt: skip
_PROGRESS = re.compile(rb"[\d,]+ of [\d,]+ \w[\w ]*(?:, [\d,]+/s.*)?$|epoch \d+ of \d+, step ")
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 600.0  # without a second of processor time, or of processor time: other processes may need the machine

# What the commands import when they run.
_IMPORTED = {
    "tools/make_tfrecords.py": ("tfrecords.sources", "tfrecords.writer"),
    "label_generator/gen_right.py": ("label_generator.stages.right_view_files",),
    "label_generator/train.py": ("label_generator.training.run", "tensorboard.plugins.hparams.api"),
    "label_generator/predict.py": ("label_generator.lifting.right_view_prediction",),
    "label_generator/generate.py": (
        "label_generator.labelling.run",
        "label_generator.labelling.photographs",
        "label_generator.labelling.labelled_records",
        "label_generator.lifting.lifter_of_flags",
    ),
    "label_generator/export.py": ("label_generator.lifting.packing",),
    "baseline_network/train.py": ("baseline_network.training.run", "tensorboard.plugins.hparams.api"),
    "baseline_network/predict.py": ("baseline_network.prediction.run",),
    "baseline_network/export.py": ("baseline_network.exporting.run",),
}


def module_of(script: str) -> str:
    """The module of a command."""
    return script[: -len(".py")].replace("/", ".")


def load(scripts: Iterable[str]) -> None:
    """Imports what these commands import, without letting TensorFlow start its threads."""
    for script in scripts:
        for name in (module_of(script), *_IMPORTED[script]):
            importlib.import_module(name)
    if threading.active_count() != 1 or len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError("imports have started threads, so this process cannot be forked")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
      status: exit status, or minus the signal that ended it.
      out: standard output. errors: lines of standard error, without progress.
      operations: how many operations on files of the working folder Python made.
      cpu_s: processor time that it took. reached: whether the point of the fault came.
    """

    status: int
    out: str
    errors: list[str]
    operations: int
    cpu_s: float
    reached: bool


class Process:
    """One command that is running."""

    def __init__(
        self,
        words: Sequence[str],
        folder: str,
        *,
        at_operation: int = 0,
        action: Callable[[int], Any] | None = None,
        file_limit: int | None = None,
        cold: bool = False,
    ):
        """
        Args:
          words: script and flags. folder: the working folder; TMPDIR is its folder tmp.
          at_operation: before the so many-th operation on a file `action` is called with the child's process id, in it.
          file_limit: RLIMIT_FSIZE in bytes.
          cold: a new interpreter, which imports everything itself, instead of a fork.
        """
        self.folder = folder
        self._counter = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `wait`)
        self._pipes = [os.pipe(), os.pipe()]
        self._read: list[bytearray] = [bytearray(), bytearray()]
        self._status: int | None = None
        self._cpu = 0.0
        self.acted = False
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                self._become(list(words), at_operation, action, file_limit, cold)
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
                status = 1
            finally:
                self._leave(status)
        for _, writing in self._pipes:
            os.close(writing)
        for reading, _ in self._pipes:
            os.set_blocking(reading, False)

    def _become(self, words: list[str], at_operation: int, action: Any, file_limit: int | None, cold: bool) -> None:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for place, handle in enumerate((nothing, self._pipes[0][1], self._pipes[1][1])):
            os.dup2(handle, place)
        for pair in self._pipes:
            for handle in pair:
                os.close(handle)
        os.close(nothing)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        os.chdir(self.folder)
        os.environ["TMPDIR"] = os.path.join(self.folder, "tmp")
        os.environ["PYTHONPATH"] = root
        tempfile.tempdir = None
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        script = os.path.join(root, words[0])
        if cold:
            os.execv(sys.executable, [sys.executable, script, *words[1:]])
        sys.argv = [script, *words[1:]]
        # Buffered as Python buffers pipes; the parent's own objects stay as they are.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        self._count_operations(at_operation, action)
        from tools.cli import command

        module = sys.modules[module_of(words[0])]
        command.run(module.main, module.declare)

    def _count_operations(self, at: int, action: Any) -> None:
        """An audit hook that counts operations on files below the working folder, and acts before one of them."""
        folder, counted, busy = os.path.join(self.folder, ""), 0, False
        counter, owner = self._counter.fileno(), os.getpid()

        def inside(path: Any) -> bool:
            if isinstance(path, int):
                return False
            name = os.fsdecode(path)
            return not os.path.isabs(name) or name.startswith(folder)

        def hook(event: str, arguments: tuple) -> None:
            nonlocal counted, busy
            if busy or (event not in _EVENTS and event != "open") or os.getpid() != owner:
                return
            if event == "open":
                path, _, flags = arguments
                if path is None or not (isinstance(flags, int) and flags & _WRITING) or not inside(path):
                    return
            elif not any(inside(path) for path in arguments[: _EVENTS[event]] if path is not None):
                return
            busy = True
            counted += 1
            os.pwrite(counter, b"%020d%d" % (counted, int(bool(at) and counted >= at)), 0)
            if counted == at and action is not None:
                action(os.getpid())
            busy = False

        sys.addaudithook(hook)

    def _leave(self, status: int) -> None:
        with contextlib.suppress(BaseException):
            threading._shutdown()
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status)

    def poll(self) -> bool:
        """Takes what was written; whether the process is still running."""
        for place, (reading, _) in enumerate(self._pipes):
            with contextlib.suppress(BlockingIOError, OSError):
                while data := os.read(reading, 65_536):
                    self._read[place] += data
        if self._status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if not pid:
                return True
            self._status = os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status
            self._cpu = usage.ru_utime + usage.ru_stime
        return False

    def cpu(self) -> float:
        """Processor time so far, seconds."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rsplit(b")", 1)[1].split()
        except OSError:
            return self._cpu
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def wait(self, at_cpu: float = -1.0, action: Callable[[int], Any] | None = None, watch: Any = None) -> Ended:
        """Waits for the end.

        Args:
          at_cpu: `action` is called with the process id once so much processor time was taken; below 0: never.
          watch: is called now and then.

        Raises:
          TimeoutError: it hangs.
        """
        active, spent = time.monotonic(), 0.0
        while self.poll():
            if action is not None and not self.acted and at_cpu >= 0 and self.cpu() >= at_cpu:
                self.acted = True
                action(self.pid)
            if watch is not None:
                watch()
            if self.cpu() > spent + 1:
                active, spent = time.monotonic(), self.cpu()
            if time.monotonic() - active > _PATIENCE_S or spent > _PATIENCE_S:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {spent:.0f} s of processor time")
            time.sleep(0.002)
        # What it started (the filter of notices, workers) ends by itself soon after, or has hung.
        until, open_pipes = time.monotonic() + 20.0, [reading for reading, _ in self._pipes]
        while open_pipes and time.monotonic() < until:
            for reading in select.select(open_pipes, [], [], 0.5)[0]:
                data = os.read(reading, 65_536)
                self._read[[pair[0] for pair in self._pipes].index(reading)] += data
                if not data:
                    open_pipes.remove(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for reading, _ in self._pipes:
            os.close(reading)
        counted = os.pread(self._counter.fileno(), 21, 0)
        self._counter.close()
        lines = [line for line in re.split(rb"[\r\n]+", bytes(self._read[1])) if line and not _PROGRESS.match(line)]
        if open_pipes:
            lines.append(b"(processes that it started were still running 20 s after it ended)")
        assert self._status is not None
        return Ended(
            self._status,
            self._read[0].decode("utf-8", "replace"),
            [line.decode("utf-8", "replace") for line in lines],
            int(counted[:20] or 0),
            self._cpu,
            self.acted or counted[20:] == b"1",
        )


def run(words: Sequence[str], folder: str, **options: Any) -> Ended:
    """Runs a command undisturbed."""
    return Process(words, folder, **options).wait()


def fresh(folder: str) -> None:
    """An empty folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
