"""Procrustes alignment of many poses at once: the similarity transform that brings each pose nearest to its truth.

Own closed form instead of ``scipy.linalg`` or ``scipy.spatial.procrustes``: those align one pose at a time, and the
command that measures it is ``tools/benchmark.py metrics``. Inside, arrays are ``[J, 3, n]``, poses last: every step is
then a few operations on long rows, and no Python loop or small matrix product runs over the poses. The best rotation
comes from a closed form (`best_rotations`) instead of n singular value decompositions; the rare poses for which that
form is badly conditioned go through NumPy's SVD."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A similarity transform brings any two points onto any two others: errors over fewer than three joints mean nothing.
MIN_JOINTS = 3
# Poses at a time: their float64 copies and the intermediate rows stay in a core's own cache.
CHUNK = 2048
# Below this the closed form loses digits (about 1e-16 / conditioning^2 of them remain wrong); the SVD does not.
MIN_CONDITIONING = 1e-3
MAX_NEWTON_STEPS = 20
# Convergence is quadratic: after a step this small the error is below a rounding at any conditioning admitted above.
LAST_NEWTON_STEP = 1e-10


class Alignment(NamedTuple):
    """aligned ``[..., J, 3]`` = scale ``[...]`` * rotation ``[..., 3, 3]`` @ pose + translation ``[..., 3]``."""

    aligned: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def poses_last(poses: np.ndarray) -> np.ndarray:
    """Poses ``[n, J, D]`` as float64 ``[J, D, n]``, contiguous."""
    n, joints, dimensions = poses.shape
    return poses.reshape(n, joints * dimensions).T.astype(np.float64, order="C").reshape(joints, dimensions, n)


def best_rotations(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The proper rotations R that maximise trace(R^T C), for each of many covariances C.

    Args:
        covariance: ``[3, 3, n]``, C_ab = sum over joints of truth_a * pose_b.

    Returns:
        rotation ``[3, 3, n]`` and trace(R^T C) ``[n]``; the identity and 0 where C is 0, NaN where C is not finite.

    With C's singular values s1 >= s2 >= s3 (s3 with the sign of det C) the greatest trace is l = s1 + s2 + s3, the
    largest root of l^4 - 2 |C|^2 l^2 - 8 det(C) l + |C|^4 - 4 |cof C|^2. Markley's closed form (FOAM, Journal of the
    Astronautical Sciences 41(2), 1993) then is R = ((k + |C|^2) C + l cof C - C C^T C) / (k l - det C) with
    2 k = l^2 - |C|^2; its denominator, (s1 + s2)(s2 + s3)(s3 + s1), is its conditioning.
    """
    norm = np.sqrt(np.einsum("abn,abn->n", covariance, covariance))
    c = covariance / norm
    cofactor = np.empty_like(c)
    for a in range(3):
        for b in range(3):
            a1, a2, b1, b2 = (a + 1) % 3, (a + 2) % 3, (b + 1) % 3, (b + 2) % 3
            cofactor[a, b] = c[a1, b1] * c[a2, b2] - c[a1, b2] * c[a2, b1]
    determinant = c[0, 0] * cofactor[0, 0] + c[0, 1] * cofactor[0, 1] + c[0, 2] * cofactor[0, 2]
    constant = 1.0 - 4.0 * np.einsum("abn,abn->n", cofactor, cofactor)

    # With |C| = 1 the root l lies in [1, sqrt(3)] and (l^2 - 1)^2 = 4 |cof C|^2 + 8 det(C) l, which bounds it from
    # above; from there Newton's method falls monotonically to it.
    bound = 1.0 - constant + 8.0 * determinant * np.where(determinant > 0, np.sqrt(3.0), 1.0)
    trace = np.sqrt(1.0 + np.sqrt(np.maximum(bound, 0.0)))
    for _ in range(MAX_NEWTON_STEPS):
        square = trace * trace
        value = (square - 2.0) * square - 8.0 * determinant * trace + constant
        step = value / (4.0 * (square - 1.0) * trace - 8.0 * determinant)
        trace -= step
        if not (np.abs(step) > LAST_NEWTON_STEP).any():
            break

    k = 0.5 * (trace * trace - 1.0)
    conditioning = k * trace - determinant
    gram = np.empty_like(c)
    for a in range(3):
        for b in range(a, 3):
            gram[a, b] = gram[b, a] = c[a, 0] * c[b, 0] + c[a, 1] * c[b, 1] + c[a, 2] * c[b, 2]
    along, across = (k + 1.0) / conditioning, trace / conditioning
    rotation = np.empty_like(c)
    for a in range(3):
        for b in range(3):
            cubic = gram[a, 0] * c[0, b] + gram[a, 1] * c[1, b] + gram[a, 2] * c[2, b]
            rotation[a, b] = along * c[a, b] + across * cofactor[a, b] - cubic / conditioning

    well = (conditioning > MIN_CONDITIONING) & (np.abs(step) <= LAST_NEWTON_STEP)
    if not well.all():
        empty = norm == 0
        rotation[..., empty], trace[empty] = np.eye(3)[..., None], 0.0
        rows = np.flatnonzero(~well & ~empty & np.isfinite(norm))
        if len(rows):
            rotation[..., rows], trace[rows] = _rotations_by_svd(c[..., rows])
    return rotation, trace * norm


def _rotations_by_svd(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, singular, vt = np.linalg.svd(np.moveaxis(covariance, -1, 0))
    sign = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    u[..., 2] *= sign[:, None]
    return np.moveaxis(u @ vt, 0, -1), singular[:, 0] + singular[:, 1] + sign * singular[:, 2]


def fit(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The least-squares similarity transforms of poses onto their truth.

    Args:
        pose, truth: float64 ``[J, 3, n]``.
        usable: bool ``[J, n]``: which joints count (others may be NaN); None for all.

    Returns:
        (centred pose ``[J, 3, n]``, centred truth, scale times rotation ``[3, 3, n]``, rotation, scale ``[n]``, centre
        of the pose ``[3, n]``, centre of the truth ``[3, n]``). The scale is 0 for a pose whose joints coincide, which
        then fits best as one point; fewer than `MIN_JOINTS` usable joints give NaN. Unusable joints come back as 0.
    """
    if usable is None:
        counts = np.full(pose.shape[-1], float(len(pose)))
        pose_centre, truth_centre = pose.mean(axis=0), truth.mean(axis=0)
        pose, truth = pose - pose_centre, truth - truth_centre
    else:
        keep = usable[:, None]
        counts = usable.sum(axis=0, dtype=np.float64)
        pose_centre = np.where(keep, pose, 0.0).sum(axis=0) / counts
        truth_centre = np.where(keep, truth, 0.0).sum(axis=0) / counts
        pose, truth = np.where(keep, pose - pose_centre, 0.0), np.where(keep, truth - truth_centre, 0.0)
    size = np.einsum("jan,jan->n", pose, pose)
    covariance = np.empty((3, 3, len(counts)))
    for a in range(3):
        for b in range(3):
            np.einsum("jn,jn->n", truth[:, a], pose[:, b], out=covariance[a, b])
    rotation, trace = best_rotations(covariance)
    # Joints that coincide differ after centring by roundings of their position; those must not be blown up to a pose.
    roundings = counts * (pose_centre**2).sum(axis=0) * (32 * np.finfo(np.float64).eps) ** 2
    point = size <= roundings
    scale = np.where(point, 0.0, trace / np.where(point, 1.0, size))
    scale[counts < MIN_JOINTS] = np.nan
    return pose, truth, scale * rotation, rotation, scale, pose_centre, truth_centre


def aligned_errors(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None = None) -> np.ndarray:
    """Distances ``[J, n]`` of the joints of aligned poses to their truth; arguments as for `fit`."""
    pose, truth, transform, *_ = fit(pose, truth, usable)
    squared = 0.0
    for a in range(3):
        off = transform[a, 0] * pose[:, 0]
        off += transform[a, 1] * pose[:, 1]
        off += transform[a, 2] * pose[:, 2]
        off -= truth[:, a]
        off *= off
        squared = squared + off
    return np.sqrt(squared)


def procrustes_align(predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None) -> Alignment:
    """Poses moved, turned and scaled, never mirrored, to lie nearest to their truth (least squares over usable joints).

    Args:
        predicted: ``[..., J, 3]``.
        truth: of the same shape and unit.
        joint_mask: ``[..., J]`` bool or float, True (> 0) = usable; unusable joints may be NaN and have no weight, but
            are moved along with the others.

    Returns:
        `Alignment`, all float64: NaN for poses with fewer than three usable joints or with NaN at a usable one. A pose
        whose usable joints coincide gets scale 0: all its joints at the truth's centre.

    Raises:
        ValueError: shapes that do not belong together.
    """
    predicted, truth, usable, leading = check_pairs(predicted, truth, joint_mask, dimensions=3)
    n, joints, _ = predicted.shape
    aligned, scale = np.empty((n, joints, 3)), np.empty(n)
    rotation, translation = np.empty((n, 3, 3)), np.empty((n, 3))
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        pose = poses_last(predicted[rows])
        with np.errstate(all="ignore"):
            _, _, transform, turn, scale[rows], pose_centre, truth_centre = fit(
                pose, poses_last(truth[rows]), None if usable is None else usable[rows].T
            )
            turn = np.where(np.isnan(scale[rows]), np.nan, turn)
            moved = truth_centre - np.einsum("abn,bn->an", transform, pose_centre)
            aligned[rows] = np.einsum("abn,jbn->nja", transform, pose) + moved.T[:, None]
        rotation[rows], translation[rows] = np.moveaxis(turn, -1, 0), moved.T
    return Alignment(
        aligned.reshape(*leading, joints, 3),
        scale.reshape(leading),
        rotation.reshape(*leading, 3, 3),
        translation.reshape(*leading, 3),
    )


def check_pairs(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None, dimensions: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, tuple[int, ...]]:
    """Predictions and truth as ``[n, J, D]``, the mask as bool ``[n, J]`` (or None), and the leading shape they had.

    Raises:
        ValueError: shapes that do not belong together.
    """
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    if predicted.shape != truth.shape or predicted.ndim < 2:
        raise ValueError(
            f"predicted {predicted.shape} and truth {truth.shape} must have one shape [..., joints, coordinates]"
        )
    *leading, joints, size = predicted.shape
    if joints == 0 or size == 0 or dimensions not in (None, size):
        raise ValueError(f"poses of shape {predicted.shape}: expected [..., joints, {dimensions or 'coordinates'}]")
    n = int(np.prod(leading))
    usable = None
    if joint_mask is not None:
        try:
            usable = np.broadcast_to(np.asarray(joint_mask) > 0, (*leading, joints)).reshape(n, joints)
        except ValueError:
            shape = np.shape(joint_mask)
            raise ValueError(f"joint_mask {shape} must be [..., joints] of poses {predicted.shape}") from None
    return predicted.reshape(n, joints, size), truth.reshape(n, joints, size), usable, tuple(leading)
