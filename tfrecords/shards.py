"""Which record goes into which shard, and the writing of one shard."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from tfrecords.example import encode
from tfrecords.framing import RecordFile
from tfrecords.manifest import KEPT_DETAILS, shard_name
from tfrecords.sources.base import Skip, Source
from tools.errors import InputError

_BLOCK = 65_536  # records that are spread among the shards together
_REPORT_EVERY = 256
# A shard of this many records has some tens of megabytes; small sets still get enough shards to be worked on in parallel.
_RECORDS_A_SHARD, _PICTURES_A_SHARD = 20_000, 1_000
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

    def numbers(self, shard: int) -> Iterator[Sequence[int] | np.ndarray]:
        """Yields a shard's record numbers, ascending, in runs whose length does not depend on the size of the set.

        Spread at random: the records of each block are shuffled and dealt out one by one, so shards differ by at most
        one record and no list of all records is ever made.
        """
        if not self.shuffle:
            yield range(self.records * shard // self.num_shards, self.records * (shard + 1) // self.num_shards)
            return
        run: list[np.ndarray] = []
        for start in range(0, self.records, _BLOCK):
            order = np.random.default_rng((self.seed, start)).permutation(min(_BLOCK, self.records - start))
            run.append(start + np.sort(order[(shard - start) % self.num_shards :: self.num_shards]))
            if sum(map(len, run)) >= _BLOCK:
                yield np.concatenate(run)
                run = []
        if run:
            yield np.concatenate(run)


def write_shard(
    source: Source, plan: Plan, shard: int, path: pathlib.Path, shown_as: str, report: Callable[[int], Any]
) -> dict:
    """Writes one shard to `path`, or nothing when it fails.

    Args:
      shown_as: the final name, for messages.
      report: called now and then with the number of records done.

    Returns:
      records, bytes and sha256 of the file; 'skipped': reason -> [how many, details of the first].

    Raises:
      InputError: the disk refuses, or the source does not give what it promised.
    """
    skipped: dict[str, list] = {}
    done = 0
    with RecordFile(path, plan.compressed, shown_as) as file:
        for numbers in plan.numbers(shard):
            before = done
            for item in source.records(numbers):
                done += 1
                if isinstance(item, Skip):
                    _count(skipped, item.reason, item.detail)
                elif problem := item.problem():
                    _count(skipped, problem, item.where())
                else:
                    file.write(encode(item))
                if done % _REPORT_EVERY == 0:
                    report(done)
            if done - before != len(numbers):
                raise InputError(
                    f"{source.path}: source {source.info.name} gave {done - before:,} of {len(numbers):,} records"
                )
    report(done)
    return {"records": file.records, "bytes": file.bytes, "sha256": file.sha256, "skipped": skipped}


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
