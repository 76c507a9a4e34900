"""The people of a video, frame by frame: followed, looked for again where they were lost, and detected in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from label_generator.labelling.found_people import FoundPeople, as_arrays
from label_generator.labelling.picture_files import Picture
from tfrecords.source import Skip

if TYPE_CHECKING:
    from tools.detection.people import PeopleFinder
    from tools.detection.person import Person
    from tools.detection.regions import Region

# Frames further apart than this are photographs to the detector; people are looked for so often.
_FOLLOWED_SECONDS, _DETECT_SECONDS = 0.3, 0.2


class Follower:
    """The people of one video, frame by frame."""

    def __init__(self, name: str, finder: PeopleFinder, first: int = 0):
        from tools.detection.tracking import Tracker

        self.name, self._finder, self._tracker = name, finder, Tracker(first)
        self._last, self._detected = -np.inf, -np.inf
        self._turn = 0

    def find(self, picture: Picture) -> FoundPeople | Skip:
        """The people of the next frame."""
        if isinstance(picture.photo, Skip):
            return picture.photo
        seconds = picture.photo.seconds
        gap, self._last = seconds - self._last, seconds
        pixels, known = picture.photo.pixels, self._tracker.people if gap <= _FOLLOWED_SECONDS else []
        if known:
            detect = seconds - self._detected >= _DETECT_SECONDS - 1e-6
            squares = self._tracker.lost(seconds) + (self._next_tiles(pixels, known) if detect else [])
            people = self._finder.follow(pixels, [person.following for person in known], detect, squares)
        else:
            detect, people = True, self._finder.find(pixels)
        self._detected = seconds if detect else self._detected
        return as_arrays(people, self._tracker.number(people, seconds, gap if np.isfinite(gap) else 0.04), pixels)

    def _next_tiles(self, pixels: np.ndarray, known: Sequence[Person]) -> list[Region]:
        """A square of the whole height and a smaller tile, others each time: in the whole picture people who come in
        small are not seen."""
        from tools.detection import tiles

        height, width = pixels.shape[:2]
        kinds = [tiles.across(width, height)]
        if tiles.worthwhile(width, height, [person.size for person in known]):
            kinds.append(next(tiles.levels(width, height), []))
        self._turn += 1
        return [kind[self._turn % len(kind)] for kind in kinds if kind]
