"""The head of a rendered person: skull, nose, ears, hair and what is worn on it."""

from __future__ import annotations

import numpy as np

from tfrecords.rendering.looks import Look
from tfrecords.rendering.mesh import Blob, across, angles, cross, tubes, unit

_AROUND = 18
# Heights of the head's sections, -1 at the chin to 1 at the top; denser at both ends, where it curves.
HEIGHTS = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 15))
# Half the height of a head, mm, of a person 1750 mm tall, and its other half widths as shares of that.
_HALF_HEIGHT, _DEEP, _WIDE = 118.0, 0.84, 0.66
# Places on the face: (height, angle in radians from the front).
EYES, MOUTH, BROWS = (0.06, 0.40), (-0.56, 0.0), (0.24, 0.40)


def hairline(style: str, theta: np.ndarray) -> np.ndarray:
    """The height above which hair of a style grows at angles from the face, -1 to 1; above 1 for none."""
    turned = np.abs(theta)
    points = {
        "bald": ([0.0, np.pi], [1.5, 1.5]),
        "cap": ([0.0, 1.0, 1.6, 2.2, np.pi], [0.42, 0.40, 0.3, 0.2, 0.15]),
        "beanie": ([0.0, 1.2, 2.0, np.pi], [0.4, 0.3, 0.0, -0.1]),
        "scarf": ([0.0, 0.75, 0.95, np.pi], [0.52, 0.3, -1.2, -1.2]),
        "long": ([0.0, 0.8, 1.1, 1.5, np.pi], [0.62, 0.5, 0.0, -1.1, -1.2]),
        "medium": ([0.0, 0.8, 1.1, 1.5, np.pi], [0.60, 0.5, 0.0, -0.5, -0.8]),
    }.get(style, ([0.0, 0.85, 1.2, 1.7, 2.2, np.pi], [0.62, 0.55, 0.25, 0.05, -0.35, -0.5]))
    return np.interp(turned, *points)


def frame(
    joint: dict[str, np.ndarray], look: Look, k: float, chest_front: np.ndarray, chest_up: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Middle of the head [3] mm, its up and front [3], and half its height mm.

    Head is its top. Where the face looks, only a nose could tell: a Neck/Nose that stands off the line from Thorax to
    Head counts as one, as far as it does; the rest is the chest's front, turned and nodded as the look has it. Some
    captured people have a Neck/Nose behind that line: it says nothing, or they would look backwards.
    """
    line = joint["Head"] - joint["Thorax"]
    up = unit(unit(line) + 0.25 * chest_up)
    nose = joint["Neck/Nose"] - joint["Thorax"]
    off = nose - (nose @ unit(line)) * unit(line)
    off -= min(float(off @ chest_front), 0.0) * chest_front
    front = across(chest_front + 0.04 / k * np.clip(np.linalg.norm(off) - 12 * k, 0, None) * unit(off), up)
    left = cross(up, front)
    turn = look.face_turn
    front = np.cos(turn) * front + np.sin(turn) * left
    nod = look.face_nod
    front, up = np.cos(nod) * front - np.sin(nod) * up, np.cos(nod) * up + np.sin(nod) * front
    half = float(np.clip(0.46 * np.linalg.norm(line), 0.9 * _HALF_HEIGHT * k, 1.12 * _HALF_HEIGHT * k)) * look.head
    centre = joint["Head"] - half * unit(up + 0.3 * unit(line)) + 0.06 * half * front
    return centre, up, front, half


def build(
    joint: dict[str, np.ndarray], look: Look, k: float, chest_front: np.ndarray, chest_up: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[tuple[Blob, np.ndarray]]]:
    """The head and the hair around it.

    Returns:
      (grids [2, s, n + 1, 3]: head and hair, their heights [2, s], a list of (blob, colour) for nose, ears, neck and
      whatever else stands off).
    """
    centre, up, front, half = frame(joint, look, k, chest_front, chest_up)
    left = cross(up, front)
    theta, cos, _ = angles(_AROUND)
    s = HEIGHTS
    round_ = np.maximum(np.sqrt(np.maximum(1 - np.abs(s) ** 2.5, 0)), 0.05)
    jaw = np.where(s < 0, 1 + 0.28 * s * np.abs(s), 1.0)  # narrower below, which moves the chin forward
    deep, wide = _DEEP * half * round_, _WIDE * half * round_ * jaw
    ahead = np.where(s < 0, -0.16 * s * np.abs(s), 0.0) * half
    ones = np.ones_like(theta)[None]
    deep = deep[:, None] * np.where(cos < 0, np.where(s < 0, 1 + 0.35 * s, 1.0)[:, None], 1.0)
    face = (deep, wide[:, None] * ones)
    line = hairline(look.hair, theta)
    grown = np.clip((s[:, None] - line) / 0.2 + 0.5, 0.0, 1.0)
    volume = {"afro": 0.42, "long": 0.14, "medium": 0.14, "cap": 0.09, "beanie": 0.12, "scarf": 0.12}.get(
        look.hair, 0.07
    )
    volume *= look.hair_volume if look.hair not in ("cap", "scarf") else 1.0
    shell = np.where(grown > 0, 1.0 + volume * grown, 0.0) * np.where(grown > 0, 1, 0) + np.where(grown > 0, 0, 0.8)
    centres = centre + s[:, None] * half * up + ahead[:, None] * front
    lift = np.where(s > 0, 1 + volume, 1.0) if look.hair != "bald" else 0.8
    hair_centres = centre + (s * lift)[:, None] * half * up + ahead[:, None] * front
    fronts, lefts = (np.broadcast_to(axis, (2, len(s), 3)) for axis in (front, left))
    grids = tubes(
        np.stack([centres, hair_centres]), fronts, lefts, np.stack([face[0], face[0] * shell]),
        np.stack([face[1], face[1] * shell]),
    )  # fmt: skip

    def at(height: float, angle: float, out: float = 1.0) -> np.ndarray:
        width = np.sqrt(max(1 - abs(height) ** 2.5, 0.05))
        shape = (1 + 0.28 * height * abs(height)) if height < 0 else 1.0
        return centre + half * (
            height * up + out * width * (np.cos(angle) * _DEEP * front + np.sin(angle) * _WIDE * shape * left)
        )

    skin, hair, size = look.skin, look.hair_colour, half
    neck_wide = (54 + 10 * look.weight + 8 * (1 - look.female)) * k
    base = joint["Thorax"] - 30 * k * chest_up
    extras: list[tuple[Blob, np.ndarray]] = [
        ((base, centre - 0.35 * half * up - 0.1 * half * front, front, neck_wide, neck_wide, 0.95 * neck_wide,
          0.95 * neck_wide, 6.0), skin),
        ((at(0.08, 0.0, 0.96), at(-0.27, 0.0, 1.06), front, 0.09 * size, 0.07 * size, 0.19 * size, 0.15 * size, 2.0),
         np.clip(skin * 1.03, 0, 1)),
    ]  # fmt: skip
    if look.hair not in ("scarf", "long", "medium", "beanie", "afro"):
        for sign in (1, -1):
            ear = at(-0.05, sign * 1.62, 1.02)
            extras.append(((ear - 0.22 * size * up, ear + 0.2 * size * up, front, 0.12 * size, 0.06 * size, 0.16 * size,
                            0.07 * size, 2.0), np.clip(skin * [1.0, 0.93, 0.93], 0, 1)))  # fmt: skip
    back = at(0.0, np.pi, 0.75)
    down = -unit(chest_up + 0.6 * up)

    def add(
        start: np.ndarray,
        end: np.ndarray,
        hint: np.ndarray,
        radii: tuple[float, float, float, float],
        sharpness: float,
        colour: np.ndarray,
    ) -> None:
        first, second, third, fourth = (half * radius for radius in radii)
        extras.append(((start, end, hint, first, second, third, fourth, sharpness), colour))

    if look.hair in ("long", "scarf"):
        length = (1.1 + 1.3 * look.hair_volume) * half if look.hair == "long" else 1.5 * half
        colour = hair if look.hair == "long" else look.cap_colour
        low = back + length * down - 0.1 * half * chest_front
        add(back + 0.5 * half * up, low, front, (0.34, 0.66, 0.22, 0.62), 3.5, colour)
        if look.hair == "scarf":
            wide = (0.66, 0.62, 88 * k / half, 105 * k / half)
            add(centre - 0.6 * half * up, joint["Thorax"] - 20 * k * chest_up, front, wide, 4.0, colour)
    elif look.hair == "ponytail":
        root = at(0.45, np.pi, 1.05)
        end = root - 0.25 * half * front + 1.2 * look.hair_volume * half * down
        add(root, end, front, (0.2, 0.2, 0.14, 0.16), 2.5, hair)
    elif look.hair == "bun":
        root = at(0.62, np.pi, 1.0)
        add(root - 0.1 * half * front, root + 0.36 * half * unit(up - front), left, (0.3, 0.3, 0.3, 0.3), 2.0, hair)
    elif look.hair == "cap":
        root = at(0.42, 0.0, 0.6)
        end = root + 1.02 * half * unit(front - 0.18 * up)
        add(root, end, up, (0.09, 0.5, 0.05, 0.46), 4.0, look.cap_colour * 0.9)
    return grids, np.stack([s, s]), extras
