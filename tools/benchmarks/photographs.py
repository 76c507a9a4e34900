"""People in photographs of 1280 x 720: each picture on one core and on all, and the whole chain of generate.py."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

import numpy as np

from tfrecords.formats import photographs
from tfrecords.source import Skip
from tools.benchmarks.common import BenchmarkSettings, Row, in_child
from tools.cli.errors import InputError
from tools.cli.words import counted

SIZE = (1280, 720)
# Of the project: one picture once everything is loaded, and people a second of the whole chain on two cores.
_PICTURE_MS, _PEOPLE_S = 60.0, 10.0
_FEW, _MANY = 8, 32
_CHAIN = """
import sys, time
from tools.cli import command
from label_generator import generate
start = time.perf_counter()
try:
    command.run(generate.main, generate.declare, ["generate.py", *sys.argv[1:]])
except SystemExit as ended:
    if ended.code:
        raise
print(time.perf_counter() - start, time.process_time())
"""


def fitted(picture: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture [H, W, 3] in one of `size` (width, height), as large as it fits, its outermost pixels repeated."""
    import cv2

    width, height = size
    zoom = min(width / picture.shape[1], height / picture.shape[0])
    inner = max(1, round(picture.shape[1] * zoom)), max(1, round(picture.shape[0] * zoom))
    small = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    sides = top, height - inner[1] - top, left, width - inner[0] - left
    return cv2.copyMakeBorder(small, *sides, cv2.BORDER_REPLICATE)


def pictures(folder: str) -> dict[str, np.ndarray]:
    """The photographs of a folder in 1280 x 720, by name. Raises `InputError` where there are none."""
    if not folder or not pathlib.Path(folder).is_dir():
        raise InputError(f"--data={folder}: section photographs needs a folder with photographs")
    found = {name: photographs.read(os.path.join(folder, name), name) for name in photographs.list_pictures(folder)}
    readable = {name: fitted(photo.pixels) for name, photo in found.items() if not isinstance(photo, Skip)}
    if not readable:
        raise InputError(f"--data={folder}: no photograph in it")
    return readable


def in_turns(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Runs all once, then all in turns; {name: [repeats, 2] ms: of the clock, of the processor}."""
    for call in calls.values():
        call()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            clock, processor = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {name: 1e3 * np.array(each) for name, each in times.items()}


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    import cv2

    from tools.detection.people import PeopleFinder

    shown = pictures(settings.data)
    cores = len(os.sched_getaffinity(0))
    # OpenCV's own threads would count into the time of one core, and are of no use beside the networks'.
    cv2.setNumThreads(1)
    rows = []
    for threads in dict.fromkeys((1, cores)):
        finder = PeopleFinder(threads=threads)
        counts = {name: len(finder.find(picture)) for name, picture in shown.items()}
        calls = {name: functools.partial(finder.find, picture) for name, picture in shown.items()}
        times = in_turns(calls, settings.repeats)
        for name, each in times.items():
            what = f"{name}, {counted(counts[name], 'person', 'people')}, {counted(threads, 'thread')}"
            clock, processor = each.T
            spread = float(np.ptp(processor) / np.median(processor))
            rows.append(Row(f"{what}: processor", statistics.median(processor), "ms", spread))
            best = float(clock.min())
            rows.append(Row(f"{what}: clock, least", best, "ms", 0.0, f"{_PICTURE_MS:g} ms", _PICTURE_MS / best, 1.0))
    return rows + _chain(settings, list(shown.values()))


def _chain(settings: BenchmarkSettings, shown: list[np.ndarray]) -> list[Row]:
    """What each further picture takes of generate.py, with and without overlays, when everything is loaded."""
    import cv2

    few, many = settings.count(_FEW, 2), settings.count(_MANY, 4)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in (few, many):
            folder = pathlib.Path(scratch, str(count))
            folder.mkdir()
            for number in range(count):
                cv2.imwrite(str(folder / f"{number:04d}.jpg"), shown[number % len(shown)])
        for drawn in ("--overlays", "--nooverlays"):
            took, people = {}, {}
            for count in (few, many):
                output = pathlib.Path(scratch, "labels")
                line = [f"--input={scratch}/{count}", f"--output={output}", drawn]
                took[count] = np.array(in_child(_CHAIN, *line).split(), float)
                with np.load(output / "labels.npz") as labels:
                    people[count] = int((labels["reason"] == 0).sum())
                shutil.rmtree(output)
            clock, processor = (took[many] - took[few]) / (many - few)
            each_second = (people[many] - people[few]) / max(took[many][0] - took[few][0], 1e-9)
            what = f"generate.py {drawn}, each further picture"
            rows.append(Row(f"{what}: processor", 1e3 * processor, "ms"))
            rows.append(Row(f"{what}: clock", 1e3 * clock, "ms"))
            goal = f"{_PEOPLE_S:g} people/s"
            rows.append(Row(f"{what}: people", each_second, "people/s", 0.0, goal, each_second / _PEOPLE_S, 1.0))
    print(f"generate.py ran on {few} and {many} pictures", file=sys.stderr)
    return rows
