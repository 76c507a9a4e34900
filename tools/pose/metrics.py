"""Errors of predicted poses: MPJPE and its aligned forms, velocities, PCK, and their means over poses.

All functions take predictions and truth of one shape ``[..., J, D]`` and a `joint_mask` ``[..., J]`` (bool or float,
True (> 0) = usable; None = all), compute in float64, in chunks, and return one number for each pose ``[...]`` or, with
`per_joint`, for each joint ``[..., J]``. They share these rules:

- an unusable joint may be NaN in both arrays and counts nowhere; per joint it is NaN;
- a pose without a usable joint is NaN. `mean_error` leaves NaN out of the mean and counts them;
- NaN at a *usable* joint (no prediction) makes the pose's error NaN, but is a miss for the PCK measures;
- shapes that do not belong together raise ValueError.

Lengths are in the unit of the poses, mm throughout this project; PCK and AUC are percentages, as papers print them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tools.pose import procrustes
from tools.pose.procrustes import Alignment, procrustes_align

__all__ = [
    "AUC_THRESHOLDS_MM",
    "HEAD_SEGMENT",
    "PCK_3D_THRESHOLD_MM",
    "Alignment",
    "MeanError",
    "acceleration_error",
    "auc_3d",
    "mean_error",
    "mpjpe",
    "mpjve",
    "n_mpjpe",
    "p_mpjpe",
    "pck_3d",
    "pckh",
    "procrustes_align",
    "root_depth_error",
]

# Fixed by the release: PCKh measures in heads of the 17 joints' own first two, Head and Neck/Nose.
HEAD_SEGMENT = (0, 1)
# MPI-INF-3DHP (Mehta et al., 3DV 2017): 3DPCK at 150 mm; the AUC is the plain mean of 3DPCK over these 31 thresholds.
PCK_3D_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM = np.arange(0.0, 151.0, 5.0)


class MeanError(NamedTuple):
    """A mean (NaN of nothing), how many errors it is over, and how many were NaN and left out."""

    mean: float
    count: int  # type: ignore[assignment]  # the word for it, though tuples have a method of that name
    left_out: int


def mean_error(errors: np.ndarray | Sequence[float]) -> MeanError:
    """The `MeanError` of errors of any shape."""
    errors = np.asarray(errors, np.float64)
    counted = ~np.isnan(errors)
    count = int(np.count_nonzero(counted))
    mean = float(np.sum(errors, where=counted) / count) if count else float("nan")
    return MeanError(mean, count, errors.size - count)


def mpjpe(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None, per_joint: bool = False
) -> np.ndarray:
    """Mean per-joint position error, protocol 1: the mean distance of the usable joints, for each pose.

    Args:
        predicted: ``[..., J, D]``, both root-relative or both absolute; 2D or 3D.
        truth: the same of the true poses.
        joint_mask: ``[..., J]``, usable joints.
        per_joint: distances ``[..., J]`` instead of their mean.

    Returns:
        ``[...]`` or ``[..., J]``, in the poses' unit.
    """
    return _evaluate(_distances, predicted, truth, joint_mask, per_joint)


def p_mpjpe(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None, per_joint: bool = False
) -> np.ndarray:
    """MPJPE after Procrustes alignment with scale and without mirroring, protocol 2 (see `procrustes_align`).

    Args:
        predicted: ``[..., J, 3]``.
        truth: the same of the true poses.
        joint_mask: as for `mpjpe`; it also rules the alignment.
        per_joint: as for `mpjpe`.

    Returns:
        ``[...]`` or ``[..., J]``; NaN also for one or two usable joints, which any alignment fits without error.
    """

    def distances(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
        return procrustes.aligned_errors(pose, truth, usable)

    return _evaluate(distances, predicted, truth, joint_mask, per_joint, dimensions=3)


def n_mpjpe(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None, per_joint: bool = False
) -> np.ndarray:
    """MPJPE after scaling each prediction by the factor of least squares (Rhodin et al., CVPR 2018).

    The poses are scaled about their origin, so they should be root-relative. A factor may be negative, where a
    prediction points away from its truth; a prediction of zeros stays zero.

    Args, returns: as for `mpjpe`.
    """

    def distances(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
        keep = True if usable is None else usable[:, None]
        size = np.sum(pose * pose, axis=(0, 1), where=keep)
        fitting = np.sum(pose * truth, axis=(0, 1), where=keep)
        factor = np.where(size == 0, 0.0, fitting / np.where(size == 0, 1.0, size))
        return _distances(pose * factor, truth, usable, rows)

    return _evaluate(distances, predicted, truth, joint_mask, per_joint)


def mpjve(
    predicted: np.ndarray,
    truth: np.ndarray,
    sequence: np.ndarray,
    joint_mask: np.ndarray | None = None,
    fps: float | None = None,
    per_joint: bool = False,
) -> np.ndarray:
    """Mean per-joint velocity error: the length of the difference of the two displacements from the frame before.

    Args:
        predicted: ``[N, J, D]``, the frames of sequences in order, each sequence in one piece.
        truth: the same of the true poses.
        sequence: ``[N]`` of anything comparable: which sequence each frame belongs to. No displacement is taken from
            the last frame of one sequence to the first of the next.
        joint_mask: ``[N, J]``; a joint counts where it is usable in both frames.
        fps: frames per second, one number or ``[N]``; None leaves the error in mm a frame instead of mm a second.

    Returns:
        ``[N]`` or, with per_joint, ``[N, J]``; NaN for each sequence's first frame, so that it lines up with the other
        errors of the same frames.
    """
    predicted, truth, usable, leading = procrustes.check_pairs(predicted, truth, joint_mask)
    sequence = np.asarray(sequence)
    if len(leading) != 1 or sequence.shape != leading:
        raise ValueError(f"sequence {sequence.shape} must be [N] of poses [N, joints, coordinates], {leading} here")
    frames, joints, _ = predicted.shape
    errors = np.full((frames, joints) if per_joint else frames, np.nan)
    if frames > 1:
        both = np.repeat((sequence[1:] == sequence[:-1])[:, None], joints, axis=1)
        if usable is not None:
            both &= usable[1:] & usable[:-1]

        def distances(
            pose: np.ndarray, truth_here: np.ndarray, usable_here: np.ndarray | None, rows: slice
        ) -> np.ndarray:
            before, truth_before = procrustes.poses_last(predicted[rows]), procrustes.poses_last(truth[rows])
            return _distances(pose - before, truth_here - truth_before, usable_here, rows)

        errors[1:] = _evaluate(distances, predicted[1:], truth[1:], both, per_joint)
    if fps is not None:
        rate = np.broadcast_to(np.asarray(fps, np.float64), (frames,))
        errors *= rate[:, None] if per_joint else rate
    return errors


def acceleration_error(
    predicted: np.ndarray, truth: np.ndarray | None, sequence: np.ndarray, fps: float | None = None
) -> np.ndarray:
    """Mean per-joint acceleration error: the length of the difference of the two second differences about each frame.

    Args:
        predicted: ``[N, J, D]``.
        truth: the same of the true poses; None: against 0, so that it is the acceleration itself.
        sequence: ``[N]``; as for `mpjve`: nothing is taken across the ends of sequences.
        fps: frames per second; None leaves the error in mm a frame squared instead of mm a second squared.

    Returns:
        ``[N]``; NaN for each sequence's first and last frame and where a neighbour is NaN.
    """
    predicted, sequence = np.asarray(predicted, np.float64), np.asarray(sequence)
    truth = np.zeros_like(predicted) if truth is None else np.asarray(truth, np.float64)
    if predicted.ndim != 3 or predicted.shape != truth.shape or sequence.shape != predicted.shape[:1]:
        raise ValueError(f"poses {predicted.shape} and {truth.shape} must be [N, J, D], sequence {sequence.shape} [N]")
    errors = np.full(len(predicted), np.nan)
    if len(predicted) > 2:
        second = np.diff(predicted - truth, 2, axis=0)
        inside = (sequence[1:-1] == sequence[:-2]) & (sequence[1:-1] == sequence[2:])
        errors[1:-1] = np.where(inside, np.linalg.norm(second, axis=-1).mean(-1), np.nan)
    return errors if fps is None else errors * float(fps) ** 2


def pckh(
    predicted: np.ndarray,
    truth: np.ndarray,
    joint_mask: np.ndarray | None = None,
    head_sizes: np.ndarray | None = None,
    head_joints: tuple[int, int] = HEAD_SEGMENT,
    threshold: float = 0.5,
    per_joint: bool = False,
) -> np.ndarray:
    """PCKh: the percentage of usable joints that are nearer to the truth than `threshold` head sizes.

    Args:
        predicted: ``[..., J, 2]`` pixels (or any unit).
        truth: the same of the true poses.
        joint_mask: as for `mpjpe`.
        head_sizes: ``[...]`` in the poses' unit; None takes the distance of `head_joints` in the truth of each pose.
        threshold: 0.5 is the usual PCKh@0.5.

    Returns:
        ``[...]`` percent, or ``[..., J]`` of 0 and 100. NaN for poses without a head size: not given, or one of the
        head joints unusable.
    """
    predicted, truth, usable, leading = procrustes.check_pairs(predicted, truth, joint_mask)
    first, last = head_joints
    if head_sizes is None:
        sizes = np.linalg.norm(np.asarray(truth[:, first], np.float64) - truth[:, last], axis=-1)
        if usable is not None:
            sizes = np.where(usable[:, first] & usable[:, last], sizes, np.nan)
    else:
        sizes = np.broadcast_to(np.asarray(head_sizes, np.float64), leading).reshape(-1)

    def hits(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
        near = 100.0 * (_distances(pose, truth, usable, rows) < threshold * sizes[rows])
        return np.where(np.isnan(sizes[rows]), np.nan, near)

    scores = _evaluate(hits, predicted, truth, usable, per_joint)
    return scores.reshape((*leading, *scores.shape[1:]))


def pck_3d(
    predicted: np.ndarray,
    truth: np.ndarray,
    joint_mask: np.ndarray | None = None,
    threshold_mm: float = PCK_3D_THRESHOLD_MM,
    per_joint: bool = False,
) -> np.ndarray:
    """3DPCK: the percentage of usable joints nearer to the truth than `threshold_mm` (MPI-INF-3DHP: 150 mm).

    Args:
        predicted: ``[..., J, 3]`` mm.
        truth: the same of the true poses.
        joint_mask: as for `mpjpe`.

    Returns:
        ``[...]`` percent, or ``[..., J]`` of 0 and 100.
    """

    def hits(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
        return 100.0 * (_distances(pose, truth, usable, rows) < threshold_mm)

    return _evaluate(hits, predicted, truth, joint_mask, per_joint)


def auc_3d(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray | None = None, per_joint: bool = False
) -> np.ndarray:
    """The mean of 3DPCK over the 31 thresholds 0, 5, ..., 150 mm, as MPI-INF-3DHP's evaluation takes it.

    No error is below 0 mm, so that a perfect prediction has 30/31 = 96.8 %, there as here.

    Args, returns: as for `pck_3d`; per joint one of 32 percentages.
    """

    def shares(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
        distances = _distances(pose, truth, usable, rows)
        # NaN sorts behind every threshold: a miss at all of them.
        above = len(AUC_THRESHOLDS_MM) - np.searchsorted(AUC_THRESHOLDS_MM, distances, side="right")
        return 100.0 / len(AUC_THRESHOLDS_MM) * above

    return _evaluate(shares, predicted, truth, joint_mask, per_joint)


def root_depth_error(predicted_depth_mm: np.ndarray, truth_depth_mm: np.ndarray, relative: bool = False) -> np.ndarray:
    """How far the root's absolute depth is off: mm, or percent of the true depth.

    Args:
        predicted_depth_mm: ``[...]`` z of the root in camera coordinates; NaN where there is none.
        truth_depth_mm: the same of the true root.

    Returns:
        ``[...]`` float64; NaN where either is.
    """
    predicted, truth = np.asarray(predicted_depth_mm, np.float64), np.asarray(truth_depth_mm, np.float64)
    if predicted.shape != truth.shape:
        raise ValueError(f"depths {predicted.shape} and {truth.shape} must have one shape")
    error = np.abs(predicted - truth)
    return 100.0 * error / truth if relative else error


def _distances(pose: np.ndarray, truth: np.ndarray, usable: np.ndarray | None, rows: slice) -> np.ndarray:
    """Distances ``[J, n]`` of joints ``[J, D, n]``."""
    off = pose - truth
    return np.sqrt(np.einsum("jdn,jdn->jn", off, off))


def _evaluate(
    score: Callable[..., np.ndarray],
    predicted: np.ndarray,
    truth: np.ndarray,
    joint_mask: np.ndarray | None,
    per_joint: bool,
    dimensions: int | None = None,
) -> np.ndarray:
    """Scores of all poses, by chunks: `score(pose, truth, usable, rows)` of ``[J, D, n]`` gives ``[J, n]``."""
    predicted, truth, usable, leading = procrustes.check_pairs(predicted, truth, joint_mask, dimensions)
    n, joints, _ = predicted.shape
    result = np.empty((n, joints) if per_joint else n)
    for start in range(0, n, procrustes.CHUNK):
        rows = slice(start, min(start + procrustes.CHUNK, n))
        keep = None if usable is None else usable[rows].T
        # NaN of unusable joints and of poses with none is meant; it needs no warnings.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scores = score(procrustes.poses_last(predicted[rows]), procrustes.poses_last(truth[rows]), keep, rows)
            if per_joint:
                result[rows] = scores.T if keep is None else np.where(keep, scores, np.nan).T
            elif keep is None:
                result[rows] = scores.mean(axis=0)
            else:
                result[rows] = np.sum(scores, axis=0, where=keep) / keep.sum(axis=0)
    return result.reshape((*leading, joints) if per_joint else leading)
