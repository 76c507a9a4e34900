"""From the 17 joints of a pose to a clothed body: trunk and limbs as tubes, head, hair, hands and feet added.

World axes, mm, z up. What joints do not say (where the face, the palms and the toes point) is taken from the trunk, the
bend of knees and elbows, and the ground. Angle 0 of every section looks to the front of its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfrecords.rendering import head as render_head
from tfrecords.rendering.looks import Look
from tfrecords.rendering.mesh import Blob, Mesh, across, angles, assemble, blobs, cross, swing, tubes, unit
from tools.pose.joints import POSE17

# What is seen of a part; each has its own way of being coloured.
TRUNK, ARM, LEG, HEAD, HAIR, PLAIN, SKIRT, PROP = range(8)
# The stature that widths below are given for, mm.
STATURE_MM = 1750.0
_CHAINS = (("Hip", "Spine", "Thorax", "Neck/Nose", "Head"), ("RFoot", "RKnee", "RHip"), ("LFoot", "LKnee", "LHip"))
# Ankles are about this high above the soles.
ANKLE_MM = 80.0

# Half widths in mm along an arm (0 shoulder, 1 elbow, 2 wrist) and a leg (0 hip, 1 knee, 2 ankle).
_ARM_Q = (-0.13, -0.105, -0.05, 0.0, 0.12, 0.45, 0.8, 1.0, 1.12, 1.3, 1.6, 1.9, 2.0, 2.06)
_ARM_R = (4.0, 32.0, 44.0, 47.0, 50.0, 46.0, 41.0, 39.0, 41.0, 43.0, 34.0, 27.0, 26.0, 12.0)
_LEG_Q = (-0.12, -0.09, -0.03, 0.05, 0.2, 0.5, 0.85, 1.0, 1.12, 1.32, 1.6, 1.88, 2.0, 2.08)
_LEG_R = (6.0, 62.0, 84.0, 91.0, 89.0, 77.0, 60.0, 56.0, 54.0, 58.0, 48.0, 37.0, 37.0, 16.0)
_ARM_STATIONS = (-0.13, -0.115, -0.085, -0.04, 0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.83, 0.93, 1.0, 1.07, 1.16, 1.28, 1.42,
                 1.6, 1.76, 1.9, 2.0, 2.06)  # fmt: skip
_LEG_STATIONS = (-0.12, -0.1, -0.06, 0.0, 0.08, 0.2, 0.34, 0.5, 0.65, 0.78, 0.88, 0.95, 1.0, 1.06, 1.14, 1.25, 1.4,
                 1.55, 1.7, 1.85, 1.96, 2.08)  # fmt: skip
_LIMB_AROUND, _TRUNK_AROUND = 10, 24
# The trunk: 0 at the hip, 1 at the spine, 2 at the base of the neck; half widths to the side beyond the joints that
# carry it (hips below, shoulders above), and to front and back.
_TRUNK_STATIONS = np.array([-0.46, -0.43, -0.36, -0.26, -0.14, 0.0, 0.14, 0.28, 0.42, 0.56, 0.7, 0.84, 0.98, 1.12, 1.26,
                            1.4, 1.52, 1.63, 1.73, 1.81, 1.88, 1.95, 2.02, 2.08])  # fmt: skip
_SKIRT_STATIONS = 9


class Body(NamedTuple):
    """A body ready to be drawn.

    Attributes:
      mesh: its surface; uv is the place along a part, in its own measure, and the angle around it.
      kind: [p] what each part is; colour: [p, 3] sRGB of PLAIN parts.
      flesh: [17] mm, how far in front of a joint its own surface may lie.
      scale: its stature as a share of STATURE_MM.
      pieces: ranges of vertices that lie on convex pieces, nearly: what casts the shadow on the floor.
    """

    mesh: Mesh
    kind: np.ndarray
    colour: np.ndarray
    flesh: np.ndarray
    scale: float
    pieces: list[tuple[int, int]]


def stature(joints: np.ndarray) -> float:
    """How tall a pose [17, 3] would stand, mm, from its bones: with soles below, Head being the top of the head."""
    place = dict(zip(POSE17.joints, joints))
    trunk, right, left = (
        sum(float(np.linalg.norm(place[a] - place[b])) for a, b in zip(chain, chain[1:])) for chain in _CHAINS
    )
    return float(np.clip(trunk + (right + left) / 2 + ANKLE_MM, 900.0, 2300.0))


def build(joints: np.ndarray, look: Look, ground: float, rng: np.random.Generator) -> Body:
    """The body of a person with these joints.

    Args:
      joints: [17, 3] mm, world, z up.
      ground: height of the floor, which feet do not sink into.
      rng: for the folds of the clothes.
    """
    joint = {name: np.asarray(position, np.float64) for name, position in zip(POSE17.joints, joints)}
    k = stature(joints) / STATURE_MM
    hips = unit(joint["LHip"] - joint["RHip"])
    shoulders = unit(joint["LShoulder"] - joint["RShoulder"])
    pelvis_up, chest_up = unit(joint["Spine"] - joint["Hip"]), unit(joint["Thorax"] - joint["Spine"])
    trunk_up = unit(joint["Thorax"] - joint["Hip"])
    pelvis_front, chest_front = unit(cross(hips, trunk_up)), unit(cross(shoulders, trunk_up))

    trunk = _trunk(joint, look, k, (hips, shoulders), (pelvis_up, chest_up, trunk_up), rng)
    limbs, limb_along, frames = _limbs(joint, look, k, trunk_up, pelvis_front, chest_front, rng)
    head, head_along, extras = render_head.build(joint, look, k, chest_front, chest_up)

    plain, fine = list(extras), list[tuple[Blob, np.ndarray]]()
    weight = 0.85 + 0.4 * look.weight
    for side, sign in (("R", -1), ("L", 1)):
        shoulder, neck = joint[f"{side}Shoulder"], joint["Thorax"] - 62 * k * chest_up
        cover = look.top.colour if look.sleeve > 0.03 else look.skin
        plain.append((_blob(neck, shoulder + 10 * k * sign * shoulders, chest_front, 62 * k * weight, 50 * k,
                            46 * k, 45 * k, 3.0), cover))  # fmt: skip
        fine += _hand(look, k, frames[f"{side}Arm"], joint[f"{side}Wrist"], sign)
        plain += _foot(look, k, frames[f"{side}Leg"], joint[f"{side}Foot"], pelvis_front, ground)
    if look.backpack:
        middle = (joint["Spine"] + joint["Thorax"]) / 2 - chest_front * (185 + 40 * look.weight) * k
        plain.append((_blob(middle - 230 * k * chest_up, middle + 190 * k * chest_up, chest_front, 80 * k, 140 * k,
                            70 * k, 120 * k, 4.0), look.backpack_colour))  # fmt: skip

    grids = [trunk, limbs[:2], limbs[2:], head, blobs([spec for spec, _ in plain], 8, 8),
             blobs([spec for spec, _ in fine], 5, 6)]  # fmt: skip
    count = [len(plain), len(fine)]
    along = [
        _TRUNK_STATIONS[None],
        *limb_along,
        head_along,
        *(np.zeros((n, g.shape[1])) for n, g in zip(count, grids[4:])),
    ]
    kinds = [TRUNK, ARM, ARM, LEG, LEG, HEAD, HAIR] + [PLAIN] * sum(count)
    colours = [np.zeros(3)] * 7 + [colour for _, colour in plain + fine]
    if look.skirt:
        grids.append(_skirt(joint, look, k, trunk, limbs[2:], pelvis_front, rng))
        along.append(np.linspace(0.0, 1.0, _SKIRT_STATIONS)[None])
        kinds.append(SKIRT)
        colours.append(np.zeros(3))
    mesh = assemble(grids, along)
    return Body(mesh, np.array(kinds), np.array(colours), _flesh(k, look), k, _pieces(grids))


def _pieces(grids: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Ranges of vertices: trunk, halves of the limbs, head and the larger parts that are added, skirt."""
    ranges, first = [], 0
    for number, grid in enumerate(grids):
        size = grid[0, ..., 0].size
        for part in range(len(grid)):
            start = first + part * size
            if number in (1, 2):
                half = grid.shape[2] * (grid.shape[1] // 2)
                ranges += [(start, start + half + grid.shape[2]), (start + half, start + size)]
            elif number != 5:  # fingers are too small to matter
                ranges.append((start, start + size))
        first += size * len(grid)
    return ranges


def _blob(
    start: np.ndarray,
    end: np.ndarray,
    front: np.ndarray,
    front_start: float,
    left_start: float,
    front_end: float,
    left_end: float,
    sharpness: float = 2.0,
) -> Blob:
    return start, end, front, front_start, left_start, front_end, left_end, sharpness


def _flesh(k: float, look: Look) -> np.ndarray:
    """How thick bodies are around each joint, mm: what may lie in front of it without hiding it."""
    trunk = 1.0 + 0.6 * look.weight
    thickness = {"Head": 130, "Neck/Nose": 140, "Thorax": 130 * trunk, "Spine": 170 * trunk, "Hip": 190 * trunk}
    for side in "RL":
        for name, value in (("Shoulder", 100), ("Elbow", 75), ("Wrist", 65), ("Hip", 170), ("Knee", 100), ("Foot", 95)):
            thickness[side + name] = value * (1.0 + 0.3 * look.weight)
    return np.array([thickness[name] * k for name in POSE17.joints])


def _smooth(low: float, high: float, value: Any) -> np.ndarray:
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)


def _trunk(
    joint: dict[str, np.ndarray],
    look: Look,
    k: float,
    sides: tuple[np.ndarray, np.ndarray],
    ups: tuple[np.ndarray, np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """The trunk [1, s, n + 1, 3]: hips and shoulders turned against each other as the joints are."""
    q = _TRUNK_STATIONS
    hip, spine, thorax = joint["Hip"], joint["Spine"], joint["Thorax"]
    pelvis_up, chest_up, trunk_up = ups
    centres = np.where((q <= 1)[:, None], hip + q[:, None] * (spine - hip), spine + (q[:, None] - 1) * (thorax - spine))
    # the lowest part hangs a hand's breadth below the hips whatever the length of the lower spine
    low = q < 0
    centres[low] = hip + q[low, None] / 0.46 * 105 * k * unit(0.5 * pelvis_up + 0.5 * trunk_up)
    # a straighter back than the joints' line, whose Spine may lie before or behind it
    straight = hip + (q[:, None] / 2) * (thorax - hip)
    middle = (q > 0) & (q < 2)
    centres[middle] = 0.5 * centres[middle] + 0.5 * straight[middle]
    turn = _smooth(0.3, 1.6, q)[:, None]
    left = unit((1 - turn) * sides[0] + turn * sides[1])
    bent = _smooth(0.4, 1.6, q)[:, None]
    axis = unit(0.5 * ((1 - bent) * pelvis_up + bent * chest_up) + 0.5 * trunk_up)
    front = unit(cross(left, axis))
    left = cross(axis, front)

    hip_half = np.linalg.norm(joint["LHip"] - joint["RHip"]) / 2
    shoulder_half = np.linalg.norm(joint["LShoulder"] - joint["RShoulder"]) / 2
    # shoulders that are lifted come nearer to each other than they carry the chest
    shoulder_half = np.clip(shoulder_half, 130 * k, 215 * k) * look.shoulder
    hip_half = np.clip(hip_half, 80 * k, 150 * k)
    weight, female, male = look.weight, look.female, 1 - look.female
    hips = (0.55 * hip_half + (112 + 12 * female + 34 * weight) * k) * look.hips
    waist = (118 + 12 * male + 62 * weight + 12 * look.loose_top) * k
    chest = (0.55 * shoulder_half + (56 + 10 * male + 34 * weight) * k) * look.chest
    wide_q = [-0.46, -0.43, -0.36, -0.2, 0.0, 0.25, 0.7, 1.0, 1.4, 1.66, 1.8, 1.9, 1.97, 2.08]
    wide = [0.1 * hips, 0.45 * hips, 0.72 * hips, 0.95 * hips, hips, 0.95 * hips, waist, 0.5 * (waist + chest), chest,
            0.88 * shoulder_half, 0.72 * shoulder_half, 84 * k, 62 * k, 56 * k]  # fmt: skip
    deep_q = [-0.46, -0.43, -0.36, -0.2, 0.0, 0.4, 0.8, 1.3, 1.6, 1.8, 1.95, 2.08]
    seat, middle_deep, ribs = (100 + 30 * weight) * k, (88 + 50 * weight) * k, (108 + 34 * weight) * k * look.chest
    deep = [10 * k, 0.5 * seat, 0.8 * seat, seat, seat, 0.95 * middle_deep, middle_deep, ribs, 0.96 * ribs, 78 * k,
            60 * k, 54 * k]  # fmt: skip
    breadths, depths = np.interp(q, wide_q, wide)[:, None], np.interp(q, deep_q, deep)[:, None]
    theta, cos, sin = angles(_TRUNK_AROUND)

    def bump(at: float, height: float, angle: float, breadth: float) -> np.ndarray:
        turned = np.abs(np.abs(theta) - angle) if angle else np.abs(theta)
        return np.exp(-(((q - at) / height) ** 2))[:, None] * np.exp(-((turned / breadth) ** 2))

    forward = 62 * look.bust * bump(1.42, 0.2, 0.5, 0.38) + (120 * look.belly) * bump(0.55, 0.5, 0.0, 0.9)
    backward = (34 + 16 * female + 20 * weight) * bump(-0.12, 0.26, np.pi - 0.5, 0.55)
    # clothes: thickness, looseness, a hem that stands off, folds
    covered = np.where(q > look.waist, 1.0, 0.0)[:, None] * (0.0 if look.one_piece else 1.0)
    cloth = (6 + 26 * look.loose_top * _smooth(1.9, 1.3, q)[:, None]) * np.where(covered, 1.0, 0.4) + 8 * covered
    cloth = cloth * _smooth(2.02, 1.9, q)[:, None]
    folds = _folds(rng, q, theta, 3 + 7 * look.loose_top) * _smooth(1.9, 1.6, q)[:, None]
    size = k * (cloth + folds) * _smooth(-0.46, -0.3, q)[:, None]
    shape = 1.0 + 0.07 * (1 - np.abs(cos * cos - sin * sin))  # a trunk is a little boxy
    front_radius = depths * shape + k * (np.where(cos > 0, forward, backward)) + size
    left_radius = breadths * shape + size
    return tubes(centres[None], front[None], left[None], front_radius[None], left_radius[None])


def _folds(rng: np.random.Generator, q: np.ndarray, theta: np.ndarray, depth: float) -> np.ndarray:
    """Waves of cloth in mm [s, n + 1] that run around and along, the same at both ends of the seam."""
    waves = np.zeros((len(q), len(theta)))
    for _ in range(3):
        around, along = rng.integers(1, 5), rng.normal(0, 7)
        waves += np.sin(around * theta[None] + along * q[:, None] + rng.uniform(0, 6.3))
    return depth * waves / 3


def _limbs(
    joint: dict[str, np.ndarray],
    look: Look,
    k: float,
    trunk_up: np.ndarray,
    pelvis_front: np.ndarray,
    chest_front: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Arms and legs [4, s, n + 1, 3] (right, left arm; right, left leg), places along them, and where they end."""
    grids, places, frames = [], [], {}
    theta = angles(_LIMB_AROUND)[0]
    arm_width = (0.86 + 0.36 * look.weight) * (1 - 0.1 * look.female) * look.arm * k
    leg_width = (0.88 + 0.3 * look.weight) * (1 + 0.02 * look.female) * look.leg * k
    for name, rows in (("RArm", "R"), ("LArm", "L"), ("RLeg", "R"), ("LLeg", "L")):
        arm = name.endswith("Arm")
        start, middle, end = (
            joint[rows + part] for part in (("Shoulder", "Elbow", "Wrist") if arm else ("Hip", "Knee", "Foot"))
        )
        upper, lower = unit(middle - start), unit(end - middle)
        front = across(swing(chest_front if arm else pelvis_front, -trunk_up, upper), upper)
        # the hinge tells the front better than the trunk does: elbows bend forwards, knees backwards
        bend = lower - (lower @ upper) * upper
        front = across(front + (2.5 if arm else -2.5) * bend, upper)
        below = across(swing(front, upper, lower), lower)
        edge = look.sleeve if arm else look.hem
        q = np.sort(np.concatenate([_ARM_STATIONS if arm else _LEG_STATIONS, [edge - 0.012, edge + 0.012]]))
        centres = np.where(
            (q <= 1)[:, None], start + q[:, None] * (middle - start), middle + (q[:, None] - 1) * (end - middle)
        )
        turn = _smooth(0.85, 1.15, q)[:, None]
        axis = unit((1 - turn) * upper + turn * lower)
        fronts = (1 - turn) * front + turn * below
        fronts = unit(fronts - (fronts * axis).sum(-1, keepdims=True) * axis)
        lefts = cross(axis, fronts)
        bare = np.interp(q, _ARM_Q if arm else _LEG_Q, _ARM_R if arm else _LEG_R) * (arm_width if arm else leg_width)
        loose = look.loose_top if arm else look.loose_bottom
        # a sleeve or a trouser leg keeps its width where the limb gets thinner
        opening = (44 + 24 * loose) * k if arm else (62 + 42 * loose) * k
        sleeve = np.maximum(
            bare + (5 + 7 * loose) * k, np.where(q > 0.3, loose * opening + (1 - loose) * (bare + 6 * k), 0)
        )
        sleeve = np.where((q < 0.0) | (q > 2.0), bare + 4 * k, sleeve)
        covered = q < edge
        folds = _folds(rng, q, theta, (2.5 + 6 * loose) * k) * (covered & (q > 0))[:, None]
        # cloth gathers where a limb is bent
        folds = folds * (1 + np.linalg.norm(bend) * np.exp(-(((q - 1) / 0.2) ** 2)))[:, None]
        radius = np.where(covered, sleeve, bare)[:, None] + folds
        if not arm and look.shoe > 0:
            radius = np.where((q > 2 - look.shoe)[:, None], np.maximum(radius, (52 + 6 * look.weight) * k), radius)
        flat = 1.0 if arm else 1.0 + 0.08 * np.exp(-(((q - 0.05) / 0.3) ** 2))[:, None]
        grids.append(tubes(centres[None], fronts[None], lefts[None], (radius * flat)[None], radius[None])[0])
        places.append(q)
        frames[name] = (lower, below, upper)
    along = np.array(places)
    return np.stack(grids), (along[:2], along[2:]), frames


def _hand(
    look: Look, k: float, frame: tuple[np.ndarray, np.ndarray, np.ndarray], wrist: np.ndarray, sign: float
) -> list[tuple[Blob, np.ndarray]]:
    """Palm, thumb and four fingers beyond the wrist, between flat and a fist."""
    along, front, _ = frame
    fist, turn = (values[0 if sign < 0 else 1] for values in (look.fist, look.hand_turn))
    # arms that hang have their thumbs in front and their palms to the body, which a twist of the forearm changes
    left = cross(along, front)
    thumb_way = np.cos(turn) * front + np.sin(turn) * left
    palm_way = cross(along, thumb_way) * sign
    bend = 0.25 * fist
    reach = unit(along + bend * palm_way)
    size = k * (1 - 0.08 * look.female)
    knuckles = wrist + 88 * size * reach
    parts = [(_blob(wrist - 14 * size * along, knuckles + 6 * size * reach, palm_way, 17 * size, 27 * size, 15 * size,
                    42 * size, 3.2), look.skin)]  # fmt: skip
    curl = 0.2 + 1.5 * fist
    finger = unit(np.cos(curl) * reach + np.sin(curl) * palm_way)
    for place in (-0.75, -0.25, 0.25, 0.75):
        root = knuckles + 36 * place * size * thumb_way - 4 * size * reach
        length = (74 - 14 * abs(place) + 6 * place) * (1 - 0.3 * fist) * size
        spread = unit(finger + 0.12 * place * (1 - fist) * thumb_way)
        parts.append(
            (_blob(root, root + length * spread, palm_way, 10 * size, 10.5 * size, 8 * size, 8 * size, 3.0), look.skin)
        )
    root = wrist + 28 * size * reach + 24 * size * thumb_way
    tip = root + 64 * size * unit(reach + (0.9 - 0.7 * fist) * thumb_way + 0.5 * palm_way)
    parts.append((_blob(root, tip, palm_way, 12 * size, 13 * size, 9 * size, 9 * size, 3.0), look.skin))
    return parts


def _foot(
    look: Look,
    k: float,
    frame: tuple[np.ndarray, np.ndarray, np.ndarray],
    ankle: np.ndarray,
    pelvis_front: np.ndarray,
    ground: float,
) -> list[tuple[Blob, np.ndarray]]:
    """Heel, foot and sole: flat on the ground when the shin stands on it, else hanging from the ankle."""
    shin, front, _ = frame
    size = k * (1 - 0.05 * look.female)
    height = (ankle[2] - ground) / k
    up = np.array([0.0, 0.0, 1.0])
    level = across(front, up) if abs(front[2]) < 0.9 else across(pelvis_front, up)
    # relaxed, a foot points down from the shin by some way more than a right angle
    hanging = unit(front + 0.45 * shin)
    standing = float(_smooth(210.0, 110.0, height) * _smooth(-0.35, -0.75, shin[2]))
    way = unit((1 - standing) * hanging + standing * level)
    toe_height = ankle[2] + 175 * size * way[2]
    if toe_height < ground + 25 * k:  # toes stay above the floor
        lift = np.clip((ground + 25 * k - ankle[2]) / (175 * size), -0.98, 0.98)
        flat = across(way, up)
        way = unit(flat * np.sqrt(1 - lift * lift) + up * lift)
    top = across(-shin, way)
    if standing > 0.5 and top[2] > 0.3:
        top = across(up, way)
    drop = -52 * size * top
    heel, toe = ankle + drop - 48 * size * way, ankle + drop + 178 * size * way
    bare = look.shoe < 0
    colour = look.skin if bare else look.shoe_colour
    wide = 1.0 if bare else 1.1
    parts = [
        (_blob(heel, toe, top, 40 * size, 34 * size * wide, 21 * size, 43 * size * wide, 3.2), colour),
        (_blob(ankle + 24 * size * top - 8 * size * way, ankle + drop + 52 * size * way, top, 34 * size, 36 * size,
               36 * size, 38 * size, 3.0), colour),
    ]  # fmt: skip
    if not bare:
        low = drop - 22 * size * top
        back, tip = ankle + low - 52 * size * way, ankle + low + 184 * size * way
        sole = _blob(back, tip, top, 12 * size, 36 * size * wide, 11 * size, 45 * size * wide, 5.0)
        parts.append((sole, look.sole_colour))
    return parts


def _skirt(
    joint: dict[str, np.ndarray],
    look: Look,
    k: float,
    trunk: np.ndarray,
    legs: np.ndarray,
    pelvis_front: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """A skirt [1, s, n + 1, 3] from the waist around both legs; it hangs, and lies on thighs that are lifted."""
    waist, hips = trunk[0, 8], trunk[0, 4]
    # over whatever is worn below
    waist, hips = (ring.mean(0) + size * (ring - ring.mean(0)) for ring, size in ((waist, 1.05), (hips, 1.13)))
    share = np.linspace(0.0, 1.0, _SKIRT_STATIONS)
    theta, cos, sin = angles(_TRUNK_AROUND)
    rings = [waist, 0.5 * (waist + hips), hips]
    for q in look.skirt * share[3:]:
        right, left = (
            (joint[s + "Hip"] + q * (joint[s + "Knee"] - joint[s + "Hip"]))
            if q <= 1
            else joint[s + "Knee"] + (q - 1) * (joint[s + "Foot"] - joint[s + "Knee"])
            for s in "RL"
        )
        centre, gap = (right + left) / 2, left - right
        along = unit((joint["RKnee"] + joint["LKnee"]) - (joint["RHip"] + joint["LHip"]))
        hips_left = across(joint["LHip"] - joint["RHip"], along)
        # the section takes in both legs wherever they are: stretched along what lies between them
        aside = abs(gap @ hips_left) / 2 + (96 + 30 * look.weight + 60 * look.loose_bottom * q) * k
        front = cross(hips_left, -along)
        ahead = abs(gap @ front) / 2 + (98 + 30 * look.weight + 60 * look.loose_bottom * q) * k
        lean = (gap @ front) * (gap @ hips_left) / (np.linalg.norm(gap) ** 2 + 1e-6)
        pleats = 1 + (0.03 + 0.05 * look.loose_bottom) * min(q, 1.0) * np.sin(8 * theta + 2.0 * rng.normal())
        ring = centre + (ahead * cos * pleats)[:, None] * front + (aside * sin * pleats)[:, None] * hips_left
        rings.append(ring + (0.3 * lean * sin * np.abs(sin))[:, None] * front)
    # from top to bottom the direction is down, so the sections' order is turned to keep the outside outside
    return np.stack(rings)[None, :, ::-1].astype(np.float32)
