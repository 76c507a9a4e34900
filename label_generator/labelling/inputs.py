"""2D poses to be labelled, from every format: one interface, batches of arrays and single records.

An input is a numbered list of poses, so that row i of the labels is pose i of the input. What can't be used keeps its
number and has a reason.
"""

from __future__ import annotations

import abc
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from label_generator.labelling import array_inputs, people_file, picture_counts
from label_generator.labelling.batch import Batch, empty_batch
from label_generator.labelling.formats import FORMATS
from label_generator.labelling.picture_files import CutVideo
from tfrecords import reader, schema
from tfrecords.conversion.people import PeopleSource
from tfrecords.schema import CAMERA_KINDS, PoseRecord
from tfrecords.source import Info, Options, Skip, Source, read_records
from tfrecords.sources import open_source
from tfrecords.sources.records import RecordSource
from tools.cli.errors import InputError
from tools.files import inputs, limits, remote

_RECORD_ROWS = 1024  # of arrays that become records together


@dataclasses.dataclass(frozen=True)
class Spec:
    """What the user said of the input; enough to open it again, in another process too.

    Attributes:
      path: file, folder or glob. format: of `FORMATS`.
      joints: joint set of plain arrays. key: array of an .npz. layout: 'planar', 'interleaved' or '' to find out.
      min_confidence: joints with a confidence not above it are missing (arrays and detections).
      split, images, permutation, frame_step, image_size: as `tfrecords.source.Options`.
      limit: only so many poses from the start; 0: all.
    """

    path: str
    format: str
    joints: str = ""
    key: str = ""
    layout: str = ""
    min_confidence: float = 0.0
    split: str = ""
    images: str = "none"
    permutation: tuple[int, ...] | None = None
    frame_step: int = 1
    image_size: tuple[int, int] | None = None
    limit: int = 0


class Input(abc.ABC):
    """A numbered list of 2D poses.

    Attributes:
      description: one line for the user.
      fps: frames per second of its sequences, 0 where it doesn't say. identities: `person` says who it is, frame after
        frame; otherwise it is only which person of a picture. frames_stated: `frame` is the input's own number, not
        that of the row; known once a batch was read.
      cut_videos: videos that ended before the frames that they announce.
      pictures: of photographs and videos, what became of them.
    """

    description: str
    pictures: picture_counts.PictureCounts | None = None
    cut_videos: Sequence[CutVideo] = ()
    fps: float = 0.0
    identities: bool = False
    frames_stated: bool = True

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many poses, unusable ones included."""

    @abc.abstractmethod
    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """Yields all poses from number `start` (a multiple of `size`) on, `size` at a time."""

    @abc.abstractmethod
    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields the records with these ascending numbers, with their images if there are any."""

    def photographs(self, numbers: Sequence[int] | np.ndarray) -> Iterator[bytes | None]:
        """Yields the pictures of the records with these ascending numbers, None where there is none."""
        for item in self.records(numbers):
            yield None if isinstance(item, Skip) else item.image or None

    @abc.abstractmethod
    def files(self) -> Sequence[pathlib.Path]:
        """The files that decide what the poses are."""

    @property
    @abc.abstractmethod
    def source_info(self) -> Info:
        """`tfrecords.source.Info` of the data."""


def open_input(spec: Spec) -> Input:
    """Opens what the user named; raises `InputError` when it is not what its format says."""
    with inputs.reading(spec.path, f"{spec.format} input"):
        poses = _open_input(spec)
        return FirstPoses(poses, spec.limit) if 0 < spec.limit < len(poses) else poses


def read_batches(poses: Input, start: int, size: int) -> Iterator[Batch]:
    """`poses.batches(start, size)`, in which whatever damage of the input raises is an `InputError`."""
    with inputs.reading(poses.description, "poses"):
        yield from poses.batches(start, size)


def absolute(spec: Spec) -> Spec:
    """The same input by a name that does not depend on the folder in which a process works."""
    return spec if remote.is_remote(spec.path) else dataclasses.replace(spec, path=os.path.abspath(spec.path))


def _open_input(spec: Spec) -> Input:
    if spec.format != "tfrecords":
        spec = dataclasses.replace(spec, path=str(remote.fetched(spec.path)))
    if spec.format == "array":
        return ArrayInput(spec)
    path = pathlib.Path(spec.path)
    options = Options(
        split=spec.split,
        images=spec.images,
        layout=spec.layout,
        permutation=spec.permutation,
        frame_step=spec.frame_step,
        joints=spec.joints,
        min_confidence=spec.min_confidence,
        image_size=spec.image_size,
    )
    if spec.format == "photographs":
        return PeopleInput(spec)
    if spec.format == "tfrecords":
        return RecordsInput(spec.path, options)
    if spec.format not in FORMATS:
        raise InputError(f"--format={spec.format}: there are {', '.join(FORMATS)}")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    source = open_source(spec.format, path, options)
    return SourceInput(source, f"{path} ({FORMATS[spec.format]})")


class FirstPoses(Input):
    """The first poses of another input."""

    def __init__(self, whole: Input, limit: int):
        self._whole, self._limit = whole, limit
        self.description = f"{whole.description}, the first {limit:,} of {len(whole):,}"
        self.fps, self.identities, self.cut_videos = whole.fps, whole.identities, whole.cut_videos

    def __len__(self) -> int:
        return self._limit

    @property
    def frames_stated(self) -> bool:  # type: ignore[override]
        return self._whole.frames_stated

    @property
    def source_info(self) -> Info:
        return self._whole.source_info

    def files(self) -> Sequence[pathlib.Path]:
        return self._whole.files()

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        return self._whole.records(numbers)

    def photographs(self, numbers: Sequence[int] | np.ndarray) -> Iterator[bytes | None]:
        return self._whole.photographs(numbers)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        for batch in self._whole.batches(start, size):
            if start + len(batch) >= self._limit:
                yield batch.first(self._limit - start)
                return
            yield batch
            start += len(batch)


class SourceInput(Input):
    """The records of a source."""

    def __init__(self, source: Source, description: str):
        self.source, self.description = source, description
        self.fps = source.fps

    def __len__(self) -> int:
        return len(self.source)

    @property
    def identities(self) -> bool:  # type: ignore[override]
        """As the reader found them."""
        return isinstance(self.source, PeopleSource) and self.source.identities

    @property
    def source_info(self) -> Info:
        return self.source.info

    def files(self) -> Sequence[pathlib.Path]:
        return self.source.files()

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        return read_records(self.source, numbers)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        records = read_records(self.source, np.arange(start, len(self)))
        while start < len(self):
            batch = empty_batch(min(size, len(self) - start))
            for i in range(len(batch)):
                record = next(records)
                if isinstance(record, Skip):
                    batch.skipped[i] = record.reason
                else:
                    _fill(batch, i, record)
            numbers = np.arange(start, start + len(batch))
            if isinstance(self.source, PeopleSource):
                batch.file, batch.own_numbers = self.source.own_files(numbers), self.source.own_numbers(numbers)
            yield batch
            start += len(batch)


def _kind_number(kind: str, where: str) -> int:
    if kind not in CAMERA_KINDS:
        known = ", ".join(filter(None, CAMERA_KINDS))
        raise InputError(f"{where}: camera kind '{kind[:40]}', expected {known} or none")
    return CAMERA_KINDS.index(kind)


def _fill(batch: Batch, i: int, record: PoseRecord) -> None:
    batch.poses_2d[i], batch.provenance[i] = record.pose_2d, record.provenance_2d
    batch.intrinsics[i], batch.distortion[i] = record.intrinsics, record.distortion
    batch.camera_kind[i] = _kind_number(record.camera_kind, record.where())
    if len(record.file) > limits.current().name_length:
        raise InputError(f"{record.where()[:100]}...: a file name of {len(record.file):,} characters")
    batch.image_size[i] = record.image_size
    batch.frame[i], batch.person[i] = record.frame, record.person
    batch.file[i], batch.sequence[i], batch.action[i] = record.file, record.sequence, record.action


class RecordsInput(SourceInput):
    """TFRecords, parsed by TensorFlow batch by batch."""

    _FIELDS = (
        "pose_2d",
        "provenance_2d",
        "intrinsics",
        "distortion",
        "camera_kind",
        "image_size",
        "frame",
        "person",
        "file",
        "sequence",
        "action",
    )

    def __init__(self, where: str, options: Options):
        super().__init__(RecordSource(where, options), f"{where} ({FORMATS['tfrecords']})")
        self._where = where

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        data = reader.dataset(self._where, size, self._FIELDS, start_step=start // size)
        with reader.named_damage(self._where):
            for parsed in data.as_numpy_iterator():
                kinds = [_kind_number(kind, self._where) for kind in _texts(parsed["camera_kind"])]
                yield Batch(
                    poses_2d=parsed["pose_2d"],
                    provenance=parsed["provenance_2d"],
                    intrinsics=parsed["intrinsics"],
                    distortion=parsed["distortion"],
                    camera_kind=np.array(kinds, np.uint8),
                    image_size=parsed["image_size"],
                    frame=parsed["frame"],
                    person=parsed["person"],
                    file=_texts(parsed["file"]),
                    sequence=_texts(parsed["sequence"]),
                    action=_texts(parsed["action"]),
                )


def _texts(values: Sequence[bytes]) -> list[str]:
    return [value.decode("utf-8", "surrogateescape") for value in values]


class ArrayInput(Input):
    """Plain arrays, without a record for each pose."""

    def __init__(self, spec: Spec):
        self._path = pathlib.Path(spec.path)
        self._arrays = array_inputs.open_arrays(spec)
        self.description = f"{spec.path} ({self._arrays.description})"

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def source_info(self) -> Info:
        return array_inputs.INFO

    def files(self) -> Sequence[pathlib.Path]:
        return [self._path]

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        while start < len(self):
            stop = min(start + size, len(self))
            batch = empty_batch(stop - start)
            piece = self._arrays.read(start, stop)
            batch.poses_2d, batch.provenance = piece.poses_2d, piece.provenance
            if piece.intrinsics is not None:
                batch.intrinsics[:] = piece.intrinsics
                batch.camera_kind[:] = CAMERA_KINDS.index(schema.GIVEN)
            batch.file = piece.ids.get("file", [self._path.name] * len(batch))
            batch.sequence = piece.ids.get("sequence", batch.sequence)
            batch.frame = piece.number("frame", np.arange(start, stop))
            batch.person = piece.number("person", batch.person)
            self.identities, self.frames_stated = "person" in piece.ids, "frame" in piece.ids
            yield batch
            start = stop

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        numbers = np.asarray(numbers, np.int64)
        while len(numbers):
            first = int(numbers[0])
            count = int(np.searchsorted(numbers, first + _RECORD_ROWS))
            batch = next(self.batches(first, int(numbers[count - 1]) + 1 - first))
            for i in (numbers[:count] - first).tolist():
                if not batch.provenance[i].any():
                    yield Skip("no joint", f"{batch.file[i]} row {first + i}")
                    continue
                yield PoseRecord(
                    dataset=array_inputs.INFO.name,
                    file=batch.file[i],
                    sequence=batch.sequence[i],
                    frame=int(batch.frame[i]),
                    person=int(batch.person[i]),
                    pose_2d=batch.poses_2d[i],
                    provenance_2d=batch.provenance[i],
                    intrinsics=batch.intrinsics[i],
                    camera_kind=CAMERA_KINDS[batch.camera_kind[i]],
                )
            numbers = numbers[count:]


class PeopleInput(Input):
    """The people of photographs and videos, found before."""

    def __init__(self, spec: Spec):
        self._people = people_file.PeopleFile(pathlib.Path(spec.path))
        self._spec = spec
        self.description = f"{spec.path} ({FORMATS['photographs']})"
        self.identities, self.fps = True, self._people.fps()
        self.cut_videos = self._people.cut_videos
        self.pictures = picture_counts.of_people(self._people)

    @property
    def photographed(self) -> str:
        """The photographs or the video, as the user named them when their people were looked for."""
        return self._people.input

    def __len__(self) -> int:
        return len(self._people)

    @property
    def source_info(self) -> Info:
        return people_file.INFO

    def files(self) -> Sequence[pathlib.Path]:
        return [self._people.path]

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        return self._people.records(np.asarray(numbers), self._spec.min_confidence, self._spec.images != "none")

    def photographs(self, numbers: Sequence[int] | np.ndarray) -> Iterator[bytes | None]:
        """As of every input, and of pictures without people too."""
        return self._people.photographs(np.asarray(numbers))

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        while start < len(self):
            stop = min(start + size, len(self))
            batch = empty_batch(stop - start)
            batch.poses_2d, batch.provenance = self._people.poses(start, stop, self._spec.min_confidence)
            for name in ("image_size", "frame", "person"):
                setattr(batch, name, self._people.read(name, start, stop))
            batch.intrinsics = self._people.intrinsics(start, stop)
            known = np.isfinite(batch.intrinsics).all(1)
            batch.camera_kind[known] = CAMERA_KINDS.index(schema.GIVEN)
            batch.file = self._people.files(start, stop)
            batch.sequence = [name if frame >= 0 else "" for name, frame in zip(batch.file, batch.frame.tolist())]
            reasons = self._people.read("reason", start, stop)
            batch.skipped = {i: self._people.reasons[reasons[i]] for i in np.flatnonzero(reasons).tolist()}
            yield batch
            start = stop
