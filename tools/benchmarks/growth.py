"""How time and memory grow with the number of records: converting, one epoch of training, generating; and with workers.

Time is the processor's (of a process and those it starts), which a machine that is busy with other things hardly
changes; the time on the clock is told beside it. `plot` draws both over the number of records.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from tools.benchmarks.common import PEAK, BenchmarkSettings, Row

RECORDS = (10_000, 100_000, 1_000_000)
_BATCH, _WIDTH = 1024, 1024
# Memory and the shares of the work do not depend on the networks' width; full ones would take hours on one core.
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
    runs = measured(settings)
    if settings.output:
        with open(settings.output, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(dataclasses.asdict(run)) + "\n" for run in runs)
        plot(runs, pathlib.Path(settings.output).with_suffix(".png"))
    return rows(runs)


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
            first, last = own[0], own[-1]
            more = last.records / first.records
            result.append(
                Row(f"{command}: memory at {more:,.0f} times the records", last.peak_mib / first.peak_mib, "x")
            )
    return result


def line(runs: Sequence[Measured]) -> tuple[float, float]:
    """(seconds to start, seconds for each record): the line through the smallest and the largest run."""
    first, last = runs[0], runs[-1]
    cost = (last.cpu_s - first.cpu_s) / (last.records - first.records)
    return first.cpu_s - cost * first.records, cost


def measured(settings: BenchmarkSettings) -> list[Measured]:
    """Runs the commands, one after the other, and prints each figure on standard error as it comes."""
    runs = []
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        weights = place / "weights"
        _save_narrow(weights)
        test = place / "test"
        _command("tools", "make_tfrecords", ["--source=synthetic", "--split=test", "--count=1000", f"--output={test}"])
        counts = [settings.count(count) for count in RECORDS]
        for count in counts:
            records, output = place / f"records-{count}", place / "labels"
            convert = ["--source=synthetic", f"--count={count}", "--workers=1", f"--output={records}"]
            runs.append(_run("convert", count, 1, "tools", "make_tfrecords", convert, records))
            train = [
                "--recipe=published",
                "--stage=left2right",
                f"--train_data={records}",
                f"--test_data={test}",
                "--epochs=1",
                f"--batch_size={min(_BATCH, count)}",
                f"--linear_size={_WIDTH}",
                f"--train_dir={place / 'training'}",
                "--overwrite",
                "--threads=1",
            ]
            runs.append(_run("train, one epoch", count, 1, "label_generator", "train", train))
            generate = [
                f"--input={records}",
                f"--weights={weights}",
                f"--output={output}",
                "--overwrite",
                "--nosequence",
            ]
            runs.append(_run("generate", count, 1, "label_generator", "generate", generate, output))
        middle = counts[1]
        for workers in (1, 2, 4):
            records = place / f"workers-{workers}"
            convert = ["--source=synthetic", f"--count={middle}", f"--workers={workers}", f"--output={records}"]
            runs.append(_run("convert in processes", middle, workers, "tools", "make_tfrecords", convert, records))
    return runs


def _run(
    name: str,
    records: int,
    workers: int,
    package: str,
    module: str,
    flags: list[str],
    output: pathlib.Path | None = None,
) -> Measured:
    cpu, clock, peak = _command(package, module, flags)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file()) if output else 0
    run = Measured(name, records, workers, cpu, clock, peak, size)
    print(json.dumps(dataclasses.asdict(run)), file=sys.stderr, flush=True)
    return run


def _command(package: str, module: str, flags: Sequence[str]) -> tuple[float, float, float]:
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
