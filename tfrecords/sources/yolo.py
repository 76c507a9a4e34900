"""Ultralytics' YOLO-pose: a folder of .txt files, one a picture, or the JSON of its results.

A line of a .txt is `class x y width height` and then x y [visibility] of each key point, all shares of the picture's
size, maybe with the person's confidence at the end. The size comes from the picture of the same name (--images) or from
--image_size. The JSON is a list of objects with `box` (x1, y1, x2, y2), `confidence` and `keypoints` (lists x, y,
visible), in px.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import KNOWN_COUNTS, add_detected, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options, Skip
from tools.cli.errors import InputError

NO_PERSON = "picture without a person"
BAD_LINE = "line that is not class, box and key points"
_BOX = 5  # class, x, y, width, height
_FORMS = ((3, 0), (3, 1), (2, 0), (2, 1))
_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


class Yolo(PeopleSource):
    """People of pictures in the order of file names."""

    info = Info(
        name="yolo",
        description="Ultralytics' YOLO-pose: 2D poses of pictures",
        input="a folder of .txt labels with key points, or the JSON of its results",
        licence="that of the pictures",
        citation="Jocher et al.: Ultralytics YOLO, 2023",
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when there is no such file or folder."""
        super().__init__(path, options)
        if not self.path.is_dir():
            labels.check_file(self.path, self.info.input)
        chosen = options.images not in ("", images.NO_IMAGES)
        self._pictures = images.open_pictures(options, []) if chosen else None

    def files(self) -> list[pathlib.Path]:
        """The label files."""
        if not self.path.is_dir():
            return [self.path]
        return sorted(self.path.rglob("*.txt")) or sorted(self.path.rglob("*.json"))

    def _read(self) -> People:
        rows = [(file, list(self._people_of(file))) for file in self.files()]
        counts = {len(points) for _, found in rows for points, _, _ in found if points is not None}
        if not counts:
            raise InputError(f"{self.path}: no person with key points in it; expected {self.info.input}")
        if len(counts) > 1:
            raise InputError(f"{self.path}: people with {' and '.join(map(str, sorted(counts)))} key points")
        match = match_of(counts.pop(), None, self.options.joints, str(self.path))
        people = People(match.joint_set, str(self.path))
        for file, found in rows:
            name = file.relative_to(self.path).with_suffix("").as_posix() if self.path.is_dir() else file.stem
            size = self._size_of(name) if file.suffix == ".txt" else None
            row = people.add_picture(Picture(file=size[0] if size else name, size=size[1] if size else (-1, -1)))
            if not found:
                people.add_bad(row, 0, NO_PERSON)
            for person, (points, scores, box) in enumerate(found):
                if points is None:
                    people.add_bad(row, person, BAD_LINE)
                    continue
                if size:
                    pixels = np.array(size[1], np.float32)
                    points = points * pixels
                    box = box * np.tile(pixels, 2) if box is not None else None
                add_detected(people, match, row, person, points, scores, box, self.options.min_confidence)
        return people

    def _people_of(self, file: pathlib.Path) -> Iterator[tuple]:
        """Yields (points [K, 2], scores [K] or None, box [4] or None) of each person, points None for a bad line."""
        if file.suffix == ".txt":
            text = labels.read_file(file).decode("utf-8", "replace")
            for line in filter(str.strip, text.splitlines()):
                yield _parse_line(line)
            return
        content = labels.parse_json(labels.read_file(file), str(file))
        for entry in content if isinstance(content, list) else []:
            entry = entry if isinstance(entry, dict) else {}
            keypoints, box = entry.get("keypoints"), entry.get("box")
            keypoints = keypoints if isinstance(keypoints, dict) else {}
            x, y, visible = (labels.number_array_with_gaps(keypoints.get(axis), -1) for axis in ("x", "y", "visible"))
            box = box if isinstance(box, dict) else {}
            corners = labels.number_array([box.get(key) for key in ("x1", "y1", "x2", "y2")], 4)
            box = None if corners is None else np.concatenate([corners[:2], corners[2:] - corners[:2]])
            if x is None or y is None or len(x) != len(y):
                yield None, None, None
                continue
            yield np.stack([x, y], -1), visible, box

    def _size_of(self, name: str) -> tuple[str, tuple[int, int]]:
        """(file name of the picture, its width and height px) for the labels of that name."""
        if self._pictures is not None:
            for suffix in _SUFFIXES:
                image = self._pictures.read(name + suffix)
                if not isinstance(image, Skip):
                    return name + suffix, image.size
        if self.options.image_size:
            return name, self.options.image_size
        raise InputError(
            f"{self.path / (name + '.txt')}: key points are shares of the picture's size; name the folder of the "
            "pictures with --images, or give --image_size=WIDTH,HEIGHT"
        )


def _parse_line(line: str) -> tuple:
    try:
        numbers = labels.number_array([float(word) for word in line.split()], -1)
    except ValueError:
        numbers = None
    if numbers is None or len(numbers) < _BOX + 2:
        return None, None, None
    rest = numbers[_BOX:]
    # x y v of each key point or x y, maybe followed by the person's confidence: that of a known number of key points.
    fitting = [form for form in _FORMS if (len(rest) - form[1]) % form[0] == 0]
    columns, extra = next((form for form in fitting if (len(rest) - form[1]) // form[0] in KNOWN_COUNTS), fitting[0])
    table = rest[: len(rest) - extra].reshape(-1, columns)
    middle, extent = numbers[1:3], numbers[3:5]
    return table[:, :2], table[:, 2] if columns == 3 else None, np.concatenate([middle - extent / 2, extent])
