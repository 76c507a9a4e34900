"""Pictures without a data set: synthetic or captured poses as people of many looks before cameras in the wild."""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfrecords import schema
from tfrecords.conversion import clips
from tfrecords.source import Info, Options, Skip, Source
from tfrecords.sources import mocap
from tfrecords.synthetic import activities as synthetic_activities
from tfrecords.synthetic import cameras as synthetic_cameras
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError
from tools.pose import projection
from tools.pose.cameras import Camera
from tools.pose.joints import POSE17

# Sequences of motion capture are kept up to this many bytes, since records draw their frames from all of them.
_KEPT_BYTES = 128 << 20
# Share of a sequence's frames in which some joint may lie lower than where the floor is put: outliers.
_LOWEST_SHARE = 0.03
# Bodies that are taller or shorter than this were captured wrongly.
_STATURE_MM = (950.0, 2250.0)
# Joints rest about this high above the floor.
_REST_MM = np.array([40, 60, 80, 70, 40, 40, 70, 40, 40, 95, 95, 85, 55, 75, 85, 55, 75], np.float64)


class _Pose(NamedTuple):
    """A pose in the world, [17, 3] mm, z up, with the height of the floor, and where it comes from."""

    joints: np.ndarray
    provenance: np.ndarray
    ground: float
    subject: str
    action: str
    sequence: str
    frame: int
    file: str


class Rendered(Source):
    """Record i of a seed and a split is the same whatever `count` is.

    With motion capture, records go through all frames of the split in a scattered order, the same frame again with
    another person, camera and place when they are through.
    """

    info = Info(
        name="rendered",
        description="256 x 256 pictures of rendered people in synthetic or captured poses, all of whose joints and "
        "cameras are known exactly; --count and --seed say how many and which",
        input="nothing, for synthetic poses; or motion capture as source mocap takes it. Synthetic splits draw from "
        "separate random streams, each record is another person; captured ones are split by subject as source mocap "
        "does it, without test, and 'all' is for them only",
        licence="that of the poses; the pictures are made by this project, of nothing but numbers",
        citation="this project; and that of the motion capture",
        splits=("train", "val", "test", "all"),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        if options.count < 1:
            raise InputError(f"--count={options.count}: expected at least 1 picture")
        if options.seed < 0:
            raise InputError(f"--seed={options.seed}: expected 0 or more")
        if options.distort:
            raise InputError("--distort: the cameras of source rendered are pinholes without lens distortion")
        if options.images not in ("", "none"):
            raise InputError(f"--images={options.images}: source rendered draws its pictures; 'none' leaves them out")
        self._stream = self.info.splits.index(self.split)
        if str(path) in ("", "."):
            if self.split == "all":
                raise InputError("--split=all: synthetic poses have train, val, test")
            self._poses: _Synthetic | _Captured = _Synthetic(self.split, self._stream, options)
        else:
            if self.split == "test":
                raise InputError("--split=test: motion capture has train, val, all; give other subjects for testing")
            self._poses = _Captured(self.path, dataclasses.replace(options, split=self.split, cameras_style="wild"))

    def __len__(self) -> int:
        return self.options.count

    def files(self) -> Sequence[pathlib.Path]:
        return self._poses.files()

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[schema.PoseRecord | Skip]:
        for number in np.asarray(numbers, np.int64).tolist():
            yield self._record(number)

    def _record(self, number: int) -> schema.PoseRecord | Skip:
        # imported late: listing the sources needs no renderer
        from tfrecords.rendering import body as render_body
        from tfrecords.rendering import picture as render_picture

        pose = self._poses.pose(number)
        where = f"{pose.sequence} frame {pose.frame}"
        if not np.isfinite(pose.joints).all():
            return Skip("joint is not a number", where)
        tall = render_body.stature(pose.joints)
        if not _STATURE_MM[0] <= tall <= _STATURE_MM[1]:
            return Skip("body of no person's size", f"{where}: {tall:.0f} mm tall")
        rng = np.random.default_rng([self.options.seed, self._stream, number, 2])
        view = synthetic_cameras.sample_views(rng, pose.joints[None] - [0.0, 0.0, pose.ground], "wild")
        # the camera was placed above a floor at height 0
        shift = view.translation[0] - view.rotation[0] @ [0.0, 0.0, pose.ground]
        camera = Camera(view.intrinsics[0], None, view.rotation[0], shift)
        picture = render_picture.draw(pose.joints, camera, pose.ground, rng)
        if np.isnan(picture.box).any():
            return Skip("nobody in the picture", where)
        joints = camera.to_camera(pose.joints)
        root = joints[POSE17.root]
        right = None
        if self.options.baseline_mm:
            right = projection.project(projection.right_view(joints, self.options.baseline_mm), picture.intrinsics)
        pictured = self.options.images != "none"
        return schema.PoseRecord(
            dataset=self.info.name,
            split=self.split if self.split != "all" else mocap.split_of(pose.subject),
            subject=pose.subject,
            action=pose.action,
            sequence=pose.sequence,
            frame=pose.frame,
            file=pose.file,
            pose_2d=picture.pose_2d,
            provenance_2d=pose.provenance,
            visibility=picture.visibility,
            right_2d=right,
            pose_3d=joints - root,
            provenance_3d=pose.provenance,
            root_3d=root,
            intrinsics=picture.intrinsics,
            camera="wild",
            camera_kind=schema.CALIBRATED,
            image=picture.jpeg if pictured else b"",
            image_format="jpeg" if pictured else "",
            image_size=np.array([render_picture.SIZE] * 2),
            box=picture.box,
        )


class _Synthetic:
    """Poses of the kinematic model; the floor is at height 0."""

    def __init__(self, split: str, stream: int, options: Options) -> None:
        self._split, self._stream, self._options = split, stream, options
        self._number = -1

    def files(self) -> list[pathlib.Path]:
        return []

    def pose(self, number: int) -> _Pose:
        block, row = divmod(number, synthetic_poses.BLOCK)
        if self._number != block:
            self._number = block
            self._block = synthetic_poses.make_block(self._options.seed, block, stream=self._stream)
        poses = self._block
        return _Pose(
            joints=poses.joints[row].astype(np.float64),
            provenance=clips.labelled(),
            ground=0.0,
            subject=f"{self._split}-{number}",
            action=list(synthetic_activities.ACTIVITIES)[poses.activity[row]],
            sequence=f"seed-{self._options.seed}",
            frame=number,
            file="",
        )


class _Captured(mocap.Mocap):
    """Frames of motion capture, any of them at any time."""

    def __init__(self, path: pathlib.Path, options: Options) -> None:
        super().__init__(path, options)
        self._first = np.cumsum([0] + [-(-motion.frames // self._step) for motion in self._motions])
        total = int(self._first[-1])
        # a stride near the golden section of the whole, and without a common factor, visits every frame once
        self._stride = next(s for s in range(max(1, round(total * 0.618034)), 2 * total + 2) if math.gcd(s, total) == 1)
        self._offset = int(np.random.default_rng([options.seed, 3]).integers(total))
        self._kept: collections.OrderedDict[int, tuple[np.ndarray, np.ndarray, float]] = collections.OrderedDict()

    def pose(self, number: int) -> _Pose:
        place = (number * self._stride + self._offset) % int(self._first[-1])
        sequence = int(np.searchsorted(self._first, place, side="right")) - 1
        frame = (place - int(self._first[sequence])) * self._step
        motion = self._motions[sequence]
        world, provenance, ground = self._sequence(sequence)
        lowest = (world[frame, :, 2] - _REST_MM).min()
        return _Pose(
            joints=world[frame],
            provenance=provenance,
            # no joint is under the floor; what was captured without its travel stands on its lowest joint
            ground=float(lowest if not ground <= lowest < ground + 1500 else ground),
            subject=motion.subject,
            action=motion.action,
            sequence=motion.name,
            frame=frame,
            file=motion.file,
        )

    def _sequence(self, number: int) -> tuple[np.ndarray, np.ndarray, float]:
        """World poses, provenance and the floor's height of a sequence; those used last are kept."""
        if number not in self._kept:
            world, provenance = self._load(self._motions[number])
            lows = (world[..., 2] - _REST_MM).min(1)
            lows = lows[np.isfinite(lows)]
            ground = float(np.quantile(lows, _LOWEST_SHARE)) if len(lows) else 0.0
            self._kept[number] = (world, provenance, ground)
            while len(self._kept) > 1 and sum(entry[0].nbytes for entry in self._kept.values()) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]
