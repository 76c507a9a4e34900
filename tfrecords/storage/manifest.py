"""`manifest.json`: what lies in a folder of TFRecords, written last, so that a folder with one is whole.

Also the names of shards and the rule by which a set of shards is complete.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import re
from typing import Any

from tfrecords import schema
from tools.cli.errors import InputError
from tools.files import atomic, inputs, remote

NAME = "manifest.json"
FORMAT = 1
KEPT_DETAILS = 5  # how many examples of each reason for skipping are kept
_SOURCE = ("name", "description", "licence", "citation")
_LONGEST_NAME = 255  # bytes, of a file on the file systems in use
_SHA256 = re.compile("[0-9a-f]{64}")
_SHARD = re.compile(r"(?P<name>.+)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.tfrecord(?P<gzip>\.gz)?")


def project_version() -> str:
    """The installed version of this project."""
    try:
        return importlib.metadata.version("pose3d-label-generator")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def shard_name(name: str, index: int, count: int, compressed: bool = False) -> str:
    """``name-00000-of-00016.tfrecord``, with ``.gz`` behind it when the file is one gzip stream."""
    return f"{name}-{index:05d}-of-{count:05d}.tfrecord" + (".gz" if compressed else "")


def parse_shard_name(file: str) -> tuple[str, int, int] | None:
    """(name, index, count) of a shard's file name, or None when it is none."""
    match = _SHARD.fullmatch(file)
    return (match["name"], int(match["index"]), int(match["count"])) if match else None


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a data set. bytes, sha256: of the file as it lies on disk. records: how many it holds."""

    file: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass
class Manifest:
    """The result of a conversion.

    Attributes:
      name: what the shards' names begin with.
      split: the split of the source that was converted; '' for all.
      source: name, description, licence and citation of the data set.
      input: what was converted, as the user wrote it.
      options: every choice that decided what was written.
      shards: in order.
      skipped: reason -> {'count': how many records, 'first': the first few of them}.
      schema_version, version: of the records and of the project that wrote them.
      folder: where the manifest lies; not stored.
    """

    name: str
    split: str
    source: dict[str, str]
    input: str
    options: dict[str, Any]
    shards: list[Shard]
    skipped: dict[str, dict]
    schema_version: int = schema.VERSION
    version: str = dataclasses.field(default_factory=project_version)
    folder: pathlib.Path = pathlib.Path()

    @property
    def records(self) -> int:
        """How many records all shards hold."""
        return sum(shard.records for shard in self.shards)

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Writes the manifest whole or not at all; returns its path."""
        content = {
            "format": FORMAT,
            "schema_version": self.schema_version,
            "version": self.version,
            "name": self.name,
            "split": self.split,
            "source": self.source,
            "input": self.input,
            "options": self.options,
            "records": self.records,
            "bytes": self.bytes,
            "skipped": self.skipped,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
        }
        path = folder / NAME
        atomic.write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return path

    def check_sizes(self) -> None:
        """Raises `InputError` naming the first shard that is missing or has another size than was written."""
        for shard in self.shards:
            path = self.folder / shard.file
            if not path.is_file():
                raise InputError(f"{path}: shard is missing, {NAME} names it")
            size = path.stat().st_size
            if size != shard.bytes:
                state = "cut short" if size < shard.bytes else "too long"
                raise InputError(f"{path}: shard is {state}: {size:,} bytes, {shard.bytes:,} were written")


def _problem(manifest: Manifest) -> str:
    """What is wrong with the types and names in a manifest that was read, '' for nothing."""
    texts = {"name": manifest.name, "split": manifest.split, "input": manifest.input, "version": manifest.version}
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    if wrong:
        return f"{wrong[0]} is no text"
    facts = manifest.source if isinstance(manifest.source, dict) else {}
    if set(facts) != set(_SOURCE) or not all(isinstance(value, str) for value in facts.values()):
        return f"source must have the texts {', '.join(_SOURCE)}"
    if not isinstance(manifest.options, dict):
        return "options is no object"
    if not isinstance(manifest.skipped, dict) or not all(map(_is_skipped, manifest.skipped.values())):
        return "skipped must be reasons with count and first"
    for number, shard in enumerate(manifest.shards):
        if not isinstance(shard.file, str) or not _is_file_name(shard.file):
            return f"shard {number}: file must be the name of a file beside the manifest"
        if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (shard.records, shard.bytes)):
            return f"shard {number}: records and bytes must be whole numbers, not below 0"
        if not isinstance(shard.sha256, str) or not _SHA256.fullmatch(shard.sha256):
            return f"shard {number}: sha256 must be 64 hexadecimal digits"
    if len({shard.file for shard in manifest.shards}) != len(manifest.shards):
        return "a shard is named twice"
    return ""


def _is_file_name(text: str) -> bool:
    return bool(text) and text == os.path.basename(text) and len(os.fsencode(text)) <= _LONGEST_NAME


def _is_skipped(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("count"), int)
        and isinstance(entry.get("first"), list)
        and all(isinstance(detail, str) for detail in entry["first"])
    )


def read_manifest(path: str | pathlib.Path) -> Manifest:
    """The manifest at `path` (the file or its folder). Raises `InputError` when there is none or it is not sound."""
    path = remote.place(path)
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        if path.name != NAME:
            raise InputError(f"{path}: no such folder or manifest")
        raise InputError(f"{path}: no such file; a folder without it holds no finished conversion")
    content = inputs.read_json(path)
    try:
        if content["format"] != FORMAT or content["schema_version"] != schema.VERSION:
            raise InputError(
                f"{path}: format {content['format']} with schema {content['schema_version']}; this version reads "
                f"format {FORMAT} with schema {schema.VERSION}, convert the data again"
            )
        names = [field.name for field in dataclasses.fields(Manifest) if field.name not in ("shards", "folder")]
        manifest = Manifest(
            **{name: content[name] for name in names},
            shards=[Shard(**shard) for shard in content["shards"]],
            folder=path.parent,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a manifest of pose records ({error})") from error
    problem = _problem(manifest) or ("" if manifest.records else "its shards hold no record")
    if problem:
        raise InputError(f"{path}: not a manifest of pose records ({problem})")
    if manifest.records != content.get("records"):
        raise InputError(f"{path}: says {content.get('records')} records, its shards hold {manifest.records}")
    return manifest
