"""The camera that is assumed for a 2D pose: the choices of ``generate.py --camera``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from label_generator.labelling.batch import Batch
from tfrecords import schema
from tools.cli.errors import InputError
from tools.pose import cameras

KNOWN = (schema.CALIBRATED, schema.GIVEN)
_FORMS = "auto, h36m, fx,fy,cx,cy, fov:DEGREES or unknown"


@dataclasses.dataclass(frozen=True)
class CameraChoice:
    """One of 'auto', 'h36m', 'unknown', 'given' (with intrinsics [4]) or 'fov' (with degrees).

    image_size: (width, height) px where the input does not state it, or None.
    """

    name: str
    intrinsics: tuple[float, ...] = ()
    fov_deg: float = 0.0
    image_size: tuple[int, int] | None = None

    def pinhole_views(
        self, batch: Batch, first: int, by_size: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The poses of a batch as views of a pinhole camera.

        Args:
          first: number of the batch's first pose, for messages.
          by_size: 'auto' assumes a camera by the picture's size where there is no calibration
            (`cameras.intrinsics_from_size`).

        Returns:
          poses [B, 17, 2] px without lens distortion, intrinsics [B, 4] px with NaN where unknown, and [B] uint8
          kinds, indices into `CAMERA_KINDS`.

        Raises:
          InputError: a field of view and no size of the picture.
        """
        poses, size = batch.poses_2d, len(batch)
        if self.name == "auto":
            return self._calibrated(batch, by_size)
        if self.name == "unknown":
            return poses, np.full((size, 4), np.nan, np.float32), _kinds(size, schema.NOMINAL)
        if self.name == "h36m":
            return poses, _tiled(cameras.SEARCH_INTRINSICS, size), _kinds(size, schema.ASSUMED)
        if self.name == "given":
            return poses, _tiled(self.intrinsics, size), _kinds(size, schema.GIVEN)
        return poses, self._by_fov(batch, first), _kinds(size, schema.GIVEN)

    def _calibrated(self, batch: Batch, by_size: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = np.isin(batch.camera_kind, [schema.CAMERA_KINDS.index(kind) for kind in KNOWN])
        known &= ~np.isnan(batch.intrinsics).any(1)
        intrinsics = np.where(known[:, None], batch.intrinsics, np.nan).astype(np.float32)
        kinds = np.where(known, batch.camera_kind, schema.CAMERA_KINDS.index(schema.NOMINAL)).astype(np.uint8)
        poses, distorted = batch.poses_2d, known & np.isfinite(batch.distortion).all(1)
        if distorted.any():
            poses = poses.copy()
            camera = intrinsics[distorted, None]
            poses[distorted] = cameras.undistort_pixels(poses[distorted], camera, batch.distortion[distorted, None])
        if by_size:
            assumed = cameras.intrinsics_from_size(self._sizes(batch))
            taken = ~known & np.isfinite(assumed).all(1)
            intrinsics[taken] = assumed[taken]
            kinds[taken] = schema.CAMERA_KINDS.index(schema.ASSUMED)
        return poses, intrinsics, kinds

    def _sizes(self, batch: Batch) -> np.ndarray:
        """[B, 2] px, the pictures' sizes; not positive where unknown."""
        known = (batch.image_size > 0).all(1, keepdims=True)
        return np.where(known, batch.image_size, np.asarray(self.image_size or (-1, -1)))

    def _by_fov(self, batch: Batch, first: int) -> np.ndarray:
        sizes = self._sizes(batch)
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


def _tiled(intrinsics: Sequence[float], size: int) -> np.ndarray:
    return np.tile(np.asarray(intrinsics, np.float32), (size, 1))


def _kinds(size: int, kind: str) -> np.ndarray:
    return np.full(size, schema.CAMERA_KINDS.index(kind), np.uint8)


def parse_camera(text: str, image_size: tuple[int, int] | None) -> CameraChoice:
    """The choice that the user wrote; raises `InputError` when it is none."""
    text = text.strip()
    if text in ("auto", "h36m", "unknown"):
        return CameraChoice(text, image_size=image_size)
    # A picture of any size will do to check the numbers.
    try:
        numbers = cameras.parse_intrinsics(text, image_size or (1000, 1000))
    except InputError as error:
        raise InputError(f"--camera={text}: {error}; --camera is {_FORMS}") from None
    if text.startswith("fov"):
        return CameraChoice("fov", fov_deg=float(text.partition(":")[2]), image_size=image_size)
    return CameraChoice("given", intrinsics=tuple(numbers.tolist()))
