"""Telling records from other records, for settings of trainings."""

from __future__ import annotations

import hashlib
import os

from tfrecords import manifest, reader


def fingerprint(where: reader.Where) -> str:
    """A text that tells these records from others: of the manifest's checksums, or of names, sizes and counts.

    Raises:
      InputError: as `reader.find`.
    """
    records = reader.find(where)
    known = {}
    for folder in {os.path.dirname(file) for file in records.files}:
        if os.path.exists(os.path.join(folder, manifest.NAME)):
            for shard in manifest.read_manifest(os.path.join(folder, manifest.NAME)).shards:
                known[os.path.join(folder, shard.file)] = shard.sha256
    told = [
        f"{known.get(file) or os.path.basename(file)} {os.path.getsize(file)} {count}"
        for file, count in zip(records.files, records.counts)
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
