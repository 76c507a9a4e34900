"""Which camera a 2D pose is taken to be seen by: the choices of ``generate.py --camera``."""

from __future__ import annotations

import dataclasses

import numpy as np

from label_generator.labelling.inputs import CAMERA_KINDS, Batch
from tfrecords import schema
from tools.cli.errors import InputError
from tools.pose import cameras

OWN = (schema.CALIBRATED, schema.GIVEN)
_FORMS = "auto, h36m, fx,fy,cx,cy, fov:DEGREES or unknown"


@dataclasses.dataclass(frozen=True)
class CameraChoice:
    """One of 'auto', 'h36m', 'unknown', 'given' (with intrinsics [4]) or 'fov' (with degrees).

    image_size: (width, height) px for 'fov' where the input does not tell it, or None.
    """

    name: str
    intrinsics: tuple[float, ...] = ()
    fov_deg: float = 0.0
    image_size: tuple[int, int] | None = None

    def see(self, batch: Batch, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The poses of a batch as a pinhole camera sees them.

        Args:
          first: number of the batch's first pose, for messages.

        Returns:
          poses [B, 17, 2] px without lens distortion, intrinsics [B, 4] px with NaN where unknown, and [B] uint8
          kinds, indices into `CAMERA_KINDS`.

        Raises:
          InputError: a field of view and no size of the picture.
        """
        poses, size = batch.poses_2d, len(batch)
        if self.name == "auto":
            return self._own(batch)
        if self.name == "unknown":
            return poses, np.full((size, 4), np.nan, np.float32), _kinds(size, schema.NOMINAL)
        if self.name == "h36m":
            return poses, np.tile(np.float32(cameras.SEARCH_INTRINSICS), (size, 1)), _kinds(size, schema.ASSUMED)
        if self.name == "given":
            return poses, np.tile(np.float32(self.intrinsics), (size, 1)), _kinds(size, schema.GIVEN)
        return poses, self._by_fov(batch, first), _kinds(size, schema.GIVEN)

    def _own(self, batch: Batch):
        own = np.isin(batch.camera_kind, [CAMERA_KINDS.index(kind) for kind in OWN])
        own &= np.isfinite(batch.intrinsics).all(1)
        intrinsics = np.where(own[:, None], batch.intrinsics, np.nan).astype(np.float32)
        kinds = np.where(own, batch.camera_kind, CAMERA_KINDS.index(schema.NOMINAL)).astype(np.uint8)
        poses, bent = batch.poses_2d, own & np.isfinite(batch.distortion).all(1)
        if bent.any():
            poses = poses.copy()
            camera = intrinsics[bent, None]
            poses[bent] = cameras.undistort_pixels(poses[bent], camera, batch.distortion[bent, None])
        return poses, intrinsics, kinds

    def _by_fov(self, batch: Batch, first: int) -> np.ndarray:
        sizes = np.where(batch.image_size > 0, batch.image_size, np.asarray(self.image_size or (-1, -1)))
        unknown = (sizes <= 0).any(1) & ~np.isin(np.arange(len(batch)), list(batch.skipped))
        if unknown.any():
            i = int(np.argmax(unknown))
            raise InputError(
                f"--camera=fov:{self.fov_deg:g}: pose {first + i} ({batch.file[i]}) has no picture size; give "
                "--image_size=WIDTH,HEIGHT"
            )
        sizes = np.where((sizes > 0).all(1, keepdims=True), sizes, np.nan)
        focal = sizes[:, 0] / 2 / np.tan(np.radians(self.fov_deg) / 2)
        return np.stack([focal, focal, sizes[:, 0] / 2, sizes[:, 1] / 2], 1).astype(np.float32)


def _kinds(size: int, kind: str) -> np.ndarray:
    return np.full(size, CAMERA_KINDS.index(kind), np.uint8)


def parse_camera(text: str, image_size: tuple[int, int] | None) -> CameraChoice:
    """The choice that the user wrote; raises `InputError` when it is none."""
    text = text.strip()
    if text in ("auto", "h36m", "unknown"):
        return CameraChoice(text)
    # A picture of any size tells whether the numbers are good ones.
    try:
        numbers = cameras.parse_intrinsics(text, image_size or (1000, 1000))
    except InputError as error:
        raise InputError(f"--camera={text}: {error}; --camera is {_FORMS}") from None
    if text.startswith("fov"):
        return CameraChoice("fov", fov_deg=float(text.partition(":")[2]), image_size=image_size)
    return CameraChoice("given", intrinsics=tuple(numbers.tolist()))
