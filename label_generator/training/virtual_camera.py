"""Endless training views: every 3D pose seen by virtual cameras that are drawn anew each time it is met.

Not in the paper: the published recipe trains on the four cameras of its data. Everything here is TensorFlow graph code
on batches, and every random number is a function of (seed, step), so that a resumed training draws the same views.

Poses come in level axes, those of a camera that is held level: x right, y down (with gravity), z away, in mm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.training import detector_noise, drawn_skeletons
from label_generator.training.draws import Draws, rows_of
from label_generator.training.recipe_settings import ViewSettings
from tools.pose.joints import POSE17

ROOT = POSE17.root
_LEGS = [POSE17.index(side + joint) for side in "RL" for joint in ("Hip", "Knee", "Foot")]
_ARMS = [POSE17.index(side + joint) for side in "RL" for joint in ("Elbow", "Wrist")]
# Which part of the body the bone that ends in a joint belongs to: head and trunk, arms, legs.
_PARTS = [next((part for part, limbs in ((1, _ARMS), (2, _LEGS)) if joint in limbs), 0) for joint in range(POSE17.size)]
# Joints that common sources don't label (docs/joints.md): LSP and AIChallenger; MPII; COCO and its relatives.
_UNLABELLED = {
    "lsp": ("Neck/Nose", "Spine", "Hip"),
    "mpii": ("Neck/Nose", "Spine"),
    "coco": ("Head", "Neck/Nose", "Thorax", "Spine", "Hip"),
    "hourglass": ("Spine",),
}
_DETECTOR = detector_noise.DetectorNoise()
# How far apart detectors' places of joints are, in units of what data sets differ by; how many detectors have MPII's
# joints under Human3.6M's names.
_DETECTED_SPREAD, _HOURGLASS_SHARE = 0.6, 0.45


def _stacked(rows: Sequence[Sequence[tf.Tensor | float]]) -> tf.Tensor:
    """Matrices [B, 3, 3] from 3 x 3 entries, each [B] or a number."""
    like = next(entry for row in rows for entry in row if tf.is_tensor(entry))
    return tf.stack([tf.stack([entry + tf.zeros_like(like) for entry in row], -1) for row in rows], -2)


def turn_about(axis: str, angle: tf.Tensor) -> tf.Tensor:
    """Rotations [B, 3, 3] by angle [B] radians about x, y or z of a right-handed frame."""
    c, s = tf.cos(angle), tf.sin(angle)
    if axis == "x":
        return _stacked([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    if axis == "y":
        return _stacked([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return _stacked([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _rotated(points: tf.Tensor, rotation: tf.Tensor) -> tf.Tensor:
    return canonical_view.rotated(rotation, points)


def _bones(poses: tf.Tensor) -> tf.Tensor:
    """Joint minus parent [B, 17, 3]; the root keeps its position."""
    parents = [parent if parent >= 0 else joint for joint, parent in enumerate(POSE17.parents)]
    keep_root = tf.reshape(tf.one_hot(ROOT, POSE17.size), [1, -1, 1])
    return poses - tf.gather(poses, parents, axis=1) * (1.0 - keep_root)


def _joined(bones: tf.Tensor) -> tf.Tensor:
    """The poses [B, 17, 3] that have these bones: the inverse of `_bones`."""
    joints = [None] * POSE17.size
    pending = list(range(POSE17.size))
    while pending:
        joint = pending.pop(0)
        parent = POSE17.parents[joint]
        if parent < 0:
            joints[joint] = bones[:, joint]
        elif joints[parent] is None:
            pending.append(joint)
        else:
            joints[joint] = joints[parent] + bones[:, joint]
    return tf.stack(joints, 1)


def _heading(poses: tf.Tensor, left: str, right: str) -> tf.Tensor:
    across = poses[:, POSE17.index(left)] - poses[:, POSE17.index(right)]
    return tf.atan2(-across[:, 2], across[:, 0])


def vary_poses(poses: tf.Tensor, draws: Draws, settings: ViewSettings) -> tf.Tensor:
    """Other bodies and postures from these: limbs exchanged, bones and stature changed, mirrored, turned.

    Args:
      poses: [B, 17, 3] mm, level axes, root-relative.

    Returns:
      [B, 17, 3] mm, level axes, root-relative.
    """
    count = rows_of(poses)
    bones = _bones(poses)
    for limbs, left, right in ((_LEGS, "LHip", "RHip"), (_ARMS, "LShoulder", "RShoulder")):
        donors = tf.gather(poses, draws.permutation(count))
        facing = turn_about("y", _heading(poses, left, right) - _heading(donors, left, right))
        theirs = tf.gather(_bones(_rotated(donors, facing)), limbs, axis=1)
        ours = tf.gather(bones, limbs, axis=1)
        # The direction is the donor's, the length the pose's own.
        lengths = tf.norm(ours, axis=-1, keepdims=True) / tf.maximum(tf.norm(theirs, axis=-1, keepdims=True), 1.0)
        taken = draws.happens([count, 1, 1], settings.recombined)
        chosen = tf.where(taken, theirs * lengths, ours)
        place = tf.one_hot(limbs, POSE17.size)
        kept = 1.0 - tf.reduce_sum(place, 0)[None, :, None]
        bones = bones * kept + tf.einsum("bkc,kj->bjc", chosen, place)
    spread = draws.normal([count, POSE17.size], cut=2.5)
    spread = (spread + tf.gather(spread, POSE17.mirror, axis=1)) / 2.0
    size = draws.normal([count, 1], cut=2.5)
    scale = (1.0 + settings.bone_spread * spread) * (1.0 + settings.size_spread * size)
    if settings.part_spread:
        parts = draws.normal([count, max(_PARTS) + 1], cut=2.5)
        scale *= 1.0 + settings.part_spread * tf.gather(parts, _PARTS, axis=1)
    poses = _joined(bones * scale[..., None])
    mirrored = tf.gather(poses * [-1.0, 1.0, 1.0], POSE17.mirror, axis=1)
    poses = tf.where(draws.happens([count, 1, 1], 0.5), mirrored, poses)
    return _rotated(poses, turn_about("y", draws.uniform([count], 0.0, 2.0 * math.pi)))


def draw_cameras(heights: tf.Tensor, draws: Draws, settings: ViewSettings) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A camera for each person.

    Args:
      heights: [B] mm, how high the root stands above the floor.

    Returns:
      rotations [B, 3, 3] from level to camera axes, the root's place in the camera [B, 3] mm, focal length [B] px.
    """
    count = rows_of(heights)
    zero = tf.zeros_like(heights)
    degree = math.pi / 180.0

    # Studio: the person is somewhere in a room whose middle the camera looks at.
    room = draws.uniform([count, 2], -400.0, 400.0)
    room += tf.where(draws.happens([count, 1], 0.5), draws.uniform([count, 2], -1200.0, 1200.0), 0.0)
    radius, up = draws.uniform([count], 4000.0, 5700.0), draws.uniform([count], 1450.0, 1650.0)
    studio_root = tf.stack([room[:, 0], up - heights, radius + room[:, 1]], -1)
    studio_pitch = draws.uniform([count], 10.0, 16.0) * degree
    studio_aside = draws.uniform([count], -6.0, 8.0) * degree

    # Anywhere: the camera looks past a place near the person.
    low, high = settings.distance_mm
    distance = tf.exp(draws.uniform([count], math.log(low), math.log(high)))
    limit = distance * math.sin(settings.max_pitch_deg * degree)
    beside = draws.normal([count, 2]) * 600.0 * tf.cast(draws.happens([count, 1], 0.6), tf.float32)
    above = 80.0 * draws.normal([count])
    drop = draws.uniform([count], *settings.height_mm) - heights - above
    drop = tf.where(tf.abs(drop) < limit, drop, limit * draws.uniform([count], -0.9, 0.9))
    flat = tf.sqrt(distance**2 - drop**2)
    wild_root = tf.stack([beside[:, 0], drop + above, flat + beside[:, 1]], -1)
    wild_pitch = tf.atan2(drop, flat) + draws.uniform([count], -1.0, 1.0) * settings.off_axis_deg * degree
    wild_aside = draws.uniform([count], -1.0, 1.0) * settings.off_axis_deg * degree

    studio = draws.happens([count], settings.studio_share)
    pitch, aside = tf.where(studio, studio_pitch, wild_pitch), tf.where(studio, studio_aside, wild_aside)
    roll = draws.normal([count]) * settings.roll_deg * degree
    # Looking down by `pitch` turns what is ahead and below towards the axis.
    rotation = turn_about("z", roll) @ turn_about("x", pitch) @ turn_about("y", aside)
    root = tf.where(studio[:, None], studio_root, wild_root)
    fov = draws.uniform([count], *settings.fov_deg) * degree
    focal = tf.where(studio, 1145.0 + zero, 500.0 / tf.tan(fov / 2.0))
    return rotation, tf.einsum("bij,bj->bi", rotation, root), focal


def draw_joint_masks(count: tf.Tensor, draws: Draws, settings: ViewSettings) -> tf.Tensor:
    """The network's joint mask, [B, 17] of 0 and 1: all joints, those that a common source labels, or a random set."""
    kind = draws.uniform([count, 1]) / max(settings.masked, 1e-9)
    mask = tf.ones([count, POSE17.size])
    # Shares of the masked views; the rest at random.
    shares = ((0.0, 0.4, "lsp"), (0.4, 0.55, "mpii"), (0.55, 0.7, "coco"), (0.7, 0.78, "hourglass"))
    for low, high, source in shares:
        lacking = tf.reduce_sum(tf.one_hot([POSE17.index(name) for name in _UNLABELLED[source]], POSE17.size), 0)
        mask = tf.where((kind >= low) & (kind < high), 1.0 - lacking[None], mask)
    lost = draws.happens([count, POSE17.size], draws.uniform([count, 1], 0.0, 0.35))
    # Without both hips there is no root, and such a pose gets no label.
    hips = tf.reduce_sum(tf.one_hot([POSE17.index("RHip"), POSE17.index("LHip")], POSE17.size), 0)[None] > 0
    scattered = tf.where(lost & ~hips, 0.0, 1.0)
    return tf.where((kind >= shares[-1][1]) & (kind < 1.0), scattered, mask)


def draw_views(
    poses: tf.Tensor, heights: tf.Tensor, seed: tf.Tensor, settings: ViewSettings, library: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """New views of 3D poses.

    Args:
      poses: [B, 17, 3] mm, level axes, root-relative.
      heights: [B] mm, the root above the floor.
      library: [B, K, 17, 3] the same poses in other skeletons (`skeletons.library`); None: all as captured.
      seed: [2] integers; the same seed draws the same views.

    Returns:
      points [B, 17, 3] mm in camera axes; rays [B, 17, 2], the noisy 2D joints as x/z and y/z; joint_mask [B, 17];
      noise [B], the standard deviation of the noise in the units of the rays; unknown [B] bool, whether the network
      must do without the intrinsics.
    """
    draws = Draws(seed)
    count = rows_of(poses)
    rotation, root, focal = draw_cameras(heights, draws, settings)
    drawn = drawn_skeletons.SkeletonSettings(
        settings.skeleton_captured,
        settings.skeleton_stated,
        settings.skeleton_borrowed,
        settings.skeleton_displaced,
        settings.skeleton_spread,
    )
    if library is not None and drawn.captured < 1.0:
        poses = drawn_skeletons.blended(poses, library, draws, drawn)
    poses = vary_poses(poses, draws, settings)
    if drawn.displaced:
        poses = drawn_skeletons.displaced(poses, draws, drawn)
    if settings.tilt_share or settings.tilt_any:
        poses = drawn_skeletons.tilted(poses, draws, settings.tilt_share, settings.tilt_deg, settings.tilt_any)
    points = _rotated(poses, rotation) + root[:, None]
    # A joint behind or in the camera: the view gives way to another of the batch, or in the rare batch without any to
    # its own picture from farther off.
    near = tf.reduce_min(points[..., 2], 1)
    good = near > settings.min_depth_mm
    pick = tf.argsort(tf.cast(~good, tf.int32), stable=True)
    spare = tf.gather(pick, tf.math.floormod(tf.range(count), tf.maximum(tf.reduce_sum(tf.cast(good, tf.int32)), 1)))
    chosen = tf.where(good, tf.range(count), spare)
    points, focal = tf.gather(points, chosen), tf.gather(focal, chosen)
    short = tf.maximum(settings.min_depth_mm - tf.reduce_min(points[..., 2], 1), 0.0)
    points += short[:, None, None] * [0.0, 0.0, 1.0]

    noisy = tf.cast(draws.happens([count], settings.noise_share), tf.float32)
    noise = draws.uniform([count], 0.0, settings.noise_px) * noisy / focal
    exact = points[..., :2] / points[..., 2:]
    rays = exact + noise[:, None, None] * draws.normal([count, POSE17.size, 2])
    if settings.detected_share:
        # The target stays where it is: what a detector calls a hip differs from person to person and view to view.
        elsewhere = drawn_skeletons.as_detectors_see(points, draws, _DETECTED_SPREAD, _HOURGLASS_SHARE)
        elsewhere = elsewhere[..., :2] / tf.maximum(elsewhere[..., 2:], settings.min_depth_mm / 2.0)
        detections, deviation = detector_noise.detected(elsewhere, 1.0 / points[:, ROOT, 2], draws, _DETECTOR)
        chosen = draws.happens([count], settings.detected_share)
        rays = tf.where(chosen[:, None, None], detections, rays)
        noise = tf.where(chosen, deviation, noise)
    return {
        "points": points,
        "rays": rays,
        "joint_mask": draw_joint_masks(count, draws, settings),
        "noise": noise,
        "unknown": draws.happens([count], settings.unknown),
    }
