"""Does an input look like the joints that it is said to have? Other orders are tried on some of its poses.

A network that reads joints in another order than the one stated still lifts them, to impossible poses of which it
expects large errors.
Which order makes it expect the least is what the input looks like.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tools.pose import joints
from tools.pose.joints import POSE17

LOOKED_AT = 256
# Another order has to be expected to be so much better, and good by itself, before there is a warning. On nine sets of
# real and captured people in their own order no other one came below 1.04 of it (all sides exchanged).
_BETTER, _BETTER_OF_MANY, _MANY, _GOOD_MM = 0.75, 0.93, 100, 150.0
_FEWEST = 8
# Sets of equally many joints, which arrays of one are taken for those of the other.
_ALIKE = (("pose17", "h36m17", "coco17"), ("lsp14", "aichallenger14"))
# How x and y of an upright picture come out of the input's (matrices, for columns). People who lie may well look better
# upright: the 18 of Leeds Sports Pose who lie most come to 0.83, MPII's 1,500 to 1.15. So more is asked of these.
_BETTER_TURNED = 0.85
_TURNED = {
    "x and y exchanged": ((0, 1), (1, 0)),
    "pictures that lie on their left side": ((0, -1), (1, 0)),
    "pictures that lie on their right side": ((0, 1), (-1, 0)),
}
_LEGS, _ARMS = ("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What an input looks like instead: `order` in words, and the mean errors to be expected, mm."""

    order: str
    told_mm: float
    other_mm: float

    def message(self, stated: str) -> str:
        """One line for the user.

        Args:
          stated: what the input was said to be, such as '--joints=pose17'.
        """
        return (
            f"warning: the 2D poses look like {self.order}, not like {stated}: labels would be expected to be wrong by "
            f"{self.other_mm:.0f} mm instead of {self.told_mm:.0f} mm"
        )


def other_orders(
    poses_2d: np.ndarray, labelled: np.ndarray, stated: str
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What the poses would be if the input's order were another: (order in words, poses, labelled).

    Args:
      poses_2d: [n, 17, 2] px, as made of joint set `stated`. labelled: [n, 17] bool.
    """
    for words, names in (("legs", _LEGS), ("arms", _ARMS), ("all sides", (*_LEGS, *_ARMS))):
        order = np.arange(POSE17.size)
        for name in names:
            left, right = POSE17.index("L" + name), POSE17.index("R" + name)
            order[left], order[right] = right, left
        yield f"{words} with left and right exchanged", poses_2d[:, order], labelled[:, order]
    yield "a y axis that points up", poses_2d * np.array([1.0, -1.0], np.float32), labelled
    for words, matrix in _TURNED.items():
        yield words, poses_2d @ np.array(matrix, np.float32).T, labelled
    for group in _ALIKE:
        if (
            stated in group and stated != "coco17"
        ):  # whose face is not among the 17, so that its order can't be had back
            raw, codes = joints.convert(np.where(labelled[..., None], poses_2d, np.nan), "pose17", stated)
            raw = np.where((codes == joints.LABELLED)[..., None], raw, np.nan)
            for other in group:
                if other != stated:
                    poses, provenance = joints.convert(raw, other)
                    yield f"joint set {other}", poses, provenance == joints.LABELLED


def look_at(lift: Callable, poses_2d: np.ndarray, labelled: np.ndarray, stated: str = "") -> Finding | None:
    """Tries other orders; None where nothing else fits much better.

    Args:
      lift: from poses [n, 17, 2] and labelled [n, 17] to expected errors [n] mm, NaN where there is no label.
      poses_2d: [N, 17, 2] px, of which up to `LOOKED_AT` are looked at. labelled: [N, 17] bool.
      stated: joint set that the input was said to have; '' where its format says it.
    """
    usable = np.flatnonzero((labelled & np.isfinite(poses_2d).all(-1)).sum(1) >= _FEWEST)
    if len(usable) < _FEWEST:
        return None
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(LOOKED_AT, len(usable))).astype(int))]
    poses_2d, labelled = poses_2d[chosen], labelled[chosen]
    told_mm = _mean(lift(poses_2d, labelled))
    if told_mm is None:
        return None
    limit = min((_BETTER_OF_MANY if len(chosen) >= _MANY else _BETTER) * told_mm, _GOOD_MM)
    best = None
    for words, poses, mask in other_orders(poses_2d, labelled, stated):
        error = _mean(lift(poses.astype(np.float32), mask))
        enough = min(limit, _BETTER_TURNED * told_mm) if words in _TURNED else limit
        if error is not None and error < enough and (best is None or error < best.other_mm):
            best = Finding(words, told_mm, error)
    return best


def _mean(errors: np.ndarray) -> float | None:
    """The mean of the errors if most poses have one."""
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if len(known) > len(errors) / 2 else None
