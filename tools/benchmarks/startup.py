"""The time of every command's --help, and of the demo from start to end."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tools.benchmarks.common import BenchmarkSettings, Row, in_turns

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FOLDERS = ("label_generator", "baseline_network", "tools")
_LATER_S, _DEMO_S = 0.3, 20.0


def commands() -> list[str]:
    """Every command of the repository, by path: the files that run one when they are started."""
    files = [path for folder in _FOLDERS for path in sorted((_ROOT / folder).glob("*.py"))]
    return [str(path.relative_to(_ROOT)) for path in files if "\n    command.run(" in path.read_text(encoding="utf-8")]


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""

    def run(*line: str) -> None:
        subprocess.run([sys.executable, *line], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)

    calls = {"": functools.partial(run, "-c", "pass")}
    calls |= {name: functools.partial(run, name, "--help") for name in commands()}
    rates = in_turns(calls, 1, settings.repeats)
    seconds = {name: 1.0 / rate.median for name, rate in rates.items()}
    rows = [Row("Python's own start", seconds[""], "s", rates[""].spread)]
    for name, rate in rates.items():
        if name:
            later = max(seconds[name] - seconds[""], 1e-3)
            title = f"{name} --help; its seconds beyond Python's"
            rows.append(Row(title, later, "s", rate.spread, f"{_LATER_S} s allowed", _LATER_S / later, 1.0))
    return [*rows, *_demo()]


def _demo() -> list[Row]:
    """The demo where the environment is installed; it would install it otherwise, which is another figure."""
    if not (_ROOT / ".venv").exists():
        print("demo.sh is left out: no installed environment in .venv", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        line = [str(_ROOT / "demo.sh"), f"--output={os.path.join(folder, 'demo')}"]
        subprocess.run(line, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - start
    return [Row("./demo.sh, installed", took, "s", 0.0, f"{_DEMO_S:g} s allowed", _DEMO_S / took, 1.0)]
