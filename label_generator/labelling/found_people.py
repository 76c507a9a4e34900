"""The people of one picture as arrays, as a file of people has them."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np


class FoundPeople(
    collections.namedtuple("_FoundPeople", "points confidence world boxes presence sureness score person")
):
    """The people of one picture: points [P, J, 2] px, confidence [P, J], world [P, J, 3] m, boxes [P, 4], [P] numbers,
    person [P] identities."""


# Landmarks so far outside a picture, as a share of its longer side, are guesses.
_BEYOND = 0.01


def as_arrays(people: Sequence, numbers: Sequence[int], picture: np.ndarray) -> FoundPeople:
    """People of the finder in a picture [H, W, 3] as arrays.

    Landmarks outside of the picture, or of what was looked at of it, have no confidence.
    """
    order = np.argsort(numbers, kind="stable")
    people, numbers = [people[i] for i in order], [numbers[i] for i in order]

    def stacked(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.array([getattr(person, name) for person in people], np.float32).reshape(len(people), *shape)

    points, size = stacked("points", (33, 2)), np.array(picture.shape[1::-1])
    margin = _BEYOND * size.max()
    there = ((points >= -margin) & (points <= size - 1 + margin)).all(-1) & (stacked("inside", (33,)) >= 0.5)
    confidence = np.where(there, stacked("visibility", (33,)), 0.0)
    return FoundPeople(
        points,
        confidence.astype(np.float32),
        stacked("world", (33, 3)),
        stacked("box", (4,)),
        stacked("presence", ()),
        stacked("sureness", ()),
        stacked("score", ()),
        np.array(numbers, np.int64),
    )
