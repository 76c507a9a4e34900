"""The commands that faults are injected into: inputs made by code, and what of their results must be the same."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tfrecords import writer
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source

OUT = "disk/out"  # inside the folder that a full disk stands for

Contents = dict[str, str]  # file inside the output -> digest of what must be the same


@dataclasses.dataclass(frozen=True)
class Subject:
    """A command under test.

    Attributes:
      name: in reports. words: script and flags; inputs lie in `in`, the output is `OUT`.
      inputs: names of the inputs of `prepare`, or 'NAME=SUBJECT:FOLDER' for a folder of another subject's output.
      share: how many points of a hundred it gets.
      contents: reads the output. shards: glob of the input's TFRecords, one of which can be damaged.
      victims: glob of the inputs that may vanish or shrink.
      overwrites: whether --overwrite replaces the whole output, so that points with an older one there make sense.
      trains: whether it is a training, which has checkpoints.
    """

    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    share: int
    contents: Callable[[pathlib.Path], Contents]
    shards: str = ""
    victims: str = ""
    overwrites: bool = True
    trains: bool = False


def digest(data: bytes) -> str:
    """A short SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def every_byte(out: pathlib.Path) -> Contents:
    """All files, all bytes; folders too, so that empty ones are seen."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        found[name] = digest(path.read_bytes()) if path.is_file() else "a folder"
    return found


def labels(out: pathlib.Path) -> Contents:
    """As `every_byte`, without the seconds that a run took and the size of the progress bar's rate."""
    found = every_byte(out)
    if (out / "summary.json").exists():
        content = json.loads((out / "summary.json").read_text())
        content["seconds"] = content["poses_per_second"] = None
        found["summary.json"] = digest(json.dumps(content).encode())
    return found


def training(out: pathlib.Path) -> Contents:
    """The last checkpoint's arrays and the trained network byte for byte; which checkpoints there are; the settings."""
    import tensorflow as tf

    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(out).as_posix()
        if "/log/" in name:
            continue
        found[name] = digest(path.read_bytes()) if "/export/" in name else "there"
        if path.name == "train.json":
            found[name] = digest(json.dumps(json.loads(path.read_text())["settings"]).encode())
    steps = sorted(out.rglob("checkpoint-*.index"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    if steps:
        loaded = tf.train.load_checkpoint(str(steps[-1].with_suffix("")))
        for name in sorted(loaded.get_variable_to_shape_map()):
            if "OBJECT_GRAPH" not in name and not name.startswith("save_counter"):
                found[f"{steps[-1].stem}:{name}"] = digest(np.ascontiguousarray(loaded.get_tensor(name)).tobytes())
    return found


def exported(out: pathlib.Path) -> Contents:
    """All bytes, of saved_model.pb (which is written in another order each time) none; of export.json what was measured
    but the times and the size, in hundredths of px, mm and per cent."""
    found = every_byte(out)
    for name in found:
        if name.endswith((".pb", ".tflite")):
            found[name] = "there"
        if name == "export.json":
            content = without_clock(json.loads((out / name).read_text()))
            found[name] = digest(json.dumps(content, sort_keys=True).encode())
    return found


def without_clock(content: Any) -> Any:
    """A JSON value without the times and sizes of export.json, numbers rounded to hundredths."""
    if isinstance(content, dict):
        return {key: without_clock(value) for key, value in content.items() if key not in ("ms", "ms_static", "bytes")}
    if isinstance(content, list):
        return list(map(without_clock, content))
    return round(content, 2) if isinstance(content, float) else content


_LEFT2RIGHT = ("--linear_size=16", "--batch_size=16", "--epochs=3", "--pictures_every=2", "--residual", "--threads=1")
_BASELINE = (
    "--stacks=1", "--modules=1", "--features=8", "--resolution=64", "--batch_size=4", "--epochs=2", "--threads=1",
    "--pictures_every=0", "--steps_per_execution=1", "--learning_rate=0.001",
)  # fmt: skip

SUBJECTS = (
    Subject(
        "convert arrays",
        ("tools/make_tfrecords.py", "--source=npy_tree", "--input=in/trees", f"--output={OUT}", "--num_shards=8"),
        ("trees",), 16, every_byte, victims="in/trees/*/*/*/*.npy",
    ),
    Subject(
        "convert arrays, shuffled, gzip",
        ("tools/make_tfrecords.py", "--source=npy_tree", "--input=in/trees", f"--output={OUT}", "--num_shards=5",
         "--shuffle", "--gzip"),
        ("trees",), 6, every_byte, victims="in/trees/*/*/*/*.npy",
    ),
    Subject(
        "convert pictures, two workers",
        ("tools/make_tfrecords.py", "--source=coco", "--input=in/people.json", "--images=in/photos", "--workers=2",
         f"--output={OUT}", "--num_shards=4"),
        ("people.json", "photos"), 3, every_byte, victims="in/photos/*",
    ),
    Subject(
        "gen_right, arrays",
        ("label_generator/gen_right.py", "--input=in/trees/3d", f"--output={OUT}"),
        ("trees",), 9, every_byte, victims="in/trees/3d/*/*/*.npy",
    ),
    Subject(
        "gen_right, records",
        ("label_generator/gen_right.py", "--input=in/records", f"--output={OUT}"),
        ("records",), 6, every_byte, shards="in/records/*.tfrecord", victims="in/records/*.tfrecord",
    ),
    Subject(
        "predict right views",
        ("label_generator/predict.py", "--load_dir=in/trees/2d_left", f"--save_dir={OUT}", "--weights=in/left2right"),
        ("trees", "left2right=train left2right:export"), 9, every_byte,
        victims="in/trees/2d_left/*/*/*.npy", overwrites=False,
    ),
    Subject(
        "generate from records",
        ("label_generator/generate.py", "--input=in/records", f"--output={OUT}", "--weights=in/left2right,in/pose3d",
         "--formats=json,csv,coco,tfrecord", "--batch_size=64", "--output_joints=h36m17"),
        ("records", "left2right=train left2right:export", "pose3d=train pose3d:export"), 10, labels,
        shards="in/records/*.tfrecord", victims="in/records/*.tfrecord",
    ),
    Subject(
        "generate clips",
        ("label_generator/generate.py", "--input=in/walk.npy", "--joints=pose17", f"--output={OUT}", "--sequence",
         "--weights=in/left2right,in/pose3d", "--formats=bvh,c3d", "--batch_size=64"),
        ("walk.npy", "left2right=train left2right:export", "pose3d=train pose3d:export"), 8, labels,
        victims="in/walk.npy",
    ),
    Subject(
        "train left2right",
        ("label_generator/train.py", "--train_data=in/records", "--test_data=in/test", f"--train_dir={OUT}",
         *_LEFT2RIGHT, "--batch_norm", "--dropout=0.8"),
        ("records", "test"), 8, training, shards="in/records/*.tfrecord", victims="in/*/*.tfrecord",
        overwrites=False, trains=True,
    ),
    Subject(
        "train pose3d",
        ("label_generator/train.py", "--train_data=in/records", "--test_data=in/test", f"--train_dir={OUT}",
         *_LEFT2RIGHT, "--stage=pose3d"),
        ("records", "test"), 3, training, shards="in/records/*.tfrecord", victims="in/*/*.tfrecord",
        overwrites=False, trains=True,
    ),
    Subject(
        "train canonical chain",
        ("label_generator/train.py", "--train_data=in/level", "--test_data=in/test", f"--train_dir={OUT}",
         "--recipe=canonical", "--stage=chain", "--linear_size=16", "--batch_size=16", "--epochs=3", "--threads=1",
         "--steps_per_epoch=8", "--steps_per_execution=4", "--pictures_every=0"),
        ("level", "test"), 3, training, shards="in/level/*.tfrecord", victims="in/*/*.tfrecord",
        overwrites=False, trains=True,
    ),
    Subject(
        "train baseline",
        ("baseline_network/train.py", "--train_data=in/pictured", "--test_data=in/pictured_test",
         f"--train_dir={OUT}", *_BASELINE),
        ("pictured", "pictured_test"), 5, training, shards="in/pictured/*.tfrecord", victims="in/*/*.tfrecord",
        overwrites=False, trains=True,
    ),
    Subject(
        "predict with baseline",
        ("baseline_network/predict.py", "--input=in/photos", f"--output={OUT}", "--boxes=whole", "--batch_size=2",
         "--weights=in/baseline"),
        ("photos", "baseline=train baseline:export"), 6, every_byte, victims="in/photos/*",
    ),
    Subject(
        "export chain",
        ("label_generator/export.py", "--weights=in/left2right,in/pose3d", f"--output={OUT}"),
        ("left2right=train left2right:export", "pose3d=train pose3d:export"), 3, exported, victims="in/*/*.npz",
    ),
    Subject(
        "export weights",
        ("label_generator/export.py", "--weights=in/left2right,in/pose3d", f"--output={OUT}",
         "--format=weights"),
        ("left2right=train left2right:export", "pose3d=train pose3d:export"), 4, every_byte, victims="in/*/*.npz",
    ),
    Subject(
        "export baseline",
        ("baseline_network/export.py", "--weights=in/baseline", f"--output={OUT}", "--formats=saved_model,float16",
         "--data=in/pictured_test", "--check=2"),
        ("baseline=train baseline:export", "pictured_test"), 2, exported, victims="in/*/*.npz",
    ),
)  # fmt: skip
BY_NAME = {subject.name: subject for subject in SUBJECTS}


def in_order(names: Iterable[str]) -> list[Subject]:
    """The subjects of these names and those whose outputs they read, each after what it reads."""
    ordered: list[Subject] = []

    def add(name: str) -> None:
        for text in BY_NAME[name].inputs:
            if "=" in text:
                add(text.partition("=")[2].partition(":")[0])
        if BY_NAME[name] not in ordered:
            ordered.append(BY_NAME[name])

    for name in names:
        add(name)
    return ordered


def prepare(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Writes the inputs of these names into `folder`; must run in a process of its own, since some use TensorFlow."""
    for name in names:
        if name in ("trees", "walk.npy"):
            _arrays(folder)
        elif name in ("people.json", "photos"):
            _photographs(folder, _people("rendered", 8, 7))
        else:
            source, count, seed, style, shards = _RECORDS[name]
            options = Options(count=count, seed=seed, cameras_style=style)
            factory = functools.partial(open_source, source, "", options)
            writer.convert(factory, folder / name, num_shards=shards, num_workers=1, quiet=True)


# Name -> source, number, seed, cameras, number of shards.
_RECORDS = {
    "records": ("synthetic", 160, 2, "h36m", 4),
    "test": ("synthetic", 40, 3, "h36m", 1),
    "level": ("synthetic", 80, 4, "level", 2),
    "pictured": ("rendered", 20, 5, "h36m", 2),
    "pictured_test": ("rendered", 4, 6, "h36m", 2),
}


def _people(source: str, count: int, seed: int) -> list:
    opened = open_source(source, "", Options(count=count, seed=seed))
    return [record for record in opened.records(range(count)) if not isinstance(record, Skip)]


def _arrays(folder: pathlib.Path) -> None:
    """The original's trees of arrays, and one array of a person who moves."""
    from label_generator.stages import pose_rows

    if (folder / "trees").exists():
        return
    synthetic = _people("synthetic", 600, 1)
    poses = {name: np.array([getattr(record, name) for record in synthetic]) for name in ("pose_2d", "right_2d")}
    poses["pose_3d"] = np.array([record.pose_3d + record.root_3d for record in synthetic])
    for tree, name in (("2d_left", "pose_2d"), ("2d_right", "right_2d"), ("3d", "pose_3d")):
        for number in range(6):
            path = folder / "trees" / tree / f"{(1, 5, 9)[number % 3]}" / ("Walking", "Eating")[number // 3] / "a.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, pose_rows.to_rows(poses[name][number * 100 : (number + 1) * 100], "planar"))
    rng = np.random.default_rng(3)
    walk = poses["pose_2d"][:1] + rng.normal(0, 1, (200, 17, 2)).cumsum(0)
    np.save(folder / "walk.npy", walk.astype(np.float32))


def _photographs(folder: pathlib.Path, records: list) -> None:
    """Pictures, and COCO's key points of them."""
    if (folder / "photos").exists():
        return
    (folder / "photos").mkdir()
    sides, parts = ("left", "right"), ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = ["nose", *(f"{side}_{part}" for part in parts for side in sides)]
    rng, images, people = np.random.default_rng(8), [], []
    for number, record in enumerate(records):
        suffix = ".png" if record.image[:4] == b"\x89PNG" else ".jpg"
        file = f"{number:03d}{suffix}"
        (folder / "photos" / file).write_bytes(record.image)
        width, height = (int(size) for size in record.image_size)
        images.append({"id": number, "file_name": file, "width": width, "height": height})
        points = np.c_[rng.uniform(5, min(width, height) - 5, (17, 2)), np.full(17, 2)]
        people.append({
            "id": number, "image_id": number, "category_id": 1, "keypoints": points.ravel().tolist(),
            "bbox": [1, 1, width - 2, height - 2], "num_keypoints": 17,
        })  # fmt: skip
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    (folder / "people.json").write_text(json.dumps(content))


def export_folder(out: pathlib.Path) -> pathlib.Path:
    """The folder export of a training's output."""
    (found,) = (pathlib.Path(root) / "export" for root, names, _ in os.walk(out) if "export" in names)
    return found
