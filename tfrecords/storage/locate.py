"""Where the shards of a data set lie: by folder, manifest, glob, or a list of those."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Sequence
from typing import Union

from tfrecords.storage import example, framing, manifest
from tools.cli.errors import InputError
from tools.files import checksums, remote

Where = Union[str, os.PathLike, Sequence[Union[str, os.PathLike]]]


@dataclasses.dataclass(frozen=True)
class Records:
    """Where the records of a data set lie. files, counts: paths of the shards and how many records each holds."""

    files: tuple[str, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def compression(self) -> str:
        """What TensorFlow calls the files' compression: '' or 'GZIP'."""
        return "GZIP" if self.files[0].endswith(".gz") else ""

    def has_images(self) -> bool:
        """Whether the first record carries a picture. Raises `InputError` when it is damaged."""
        file = next(file for file, count in zip(self.files, self.counts) if count)
        try:
            return "image" in example.decode_fields(next(framing.read_frames(file)))
        except InputError as error:
            raise InputError(f"{file}: record 0: {error}") from error

    def shard(self, index: int, count: int) -> Records:
        """The part of worker `index` of `count`: whole files. Raises `InputError` when there are fewer files."""
        if count > len(self.files):
            raise InputError(f"{len(self.files)} shards can't be divided among {count} workers; write more shards")
        return dataclasses.replace(self, files=self.files[index::count], counts=self.counts[index::count])


def find(where: Where, verify: bool = False) -> Records:
    """The shards that `where` stands for.

    Args:
      where: a folder with a manifest, a manifest, a glob of shards, or a list of those, also as one text with commas
        between. Shards that a glob finds must be a whole set; a manifest beside them is used.
      verify: compare the SHA-256 of every shard with the manifest, which reads every byte.

    Raises:
      InputError: nothing there; a shard is missing, cut short or (with verify) damaged; no records, or none of poses.
    """
    if isinstance(where, str) and "," in where and (remote.is_remote(where) or not os.path.exists(where)):
        where = where.split(",")
    if not isinstance(where, (str, os.PathLike)):
        parts = [find(one, verify) for one in where]
        if not parts:
            raise InputError("no TFRecords named")
        return _joined(parts)
    records = _find_one(where, verify)
    _check_poses(records)
    return records


def _find_one(where: str | os.PathLike, verify: bool) -> Records:
    path = remote.place(where)
    if path.is_dir() or path.name == manifest.NAME:
        return _from_manifest(manifest.read_manifest(path), None, verify)
    return _from_glob(str(where), verify)


def _check_poses(records: Records) -> None:
    """Raises `InputError` when the first record holds no feature of a pose record: TFRecords of something else."""
    file = next(file for file, count in zip(records.files, records.counts) if count)
    try:
        fields = example.decode_fields(next(framing.read_frames(file)))
    except InputError:
        return  # a damaged record, which its reader names
    if not fields:
        raise InputError(f"{file}: TFRecords, but not of poses: record 0 has no feature of a pose record")


def _from_manifest(content: manifest.Manifest, wanted: set[str] | None, verify: bool) -> Records:
    content.check_sizes()
    chosen = [shard for shard in content.shards if wanted is None or shard.file in wanted]
    if verify:
        for shard in chosen:
            path = content.folder / shard.file
            if checksums.of_file(path) != shard.sha256:
                raise InputError(f"{path}: shard is damaged, its SHA-256 is not the manifest's")
    # A file without records only costs an open.
    filled = [shard for shard in chosen if shard.records]
    for shard in filled:
        if remote.is_remote(content.folder):
            break  # its size fits; counting would read the whole set over the network
        count = framing.count_records(content.folder / shard.file)
        if count != shard.records:
            raise InputError(
                f"{content.folder / shard.file}: {count:,} records, {manifest.NAME} says {shard.records:,}"
            )
    if not filled:
        raise InputError(f"{content.folder}: no records")
    files = tuple(str(content.folder / shard.file) for shard in filled)
    return Records(files, tuple(shard.records for shard in filled))


def _from_glob(pattern: str, verify: bool) -> Records:
    files = sorted(_glob_remote(pattern) if remote.is_remote(pattern) else glob.glob(os.path.expanduser(pattern)))
    if not files:
        raise InputError(f"{pattern}: no such file or folder")
    parts = []
    for folder in sorted({os.path.dirname(file) for file in files}):
        names = [os.path.basename(file) for file in files if os.path.dirname(file) == folder]
        _check_complete(folder, names)
        if remote.place(os.path.join(folder, manifest.NAME)).exists():
            content = manifest.read_manifest(os.path.join(folder, manifest.NAME))
            unknown = sorted(set(names) - {shard.file for shard in content.shards})
            if unknown:
                raise InputError(f"{os.path.join(folder, unknown[0])}: not in the {manifest.NAME} beside it")
            parts.append(_from_manifest(content, set(names), verify))
            continue
        if verify:
            raise InputError(f"{folder or '.'}: no {manifest.NAME}, so nothing to verify against")
        paths = [os.path.join(folder, name) for name in names]
        counts = [framing.count_records(path) for path in paths]
        if not sum(counts):
            raise InputError(f"{pattern}: no records")
        parts.append(Records(tuple(paths), tuple(counts)))
    return _joined(parts)


def _glob_remote(pattern: str) -> list[str]:
    import tensorflow as tf

    try:
        return [str(path) for path in tf.io.gfile.glob(pattern)]
    except tf.errors.OpError as error:
        raise InputError(f"{pattern}: cannot be read: {' '.join(str(error).split())[:200]}") from error


def _joined(parts: Sequence[Records]) -> Records:
    files = tuple(file for part in parts for file in part.files)
    if len({file.endswith(".gz") for file in files}) > 1:
        raise InputError(f"{files[0]} and {files[-1]}: compressed and plain TFRecords can't be read together")
    return Records(files, tuple(count for part in parts for count in part.counts))


def _check_complete(folder: str, names: Sequence[str]) -> None:
    sets: dict[tuple[str, int], set[int]] = {}
    for name in names:
        parsed = manifest.parse_shard_name(name)
        if parsed:
            sets.setdefault((parsed[0], parsed[2]), set()).add(parsed[1])
    for (name, count), found in sets.items():
        missing = sorted(set(range(count)) - found)
        if missing:
            first = os.path.join(folder, manifest.shard_name(name, missing[0], count))
            raise InputError(f"{first}: shard is missing, only {len(found)} of {count} were found")
