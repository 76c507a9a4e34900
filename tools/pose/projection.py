"""The formulas of cameras: projection, lens distortion, world and camera coordinates.

Axes are x right, y down, z away from the camera; lengths are millimetres, pictures are pixels. `intrinsics` is
``[..., 4]`` (fx, fy, cx, cy) and `distortion` ``[..., 5]`` (k1, k2, p1, p2, k3), OpenCV's order; both, like rotations
and translations, are either one for all points or have as many leading axes as the points, so that one camera for each
pose of ``[N, 17, 3]`` is ``[N, 1, 4]``.

Every formula is written once, for NumPy and TensorFlow: with a tensor among the arguments the result is a tensor (also
inside `tf.function`), otherwise an array. All arguments are taken in the floating type of the first; anything else than
floating numbers becomes float64.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

RELEASED_BASELINE_MM = 500.0
# np.ndarray, tf.Tensor, or what NumPy makes an array of.
Array = Any

# Weight of the tangential terms along the ray: OpenCV's is 2, Human3.6M's own code and the release have 1.
DISTORTION_MODELS = {"opencv": 2.0, "release": 1.0}
UNDISTORT_STEPS = 12


def _prepare(first: Array, *others: Array | None) -> tuple:
    """NumPy or TensorFlow, the NaN of the common type, and the arguments in that type (None stays None)."""
    # A tensor among the arguments means that TensorFlow is imported already; for arrays it never needs to be.
    tensorflow: Any = sys.modules.get("tensorflow")
    is_tensor = getattr(tensorflow, "is_tensor", lambda _: False)
    if any(is_tensor(value) for value in (first, *others)):
        if is_tensor(first):
            dtype = first.dtype if first.dtype.is_floating else tensorflow.float64
        else:
            kind = np.asarray(first).dtype
            dtype = tensorflow.as_dtype(kind if kind.kind == "f" else np.float64)

        def convert(value: Array) -> Array:
            return tensorflow.cast(value if is_tensor(value) else np.asarray(value), dtype)

        module, nan = tensorflow, np.array(np.nan, dtype.as_numpy_dtype)
    else:
        kind = np.asarray(first).dtype
        kind = kind if kind.kind == "f" else np.dtype(np.float64)

        def convert(value: Array) -> Array:
            return np.asarray(value, kind)

        module, nan = np, np.array(np.nan, kind)
    return (module, nan, *(None if value is None else convert(value) for value in (first, *others)))


def _shape(array: Array) -> tuple[int | None, ...] | None:
    """The shape as a tuple, None for sizes that a graph does not know yet; None when not even their number is known."""
    return None if getattr(array.shape, "rank", 0) is None else tuple(array.shape)


def _check(name: str, array: Array, last: tuple[int, ...], points: Array | None = None) -> None:
    """Raises ValueError unless `array` ends with the shape `last` and its other axes fit those of `points`."""
    shape = None if array is None else _shape(array)
    if shape is None:
        return
    tail = shape[len(shape) - len(last) :]
    if len(shape) < len(last) or any(size not in (None, wanted) for size, wanted in zip(tail, last)):
        raise ValueError(f"{name} must end with the shape {list(last)}, not {list(shape)}")
    like = None if points is None else _shape(points)
    # Without this rule, intrinsics [17, 4] of 17 poses [17, 17, 3] would silently become one camera for each joint.
    if like is not None and len(shape) - len(last) not in (0, len(like) - 1):
        raise ValueError(
            f"{name} {list(shape)} must be one for all points {list(like)} or have as many leading axes as they: "
            "insert axes of length 1"
        )


def _distort(
    x: Array, y: Array, distortion: Array, factor: float
) -> tuple[Array, Array, tuple[Array, Array, Array, Array]]:
    """Distorted normalised coordinates and their four derivatives (xx, xy, yx, yy)."""
    k1, k2, p1, p2, k3 = (distortion[..., i] for i in range(5))
    r2 = x * x + y * y
    slope = k1 + r2 * (2.0 * k2 + r2 * (3.0 * k3))
    along = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)) + factor * (p1 * y + p2 * x)
    along_x, along_y = 2.0 * x * slope + factor * p2, 2.0 * y * slope + factor * p1
    derivatives = (
        along + x * along_x + 2.0 * p2 * x,
        x * along_y + 2.0 * p2 * y,
        y * along_x + 2.0 * p1 * x,
        along + y * along_y + 2.0 * p1 * y,
    )
    return x * along + p2 * r2, y * along + p1 * r2, derivatives


def _factor(model: str) -> float:
    if model not in DISTORTION_MODELS:
        raise ValueError(f"unknown distortion model {model!r}: expected one of {', '.join(DISTORTION_MODELS)}")
    return DISTORTION_MODELS[model]


def distort(points: Array, distortion: Array | None, model: str = "opencv") -> Array:
    """Where the lens shows normalised points.

    Args:
        points: ``[..., 2]`` X/Z and Y/Z.
        distortion: ``[..., 5]`` k1, k2, p1, p2, k3.
        model: ``opencv``, or ``release`` for the tangential term of the release (see docs/reference.md, "Cameras").

    Returns:
        ``[..., 2]`` distorted normalised points.
    """
    xp, _, points, distortion = _prepare(points, distortion)
    _check("points", points, (2,))
    _check("distortion", distortion, (5,), points)
    x, y, _ = _distort(points[..., 0], points[..., 1], distortion, _factor(model))
    return xp.stack([x, y], axis=-1)


def undistort(points: Array, distortion: Array | None, model: str = "opencv") -> Array:
    """The inverse of `distort`, by Newton's method from the distorted points.

    Args:
        points: ``[..., 2]`` distorted normalised points.
        distortion: as for `distort`.
        model: as for `distort`.

    Returns:
        ``[..., 2]``; NaN for points that no ray reaches, beyond the radius where the polynomial folds back, and where
        the steps end on the far side of that fold.
    """
    xp, nan, points, distortion = _prepare(points, distortion)
    _check("points", points, (2,))
    _check("distortion", distortion, (5,), points)
    factor = _factor(model)
    target_x, target_y = points[..., 0], points[..., 1]
    x, y = target_x, target_y
    # Beyond the fold the steps may run away; those points fail the test at the end and need no warnings on their way.
    with np.errstate(all="ignore"):
        for _ in range(UNDISTORT_STEPS):
            seen_x, seen_y, (xx, xy, yx, yy) = _distort(x, y, distortion, factor)
            error_x, error_y = seen_x - target_x, seen_y - target_y
            determinant = xx * yy - xy * yx
            x = x - (yy * error_x - xy * error_y) / determinant
            y = y - (xx * error_y - yx * error_x) / determinant
        seen_x, seen_y, (xx, xy, yx, yy) = _distort(x, y, distortion, factor)
        # Some ten roundings of the coordinate's size; far below a thousandth of a pixel in either type.
        tolerance = 50.0 * float(np.finfo(nan.dtype).eps) * (1.0 + abs(target_x) + abs(target_y))
        # On the far side of the fold the polynomial turns the picture over (determinant) or mirrors the ray (trace).
        upright = (xx * yy - xy * yx > 0) & (xx + yy > 0)
        found = (abs(seen_x - target_x) + abs(seen_y - target_y) < tolerance) & upright
    return xp.where(found[..., None], xp.stack([x, y], axis=-1), nan)


def project(points: Array, intrinsics: Array, distortion: Array | None = None, model: str = "opencv") -> Array:
    """The pixels where a camera sees points given in its own coordinates.

    Args:
        points: ``[..., 3]`` camera coordinates; any length unit.
        intrinsics: ``[..., 4]`` fx, fy, cx, cy in pixels.
        distortion: ``[..., 5]`` or None for a pinhole; model: as for `distort`.

    Returns:
        ``[..., 2]`` pixels; NaN for points at or behind the camera (z <= 0, see `in_front`).
    """
    xp, nan, points, intrinsics, distortion = _prepare(points, intrinsics, distortion)
    _check("points", points, (3,))
    _check("intrinsics", intrinsics, (4,), points)
    _check("distortion", distortion, (5,), points)
    front = points[..., 2] > 0
    # Dividing by 1 where there is nothing to see keeps gradients and warnings clean; the result there is NaN.
    depth = xp.where(front, points[..., 2], xp.ones_like(points[..., 2]))
    x, y = points[..., 0] / depth, points[..., 1] / depth
    if distortion is not None:
        x, y, _ = _distort(x, y, distortion, _factor(model))
    u = intrinsics[..., 0] * x + intrinsics[..., 2]
    v = intrinsics[..., 1] * y + intrinsics[..., 3]
    return xp.where(front[..., None], xp.stack([u, v], axis=-1), nan)


def in_front(points: Array, min_depth_mm: float = 0.0) -> Array:
    """Whether points ``[..., 3]`` in camera coordinates lie farther away than `min_depth_mm`: bool ``[...]``."""
    _, _, points = _prepare(points)
    _check("points", points, (3,))
    return points[..., 2] > min_depth_mm


def rays(pixels: Array, intrinsics: Array, distortion: Array | None = None, model: str = "opencv") -> Array:
    """The rays through pixels, ``[..., 2]``: X/Z and Y/Z of everything seen there.

    Args:
        pixels: ``[..., 2]``; intrinsics, distortion, model: as for `project`.

    Returns:
        ``[..., 2]`` normalised coordinates with the lens distortion taken out; NaN as in `undistort`.
    """
    _, _, pixels, intrinsics, distortion = _prepare(pixels, intrinsics, distortion)
    _check("pixels", pixels, (2,))
    _check("intrinsics", intrinsics, (4,), pixels)
    normalised = (pixels - intrinsics[..., 2:]) / intrinsics[..., :2]
    return normalised if distortion is None else undistort(normalised, distortion, model)


def back_project(
    pixels: Array, depth_mm: Array, intrinsics: Array, distortion: Array | None = None, model: str = "opencv"
) -> Array:
    """The points ``[..., 3]`` mm, in camera coordinates, seen at `pixels` ``[..., 2]`` at depths `depth_mm` ``[...]``.

    The depth is z, not the distance along the ray; the other arguments are as for `project`, whose inverse this is.
    """
    xp, _, pixels, depth_mm, intrinsics, distortion = _prepare(pixels, depth_mm, intrinsics, distortion)
    _check("pixels", pixels, (2,))
    _check("depth_mm", depth_mm, (), pixels)
    directions = rays(pixels, intrinsics, distortion, model)
    depth_mm = depth_mm + xp.zeros_like(pixels[..., 0])
    return xp.stack([directions[..., 0] * depth_mm, directions[..., 1] * depth_mm, depth_mm], axis=-1)


def undistort_pixels(pixels: Array, intrinsics: Array, distortion: Array | None, model: str = "opencv") -> Array:
    """Pixels ``[..., 2]`` as the same camera without lens distortion would show them."""
    return change_intrinsics(pixels, intrinsics, intrinsics, distortion, model)


def change_intrinsics(
    pixels: Array, intrinsics: Array, new_intrinsics: Array, distortion: Array | None = None, model: str = "opencv"
) -> Array:
    """The rays through `pixels` seen again through a pinhole camera at the same place.

    Args:
        pixels: ``[..., 2]`` as the camera with `intrinsics` (and `distortion`, `model`) shows them.
        new_intrinsics: ``[..., 4]`` of the pinhole camera, which looks in the same direction.

    Returns:
        ``[..., 2]`` pixels; exact, since depth plays no part in it.
    """
    _, _, pixels, intrinsics, new_intrinsics, distortion = _prepare(pixels, intrinsics, new_intrinsics, distortion)
    _check("pixels", pixels, (2,))
    _check("new_intrinsics", new_intrinsics, (4,), pixels)
    return rays(pixels, intrinsics, distortion, model) * new_intrinsics[..., :2] + new_intrinsics[..., 2:]


def world_to_camera(points: Array, rotation: Array, translation: Array) -> Array:
    """X_cam = R X + t for points ``[..., 3]``, rotation ``[..., 3, 3]`` and translation ``[..., 3]``, all in mm."""
    xp, _, points, rotation, translation = _prepare(points, rotation, translation)
    _check("points", points, (3,))
    _check("rotation", rotation, (3, 3), points)
    _check("translation", translation, (3,), points)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    axes = [rotation[..., i, 0] * x + rotation[..., i, 1] * y + rotation[..., i, 2] * z for i in range(3)]
    return xp.stack(axes, axis=-1) + translation


def camera_to_world(points: Array, rotation: Array, translation: Array) -> Array:
    """X = R^T (X_cam - t), the inverse of `world_to_camera`; same arguments and shapes."""
    xp, _, points, rotation, translation = _prepare(points, rotation, translation)
    _check("points", points, (3,))
    _check("rotation", rotation, (3, 3), points)
    _check("translation", translation, (3,), points)
    moved = points - translation
    x, y, z = moved[..., 0], moved[..., 1], moved[..., 2]
    axes = [rotation[..., 0, i] * x + rotation[..., 1, i] * y + rotation[..., 2, i] * z for i in range(3)]
    return xp.stack(axes, axis=-1)


def right_view(points: Array, baseline_mm: float = RELEASED_BASELINE_MM) -> Array:
    """Points ``[..., 3]`` mm in camera coordinates as the second view has them: moved along +x by `baseline_mm`.

    The sign is the published one, called the right view there; geometrically it is what a camera `baseline_mm` to the
    *left* sees. A negative baseline gives the view of a camera to the right.
    """
    _, _, points, shift = _prepare(points, [baseline_mm, 0.0, 0.0])
    _check("points", points, (3,))
    return points + shift
