"""Motion capture placed in a room, cameras around it, and the poses in each camera's view.

Poses here are in the world, z up, float64 mm `[F, 17, 3]` in this project's joint order. Random numbers are drawn in
the order of the evaluation protocols for motion capture (a: Human3.6M's cameras, c: cameras outside the training set),
so that records made from the same file and seed are the same poses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tfrecords.conversion import camera_files
from tools.cli.errors import InputError
from tools.pose import cameras as pose_cameras
from tools.pose.cameras import Camera
from tools.pose.joints import POSE17

# A frame with a joint nearer than this to the camera is not used.
NEAREST_MM = 1000.0
# Human3.6M's subjects with 3D, whose four cameras each stand a little differently.
SUBJECTS = (1, 5, 6, 7, 8, 9, 11)
VIEWS = 4
# Two of the four cameras film 1000 x 1002 pixels, the others 1000 x 1000.
_TALLER = {"54138969": 1002, "60457274": 1002}
# People walk at most this far from where the middle of their clip is put, which is within this far of the room's.
ROOM_MM, OFF_CENTRE_MM = 1200.0, 400.0
# Cameras in the wild: uniform in distance, height and field of view; steeper looks than this are drawn again.
WILD_DISTANCE_MM, WILD_HEIGHT_MM, WILD_PITCH_DEG = (2500.0, 9000.0), (300.0, 4000.0), 40.0
WILD_FOV_DEG, WILD_OFF_DEG, WILD_OFF_PX, WILD_SIZE_PX = (30.0, 90.0), 10.0, 20.0, 1000
_STYLES = ("h36m", "wild", "level")
# 'level' keeps the vertical, for training that draws its own cameras: one camera, on the floor, this far away.
LEVEL_DISTANCE_MM = 5000.0


_MOST_DRAWS = 1000
_CLIP_EXTENT_MM = 100_000.0  # frames that are farther from the middle of their clip are glitches of the capture
_FARTHEST_MM, _FARTHEST_PX = 200_000.0, 100_000.0  # of a joint from the camera, and of its pixel from the picture


class OutOfView(Exception):
    """No camera of that style can see the sequence; the message says why."""


class CameraView(NamedTuple):
    """What a camera sees of `n` poses, float32: root-relative poses and roots in camera axes, left and right pixels."""

    poses_3d: np.ndarray  # [n, 17, 3] mm
    roots: np.ndarray  # [n, 3] mm
    poses_2d: np.ndarray  # [n, 17, 2] px
    right_2d: np.ndarray | None  # [n, 17, 2] px, or None when there is no baseline
    nearest_mm: np.ndarray  # [n] depth of the nearest joint
    in_reach: np.ndarray  # [n] bool: no joint is absurdly far from the camera or from its picture


def load_cameras(path: str, source: str) -> dict[tuple[int, str], Camera]:
    """Human3.6M's cameras by subject number and camera name, from any file that `camera_files` reads.

    Raises:
      InputError: no file given (the message says what to give), or not such a file.
    """
    if not path:
        raise InputError(
            f"source {source} needs Human3.6M's cameras: give cameras.h5, metadata.xml, a pickled dict of cameras "
            "or the JSON of human36m-camera-parameters with --cameras, or take cameras in the wild, which need no "
            "file, with --cameras_style=wild"
        )
    return camera_files.load(path)


def check_subjects(cameras: dict[tuple[int, str], Camera], subjects: Iterable[int], path: str) -> None:
    """Raises `InputError` naming the file and the first subject that does not have its four cameras there."""
    for subject in subjects:
        names = camera_names(cameras, subject)
        if len(names) != VIEWS:
            raise InputError(f"{path}: subject {subject} has {len(names)} cameras, expected {VIEWS}")


def camera_names(cameras: dict[tuple[int, str], Camera], subject: int) -> list[str]:
    """The names of a subject's cameras, sorted, which is their order in both files."""
    return sorted(name for number, name in cameras if number == subject)


def picture_size(camera: str) -> tuple[int, int]:
    """Width and height in px of the videos of Human3.6M's camera of that name."""
    return 1000, _TALLER.get(camera, 1000)


def check_style(style: str) -> None:
    """Raises `InputError` when `style` is none of 'h36m' and 'wild'."""
    if style not in _STYLES:
        raise InputError(f"--cameras_style={style}: expected one of {', '.join(_STYLES)}")


def generator(seed: int, number: int, view: int, wild: bool) -> np.random.Generator:
    """The random numbers of one view of the sequence with that number among the sorted ones."""
    return np.random.default_rng([seed, number, view, wild])


def place_in_room(world: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sequence turned about the vertical by a random angle and kept within about 1.6 m of the room's middle.

    Frames that are not finite stay so and move nothing else.
    """
    hips = world[:, POSE17.root, :2]
    hips = hips[np.isfinite(hips).all(-1)]
    middle = hips.mean(0) if len(hips) else np.zeros(2)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    placed = (world - [*middle, 0.0]) @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    hip = placed[:, POSE17.root, None, :2]
    placed[..., :2] += np.clip(hip, -ROOM_MM, ROOM_MM) - hip + rng.uniform(-OFF_CENTRE_MM, OFF_CENTRE_MM, 2)
    return placed


def room_camera(cameras: dict[tuple[int, str], Camera], view: int, rng: np.random.Generator) -> tuple[str, Camera]:
    """Human3.6M's camera number `view` as it stood for a random subject: its name ('S9/54138969') and the camera."""
    subject = SUBJECTS[rng.integers(len(SUBJECTS))]
    name = camera_names(cameras, subject)[view]
    return f"S{subject}/{name}", cameras[subject, name]


def wild_camera(target: np.ndarray, rng: np.random.Generator) -> Camera:
    """A camera 2.5 to 9 m from `target` [3] mm that looks at it up to 10 degrees off, over 1000 x 1000 pixels.

    Raises:
      OutOfView: the target is too high above or too far below such cameras.
    """
    for _ in range(_MOST_DRAWS):
        distance, height = rng.uniform(*WILD_DISTANCE_MM), rng.uniform(*WILD_HEIGHT_MM)
        drop = height - target[2]
        if abs(drop) < distance * np.sin(np.radians(WILD_PITCH_DEG)):
            break
    else:
        raise OutOfView(f"its middle is {target[2] / 1000:.3g} m above the floor")
    flat, angle = np.sqrt(distance**2 - drop**2), rng.uniform(0, 2 * np.pi)
    eye = np.array([target[0] + flat * np.cos(angle), target[1] + flat * np.sin(angle), height])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    for axis in (1, 0):  # sideways about the camera's vertical, then up or down about its horizontal
        off = np.radians(rng.uniform(-WILD_OFF_DEG, WILD_OFF_DEG))
        cos, sin = np.cos(off), np.sin(off)
        turn = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]] if axis == 1 else [[1, 0, 0], [0, cos, -sin], [0, sin, cos]]
        rotation = np.array(turn) @ rotation
    half = WILD_SIZE_PX / 2
    focal = half / np.tan(np.radians(rng.uniform(*WILD_FOV_DEG)) / 2)
    centre = [half + rng.uniform(-WILD_OFF_PX, WILD_OFF_PX) for _ in range(2)]
    return Camera(np.array([focal, focal, *centre]), None, rotation, -rotation @ eye)


def wild_view(
    world: np.ndarray, view: int, rng: np.random.Generator
) -> tuple[np.ndarray, str, Camera, tuple[int, int]]:
    """The poses, and a camera in the wild that looks at them: its name, the camera, its picture's width and height."""
    roots = world[:, POSE17.root]
    roots = roots[np.isfinite(roots).all(-1)]
    # Frames in which the capture went wrong don't move the camera.
    if len(roots):
        roots = roots[(np.abs(roots - np.median(roots, 0)) < _CLIP_EXTENT_MM).all(-1)]
    target = roots.mean(0) if len(roots) else np.zeros(3)
    return world, f"wild-{view}", wild_camera(target, rng), (WILD_SIZE_PX, WILD_SIZE_PX)


def views_of(style: str) -> int:
    """How many cameras of that style see each frame."""
    return 1 if style == "level" else VIEWS


def level_view(world: np.ndarray) -> tuple[np.ndarray, str, Camera, tuple[int, int]]:
    """Every frame's person on the axis of a level camera at floor height, as `wild_view` returns it.

    In its axes (x right, y down, z away) y is the height above the floor with its sign turned, so records keep what the
    pose needs to be seen by any other camera.
    """
    placed = world.copy()
    placed[..., :2] -= world[:, POSE17.root, None, :2]
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    camera = Camera(np.array(pose_cameras.SEARCH_INTRINSICS), None, rotation, np.array([0.0, 0.0, LEVEL_DISTANCE_MM]))
    return placed, "level", camera, (WILD_SIZE_PX, WILD_SIZE_PX)


def view_from(world: np.ndarray, camera: Camera, baseline_mm: float, distort: bool = False) -> CameraView:
    """The poses in the view of `camera` and of its twin moved by `baseline_mm`; pixels are NaN behind the camera.

    Args:
      world: [n, 17, 3] mm.
      baseline_mm: how far poses are moved along +x for the right view; 0: no right view.
      distort: through the camera's lens distortion, or as a pinhole.
    """
    lens = camera.distortion if distort else None

    def pixels(points: np.ndarray) -> np.ndarray:
        projected = pose_cameras.project(points, camera.intrinsics, lens, camera.distortion_model)
        return projected.astype(np.float32)

    poses = camera.to_camera(world)
    roots = poses[:, POSE17.root]
    with np.errstate(invalid="ignore", over="ignore"):  # poses that are out of reach
        flat = pixels(poses)
        reach = np.abs(poses).max((1, 2)) < _FARTHEST_MM
        in_reach = reach & ~(np.abs(flat).max((1, 2)) >= _FARTHEST_PX)
    return CameraView(
        poses_3d=(poses - roots[:, None]).astype(np.float32),
        roots=roots.astype(np.float32),
        poses_2d=flat,
        right_2d=pixels(pose_cameras.right_view(poses, baseline_mm)) if baseline_mm else None,
        nearest_mm=poses[..., 2].min(1),
        in_reach=in_reach,
    )
