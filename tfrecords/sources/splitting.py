"""One set of records into a training and a test set, so that no person (or sequence, or file) is in both."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords import reader
from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip
from tfrecords.sources.records import RecordSource
from tfrecords.storage import example, framing
from tools.cli.errors import InputError

# What stays together -> the fields that name it. A subject's number means nothing without its data set.
GROUPS = {
    "subject": ("dataset", "subject"),
    "sequence": ("dataset", "subject", "action", "sequence"),
    "file": ("dataset", "file"),
    "action": ("dataset", "action"),
}
TRAIN, TEST = "train", "test"


@dataclasses.dataclass(frozen=True)
class SplitOptions(Options):
    """How a set is split; `seed` is that of the drawing.

    Attributes:
      by: of `GROUPS`. test_share: of the records, about. part: 'train' or 'test'.
    """

    by: str = "subject"
    test_share: float = 0.2
    part: str = TRAIN


@dataclasses.dataclass(frozen=True)
class Division:
    """Which records go where.

    Attributes:
      test: [N] bool. groups: {'train' or 'test': names of the groups, sorted}.
    """

    test: np.ndarray
    groups: dict[str, list[str]]


def divide(where: str, by: str, test_share: float, seed: int) -> Division:
    """Draws whole groups of records for the test set until it has about `test_share` of the records.

    The same records, share and seed give the same division, whatever the order of the shards' groups.

    Raises:
      InputError: no records, records that do not name their group, or fewer than two groups.
    """
    names = _group_names(where, by)
    counts = collections.Counter(names)
    if not all(name[-1] for name in counts):
        missing = sum(count for name, count in counts.items() if not name[-1])
        raise InputError(
            f"{where}: {missing:,} of {len(names):,} records name no {by}, so they can't be kept together by it; "
            f"--by takes {', '.join(GROUPS)}"
        )
    if len(counts) < 2:
        raise InputError(f"{where}: all {len(names):,} records are of one {by}; --by takes {', '.join(GROUPS)}")
    groups = sorted(counts)
    chosen: set[tuple[str, ...]] = set()
    wanted, total = test_share * len(names), 0
    for i in np.random.default_rng(seed).permutation(len(groups)):
        name = groups[i]
        # A group is taken when that brings the test set nearer to its share; each set keeps one group at least.
        nearer = abs(total + counts[name] - wanted) < abs(total - wanted)
        if nearer and len(chosen) < len(groups) - 1:
            chosen.add(name)
            total += counts[name]
    if not chosen:
        chosen.add(min(groups, key=lambda name: (counts[name], name)))
    return Division(
        np.array([name in chosen for name in names], bool),
        {
            part: [" ".join(filter(None, name)) for name in groups if (name in chosen) == (part == TEST)]
            for part in (TRAIN, TEST)
        },
    )


def _group_names(where: str, by: str) -> list[tuple[str, ...]]:
    fields, names = GROUPS[by], []
    for file in reader.find(where).files:
        for place, data in enumerate(framing.read_frames(file)):
            try:
                values = example.decode_fields(data)
            except InputError as error:
                raise InputError(f"{file}: record {place}: {error}") from error
            names.append(tuple(str(values.get(field, "")) for field in fields))
    return names


class SplitSource(RecordSource):
    """The records of one part of a division; see `open_part`."""

    def __init__(self, where: str, options: SplitOptions, division: Division):
        super().__init__(where, options)
        self.split = options.part
        self._numbers = np.flatnonzero(division.test == (options.part == TEST))

    def __len__(self) -> int:
        return len(self._numbers)

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields the records with these ascending numbers, of the split that they are in now."""
        for item in super().records(self._numbers[np.asarray(numbers, np.int64)]):
            if isinstance(item, PoseRecord):
                item.split = self.split
            yield item


def open_part(where: str, options: SplitOptions) -> SplitSource:
    """The part of a set that the options say; picklable with `functools.partial`. Errors: as `divide`."""
    return SplitSource(where, options, divide(where, options.by, options.test_share, options.seed))
