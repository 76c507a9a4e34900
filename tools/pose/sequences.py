"""Labels of a clip made to agree: one person, whose bones keep their lengths, who moves as people do.

A lifter looks at one picture at a time, so that its labels tremble from frame to frame and the same forearm is now
shorter, now longer. Where several frames are known to show one person, their labels say more together:

1. the length of each bone is a robust mean over all frames, of which those count most that see the bone across the view
   and whose joints are expected to be good (`bone_lengths`);
2. the poses sought are the most probable ones for joints that are wrong by what is expected of each (little across
   their rays, more along them), bones of those lengths, and accelerations of the size that people have;
3. the root is where the rays of all joints agree with the pose (the geometric search's objective, squared), on a path
   smoothed in the same way.

2 and 3 are linear-Gaussian smoothers, solved for all frames at once: they have no phase delay and need no start.
Everything is in camera axes and in millimetres. Not in the paper, which labels single images. For streams, which cannot
wait for the frames to come, see `streams`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import linalg

from tools.pose.bones import ENDS, ROOT, STARTS, bone_lengths, ray_directions, with_bone_lengths
from tools.pose.joints import POSE17

DEFAULT_FPS = 30.0
# The mean error of a clip's labels as a share of that of single frames, on which the quality of labels is calibrated:
# 0.84 to 0.87 on people of the CMU data base who were not trained on, with and without noise (protocols c, b5, g).
ERROR_SHARE = 0.85


@dataclasses.dataclass(frozen=True)
class SmoothingSettings:
    """What a clip is expected to be like.

    The values were chosen on held-out subjects of the training data (protocols c and b5), not on the evaluation's.

    Attributes:
      depth_share, lateral_share: a joint's standard deviations along its ray and across it, as shares of the error that
        is expected of it. The errors of neighbouring frames are alike, so the first is larger than in a single frame.
      noise_share: how much of the rays' measured noise (`ray_noise`) is added to the second.
      least_mm: no joint is expected to be better than this.
      unlabelled: a joint that was not seen counts as one whose error is so many times what is expected of it.
      bone_mm: standard deviation of a bone's length from the clip's.
      acceleration: a joint's standard deviation relative to the root, mm/s^2. limb_acceleration: the same of elbows,
        wrists, knees and feet. root_acceleration: of the root.
      root_share: how much the rays of one frame tell of the root's place, as a share of what they would tell if the
        errors of joints had nothing to do with each other.
      rounds: how often poses and path are solved for in turn.
    """

    depth_share: float = 2.0
    lateral_share: float = 0.12
    noise_share: float = 1.5
    least_mm: float = 4.0
    unlabelled: float = 3.0
    bone_mm: float = 3.0
    acceleration: float = 4000.0
    limb_acceleration: float = 10000.0
    root_acceleration: float = 2000.0
    root_share: float = 0.2
    rounds: int = 5


DEFAULTS = SmoothingSettings()
_LIMBS = np.array([POSE17.index(side + name) for side in "RL" for name in ("Elbow", "Wrist", "Knee", "Foot")])
_HUBER = 2.0  # standard deviations from which on a joint counts less than its square
UNKNOWN_MM = 60.0  # expected of networks that expect nothing of themselves
_MEDIAN_OF_NORMAL = 0.6745
# Of single pictures: standard deviations across and along rays as shares of the error expected, and across them as a
# share of how far labels lie beside theirs; chosen on people of the CMU data base who were not trained on.
_SINGLE_LATERAL, _SINGLE_DEPTH, _SINGLE_NOISE, _SINGLE_ROUNDS = 0.05, 0.85, 1.0, 4
_SINGLES = 512  # solved at once
_CHUNK, _OVERLAP = 400, 40  # frames solved at once, and how many of them the next solution sees again


def ray_noise(rays: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """[17] standard deviation of the noise of a clip's rays [T, 17, 2], as far as it differs from frame to frame.

    From the median of the fourth differences, which a movement hardly has and noise has much of. Joints of which no
    five neighbouring frames are seen [T, 17] are made of the others by networks and rules: they get the mean noise of
    those, and are not taken for exact; 0 where there are none.
    """
    fourth = np.diff(np.where(visible[..., None], rays, np.nan), 4, axis=0) / np.sqrt(70.0)
    noise = np.full(POSE17.size, np.nan)
    for joint in range(POSE17.size):
        values = np.abs(fourth[:, joint])
        values = values[np.isfinite(values)]
        if len(values):
            noise[joint] = np.median(values) / _MEDIAN_OF_NORMAL
    known = np.isfinite(noise)
    return np.where(known, noise, noise[known].mean() if known.any() else 0.0)


def smooth_path(places: np.ndarray, information: np.ndarray, spread: float) -> np.ndarray:
    """The most probable path [T, 3] for measured places [T, 3] of these information matrices [T, 3, 3] (0: not seen).

    spread: standard deviation of the second difference.
    """
    frames = len(places)
    blocks = information.copy()
    right = np.einsum("tab,tb->ta", information, places)
    return _solve(blocks, right, np.full((frames, 3), spread**-2.0))


def _solve(blocks: np.ndarray, right: np.ndarray, smoothness: np.ndarray) -> np.ndarray:
    """x [T, N] for which (blocks + D' smoothness D) x = right, D the second difference of neighbouring frames.

    Args:
      blocks: [T, N, N] symmetric. right: [T, N]. smoothness: [T, N], of the difference about each frame; the first's
        and the last's are not used.
    """
    frames, size = right.shape
    band = np.zeros((2 * size + 1, frames * size))
    rows, columns = np.triu_indices(size)
    for r, c in zip(rows, columns):
        band[2 * size + r - c, c::size] += blocks[:, r, c]
    if frames >= 3:
        w = smoothness[1:-1]
        main = np.zeros((frames, size))
        main[:-2] += w
        main[1:-1] += 4.0 * w
        main[2:] += w
        first = np.zeros((frames, size))
        first[1:-1] -= 2.0 * w
        first[2:] -= 2.0 * w
        second = np.zeros((frames, size))
        second[2:] += w
        band[2 * size] += main.ravel()
        band[size] += first.ravel()
        band[0] += second.ravel()
    band[2 * size] += 1e-9 * band[2 * size].max() + 1e-12
    return linalg.solveh_banded(band, right.ravel(), check_finite=False, overwrite_ab=True).reshape(frames, size)


@dataclasses.dataclass
class Clip:
    """Labels of one person in frames at equal distances; all frames, also those without a label.

    Attributes:
      poses_3d: [T, 17, 3] mm relative to the root, NaN where there is no label. roots: [T, 3] mm.
      rays: [T, 17, 2] x/z and y/z of the joints in the camera, NaN where not seen.
      labelled: [T, 17] bool, seen in the picture.
      expected_mm: [T, 17] expected error of each joint.
      fps: frames per second.
    """

    poses_3d: np.ndarray
    roots: np.ndarray
    rays: np.ndarray
    labelled: np.ndarray
    expected_mm: np.ndarray
    fps: float = DEFAULT_FPS

    def __len__(self) -> int:
        return len(self.poses_3d)


@dataclasses.dataclass
class Refined:
    """What became of a `Clip`.

    Attributes:
      poses_3d: [T, 17, 3] mm relative to the root, in all frames. roots: [T, 3] mm.
      lengths: [17] mm, of each joint's bone, the same in all frames.
      interpolated: [T, 17] bool, the joint was not seen in that frame: its place follows from the frames around it.
    """

    poses_3d: np.ndarray
    roots: np.ndarray
    lengths: np.ndarray
    interpolated: np.ndarray


def rays_to(places: np.ndarray) -> np.ndarray:
    """[..., 2] x/z and y/z of places [..., 3] mm in the camera."""
    return places[..., :2] / np.maximum(places[..., 2:], 1.0)


def rays_of_labels(points: np.ndarray, intrinsics: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rays [N, 17, 2] of key points [N, 17, 2] px by their intrinsics [N, 4] px; where these are unknown (NaN), towards
    the joints as they were placed, [N, 17, 3] mm."""
    rays = (points - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
    unknown = np.isnan(intrinsics).any(1)
    rays[unknown] = rays_to(places[unknown])
    return rays


def with_lengths_of_person(clip: Clip, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Single pictures of a person whose bones have these lengths [17] mm: poses [N, 17, 3] and roots [N, 3].

    The most probable poses for those lengths, as in `refine`, without anything that frames have to do with each other:
    joints slide along their rays more easily than they leave them, and leave them the more easily the farther the
    labels of all pictures lie beside theirs (noisy key points). A person who is larger than a label says is as much
    farther away, in the same picture. Labels that are not there stay so.

    Args:
      clip: the labels, in any order.
    """
    known = np.isfinite(clip.poses_3d).all((1, 2)) & np.isfinite(clip.roots).all(1)
    poses, roots = (np.array(x, np.float64) for x in (clip.poses_3d, clip.roots))
    visible = clip.labelled & np.isfinite(clip.rays).all(-1)
    expected = np.where(np.isfinite(clip.expected_mm), clip.expected_mm, UNKNOWN_MM)
    expected = np.maximum(expected, DEFAULTS.least_mm) * np.where(visible, 1.0, DEFAULTS.unlabelled)
    rows = np.flatnonzero(known)
    scale = np.exp(_log_scale(poses[rows], lengths, expected[rows]))
    poses[rows], roots[rows] = poses[rows] * scale[:, None, None], roots[rows] * scale[:, None]
    rays = np.where(visible[..., None], np.nan_to_num(clip.rays), rays_to(poses + roots[:, None]))
    direction = ray_directions(rays)
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]
    beside = np.linalg.norm(np.einsum("tjab,tjb->tja", across, poses + roots[:, None]), axis=-1)[known]
    beside = np.sqrt(np.mean(beside[visible[known]] ** 2)) if visible[known].any() else 0.0
    lateral = (_SINGLE_LATERAL * expected) ** 2 + (_SINGLE_NOISE * beside) ** 2
    depth = (_SINGLE_DEPTH * expected) ** 2
    none = np.zeros((_SINGLES, len(ENDS)))
    for start in range(0, len(rows), _SINGLES):
        some = rows[start : start + _SINGLES]
        measured = solution = poses[some]
        for _ in range(_SINGLE_ROUNDS):
            sure = 1.0 / lateral[some], 1.0 / depth[some]
            solution = _pose_step(
                solution, measured, measured, across[some], direction[some], *sure, lengths, none[: len(some)],
                DEFAULTS.bone_mm,
            )  # fmt: skip
        poses[some] = with_bone_lengths(solution, lengths)
    return poses, roots


def refine(clip: Clip, settings: SmoothingSettings | None = None, lengths: np.ndarray | None = None) -> Refined:
    """Makes a clip's labels agree; see the head of this file.

    Args:
      lengths: [17] mm, the person's bones where more is known of them than the clip says; None: `bone_lengths` of it.

    Raises:
      ValueError: no frame has a label.
    """
    settings = settings or DEFAULTS
    known = np.isfinite(clip.poses_3d).all((1, 2)) & np.isfinite(clip.roots).all(1)
    if not known.any():
        raise ValueError("a clip without any label")
    visible = clip.labelled & known[:, None] & np.isfinite(clip.rays).all(-1)
    expected = np.where(np.isfinite(clip.expected_mm), clip.expected_mm, UNKNOWN_MM)
    expected = np.maximum(expected, settings.least_mm) * np.where(visible, 1.0, settings.unlabelled)
    if lengths is None:
        lengths = bone_lengths(clip.poses_3d, clip.rays, expected, visible)
    poses, roots = (interpolated_frames(x, known) for x in (clip.poses_3d, clip.roots))
    # A person taken for larger is taken to be farther away: the picture is the same.
    scale = np.exp(_log_scale(poses, lengths, expected))
    poses, roots = poses * scale[:, None, None], roots * scale[:, None]
    rays = np.where(visible[..., None], np.nan_to_num(clip.rays), rays_to(poses + roots[:, None]))
    noise_mm = ray_noise(clip.rays, visible) * np.median(roots[:, 2])
    parts = []
    for start, stop in _chunks(len(clip)):
        rows = slice(start, stop)
        part = _refine_part(
            poses[rows], roots[rows], rays[rows], expected[rows], noise_mm, known[rows], lengths, clip.fps, settings
        )
        parts.append((start, *part))
    poses, roots = _joined(parts, len(clip))
    return Refined(with_bone_lengths(poses, lengths), roots, lengths, ~visible)


def _chunks(frames: int) -> list[tuple[int, int]]:
    starts = range(0, max(frames - _OVERLAP, 1), _CHUNK - _OVERLAP)
    return [(start, min(start + _CHUNK, frames)) for start in starts]


def _joined(parts: Sequence[tuple[int, np.ndarray, np.ndarray]], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping solutions faded into each other."""
    results = []
    for solutions in ([part[1] for part in parts], [part[2] for part in parts]):
        total, weight = np.zeros((frames, *solutions[0].shape[1:])), np.zeros(frames)
        for (start, _, _), solution in zip(parts, solutions):
            count = len(solution)
            fade = np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1)).clip(max=_OVERLAP).astype(np.float64)
            total[start : start + count] += solution * fade.reshape(-1, *[1] * (solution.ndim - 1))
            weight[start : start + count] += fade
        results.append(total / weight.reshape(-1, *[1] * (total.ndim - 1)))
    return results[0], results[1]


def interpolated_frames(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[T, ...] with the frames that are not known [T] in between their neighbours, float64."""
    at = np.flatnonzero(known)
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    columns = [np.interp(np.arange(len(values)), at, flat[at, k]) for k in range(flat.shape[1])]
    return np.stack(columns, 1).reshape(values.shape)


def _log_scale(poses: np.ndarray, lengths: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """[T] logarithm of how much larger a person of these lengths is than each pose."""
    size = np.maximum(np.linalg.norm(poses[:, ENDS] - poses[:, STARTS], axis=-1), 1.0)
    weight = lengths[ENDS] ** 2 / (expected[:, ENDS] ** 2 + expected[:, STARTS] ** 2)
    return (weight * np.log(lengths[ENDS] / size)).sum(1) / weight.sum(1)


def _refine_part(
    poses: np.ndarray,
    roots: np.ndarray,
    rays: np.ndarray,
    expected: np.ndarray,
    noise_mm: np.ndarray,
    known: np.ndarray,
    lengths: np.ndarray,
    fps: float,
    settings: SmoothingSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Poses and roots of some frames, by Gauss-Newton steps for the poses and linear ones for the path in turn."""
    direction = ray_directions(rays)
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]
    expected = np.where(known[:, None], expected, 1e4)
    lateral = 1.0 / ((settings.lateral_share * expected) ** 2 + (settings.noise_share * noise_mm) ** 2)
    depth = 1.0 / (settings.depth_share * expected) ** 2
    # How far the labels lie beside their rays is what the networks made of joints that they do not trust: kept.
    offset = np.einsum("tjab,tjb->tja", across, poses + roots[:, None])
    spread = np.full(POSE17.size, settings.acceleration)
    spread[_LIMBS] = settings.limb_acceleration
    smooth = np.broadcast_to((fps**2 / spread[ENDS]) ** 2, (len(poses), len(ENDS)))
    measured, solution = poses, poses
    for turn in range(settings.rounds):
        information = across * lateral[..., None, None]
        total = information.sum(1) * settings.root_share
        wanted = np.einsum("tjab,tjb->ta", information, offset - solution) * settings.root_share
        total += np.eye(3) * 1e-9
        place = np.linalg.solve(total, wanted[..., None])[..., 0]
        roots = smooth_path(place, total, settings.root_acceleration / fps**2)
        target = offset - roots[:, None]
        robust = np.ones(lateral.shape)
        if turn:
            off = np.einsum("tja,tjab,tjb->tj", solution - target, across, solution - target) * lateral
            off += (((solution - measured) * direction).sum(-1)) ** 2 * depth
            robust = np.minimum(1.0, _HUBER / np.sqrt(np.maximum(off, 1e-9)))
        sure = lateral * robust, depth * robust
        solution = _pose_step(solution, measured, target, across, direction, *sure, lengths, smooth, settings.bone_mm)
    return solution, roots


_PLACE = {joint: k for k, joint in enumerate(ENDS.tolist())}


def _pose_step(
    solution: np.ndarray,
    measured: np.ndarray,
    target: np.ndarray,
    across: np.ndarray,
    direction: np.ndarray,
    lateral: np.ndarray,
    depth: np.ndarray,
    lengths: np.ndarray,
    smooth: np.ndarray,
    bone_mm: float,
) -> np.ndarray:
    """One Gauss-Newton step for the poses of all frames, the root at 0."""
    frames, count = len(solution), len(ENDS)
    along = direction[..., :, None] * direction[..., None, :]
    data = (across * lateral[..., None, None] + along * depth[..., None, None])[:, ENDS]
    right = np.einsum("tjab,tjb->tja", across * lateral[..., None, None], target)[:, ENDS]
    right = right + np.einsum("tjab,tjb->tja", along * depth[..., None, None], measured)[:, ENDS]
    blocks = np.zeros((frames, count, 3, count, 3))
    for k in range(count):
        blocks[:, k, :, k, :] = data[:, k]
    bones = solution[:, ENDS] - solution[:, STARTS]
    size = np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 20.0)
    unit = bones / size
    # |bone| = length, to first order about where the bone points now: unit . (end - start) = length.
    weight = bone_mm**-2.0
    for k, (end, start) in enumerate(zip(ENDS.tolist(), STARTS.tolist())):
        outer = unit[:, k, :, None] * unit[:, k, None, :] * weight
        pull = unit[:, k] * lengths[end] * weight
        blocks[:, k, :, k, :] += outer
        right[:, k] += pull
        if start != ROOT:
            s = _PLACE[start]
            blocks[:, s, :, s, :] += outer
            blocks[:, k, :, s, :] -= outer
            blocks[:, s, :, k, :] -= outer
            right[:, s] -= pull
    blocks, right = blocks.reshape(frames, 3 * count, 3 * count), right.reshape(frames, -1)
    if smooth.any():
        solved = _solve(blocks, right, np.repeat(smooth, 3, axis=1))
    else:  # frames have nothing to do with each other
        solved = np.linalg.solve(blocks, right[..., None])[..., 0]
    result = np.zeros_like(solution)
    result[:, ENDS] = solved.reshape(frames, count, 3)
    return result
