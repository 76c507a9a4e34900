"""Telling records and weights from others, for the settings of trainings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from tfrecords.storage import locate, manifest


def fingerprint(where: locate.Where) -> str:
    """A text that tells these records from others: of the manifest's checksums, or of names, sizes and counts.

    Raises:
      InputError: as `locate.find`.
    """
    records = locate.find(where)
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


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """A text that tells these named arrays from others."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]
