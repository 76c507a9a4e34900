"""Synthetic poses by number: joint angles of the activities, put on bodies; NumPy only.

Poses come in blocks of ``BLOCK``, each from its own random stream, so that pose i of a seed is the same
whoever reads it and in whatever batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfrecords.synthetic import activities as acts
from tfrecords.synthetic import body

BLOCK = 1024
BLENDED = 0.15  # share of poses between two activities
WHOLE_BODY = ("floor_sitting", "getting_up", "acrobatics")  # that nothing can be blended into
ARM = slice(body.SHOULDER_FLEXION, body.ELBOW + 1)  # of one side's angles: those of acts.ARMS


@dataclass(frozen=True)
class Angles:
    """``n`` postures: ``angles`` ``[28, n]`` radians, ``planted`` and ``seated`` ``[n]`` 0-1, ``lift`` ``[n]`` mm,
    ``activity`` ``[n]`` int (index into ``ACTIVITIES``; of a blend, the one with the greater part)."""

    angles: np.ndarray
    planted: np.ndarray
    seated: np.ndarray
    lift: np.ndarray
    activity: np.ndarray


@dataclass(frozen=True)
class Poses:
    """``n`` people: ``joints`` ``[n, 17, 3]`` float32 mm, world; ``activity`` ``[n]`` int; ``stature`` ``[n]`` mm."""

    joints: np.ndarray
    activity: np.ndarray
    stature: np.ndarray


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The activities as arrays: key poses, edges into them, and per activity where its edges are and how it varies."""
    keys: list[np.ndarray] = []
    edges: list[tuple[int, int]] = []
    first, count = [], []
    for activity in acts.ACTIVITIES.values():
        first.append(len(edges))
        count.append(len(activity.edges))
        edges += [(len(keys) + a, len(keys) + b) for a, b in activity.edges]
        keys += activity.keys
    return (
        np.stack(keys),
        np.array(edges),
        np.array(first),
        np.array(count),
        np.array([activity.spread for activity in acts.ACTIVITIES.values()]).T,
        np.array([activity.together for activity in acts.ACTIVITIES.values()]),
        np.array([activity.free_arms for activity in acts.ACTIVITIES.values()]),
    )


_KEYS, _EDGES, _FIRST, _COUNT, _SPREAD, _TOGETHER, _FREE = _tables()
_ARMS = np.radians(np.array(list(acts.ARMS.values()), np.float64))
_NOISE_CENTRE = np.radians(np.array(acts.SPREAD_CENTRE, np.float64))[:, None]
_NOISE_SIDE = np.radians(np.array(acts.SPREAD_SIDE, np.float64))[:, None]
_BLENDS = np.array([name not in WHOLE_BODY for name in acts.ACTIVITIES])
_ARM_ROWS = np.arange(len(body.SIDE))[ARM]
_NEUTRAL_SIDE = np.radians(np.array([0, 0, *acts.HANGING, *acts.STRAIGHT_LEG], np.float64))[:, None]


def _on_edges(rng: np.random.Generator, activity: np.ndarray) -> np.ndarray:
    """Returns ``[COLUMNS, n]``: a place between the two key poses of a random edge of each activity."""
    n = len(activity)
    edge = _EDGES[_FIRST[activity] + (rng.random(n) * _COUNT[activity]).astype(int)]
    way = rng.random(n)[:, None]
    return ((1 - way) * _KEYS[edge[:, 0]] + way * _KEYS[edge[:, 1]]).T


def sample_angles(rng: np.random.Generator, n: int, probabilities: np.ndarray) -> Angles:
    """Returns ``n`` postures of activities drawn with these ``probabilities`` (``synthetic_activities.mixture``)."""
    activity = rng.choice(len(probabilities), n, p=probabilities)
    pose = _on_edges(rng, activity)
    # between two activities
    second = rng.choice(len(probabilities), n, p=probabilities)
    weight = np.where(rng.random(n) < BLENDED, rng.uniform(0.1, 0.5, n), 0.0) * (_BLENDS[activity] & _BLENDS[second])
    some = np.flatnonzero(weight)
    other = _on_edges(rng, second[some])
    other = np.where(rng.random(len(some)) < 0.5, other, body.mirrored(other))
    pose[:, some] += weight[some] * (other - pose[:, some])
    # how large a movement is; then a free arm or two
    limbs = pose[len(body.CENTRE) : len(body.ANGLES)].reshape(2, len(body.SIDE), n)
    limbs += (limbs - _NEUTRAL_SIDE) * np.clip(0.13 * rng.standard_normal(n), -0.35, 0.35)
    way = rng.random((2, n))[..., None]
    kinds = rng.integers(len(_ARMS), size=(2, 2, n))
    free = (1 - way) * _ARMS[kinds[0]] + way * _ARMS[kinds[1]]  # [2, n, 4]
    choice = rng.random(n)  # one arm, both alike, both different
    free[1] = np.where((choice < 0.65)[:, None], free[0], free[1])
    is_free = rng.random(n) < _FREE[activity]
    for side in (0, 1):
        mask = is_free & (choice >= 0.35) if side else is_free
        limbs[side, _ARM_ROWS] = np.where(mask, free[side].T, limbs[side, _ARM_ROWS])
    # noise; legs and head make up for a leaning trunk
    trunk, arms, legs = _SPREAD[:, activity] * np.exp(0.3 * rng.standard_normal(n))
    centre = _NOISE_CENTRE * trunk * rng.standard_normal((len(body.CENTRE), n))
    pose[: len(body.CENTRE)] += centre
    pose[body.NECK_FLEXION] -= 0.5 * (centre[body.PITCH] + centre[body.FLEXION])
    together = _TOGETHER[activity]
    noise = np.sqrt(together) * rng.standard_normal((1, len(body.SIDE), n))
    noise = noise + np.sqrt(1 - together) * rng.standard_normal((2, len(body.SIDE), n))
    limbs[:, : _ARM_ROWS[-1] + 1] += noise[:, : _ARM_ROWS[-1] + 1] * arms * _NOISE_SIDE[: _ARM_ROWS[-1] + 1]
    limbs[:, body.HIP_FLEXION :] += noise[:, body.HIP_FLEXION :] * legs * _NOISE_SIDE[body.HIP_FLEXION :]
    limbs[:, body.HIP_FLEXION] += centre[body.PITCH]
    limbs[0, body.HIP_ABDUCTION] -= centre[body.ROLL]
    limbs[1, body.HIP_ABDUCTION] += centre[body.ROLL]
    pose = np.where(rng.random(n) < 0.5, pose, body.mirrored(pose))
    lift = pose[acts.LIFT] * rng.random(n)
    return Angles(body.limited(pose[: len(body.ANGLES)]), pose[acts.PLANTED], pose[acts.SEATED], lift, activity)


def make_block(seed: int, block: int, mix: Mapping[str, float] | None = None, stream: int = 0) -> Poses:
    """Returns the ``BLOCK`` poses number ``block * BLOCK`` and on of a seed.

    ``mix`` as in ``synthetic_activities.mixture``; ``stream`` tells apart what must not share poses (splits).
    Raises InputError on a bad mix.
    """
    probabilities = acts.mixture(mix)
    rng = np.random.default_rng([seed, stream, block])
    bodies = body.sample_bodies(rng, BLOCK)
    sampled = sample_angles(rng, BLOCK, probabilities)
    joints, thorax = body.forward_kinematics(bodies, sampled.angles, rng.uniform(0, 2 * np.pi, BLOCK))
    body.stand_firm(bodies, joints, sampled.planted)
    body.sit_down(bodies, joints, sampled.seated)
    body.clear_torso(bodies, joints, thorax)
    body.put_on_ground(bodies, joints, sampled.lift)
    return Poses(joints.transpose(2, 0, 1).astype(np.float32), sampled.activity, bodies.stature)


def make_poses(seed: int, start: int, stop: int, mix: Mapping[str, float] | None = None, stream: int = 0) -> Poses:
    """Returns poses ``start`` to ``stop`` of a seed; pose i is the same in every such range. See ``make_block``."""
    parts = []
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        poses = make_block(seed, block, mix, stream)
        rows = slice(max(start - block * BLOCK, 0), min(stop - block * BLOCK, BLOCK))
        parts.append((poses.joints[rows], poses.activity[rows], poses.stature[rows]))
    if not parts:
        return Poses(np.zeros((0, 17, 3), np.float32), np.zeros(0, int), np.zeros(0))
    return Poses(*(np.concatenate(column) for column in zip(*parts)))
