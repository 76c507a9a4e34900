"""2D poses that detectors found, as two formats carry them: COCO's list of results, and VideoPose3D's archives."""

from __future__ import annotations

import pathlib
import re
import tempfile
import zipfile

import numpy as np

from tfrecords import schema
from tfrecords.conversion import clips, labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import arrays, images, unpickle
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip
from tfrecords.sources import h36m
from tools.cli.errors import InputError
from tools.pose import joints

BAD_ENTRY = "entry without image_id and keypoints"
BAD_KEYPOINTS = "not as many key points of three numbers as the others"
NO_PIXELS = "key points not in px"
# Results name no joints: their number tells the set. Halpe's 136 start with its 26 of the body, COCO-WholeBody's 133
# with COCO's 17.
_BY_COUNT = {17: "coco17", 26: "halpe26", 136: "halpe26", 133: "coco17", 33: "mediapipe33", 25: "body25", 16: "mpii16"}
# Nobody is this small in px: such key points are shares of the picture's size.
_LEAST_EXTENT = 2.0
_FRAME = re.compile(r"(?:.*?\D)?(\d{1,18})$", re.DOTALL)


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
        self._min_confidence = 0.0
        self._joint_set = ""

    def told(self, joint_set: str, min_confidence: float) -> None:
        """Takes what the user said of the joints: '' for the set that their number tells."""
        self._joint_set = joint_set
        self._min_confidence = min_confidence

    def _read(self) -> People:
        name = str(self.path)
        content = labels.parse_json(labels.read_file(self.path), name, drop=("segmentation",))
        if not isinstance(content, list):
            raise InputError(f"{name}: expected {self.info.input}")
        count = self._count_of(content)
        set_name = self._joint_set or _BY_COUNT.get(count, "")
        if not set_name:
            raise InputError(f"{name}: {count} key points a person; name their joint set with --joints")
        size = joints.joint_set(set_name).size
        if count < size:
            raise InputError(f"{name}: {count} key points a person, joint set {set_name} has {size}")
        people = People(set_name, name)
        pictures: dict[str, int] = {}
        persons: dict[int, int] = {}
        tracked = any(isinstance(entry, dict) and _identity(entry) >= 0 for entry in content)
        for number, entry in enumerate(content):
            image = entry.get("image_id") if isinstance(entry, dict) else None
            if not isinstance(image, (int, str)) or "keypoints" not in entry:
                people.add_bad(people.add_picture(Picture(sequence=f"entry {number}")), 0, BAD_ENTRY)
                continue
            file = str(image)
            if file not in pictures:
                pictures[file] = people.add_picture(self._picture(file, tracked))
            picture = pictures[file]
            persons[picture] = persons.get(picture, -1) + 1
            person = _identity(entry) if _identity(entry) >= 0 else persons[picture]
            numbers = labels.number_array(entry["keypoints"], 3 * count)
            if numbers is None:
                people.add_bad(picture, person, BAD_KEYPOINTS)
                continue
            keypoints = numbers.reshape(count, 3)[:size]
            points = np.where(keypoints[:, 2:] > self._min_confidence, keypoints[:, :2], np.nan)
            known = points[np.isfinite(points).all(-1)]
            if len(known) > 1 and np.ptp(known, axis=0).max() <= _LEAST_EXTENT:
                people.add_bad(picture, person, NO_PIXELS)
                continue
            box = labels.number_array(entry.get("bbox", entry.get("box")), 4)
            usable = box is not None and (box[2:] > 0).all()
            people.add(picture, person, points, np.full(size, schema.UNKNOWN), *([box] if usable else []))
        return people

    def _picture(self, file: str, tracked: bool) -> Picture:
        """The picture of an image_id; of a clip whose people have identities also its sequence and frame."""
        number = _FRAME.match(pathlib.PurePosixPath(file).stem)
        if not tracked or not number:
            return Picture(file=file)
        return Picture(file=file, subject=self.path.stem, sequence=self.path.stem, frame=int(number[1]))

    def _count_of(self, content: list) -> int:
        """How many key points the first person has that has any; raises `InputError` without one."""
        for entry in content:
            numbers = labels.number_array(entry.get("keypoints") if isinstance(entry, dict) else None, -1)
            if numbers is not None and len(numbers) and len(numbers) % 3 == 0:
                return len(numbers) // 3
        raise InputError(f"{self.path}: no entry with image_id and keypoints; expected {self.info.input}")


def _identity(entry: dict) -> int:
    """AlphaPose's `idx`, or `track_id`; -1 without."""
    number = entry.get("idx", entry.get("track_id"))
    number = number[0] if isinstance(number, list) and number else number
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 1 << 31:
        return -1
    return int(number)


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
        content = {name: _read_member(self.path, name) for name in ("positions_2d", "metadata")}
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
                    positions = np.asarray(positions)
                    place = f"{self.path}: {subject}/{action} camera {camera}"
                    arrays.check_floating(positions.dtype, place)
                    if positions.ndim != 3 or positions.shape[2] not in (2, 3):
                        raise InputError(f"{place}: shape {list(positions.shape)}, expected [frames, joints, 2]")
                    self._clips.append((str(subject), str(action), camera, split, positions[..., :2]))
        if not self._clips:
            raise InputError(f"{self.path}: no pose of split '{self.split}'")
        self._set_lengths([-(-len(clip[-1]) // self._step) for clip in self._clips])
        self.told("", 0.0)

    def told(self, joint_set: str, min_confidence: float) -> None:
        """Takes the joint set, by default the one that the file's metadata names; raises `InputError` if it is none."""
        by_layout = {"h36m": "h36m17", "coco": "coco17"}
        self._set = joint_set or by_layout.get(self._layout, "h36m17")
        size = joints.joint_set(self._set).size
        for subject, action, camera, _, positions in self._clips:
            if positions.shape[1] != size:
                raise InputError(
                    f"{self.path}: {subject}/{action} camera {camera}: {positions.shape[1]} joints, {self._set} has "
                    f"{size}; --joints names another set"
                )

    def files(self):
        return [self.path]

    def _read(self, clip, rows):
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


def _dict(content, place) -> dict:
    if not isinstance(content, dict) or not content:
        raise InputError(f"{place}: expected a dict of sequences, as in VideoPose3D's data_2d_*.npz")
    return content


def _read_member(path: pathlib.Path, name: str):
    """An object of the archive, read without running what a pickle may ask for."""
    try:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            if f"{name}.npy" not in archive.namelist():
                raise InputError(f"{path}: no array {name}; expected VideoPose3D's data_2d_*.npz")
            file = archive.extract(f"{name}.npy", folder)
            try:
                content = unpickle.load_objects(file)
            except InputError as error:
                raise InputError(str(error).replace(file, f"{path}: {name}")) from None
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no .npz archive, or cut short ({error})") from None
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
