"""Ultralytics' YOLO-pose: a folder of .txt files, one a picture, or the JSON of its results.

A line of a .txt is `class x y width height` and then x y [visibility] of each key point, all shares of the picture's
size, maybe with the person's confidence and the tracker's number at the end. The size comes from the picture of the
same name (--images) or from --image_size. The JSON is a list of objects with `box` (x1, y1, x2, y2), `confidence` and
`keypoints` (lists x, y, visible), in px, maybe with `track_id`; those that `name` another thing than a person are
passed over. Of people with a tracker's number, the names of the files tell the sequence and the frame.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import KNOWN_COUNTS, Persons, add_detected, clip_and_frame, identity, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options, Skip
from tools.cli.errors import InputError

NO_PERSON = "picture without a person"
BAD_LINE = "line that is not class, box and key points"
_BOX = 5  # class, x, y, width, height
_FORMS = ((3, 0), (3, 1), (2, 0), (2, 1))
_TRACKED = ((3, 2), (2, 2))  # numbers of a key point, and those behind the last
_PEOPLE = ("", "person", "people", "human", "pedestrian")
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
        counts = {len(points) for _, found in rows for points, _, _, _ in found if points is not None}
        if not counts:
            raise InputError(f"{self.path}: no person with key points in it; expected {self.info.input}")
        if len(counts) > 1:
            raise InputError(f"{self.path}: people with {' and '.join(map(str, sorted(counts)))} key points")
        match = match_of(counts.pop(), None, self.options.joints, str(self.path))
        people = People(match.joint_set, str(self.path))
        known = [identity for _, found in rows for *_, identity in found]
        people.tracked, persons = max(known, default=-1) >= 0, Persons(known)
        for file, found in rows:
            name = file.relative_to(self.path).with_suffix("").as_posix() if self.path.is_dir() else file.stem
            size = self._size_of(name) if file.suffix == ".txt" else None
            clip, frame = clip_and_frame(name) if people.tracked else ("", -1)
            clip = (clip or self.path.stem) if frame >= 0 else ""
            row = people.add_picture(
                Picture(
                    file=size[0] if size else name,
                    subject=clip,
                    sequence=clip,
                    frame=frame,
                    size=size[1] if size else (-1, -1),
                )
            )
            if not found:
                people.add_bad(row, 0, NO_PERSON)
            for points, scores, box, tracked in found:
                person = persons.number(row, tracked)
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
        """Yields of each person (points [K, 2], scores [K] or None, box [4] or None, tracker's number or -1).

        The points are None for a bad line.
        """
        if file.suffix == ".txt":
            text = labels.read_file(file).decode("utf-8", "replace")
            for line in filter(str.strip, text.splitlines()):
                yield _parse_line(line)
            return
        content = labels.parse_json(labels.read_file(file), str(file))
        content = content if isinstance(content, list) else []
        others = {title for entry in content if (title := _title(entry)) not in _PEOPLE and not self.options.joints}
        if others and all(_title(entry) in others for entry in content):
            raise InputError(
                f"{file}: its key points are of '{min(others)[:40]}', expected of 'person'; if they are people, name "
                "their joint set with --joints"
            )
        for entry in content:
            entry = entry if isinstance(entry, dict) else {}
            if others and _title(entry) not in _PEOPLE:
                continue
            keypoints, box = entry.get("keypoints"), entry.get("box")
            keypoints = keypoints if isinstance(keypoints, dict) else {}
            x, y, visible = (labels.number_array_with_gaps(keypoints.get(axis), -1) for axis in ("x", "y", "visible"))
            box = box if isinstance(box, dict) else {}
            corners = labels.number_array([box.get(key) for key in ("x1", "y1", "x2", "y2")], 4)
            box = None if corners is None else np.concatenate([corners[:2], corners[2:] - corners[:2]])
            if x is None or y is None or len(x) != len(y):
                yield None, None, None, -1
                continue
            yield np.stack([x, y], -1), visible, box, identity(entry, "track_id")

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


def _title(entry: Any) -> str:
    """What a result says that it is, '' where it does not."""
    title = entry.get("name") if isinstance(entry, dict) else None
    return title.strip().lower() if isinstance(title, str) else ""


def _parse_line(line: str) -> tuple:
    try:
        numbers = labels.number_array([float(word) for word in line.split()], -1)
    except ValueError:
        numbers = None
    if numbers is None or len(numbers) < _BOX + 2:
        return None, None, None, -1
    rest = numbers[_BOX:]
    # x y v of each key point or x y, maybe followed by the person's confidence: that of a known number of key points.
    # Behind the confidence may stand a tracker's number, a whole one from 1 on, which no share of a picture is.
    tracked = _TRACKED if rest[-1] >= 1 and float(rest[-1]).is_integer() and 0 <= rest[-2] <= 1 else ()
    fitting = [
        form for form in (*tracked[:1], *_FORMS, *tracked[1:])
        if len(rest) > form[1] and (len(rest) - form[1]) % form[0] == 0
    ]  # fmt: skip
    known = (form for form in fitting if (len(rest) - form[1]) // form[0] in KNOWN_COUNTS)
    columns, extra = next(known, next(form for form in fitting if form in _FORMS))
    table = rest[: len(rest) - extra].reshape(-1, columns)
    middle, extent = numbers[1:3], numbers[3:5]
    box = np.concatenate([middle - extent / 2, extent])
    number = int(rest[-1]) if extra == 2 and rest[-1] < 1 << 31 else -1
    return table[:, :2], table[:, 2] if columns == 3 else None, box, number
