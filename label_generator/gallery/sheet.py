"""Pictures of labels: the gallery of the published figures, and a report in words."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np

from label_generator.lifting.settings import REASONS
from tools.drawing import animation, sheets
from tools.pose import joints


@dataclasses.dataclass
class Labelled:
    """Poses and their labels, arrays over N poses.

    Attributes:
      names: where each pose comes from.
      poses_2d: [N, 17, 2] px. provenance: [N, 17] codes of `tools.pose.joints`.
      lifted: arrays by the names of `lifter.Lifted`'s fields.
      truth_3d: [N, 17, 3] mm, or None.
      images: BGR pictures or None, [N]; or None.
      skipped: {i: why} of poses that the input's reader refused.
    """

    names: list[str]
    poses_2d: np.ndarray
    provenance: np.ndarray
    lifted: dict[str, np.ndarray]
    truth_3d: np.ndarray | None = None
    images: list | None = None
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)

    def reason(self, i: int) -> str:
        """Why pose i has no label, as the reader or the lifter says it; '' where it has one."""
        return self.skipped.get(i) or REASONS[int(self.lifted["reason"][i])]

    def caption(self, i: int) -> str:
        """Quality, distance and, where it is known, the error of label i."""
        reason = self.reason(i)
        if reason:
            return f"{self.names[i]}: no label ({reason})"
        words = [f"quality {self.lifted['quality'][i]:.2f}"]
        kind = "nominally " if self.lifted["nominal"][i] else ""
        words.append(f"root {kind}{self.lifted['root_3d'][i, 2] / 1000:.2f} m away")
        if self.truth_3d is not None:
            before, after = (
                np.linalg.norm(self.lifted[field][i] - self.truth_3d[i], axis=-1).mean()
                for field in ("coarse_3d", "pose_3d")
            )
            words.append(f"error {before:.0f} mm before, {after:.0f} mm after the search")
        return f"{self.names[i]}: " + ", ".join(words)

    def usable(self, i: int) -> np.ndarray:
        """[17] bool, joints that the 2D pose has."""
        return self.provenance[i] != joints.MISSING


def panel(labels: Labelled, i: int, size: tuple[int, int] = (330, 330)) -> np.ndarray:
    """2D, right view, 3D before and after the search of label i, BGR: joints that the 2D lacks are in the 3D alone."""
    lifted = labels.lifted
    right, left = lifted["right_2d"][i], lifted["left_2d"][i]
    has_right_view = np.isfinite(right).all()
    # The canonical recipe sees labelled joints alone; the others stand where its root is, which is no place to draw.
    # Those of the trunk are made of the joints around them in this view too; a head that is not labelled is left out.
    unseen = (labels.provenance[i] != joints.LABELLED) & (left == 0).all(-1)
    unseen[joints.POSE17.root] = False
    right, left = (
        joints.convert(np.where(unseen[:, None], np.nan, view), "pose17", "pose17")[0] for view in (right, left)
    )
    return sheets.side_by_side(
        labels.poses_2d[i],
        right if has_right_view else None,
        lifted["coarse_3d"][i],
        lifted["pose_3d"][i],
        image=labels.images[i] if labels.images is not None else None,
        left_2d=left if has_right_view else None,
        truth_3d=None if labels.truth_3d is None else labels.truth_3d[i],
        joint_mask=labels.usable(i),
        provenance=labels.provenance[i],
        caption=labels.caption(i),
        panel=size,
    )


def gallery(labels: Labelled, count: int) -> np.ndarray:
    """One row of pictures for each of `count` labels, spread over the qualities from best to worst, BGR."""
    good = np.flatnonzero(labels.lifted["reason"] == 0)
    ranked = good[np.argsort(-labels.lifted["quality"][good], kind="stable")]
    chosen = ranked[np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)]
    rows = [panel(labels, int(i)) for i in chosen]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(rows)


def best(labels: Labelled) -> int:
    """The label of the highest quality."""
    return int(np.nanargmax(np.where(labels.lifted["reason"] == 0, labels.lifted["quality"], np.nan)))


def turning(labels: Labelled, i: int, frames: int = 48) -> Iterator[np.ndarray]:
    """Frames of label i seen from all around."""
    image = labels.images[i] if labels.images is not None else None
    truth = None if labels.truth_3d is None else labels.truth_3d[i]
    return animation.rotation_frames(labels.lifted["pose_3d"][i], image, frames, ghost=truth, axes=True)


def report(labels: Labelled) -> str:
    """Counts, quality and distances of the labels, in a few lines."""
    lifted = labels.lifted
    good = lifted["reason"] == 0
    lines = [f"{len(good):,} poses, {int(good.sum()):,} labels"]
    reasons = collections.Counter(filter(None, map(labels.reason, range(len(good)))))
    lines += [f"no label: {count:,} ({reason})" for reason, count in reasons.most_common()]
    if good.any():
        low, middle, high = np.percentile(lifted["quality"][good], [10, 50, 90])
        lines.append(f"quality: median {middle:.2f}, a tenth below {low:.2f}, a tenth above {high:.2f}")
        near, usual, far = np.percentile(lifted["root_3d"][good, 2], [10, 50, 90]) / 1000
        nominal = lifted["nominal"][good].mean()
        kind = " (nominal: intrinsics unknown)" if nominal == 1 else f" ({nominal:.0%} nominal)" if nominal else ""
        lines.append(f"distance of the root{kind}: median {usual:.1f} m, a tenth below {near:.1f}, above {far:.1f}")
        lines.append(f"depth at the end of the search's range: {lifted['at_range_end'][good].mean():.1%}")
        made_share = (labels.provenance == joints.MADE).mean(0)
        names = [f"{joints.POSE17.joints[j]} {made_share[j]:.0%}" for j in np.flatnonzero(made_share > 0)]
        if names:
            lines.append("joints made from others: " + ", ".join(names))
        if labels.truth_3d is not None:
            for name, field in (("before", "coarse_3d"), ("after", "pose_3d")):
                error = np.linalg.norm(lifted[field][good] - labels.truth_3d[good], axis=-1).mean()
                lines.append(f"mean joint error {name} the search: {error:.1f} mm")
    return "\n".join(lines)
