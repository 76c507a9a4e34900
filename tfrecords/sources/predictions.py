"""What `baseline_network/predict.py` wrote: people in pictures and videos with 2D and 3D joints.

`predictions.json` and `predictions.npz` hold the same people; docs/baseline_network.md describes both. Each keeps its
file, frame, number in the picture and the confidence of its joints.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import BAD_SIZE
from tfrecords.formats import images
from tfrecords.formats.upright import UprightPictures
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tools.cli.errors import InputError
from tools.files import inputs, limits
from tools.pose import bounds, joints

JOINT_SET = "mpii16"
NAMES = ("files", "frames", "person", "boxes", "points", "confidence", "poses_3d")
NO_JOINT = "no joint of that confidence"
_KINDS = {"UO": "texts", "iu": "whole numbers", "fiu": "numbers"}
_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "files": ("UO", ()),
    "frames": ("iu", ()),
    "person": ("iu", ()),
    "image_sizes": ("iu", (2,)),
    "points": ("fiu", (16, 2)),
    "confidence": ("fiu", (16,)),
    "poses_3d": ("fiu", (16, 3)),
    "boxes": ("fiu", (4,)),
}
_NUMBERS = {"box": (4,), "points": (16, 2), "confidence": (16,), "pose_3d_mm": (16, 3)}
_JPEG_QUALITY = 95
_PIECE = 256


class Predictions(Source):
    """The people of a file of predictions, in its order.

    Attributes:
      fps: frames a second of the video, 0 where it was none or the file does not say.
    """

    info = Info(
        name="predictions",
        description="predictions of baseline_network/predict.py: 2D and 3D poses",
        input="predictions.json or predictions.npz",
        licence="that of the pictures",
        citation="Zhou et al.: Towards 3D Human Pose Estimation in the Wild: a Weakly-supervised Approach, ICCV 2017",
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when the file is none of predictions."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)
        self._pictures = None if options.images in ("", images.NO_IMAGES) else UprightPictures(options.images)
        read = _read_npz if self.path.suffix.lower() == ".npz" else _read_json
        self._table, self.fps = read(self.path)
        count = len(self._table["files"]) if self._table["files"].ndim else 0
        if not count:
            raise InputError(f"{self.path}: no person in it")
        for name, (kinds, tail) in _COLUMNS.items():
            array = self._table[name]
            if array.shape != (count, *tail) or array.dtype.kind not in kinds:
                is_, expected = f"{list(array.shape)} of {array.dtype}", f"{[count, *tail]} of {_KINDS[kinds]}"
                raise InputError(f"{self.path}: {name} is {is_}, expected {expected}")
        longest = max(map(len, self._table["files"]))
        if longest > limits.current().name_length:
            raise InputError(f"{self.path}: a file name of {longest:,} characters")

    def __len__(self) -> int:
        return len(self._table["files"])

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order."""
        numbers = np.asarray(numbers, np.int64)
        for start in range(0, len(numbers), _PIECE):
            rows = numbers[start : start + _PIECE]
            sure = self._table["confidence"][rows] > self.options.min_confidence
            # The network counts pixels from their edges, records from their centres.
            points = np.where(sure[..., None], self._table["points"][rows] - np.float32(0.5), np.nan)
            poses_2d, provenance_2d = joints.convert(points, JOINT_SET)
            poses_3d, provenance_3d = joints.convert(self._table["poses_3d"][rows], JOINT_SET)
            poses_3d = poses_3d - poses_3d[:, joints.POSE17.root, None]
            for i, row in enumerate(rows.tolist()):
                file, frame, person = (self._table[name][row] for name in ("files", "frames", "person"))
                size = self._table["image_sizes"][row]
                where = f"{self.path}: {file} person {person}"
                if not provenance_2d[i].any():
                    yield Skip(NO_JOINT, where)
                    continue
                if (size != -1).any() and not bounds.good_size(*size.tolist()):
                    yield Skip(BAD_SIZE, where)
                    continue
                record = PoseRecord(
                    dataset=self.info.name,
                    subject=str(file),
                    sequence=str(file) if frame >= 0 else "",
                    frame=int(frame),
                    person=int(person),
                    file=str(file),
                    pose_2d=poses_2d[i],
                    provenance_2d=provenance_2d[i],
                    pose_3d=poses_3d[i],
                    provenance_3d=provenance_3d[i],
                    camera_kind=schema.NOMINAL,
                    box=self._table["boxes"][row],
                    image_size=size,
                )
                yield self._with_picture(record)

    def _with_picture(self, record: PoseRecord) -> PoseRecord | Skip:
        """The record with its picture, upright as its points are."""
        if self._pictures is None:
            return record
        photo = self._pictures.read(record.file, record.frame)
        if isinstance(photo, Skip):
            return photo
        if (record.image_size > 0).all() and tuple(record.image_size) != photo.pixels.shape[1::-1]:
            return Skip(images.OTHER_SIZE, record.where())
        import cv2

        _, data = cv2.imencode(".jpg", photo.pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        record.image, record.image_format = data.tobytes(), "jpeg"
        record.image_size = np.array(photo.pixels.shape[1::-1], np.int64)
        return record


def is_predictions(names: Sequence[str]) -> bool:
    """Whether an .npz is one of predictions, by its arrays' names."""
    return {"points", "box_sources", "mm_per_pixel"} <= set(names)


def _read_npz(path: pathlib.Path) -> tuple[dict[str, np.ndarray], float]:
    with inputs.reading(path, Predictions.info.input), np.load(path, allow_pickle=False) as content:
        missing = [name for name in NAMES if name not in content.files]
        if missing:
            raise InputError(f"{path}: no array {missing[0]}; expected {Predictions.info.input}")
        table = {name: content[name] for name in NAMES}
        for name, array in table.items():
            inputs.check_items(array.shape, array.itemsize, f"{path}: {name}")
            inputs.check_texts(array, f"{path}: {name}")
        count = len(np.atleast_1d(table["files"]))
        none = np.full((count, 2), -1, np.int64)
        table["image_sizes"] = content["image_sizes"] if "image_sizes" in content.files else none
        fps = float(content["fps"]) if "fps" in content.files else 0.0
    return table, bounds.good_fps(fps)


def _read_json(path: pathlib.Path) -> tuple[dict[str, np.ndarray], float]:
    content = labels.parse_json(labels.read_file(path), str(path))
    pictures = content.get("images") if isinstance(content, dict) else None
    if not isinstance(pictures, list):
        raise InputError(f"{path}: no list of images in it; expected {Predictions.info.input}")
    rows: list[tuple] = []
    for picture in pictures:
        if not isinstance(picture, dict) or not isinstance(picture.get("people"), list):
            raise InputError(f"{path}: image {pictures.index(picture)}: no list of people")
        file, frame = picture.get("file", ""), picture.get("frame", -1)
        if not isinstance(file, str) or isinstance(frame, bool):
            raise InputError(f"{path}: image {pictures.index(picture)}: its file is no text, or its frame no number")
        size = labels.number_array([picture.get("width", -1), picture.get("height", -1)], 2)
        for person, entry in enumerate(picture["people"]):
            numbers = [_numbers(entry, name, shape) for name, shape in _NUMBERS.items()]
            if size is None or not isinstance(frame, int) or any(value is None for value in numbers):
                raise InputError(f"{path}: {file} person {person}: box, points, confidence or pose_3d_mm are not sound")
            rows.append((file, frame, person, size, *numbers))
    columns = list(zip(*rows)) if rows else [()] * 8
    names = ("frames", "person", "image_sizes", "boxes", "points", "confidence", "poses_3d")
    table = {"files": np.array(columns[0], dtype=object)}
    for name, column in zip(names, columns[1:]):
        kind = np.int64 if name in ("frames", "person", "image_sizes") else np.float32
        table[name] = np.array(column, kind)
    fps = content.get("fps")
    return table, bounds.good_fps(fps) if isinstance(fps, (int, float)) and not isinstance(fps, bool) else 0.0


def _numbers(entry: Any, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    return labels.number_array(entry.get(name), *shape) if isinstance(entry, dict) else None
