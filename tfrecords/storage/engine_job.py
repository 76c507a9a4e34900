"""A conversion in pieces for an engine: each writes a group of shards into the output's folder of unfinished ones."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Callable

from tfrecords.source import Source
from tfrecords.storage import partial, shards
from tools.engines.jobs import Outcome
from tools.files import remote


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """A `tools.engines.jobs.Job`.

    Attributes:
      factory: makes the source, once in each worker.
      plan, groups: which records go where; piece i writes groups[i].
      output: folder or address of the finished shards. unfinished: the folder inside it for those that are not yet.
      key: of the conversion (`partial.Partial`).
    """

    factory: Callable[[], Source]
    plan: shards.Plan
    groups: tuple[tuple[int, ...], ...]
    output: str
    unfinished: str
    key: str

    def setup(self) -> Source:
        """Opens the source."""
        return self.factory()

    def process(self, source: Source, piece: int) -> Outcome:
        """Writes the shards of a group, each in place with its note once it is whole."""
        output, group = remote.place(self.output), self.groups[piece]
        folder, names = output / self.unfinished, [self.plan.file(shard) for shard in group]
        mark = uuid.uuid4().hex  # a piece may run twice at once
        paths = [folder / f"{name}.{mark}.tmp" for name in names]
        skipped: list[tuple[str, str]] = []
        shown_as = [str(output / name) for name in names]
        written = shards.write_group(
            source, self.plan, group, paths, shown_as, lambda _: None, lambda *skip: skipped.append(skip)
        )
        results = [result for _, result in written]
        for shard, name, path, result in zip(group, names, paths, results):
            remote.replace(path, folder / name)
            partial.note_shard(folder, name, shard, result, self.key)
        counters = {
            "records": sum(result["records"] for result in results),
            "bytes": sum(result["bytes"] for result in results),
            "shards": len(results),
        }
        return Outcome(counters, skipped)
