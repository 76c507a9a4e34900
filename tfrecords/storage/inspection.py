"""What lies in folders of TFRecords: counts, statistics, and everything that is damaged, by shard and record."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from tfrecords import schema
from tfrecords.schema import PoseRecord
from tfrecords.storage import framing, manifest
from tfrecords.storage.example import decode_fields
from tools.cli.errors import InputError
from tools.files import checksums
from tools.pose import joints

_TOGETHER = 1024  # records whose numbers are looked at together
_NUMBERS = [feature for feature in schema.FEATURES if feature.kind in ("float", "int")]
_POSES = (("pose_2d", "provenance_2d"), ("pose_3d", "provenance_3d"))


@dataclasses.dataclass
class Range:
    """Of one field: in how many records it is, and the minimum, mean and maximum of its numbers."""

    records: int = 0
    numbers: int = 0
    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0

    @property
    def mean(self) -> float:
        """The mean of all numbers, NaN when there are none."""
        return self.total / self.numbers if self.numbers else float("nan")

    def add(self, values: list) -> None:
        """Takes in the field's values of some records."""
        numbers = np.asarray(values, np.float64).ravel()
        numbers = numbers[np.isfinite(numbers)]
        self.records += len(values)
        if len(numbers):
            self.numbers += len(numbers)
            self.low, self.high = min(self.low, numbers.min()), max(self.high, numbers.max())
            self.total += numbers.sum()


class Findings:
    """What was found in all folders.

    Attributes:
      records, shards, bytes: how many.
      damage: lines that name folder, shard and record.
      ranges: field -> Range.
      provenance: 'provenance_2d' and '..._3d' -> joints missing, made and labelled, in records with that pose.
      counters: 'dataset', 'split', 'subject', 'action', 'camera_kind' -> Counter of records.
      pictures: how many records carry one; picture_bytes: their size.
      outside: joints, and records with joints, that lie outside their picture.
      duplicates: how many records are byte for byte one that came before; duplicate: names the first.
      skipped: reason -> records that the conversions left out.
      samples: the records asked for.
    """

    def __init__(self) -> None:
        self.records = self.shards = self.bytes = self.pictures = self.picture_bytes = self.duplicates = 0
        self.damage: list[str] = []
        self.duplicate = ""
        self.ranges = {feature.field: Range() for feature in _NUMBERS}
        self.provenance = {field: np.zeros(3, np.int64) for _, field in _POSES}
        self.counters: dict[str, collections.Counter[str]] = {
            field: collections.Counter() for field in ("dataset", "split", "subject", "action", "camera_kind")
        }
        self.outside = [0, 0]
        self.skipped: collections.Counter[str] = collections.Counter()
        self.samples: list[PoseRecord] = []
        self._splits: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
        self._hashes: list[np.ndarray] = []
        self._names: list[str] = []
        self._starts: list[int] = []

    def shared_subjects(self) -> list[str]:
        """One line for each subject that is in more than one split of its data set."""
        return [
            f"{dataset}: subject {subject} is in the splits {', '.join(sorted(splits))}"
            for (dataset, subject), splits in sorted(self._splits.items())
            if len(splits) > 1
        ]

    def begin_shard(self, name: str) -> None:
        """Further records lie in this file."""
        self._names.append(name)
        self._starts.append(self.records)
        self.shards += 1

    def add(self, batch: list[tuple[int, dict[str, Any], bytes]]) -> None:
        """Takes in some records of the shard: (number in the shard, fields, serialized)."""
        self.records += len(batch)
        self._hashes.append(np.array([hash(data) for _, _, data in batch], np.int64))
        records = [fields for _, fields, _ in batch]
        for field, span in self.ranges.items():
            values = [fields[field] for fields in records if field in fields]
            if values:
                span.add(values)
        for field, counter in self.counters.items():
            counter.update(fields[field] for fields in records if field in fields)
        for fields in records:
            if fields.get("subject"):
                self._splits[fields.get("dataset", ""), fields["subject"]].add(fields.get("split", ""))
            if "image" in fields:
                self.pictures += 1
                self.picture_bytes += len(fields["image"])
        self._check_joints([number for number, _, _ in batch], records)

    def _check_joints(self, numbers: list[int], records: list[dict]) -> None:
        absent = {name: schema.BY_FIELD[name].absent() for pair in _POSES for name in pair}
        for pose, provenance in _POSES:
            marks = np.array([fields.get(provenance, absent[provenance]) for fields in records])
            values = np.array([fields.get(pose, absent[pose]) for fields in records])
            finite = np.isfinite(values).all(-1)
            codes = np.minimum(marks[marks.any(1)], joints.LABELLED)
            self.provenance[provenance] += np.bincount(codes.ravel(), minlength=3)
            for row in np.flatnonzero((finite != (marks != joints.MISSING)).any(1)):
                self.damage.append(
                    f"{self._names[-1]}: record {numbers[row]}: {pose} is not finite where {provenance} says known, "
                    "or finite where it says missing"
                )
            if pose == "pose_2d":
                size = np.array([fields.get("image_size", [-1, -1]) for fields in records], np.float64)[:, None]
                off = ((values < 0) | (values > size - 1)).any(-1) & (marks == joints.LABELLED) & (size[..., 0] > 0)
                self.outside[0] += int(off.sum())
                self.outside[1] += int(off.any(1).sum())

    def find_duplicates(self) -> None:
        """Counts the records that repeat another, and names the first; call it once all are in."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.zeros(0, np.int64)
        self._hashes = []
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        repeats = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
        self.duplicates = len(repeats)
        if len(repeats):
            self.duplicate = f"{self._place(repeats[0])} repeats {self._place(first[inverse[repeats[0]]])}"

    def _place(self, record: int) -> str:
        shard = int(np.searchsorted(self._starts, record, side="right")) - 1
        return f"{self._names[shard]} record {record - self._starts[shard]}"


def inspect(
    folders: Sequence[str | pathlib.Path], samples: int = 0, progress: Callable[[int], Any] = lambda done: None
) -> Findings:
    """Reads every record of finished conversions.

    Args:
      folders: folders (or manifests).
      samples: how many records to keep, spread evenly over all.
      progress: called with the number of records read.

    Raises:
      InputError: a folder has no sound manifest. Everything else that is wrong is in the findings.
    """
    contents = [manifest.read_manifest(folder) for folder in folders]
    total = sum(content.records for content in contents)
    wanted = set(np.linspace(0, total - 1, min(samples, total)).astype(int).tolist()) if total else set()
    findings = Findings()
    for content in contents:
        for reason, entry in content.skipped.items():
            findings.skipped[reason] += entry["count"]
        for shard in content.shards:
            _inspect_shard(content.folder / shard.file, shard, findings, wanted)
            progress(findings.records)
    findings.find_duplicates()
    return findings


def _inspect_shard(path: pathlib.Path, shard: manifest.Shard, findings: Findings, wanted: set[int]) -> None:
    if not path.is_file():
        findings.damage.append(f"{path}: shard is missing")
        return
    size = path.stat().st_size
    findings.begin_shard(str(path))
    findings.bytes += size
    before = len(findings.damage)
    if size != shard.bytes:
        findings.damage.append(f"{path}: {size:,} bytes, {shard.bytes:,} were written")
    elif checksums.of_file(path) != shard.sha256:
        findings.damage.append(f"{path}: its SHA-256 is not the manifest's")
    batch: list[tuple[int, dict, bytes]] = []
    number = -1
    try:
        for number, data in enumerate(framing.read_frames(path)):
            try:
                fields = decode_fields(data)
            except InputError as error:
                findings.damage.append(f"{path}: record {number}: {error}")
                continue
            if findings.records + len(batch) in wanted:
                findings.samples.append(PoseRecord(**fields))
            batch.append((number, fields, data))
            if len(batch) == _TOGETHER:
                findings.add(batch)
                batch = []
    except InputError as error:
        findings.damage.append(str(error))
    if batch:
        findings.add(batch)
    if number + 1 != shard.records and len(findings.damage) == before:
        findings.damage.append(f"{path}: {number + 1:,} records, {shard.records:,} were written")
