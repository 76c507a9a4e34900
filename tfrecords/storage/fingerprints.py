"""Fingerprints of records, for the settings of trainings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from tfrecords.storage import locate, manifest
from tools.cli.words import counted
from tools.files import checksums, remote


def shared_shards(one: locate.Where, other: locate.Where) -> int:
    """How many shards of `one` are shards of `other` too, by their places on disk or the manifests' checksums.

    Raises:
      InputError: as `locate.find`.
    """
    sets = []
    for where in (one, other):
        files = locate.find(where).files
        known = _checksums(files)
        sets.append([{os.path.realpath(file), known.get(file) or os.path.realpath(file)} for file in files])
    theirs = set().union(*sets[1])
    return sum(bool(names & theirs) for names in sets[0])


def warn_of_shared(train: locate.Where, test: locate.Where) -> None:
    """Prints a warning on standard error when records that are trained on are tested on as well."""
    count = shared_shards(test, train)
    if count:
        shards = f"{count} of {counted(len(locate.find(test).files), 'shard')} of the test set "
        shards += "is" if count == 1 else "are"
        print(
            f"warning: {shards} trained on too, so the figures say nothing of other people; "
            "tools/split_tfrecords.py splits a set",
            file=sys.stderr,
            flush=True,
        )


def _checksums(files: Iterable[str]) -> dict[str, str]:
    """{shard: SHA-256} of those that a manifest beside them names."""
    known = {}
    for folder in {os.path.dirname(file) for file in files}:
        if remote.place(os.path.join(folder, manifest.NAME)).exists():
            for shard in manifest.read_manifest(os.path.join(folder, manifest.NAME)).shards:
                known[os.path.join(folder, shard.file)] = shard.sha256
    return known


def fingerprint(where: locate.Where) -> str:
    """A text that identifies these records: of the manifest's checksums, or of names, sizes and counts.

    Raises:
      InputError: as `locate.find`.
    """
    records = locate.find(where)
    known = _checksums(records.files)
    lines = [
        f"{known.get(file) or os.path.basename(file)} {remote.place(file).stat().st_size} {count}"
        for file, count in zip(records.files, records.counts)
    ]
    return checksums.of_text("\n".join(lines))[: checksums.SHORT]
