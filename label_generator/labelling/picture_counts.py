"""What became of the photographs and frames of a run, counted apart from the people in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from label_generator.labelling.people_file import PeopleFile
from tools.cli.words import counted

NAMED = 5  # unreadable pictures that a message names
_LISTED = 1000  # of those that summary.json lists
_ROWS = 1 << 16


@dataclasses.dataclass(frozen=True)
class PictureCounts:
    """Counts of a people.npz.

    Attributes:
      pictures: photographs and frames. frames: those of videos. people: in all of them.
      without_people: pictures in which nobody was found. unreadable: pictures that could not be read.
      unreadable_files: {file: reason} of the first of these.
      rows: {reason: rows} of the pictures without people and of the unreadable ones, which have a row each.
    """

    pictures: int
    frames: int
    people: int
    without_people: int
    unreadable: int
    unreadable_files: Mapping[str, str]
    rows: Mapping[str, int]

    def for_summary(self) -> dict[str, Any]:
        """The counts, for summary.json."""
        content = dataclasses.asdict(self)
        del content["rows"]
        return content

    @property
    def text(self) -> str:
        """'2 people in 5 pictures'."""
        return f"{counted(self.people, 'person', 'people')} in {counted(self.pictures, self._noun)}"

    @property
    def _noun(self) -> str:
        return "frame" if self.pictures and self.frames == self.pictures else "picture"

    def lines(self) -> list[str]:
        """For the user: unreadable pictures, the first by name, and pictures without people; empty without either."""
        lines = []
        if self.unreadable:
            named = [f"{file} ({reason})" for file, reason in list(self.unreadable_files.items())[:NAMED]]
            more = self.unreadable - len(named)
            named += [f"{more:,} more (unreadable_files in summary.json)"] * bool(more)
            lines.append(f"{counted(self.unreadable, 'picture')} could not be read: {', '.join(named)}")
        if self.without_people:
            lines.append(f"{counted(self.without_people, self._noun)} without people")
        return lines


def of_people(people: PeopleFile) -> PictureCounts:
    """The counts of a file of people, read piece by piece."""
    by_reason = np.zeros(len(people.reasons), np.int64)
    unreadable_files: dict[str, str] = {}
    pictures, frames, last, without_people = 0, 0, None, 0
    for start in range(0, len(people), _ROWS):
        stop = min(start + _ROWS, len(people))
        reason, picture, frame, size = (
            people.read(name, start, stop) for name in ("reason", "picture", "frame", "image_size")
        )
        by_reason += np.bincount(reason, minlength=len(by_reason))
        first = np.diff(picture, prepend=picture[0] - 1 if last is None else last) != 0
        last = picture[-1]
        pictures += int(first.sum())
        frames += int((first & (frame >= 0)).sum())
        bad = reason != 0
        read = (size > 0).all(1)  # a picture that could be read has a size
        without_people += int((bad & read).sum())
        rows = np.flatnonzero(bad & ~read)[: _LISTED - len(unreadable_files)]
        if len(rows):
            names = people.files(start, stop)
            unreadable_files.update({names[i]: people.reasons[reason[i]] for i in rows.tolist()})
    unlabelled = int(by_reason[1:].sum())
    return PictureCounts(
        pictures,
        frames,
        int(by_reason[0]) if len(by_reason) else 0,
        without_people,
        unlabelled - without_people,
        unreadable_files,
        {people.reasons[i]: int(count) for i, count in enumerate(by_reason.tolist()) if i and count},
    )
