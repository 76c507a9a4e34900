"""2D poses that detectors found, as two formats carry them: COCO's list of results, and VideoPose3D's archives."""

from __future__ import annotations

import pathlib
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
BAD_KEYPOINTS = "not 17 key points of three numbers"
_KEYPOINTS = 17


class Detections(PeopleSource):
    """People of a list of results, in the order of images; `image_id` is a number or a file name.

    The confidence of a key point is its third number; a detector doesn't say what is hidden.
    """

    info = Info(
        name="coco_results",
        description="detections in COCO's format for results: 2D poses",
        input="JSON, a list of objects with image_id, keypoints (17 x, y, confidence) and score",
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

    def told(self, joint_set: str, min_confidence: float) -> None:
        """Takes what the user said of the joints; raises `InputError` for another set than COCO's."""
        if joint_set not in ("", "coco17"):
            raise InputError(f"--joints={joint_set}: detections in COCO's format have coco17")
        self._min_confidence = min_confidence

    def _read(self) -> People:
        name = str(self.path)
        content = labels.parse_json(labels.read_file(self.path), name, drop=("segmentation",))
        if not isinstance(content, list):
            raise InputError(f"{name}: expected {self.info.input}")
        people = People("coco17", name)
        pictures: dict[str, int] = {}
        seen: dict[int, int] = {}
        for number, entry in enumerate(content):
            image = entry.get("image_id") if isinstance(entry, dict) else None
            if not isinstance(image, (int, str)) or "keypoints" not in entry:
                people.add_bad(people.add_picture(Picture(sequence=f"entry {number}")), 0, BAD_ENTRY)
                continue
            file = str(image)
            if file not in pictures:
                pictures[file] = people.add_picture(Picture(file=file))
            picture = pictures[file]
            person = seen[picture] = seen.get(picture, -1) + 1
            numbers = labels.number_array(entry["keypoints"], 3 * _KEYPOINTS)
            if numbers is None:
                people.add_bad(picture, person, BAD_KEYPOINTS)
                continue
            found = numbers.reshape(_KEYPOINTS, 3)
            points = np.where(found[:, 2:] > self._min_confidence, found[:, :2], np.nan)
            box = labels.number_array(entry.get("bbox"), 4)
            usable = box is not None and (box[2:] > 0).all()
            people.add(picture, person, points, np.full(_KEYPOINTS, schema.UNKNOWN), *([box] if usable else []))
        return people


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
