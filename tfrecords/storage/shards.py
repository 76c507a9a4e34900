"""Which record goes into which shard, and the writing of shards."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from tfrecords.source import Skip, Source, read_records
from tfrecords.storage.example import encode
from tfrecords.storage.framing import RecordFile
from tfrecords.storage.manifest import KEPT_DETAILS, shard_name
from tools.cli.errors import InputError

_BLOCK = 65_536  # records that are spread among the shards together
_REPORT_EVERY = 256
# A shard of so many records has some tens of megabytes; small sets still get enough shards to be worked on in parallel.
_RECORDS_A_SHARD, _PICTURES_A_SHARD = 20_000, 1_000
_TOGETHER = 32  # shards that one process writes at once
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
        return self.records * (shard + 1) // self.num_shards - self.records * shard // self.num_shards

    def groups(self, missing: Sequence[int], workers: int, pictures: bool) -> list[tuple[int, ...]]:
        """The missing shards in the groups that are written together, in one pass through the source.

        A shard with a run of the records is a group of its own. Shards with records from everywhere are not: a source
        of sequences reads all of them for each group. With pictures the passes cost nothing beside the pictures.
        """
        if not self.shuffle or pictures:
            return [(shard,) for shard in missing]
        size = max(1, min(_TOGETHER, -(-len(missing) // workers)))
        return [tuple(missing[i : i + size]) for i in range(0, len(missing), size)]

    def numbers(self, group: Sequence[int]) -> Iterator[tuple[Sequence[int] | np.ndarray, np.ndarray | None]]:
        """Yields the record numbers of a group of shards, ascending, in runs whose length does not depend on the size
        of the set; and for each the place of its shard in the group (None: all belong to the first).

        Spread at random: the records of each block are shuffled and dealt out one by one, so shards differ by at most
        one record and no list of all records is ever made.
        """
        if not self.shuffle:
            (shard,) = group
            yield range(self.records * shard // self.num_shards, self.records * (shard + 1) // self.num_shards), None
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
) -> list[dict]:
    """Writes a group of shards to `paths`, or nothing when it fails.

    Args:
      shown_as: the final names, for messages.
      report: called now and then with the number of records done.
      on_skip: called with reason and detail of each record that is skipped.

    Returns:
      for each shard records, bytes and sha256 of the file; 'skipped': reason -> [how many, details of the first].

    Raises:
      InputError: the disk refuses, or the source does not give what it promised.
    """
    skipped: list[dict[str, list]] = [{} for _ in group]
    done = 0

    def skip(place: int, reason: str, detail: str) -> None:
        _count(skipped[place], reason, detail)
        if on_skip is not None:
            on_skip(reason, detail)

    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(RecordFile(path, plan.compressed, name)) for path, name in zip(paths, shown_as)]
        for numbers, owners in plan.numbers(group):
            given = 0
            for item in read_records(source, numbers):
                given += 1
                if given > len(numbers):
                    break
                place = 0 if owners is None else owners[given - 1]
                if isinstance(item, Skip):
                    skip(place, item.reason, item.detail)
                elif problem := item.problem():
                    skip(place, problem, item.where())
                else:
                    files[place].write(encode(item))
                done += 1
                if done % _REPORT_EVERY == 0:
                    report(done)
            if given != len(numbers):
                few = "fewer" if given < len(numbers) else "more"
                raise InputError(f"{source.path}: source {source.info.name} gave {few} records than it was asked for")
    report(done)
    return [
        {"records": file.records, "bytes": file.bytes, "sha256": file.sha256, "skipped": reasons}
        for file, reasons in zip(files, skipped)
    ]


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
