"""Identities of the people of a video: who of this frame was who in the frames before."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tools.detection.person import LIMBS, TORSO, Person
from tools.detection.regions import Region

# Limbs of one person may move this share of their size from one frame to the next, on the mean, for each frame between.
_REACH = 0.25
# Added to the distance where the torsos alone say so.
_TORSO_ALONE = 0.1
# Somebody who is hidden keeps their identity for so many seconds, and may have moved as far as in so many frames.
_PATIENCE_SECONDS, _PATIENCE_FRAMES = 1.0, 4
# They are looked for in a square of so many times their region's side, moved on as they moved, by half a side at most.
_AROUND, _FARTHEST = 2.0, 0.5


@dataclasses.dataclass
class _Track:
    number: int
    person: Person
    seconds: float
    velocity: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))  # px a second

    def move_on(self, person: Person, seconds: float) -> None:
        """The person of a later frame."""
        moved = person.points[TORSO].mean(0) - self.person.points[TORSO].mean(0)
        self.velocity = moved / max(seconds - self.seconds, 1e-9)
        self.person, self.seconds = person, seconds


class Tracker:
    """Numbers people in the order in which they appear. One a video."""

    def __init__(self, first: int = 0):
        """first: the first number."""
        self._tracks: list[_Track] = []
        self._next, self._seconds = first, -np.inf

    @property
    def people(self) -> list[Person]:
        """Those of the last frame with anybody, who are looked for first in the next, see `Person.following`."""
        last = max((track.seconds for track in self._tracks), default=0.0)
        return [track.person for track in self._tracks if track.seconds == last]

    def lost(self, seconds: float) -> list[Region]:
        """Squares in which people may be at a time who were there a moment ago and not in the last frame."""
        places = []
        for track in self._tracks:
            if track.seconds < self._seconds and seconds - track.seconds <= _PATIENCE_SECONDS:
                region = track.person.following
                way = track.velocity * (seconds - track.seconds)
                way *= min(1.0, _FARTHEST * region.side / max(float(np.hypot(*way)), 1e-9))
                places.append(Region(region.x + way[0], region.y + way[1], _AROUND * region.side))
        return places

    def number(self, people: Sequence[Person], seconds: float, frame_seconds: float) -> list[int]:
        """The number of each of the people of one frame.

        Args:
          seconds: the frame's time; frames come in order. frame_seconds: from one frame to the next.
        """
        self._tracks = [track for track in self._tracks if seconds - track.seconds <= _PATIENCE_SECONDS + frame_seconds]
        self._seconds = seconds
        costs = np.full((len(people), len(self._tracks)), np.inf)
        for i, person in enumerate(people):
            for j, track in enumerate(self._tracks):
                frames = np.clip((seconds - track.seconds) / max(frame_seconds, 1e-9), 1.0, _PATIENCE_FRAMES)
                apart = distance(person, track.person)
                costs[i, j] = apart if apart < _REACH * frames else np.inf
        numbers = [-1] * len(people)
        # The nearest pair first; the best assignment of all differs only where people cross.
        while np.isfinite(costs).any():
            i, j = divmod(int(np.argmin(costs)), costs.shape[1])
            track = self._tracks[j]
            track.move_on(people[i], seconds)
            numbers[i] = track.number
            costs[i], costs[:, j] = np.inf, np.inf
        for i, person in enumerate(people):
            if numbers[i] < 0:
                numbers[i] = self._next
                self._tracks.append(_Track(self._next, person, seconds))
                self._next += 1
        return numbers


def distance(one: Person, other: Person) -> float:
    """How far two readings are apart, as a share of the larger one's size: by the limbs' joints on the mean, or by the
    middle of the torso and a little more, since left and right can change places from one frame to the next."""
    size = max(one.size, other.size)
    limbs = np.linalg.norm(one.points[LIMBS] - other.points[LIMBS], axis=-1).mean()
    torso = np.hypot(*(one.points[TORSO].mean(0) - other.points[TORSO].mean(0)))
    return float(min(limbs / size, torso / size + _TORSO_ALONE))
