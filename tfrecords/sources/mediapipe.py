"""MediaPipe's pose landmarks, as people store them: one JSON object, a list of them, or one object a line (a video).

An object has `pose_landmarks` or `landmarks`: one list of 33, or a list of such lists, one a person. Each landmark
has x, y as shares of the picture's width and height, and may have `visibility` and `presence`. The picture's size
stands in the object (`image_width`, `image_height`, or `width`, `height`) or is given with --image_size: shares are
no pixels, since a picture is rarely square. `frame` and `file` are kept.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import add_detected, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

NO_PERSON = "picture without a person"
BAD_LINE = "line that is not JSON"
_COUNT = 33
_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks")
_SIZES = (("image_width", "image_height"), ("width", "height"), ("imageWidth", "imageHeight"))
# Landmarks reach past the picture's edges; shares beyond this are pixels.
_LARGEST_SHARE = 8.0


class MediaPipe(PeopleSource):
    """People of each object, in their order."""

    info = Info(
        name="mediapipe",
        description="MediaPipe's pose landmarks: 2D poses of pictures or a video",
        input="JSON with pose_landmarks (33 of x, y), or one such object a line",
        licence="that of the pictures; MediaPipe is Apache-2.0",
        citation="Bazarevsky et al.: BlazePose: On-device Real-time Body Pose Tracking, 2020",
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when there is no such file."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)

    def _read(self) -> People:
        name = str(self.path)
        match = match_of(_COUNT, None, self.options.joints or "mediapipe33", name)
        people = People(match.joint_set, name)
        for number, entry in enumerate(self._objects(name)):
            if not isinstance(entry, dict):
                people.add_bad(people.add_picture(Picture(sequence=f"entry {number}")), 0, BAD_LINE)
                continue
            size = self._size_of(entry, f"{name}: entry {number}")
            row = people.add_picture(self._picture(entry, number, size))
            found = list(_people_of(entry))
            if not found:
                people.add_bad(row, 0, NO_PERSON)
            for person, landmarks in enumerate(found):
                points, scores = _points(landmarks)
                if points is not None:
                    if np.nanmax(np.abs(points), initial=0.0) > _LARGEST_SHARE:
                        raise InputError(
                            f"{name}: entry {number}: landmarks beyond {_LARGEST_SHARE:g} are no shares of a picture; "
                            "write pixels as arrays with --joints=mediapipe33"
                        )
                    points = points * np.array(size, np.float32)
                add_detected(people, match, row, person, points, scores, None, self.options.min_confidence)
        return people

    def _objects(self, name: str) -> Iterator[Any]:
        data = labels.read_file(self.path)
        lines = [line for line in data.split(b"\n") if line.strip()]
        if len(lines) > 1 and lines[0].strip().endswith(b"}"):
            for line in lines:
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    yield None
            return
        content = labels.parse_json(data, name)
        if isinstance(content, dict) and isinstance(content.get("frames"), list):
            size = {key: content[key] for pair in _SIZES for key in pair if key in content}
            for entry in content["frames"]:
                yield {**size, **entry} if isinstance(entry, dict) else None
            return
        yield from content if isinstance(content, list) else [content]

    def _size_of(self, entry: dict, where: str) -> tuple[int, int]:
        for width, height in _SIZES:
            size = labels.number_array([entry.get(width), entry.get(height)], 2)
            if size is not None and (size > 0).all():
                return int(size[0]), int(size[1])
        if self.options.image_size:
            return self.options.image_size
        raise InputError(
            f"{where}: landmarks are shares of the picture's size, which the file does not tell; give "
            "--image_size=WIDTH,HEIGHT"
        )

    def _picture(self, entry: dict, number: int, size: tuple[int, int]) -> Picture:
        file = entry.get("file", entry.get("image"))
        frame = entry.get("frame", entry.get("frame_id"))
        if isinstance(file, str) and frame is None:
            return Picture(file=file, size=size)
        frame = frame if isinstance(frame, int) and 0 <= frame < 1 << 40 else number
        title = file if isinstance(file, str) else self.path.name
        return Picture(file=title, subject=self.path.stem, sequence=self.path.stem, frame=frame, size=size)


def _people_of(entry: dict) -> Iterator[list]:
    value: Any = next((entry[key] for key in _LANDMARKS if isinstance(entry.get(key), (list, dict))), [])
    if isinstance(value, dict):  # a protobuf message as JSON
        value = value.get("landmark", [])
    if value and all(isinstance(landmark, dict) for landmark in value):
        yield value
    else:
        yield from (person for person in value if isinstance(person, list))


def _points(landmarks: list) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Shares [33, 2] and visibilities [33], None where they are no numbers."""
    rows = [landmark if isinstance(landmark, dict) else {} for landmark in landmarks]
    points = labels.number_array_with_gaps([[row.get("x"), row.get("y")] for row in rows], _COUNT, 2)
    if any("visibility" in row for row in rows):
        # Zero means missing everywhere in this project; MediaPipe never says exactly zero of what it sees.
        scores = labels.number_array_with_gaps([row.get("visibility", 0.0) for row in rows], _COUNT)
        return (points, scores) if scores is not None else (None, None)
    return points, None
