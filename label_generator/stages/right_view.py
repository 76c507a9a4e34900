"""The right view of 3D poses, the ground truth of stereoscopic view synthesis (`left2right`), and records that have it.

The second view sees each 3D pose moved along +x by the baseline, y and z kept, and projected by the same camera (the
release's Gen_Right2D/cam2screen_right.py and unity2screen.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip
from tfrecords.sources.records import RecordSource
from tools.cli.errors import InputError
from tools.pose import cameras

NO_PLACE = "no 3D pose in camera coordinates"
NO_CAMERA = "no intrinsics"
BEHIND = "joint at or behind the camera"


def right_views(poses: npt.ArrayLike, intrinsics: npt.ArrayLike, baseline_mm: float) -> np.ndarray:
    """The right view of poses.

    Args:
      poses: [N, 17, 3] mm in camera coordinates. intrinsics: [4] px, or [N, 4].

    Returns:
      [N, 17, 2] float64 px; whole poses are NaN where a joint is not finite, or at or behind the camera.
    """
    poses = np.asarray(poses, np.float64)
    intrinsics = np.asarray(intrinsics, np.float64)
    camera = intrinsics if intrinsics.ndim == 1 else intrinsics[:, None]
    views = cameras.project(cameras.right_view(poses, baseline_mm), camera)
    usable = np.isfinite(views).all((1, 2))
    return np.where(usable[:, None, None], views, np.nan)


class RightSource(RecordSource):
    """The records of a set, each with `right_2d` by the options' baseline and intrinsics (None: the record's own)."""

    def __init__(self, where: str, options: Options, skip: bool):
        """skip: whether a record without a right view is passed over instead of raising `InputError`."""
        super().__init__(where, options)
        self._skip = skip

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        for record in super().records(numbers):
            if isinstance(record, Skip):
                yield record
                continue
            problem = self._add_right_view(record)
            if problem and not self._skip:
                raise InputError(f"{self.path}: {record.where()}: {problem}; --skip leaves such records out")
            yield Skip(problem, record.where()) if problem else record

    def _add_right_view(self, record: PoseRecord) -> str:
        """Sets the record's right view; returns why it has none, or ''."""
        pose = record.pose_3d + record.root_3d
        # A joint that the record does not have is missing in the right view too.
        known = np.isfinite(pose).all(-1)
        if not known.any():
            return NO_PLACE
        camera = record.intrinsics if self.options.intrinsics is None else self.options.intrinsics
        if not np.isfinite(camera).all():
            return NO_CAMERA
        view = right_views(np.where(known[:, None], pose, [0.0, 0.0, 1.0])[None], camera, self.options.baseline_mm)[0]
        if np.isnan(view).any():
            return BEHIND
        record.right_2d = np.where(known[:, None], view, np.nan).astype(np.float32)
        return ""
