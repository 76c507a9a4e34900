"""What the people of the synthetic source do: key poses in joint angles, and which of them lie next to each other.

A pose of an activity lies somewhere between the two key poses of one of its edges; noise, a free arm and a blend with
another activity come on top (``synthetic_poses.py``). Gait curves follow textbook gait analysis (e.g. Perry, "Gait
Analysis"); the other key poses were written by hand and, like all spreads here, rounded to whole degrees after a look
at public motion capture. What the angles mean stands in `tfrecords.synthetic.body`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfrecords.synthetic.body import ANGLES
from tools.cli.errors import InputError

# more columns of a key pose: how firmly both feet stand on the ground (0-1), whether the seat is on the ground (0-1),
# and the height of the flight in mm
PLANTED, SEATED, LIFT = range(len(ANGLES), len(ANGLES) + 3)
COLUMNS = len(ANGLES) + 3

# standard deviation of the noise, degrees, of an activity whose spread is 1
SPREAD_CENTRE = (3, 2, 4, 4, 6, 9, 5, 16)
SPREAD_SIDE = (5, 5, 11, 8, 18, 13, 7, 5, 7, 9)

Arm = tuple[float, float, float, float]

# shoulder flexion, abduction, twist, elbow: where a free arm may be, in every activity that leaves arms free
ARMS: dict[str, Arm] = {
    "hanging": (-5, 7, -3, 24),
    "bent forward": (-4, 8, 10, 84),
    "hand on hip": (-26, 40, 62, 95),
    "crossed": (18, 2, 58, 104),
    "clasped in front": (10, 4, 42, 76),
    "behind the back": (-35, 14, 40, 45),
    "pointing ahead": (85, 10, 0, 12),
    "pointing aside": (12, 85, 0, 14),
    "overhead": (150, 25, 0, 25),
    "waving": (15, 70, -75, 100),
    "at the ear": (22, 24, 12, 140),
    "at the mouth": (22, 8, 22, 136),
    "behind the head": (50, 105, -50, 125),
    "carrying": (-8, 6, 6, 100),
    "palm out low": (0, 16, -28, 80),
    "reaching ahead": (55, 15, 0, 25),
    "reaching up": (125, 15, 0, 30),
    "swung back": (-40, 16, 0, 20),
    "lifted aside": (0, 42, 0, 22),
    "guarding": (26, 12, 28, 126),
    "wing": (32, 62, 55, 105),
    "open aside": (10, 55, -10, 62),
    "palm out": (-6, 14, -36, 104),
}
HANGING: Arm = ARMS["hanging"]
STRAIGHT_LEG: Arm = (4, 0, -1, 18)


def key(
    pelvis: tuple[float, ...] = (1, 0),
    spine: tuple[float, ...] = (0, 0, 0),
    neck: tuple[float, ...] = (4, 0, 0),
    arms: Arm = HANGING,
    right_arm: Arm | None = None,
    left_arm: Arm | None = None,
    legs: Arm = STRAIGHT_LEG,
    right_leg: Arm | None = None,
    left_leg: Arm | None = None,
    clavicles: tuple[float, ...] = (3, 0),
    planted: float = 0.0,
    seated: float = 0.0,
    lift: float = 0.0,
) -> np.ndarray:
    """Returns one key pose ``[COLUMNS]`` float64, angles in radians.

    ``arms`` and ``legs`` are (flexion, abduction, twist, elbow or knee) in degrees for both sides; ``right_*`` and
    ``left_*`` replace one side. ``planted`` and ``seated`` are 0-1, ``lift`` is in mm.
    """
    centre = (*pelvis, *spine, *neck)
    right = (*clavicles, *(right_arm or arms), *(right_leg or legs))
    left = (*clavicles, *(left_arm or arms), *(left_leg or legs))
    return np.concatenate([np.radians(np.array([*centre, *right, *left], np.float64)), [planted, seated, lift]])


def _stride(
    pelvis: float,
    spine_flexion: float,
    twist: float,
    hip: Sequence[float],
    knee: Sequence[float],
    shoulder: Sequence[float],
    elbow: Sequence[float],
    arm: tuple[float, float],
    lift: float = 0.0,
) -> list[np.ndarray]:
    """Returns the five key poses of half a stride, of which the last is the mirror image of the first.

    ``hip``, ``knee``, ``shoulder``, ``elbow`` are the right side's angles at eight even phases from its heel strike;
    the left side is half a stride later. ``twist`` of the spine counters the legs; ``arm`` is (abduction, twist).
    """
    keys = []
    for right in range(5):
        left = (right + 4) % 8
        swing = np.cos(right * np.pi / 4)
        side = [
            ((shoulder[i], arm[0], arm[1], elbow[i]), (hip[i], -1 - 3 * np.cos(i * np.pi / 4 - np.pi / 2), -1, knee[i]))
            for i in (right, left)
        ]
        keys.append(
            key(
                pelvis=(pelvis, 0),
                spine=(spine_flexion, 0, -twist * swing),
                neck=(2, 0, 0.6 * twist * swing),
                right_arm=side[0][0],
                left_arm=side[1][0],
                right_leg=side[0][1],
                left_leg=side[1][1],
                lift=lift * abs(swing),
            )
        )
    return keys


@dataclass(frozen=True)
class Activity:
    """One activity: key poses, edges between them, and how much varies.

    ``spread`` multiplies the noise of (trunk and head, arms, legs); ``together`` in 0-1 is how much of the limbs'
    noise both sides share; ``free_arms`` is the share of poses in which one or both arms do something from ``ARMS``.
    """

    keys: tuple[np.ndarray, ...]
    edges: tuple[tuple[int, int], ...]
    spread: tuple[float, float, float]
    together: float
    free_arms: float


def _path(
    *keys: np.ndarray, spread: tuple[float, float, float], together: float = 0.3, free_arms: float = 0.2
) -> Activity:
    return Activity(tuple(keys), tuple((i, i + 1) for i in range(len(keys) - 1)), spread, together, free_arms)


def _any(
    *keys: np.ndarray, spread: tuple[float, float, float], together: float = 0.3, free_arms: float = 0.2
) -> Activity:
    return Activity(tuple(keys), tuple(itertools.combinations(range(len(keys)), 2)), spread, together, free_arms)


A = ARMS
_STAND = key(planted=1)
_SQUAT = key(pelvis=(28, 0), spine=(24, 0, 0), neck=(-14, 0, 0), arms=(65, 10, 15, 45),
    legs=(108, 16, 5, 122), planted=1)  # fmt: skip
_KNEEL = key(pelvis=(6, 0), legs=(8, 8, 0, 98), arms=(18, 10, 15, 50))
_HALF_KNEEL = key(pelvis=(12, 0), spine=(12, 0, 0), arms=(45, 10, 15, 60),
    right_leg=(92, 8, 0, 88), left_leg=(2, 5, 0, 96))  # fmt: skip
_ALL_FOURS = key(pelvis=(78, 0), spine=(6, 0, 0), neck=(-25, 0, 0), arms=(84, 8, 5, 14), legs=(82, 6, 0, 88))

ACTIVITIES: dict[str, Activity] = {
    "standing": _any(
        _STAND,
        key(pelvis=(2, 4), spine=(4, -5, 3), right_leg=(0, -3, -3, 10), left_leg=(15, 6, -5, 30), planted=1),
        key(pelvis=(3, 0), legs=(6, 12, -4, 20), arms=(4, 14, 10, 35), planted=1),
        key(pelvis=(5, 0), spine=(10, 0, 0), neck=(14, 0, 0), right_leg=(-8, 2, 0, 14),
            left_leg=(16, 2, -4, 26), planted=1),
        spread=(0.9, 0.9, 0.8),
        free_arms=0.35,
    ),
    "gesturing": _any(
        key(arms=A["bent forward"], planted=1),
        key(spine=(4, 3, 8), neck=(4, 0, 16), right_arm=A["palm out low"], left_arm=A["carrying"], planted=1),
        key(spine=(2, 0, -8), right_arm=A["pointing ahead"], planted=1),
        key(neck=(8, 3, 0), right_arm=A["at the mouth"], left_arm=A["crossed"], planted=1),
        key(right_arm=A["waving"], legs=(6, 6, -4, 18), planted=1),
        key(arms=A["open aside"], legs=(8, 8, -4, 22), planted=1),
        spread=(1.1, 1.3, 0.9),
        free_arms=0.5,
    ),
    "walking": _path(
        *_stride(
            1, 1, 6, hip=(30, 25, 12, -2, -13, -4, 22, 33), knee=(18, 26, 24, 20, 26, 48, 66, 40),
            shoulder=(-22, -17, -8, 1, 8, 4, -6, -16), elbow=(22, 23, 28, 34, 40, 36, 29, 24), arm=(5, -8),
        ),
        spread=(0.7, 0.7, 0.7),
        free_arms=0.1,
    ),
    "running": _path(
        *_stride(
            11, 8, 10, hip=(44, 32, 10, -10, -17, 2, 38, 56), knee=(30, 44, 42, 32, 42, 82, 102, 66),
            shoulder=(-42, -24, -4, 14, 26, 16, -4, -28), elbow=(82, 86, 94, 104, 108, 102, 92, 84),
                arm=(12, 26), lift=60.0,
        ),
        spread=(0.9, 1.0, 1.2),
        free_arms=0.05,
    ),
    "sitting": _any(
        key(pelvis=(-6, 0), spine=(8, 0, 0), arms=(20, 8, 15, 62), legs=(84, 8, 0, 88), planted=1),
        key(pelvis=(-14, 0), spine=(14, 0, 0), arms=(8, 10, 30, 80), legs=(72, 8, 0, 52), planted=0.5),
        key(pelvis=(22, 0), spine=(26, 0, 0), neck=(-12, 0, 0), arms=(62, 10, 18, 62),
            legs=(104, 12, 0, 92), planted=1),
        key(pelvis=(-6, 0), spine=(10, 0, 0), arms=(28, 10, 20, 80),
            right_leg=(100, -8, 4, 72), left_leg=(84, 6, 0, 92)),
        key(pelvis=(-4, 0), spine=(14, 0, 0), neck=(18, 0, 0), arms=(34, 10, 22, 86),
            legs=(84, 10, 0, 106), planted=1),
        spread=(1.0, 1.0, 0.9),
        together=0.6,
        free_arms=0.35,
    ),
    "floor_sitting": Activity(
        (
        key(pelvis=(-8, 0), spine=(18, 0, 0), arms=(22, 12, 20, 60), legs=(82, 10, 0, 18), seated=1),
        key(pelvis=(-4, 0), spine=(20, 0, 0), neck=(8, 0, 0), arms=(28, 14, 25, 70),
            legs=(74, 42, 80, 116), seated=1),
        key(pelvis=(-12, 0), spine=(26, 0, 0), arms=(48, 10, 30, 75), legs=(112, 8, 0, 112), seated=1),
        key(pelvis=(-28, 0), spine=(6, 0, 0), arms=(-42, 16, -10, 14), legs=(72, 12, 0, 62), seated=1),
        key(pelvis=(6, 0), spine=(10, 0, 0), arms=(24, 10, 20, 55), legs=(66, 10, 0, 146)),
        ),
        ((0, 2), (0, 3), (2, 3), (1, 1), (1, 1), (4, 4)),
        spread=(1.0, 1.0, 0.9),
        together=0.6,
        free_arms=0.3,
    ),
    "reaching": _any(
        key(pelvis=(2, 0), spine=(-4, 8, 6), neck=(-18, 0, 0), right_arm=A["reaching up"], clavicles=(10, 0),
            planted=1),
        key(pelvis=(20, 0), spine=(16, 0, 12), right_arm=(88, 8, 0, 18), legs=(24, 5, 0, 22), planted=1),
        key(pelvis=(4, -4), spine=(6, -18, -14), right_arm=(24, 84, 0, 18), legs=(8, 10, 0, 22), planted=1),
        key(pelvis=(4, 0), spine=(4, 0, 0), neck=(-12, 0, 0), arms=A["reaching up"], clavicles=(10, 0), planted=1),
        key(pelvis=(42, 0), spine=(30, 0, 10), right_arm=(85, 6, 0, 14), left_arm=(30, 10, 10, 50),
            legs=(62, 8, 0, 44), planted=1),
        spread=(1.1, 1.1, 1.0),
        free_arms=0.3,
    ),
    "crouching": _any(
        _SQUAT,
        key(pelvis=(18, 0), spine=(14, 0, 0), arms=(42, 14, 18, 70), legs=(68, 11, 3, 82), planted=1),
        key(pelvis=(8, 0), spine=(8, 0, 0), arms=(20, 14, 12, 55),
            right_leg=(78, 2, 0, 82), left_leg=(-12, 2, 0, 48)),
        key(pelvis=(12, 0), spine=(12, 0, 0), arms=(36, 18, 14, 80), legs=(40, 13, 0, 52), planted=1),
        _HALF_KNEEL,
        _KNEEL,
        spread=(1.1, 1.2, 1.1),
        free_arms=0.4,
    ),
    "bending": _any(
        key(pelvis=(26, 0), spine=(28, 0, 0), arms=(50, 8, 5, 22), legs=(32, 3, 0, 18), planted=1),
        key(pelvis=(52, 0), spine=(40, 0, 0), arms=(88, 8, 0, 16), legs=(66, 4, 0, 28), planted=1),
        key(pelvis=(6, 4), spine=(6, 24, 0), right_arm=(60, 110, 0, 25), left_arm=HANGING,
            legs=(8, 10, 0, 18), planted=1),
        key(pelvis=(20, 0), spine=(22, 0, -26), right_arm=(40, 30, 0, 25), left_arm=(70, -6, 0, 20),
            legs=(30, 12, 0, 30), planted=1),
        spread=(1.2, 1.1, 1.0),
        free_arms=0.25,
    ),
    "getting_up": Activity(
        (
            key(pelvis=(-86, 0), spine=(4, 0, 0), arms=(5, 20, 0, 25), legs=(6, 8, 0, 16)),
            key(pelvis=(-78, 0), spine=(10, 0, 0), arms=(30, 22, 15, 60), legs=(62, 8, 0, 88)),
            key(pelvis=(-40, 0), spine=(24, 0, 8), arms=(-32, 22, -5, 35), legs=(62, 8, 0, 55)),
            _SQUAT,
            _STAND,
            key(pelvis=(88, 0), spine=(-4, 0, 0), neck=(-12, 0, 20), arms=(90, 60, 0, 70), legs=(2, 8, 0, 14)),
            key(pelvis=(72, 0), spine=(-6, 0, 0), neck=(-22, 0, 0), arms=(72, 20, 8, 30), legs=(20, 8, 0, 30)),
            _ALL_FOURS,
            _KNEEL,
            _HALF_KNEEL,
            key(pelvis=(-10, 82), spine=(12, 0, 0), arms=(60, 12, 12, 70), legs=(50, 5, 0, 62)),
        ),
        ((0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (6, 7), (7, 8), (8, 9), (9, 4), (10, 1), (10, 2), (7, 3)),
        spread=(1.2, 1.3, 1.2),
        together=0.3,
        free_arms=0.2,
    ),
    "jumping": Activity(
        (
            key(pelvis=(32, 0), spine=(20, 0, 0), neck=(-14, 0, 0), arms=(-38, 12, 0, 20),
                legs=(78, 5, 0, 88), planted=1),
            key(pelvis=(10, 0), spine=(0, 0, 0), arms=(92, 18, 5, 35), legs=(14, 3, 0, 26)),
            key(pelvis=(8, 0), arms=(118, 26, 0, 30), legs=(24, 5, 0, 40), lift=330),
            key(pelvis=(14, 0), spine=(18, 0, 0), arms=(55, 30, 10, 55), legs=(88, 7, 0, 100), lift=380),
            key(pelvis=(2, 0), arms=(30, 110, 0, 14), legs=(6, 23, 0, 14), lift=250),
            key(pelvis=(4, 0), arms=(20, 50, 0, 30), right_leg=(70, 5, 0, 40), left_leg=(-26, 5, 0, 40), lift=300),
            key(pelvis=(24, 0), spine=(18, 0, 0), arms=(40, 26, 10, 45), legs=(58, 5, 0, 68), planted=1),
            _STAND,
        ),
        ((7, 0), (0, 1), (1, 2), (2, 3), (1, 4), (1, 5), (3, 6), (4, 6), (5, 6), (6, 7)),
        spread=(1.0, 1.2, 1.1),
        together=0.6,
        free_arms=0.1,
    ),
    "sport": Activity(
        (
            # throwing
            key(spine=(0, 0, -24), right_arm=(30, 72, -65, 105), left_arm=(62, 22, 10, 40),
                right_leg=(8, 2, 0, 26), left_leg=(58, -2, 0, 74)),
            key(pelvis=(2, 0), spine=(-4, 4, -22), right_arm=(20, 92, -75, 92), left_arm=(50, 55, 0, 30),
                right_leg=(-8, 8, 0, 44), left_leg=(42, 10, 0, 26)),
            key(pelvis=(14, 0), spine=(10, 6, 12), right_arm=(100, 62, -10, 40), left_arm=(20, 25, 20, 80),
                right_leg=(-12, 4, 0, 48), left_leg=(46, 2, 0, 38)),
            key(pelvis=(24, 0), spine=(26, 0, 26), right_arm=(48, -14, 20, 28), left_arm=(-20, 22, 0, 60),
                right_leg=(-10, 2, 0, 56), left_leg=(58, 0, 0, 44)),
            # kicking
            key(pelvis=(10, 0), spine=(2, 0, 12), right_arm=(-26, 34, 0, 35), left_arm=(40, 52, 0, 30),
                right_leg=(-24, 4, 0, 88), left_leg=(22, 0, 0, 28)),
            key(pelvis=(-6, 0), spine=(14, 0, -8), right_arm=(-20, 38, 0, 35), left_arm=(46, 30, 5, 35),
                right_leg=(38, 0, 4, 22), left_leg=(14, 2, 0, 30)),
            key(pelvis=(-8, 0), spine=(18, 0, -12), right_arm=(-22, 40, 0, 40), left_arm=(60, 16, 10, 40),
                right_leg=(84, -6, 0, 18), left_leg=(8, 2, 0, 22)),
            # boxing
            key(pelvis=(8, 0), spine=(12, 0, -8), arms=A["guarding"],
                right_leg=(-2, 8, 0, 34), left_leg=(28, 6, 0, 34), planted=1),
            key(pelvis=(10, 0), spine=(10, 0, 22), right_arm=(86, 2, 15, 14), left_arm=A["guarding"],
                right_leg=(-8, 6, 0, 36), left_leg=(36, 4, 0, 40), planted=1),
            # batting and golf
            key(pelvis=(12, 0), spine=(14, 0, -30), right_arm=(30, 26, 10, 95), left_arm=(62, -18, 20, 45),
                legs=(24, 10, 0, 32), planted=1),
            key(pelvis=(10, 0), spine=(12, 0, 24), right_arm=(62, -16, 15, 40), left_arm=(36, 40, 5, 70),
                legs=(20, 10, 0, 28), planted=1),
            # basketball
            key(pelvis=(12, 0), spine=(12, 0, 0), right_arm=(24, 16, 5, 70), left_arm=(10, 34, 10, 60),
                right_leg=(32, 6, 0, 48), left_leg=(44, 6, 0, 52)),
            key(pelvis=(4, 0), spine=(2, 0, 0), neck=(-14, 0, 0), arms=(118, 14, 8, 62),
                legs=(12, 4, 0, 28), lift=80),
        ),
        ((0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (7, 8), (9, 10), (7, 11), (11, 12), (7, 4)),
        spread=(1.1, 1.1, 1.1),
        together=0.2,
        free_arms=0.15,
    ),
    "dancing": _any(
        key(arms=(-8, 6, 4, 96), legs=(14, 2, -3, 34)),
        key(spine=(0, 6, 8), right_arm=(-16, 10, -20, 104), left_arm=(12, 22, 20, 112),
            right_leg=(18, -4, 0, 38), left_leg=(30, 4, 0, 54)),
        key(pelvis=(-4, 4), spine=(-6, -8, -6), arms=(8, 54, -10, 78),
            right_leg=(14, 4, -4, 34), left_leg=(26, 10, -4, 46)),
        key(pelvis=(6, 0), spine=(6, 0, 12), right_arm=(46, 20, 12, 96), left_arm=(-24, 10, 0, 70),
            right_leg=(42, 0, 0, 60), left_leg=(6, 2, 0, 38)),
        key(pelvis=(2, -4), spine=(-4, 8, -10), neck=(8, 0, 0), right_arm=(16, 4, 15, 122),
            left_arm=(-8, 6, -22, 112), right_leg=(-8, 2, 0, 36), left_leg=(24, 0, 0, 44)),
        key(pelvis=(10, 0), spine=(10, 0, 0), arms=(-26, 4, 0, 58), legs=(38, 4, 0, 58)),
        key(pelvis=(-2, 0), spine=(-6, 0, 0), right_arm=(80, 44, -10, 50), left_arm=(18, 72, -10, 40),
            right_leg=(50, 14, 0, 66), left_leg=(4, 4, 0, 30)),
        spread=(1.3, 1.5, 1.3),
        free_arms=0.3,
    ),
    "acrobatics": _path(
        key(pelvis=(30, 0), spine=(10, 0, 0), arms=(150, 16, 0, 12),
            right_leg=(60, 6, 0, 40), left_leg=(2, 6, 0, 24)),
        key(pelvis=(110, 0), spine=(6, 0, 0), neck=(-24, 0, 0), arms=(160, 12, 0, 12),
            right_leg=(60, 8, 0, 24), left_leg=(-16, 8, 0, 30)),
        key(pelvis=(172, 0), spine=(-4, 0, 0), neck=(-24, 0, 0), arms=(166, 10, 0, 10),
            right_leg=(-8, 20, 0, 22), left_leg=(14, 20, 0, 30)),
        spread=(1.2, 1.1, 1.4),
        free_arms=0.0,
    ),
}  # fmt: skip

# default share of each activity: what photographs of people show, with enough of the rare
DEFAULT_MIX: dict[str, float] = {
    "standing": 0.10,
    "gesturing": 0.12,
    "walking": 0.17,
    "running": 0.07,
    "sitting": 0.06,
    "floor_sitting": 0.02,
    "reaching": 0.05,
    "crouching": 0.06,
    "bending": 0.03,
    "getting_up": 0.03,
    "jumping": 0.06,
    "sport": 0.09,
    "dancing": 0.13,
    "acrobatics": 0.01,
}


def mixture(mix: Mapping[str, float] | None = None) -> np.ndarray:
    """Returns the probability of each activity, in the order of ``ACTIVITIES``: ``[len(ACTIVITIES)]`` float64.

    ``mix`` maps names of activities to weights that need not sum to 1 (None: ``DEFAULT_MIX``); names left out have
    weight 0. Raises InputError on an unknown name, a negative or infinite weight, or when nothing is left.
    """
    mix = DEFAULT_MIX if mix is None else mix
    unknown = sorted(set(mix) - set(ACTIVITIES))
    if unknown:
        raise InputError(f"unknown activity {', '.join(unknown)}; known: {', '.join(ACTIVITIES)}")
    weights = np.array([float(mix.get(name, 0.0)) for name in ACTIVITIES])
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise InputError(f"activity weights must be finite, not negative, and not all zero; got {dict(mix)}")
    return weights / weights.sum()
