"""How time and memory grow with the number of records: converting, one epoch of training, generating; and with workers.

Time is the processor's (of a process and those it starts), which a machine that is busy with other things changes
little; the time on the clock stands beside it. `plot` draws both over the number of records. With an output, a run that
is in the file already is not repeated: an interrupted measurement of hours goes on with the next run.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from tools.benchmarks.common import PEAK, BenchmarkSettings, Row

RECORDS = (10_000, 100_000, 1_000_000, 5_000_000)
_BATCH = 1024
# Memory and how work grows do not depend on the networks' width; full ones would take hours on one core.
_NARROW = 64
_RUN = """
import sys
from {package} import {module}
from tools.cli import command
if __name__ == "__main__":
    try:
        command.run({module}.main, {module}.declare, ["{module}", *sys.argv[1:]])
    except SystemExit as ended:
        assert not ended.code, ended.code
    print()
    print(peak_mib())
"""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run of a command. cpu_s: of it and its children; peak_mib: of its own process. bytes: of what it wrote."""

    command: str
    records: int
    workers: int
    cpu_s: float
    clock_s: float
    peak_mib: float
    bytes: int = 0


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section; with an output, each run as a line of JSON there, and the picture beside it."""
    runs = measured(settings, known(settings.output))
    if settings.output:
        plot(runs, pathlib.Path(settings.output).with_suffix(".png"))
    return rows(runs)


def known(output: str) -> list[Measured]:
    """The runs in an output file of before; [] without one."""
    if not output or not os.path.exists(output):
        return []
    with open(output, encoding="utf-8") as file:
        return [Measured(**json.loads(text)) for text in file if text.strip()]


def rows(runs: Sequence[Measured]) -> list[Row]:
    """The figures of the runs, with cost per record and the slopes of growth between the smallest and largest."""
    result = []
    for run in runs:
        title = f"{run.command}, {run.records:,} records" + (f", {run.workers} processes" if run.workers > 1 else "")
        result.append(Row(f"{title}: processor", run.cpu_s, "s"))
        result.append(Row(f"{title}: clock", run.clock_s, "s"))
        result.append(Row(f"{title}: peak memory", run.peak_mib, "MiB"))
        if run.bytes:
            result.append(Row(f"{title}: written", run.bytes / run.records, "bytes a record"))
    for command in dict.fromkeys(run.command for run in runs):
        own = sorted((run for run in runs if run.command == command and run.workers == 1), key=lambda run: run.records)
        if len(own) > 1:
            start, cost = line(own)
            result.append(Row(f"{command}: start", start, "s"))
            result.append(Row(f"{command}: for each record", 1e6 * cost, "us"))
            for less, more in zip(own, own[1:]):
                title = f"{command}, from {less.records:,} to {more.records:,} records"
                result.append(Row(f"{title}: slope of time", slope(less, more, "cpu_s"), ""))
                result.append(Row(f"{title}: slope of memory", slope(less, more, "peak_mib"), ""))
    return result


def slope(less: Measured, more: Measured, name: str) -> float:
    """Of `name` between two runs, both axes logarithmic: 1 is growth in proportion, 0 is none."""
    return math.log(getattr(more, name) / getattr(less, name)) / math.log(more.records / less.records)


def line(runs: Sequence[Measured]) -> tuple[float, float]:
    """(seconds to start, seconds for each record): the line through the smallest and the largest run."""
    first, last = runs[0], runs[-1]
    cost = (last.cpu_s - first.cpu_s) / (last.records - first.records)
    return first.cpu_s - cost * first.records, cost


def measured(settings: BenchmarkSettings, before: Sequence[Measured] = ()) -> list[Measured]:
    """Runs the commands, one after the other, each printed on standard error and added to the output as it comes.

    before: runs that are not repeated.
    """
    done = {(run.command, run.records, run.workers): run for run in before}
    runs = []

    def run(name: str, count: int, workers: int, *command: Any, output: pathlib.Path | None = None) -> None:
        key = (name, count, workers)
        if key not in done:
            done[key] = Measured(*key, *run_command(*command), _size(output))
            _tell(done[key], settings.output)
        runs.append(done[key])

    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        weights, test, records, labels = (place / part for part in ("weights", "test", "records", "labels"))
        _save_narrow(weights)
        run_command(
            "tools", "make_tfrecords", ["--source=synthetic", "--split=test", "--count=1000", f"--output={test}"]
        )
        counts = list(dict.fromkeys(settings.count(count) for count in RECORDS))
        for count in counts:
            convert = ["--source=synthetic", f"--count={count}", "--workers=1", f"--output={records}"]
            train = [
                "--recipe=published",
                "--stage=left2right",
                f"--train_data={records}",
                f"--test_data={test}",
                "--epochs=1",
                f"--batch_size={min(_BATCH, count)}",
                f"--linear_size={_NARROW}",
                f"--train_dir={place / 'training'}",
                "--overwrite",
                "--threads=1",
            ]
            generate = [
                f"--input={records}",
                f"--weights={weights}",
                f"--output={labels}",
                "--overwrite",
                "--nosequence",
            ]
            rest = [name for name in ("train, one epoch", "generate") if (name, count, 1) not in done]
            if rest and ("convert", count, 1) in done:
                run_command("tools", "make_tfrecords", convert)
            run("convert", count, 1, "tools", "make_tfrecords", convert, output=records)
            run("train, one epoch", count, 1, "label_generator", "train", train)
            run("generate", count, 1, "label_generator", "generate", generate, output=labels)
            shutil.rmtree(records, ignore_errors=True)
        middle = counts[len(counts) // 3]
        for workers in (1, 2, 4):
            convert = ["--source=synthetic", f"--count={middle}", f"--workers={workers}", f"--output={records}"]
            run("convert in processes", middle, workers, "tools", "make_tfrecords", convert, output=records)
            shutil.rmtree(records, ignore_errors=True)
    return runs


def _size(folder: pathlib.Path | None) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder else 0


def _tell(run: Measured, output: str) -> None:
    text = json.dumps(dataclasses.asdict(run))
    print(text, file=sys.stderr, flush=True)
    if output:
        with open(output, "a", encoding="utf-8") as file:
            file.write(text + "\n")


def run_command(package: str, module: str, flags: Sequence[str]) -> tuple[float, float, float]:
    """(processor seconds with children, seconds on the clock, peak MiB) of a command in a process of its own."""
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    # A file, since worker processes that are started anew run their parent's main module again.
    with tempfile.TemporaryDirectory() as folder:
        script, out = pathlib.Path(folder) / "run.py", pathlib.Path(folder) / "out"
        script.write_text(PEAK + _RUN.format(package=package, module=module), encoding="utf-8")
        start = time.perf_counter()
        with open(out, "wb") as file:
            process = subprocess.Popen([sys.executable, str(script), *flags], stdout=file, stderr=file, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        clock, text = time.perf_counter() - start, out.read_text(errors="replace")
        if process.returncode:
            raise RuntimeError(f"benchmark child failed:\n{text}")
    return usage.ru_utime + usage.ru_stime, clock, float(text.strip().splitlines()[-1])


def _save_narrow(folder: pathlib.Path) -> None:
    from label_generator.networks import network_files
    from tools.benchmarks import lift

    for stage, network in lift.published_networks(_NARROW).items():
        network_files.save_network(
            folder / stage, stage, network.recipe, network.config, network.variables, network.statistics, network.facts
        )


def plot(runs: Sequence[Measured], path: str | os.PathLike) -> None:
    """Draws processor time, with a line of slope 1, and peak memory over the number of records, axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    runs = [run for run in runs if run.workers == 1 and run.command != "convert in processes"]
    for command in dict.fromkeys(run.command for run in runs):
        own = sorted((run for run in runs if run.command == command), key=lambda run: run.records)
        counts = [run.records for run in own]
        left.plot(counts, [run.cpu_s for run in own], "o-", label=command)
        right.plot(counts, [run.peak_mib for run in own], "o-", label=command)
    counts = sorted({run.records for run in runs})
    largest = max(run.cpu_s for run in runs)
    left.plot(counts, [largest * count / counts[-1] for count in counts], "k:", label="slope 1")
    for axes, title in ((left, "processor time, s"), (right, "peak memory, MiB")):
        axes.set(xscale="log", yscale="log", xlabel="records", title=title)
        axes.grid(True, which="major", alpha=0.4)
        axes.legend()
    right.set_ylim(bottom=10)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
