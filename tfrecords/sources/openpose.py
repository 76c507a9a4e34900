"""OpenPose's JSON, one file a frame: a folder of them, or a tar of one or more folders.

Key points are (x, y, confidence) under `pose_keypoints_2d`, or `pose_keypoints` in the first versions: 25 (BODY_25, or
BODY_25B, whose order is another) or 18 (COCO_18). The number tells 18 from 25; BODY_25B is told by where its neck lies,
or by --joints=body25b. Hands and faces are not read. Confidence 0 means not found, and so does one that is not above
--min_confidence. A detector doesn't say what is hidden, so visibility is unknown. Sequence and frame come from the
names: ``dance_000000000012_keypoints.json`` is frame 12 of 'dance'. OpenPose numbers people anew in each frame, so
`person` is no identity, unless it was tracking people: then `person_id` is.
"""

from __future__ import annotations

import itertools
import lzma
import pathlib
import re
import tarfile
import zlib
from collections.abc import Iterator

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import Persons, identity
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.files import inputs, limits
from tools.pose import bounds, joints

NO_PERSON = "frame without a person"
BAD_JSON = "frame that is not OpenPose JSON"
BAD_KEYPOINTS = "not 25 or 18 key points of three numbers"
NOT_PIXELS = bounds.NOT_PIXELS

_NAME = re.compile(r"(.*?)[_\-. ]?(\d+)(?:[_\-.](?:keypoints|pose|openpose))?$", re.IGNORECASE | re.DOTALL)
_MOST_DIGITS = 18  # of a frame's number
_SUFFIX = ".json"
_TARS = (".tar", ".tar.gz", ".tgz")
_BODY25, _COCO18 = joints.JOINT_SETS["body25"], joints.JOINT_SETS["openpose18"]
# The neck and the shoulders, by which the two orders of 25 key points differ; frames that are looked at for them.
_NECKS = {
    name: tuple(joints.JOINT_SETS[name].index(joint) for joint in (neck, "RShoulder", "LShoulder"))
    for name, neck in (("body25", "Neck"), ("body25b", "UpperNeck"))
}
_LOOKED_AT = 50
_NEAR = 0.15  # the neck is this near to the middle of the shoulders, as a share of the person's extent in the picture
_18_AS_25 = np.array([_BODY25.index(name) for name in _COCO18.joints])


class OpenPose(PeopleSource):
    """People of each frame, in the order of sequences and frames; frames without one are skips, so none gets lost.

    One sequence in ten is 'val', chosen by its name.
    """

    info = Info(
        name="openpose",
        description="OpenPose output: 2D poses found in videos or pictures",
        input="a folder of OpenPose JSON files (also in folders below it), or a .tar.gz of one",
        licence="that of the videos; OpenPose itself is free for non-commercial research",
        citation="Cao et al.: OpenPose: Realtime Multi-Person 2D Pose Estimation, TPAMI 2021",
        splits=(labels.ALL, labels.TRAIN, labels.VAL),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when it is neither a folder nor a tar."""
        super().__init__(path, options)
        if not self.path.is_dir() and not (self.path.is_file() and self.path.name.endswith(_TARS)):
            raise InputError(f"{self.path}: expected {self.info.input}")

    def _read(self) -> People:
        frames = sorted((_place(name), name, data) for name, data in self._files())
        if not frames:
            raise InputError(f"{self.path}: no JSON file in it; expected {self.info.input}")
        people = People(self.options.joints or _set_of(data for _, _, data in frames), str(self.path))
        taken: dict[str, int] = {}
        for (sequence, frame), name, data in frames:
            sequence = sequence or self.path.name.split(".")[0]
            rank = taken[sequence] = taken.get(sequence, -1) + 1
            if rank % max(self.options.frame_step, 1):
                continue
            picture = people.add_picture(
                Picture(file=name, subject=sequence, sequence=sequence, frame=frame, split=self._part(sequence))
            )
            _add_frame(people, picture, name, data, self.options.min_confidence)
        return people

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Yields (path below the input, content) of each JSON file."""
        if self.path.is_dir():
            for file in self.path.rglob("*"):
                if file.name.endswith(_SUFFIX) and file.is_file():
                    try:
                        data = inputs.read_bytes(file)
                    except inputs.DamagedStream:  # one frame of many, as one that is no JSON
                        data = b""
                    yield file.relative_to(self.path).as_posix(), data
            return
        inputs.check_regular(self.path)
        largest = limits.current()
        try:
            with tarfile.open(self.path, "r:*") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is not None and member.name.endswith(_SUFFIX):
                        if member.size > largest.member_bytes:
                            raise inputs.too_large(f"{self.path}: {member.name}", largest.member_bytes)
                        yield pathlib.PurePosixPath(member.name).as_posix(), content.read()
        except (tarfile.TarError, lzma.LZMAError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self.path}: not a tar, or a damaged one ({reason})") from None

    def files(self) -> list[pathlib.Path]:
        """The tar, or the folders: their times change with the files in them."""
        return [self.path, *sorted(place for place in self.path.rglob("*") if place.is_dir())]


def _set_of(frames: Iterator[bytes]) -> str:
    """'body25b' where the neck of that set lies between its shoulders, in the median of the first people, and BODY_25's
    does not; else 'body25'."""
    apart: dict[str, list[float]] = {"body25": [], "body25b": []}
    for data in itertools.islice(frames, _LOOKED_AT):
        try:
            content = labels.parse_json(data, "")
        except InputError:
            continue
        entries = content.get("people") if isinstance(content, dict) else None
        for entry in entries if isinstance(entries, list) else []:
            value = entry.get("pose_keypoints_2d") if isinstance(entry, dict) else None
            numbers = labels.number_array_with_gaps(value, 75)
            if numbers is None:
                continue
            points = np.nan_to_num(numbers.reshape(-1, 3))
            extent = float(np.ptp(points[points[:, 2] > 0, :2], axis=0).max()) if (points[:, 2] > 0).any() else 0.0
            for name, (neck, one, other) in _NECKS.items():
                if extent and (points[[neck, one, other], 2] > 0).all():
                    middle = points[[one, other], :2].mean(0)
                    apart[name].append(float(np.linalg.norm(points[neck, :2] - middle)) / extent)
    median = {name: np.median(values) if values else np.inf for name, values in apart.items()}
    return "body25b" if median["body25b"] < min(_NEAR, median["body25"] / 2) else "body25"


def _place(name: str) -> tuple[str, int]:
    """(sequence, frame) from a file name; frame -1 when the name has no number."""
    path = pathlib.PurePosixPath(name)
    stem = path.name[: -len(_SUFFIX)]
    found = _NAME.match(stem)
    title, number = (found[1], int(found[2])) if found and len(found[2]) <= _MOST_DIGITS else (stem, -1)
    folder = "" if path.parent.as_posix() == "." else path.parent.as_posix()
    return "/".join(part for part in (folder, title) if part), number


def _add_frame(people: People, picture: int, name: str, data: bytes, min_confidence: float) -> None:
    try:
        content = labels.parse_json(data, name)
    except InputError:
        content = None
    found, size = content.get("people") if isinstance(content, dict) else None, people.joint_set.size
    if not isinstance(found, list):
        people.add_bad(picture, 0, BAD_JSON)
        return
    if not found:
        people.add_bad(picture, 0, NO_PERSON)
    known = [identity(entry, "person_id") for entry in found]
    # Other programs number the people of a frame there, in the order of the file.
    people.tracked |= max(known, default=-1) >= 0 and known != list(range(len(known)))
    persons = Persons(known)
    for entry, tracked in zip(found, known):
        entry, person = entry if isinstance(entry, dict) else {}, persons.number(picture, tracked)
        numbers = labels.number_array_with_gaps(entry.get("pose_keypoints_2d", entry.get("pose_keypoints")), -1)
        if numbers is None or len(numbers) not in (3 * _BODY25.size, 3 * _COCO18.size):
            people.add_bad(picture, person, BAD_KEYPOINTS)
            continue
        detected = numbers.reshape(-1, 3)
        if (detected[:, 2] > bounds.LARGEST_CONFIDENCE).any():
            people.add_bad(picture, person, bounds.NO_CONFIDENCE)
            continue
        points = np.where(detected[:, 2:] > min_confidence, detected[:, :2], np.nan)
        if len(points) != size and not (size == _BODY25.size and people.joint_set is _BODY25):
            people.add_bad(picture, person, BAD_KEYPOINTS)
            continue
        if len(points) == _COCO18.size and people.joint_set is _BODY25:
            # COCO_18 is BODY_25 without MidHip and feet.
            body = np.full((_BODY25.size, 2), np.nan)
            body[_18_AS_25] = points
            points = body
        people.add(picture, person, points, np.zeros(size))
