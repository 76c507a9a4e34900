"""How every section measures: candidates in turns, medians with their spread, and the machine they ran on."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any, Callable


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """repeats: how often each candidate runs. scale: how much work, 1 for figures that are published.

    data: records of real poses with 2D, 3D and intrinsics, or '' for made ones. Of section gpu: parts: which to run,
    all by default. output: file that takes rows as they are measured. profile: folder for TensorFlow's profiles.
    seconds: nothing is begun after them, 0 for no end. deterministic: under deterministic operations, as training is by
    default. torch_python: the Python that PyTorch is installed for, '' for this one.
    """

    repeats: int = 5
    scale: float = 1.0
    data: str = ""
    parts: tuple[str, ...] = ()
    output: str = ""
    profile: str = ""
    seconds: float = 0.0
    deterministic: bool = False
    torch_python: str = ""

    def count(self, full: int, smallest: int = 100) -> int:
        """`full` scaled."""
        return max(smallest, int(full * self.scale))


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
      name: what was measured.
      value, unit: the median.
      spread: (largest - least) / median of the repeats, 0 for one that was not repeated.
      against: what `ratio` compares with; '' for nothing.
      ratio: this over that, larger is better.
      goal: what the ratio should reach; None when there is none.
    """

    name: str
    value: float
    unit: str
    spread: float = 0.0
    against: str = ""
    ratio: float | None = None
    goal: float | None = None


@dataclasses.dataclass(frozen=True)
class Rate:
    """Of one candidate: how much a second in each repeat."""

    each: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.each)

    @property
    def spread(self) -> float:
        """(largest - least) / median."""
        return (max(self.each) - min(self.each)) / self.median

    def times(self, factor: float) -> Rate:
        """The rate in another unit."""
        return Rate(tuple(each * factor for each in self.each))

    def row(self, name: str, unit: str, against: str = "", than: Rate | None = None, goal: float | None = None) -> Row:
        """The figure, and its ratio to another's median."""
        return Row(name, self.median, unit, self.spread, against, self.median / than.median if than else None, goal)


def in_turns(candidates: Mapping[Any, Callable[[], Any]], amount: float, repeats: int) -> dict[Any, Rate]:
    """Runs every candidate once unmeasured, then all in turns, so that what disturbs the machine disturbs all.

    amount: how much work one call does, in the unit of the rates that come back.
    """
    for call in candidates.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: Rate(tuple(amount / each for each in times)) for name, times in seconds.items()}


# Prepended to a child's code: peak_mib() is the most memory it has had. Not ru_maxrss, which of a process begins with
# the size of the process that started it.
PEAK = """
import pathlib, re
def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
"""


def in_child(code: str, *arguments: Any, **environment: str) -> str:
    """Runs Python code in a process of its own and returns the last line it printed.

    environment: variables to set for it.
    """
    line = [sys.executable, "-c", code, *map(str, arguments)]
    settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=settings)
    if done.returncode:
        raise RuntimeError(f"benchmark child failed:\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores, versions, date."""
    model = platform.processor()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model,
        "cores": cores,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("tensorflow", "numpy", "torch", "opencv-python")},
        "date": datetime.date.today().isoformat(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def file_rates(megabytes: int = 256) -> list[Row]:
    """How fast this machine writes and reads one large file, in MB/s; mostly through the memory that caches files."""
    block = os.urandom(1 << 20)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "large"

        def write() -> None:
            with open(path, "wb", buffering=0) as file:
                for _ in range(megabytes):
                    file.write(block)

        def read() -> None:
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass

        rates = in_turns({"write": write, "read": read}, megabytes * 1.048576, 3)
    return [Row(f"machine: file {name}", rate.median, "MB/s", rate.spread) for name, rate in rates.items()]
