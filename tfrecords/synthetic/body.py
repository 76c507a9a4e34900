"""A kinematic model of the human body: bodies, what their joints can do, and where that puts them; NumPy only.

Arrays run over poses in their last axis: vectors are ``[3, n]``, rotations ``[3, 3, n]``, angles ``[28, n]`` in the
order of ``ANGLES``. World axes: z up, the ground at z = 0, millimetres. A person at yaw 0 looks along +x with +y to the
left.

Angles, in radians:

* ``pelvis_pitch`` forward, ``pelvis_roll`` to the left: the tilt of the pelvis' up axis.
* ``spine_*``, ``neck_*``: rotation vector of the thorax in the pelvis and of the head in the thorax: flexion forward,
  lateral to the left, twist to the left.
* ``clavicle_up``, ``clavicle_forward``: the shoulder joint moved about the thorax.
* ``shoulder_*``, ``hip_*``: swing of the upper arm or thigh from straight down in the thorax or pelvis, towards the
  front (flexion) and outwards (abduction), then twist about the bone, positive when it takes the wrist or the foot
  inwards. The length of the swing is the elevation.
* ``elbow``, ``knee``: hinges, 0 = straight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# this project's order of joints
(HEAD, NECK, THORAX, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, SPINE, HIP,
 R_HIP, R_KNEE, R_FOOT, L_HIP, L_KNEE, L_FOOT) = range(17)  # fmt: skip

CENTRE = (
    "pelvis_pitch",
    "pelvis_roll",
    "spine_flexion",
    "spine_lateral",
    "spine_twist",
    "neck_flexion",
    "neck_lateral",
    "neck_twist",
)
SIDE = (
    "clavicle_up",
    "clavicle_forward",
    "shoulder_flexion",
    "shoulder_abduction",
    "shoulder_twist",
    "elbow",
    "hip_flexion",
    "hip_abduction",
    "hip_twist",
    "knee",
)
ANGLES = CENTRE + tuple(f"right_{name}" for name in SIDE) + tuple(f"left_{name}" for name in SIDE)
RIGHT = slice(len(CENTRE), len(CENTRE) + len(SIDE))
LEFT = slice(RIGHT.stop, RIGHT.stop + len(SIDE))
# least and greatest angle that a pose may take, degrees: usual ranges of motion, wider where sport goes further
LIMITS_CENTRE = ((-180, 180), (-180, 180), (-30, 70), (-35, 35), (-45, 45), (-50, 60), (-35, 35), (-70, 70))
LIMITS_SIDE = (
    (-10, 35), (-20, 25), (-60, 175), (-40, 150), (-90, 90), (0, 150),
    (-40, 130), (-30, 80), (-45, 90), (0, 150),
)  # fmt: skip
# length of the swing, degrees: the cone about straight down that the upper arm and the thigh stay in
SHOULDER_CONE, HIP_CONE = 175.0, 130.0

# where each angle is among those of the centre, and among those of one side
(PITCH, ROLL, FLEXION, LATERAL, TWIST, NECK_FLEXION, NECK_LATERAL, NECK_TWIST) = range(8)
(CLAVICLE_UP, CLAVICLE_FORWARD, SHOULDER_FLEXION, SHOULDER_ABDUCTION, SHOULDER_TWIST, ELBOW,
 HIP_FLEXION, HIP_ABDUCTION, HIP_TWIST, KNEE) = range(10)  # fmt: skip

# how far above the ground a joint lies when its part of the body rests on it, as shares of stature: the ankle after
# Drillis & Contini (1966), 0.039, plus a sole; the others half a limb's or body's thickness, estimated
REST_HEIGHT = {
    HEAD: 0.03, NECK: 0.05, THORAX: 0.055, R_SHOULDER: 0.05, L_SHOULDER: 0.05, R_ELBOW: 0.025, L_ELBOW: 0.025,
    R_WRIST: 0.025, L_WRIST: 0.025, SPINE: 0.06, HIP: 0.06, R_HIP: 0.052, L_HIP: 0.052, R_KNEE: 0.035, L_KNEE: 0.035,
    R_FOOT: 0.041, L_FOOT: 0.041,
}  # fmt: skip

# segment lengths as shares of stature, between joint centres: mean, and spread between people of one stature; limbs
# after Drillis & Contini (1966) and Winter (2009), shoulders and head as motion capture places them; all rounded
SEGMENTS = {
    "thigh": (0.242, 0.013),
    "shin": (0.246, 0.010),
    "hip_half_width": (0.0525, 0.0045),
    "trunk": (0.286, 0.011),
    "head": (0.146, 0.011),
    "shoulder_half_width": (0.097, 0.011),
    "upper_arm": (0.164, 0.010),
    "forearm": (0.144, 0.008),
}
# stature: share, mean, standard deviation (mm): women, men, and children from about 5 years on
STATURE = ((0.45, 1630.0, 68.0), (0.45, 1760.0, 72.0), (0.10, 1380.0, 140.0))
STATURE_RANGE = (1050.0, 2080.0)
NECK_SHARE = 0.4986  # Neck/Nose on the way from Thorax to Head: the median of motion capture
SHOULDER_DROP = (30.0, 75.0)  # Thorax above the middle of the shoulders, mm

_LOW, _HIGH = np.radians(np.array(LIMITS_CENTRE + LIMITS_SIDE + LIMITS_SIDE, np.float64).T[..., None])  # each [28, 1]
_ODD = np.array([1, 3, 4, 6, 7])  # roll, lateral and twist change their sign in a mirror


@dataclass(frozen=True)
class Bodies:
    """``n`` symmetric bodies, millimetres.

    ``stature`` and the four lengths of limbs are ``[n]``. The offsets ``[3, n]`` lead, x forward, y left, z up, from
    Hip to Spine, Spine to Thorax, Thorax to Neck/Nose, Thorax to Head, Hip to left hip, and Thorax to left shoulder.
    """

    stature: np.ndarray
    thigh: np.ndarray
    shin: np.ndarray
    upper_arm: np.ndarray
    forearm: np.ndarray
    to_spine: np.ndarray
    to_thorax: np.ndarray
    to_neck: np.ndarray
    to_head: np.ndarray
    to_hip: np.ndarray
    to_shoulder: np.ndarray


def sample_bodies(rng: np.random.Generator, n: int) -> Bodies:
    """Returns ``n`` bodies: stature of a mixture of women, men and children, proportions that vary together.

    Limbs share about half of the variance of their relative length (long arms go with long legs, at a shorter trunk);
    small people have larger heads and shorter limbs for their size, as children do.
    """
    shares, means, spreads = (np.array(column) for column in zip(*STATURE))
    group = rng.choice(len(shares), n, p=shares)
    stature = np.clip(means[group] + spreads[group] * rng.standard_normal(n), *STATURE_RANGE)
    limbs = rng.standard_normal(n)
    childlike = np.clip((1550.0 - stature) / 500.0, 0.0, 1.0)
    length = {}
    for name, (part, spread) in SEGMENTS.items():
        common = {"trunk": -0.6, "head": 0.0, "hip_half_width": 0.0, "shoulder_half_width": 0.3}.get(name, 0.7)
        noise = common * limbs + np.sqrt(1 - common**2) * rng.standard_normal(n)
        grown = {"head": 0.035, "thigh": -0.018, "shin": -0.012}.get(name, 0.0) * childlike
        length[name] = stature * (part + grown + spread * np.clip(noise, -2.5, 2.5))
    zero = np.zeros(n)
    share = np.clip(0.51 + 0.025 * rng.standard_normal(n), 0.43, 0.58)
    # some conventions put the Spine joint in front of the straight line from Hip to Thorax, others behind it
    bulge = np.where(rng.random(n) < 0.5, 22.0, -24.0) + 10.0 * rng.standard_normal(n)
    up = np.clip(NECK_SHARE + 0.02 * rng.standard_normal(n), 0.42, 0.58) * length["head"]
    # a neck joint lies on the line to the head, a nose in front of it
    nose = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.01, 0.05, n) * stature) + 6.0 * rng.standard_normal(n)
    drop = np.clip(0.031 * stature + 10.0 * rng.standard_normal(n), *SHOULDER_DROP)
    return Bodies(
        stature=stature,
        thigh=length["thigh"],
        shin=length["shin"],
        upper_arm=length["upper_arm"],
        forearm=length["forearm"],
        to_spine=np.stack([bulge, zero, share * length["trunk"]]),
        to_thorax=np.stack([-bulge, zero, (1 - share) * length["trunk"]]),
        to_neck=np.stack([nose, zero, up]),
        to_head=np.stack([12.0 * rng.standard_normal(n), zero, length["head"]]),
        to_hip=np.stack([zero, length["hip_half_width"], zero]),
        to_shoulder=np.stack([-12.0 + 9.0 * rng.standard_normal(n), length["shoulder_half_width"], -drop]),
    )


def mirrored(angles: np.ndarray) -> np.ndarray:
    """Returns the angles ``[28 or more, n]`` of the mirror images: sides swapped, roll, lateral and twist negated."""
    out = angles.copy()
    out[RIGHT], out[LEFT] = angles[LEFT], angles[RIGHT]
    out[_ODD] = -angles[_ODD]
    return out


def limited(angles: np.ndarray) -> np.ndarray:
    """Returns the angles ``[28, n]`` cut to what joints can do: each angle's range, and the cones of the swings."""
    out = angles.copy()
    # a hinge that noise stretches too far bends instead, or straight limbs would be as frequent as the cut was deep
    hinges = [half.start + row for half in (RIGHT, LEFT) for row in (ELBOW, KNEE)]
    out[hinges] = np.abs(out[hinges])
    out = np.clip(out, _LOW, _HIGH)
    for side in (out[RIGHT], out[LEFT]):
        # an arm that hangs cannot go far across the body, one that is raised in front of it can
        inwards = -np.radians(8.0) - 0.4 * np.clip(side[SHOULDER_FLEXION], 0.0, 1.5)
        side[SHOULDER_ABDUCTION] = np.maximum(side[SHOULDER_ABDUCTION], inwards)
        for row, cone in ((SHOULDER_FLEXION, SHOULDER_CONE), (HIP_FLEXION, HIP_CONE)):
            elevation = np.hypot(side[row], side[row + 1])
            side[row : row + 2] *= np.minimum(1.0, np.radians(cone) / np.maximum(elevation, 1e-9))
    return out


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rotations ``[3, 3, n]`` about the vectors ``[3, n]`` by their length in radians (Rodrigues)."""
    angle = np.sqrt((vector * vector).sum(0))
    x, y, z = vector / np.maximum(angle, 1e-12)
    s, c = np.sin(angle), np.cos(angle)
    d = 1 - c
    return np.stack(
        [
            np.stack([c + x * x * d, x * y * d - z * s, x * z * d + y * s]),
            np.stack([y * x * d + z * s, c + y * y * d, y * z * d - x * s]),
            np.stack([z * x * d - y * s, z * y * d + x * s, c + z * z * d]),
        ]
    )


def _times(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """``[3, 3, n] x [3, n] -> [3, n]``"""
    return rotation[:, 0] * vector[0] + rotation[:, 1] * vector[1] + rotation[:, 2] * vector[2]


def _chain(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``[3, 3, n] x [3, 3, n] -> [3, 3, n]``"""
    return np.stack([_times(first, second[:, column]) for column in range(3)], 1)


def _limb(
    parent: np.ndarray,
    start: np.ndarray,
    angles: np.ndarray,
    sign: float,
    forwards: float,
    upper: np.ndarray,
    lower: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end joint ``[3, n]`` of an arm (``forwards`` 1: the hinge bends to the front) or a leg (-1).

    ``angles`` ``[4, n]``: flexion, abduction, twist, hinge.
    """
    flexion, abduction, twist, hinge = angles
    zero = np.zeros_like(flexion)
    swing = _chain(parent, _rotation(np.stack([sign * abduction, -flexion, zero])))
    middle = start - upper * swing[:, 2]
    # the second bone in the frame of the first, turned inwards about it by the twist
    ahead = forwards * np.sin(hinge)
    inwards = -forwards * sign * np.sin(twist)
    direction = np.stack([ahead * np.cos(twist), ahead * inwards, -np.cos(hinge)])
    return middle, middle + lower * _times(swing, direction)


def forward_kinematics(bodies: Bodies, angles: np.ndarray, yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the joints ``[17, 3, n]`` mm with Hip at the origin, and the thorax' rotation ``[3, 3, n]``.

    ``angles`` ``[28, n]`` as in ``synthetic_activities``, ``yaw`` ``[n]`` about the vertical, radians.
    """
    n = len(yaw)
    zero = np.zeros(n)
    centre = angles[: len(CENTRE)]
    heading = _rotation(np.stack([zero, zero, yaw]))
    pelvis = _chain(heading, _rotation(np.stack([-centre[ROLL], centre[PITCH], zero])))
    bend = np.stack([-centre[LATERAL], centre[FLEXION], centre[TWIST]])
    lumbar, thorax = _chain(pelvis, _rotation(0.35 * bend)), _chain(pelvis, _rotation(bend))
    nod = _rotation(np.stack([-centre[NECK_LATERAL], centre[NECK_FLEXION], centre[NECK_TWIST]]))
    head = _chain(thorax, nod)
    joints = np.zeros((17, 3, n))
    joints[SPINE] = _times(lumbar, bodies.to_spine)
    joints[THORAX] = joints[SPINE] + _times(thorax, bodies.to_thorax)
    joints[NECK] = joints[THORAX] + _times(head, bodies.to_neck)
    joints[HEAD] = joints[THORAX] + _times(head, bodies.to_head)
    for rows, sign, arm, leg in ((RIGHT, -1, R_SHOULDER, R_HIP), (LEFT, 1, L_SHOULDER, L_HIP)):
        side = angles[rows]
        to_side = np.array([[1.0], [sign], [1.0]])
        girdle = _rotation(np.stack([sign * side[CLAVICLE_UP], zero, -sign * side[CLAVICLE_FORWARD]]))
        joints[arm] = joints[THORAX] + _times(thorax, _times(girdle, to_side * bodies.to_shoulder))
        joints[arm + 1], joints[arm + 2] = _limb(
            thorax, joints[arm], side[SHOULDER_FLEXION : ELBOW + 1], sign, 1, bodies.upper_arm, bodies.forearm
        )
        joints[leg] = _times(pelvis, to_side * bodies.to_hip)
        joints[leg + 1], joints[leg + 2] = _limb(
            pelvis, joints[leg], side[HIP_FLEXION : KNEE + 1], sign, -1, bodies.thigh, bodies.shin
        )
    return joints, thorax


def _reach(
    start: np.ndarray,
    middle: np.ndarray,
    end: np.ndarray,
    target: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    hinge_limit: float,
    hint: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end joint of a two-bone limb whose end goes to ``target``, or as near as its hinge lets it.

    The limb bends towards the side it bent to before; ``hint`` says which way when it was straight.
    """
    way = target - start
    nearest = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(hinge_limit))
    distance = np.sqrt((way * way).sum(0))
    reach = np.clip(distance, nearest, (upper + lower) * 0.9999)
    along = way / np.maximum(distance, 1e-9)
    pole = middle - start + 1e-2 * upper * hint
    before = end - start
    # turned with the limb: without what lies along the old axis, then without what lies along the new one
    before = before / np.maximum(np.sqrt((before * before).sum(0)), 1e-9)
    pole = pole - (pole * before).sum(0) * before
    pole = pole - (pole * along).sum(0) * along
    pole = pole / np.maximum(np.sqrt((pole * pole).sum(0)), 1e-9)
    foot = (upper**2 - lower**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(upper**2 - foot**2, 0.0))
    return start + foot * along + height * pole, start + reach * along


def stand_firm(bodies: Bodies, joints: np.ndarray, planted: np.ndarray) -> None:
    """Brings both feet of ``planted`` people (0-1) towards one height, in place, by bending or stretching the knees."""
    some = np.flatnonzero(planted > 0.05)
    if not len(some):
        return
    feet = joints[[R_FOOT, L_FOOT], 2][:, some]
    # the higher foot counts for more: a leg can always be bent, a straight one not be stretched
    level = 0.3 * feet.min(0) + 0.7 * feet.max(0)
    ahead = np.cross(joints[L_HIP][:, some] - joints[R_HIP][:, some], joints[SPINE][:, some], axis=0)
    ahead /= np.maximum(np.sqrt((ahead * ahead).sum(0)), 1e-9)
    for leg in (R_HIP, L_HIP):
        start, middle, end = (joints[leg + i][:, some] for i in range(3))
        target = end.copy()
        target[2] += planted[some] * np.clip(level - end[2], -250.0, 250.0)
        limit = np.radians(LIMITS_SIDE[KNEE][1])
        reached = _reach(start, middle, end, target, bodies.thigh[some], bodies.shin[some], limit, ahead)
        joints[leg + 1][:, some], joints[leg + 2][:, some] = reached


def sit_down(bodies: Bodies, joints: np.ndarray, seated: np.ndarray) -> None:
    """Lifts the feet of people who sit on the ground (``seated`` at least 0.5) to it where they are below, in place."""
    some = np.flatnonzero(seated >= 0.5)
    if not len(some):
        return
    hips = joints[[R_HIP, L_HIP], 2][:, some].min(0)
    ground = hips - (REST_HEIGHT[R_HIP] - REST_HEIGHT[R_FOOT]) * bodies.stature[some]
    limit = np.radians(LIMITS_SIDE[KNEE][1])
    upwards = np.array([[0.0], [0.0], [1.0]])
    for leg in (R_HIP, L_HIP):
        start, middle, end = (joints[leg + i][:, some] for i in range(3))
        target = end.copy()
        target[2] = np.maximum(end[2], ground)
        reached = _reach(start, middle, end, target, bodies.thigh[some], bodies.shin[some], limit, upwards)
        joints[leg + 1][:, some], joints[leg + 2][:, some] = reached


def clear_torso(bodies: Bodies, joints: np.ndarray, thorax: np.ndarray) -> None:
    """Moves wrists that lie inside the torso to its surface, in place, by bending the elbow.

    The torso is an elliptic cylinder about the line from Hip to Thorax, 0.07 of the stature wide on each side and 0.058
    deep.
    """
    axis = joints[THORAX]
    length = (axis * axis).sum(0)
    for arm in (R_SHOULDER, L_SHOULDER):
        wrist = joints[arm + 2]
        place = (wrist * axis).sum(0) / length
        out = wrist - place * axis
        aside = (out * thorax[:, 1]).sum(0) / (0.07 * bodies.stature)
        ahead = (out * thorax[:, 0]).sum(0) / (0.058 * bodies.stature)
        depth = np.hypot(aside, ahead)
        some = np.flatnonzero((depth < 1.0) & (place > -0.1) & (place < 1.05))
        if not len(some):
            continue
        front, left = thorax[:, 0][:, some], thorax[:, 1][:, some]
        scale = 1.0 / np.maximum(depth[some], 0.05)
        target = place[some] * axis[:, some]
        target = target + bodies.stature[some] * scale * (0.058 * ahead[some] * front + 0.07 * aside[some] * left)
        start, middle, end = (joints[arm + i][:, some] for i in range(3))
        limit = np.radians(LIMITS_SIDE[ELBOW][1])
        reached = _reach(start, middle, end, target, bodies.upper_arm[some], bodies.forearm[some], limit, -front)
        joints[arm + 1][:, some], joints[arm + 2][:, some] = reached


def put_on_ground(bodies: Bodies, joints: np.ndarray, lift: np.ndarray) -> None:
    """Moves the people up or down, in place, until the lowest part of each rests on z = 0, or is ``lift`` mm above."""
    rest = np.array([REST_HEIGHT[joint] for joint in range(17)])[:, None] * bodies.stature
    joints[:, 2] += lift - (joints[:, 2] - rest).min(0)
