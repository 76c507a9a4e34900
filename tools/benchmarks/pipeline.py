"""The baseline network's input pipeline, against OpenCV in one Python process per core; and pictures being rendered."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pathlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tools.benchmarks.common import BenchmarkSettings, Rate, Row, file_rates, in_turns

_SIZE = (1280, 720)
_RESOLUTION, _BATCH, _CORES = 256, 16, os.cpu_count() or 1
_RENDERED_GOAL = 100.0


def people(count: int) -> dict[str, np.ndarray]:
    """Poses of made people, moved and scaled into pictures of 1280 x 720: boxes [N, 4], pose_2d, pose_3d."""
    from tools.benchmarks import search

    pose_3d, pixels, _ = search.people(count)
    rng = np.random.default_rng(1)
    low, high = pixels.min(1, keepdims=True), pixels.max(1, keepdims=True)
    side = (high - low).max(-1, keepdims=True)
    tall = rng.uniform(250, 600, side.shape)
    room = np.maximum(np.array(_SIZE) - (high - low) * tall / side, 1.0)
    pixels = (pixels - low) * tall / side + rng.uniform(0, 1, room.shape) * room
    low, high = pixels.min(1), pixels.max(1)
    boxes = np.concatenate([low, high - low], 1)
    return {"pose_3d": pose_3d, "pose_2d": pixels.astype(np.float32), "box": boxes.astype(np.float32)}


def write_pictures(folder: pathlib.Path, count: int) -> list[str]:
    """JPEG files of 1280 x 720 with coarse shapes and fine grain."""
    import cv2

    rng, paths = np.random.default_rng(0), []
    for number in range(count):
        coarse = cv2.resize(rng.integers(0, 256, (45, 80, 3), dtype=np.uint8), _SIZE, interpolation=cv2.INTER_CUBIC)
        grain = rng.integers(0, 10, (_SIZE[1], _SIZE[0], 3), dtype=np.uint8)
        paths.append(str(folder / f"{number:05d}.jpg"))
        cv2.imwrite(paths[-1], coarse // 2 + grain + 60)
    return paths


def by_opencv(jobs: Iterable[Any]) -> float:
    """What the pipeline makes of pictures, picture by picture; returns a number, so that nothing is left out.

    jobs: (path of the picture, box [4], pose_2d [17, 2], pose_3d [17, 3], seed) of each.
    """
    import cv2

    from tools.pose import joints

    cv2.setNumThreads(1)
    mirror, total, middle = joints.joint_set("mpii16").mirror, 0.0, _RESOLUTION / 2
    cells = np.arange(_RESOLUTION // 4)
    for path, box, pose_2d, pose_3d, seed in jobs:
        rng = np.random.default_rng(seed)
        zoom = _RESOLUTION / (box[2:].max() * 1.25 * 2.0 ** np.clip(0.25 * rng.normal(), -0.5, 0.5))
        angle = np.clip(30.0 * rng.normal(), -60, 60) if rng.uniform() < 0.4 else 0.0
        centre = box[:2] + box[2:] / 2
        transform = cv2.getRotationMatrix2D(tuple(map(float, centre)), angle, zoom)
        transform[:, 2] += middle - centre
        mirrored = rng.uniform() < 0.5
        if mirrored:
            transform[0] = np.array([0, 0, _RESOLUTION]) - transform[0]
        picture = cv2.warpAffine(cv2.imread(path), transform, (_RESOLUTION, _RESOLUTION), flags=cv2.INTER_LINEAR)
        image = picture * rng.uniform(0.6, 1.0, 3).astype(np.float32) * np.float32(1 / 256)
        flat, _ = joints.convert(pose_2d, "pose17", "mpii16")
        solid, _ = joints.convert(pose_3d, "pose17", "mpii16")
        points = flat @ transform[:, :2].T + transform[:, 2]
        scale = np.linalg.norm(np.ptp(flat, 0)) / np.linalg.norm(np.ptp(solid[:, :2], 0))
        depths = solid[:, 2] * scale * zoom / middle
        if mirrored:
            points, depths = points[mirror], depths[mirror]
        heatmaps = np.zeros((_RESOLUTION // 4, _RESOLUTION // 4, 16), np.float32)
        for joint, (x, y) in enumerate(np.floor(points / 4)):
            columns, rows = np.abs(cells - x) <= 3, np.abs(cells - y) <= 3
            across, down = np.exp(-((cells[columns] - x) ** 2) / 6.125), np.exp(-((cells[rows] - y) ** 2) / 6.125)
            heatmaps[np.ix_(rows, columns, [joint])] = (down[:, None] * across)[..., None]
        total += float(image[0, 0, 0] + heatmaps[0, 0, 0] + depths[0])
    return total


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    from baseline_network.training import training_data

    count = settings.count(512, _BATCH * _CORES) // _BATCH * _BATCH
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(_CORES) as pool:
        place = pathlib.Path(folder)
        (place / "pictures").mkdir()
        paths, records = write_pictures(place / "pictures", count), people(count)
        _write_records(place / "records", paths, records)
        jobs = list(zip(paths, records["box"], records["pose_2d"], records["pose_3d"], range(count)))
        shares = [jobs[number::_CORES] for number in range(_CORES)]
        setup = training_data.BatchOptions(_RESOLUTION)
        sets = [training_data.TrainingSet(str(place / "records" / "*.tfrecord"), _BATCH)]

        batches = training_data.make_batches(sets, setup).take(count // _BATCH)

        def ours() -> None:
            # From the start each time: what is read ahead would be a lead for ours and a load on the other.
            for _ in batches:
                pass

        rates = in_turns({"opencv": lambda: pool.map(by_opencv, shares), "ours": ours}, count, settings.repeats)
        size = sum(os.path.getsize(path) for path in paths) / count / 1e3
    against = f"OpenCV in {_CORES} processes"
    title = f"JPEG of {_SIZE[0]} x {_SIZE[1]}, {size:.0f} kB, to crops of {_RESOLUTION} with targets"
    return [
        *file_rates(),
        rates["opencv"].row(f"{title}: {against}", "images/s"),
        rates["ours"].row(f"{title}: ours, batches of {_BATCH}", "images/s", against, rates["opencv"], 1.5),
        *_rendered(settings),
    ]


def rate(settings: BenchmarkSettings, batch: int) -> Rate:
    """Pictures a second that TensorFlow's pipeline makes batches of, alone."""
    from baseline_network.training import training_data

    count = settings.count(512, batch) // batch * batch
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "pictures").mkdir()
        _write_records(place / "records", write_pictures(place / "pictures", count), people(count))
        sets = [training_data.TrainingSet(str(place / "records" / "*.tfrecord"), batch)]
        batches = training_data.make_batches(sets, training_data.BatchOptions(_RESOLUTION)).take(count // batch)

        def run() -> None:
            for _ in batches:
                pass

        return in_turns({"ours": run}, count, settings.repeats)["ours"]


def _write_records(place: pathlib.Path, paths: Sequence[Any], records: Any) -> None:
    from tfrecords.schema import PoseRecord
    from tfrecords.storage import example
    from tfrecords.storage.framing import RecordFile
    from tools.pose import joints

    place.mkdir()
    known = np.full(17, joints.LABELLED, np.uint8)
    with RecordFile(place / "pictures-00000-of-00001.tfrecord", False) as file:
        for number, path in enumerate(paths):
            record = PoseRecord(
                image=pathlib.Path(path).read_bytes(),
                image_format="jpeg",
                image_size=np.array(_SIZE),
                provenance_2d=known,
                provenance_3d=known,
                **{name: values[number] for name, values in records.items()},
            )
            file.write(example.encode(record))


def _rendered(settings: BenchmarkSettings) -> list[Row]:
    """Pictures that source rendered draws, with a process for each core, starting included."""
    from tfrecords import writer
    from tfrecords.source import Options
    from tfrecords.sources import open_source

    count = settings.count(1500, 20)
    with tempfile.TemporaryDirectory() as folder:
        source = functools.partial(open_source, "rendered", "", Options(count=count, split="train"))

        def draw() -> None:
            writer.convert(
                source, pathlib.Path(folder) / "drawn", num_shards=4, num_workers=_CORES, overwrite=True, quiet=True
            )

        rate = in_turns({"draw": draw}, count, min(settings.repeats, 2))["draw"]
    title = f"pictures of 256 x 256 rendered, {_CORES} processes"
    allowed = f"{_RENDERED_GOAL:g} a second"
    return [Row(title, rate.median, "images/s", rate.spread, allowed, rate.median / _RENDERED_GOAL, 1.0)]
