"""Poses without a data set: people of a kinematic model, in the view of cameras sampled around them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords import schema
from tfrecords.conversion import placing
from tfrecords.source import Info, Options, Source
from tfrecords.synthetic import activities as synthetic_activities
from tfrecords.synthetic import cameras as synthetic_cameras
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError
from tools.pose import projection
from tools.pose.joints import POSE17


class Synthetic(Source):
    """Record i of a seed and a split is the same whatever `count` is.

    Poses come in blocks of ``synthetic_poses.BLOCK``; reading one record costs its whole block, so numbers are best
    read in runs. Every record is another body; splits draw from separate random streams.
    """

    info = Info(
        name="synthetic",
        description="poses of a kinematic model of people in everyday activities, seen by cameras sampled around them",
        input="nothing; --count and --seed say how many poses are made and which",
        licence="that of this project; made by it",
        citation="this project",
        splits=("train", "val", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        placing.check_style(options.cameras_style)
        if self.path != pathlib.Path():
            raise InputError(f"--input={path}: source synthetic makes its poses itself and reads no file")
        if options.count < 1:
            raise InputError(f"--count={options.count}: expected at least 1 pose")
        if options.seed < 0:
            raise InputError(f"--seed={options.seed}: expected 0 or more")
        if options.distort:
            raise InputError("--distort: the cameras of source synthetic are pinholes without lens distortion")
        self._stream = self.info.splits.index(self.split)
        # The last block: of many small shards, each reads a few records of it.
        self._kept: tuple[int, synthetic_poses.Poses, synthetic_cameras.Views] | None = None

    def __len__(self) -> int:
        return self.options.count

    def files(self) -> list[pathlib.Path]:
        return []

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[schema.PoseRecord]:
        numbers = np.asarray(numbers, np.int64)
        blocks = numbers // synthetic_poses.BLOCK
        for block in np.unique(blocks):
            yield from self._block(int(block), numbers[blocks == block])

    def _block(self, block: int, numbers: np.ndarray) -> Iterator[schema.PoseRecord]:
        options = self.options
        if self._kept is None or self._kept[0] != block:
            sampled = synthetic_poses.make_block(options.seed, block, stream=self._stream)
            rng = np.random.default_rng([options.seed, self._stream, block, 1])
            self._kept = block, sampled, synthetic_cameras.sample_views(rng, sampled.joints, options.cameras_style)
        _, poses, views = self._kept
        intrinsics, pixels, kind = views.intrinsics, views.pixels, schema.CALIBRATED
        size: tuple[int, int] | None = views.image_size
        if options.intrinsics is not None:
            intrinsics = np.tile(np.asarray(options.intrinsics, np.float64), (len(pixels), 1))
            pixels = projection.project(views.joints, intrinsics[:, None])
            size, kind = None, schema.GIVEN
        right = None
        if options.baseline_mm:
            right = projection.project(projection.right_view(views.joints, options.baseline_mm), intrinsics[:, None])
        roots = views.joints[:, POSE17.root]
        names = list(synthetic_activities.ACTIVITIES)
        for number in numbers:
            i = number - block * synthetic_poses.BLOCK
            yield schema.PoseRecord(
                dataset=self.info.name,
                split=self.split,
                subject=f"{self.split}-{number}",
                action=names[poses.activity[i]],
                sequence=f"seed-{options.seed}",
                frame=int(number),
                pose_2d=pixels[i],
                right_2d=None if right is None else right[i],
                pose_3d=views.joints[i] - roots[i],
                root_3d=roots[i],
                intrinsics=intrinsics[i],
                camera=options.cameras_style,
                camera_kind=kind,
                image_size=size,
            )
