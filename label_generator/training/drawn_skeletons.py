"""Skeletons drawn at random for training: the same people with their joints where another data set would put them.

Not in the paper. A network that only ever meets one skeleton reads the lean of the trunk out of where its joints lie,
and is wrong on every other one. Here each person of a batch has a skeleton of their own: as captured, as stated in
`skeletons`, between the two, and with joints displaced in the frames of pelvis, shoulders and head by what data sets
differ by. The 2D input and the target show the same joints: what is labelled is the place that the picture has.

TensorFlow graph code on batches; poses [B, 17, 3] mm in right-handed axes.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from label_generator.training import skeletons
from label_generator.training.draws import Draws, rows_of
from tools.pose.joints import POSE17

_I = {name: POSE17.index(name) for name in POSE17.joints}
# Standard deviations of a joint's place, mm to the right, up and forward, with the frame they are in: as wide as data
# sets differ. Pairs of left and right move alike, mirrored. Limbs' joints move along and across their bones.
_SPREAD_MM = {
    "Hip": ("pelvis", (0.0, 22.0, 12.0)),
    "RHip": ("pelvis", (22.0, 0.0, 0.0)),
    "Spine": ("pelvis", (9.0, 28.0, 25.0)),
    "Thorax": ("shoulders", (9.0, 35.0, 16.0)),
    "Neck/Nose": ("head", (7.0, 28.0, 35.0)),
    "Head": ("head", (9.0, 42.0, 32.0)),
    "RShoulder": ("shoulders", (24.0, 28.0, 14.0)),
}
# From the stated Head up to the crown, and from the stated hips down to where CMU's data base has them (`skeletons`).
_CROWN_MM, _HIPS_LOWER_MM = 70.0, 40.0
_LEG = (("Hip", "Knee"), ("Knee", "Foot"))
_LIMB_MM = {"RKnee": 9.0, "RFoot": 14.0, "RElbow": 9.0, "RWrist": 15.0}


@dataclasses.dataclass(frozen=True)
class SkeletonSettings:
    """Which skeletons are drawn.

    Attributes:
      captured, stated, borrowed: shares of people whose skeleton is the captured one, the stated one, and another of
        `skeletons.library`; the others' is between the captured and the stated one.
      displaced: share of people, of any of these, whose joints are displaced besides.
      spread: how far: in units of the spread between data sets, uniform from 0 to twice this.
    """

    captured: float = 0.3
    stated: float = 0.3
    borrowed: float = 0.2
    displaced: float = 0.5
    spread: float = 0.6


def blended(captured: tf.Tensor, library: tf.Tensor, draws: Draws, settings: SkeletonSettings) -> tf.Tensor:
    """A skeleton for each person [B, 17, 3]; of blends, groups of joints go part of the way on their own.

    Args:
      captured: [B, 17, 3]. library: [B, K, 17, 3] the same poses in other skeletons, the stated one first.
    """
    count, others = rows_of(captured), library.shape[1] - 1
    stated = library[:, 0]
    kind = draws.uniform([count, 1])
    parts = draws.uniform([count, len(skeletons.GROUPS)], -0.2, 1.2)
    parts = tf.where(kind < settings.captured, 0.0, parts)
    parts = tf.where(kind > 1.0 - settings.stated, 1.0, parts)
    group = [next(g for g, names in enumerate(skeletons.GROUPS) if name in names) for name in POSE17.joints]
    poses = captured + tf.gather(parts, group, axis=1)[..., None] * (stated - captured)
    if others and settings.borrowed:
        which = 1 + tf.cast(draws.uniform([count]) * others, tf.int32)
        theirs = tf.gather(library, tf.minimum(which, others), axis=1, batch_dims=1)
        borrows = (kind >= settings.captured) & (kind < settings.captured + settings.borrowed)
        poses = tf.where(borrows[..., None], theirs, poses)
    return poses - poses[:, POSE17.root, None]


def _frame(across: tf.Tensor, up: tf.Tensor) -> tf.Tensor:
    x = tf.math.l2_normalize(across, -1)
    y = tf.math.l2_normalize(up - tf.reduce_sum(up * x, -1, keepdims=True) * x, -1)
    return tf.stack([x, y, tf.linalg.cross(y, x)], -2)


def displaced(poses: tf.Tensor, draws: Draws, settings: SkeletonSettings) -> tf.Tensor:
    """The poses [B, 17, 3] with joints displaced, relative to their new root."""
    count = rows_of(poses)
    strength = draws.uniform([count, 1], 0.0, 2.0 * settings.spread)
    strength *= tf.cast(draws.happens([count, 1], settings.displaced), tf.float32)
    moves = _moves(poses, draws, strength)
    moved = [poses[:, joint] + moves[joint] for joint in range(POSE17.size)]
    return tf.stack([place - moved[POSE17.root] for place in moved], 1)


def as_detectors_see(points: tf.Tensor, draws: Draws, spread: float, hourglass: float) -> tf.Tensor:
    """Where a detector puts the joints of people: elsewhere, differently for each.

    Args:
      points: [B, 17, 3] mm in the camera.
      spread: how far, in units of the spread between data sets.
      hourglass: share of people who have MPII's joints (docs/joints.md) under Human3.6M's names, as published
        detections do: Thorax at the middle of the shoulders, Neck/Nose at the base of the neck, Head at the crown, and
        the hips where they are in bodies, lower than Human3.6M's.

    Returns:
      [B, 17, 3] mm in the camera.
    """
    count = rows_of(points)
    places = tf.unstack(points, axis=1)
    middle = (places[_I["RShoulder"]] + places[_I["LShoulder"]]) / 2.0
    up = middle - places[_I["Hip"]]
    legs = sum(tf.norm(points[:, _I["R" + a]] - points[:, _I["R" + b]], axis=-1) for a, b in _LEG)
    scale = legs[:, None] / skeletons.LEGS_MM
    up = tf.math.l2_normalize(up, -1) * scale
    crown = tf.math.l2_normalize(places[_I["Head"]] - places[_I["Thorax"]], -1) * scale
    theirs = {"Thorax": middle, "Neck/Nose": middle + skeletons.THORAX_UP_MM * up}
    theirs["Head"] = places[_I["Head"]] + _CROWN_MM * crown
    theirs |= {name: places[_I[name]] - _HIPS_LOWER_MM * up for name in ("Hip", "RHip", "LHip")}
    renamed = draws.happens([count, 1], hourglass)
    moves = _moves(points, draws, tf.fill([count, 1], spread))
    for name, place in theirs.items():
        places[_I[name]] = tf.where(renamed, place, places[_I[name]])
    return tf.stack([place + moves[joint] for joint, place in enumerate(places)], 1)


def _moves(poses: tf.Tensor, draws: Draws, strength: tf.Tensor) -> list[tf.Tensor]:
    """By joint, how far [B, 3] mm it is displaced in poses [B, 17, 3], at a strength [B, 1]."""
    count = rows_of(poses)
    j = {name: poses[:, i] for name, i in _I.items()}
    up = j["Thorax"] - j["Hip"]
    frames = {
        "pelvis": _frame(j["RHip"] - j["LHip"], up),
        "shoulders": _frame(j["RShoulder"] - j["LShoulder"], up),
        "head": _frame(j["RShoulder"] - j["LShoulder"], j["Head"] - j["Thorax"]),
    }
    moves: dict[str, tf.Tensor] = {}
    for name, (frame, spread) in _SPREAD_MM.items():
        move = draws.normal([count, 3], cut=2.5) * spread * strength
        if name == "RHip":  # beside the hips' middle, which has moved already
            move *= [1.0, 0.0, 0.0]
        moves[name] = tf.einsum("bij,bi->bj", frames[frame], move)
        if name[0] == "R":
            moves["L" + name[1:]] = tf.einsum("bij,bi->bj", frames[frame], move * [-1.0, 1.0, 1.0])
    for side in "RL":
        moves[side + "Hip"] += moves["Hip"]
    for name, limb_mm in _LIMB_MM.items():
        # Along the bone the same on both sides, across it each as it likes.
        along = draws.normal([count, 1], cut=2.5)
        for joint in (name, "L" + name[1:]):
            parent = POSE17.joints[POSE17.parents[_I[joint]]]
            bone = tf.math.l2_normalize(j[joint] - j[parent], -1)
            across = draws.normal([count, 3], cut=2.5) * 0.5
            moves[joint] = (along * bone + across) * limb_mm * strength
    return [moves[name] for name in POSE17.joints]


def tilted(poses: tf.Tensor, draws: Draws, share: float, spread_deg: float, any_share: float) -> tf.Tensor:
    """Poses [B, 17, 3] in level axes, some turned about a horizontal axis.

    Args:
      share, spread_deg: how many are turned by a normally distributed angle of that standard deviation.
      any_share: how many are turned by any angle: people who do handstands, dive, lie.
    """
    count = rows_of(poses)
    kind = draws.uniform([count])
    angle = draws.normal([count], cut=2.5) * spread_deg * math.pi / 180.0
    angle = tf.where(kind < share, angle, 0.0)
    angle = tf.where(kind > 1.0 - any_share, draws.uniform([count], -math.pi, math.pi), angle)
    way = draws.uniform([count], 0.0, 2.0 * math.pi)
    # Rodrigues' rotation about (cos, 0, sin).
    axis = tf.stack([tf.cos(way), tf.zeros_like(way), tf.sin(way)], -1)[:, None]
    c, s = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    axis = axis + tf.zeros_like(poses)
    dot = tf.reduce_sum(axis * poses, -1, keepdims=True)
    return poses * c + tf.linalg.cross(axis, poses) * s + axis * dot * (1.0 - c)
