"""What 2D poses, intrinsics and picture sizes may be: beyond, they are damage or not in px, and get no label.

The same bounds hold in every reader, in the label generator and in what it is called with.
"""

from __future__ import annotations

import math

import numpy as np

from tools.cli.errors import InputError

# No picture is wider; joints may lie outside a picture, but not a hundred thousand pixels from its corner.
LARGEST_PX = 100_000.0
LARGEST_SIDE_PX = 100_000
# Nobody is seen at a kilometre.
LARGEST_MM = 1e6
# A person's labelled joints are further apart; shares of the picture's size are not.
SMALLEST_EXTENT_PX = 2.0
# No two cameras of a stereo pair, and no film, are further from what there is.
LARGEST_BASELINE_MM = 10_000.0
FPS = (0.1, 10_000.0)
# From all but 180 degrees of view to a telescope, and pixels that are not quite square.
FOCAL_PX = (1.0, 1e7)
LARGEST_FOCAL_RATIO = 10.0

# Probabilities, percentages and the scores of networks are within; the depth of a 3D pose in mm or cm is not.
LARGEST_CONFIDENCE = 100.0

# From its joints' mean no joint of a person, child or giant, is nearer than this if all are; metres and unit poses are.
SMALLEST_EXTENT_MM = 100.0

NOT_PIXELS = "2D joints within 2 px: not in px"
TOO_FAR = "2D joint beyond 100,000 px"
NO_CONFIDENCE = "confidence beyond 100: a 3D pose?"
TOO_FAR_3D = "3D joint beyond 1,000,000 mm"
EXPECTED_INTRINSICS = "expected focal lengths of 1 to 10,000,000 px and a principal point within 100,000 px"


def good_intrinsics(intrinsics: np.ndarray) -> np.ndarray:
    """Whether intrinsics [..., 4] fx, fy, cx, cy px are within the bounds: [...] bool, False where not finite."""
    values = np.asarray(intrinsics, np.float64)
    focal = values[..., :2]
    with np.errstate(invalid="ignore", over="ignore"):
        good = (focal >= FOCAL_PX[0]).all(-1) & (focal <= FOCAL_PX[1]).all(-1)
        good &= focal.max(-1) <= LARGEST_FOCAL_RATIO * focal.min(-1)
        return np.asarray(good & (np.abs(values[..., 2:]) <= LARGEST_PX).all(-1))


def good_camera(fx: float, fy: float, cx: float, cy: float) -> bool:
    """`good_intrinsics` of four numbers, for code that has one camera at a time."""
    low, high = FOCAL_PX
    within = low <= fx <= high and low <= fy <= high and max(fx, fy) <= LARGEST_FOCAL_RATIO * min(fx, fy)
    return within and abs(cx) <= LARGEST_PX and abs(cy) <= LARGEST_PX


def check_fps(fps: float, flag: str) -> float:
    """Frames a second as a flag gives them, 0 where it does not; raises `InputError` naming the flag otherwise."""
    if fps and not FPS[0] <= fps <= FPS[1]:
        raise InputError(f"--{flag}={fps:g}: expected {FPS[0]:g} to {FPS[1]:,.0f} frames a second, or 0")
    return fps


def good_fps(fps: float) -> float:
    """Frames a second as a file gives them; 0, which is not known, where no film has so many or so few."""
    return float(fps) if FPS[0] <= fps <= FPS[1] else 0.0


def check_baseline(baseline_mm: float, flag: str = "baseline_mm") -> float:
    """The displacement between two views in mm; raises `InputError` naming the flag for none, or one of over 10 m."""
    if not 1 <= abs(baseline_mm) <= LARGEST_BASELINE_MM:
        raise InputError(f"--{flag}={baseline_mm:g}: expected 1 to {LARGEST_BASELINE_MM:,.0f} mm, to either side")
    return baseline_mm


def good_size(width: float, height: float) -> bool:
    """Whether a picture can have this width and height in px."""
    return 0 < width <= LARGEST_SIDE_PX and 0 < height <= LARGEST_SIDE_PX


def problem_3d(pose: np.ndarray) -> str:
    """`TOO_FAR_3D` for joints [J, 3] mm, NaN where missing, of which one lies beyond, else ''."""
    return TOO_FAR_3D if np.fmax.reduce(np.abs(pose), axis=None) > LARGEST_MM else ""


def problem(points: np.ndarray) -> str:
    """Why joints [J, 2] px, NaN where missing, are no pose: `TOO_FAR`, `NOT_PIXELS`, or '' for nothing.

    One joint alone has no extent, and no joint is another's problem: both give ''.
    """
    low, high = np.fmin.reduce(points, axis=0), np.fmax.reduce(points, axis=0)
    if math.isnan(low[0]):
        return ""
    if max(high[0], high[1]) > LARGEST_PX or min(low[0], low[1]) < -LARGEST_PX:
        return TOO_FAR
    if high[0] - low[0] <= SMALLEST_EXTENT_PX and high[1] - low[1] <= SMALLEST_EXTENT_PX:
        return NOT_PIXELS if np.count_nonzero(points[:, 0] == points[:, 0]) > 1 else ""
    return ""


def shares(points: np.ndarray) -> bool:
    """Whether poses [N, J, 2] look like shares of the picture's size: nearly all are of no extent in px."""
    known = np.isfinite(points).all(-1)
    several = known.sum(1) > 1
    if not several.any():
        return False
    chosen, kept = points[several], known[several][..., None]
    extent = np.where(kept, chosen, -np.inf).max(1) - np.where(kept, chosen, np.inf).min(1)
    spots = (extent.max(-1) <= SMALLEST_EXTENT_PX) & (extent.max(-1) > 0)
    # Relative to nothing: poses that are damaged, all joints on one pixel, lie at whole pixels anywhere.
    return bool(spots.mean() > 0.9 and np.median(np.abs(chosen[known[several]])) <= SMALLEST_EXTENT_PX)
