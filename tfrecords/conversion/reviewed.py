"""Records as a review left them: without the dropped ones, left and right swapped where they were mixed up."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfrecords import schema
from tfrecords.schema import PoseRecord
from tfrecords.source import Skip, Source
from tools.files.decisions import Decisions
from tools.pose.joints import POSE17

_BY_JOINT = ("pose_2d", "provenance_2d", "visibility", "right_2d", "pose_3d", "provenance_3d", "joint_quality")
_GENERATED = ("pose_3d", "provenance_3d", "root_3d", "joint_quality")


def swap_sides(record: PoseRecord) -> PoseRecord:
    """The record with left and right joints exchanged, changed in place.

    A generated 3D label is taken away: it was lifted from the wrong sides, so its depths are wrong too.
    """
    if record.weights:
        for field in _GENERATED:
            setattr(record, field, schema.BY_FIELD[field].absent())
        record.quality, record.weights = float("nan"), ""
    for field in _BY_JOINT:
        setattr(record, field, getattr(record, field)[POSE17.mirror])
    return record


class ReviewedSource(Source):
    """The records of a source that a review kept; the others are skipped, with what the review said as reason."""

    def __init__(self, source: Source, decisions: Decisions):
        self.info = source.info
        super().__init__(source.path, source.options)
        self.split = source.split
        self._source, self._decisions = source, decisions

    def __len__(self) -> int:
        return len(self._source)

    def files(self) -> list[pathlib.Path]:
        return [*self._source.files(), self._decisions.path]

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order."""
        for number, item in zip(np.asarray(numbers, np.int64).tolist(), self._source.records(numbers)):
            if isinstance(item, Skip):
                yield item
                continue
            fate = self._decisions.fate(item.file, item.sequence, item.frame, item.person, number)
            if fate.reason:
                yield Skip(fate.reason, item.where())
            else:
                yield swap_sides(item) if fate.swap else item

    def check_matched(self) -> None:
        """Raises `InputError` when no decision fits any record: they are another source's. Reads up to the first."""
        decisions = self._decisions
        if not len(decisions) or decisions.matched:
            return
        for number, item in enumerate(self._source.records(np.arange(len(self._source)))):
            if not isinstance(item, Skip):
                decisions.fate(item.file, item.sequence, item.frame, item.person, number)
                if decisions.matched:
                    return
        raise decisions.fits_nothing(f"{len(self):,} records of {self.path}")


def open_reviewed(factory: Callable[[], Source], decisions: str) -> ReviewedSource:
    """The source that `factory` makes, as the decisions of a file leave it; picklable with `functools.partial`."""
    return ReviewedSource(factory(), Decisions(decisions))
