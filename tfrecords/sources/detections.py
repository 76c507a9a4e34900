"""2D poses that detectors found, as two formats carry them: COCO's list of results, and VideoPose3D's archives."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.conversion import clips, labels
from tfrecords.conversion.detected import Persons, add_detected, clip_and_frame, identity, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import arrays, images, unpickle
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip
from tfrecords.sources import h36m
from tools.cli.errors import InputError
from tools.pose import bounds, joints

BAD_ENTRY = "entry without image_id and keypoints"
_IDENTITIES = ("idx", "track_id")  # AlphaPose's, and others'


class Detections(PeopleSource):
    """People of a list of results, in the order of images; `image_id` is a number or a file name.

    COCO's own results, Detectron2's, and AlphaPose's, whose `idx` is kept as the person's number and whose file names
    tell the frame. The number of key points tells the joint set. The confidence of a key point is its third number; a
    detector doesn't say what is hidden.
    """

    info = Info(
        name="coco_results",
        description="detections in COCO's format for results: 2D poses",
        input="JSON, a list of objects with image_id, keypoints (x, y, confidence of each) and score",
        licence="that of the pictures",
        citation="Lin et al.: Microsoft COCO: Common Objects in Context, ECCV 2014",
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; expected {self.info.input}")
        self._pictures = images.open_pictures(options, [self.path.parent / "images", self.path.parent])

    def _read(self) -> People:
        name = str(self.path)
        content = labels.parse_json(labels.read_file(self.path), name, drop=("segmentation",))
        if not isinstance(content, list):
            raise InputError(f"{name}: expected {self.info.input}")
        match = match_of(self._count_of(content), None, self.options.joints, name)
        people = People(match.joint_set, name)
        pictures: dict[str, int] = {}
        identities = [identity(entry, *_IDENTITIES) for entry in content]
        persons = Persons(identities)
        people.tracked = max(identities, default=-1) >= 0
        clips_of = {clip_and_frame(file)[0] for file in map(_file_of, content) if file is not None}
        for number, entry in enumerate(content):
            file = _file_of(entry)
            if file is None or "keypoints" not in entry:
                people.add_bad(people.add_picture(Picture(sequence=f"entry {number}")), 0, BAD_ENTRY)
                continue
            if file not in pictures:
                pictures[file] = people.add_picture(self._picture(file, people.tracked, len(clips_of) > 1))
            picture = pictures[file]
            person = persons.number(picture, identities[number])
            numbers = labels.number_array_with_gaps(entry["keypoints"], 3 * match.count)
            keypoints = np.full((0, 3), np.nan) if numbers is None else numbers.reshape(-1, 3)
            box = labels.number_array(entry.get("bbox", entry.get("box")), 4)
            add_detected(
                people,
                match,
                picture,
                person,
                keypoints[:, :2],
                keypoints[:, 2],
                box,
                self.options.min_confidence,
            )
        return people

    def _picture(self, file: str, tracked: bool, several: bool) -> Picture:
        """The picture of an image_id; of a clip whose people have identities also its sequence and frame.

        several: the file has pictures of more than one clip, so a sequence takes its name from theirs too.
        """
        title, frame = clip_and_frame(file)
        if not tracked or frame < 0:
            return Picture(file=file)
        clip = f"{self.path.stem}/{title}" if several and title else self.path.stem
        return Picture(file=file, subject=clip, sequence=clip, frame=frame)

    def _count_of(self, content: list) -> int:
        """How many key points the first person has that has any; raises `InputError` without one."""
        for entry in content:
            numbers = labels.number_array_with_gaps(entry.get("keypoints") if isinstance(entry, dict) else None, -1)
            if numbers is not None and len(numbers) and len(numbers) % 3 == 0:
                return len(numbers) // 3
        raise InputError(f"{self.path}: no entry with image_id and keypoints; expected {self.info.input}")


def _file_of(entry: Any) -> str | None:
    """The picture of an entry, by its name or number; None where it names none."""
    image = entry.get("image_id") if isinstance(entry, dict) else None
    image = int(image) if isinstance(image, float) and image.is_integer() else image
    return str(image) if isinstance(image, (int, str)) and not isinstance(image, bool) else None


class VideoPose3D(clips.ClipSource):
    """2D poses of Human3.6M's videos as VideoPose3D and its successors exchange them, camera by camera."""

    info = Info(
        name="videopose3d",
        description="2D poses of Human3.6M's videos, true or detected",
        input="data_2d_h36m_*.npz with positions_2d and metadata",
        licence="Human3.6M's: academic use only, after registration",
        citation="Pavllo et al.: 3D Human Pose Estimation in Video with Temporal Convolutions, CVPR 2019",
        splits=("all", "train", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        self._step = clips.check_frame_step(options)
        content = {
            name: unpickle.load_member(self.path, name, "VideoPose3D's data_2d_*.npz")
            for name in ("positions_2d", "metadata")
        }
        metadata = content["metadata"] if isinstance(content["metadata"], dict) else {}
        self._layout = str(metadata.get("layout_name", ""))
        self._set, self._clips = "", []
        for subject, actions in _dict(content["positions_2d"], self.path).items():
            number = clips.subject_number(str(subject))
            split = clips.h36m_split(number)
            if self.split not in ("all", split):
                continue
            for action, views in _dict(actions, f"{self.path}: {subject}").items():
                views = views if isinstance(views, (list, tuple, np.ndarray)) else [views]
                for camera, positions in enumerate(views):
                    if positions is None:
                        continue  # a camera that did not record this action
                    positions = np.asarray(positions)
                    place = f"{self.path}: {subject}/{action} camera {camera}"
                    arrays.check_floating(positions.dtype, place)
                    if positions.ndim != 3 or positions.shape[2] not in (2, 3):
                        raise InputError(f"{place}: shape {list(positions.shape)}, expected [frames, joints, 2]")
                    self._clips.append((str(subject), str(action), camera, split, self._usable(positions)))
        if not self._clips:
            raise InputError(f"{self.path}: no pose of split '{self.split}'")
        self._set_lengths([-(-len(clip[-1]) // self._step) for clip in self._clips])
        self._check_joints()

    def _check_joints(self) -> None:
        """Raises `InputError` when no clip has the joints that --joints or the file's metadata names."""
        by_layout = {"h36m": "h36m17", "coco": "coco17"}
        self._set = self.options.joints or by_layout.get(self._layout, "")
        if not self._set:
            raise InputError(
                f"{self.path}: its metadata names no joint set that is known (layout_name '{self._layout[:40]}'); "
                "name it with --joints, such as h36m17 or coco17"
            )
        size = joints.joint_set(self._set).size
        for subject, action, camera, _, positions in self._clips:
            if positions.shape[1] != size:
                raise InputError(
                    f"{self.path}: {subject}/{action} camera {camera}: {positions.shape[1]} joints, {self._set} has "
                    f"{size}; --joints names another set"
                )

    def _usable(self, positions: np.ndarray) -> np.ndarray:
        """[frames, joints, 2] px with NaN where a joint is missing: at exactly (0, 0), or of too low a confidence."""
        known = (positions[..., :2] != 0).any(-1)
        if positions.shape[2] == 3:
            if np.nanmax(positions[..., 2], initial=0.0) > bounds.LARGEST_CONFIDENCE:
                raise InputError(f"{self.path}: {bounds.NO_CONFIDENCE}")
            known &= positions[..., 2] > self.options.min_confidence
        return np.where(known[..., None], positions[..., :2], np.nan)

    def files(self) -> list[pathlib.Path]:
        return [self.path]

    def _read(self, clip: int, rows: np.ndarray) -> Iterator[PoseRecord | Skip]:
        subject, action, camera, split, positions = self._clips[clip]
        frames = rows * self._step
        poses, provenance = joints.convert(positions[frames], self._set)
        for i, frame in enumerate(frames.tolist()):
            if not provenance[i].any():
                yield Skip("no joint", f"{subject}/{action} camera {camera} frame {frame}")
                continue
            yield PoseRecord(
                dataset=self.info.name,
                split=split,
                subject=subject,
                action=h36m.action_of(action),
                sequence=f"{subject}/{action}/{camera}",
                camera=str(camera),
                frame=frame,
                pose_2d=poses[i],
                provenance_2d=provenance[i],
            )


def _dict(content: Any, place: Any) -> dict:
    if not isinstance(content, dict) or not content:
        raise InputError(f"{place}: expected a dict of sequences, as in VideoPose3D's data_2d_*.npz")
    return content
