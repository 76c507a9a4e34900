"""Fingerprints of records, for the settings of trainings."""

from __future__ import annotations

import os

from tfrecords.storage import locate, manifest
from tools.files import checksums


def fingerprint(where: locate.Where) -> str:
    """A text that identifies these records: of the manifest's checksums, or of names, sizes and counts.

    Raises:
      InputError: as `locate.find`.
    """
    records = locate.find(where)
    known = {}
    for folder in {os.path.dirname(file) for file in records.files}:
        if os.path.exists(os.path.join(folder, manifest.NAME)):
            for shard in manifest.read_manifest(os.path.join(folder, manifest.NAME)).shards:
                known[os.path.join(folder, shard.file)] = shard.sha256
    lines = [
        f"{known.get(file) or os.path.basename(file)} {os.path.getsize(file)} {count}"
        for file, count in zip(records.files, records.counts)
    ]
    return checksums.of_text("\n".join(lines))[: checksums.SHORT]
