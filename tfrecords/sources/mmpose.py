"""MMPose's predictions: the JSON that its inferencer and its demos write.

Two forms: a list of instances (`keypoints`, `keypoint_scores`, `bbox`) for a picture, or of frames with `frame_id` and
`instances` for a video; with `meta_info` around it, whose `keypoint_id2name` names the key points. A folder holds one
such file for each picture. Key points are px of the picture.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import Persons, add_detected, identity, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.pose.keypoint_names import Match

NO_PERSON = "picture without a person"


class MMPose(PeopleSource):
    """People of pictures in the order of file names, or of frames in their order."""

    info = Info(
        name="mmpose",
        description="MMPose's predictions: 2D poses of pictures or a video",
        input="a predictions JSON, or a folder of them",
        licence="that of the pictures",
        citation="MMPose Contributors: OpenMMLab Pose Estimation Toolbox and Benchmark, 2020",
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when there is no such file or folder."""
        super().__init__(path, options)
        if not self.path.is_dir():
            labels.check_file(self.path, self.info.input)
        self._pictures = None if options.images in ("", images.NO_IMAGES) else images.open_pictures(options, [])

    def files(self) -> list[pathlib.Path]:
        """The JSON files."""
        return sorted(self.path.rglob("*.json")) if self.path.is_dir() else [self.path]

    def _read(self) -> People:
        people, match, first = None, None, None
        waiting: list[Picture] = []  # without a person, before the first one
        for file in self.files():
            name = str(file)
            content = labels.parse_json(labels.read_file(file), name)
            for number, (picture, instances) in enumerate(_frames(content, file, name)):
                if people is None:
                    count = _count(instances)
                    if not count:
                        waiting.append(picture)
                        continue
                    first = _names(content)
                    match = match_of(count, first, self.options.joints, name)
                    people = People(match.joint_set, str(self.path))
                    for other in waiting:
                        people.add_bad(people.add_picture(other), 0, NO_PERSON)
                assert match is not None
                if not number and instances and _names(content) != first:
                    _check_same(_names(content), match, self.options.joints, name)
                row = people.add_picture(picture)
                if not instances:
                    people.add_bad(row, 0, NO_PERSON)
                known = [identity(instance, "track_id") for instance in instances]
                people.tracked |= max(known, default=-1) >= 0
                persons = Persons(known)
                for instance, tracked in zip(instances, known):
                    instance = instance if isinstance(instance, dict) else {}
                    scores = labels.number_array_with_gaps(instance.get("keypoint_scores"), -1)
                    points = labels.number_array_with_gaps(instance.get("keypoints"), -1, 2)
                    person = persons.number(row, tracked)
                    add_detected(
                        people, match, row, person, points, scores, _box(instance), self.options.min_confidence
                    )
        if people is None:
            raise InputError(f"{self.path}: no instance with keypoints in it; expected {self.info.input}")
        return people


def _frames(content: Any, file: pathlib.Path, name: str) -> Iterator[tuple[Picture, list]]:
    """Yields each picture or frame with the list of its instances; raises `InputError` for another content."""
    entries = content.get("instance_info") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{name}: expected MMPose's predictions, a list of instances or of frames")
    if entries and all(isinstance(entry, dict) and "instances" in entry for entry in entries):
        for number, entry in enumerate(entries):
            frame = entry.get("frame_id")
            frame = frame if isinstance(frame, int) and 0 <= frame < 1 << 40 else number
            instances = entry["instances"] if isinstance(entry["instances"], list) else []
            yield Picture(file=file.name, subject=file.stem, sequence=file.stem, frame=frame), instances
    else:
        yield Picture(file=file.stem, subject=file.stem), entries


def _names(content: Any) -> list[str] | None:
    """The names of the key points, where the file tells them."""
    meta = content.get("meta_info") if isinstance(content, dict) else None
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if isinstance(names, list):
        return [str(name) for name in names]
    if not isinstance(names, dict) or not all(str(key).isdigit() for key in names):
        return None
    return [str(names[key]) for key in sorted(names, key=int)]


def _check_same(names: list[str] | None, match: Match, joint_set: str, name: str) -> None:
    """Raises `InputError` where a file of a folder names other key points, or the same in another order."""
    if joint_set:
        return
    other = match_of(len(names) if names else match.count, names, "", name)
    if other.joint_set != match.joint_set or not np.array_equal(other.columns, match.columns):
        raise InputError(
            f"{name}: its key points are {other.joint_set}'s, those of the files before are {match.joint_set}'s or in "
            "another order; read them one by one"
        )


def _count(instances: list) -> int:
    for instance in instances:
        value = instance.get("keypoints") if isinstance(instance, dict) else None
        points = labels.number_array_with_gaps(value, -1, 2)
        if points is not None and len(points):
            return len(points)
    return 0


def _box(instance: dict) -> np.ndarray | None:
    """x, y, width, height from corners, which may stand in a list of their own."""
    corners = instance.get("bbox")
    corners = corners[0] if isinstance(corners, list) and len(corners) == 1 else corners
    box = labels.number_array(corners, 4)
    return None if box is None else np.concatenate([box[:2], box[2:] - box[:2]])
