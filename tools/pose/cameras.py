"""Cameras: intrinsics, calibrated cameras and Human3.6M's two calibration files.

The formulas are in `tools.pose.projection`, whose conventions hold here, and are offered from here too.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.cli.errors import InputError
from tools.files import hdf5, inputs
from tools.pose import bounds
from tools.pose.projection import (
    DISTORTION_MODELS,
    RELEASED_BASELINE_MM,
    back_project,
    camera_to_world,
    change_intrinsics,
    distort,
    in_front,
    project,
    rays,
    right_view,
    undistort,
    undistort_pixels,
    world_to_camera,
)

__all__ = [
    "BODY_MM",
    "DISTORTION_MODELS",
    "NOMINAL_MM",
    "RELEASED_BASELINE_MM",
    "RELEASED_RIGHT_VIEW_INTRINSICS",
    "SEARCH_INTRINSICS",
    "Camera",
    "back_project",
    "camera_to_world",
    "change_intrinsics",
    "distort",
    "format_intrinsics",
    "in_front",
    "intrinsics_from_fov",
    "intrinsics_from_size",
    "load_h36m_h5",
    "load_h36m_json",
    "parse_intrinsics",
    "project",
    "rays",
    "right_view",
    "undistort",
    "undistort_pixels",
    "world_to_camera",
]

# The geometric search of the release assumes this camera; here it is the one camera of all stages.
SEARCH_INTRINSICS = (1145.049, 1143.781, 512.0, 515.0)
# A pose whose intrinsics are unknown is taken to stand at this distance (docs/cameras.md: the nominal distance).
NOMINAL_MM = 5000.0
# Root-mean-square distance of the joints from their middle, across the view, in mm: size times distance. The average
# over the training views.
BODY_MM = 440.0
# The release's right-view generation and cam2pixel: rounded, and with the principal point's coordinates swapped.
RELEASED_RIGHT_VIEW_INTRINSICS = (1145.0, 1143.0, 515.0, 512.0)


def intrinsics_from_fov(fov_deg: float, width: float, height: float, axis: str = "x") -> np.ndarray:
    """Intrinsics ``[4]`` float64 of a camera with square pixels and its principal point in the middle of the picture.

    Args:
        fov_deg: full angle of view in degrees, between 0.01 and 180.
        width: of the picture in pixels.
        height: of the picture in pixels.
        axis: what the angle spans: ``x`` the width, ``y`` the height, ``diagonal`` the diagonal.

    Raises:
        InputError: an angle or a size out of range.
    """
    if not 0.01 <= fov_deg < 180:
        raise InputError(f"field of view {fov_deg:g}: expected degrees between 0.01 and 180")
    if not bounds.good_size(width, height):
        raise InputError(f"image size {width} x {height}: expected positive numbers of at most 100,000 pixels")
    spans = {"x": width, "y": height, "diagonal": math.hypot(width, height)}
    names = {"x": "width", "y": "height", "diagonal": "diagonal"}
    if axis not in spans:
        raise ValueError(f"unknown axis {axis!r}: expected one of {', '.join(spans)}")
    focal = spans[axis] / 2 / math.tan(math.radians(fov_deg) / 2)
    if not bounds.good_camera(focal, focal, width / 2, height / 2):
        share = f"a focal length of {focal / spans[axis]:.2g} times the picture's {names[axis]}"
        raise InputError(f"field of view {fov_deg:g}: {share}; {bounds.EXPECTED_INTRINSICS}")
    return np.array([focal, focal, width / 2, height / 2])


FILM_MM = 43.267  # diagonal of 35 mm film, 36 mm x 24 mm


def intrinsics_from_size(sizes: np.ndarray, film_mm: npt.ArrayLike = FILM_MM) -> np.ndarray:
    """Intrinsics ``[..., 4]`` float32 that are assumed for pictures of unknown cameras; NaN where a size is not known.

    The focal length is the picture's diagonal, that of a 43 mm lens on 35 mm film, and the principal point its middle:
    Kissos et al., "Beyond weak perspective for monocular 3D human pose estimation" (ECCV workshops 2020).

    Args:
        sizes: ``[..., 2]`` widths and heights in pixels; not positive where unknown.
        film_mm: ``[...]`` focal lengths equivalent on 35 mm film, where they are known; not positive where they aren't,
            which makes the intrinsics unknown.
    """
    sizes = np.asarray(sizes, np.float32)
    sizes = np.where((sizes > 0).all(-1, keepdims=True), sizes, np.float32(np.nan))
    film_mm = np.asarray(film_mm, np.float32)
    focal = np.hypot(sizes[..., 0], sizes[..., 1]) * np.where(film_mm > 0, film_mm / FILM_MM, np.nan)
    sizes = np.where(np.isfinite(focal)[..., None], sizes, np.float32(np.nan))
    return np.stack([focal, focal, sizes[..., 0] / 2, sizes[..., 1] / 2], -1).astype(np.float32)


def parse_intrinsics(text: str, image_size: tuple[float, float] | None = None) -> np.ndarray:
    """Intrinsics ``[4]`` float64 from ``fx,fy,cx,cy`` in pixels or from ``fov:DEGREES`` (across the picture's width).

    Args:
        text: what the user gave.
        image_size: (width, height) in pixels; ``fov:`` needs it.

    Raises:
        InputError: neither of the two forms, numbers out of range, or a field of view without the size of the picture.
    """
    form = f"intrinsics {text!r}: expected fx,fy,cx,cy in pixels or fov:DEGREES"
    kind, colon, value = text.strip().partition(":")
    try:
        numbers = [float(part) for part in (value if colon else text).split(",")]
    except ValueError:
        raise InputError(form) from None
    if colon:
        if kind.strip() != "fov" or len(numbers) != 1:
            raise InputError(form)
        if image_size is None:
            raise InputError(f"intrinsics {text!r}: a field of view needs the size of the picture")
        return intrinsics_from_fov(numbers[0], *image_size)
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise InputError(form)
    if min(numbers[:2]) <= 0:
        raise InputError(f"intrinsics {text!r}: focal lengths must be positive")
    if not bounds.good_intrinsics(np.array(numbers)):
        raise InputError(f"intrinsics {text!r}: {bounds.EXPECTED_INTRINSICS}")
    return np.array(numbers)


def format_intrinsics(intrinsics: np.ndarray) -> str:
    """``fx,fy,cx,cy`` from ``[4]``, with digits enough for `parse_intrinsics` to give the same numbers back."""
    return ",".join(repr(float(value)) for value in np.asarray(intrinsics).reshape(4))


_MOST_LETTERS = 100  # of a camera's name
_MOST_BYTES = 64 << 20  # of a file of cameras


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: X_cam = R X + t, then `project` with its intrinsics and distortion.

    Attributes (float64 arrays):
        intrinsics: ``[4]`` fx, fy, cx, cy in pixels.
        distortion: ``[5]`` k1, k2, p1, p2, k3, or None for a pinhole.
        rotation: ``[3, 3]`` R, a rotation matrix; translation: ``[3]`` t in mm.
        name: what the data set calls it.
        distortion_model: ``opencv`` or ``release``, see `distort`.

    Raises:
        InputError: a wrong shape, a number that is not finite, no positive focal length, or R not a rotation.
    """

    intrinsics: np.ndarray
    distortion: np.ndarray | None = None
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))
    name: str = ""
    distortion_model: str = "opencv"

    def __post_init__(self) -> None:
        for field, shape in (("intrinsics", (4,)), ("distortion", (5,)), ("rotation", (3, 3)), ("translation", (3,))):
            value = getattr(self, field)
            if value is None and field == "distortion":
                continue
            try:
                array = np.array(value, np.float64)
            except (TypeError, ValueError):
                raise InputError(f"camera {self.name}: {field} is not an array of numbers") from None
            if array.shape != shape:
                raise InputError(f"camera {self.name}: {field} has shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                raise InputError(f"camera {self.name}: {field} has numbers that are not finite")
            array.flags.writeable = False
            object.__setattr__(self, field, array)
        if (self.intrinsics[:2] <= 0).any():
            raise InputError(f"camera {self.name}: focal lengths must be positive")
        if not bounds.good_intrinsics(self.intrinsics):
            raise InputError(f"camera {self.name}: intrinsics {format_intrinsics(self.intrinsics)}: "
                             f"{bounds.EXPECTED_INTRINSICS}")  # fmt: skip
        off = np.abs(self.rotation @ self.rotation.T - np.eye(3)).max()
        if off > 1e-3 or np.linalg.det(self.rotation) < 0:
            raise InputError(
                f"camera {self.name}: rotation is not a rotation matrix (R R^T is off the identity by {off:.2g})"
            )
        if self.distortion_model not in DISTORTION_MODELS:
            known = ", ".join(DISTORTION_MODELS)
            raise InputError(f"camera {self.name}: distortion model {self.distortion_model!r} is not one of {known}")

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points ``[..., 3]`` mm in this camera's coordinates."""
        return world_to_camera(points, self.rotation, self.translation)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points ``[..., 3]`` mm of this camera's coordinates in the world."""
        return camera_to_world(points, self.rotation, self.translation)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels ``[..., 2]`` of points ``[..., 3]`` in *camera* coordinates."""
        return project(points, self.intrinsics, self.distortion, self.distortion_model)

    def back_project(self, pixels: np.ndarray, depth_mm: np.ndarray) -> np.ndarray:
        """Points ``[..., 3]`` mm in camera coordinates at pixels ``[..., 2]`` and depths ``[...]``."""
        return back_project(pixels, depth_mm, self.intrinsics, self.distortion, self.distortion_model)


def load_h36m_json(path: str | os.PathLike, distortion_model: str = "opencv") -> dict[tuple[int, str], Camera]:
    """Human3.6M's cameras from the public JSON (karfly/human36m-camera-parameters; X_cam = R X + t).

    Returns:
        dict of (subject number, camera name such as ``54138969``) -> `Camera`.

    Raises:
        InputError: no such file, not JSON, a missing key, or values that are no camera.
    """
    content = inputs.read_json(path, _MOST_BYTES)
    cameras = {}
    subjects = _entry(path, content, "extrinsics")
    if not isinstance(subjects, dict):
        raise InputError(f"{path}: extrinsics is no object of subjects")
    for subject in subjects:
        number = re.fullmatch(r"S(\d+)", subject)
        if not number:
            raise InputError(f"{path}: extrinsics has {subject!r}, expected subjects named S1, S5, ...")
        of_subject = _entry(path, content, "extrinsics", subject)
        if not isinstance(of_subject, dict):
            raise InputError(f"{path}: extrinsics/{subject} is no object of cameras")
        for name in of_subject:
            matrix = _numbers(path, (3, 3), content, "intrinsics", name, "calibration_matrix")
            cameras[int(number[1]), name] = _camera(
                f"{path}: {subject}",
                intrinsics=matrix[[0, 1, 0, 1], [0, 1, 2, 2]],
                distortion=_numbers(path, (5,), content, "intrinsics", name, "distortion"),
                rotation=_numbers(path, (3, 3), content, "extrinsics", subject, name, "R"),
                translation=_numbers(path, (3,), content, "extrinsics", subject, name, "t"),
                name=name,
                distortion_model=distortion_model,
            )
    if not cameras:
        raise InputError(f"{path}: holds no camera")
    return cameras


def load_h36m_h5(path: str | os.PathLike, distortion_model: str = "opencv") -> dict[tuple[int, str], Camera]:
    """Human3.6M's cameras from ``cameras.h5``.

    Its keys are ``subject%d/camera%d/{R,T,f,c,k,p,Name}``; R is stored transposed and X_cam = R (X - T).

    Returns:
        dict of (subject number, camera name such as ``54138969``) -> `Camera`, whose translation is -R T.

    Raises:
        InputError: no such file, not HDF5, a missing key, or values that are no camera.
    """
    cameras = {}
    with hdf5.open_file(path, "cameras of Human3.6M") as file:
        for subject in file:
            number = re.fullmatch(r"subject(\d+)", subject)
            if not number:
                continue
            for key in _entry(path, file, subject):
                place = (subject, key)
                rotation = _numbers(path, (3, 3), file, *place, "R").T
                centre = _numbers(path, (3,), file, *place, "T")
                name = _text(path, file, *place, "Name")
                radial, tangential = _numbers(path, (3,), file, *place, "k"), _numbers(path, (2,), file, *place, "p")
                cameras[int(number[1]), name] = _camera(
                    f"{path}: {subject}/{key}",
                    intrinsics=np.concatenate(
                        [_numbers(path, (2,), file, *place, "f"), _numbers(path, (2,), file, *place, "c")]
                    ),
                    distortion=np.concatenate([radial[:2], tangential, radial[2:]]),
                    rotation=rotation,
                    translation=-rotation @ centre,
                    name=name,
                    distortion_model=distortion_model,
                )
    if not cameras:
        raise InputError(f"{path}: holds no subject<number>/camera<number>")
    return cameras


def _camera(place: str, **fields: Any) -> Camera:
    try:
        return Camera(**fields)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _entry(path: str | os.PathLike, content: Any, *keys: str) -> Any:
    """What lies under `keys` in nested dicts or HDF5 groups; a container unless it is read by `_numbers` or `_text`."""
    for depth, key in enumerate(keys):
        try:
            content = content[key]
        except (KeyError, TypeError, IndexError, ValueError):
            raise InputError(f"{path}: no entry {'/'.join(keys[: depth + 1])}") from None
    return content


def _numbers(path: str | os.PathLike, shape: tuple[int, ...], content: Any, *keys: str) -> np.ndarray:
    """The entry as float64 of `shape`; axes of length 1 do not matter, since both files hold columns."""
    value = _entry(path, content, *keys)
    place = f"{path}: {'/'.join(keys)}"
    try:
        array = np.asarray(value[()] if hasattr(value, "dtype") else value, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{place} is not an array of numbers") from None
    if array.squeeze().shape != shape:
        raise InputError(f"{place} has shape {array.shape}, expected {shape}")
    return array.squeeze()


def _text(path: str | os.PathLike, content: Any, *keys: str) -> str:
    """The entry as a string: text, or a MATLAB character array (numbers of letters)."""
    value = np.asarray(_entry(path, content, *keys)[()])
    if value.dtype.kind in "uif":
        letters = value.ravel()[:_MOST_LETTERS].tolist()
        if not all(0 < letter < 0xD800 for letter in letters):
            raise InputError(f"{path}: {'/'.join(keys)} is not a name")
        return "".join(chr(int(letter)) for letter in letters)
    text = value.item() if value.size == 1 else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if not isinstance(text, str) or not text:
        raise InputError(f"{path}: {'/'.join(keys)} is not a name")
    return text
