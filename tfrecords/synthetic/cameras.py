"""Cameras sampled around people in a world with z up: extrinsics, intrinsics and the pictures' joints; NumPy only.

Three styles:

* ``h36m``: cameras placed as Human3.6M's four stand around its room, with their intrinsics; people walk about in it.
* ``wild``: height 0.3-4 m, distance 2.5-9 m, pitch within 40 degrees and up to 10 degrees past the person, field of
  view 30-90 degrees over 1000 px: cameras outside the training set.
* ``level``: on the floor, 5 m away, held level: keeps the vertical for training that draws its own cameras.

Camera axes: x right, y down, z away; X_camera = R X_world + t. Pinhole cameras without distortion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrecords.conversion import placing
from tools.cli.errors import InputError
from tools.pose.cameras import SEARCH_INTRINSICS

HIP = 10

# fx, fy, cx, cy (px) of Human3.6M's cameras 54138969, 55011271, 58860488, 60457274 (public calibration)
H36M_INTRINSICS = np.array(
    [
        [1145.0494, 1143.7811, 512.5415, 515.4515],
        [1149.6757, 1147.5917, 508.8486, 508.0649],
        [1149.1407, 1148.7990, 519.8158, 501.4026],
        [1145.5113, 1144.7739, 514.9682, 501.8820],
    ]
)
# ranges of their placements over all subjects, rounded: distance from the middle of the room and height (mm), degrees
# below the horizon, past the middle, and of roll
H36M_RADIUS, H36M_HEIGHT = (4100.0, 5600.0), (1460.0, 1640.0)
H36M_PITCH, H36M_ASIDE, H36M_ROLL = (10.4, 16.2), (-4.0, 6.0), (-5.0, 5.0)
H36M_SIZE = (1000, 1002)
WILD_SIZE = (placing.WILD_SIZE_PX, placing.WILD_SIZE_PX)


@dataclass(frozen=True)
class Views:
    """``n`` people, each seen by a camera of its own.

    ``rotation`` ``[n, 3, 3]`` and ``translation`` ``[n, 3]`` mm: X_camera = R X_world + t, of the world that the poses
    came in. ``intrinsics`` ``[n, 4]`` fx, fy, cx, cy px. ``image_size`` (width, height) px. ``joints``
    ``[n, 17, 3]`` mm in camera axes, absolute; ``pixels`` ``[n, 17, 2]``. All float64.
    """

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray
    image_size: tuple[int, int]
    joints: np.ndarray
    pixels: np.ndarray


def _turn(axis: int, angle: np.ndarray) -> np.ndarray:
    """``[n, 3, 3]`` rotations about a coordinate axis by ``angle`` ``[n]`` radians."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1.0
    out[:, a, a] = out[:, b, b] = np.cos(angle)
    out[:, a, b] = -np.sin(angle)
    out[:, b, a] = np.sin(angle)
    return out


def looking(forward: np.ndarray) -> np.ndarray:
    """Returns the rotations ``[n, 3, 3]`` of level cameras that look along ``forward`` ``[n, 3]``; z is up."""
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.stack([forward[:, 1], -forward[:, 0], np.zeros(len(forward))], -1)
    right /= np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-12)
    return np.stack([right, np.cross(forward, right), forward], 1)


def _wild(rng: np.random.Generator, root: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    n = len(root)
    distance = rng.uniform(*placing.WILD_DISTANCE_MM, n)
    reach = distance * np.sin(np.radians(placing.WILD_PITCH_DEG))
    lowest, highest = placing.WILD_HEIGHT_MM
    height = rng.uniform(np.maximum(lowest, root[:, 2] - reach), np.minimum(highest, root[:, 2] + reach))
    drop = height - root[:, 2]
    flat, angle = np.sqrt(distance**2 - drop**2), rng.uniform(0, 2 * np.pi, n)
    eye = np.stack([root[:, 0] + flat * np.cos(angle), root[:, 1] + flat * np.sin(angle), height], -1)
    past = np.radians(rng.uniform(-placing.WILD_OFF_DEG, placing.WILD_OFF_DEG, (2, n)))
    rotation = _turn(1, past[1]) @ _turn(0, past[0]) @ looking(root - eye)
    focal = WILD_SIZE[0] / 2 / np.tan(np.radians(rng.uniform(*placing.WILD_FOV_DEG, n)) / 2)
    centre = WILD_SIZE[0] / 2 + rng.uniform(-placing.WILD_OFF_PX, placing.WILD_OFF_PX, (2, n))
    return rotation, eye, np.stack([focal, focal, *centre], -1), WILD_SIZE


def _level(rng: np.random.Generator, root: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    n = len(root)
    eye = root - [0.0, placing.LEVEL_DISTANCE_MM, 0.0]
    eye[:, 2] = 0.0
    return looking(np.tile([0.0, 1.0, 0.0], (n, 1))), eye, np.tile(SEARCH_INTRINSICS, (n, 1)), WILD_SIZE


def _h36m(rng: np.random.Generator, root: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    n = len(root)
    # people stand anywhere in the room, so its middle is anywhere about them
    middle = root[:, :2] - rng.uniform(-placing.ROOM_MM, placing.ROOM_MM, (n, 2))
    radius, angle = rng.uniform(*H36M_RADIUS, n), rng.uniform(0, 2 * np.pi, n)
    aside, pitch = np.radians(rng.uniform(*H36M_ASIDE, n)), np.radians(rng.uniform(*H36M_PITCH, n))
    eye = np.concatenate([middle, rng.uniform(*H36M_HEIGHT, n)[:, None]], -1)
    eye[:, 0] += radius * np.cos(angle)
    eye[:, 1] += radius * np.sin(angle)
    heading = angle + np.pi + aside
    forward = np.stack([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), -np.sin(pitch)], -1)
    rotation = _turn(2, np.radians(rng.uniform(*H36M_ROLL, n))) @ looking(forward)
    return rotation, eye, H36M_INTRINSICS[rng.integers(len(H36M_INTRINSICS), size=n)], H36M_SIZE


def sample_views(rng: np.random.Generator, poses_world: np.ndarray, style: str = "h36m") -> Views:
    """Returns one random view of each of the poses ``[n, 17, 3]`` mm, z up, the ground at z = 0.

    A camera that would have a joint nearer than ``placing.NEAREST_MM`` to its plane steps back along its axis until
    none is. Raises InputError on an unknown style or another shape.
    """
    poses_world = np.asarray(poses_world, np.float64)
    if poses_world.ndim != 3 or poses_world.shape[1:] != (17, 3):
        raise InputError(f"poses must be [n, 17, 3], are {list(poses_world.shape)}")
    placing.check_style(style)
    rotation, eye, intrinsics, size = {"wild": _wild, "h36m": _h36m, "level": _level}[style](rng, poses_world[:, HIP])
    joints = (poses_world - eye[:, None]) @ rotation.transpose(0, 2, 1)
    back = np.maximum(placing.NEAREST_MM - joints[..., 2].min(-1), 0.0)
    joints[..., 2] += back[:, None]
    translation = -np.einsum("nij,nj->ni", rotation, eye)
    translation[:, 2] += back
    pixels = joints[..., :2] / joints[..., 2:] * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    return Views(rotation, translation, intrinsics, size, joints, pixels)
