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


def as_arrays(people: Sequence, numbers: Sequence[int]) -> FoundPeople:
    """People of the finder as arrays; landmarks outside of what was looked at have no confidence."""
    order = np.argsort(numbers, kind="stable")
    people, numbers = [people[i] for i in order], [numbers[i] for i in order]

    def stacked(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.array([getattr(person, name) for person in people], np.float32).reshape(len(people), *shape)

    confidence = np.where(stacked("inside", (33,)) >= 0.5, stacked("visibility", (33,)), 0.0)
    return FoundPeople(
        stacked("points", (33, 2)),
        confidence.astype(np.float32),
        stacked("world", (33, 3)),
        stacked("box", (4,)),
        stacked("presence", ()),
        stacked("sureness", ()),
        stacked("score", ()),
        np.array(numbers, np.int64),
    )
