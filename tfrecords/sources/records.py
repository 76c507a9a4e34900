"""TFRecords as a source of records, for commands that read a set and write another."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfrecords import reader
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tfrecords.storage import example, framing, manifest
from tools.cli.errors import InputError
from tools.files import remote


class RecordSource(Source):
    """The records of a set of TFRecords, in the order in which they were written."""

    info = Info(
        name="tfrecords",
        description="pose records",
        input="a folder with a manifest, or a glob of shards",
        licence="that of the data set",
        citation="that of the data set",
        images=True,
    )

    def __init__(self, where: str | pathlib.Path, options: Options):
        """Raises `InputError` when the set is not whole."""
        super().__init__(remote.place(where), options)
        self._records = reader.find(str(where))
        self._starts = np.concatenate([[0], np.cumsum(self._records.counts)])
        folder = remote.place(self._records.files[0]).parent
        if (folder / manifest.NAME).exists():
            content = manifest.read_manifest(folder)
            # What is written from a set has its name, licence and citation.
            facts: dict[str, Any] = {**content.source, "input": content.input, "images": self._records.has_images()}
            self.info = Info(**facts)
            self.split = content.split or self.split

    def __len__(self) -> int:
        return int(self._starts[-1])

    def files(self) -> list[pathlib.Path]:
        return [remote.place(file) for file in self._records.files]

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields the records with these ascending numbers; raises `InputError` naming shard and record of a bad one."""
        numbers = np.asarray(numbers, np.int64)
        for shard, file in enumerate(self._records.files):
            low, high = np.searchsorted(numbers, self._starts[shard : shard + 2])
            wanted = numbers[low:high] - self._starts[shard]
            if not len(wanted):
                continue
            at = 0
            for place, data in enumerate(framing.read_frames(file)):
                if place == wanted[at]:
                    yield _decoded(data, file, place)
                    at += 1
                    if at == len(wanted):
                        break
            else:
                raise InputError(f"{file}: has fewer records than its set says")


def _decoded(data: bytes, file: str, place: int) -> PoseRecord:
    try:
        return example.decode(data)
    except InputError as error:
        raise InputError(f"{file}: record {place}: {error}") from error
