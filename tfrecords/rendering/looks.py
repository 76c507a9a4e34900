"""What rendered people look like: build, clothes, colours, hair. All of it is drawn at random; colours are sRGB 0-1."""

from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import numpy as np

# Skin from light to dark; between neighbours any mixture.
_SKIN = (
    np.array(
        [
            [246, 216, 196], [240, 198, 170], [229, 182, 148], [214, 160, 122], [196, 140, 102],
            [172, 116, 80], [144, 94, 62], [112, 72, 48], [84, 54, 38], [62, 42, 32],
        ]
    )
    / 255.0
)  # fmt: skip
_HAIR = np.array([[18, 16, 16], [38, 27, 22], [70, 46, 30], [110, 76, 46], [168, 128, 78], [206, 172, 116],
                  [150, 66, 36], [150, 148, 146], [214, 212, 208]]) / 255.0  # fmt: skip
_HAIR_SHARE = np.array([0.26, 0.22, 0.16, 0.11, 0.07, 0.05, 0.04, 0.06, 0.03])
_NEUTRAL = np.array([[20, 20, 23], [48, 48, 52], [96, 96, 100], [168, 168, 166], [236, 236, 232], [30, 38, 66],
                     [52, 66, 100], [198, 178, 144], [120, 98, 74], [84, 88, 64]]) / 255.0  # fmt: skip
_DENIM = np.array([[38, 48, 78], [58, 78, 116], [96, 120, 156], [140, 160, 186], [28, 30, 38]]) / 255.0

PLAIN, ACROSS, ALONG, CHECKS, DOTS, BLOTCHES, BLOCKS = range(7)
_PATTERN_SHARE = {
    "top": (0.42, 0.17, 0.07, 0.10, 0.05, 0.09, 0.10),
    "bottom": (0.82, 0.02, 0.04, 0.05, 0.01, 0.06, 0.0),
}


@dataclasses.dataclass(frozen=True)
class Cloth:
    """A piece of cloth. pattern: one of the codes above, `period` mm wide, `share` of it in the second colour;
    sheen: how shiny; folds: how deep its folds look, 0-1."""

    colour: np.ndarray
    second: np.ndarray
    pattern: int
    period: float
    share: float
    sheen: float
    folds: float


@dataclasses.dataclass(frozen=True)
class Look:
    """One person.

    Build, about 1 where not said otherwise: `weight` 0 (slim) to 1 (heavy); `female` 0-1; `arm`, `leg`, `shoulder`,
    `hips`, `chest` factors of width; `belly`, `bust` 0-1; `head` factor of size; `face_turn` radians to the left and
    `face_nod` radians down, on top of where the chest looks.

    Clothes: `sleeve` and `hem` say how far they reach along an arm or a leg (0 at the shoulder or hip, 1 at the elbow
    or knee, 2 at the wrist or ankle); `waist` where the top ends on the trunk (0 at the hip joint, 1 at the spine, 2
    at the neck; below 0 it hangs over the trousers). `skirt`: how far a skirt or dress reaches, 0 for none; `one_piece`
    whether it has the cloth of the top. `jacket` half the angle (radians) that an open jacket leaves free, 0 for none.
    `hair` one of HAIR_STYLES; `logo` 0 for none, else its width in radians; `shoe`: how far boots reach up the shin,
    negative when barefoot.
    """

    weight: float
    female: float
    arm: float
    leg: float
    shoulder: float
    hips: float
    chest: float
    belly: float
    bust: float
    head: float
    face_turn: float
    face_nod: float
    sleeve: float
    hem: float
    waist: float
    neckline: float
    loose_top: float
    loose_bottom: float
    skirt: float
    one_piece: bool
    jacket: float
    logo: float
    logo_colour: np.ndarray
    top: Cloth
    inner: Cloth
    bottom: Cloth
    belt: np.ndarray
    skin: np.ndarray
    hair: str
    hair_colour: np.ndarray
    hair_volume: float
    beard: float
    glasses: bool
    cap_colour: np.ndarray
    shoe: float
    shoe_colour: np.ndarray
    sole_colour: np.ndarray
    sock_colour: np.ndarray
    sock: float
    backpack: float
    backpack_colour: np.ndarray
    fist: tuple[float, float]
    hand_turn: tuple[float, float]


HAIR_STYLES = ("short", "bald", "medium", "long", "ponytail", "bun", "afro", "cap", "beanie", "scarf")
_HAIR_MEN = (0.56, 0.10, 0.06, 0.03, 0.01, 0.01, 0.05, 0.12, 0.06, 0.0)
_HAIR_WOMEN = (0.12, 0.0, 0.20, 0.26, 0.16, 0.08, 0.05, 0.05, 0.03, 0.05)


def colour(rng: np.random.Generator) -> np.ndarray:
    """A colour [3] of clothes or things, sRGB 0-1: a third greys, blacks, whites, earth; the others of any hue."""
    if rng.random() < 0.36:
        return np.clip(_NEUTRAL[rng.integers(len(_NEUTRAL))] + rng.normal(0, 0.03, 3), 0.02, 0.98)
    hue, saturation, value = rng.random(), rng.beta(2.2, 1.6), rng.beta(2.4, 1.6)
    return np.array(colorsys.hsv_to_rgb(hue, 0.15 + 0.8 * saturation, 0.12 + 0.86 * value))


def skin(rng: np.random.Generator) -> np.ndarray:
    """A colour [3] of skin, sRGB 0-1."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    first, second = _SKIN[int(tone)], _SKIN[min(int(tone) + 1, len(_SKIN) - 1)]
    return np.clip(first + (tone % 1) * (second - first) + rng.normal(0, 0.015, 3), 0.05, 1)


def _cloth(rng: np.random.Generator, kind: Any, base: np.ndarray | None = None) -> Cloth:
    first = colour(rng) if base is None else base
    second = colour(rng)
    if np.abs(second - first).sum() < 0.5:  # such a pattern is not visible
        second = np.ones(3) * (0.93 if first.mean() < 0.5 else 0.08)
    pattern = int(rng.choice(7, p=_PATTERN_SHARE[kind]))
    return Cloth(first, second, pattern, float(rng.choice([28, 45, 70, 110]) * rng.uniform(0.8, 1.3)),
                 rng.uniform(0.25, 0.6), float(rng.random() < 0.15) * rng.uniform(0.1, 0.35),
                 rng.uniform(0.25, 1.0))  # fmt: skip


def sample(rng: np.random.Generator, stature_mm: float) -> Look:
    """A person of about that height; children are slim, wear shorts more often and have larger heads."""
    child = float(np.clip((1500 - stature_mm) / 300, 0, 1))
    woman = rng.random() < 0.5
    female = (1 - 0.8 * child) * (rng.uniform(0.65, 1.0) if woman else rng.uniform(0.0, 0.15))
    weight = float(np.clip(rng.beta(1.7, 2.8) - 0.15 * child, 0, 1))
    draw = rng.normal(0, 1, 8).clip(-2, 2)

    # top: sleeves none, short, to the elbow, long
    sleeve = (0.06, rng.uniform(0.35, 0.62), rng.uniform(0.75, 1.15), rng.uniform(1.85, 1.97))[
        rng.choice(4, p=(0.13, 0.40, 0.09, 0.38))
    ]
    loose_top = rng.beta(1.6, 2.2)
    jacket = rng.uniform(0.15, 0.5) if sleeve > 1.5 and rng.random() < 0.35 else 0.0
    top = _cloth(rng, "top")
    # bottom: long trousers, shorts, skirt or dress
    kind = rng.choice(3, p=(0.46, 0.22, 0.32) if woman else (0.66, 0.34, 0.0))
    skirt, one_piece, hem = 0.0, False, rng.uniform(1.82, 1.99)
    if kind == 1:
        hem = rng.uniform(0.35, 1.0)
    elif kind == 2:
        skirt, one_piece = rng.choice([rng.uniform(0.5, 0.95), rng.uniform(1.0, 1.65)]), rng.random() < 0.5
        hem = 1.97 if rng.random() < 0.25 else 0.2  # tights or bare legs below
    denim = kind < 2 and rng.random() < 0.4
    bottom = _cloth(rng, "bottom", _DENIM[rng.integers(len(_DENIM))] if denim else None)
    if np.abs(bottom.colour - top.colour).sum() < 0.35 and not one_piece and rng.random() < 0.8:
        light = 0.12 if top.colour.mean() > 0.45 else 0.8
        bottom = dataclasses.replace(bottom, colour=np.clip(light + 0.25 * (bottom.colour - 0.5), 0.02, 0.98))
    shares = np.array(_HAIR_WOMEN if woman else _HAIR_MEN)
    if rng.random() < 0.04:
        hair_colour = colour(rng)
    else:
        hair_colour = _HAIR[rng.choice(len(_HAIR), p=_HAIR_SHARE)] * rng.uniform(0.8, 1.15)
    barefoot = rng.random() < 0.07
    return Look(
        weight=weight,
        female=female,
        arm=float(np.exp(0.07 * draw[0])),
        leg=float(np.exp(0.06 * draw[1])),
        shoulder=float(np.exp(0.04 * draw[2])),
        hips=float(np.exp(0.05 * draw[3])),
        chest=float(np.exp(0.05 * draw[4])),
        belly=float(np.clip(1.2 * (weight - 0.3) + 0.2 * draw[5], 0, 1)) * (1 - 0.4 * female),
        bust=female * rng.uniform(0.4, 1.0) * (1 - child),
        head=float(np.exp(0.04 * draw[6])),
        face_turn=rng.normal(0, 0.3),
        face_nod=rng.normal(0.05, 0.15),
        sleeve=sleeve,
        hem=hem,
        waist=rng.uniform(0.05, 0.3) if rng.random() < 0.35 else rng.uniform(-0.35, 0.0),
        neckline=rng.uniform(1.75, 1.98),
        loose_top=loose_top,
        loose_bottom=rng.beta(1.5, 2.5),
        skirt=float(skirt),
        one_piece=bool(one_piece),
        jacket=jacket,
        logo=rng.uniform(0.25, 0.55) if rng.random() < 0.3 else 0.0,
        logo_colour=colour(rng),
        top=top,
        inner=_cloth(rng, "top"),
        bottom=bottom,
        belt=np.array([0.12, 0.08, 0.06]) if rng.random() < 0.5 else bottom.colour * 0.7,
        skin=skin(rng),
        hair=HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=shares / shares.sum())],
        hair_colour=np.clip(hair_colour, 0.02, 1),
        hair_volume=rng.uniform(0.5, 1.5),
        beard=rng.uniform(0.3, 1.0) if not woman and child < 0.2 and rng.random() < 0.35 else 0.0,
        glasses=bool(rng.random() < 0.15),
        cap_colour=colour(rng),
        shoe=-1.0 if barefoot else (rng.uniform(0.25, 0.8) if rng.random() < 0.1 else 0.0),
        shoe_colour=colour(rng) if rng.random() < 0.5 else _NEUTRAL[rng.integers(5)],
        sole_colour=np.ones(3) * (0.92 if rng.random() < 0.5 else 0.1),
        sock_colour=np.ones(3) * 0.9 if rng.random() < 0.5 else colour(rng),
        sock=rng.uniform(0.03, 0.4),
        backpack=float(rng.random() < 0.08),
        backpack_colour=colour(rng),
        fist=(rng.beta(0.9, 0.9), rng.beta(0.9, 0.9)),
        hand_turn=(rng.normal(0, 0.6), rng.normal(0, 0.6)),
    )
