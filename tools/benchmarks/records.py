"""Writing and reading TFRecords, against `tf.train.Example` feature by feature and against copying files."""

from __future__ import annotations

import functools
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfrecords import reader, schema, writer
from tfrecords.formats import images
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tfrecords.storage import example
from tfrecords.storage.framing import RecordFile
from tools.benchmarks.common import BenchmarkSettings, Row, file_rates, in_child, in_turns

_BATCH = 1024
_PICTURE = (1280, 720)


class Given(Source):
    """Poses of random numbers, made at once, so that nothing but the writing is measured."""

    info = Info("given", "random numbers", "nothing", "none", "none")

    def __init__(self, path: Any, options: Any) -> None:
        super().__init__(path, options)
        rng = np.random.default_rng(0)
        self._poses_2d = rng.normal(500, 100, (1024, 17, 2)).astype(np.float32)
        self._poses_3d = rng.normal(0, 300, (1024, 17, 3)).astype(np.float32)
        self._intrinsics = np.array([1145.0, 1144.0, 512.0, 515.0], np.float32)
        self._size = np.array([1000, 1002])

    def __len__(self) -> int:
        return self.options.count

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord]:
        for number in numbers:
            yield PoseRecord(
                dataset="given",
                split="all",
                subject="S1",
                action="walking",
                sequence="walking 1.54138969",
                frame=int(number),
                pose_2d=self._poses_2d[number % 1024],
                right_2d=self._poses_2d[number * 7 % 1024],
                pose_3d=self._poses_3d[number % 1024],
                root_3d=self._poses_3d[number % 1024, 0],
                intrinsics=self._intrinsics,
                camera="54138969",
                camera_kind="calibrated",
                image_size=self._size,
            )


class Folder(Source):
    """The pictures of a folder, each with a pose."""

    info = Info("folder", "pictures", "a folder", "none", "none", images=True)

    def __init__(self, path: Any, options: Any) -> None:
        super().__init__(path, options)
        self._names = sorted(file.name for file in path.iterdir())
        self._pictures = images.Pictures(path)

    def __len__(self) -> int:
        return len(self._names)

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord]:
        pose = np.zeros((17, 2), np.float32)
        for number in numbers:
            picture = self._pictures.read(self._names[number])
            if isinstance(picture, Skip):
                continue
            size = np.array([picture.width, picture.height])
            yield PoseRecord(pose_2d=pose, image=picture.data, image_format=picture.format, image_size=size)


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        return [
            *file_rates(),
            *_writing_by_process(settings, place),
            *_converting(settings, place),
            *_pictures(settings, place),
            *_memory(settings, place),
            *_reading(settings, place),
        ]


def feature_by_feature(record: PoseRecord) -> bytes:
    """The record as TensorFlow's documentation writes one."""
    import tensorflow as tf

    features = {}
    for feature in schema.FEATURES:
        value = getattr(record, feature.field)
        if feature.kind == "float":
            value = np.ravel(value)
            if not np.isnan(value).all():
                features[feature.key] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        elif feature.kind == "int":
            value = np.ravel(value)
            if (value != -1).any():
                features[feature.key] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        else:
            value = value.encode() if feature.kind == "text" else bytes(value)
            if value.strip(b"\0"):
                features[feature.key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _writing_by_process(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    import tensorflow as tf

    count = settings.count(5000)
    records = list(Given(pathlib.Path(), Options(count=count)).records(range(count)))

    def ours() -> None:
        with RecordFile(place / "ours", False) as file:
            for record in records:
                file.write(example.encode(record))

    def theirs() -> None:
        with tf.io.TFRecordWriter(str(place / "theirs")) as file:
            for record in records:
                file.write(feature_by_feature(record))

    rates = in_turns({"ours": ours, "theirs": theirs}, count, settings.repeats)
    ratio = rates["ours"].median / rates["theirs"].median
    name = "tf.train.Example feature by feature"
    return [
        Row(f"write pose records, {name}", rates["theirs"].median, "records/s", rates["theirs"].spread),
        Row(
            "write pose records, own encoder", rates["ours"].median, "records/s", rates["ours"].spread, name, ratio, 3.0
        ),
    ]


def _converter(kind: Any, path: Any, out: Any, workers: int, num_shards: int = 4, **options: Any) -> Callable[[], None]:
    factory = functools.partial(kind, path, Options(**options))

    def call() -> None:
        shutil.rmtree(out, ignore_errors=True)
        writer.convert(factory, out, num_shards=num_shards, num_workers=workers, quiet=True)

    return call


def _converting(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    count = settings.count(200_000)
    calls = {n: _converter(Given, pathlib.Path(), place / f"convert{n}", n, count=count) for n in (1, 2)}
    rates = in_turns(calls, count, min(settings.repeats, 3))
    one, two = rates[1], rates[2]
    return [
        Row("convert pose records, one process", one.median, "records/s", one.spread),
        Row("convert, two processes", two.median, "records/s", two.spread, "one", two.median / one.median, 1.8),
        *_small_shards(settings, place),
    ]


def _small_shards(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    """What a shard costs beside its records: few records in one shard, and each in a shard of its own."""
    count = settings.count(300)
    calls = {
        "one": _converter(Given, pathlib.Path(), place / "one", 1, count=count, num_shards=1),
        "each": _converter(Given, pathlib.Path(), place / "each", 1, count=count, num_shards=count),
    }
    rates = in_turns(calls, count, min(settings.repeats, 3))
    one, each = rates["one"], rates["each"]
    return [
        Row(f"convert {count:,} records into one shard", one.median, "records/s", one.spread),
        Row("the same, one shard for each", each.median, "records/s", each.spread, "one", each.median / one.median),
    ]


def _pictures(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    import cv2

    pictures, count = place / "pictures", settings.count(400, 20)
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (45, 80, 3), dtype=np.uint8)
        noise = rng.integers(0, 24, (_PICTURE[1], _PICTURE[0], 3), dtype=np.uint8)
        _, data = cv2.imencode(".jpg", cv2.resize(coarse, _PICTURE, interpolation=cv2.INTER_CUBIC) // 2 + noise)
        (pictures / f"{number:05d}.jpg").write_bytes(data.tobytes())

    def copy() -> None:
        shutil.rmtree(place / "copy", ignore_errors=True)
        (place / "copy").mkdir()
        for file in pictures.iterdir():
            shutil.copyfile(file, place / "copy" / file.name)

    calls = {"copy": copy, "convert": _converter(Folder, pictures, place / "images", 1)}
    rates = in_turns(calls, count, settings.repeats)
    size = sum(file.stat().st_size for file in pictures.iterdir()) / count / 1e3
    ratio = rates["convert"].median / rates["copy"].median
    title = "write image records, one process"
    return [
        Row(f"copy JPEG files of {size:.0f} kB", rates["copy"].median, "images/s", rates["copy"].spread),
        Row(title, rates["convert"].median, "images/s", rates["convert"].spread, "copying", ratio, 0.7),
    ]


# VmHWM, not ru_maxrss: the latter of a process begins with the size of the process that started it. That of the workers
# begins with the small one of this child, so it may serve for them.
_PEAK = """
import functools, pathlib, re, resource, sys
from tfrecords import writer
from tfrecords.source import Options
from tools.benchmarks.records import Given
count, workers, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if __name__ == "__main__":
    factory = functools.partial(Given, pathlib.Path(), Options(count=count))
    writer.convert(factory, out, num_shards=4, num_workers=workers, quiet=True)
    own = int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def _memory(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    rows = []
    for workers in (1, 2):
        peaks = []
        for count in (settings.count(10_000), settings.count(100_000)):
            out = place / f"memory{workers}{count}"
            peaks.append(float(in_child(_PEAK, count, workers, out)) / 1024)
            rows.append(Row(f"peak memory of the largest of {workers} processes, {count:,} records", peaks[-1], "MiB"))
    return rows


def _reading(settings: BenchmarkSettings, place: pathlib.Path) -> list[Row]:
    folder = place / "convert1"
    count = len(reader.find(folder))
    fields = ["pose_2d", "right_2d", "pose_3d"]

    def consume(**options: Any) -> None:
        for _ in reader.dataset(folder, _BATCH, fields, shuffle_seed=0, drop_remainder=True, **options):
            pass

    arrays = reader.load_arrays(folder, fields)

    def consume_arrays() -> None:
        for _ in reader.from_arrays(arrays, _BATCH, shuffle_seed=0, drop_remainder=True):
            pass

    calls: dict[str, Callable[[], object]] = {
        "load_arrays, three pose fields": lambda: reader.load_arrays(folder, fields),
        f"dataset, streamed and shuffled, batches of {_BATCH}": consume,
        f"dataset, cached and shuffled, batches of {_BATCH}": consume_arrays,
    }
    rates = in_turns(calls, count, settings.repeats)
    return [Row(f"read: {name}", rate.median, "records/s", rate.spread) for name, rate in rates.items()]
