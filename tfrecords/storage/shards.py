"""Which record goes into which shard, and the writing of shards."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from tfrecords.schema import PoseRecord
from tfrecords.source import Skip, Source, read_records
from tfrecords.storage.example import encode
from tfrecords.storage.framing import RecordFile
from tfrecords.storage.manifest import KEPT_DETAILS, shard_name
from tools.cli.errors import InputError

_BLOCK = 65_536  # records that are spread among the shards together
_REPORT_EVERY = 256
# A shard of so many records has some tens of megabytes; small sets still get enough shards to be worked on in parallel.
_RECORDS_A_SHARD, _PICTURES_A_SHARD = 20_000, 1_000
MOST_SHARDS = 100_000  # more than names of five digits tell apart
_TOGETHER = 32  # shards that one process writes at once
_RECORDS_IN_A_GROUP, _PICTURES_IN_A_GROUP = 1_000, 32  # at most, of small shards that are written together
_SMALL_SHARD, _FEW_SHARDS = 1_000, 16


def default_num_shards(records: int, images: bool) -> int:
    """How many shards a data set of so many records gets; the same on every machine."""
    full = _PICTURES_A_SHARD if images else _RECORDS_A_SHARD
    return max(1, -(-records // full), min(_FEW_SHARDS, records // _SMALL_SHARD))


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the records of a source are dealt out.

    Attributes:
      name: what the files' names begin with.
      records: how many record numbers there are, from 0.
      num_shards: how many files.
      shuffle: spread the records among the shards at random; otherwise each shard has a run of them.
      seed: of that.
      compressed: files are gzip streams.
    """

    name: str
    records: int
    num_shards: int
    shuffle: bool = False
    seed: int = 0
    compressed: bool = False

    def file(self, shard: int) -> str:
        """The file name of a shard."""
        return shard_name(self.name, shard, self.num_shards, self.compressed)

    def size(self, shard: int) -> int:
        """How many record numbers a shard has."""
        if self.shuffle:
            return len(range(shard, self.records, self.num_shards))
        return self._first(shard + 1) - self._first(shard)

    def _first(self, shard: int) -> int:
        """The first record number of a shard with a run of them."""
        return self.records * shard // self.num_shards

    def groups(
        self, missing: Sequence[int], workers: int, pictures: bool, runs_together: bool = True
    ) -> list[tuple[int, ...]]:
        """The missing shards in the groups that are written together, in one pass through the source.

        Small shards with runs of the records that follow each other are written in one pass, since a pass costs as
        much as some records. Large ones are not, nor shards with records from everywhere and pictures, for which the
        passes cost nothing beside the pictures; nor any of them without `runs_together`.
        """
        size = max(1, min(_TOGETHER, -(-len(missing) // workers)))
        if self.shuffle and not pictures:
            return [tuple(missing[i : i + size]) for i in range(0, len(missing), size)]
        if self.shuffle or not runs_together:
            return [(shard,) for shard in missing]
        most = _PICTURES_IN_A_GROUP if pictures else _RECORDS_IN_A_GROUP
        groups: list[tuple[int, ...]] = []
        for shard in missing:
            last = groups[-1] if groups else ()
            follows = last and last[-1] == shard - 1 and len(last) < size
            if follows and sum(map(self.size, last)) + self.size(shard) <= most:
                groups[-1] = (*last, shard)
            else:
                groups.append((shard,))
        return groups

    def numbers(self, group: Sequence[int]) -> Iterator[tuple[Sequence[int] | np.ndarray, np.ndarray | None]]:
        """Yields the record numbers of a group of shards, ascending, in runs whose length does not depend on the size
        of the set; and for each the place of its shard in the group (None: all belong to the first).

        Spread at random: the records of each block are shuffled and dealt out one by one, so shards differ by at most
        one record and no list of all records is ever made.
        """
        if not self.shuffle:
            run = range(self._first(group[0]), self._first(group[-1] + 1))
            owners = None
            if len(group) > 1:
                owners = np.repeat(np.arange(len(group)), [self.size(shard) for shard in group])
            yield run, owners
            return
        place = np.full(self.num_shards, -1)
        place[list(group)] = np.arange(len(group))
        for start in range(0, self.records, _BLOCK):
            order = np.random.default_rng((self.seed, start)).permutation(min(_BLOCK, self.records - start))
            owner = np.empty_like(order)
            owner[order] = place[np.arange(start, start + len(order)) % self.num_shards]
            chosen = np.flatnonzero(owner >= 0)
            yield start + chosen, owner[chosen]


def write_group(
    source: Source,
    plan: Plan,
    group: Sequence[int],
    paths: Sequence[pathlib.Path],
    shown_as: Sequence[str],
    report: Callable[[int], Any],
    on_skip: Callable[[str, str], Any] | None = None,
) -> Iterator[tuple[int, dict]]:
    """Writes a group of shards to `paths`; what is not whole when it fails is removed.

    Args:
      shown_as: the final names, for messages.
      report: called now and then with the number of records done.
      on_skip: called with reason and detail of each record that is skipped.

    Yields:
      (place in the group, result) of each shard once it is whole. Result: records, bytes and sha256 of the file;
      'skipped': reason -> [how many, details of the first].

    Raises:
      InputError: the disk refuses, or the source does not give what it promised.
    """
    counted = _Counted(report)
    files = [_Shard(path, plan, name, counted, on_skip) for path, name in zip(paths, shown_as)]
    if not plan.shuffle:
        # One pass, in which each shard is whole before the next one begins.
        ((numbers, _),) = plan.numbers(group)
        items = _promised(source, numbers)
        for place, shard in enumerate(group):
            with files[place] as file:
                for item in itertools.islice(items, plan.size(shard)):
                    file.add(item)
                if place == len(group) - 1:
                    next(items, None)  # there must be no more
            yield place, file.result
    else:
        with contextlib.ExitStack() as stack:
            for file in files:
                stack.enter_context(file)
            for numbers, owners in plan.numbers(group):
                assert owners is not None
                for number, item in enumerate(_promised(source, numbers)):
                    files[owners[number]].add(item)
        for place, file in enumerate(files):
            yield place, file.result
    report(counted.done)


def _promised(source: Source, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
    """The items of a source for these record numbers; `InputError` when there are fewer or more."""
    given = 0
    for item in read_records(source, numbers):
        given += 1
        if given > len(numbers):
            break
        yield item
    if given != len(numbers):
        few = "fewer" if given < len(numbers) else "more"
        raise InputError(f"{source.path}: source {source.info.name} gave {few} records than it was asked for")


class _Counted:
    """The number of records done."""

    def __init__(self, report: Callable[[int], Any]):
        self.done, self._report = 0, report

    def add(self) -> None:
        self.done += 1
        if self.done % _REPORT_EVERY == 0:
            self._report(self.done)


class _Shard:
    """A shard being written, as a context manager; `result` once it is whole."""

    def __init__(
        self,
        path: pathlib.Path,
        plan: Plan,
        shown_as: str,
        counted: _Counted,
        on_skip: Callable[[str, str], Any] | None,
    ):
        self._path, self._compressed, self._shown_as, self._counted = path, plan.compressed, shown_as, counted
        self._on_skip = on_skip
        self._skipped: dict[str, list] = {}
        self.result: dict[str, Any] = {}

    def __enter__(self) -> _Shard:
        self._file = RecordFile(self._path, self._compressed, self._shown_as)
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)
        file = self._file
        self.result = {
            "records": file.records,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "skipped": self._skipped,
        }

    def add(self, item: PoseRecord | Skip) -> None:
        """Writes a record, or counts why it is none."""
        if isinstance(item, Skip):
            self._skip(item.reason, item.detail)
        elif problem := item.problem():
            self._skip(problem, item.where())
        else:
            self._file.write(encode(item))
        self._counted.add()

    def _skip(self, reason: str, detail: str) -> None:
        _count(self._skipped, reason, detail)
        if self._on_skip is not None:
            self._on_skip(reason, detail)


def _count(skipped: dict[str, list], reason: str, detail: str) -> None:
    entry = skipped.setdefault(reason, [0, []])
    entry[0] += 1
    if len(entry[1]) < KEPT_DETAILS:
        entry[1].append(detail)


def merge_skipped(results: Sequence[dict]) -> dict[str, dict]:
    """The skipped records of all shards, most frequent reason first."""
    merged: dict[str, list] = {}
    for result in results:
        for reason, (count, details) in result["skipped"].items():
            entry = merged.setdefault(reason, [0, []])
            entry[0] += count
            entry[1] = (entry[1] + details)[:KEPT_DETAILS]
    ordered = sorted(merged.items(), key=lambda item: (-item[1][0], item[0]))
    return {reason: {"count": count, "first": details} for reason, (count, details) in ordered}
