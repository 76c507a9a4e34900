"""C3D, as motion capture programs exchange it: places of the 17 joints in every frame, with marks for guessed ones."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from tfrecords.exports.motions import ClipMotion
from tools.cli.errors import InputError
from tools.files import atomic
from tools.pose import sequences
from tools.pose.joints import POSE17


def z_up(places: np.ndarray) -> np.ndarray:
    """[..., 3] camera axes (x right, y down, z away) as x right, y away, z up."""
    return np.stack([places[..., 0], places[..., 2], -places[..., 1]], -1)


def check() -> None:
    """Raises `InputError` when the package that writes C3D is not installed."""
    try:
        import ezc3d  # noqa: F401
    except ImportError:
        raise InputError("--formats=c3d: needs the package ezc3d (pip install ezc3d)") from None


def write_c3d(path: str | os.PathLike, motion: ClipMotion) -> None:
    """Writes a clip: mm, z up, the camera at the origin looking along y.

    A point's residual is the error to be expected of it in mm; 0, as C3D has it for points that were interpolated,
    where the joint was not seen.
    """
    import ezc3d

    places = z_up(motion.poses_3d + motion.roots[:, None])
    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = [float(motion.fps)]
    content["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    content["parameters"]["POINT"]["LABELS"]["value"] = [joint.replace("/", "_") for joint in POSE17.joints]
    content.add_parameter("POINT", "X_SCREEN", "+X")
    content.add_parameter("POINT", "Y_SCREEN", "+Z")
    points = np.ones((4, POSE17.size, len(places)))
    points[:3] = places.transpose(2, 1, 0)
    content["data"]["points"] = points
    expected = np.where(np.isfinite(motion.expected_mm), motion.expected_mm, sequences.UNKNOWN_MM)
    residuals = np.where(motion.measured, np.clip(expected, 0.1, 1e4), 0.0).T
    content["data"]["meta_points"]["residuals"] = residuals[None]
    path = pathlib.Path(path)
    with atomic.write_file(path) as temporary:
        content.write(str(temporary))
