"""Figures of a lifter on poses whose truth is known: errors before and after the search, and what quality is worth."""

from __future__ import annotations

import dataclasses

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from label_generator.lifting.lifter import Lifter
from tools.cli.errors import InputError
from tools.pose import metrics
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics
from tools.pose.joints import POSE17

BATCH = 4096
DROPPED = (0.1, 0.2, 0.3)
GROUPS = 10  # of equal number by quality, in which expected and true errors are compared


@dataclasses.dataclass
class Evaluated:
    """Errors of n poses; every array [n], NaN where there is no label.

    Attributes:
      name: of the pose set.
      errors: by metric and moment, such as 'mpjpe' and 'mpjpe_before'; mm, % for PCK and AUC.
      depth_error: |predicted - true| root depth as a share of the true one. depth_error_sized: after scaling the
        predicted skeleton, and with it its depth, to the person's true size.
      quality, expected_error_mm: of the labels. signals: [n, S]. at_range_end: bool. reason: int.
      actions: [n] texts.
    """

    name: str
    errors: dict[str, np.ndarray]
    depth_error: np.ndarray
    depth_error_sized: np.ndarray
    quality: np.ndarray
    expected_error_mm: np.ndarray
    signals: np.ndarray
    at_range_end: np.ndarray
    reason: np.ndarray
    actions: np.ndarray

    def summary(self) -> dict[str, float]:
        """One figure each: means of the errors, medians of the depth errors, shares in %."""
        labelled = self.reason == 0
        if not labelled.any():
            raise InputError(f"{self.name}: none of its {len(labelled):,} poses got a label")
        figures = {
            name: float(np.nanmean(values)) for name, values in self.errors.items() if not np.isnan(values).all()
        }
        if np.isfinite(self.depth_error).any():
            figures["depth_error_percent"] = 100.0 * float(np.nanmedian(self.depth_error))
            figures["depth_error_sized_percent"] = 100.0 * float(np.nanmedian(self.depth_error_sized))
        figures["range_end_percent"] = 100.0 * float(self.at_range_end[labelled].mean())
        figures["labelled_percent"] = 100.0 * float(labelled.mean())
        figures["poses"] = len(labelled)
        figures.update(self.quality_figures())
        return figures

    def quality_figures(self) -> dict[str, float]:
        """Rank correlation of expected and true error, the expected error, by how much groups of labels miss theirs
        ('expected_off_percent', the mean over `GROUPS`), and the error of what remains when the worst are dropped."""
        error = self.errors["mpjpe"]
        usable = np.isfinite(error) & np.isfinite(self.quality)
        error, quality, expected = error[usable], self.quality[usable], self.expected_error_mm[usable]
        if len(error) < 3:
            return {}
        figures = {"spearman": spearman(-quality, error), "expected_mm": float(expected.mean())}
        promised, true = self.reliability()
        figures["expected_off_percent"] = 100.0 * float(np.mean(np.abs(promised / np.maximum(true, 1e-9) - 1.0)))
        order = np.argsort(-quality, kind="stable")
        for share in DROPPED:
            kept = order[: max(1, round(len(order) * (1.0 - share)))]
            figures[f"mpjpe_without_worst_{round(100 * share)}"] = float(error[kept].mean())
        return figures

    def reliability(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean expected and mean true error, mm, of up to `GROUPS` groups of equal number, best quality first."""
        error = self.errors["mpjpe"]
        usable = np.flatnonzero(np.isfinite(error) & np.isfinite(self.quality))
        order = usable[np.argsort(-self.quality[usable], kind="stable")]
        groups = np.array_split(order, min(GROUPS, len(order)))
        means = [(self.expected_error_mm[group].mean(), error[group].mean()) for group in groups]
        return tuple(np.array(means, np.float64).reshape(-1, 2).T)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one of the two does not vary."""
    ranks = []
    for values in (x, y):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(count) - (count - 1) / 2.0)[place])
    rx, ry = (rank - rank.mean() for rank in ranks)
    spread = np.sqrt((rx @ rx) * (ry @ ry))
    return float(rx @ ry / spread) if spread > 0 else 0.0


def evaluate(lifter: Lifter, poses: PoseSet, right_view: str = "predicted") -> Evaluated:
    """Lifts all poses and compares; see `lift` and `compare`."""
    return compare(poses, lift(lifter, poses, right_view))


def lift(lifter: Lifter, poses: PoseSet, right_view: str = "predicted") -> dict[str, np.ndarray]:
    """Labels of all poses, arrays by the names of `Lifted`'s fields.

    Args:
      right_view: 'predicted', or 'true' to give the second network the exact right view (published recipe only).

    Raises:
      InputError: a true right view is asked for and not known.
    """
    true_right = None
    if right_view == "true":
        if np.isnan(poses.right_2d).any() or np.isnan(poses.intrinsics).any():
            raise InputError(f"{poses.name}: has no true right view for every pose")
        true_right = change_intrinsics(poses.right_2d, poses.intrinsics[:, None], np.array(SEARCH_INTRINSICS))
    parts: dict[str, list] = {}
    for start in range(0, len(poses), BATCH):
        rows = slice(start, start + BATCH)
        right = None if true_right is None else true_right[rows].astype(np.float32)
        lifted = lifter.lift(poses.poses_2d[rows], poses.intrinsics[rows], poses.joint_mask[rows], right)
        for field, values in lifted._asdict().items():
            parts.setdefault(field, []).append(values.numpy())
    return {field: np.concatenate(values) for field, values in parts.items()}


def compare(poses: PoseSet, lifted: dict[str, np.ndarray]) -> Evaluated:
    """The errors of labels, arrays by the names of `Lifted`'s fields."""
    truth = poses.poses_3d
    errors = {}
    for moment, predicted in (("_before", lifted["coarse_3d"]), ("", lifted["pose_3d"])):
        errors[f"mpjpe{moment}"] = metrics.mpjpe(predicted, truth)
        errors[f"p_mpjpe{moment}"] = metrics.p_mpjpe(predicted, truth)
        errors[f"n_mpjpe{moment}"] = metrics.n_mpjpe(predicted, truth)
        labelled = np.isfinite(predicted).all((1, 2))
        for name, measure in (("pck_3d", metrics.pck_3d), ("auc_3d", metrics.auc_3d)):
            errors[f"{name}{moment}"] = np.where(labelled, measure(predicted, truth), np.nan)
    errors["mpjve"] = metrics.mpjve(lifted["pose_3d"], truth, poses.sequences)
    errors["acceleration_error"] = metrics.acceleration_error(lifted["pose_3d"], truth, poses.sequences)
    placed, true_places = lifted["pose_3d"] + lifted["root_3d"][:, None], truth + poses.roots[:, None]
    errors["absolute_acceleration_error"] = metrics.acceleration_error(placed, true_places, poses.sequences)
    right = _right_view_errors(poses, lifted["right_2d"])
    if right is not None:
        errors["pckh_right"] = right
    depth, true_depth = lifted["root_3d"][:, 2], poses.roots[:, 2]
    depth = np.where(lifted["nominal"], np.nan, depth)
    predicted = lifted["pose_3d"]
    size = (predicted * truth).sum((1, 2)) / np.maximum((predicted * predicted).sum((1, 2)), 1e-9)
    return Evaluated(
        name=poses.name,
        errors=errors,
        depth_error=np.abs(depth - true_depth) / true_depth,
        depth_error_sized=np.abs(depth * size - true_depth) / true_depth,
        quality=lifted["quality"],
        expected_error_mm=lifted["expected_error_mm"],
        signals=lifted["signals"],
        at_range_end=lifted["at_range_end"],
        reason=lifted["reason"],
        actions=poses.actions,
    )


def _right_view_errors(poses: PoseSet, predicted: np.ndarray) -> np.ndarray | None:
    """PCKh@0.5 of the predicted right view in %, [n], for chains that predict it in pixels of the assumed camera."""
    known = np.isfinite(poses.intrinsics).all(-1) & np.isfinite(poses.right_2d).all((1, 2))
    # Turned views of the canonical recipe are in units of the focal length, and of another camera in every pose.
    if not known.any() or np.nanmax(np.abs(predicted), initial=0.0) < 10.0:
        return None
    intrinsics = np.where(known[:, None], poses.intrinsics, 1.0)
    truth = change_intrinsics(poses.right_2d, intrinsics[:, None], np.array(SEARCH_INTRINSICS))
    truth = truth - truth[:, POSE17.root, None]
    share = metrics.pckh(predicted, truth)
    return np.where(known & np.isfinite(predicted).all((1, 2)), share, np.nan)
