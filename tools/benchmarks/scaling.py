"""How work grows with threads, processes and devices, and generate.py from end to end beside the lifting alone."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import statistics
import tempfile
from typing import Any

import numpy as np

from tools.benchmarks import growth
from tools.benchmarks.common import PEAK, BenchmarkSettings, Rate, Row, in_child, machine

_POSES, _MORE_POSES = 1_000_000, 5_000_000
_CONVERTED = (20_000, 200_000)
_BATCH = 4096
_MEMORY_MIB = 1.5e9 / 2**20
# Memory does not depend on the networks' width; five million poses through full ones would take minutes.
_NARROW = 64

_THREADS = """
import sys
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
"""
_LIFT = """
import time
import numpy as np
from label_generator.lifting import lifter
from tools.benchmarks import lift, search
from tools.pose.cameras import SEARCH_INTRINSICS
batch, calls = int(sys.argv[2]), int(sys.argv[3])
pixels, camera = tf.constant(search.people(batch)[1]), tf.constant(np.float32(SEARCH_INTRINSICS))
networks = lift.shipped() if sys.argv[4] == "shipped" else lift.published_networks()
lifter = lifter.Lifter(networks)
lifter.lift(pixels, camera)
start = time.perf_counter()
for _ in range(calls):
    lifter.lift(pixels, camera)
print(batch * calls / (time.perf_counter() - start))
"""
_TRAIN = """
import time
devices, steps = int(sys.argv[2]), int(sys.argv[3])
if devices > 1:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
from tools.benchmarks import train
from tools.training.strategy import distribute, make_strategy
strategy = make_strategy("mirrored" if devices > 1 else "one_device")
training = train.published(1024)
with strategy.scope():
    model = training.make_model(strategy.num_replicas_in_sync, steps_per_execution=10)
batches = distribute(strategy, lambda: training.make_batches(0), 1024)
fit = lambda n: model.fit(batches, steps_per_epoch=n, epochs=1, verbose=0)
fit(10)
start = time.perf_counter()
fit(steps)
print(steps * 1024 / (time.perf_counter() - start))
"""
_GENERATE = """
import sys
from label_generator import generate
from tools.cli import command
if __name__ == "__main__":
    try:
        command.run(generate.main, generate.declare, ["generate", *sys.argv[1:]])
    except SystemExit as ended:
        assert not ended.code
    print(peak_mib())
"""


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    return [*_workers(settings), *_lifting(settings), *_training(settings), *_generating(settings)]


@dataclasses.dataclass(frozen=True)
class ThroughputModel:
    """How long a job of N records takes W processes on C cores: ``start + (N cost + (W - 1) start) / min(W, C)``.

    Attributes:
      start_s: what one process needs before its first record. cost_s: for each record. cores: C.
    """

    start_s: float
    cost_s: float
    cores: int

    @classmethod
    def of_runs(cls, less: tuple[int, float], more: tuple[int, float], cores: int) -> ThroughputModel:
        """The model through two runs (records, seconds) of one process."""
        cost = (more[1] - less[1]) / (more[0] - less[0])
        return cls(max(less[1] - cost * less[0], 0.0), cost, cores)

    def seconds(self, records: int, workers: int) -> float:
        """On the clock."""
        work = records * self.cost_s + (workers - 1) * self.start_s
        return self.start_s + work / min(workers, self.cores)


def _workers(settings: BenchmarkSettings) -> list[Row]:
    """A conversion by one, two and four processes, in turns, beside what the model says of one process' runs."""
    cores, (less, more) = machine()["cores"], (settings.count(count) for count in _CONVERTED)
    sizes: dict[tuple[int, int], list] = {(less, 1): [], (more, 1): [], (more, 2): [], (more, 4): []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(min(settings.repeats, 3)):
            for (count, workers), runs in sizes.items():
                flags = [f"--count={count}", f"--workers={workers}", f"--output={folder}/records", "--overwrite"]
                runs.append(growth.run_command("tools", "make_tfrecords", ["--source=synthetic", *flags]))
    processors, clocks = (
        {size: statistics.median(run[part] for run in runs) for size, runs in sizes.items()} for part in (0, 1)
    )
    model = ThroughputModel.of_runs((less, clocks[less, 1]), (more, clocks[more, 1]), cores)
    # What all processes take together is what they would take one core; a busy machine disturbs it little.
    together = ThroughputModel.of_runs((less, processors[less, 1]), (more, processors[more, 1]), 1)
    rows = [
        Row(f"convert, one process: start, of runs of {less:,} and {more:,} records", model.start_s, "s"),
        Row("convert, one process: for each record", 1e6 * model.cost_s, "us"),
    ]
    for workers in (1, 2, 4):
        runs, clock = sizes[more, workers], clocks[more, workers]
        title, expected = f"convert {more:,} records, {workers} processes", model.seconds(more, workers)
        spread = (max(run[1] for run in runs) - min(run[1] for run in runs)) / clock
        rows.append(Row(f"{title}: clock", clock, "s", spread, f"model: {expected:.3g} s", expected / clock))
        processor, expected = processors[more, workers], together.seconds(more, workers)
        rows.append(Row(f"{title}: processor", processor, "s", 0.0, f"model: {expected:.3g} s", expected / processor))
        rows.append(Row(f"{title}: cores that were had, of {min(workers, cores)}", processor / clock, ""))
    return rows


def _median(measured: Any, repeats: int) -> dict:
    """Runs every child in turns and returns its `Rate`."""
    each: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(repeats):
        for name, run in measured.items():
            each[name].append(run())
    return {name: Rate(tuple(values)) for name, values in each.items()}


def _lift(threads: int, batch: int, calls: int, which: str = "published") -> float:
    return float(in_child(_THREADS + _LIFT, threads, batch, calls, which))


def _lifting(settings: BenchmarkSettings) -> list[Row]:
    calls = settings.count(40, 2)

    def processes(count: int) -> Any:
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return sum(pool.map(lambda _: _lift(1, 1024, calls), range(count)))

    runs = {"one thread": lambda: _lift(1, 1024, calls), "two threads": lambda: _lift(2, 1024, calls)}
    more = {f"{name} processes of one thread": functools.partial(processes, n) for name, n in (("two", 2), ("four", 4))}
    rates = _median({**runs, **more}, min(settings.repeats, 3))
    one = rates.pop("one thread")
    rows = [one.row("lift, batches of 1024, one thread", "poses/s")]
    return rows + [rate.row(f"lift, {name}", "poses/s", "one thread", one) for name, rate in rates.items()]


def _training(settings: BenchmarkSettings) -> list[Row]:
    steps = settings.count(60, 10) // 10 * 10

    def run(threads: int, devices: int) -> Any:
        return lambda: float(in_child(_THREADS + _TRAIN, threads, devices, steps))

    runs = {"one thread": run(1, 1), "two threads": run(2, 1), "two virtual devices": run(2, 2)}
    rates = _median(runs, min(settings.repeats, 3))
    one = rates.pop("one thread")
    rows = [one.row("training step, batch 1024, one thread", "samples/s")]
    return rows + [rate.row(f"training step, {name}", "samples/s", "one thread", one) for name, rate in rates.items()]


def _generating(settings: BenchmarkSettings) -> list[Row]:
    from tools.benchmarks import lift

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        wide, narrow = place / "wide", place / "narrow"
        _save(lift.published_networks(), wide)
        _save(lift.published_networks(_NARROW), narrow)
        for name, weights in (("published", wide), ("shipped", None)):
            if name == "shipped" and not lift.shipped():
                continue
            # As much of a run as the first, at the rate of networks that do twice the work.
            count = settings.count(_POSES if name == "published" else _POSES // 4, _BATCH)
            alone = Rate(tuple(_lift(0, _BATCH, settings.count(20, 2), name) for _ in range(2)))
            seconds, _, peak = _generate(place, count, weights)
            title = f"generate.py, {name} networks, {count:,} poses from .npz to labels.npz"
            rows.append(alone.row(f"lift, {name} networks, batches of {_BATCH:,}", "poses/s"))
            with_start = Rate((count / seconds,))
            rows.append(with_start.row(f"{title}, starting included", "poses/s", "lifting alone", alone, 0.8))
            rows.append(_memory(f"{title}: peak memory", peak))
        for count in (settings.count(_POSES, _BATCH), settings.count(_MORE_POSES, 2 * _BATCH)):
            _, _, peak = _generate(place, count, narrow)
            rows.append(_memory(f"generate.py, narrow networks, {count:,} poses: peak memory", peak))
    return rows


def _memory(title: str, peak: float) -> Row:
    return Row(title, peak, "MiB", 0.0, f"{_MEMORY_MIB:.0f} MiB allowed", _MEMORY_MIB / peak, 1.0)


def _save(networks: Any, folder: pathlib.Path) -> None:
    from label_generator.networks import network_files

    for stage, network in networks.items():
        network_files.save_network(
            folder / stage,
            stage,
            network.recipe,
            network.config,
            network.variables,
            network.statistics,
            network.facts,
        )


def _generate(place: pathlib.Path, count: int, weights: pathlib.Path | None) -> tuple[float, float, float]:
    """(seconds of the whole command, seconds of its lifting, peak memory in MiB)."""
    import json
    import shutil
    import time

    from tools.benchmarks import search

    poses, output = place / "poses.npz", place / "labels"
    pixels = search.people(4096)[1]
    np.savez(poses, poses_2d=pixels[np.arange(count) % len(pixels)])
    flags = [f"--input={poses}", "--joints=pose17", "--camera=h36m", f"--output={output}"]
    start = time.perf_counter()
    peak = in_child(PEAK + _GENERATE, *flags, *([f"--weights={weights}"] if weights else []), CUDA_VISIBLE_DEVICES="")
    seconds = time.perf_counter() - start
    lifting = json.loads((output / "summary.json").read_text())["seconds"]
    shutil.rmtree(output)
    os.remove(poses)
    return seconds, lifting, float(peak)
