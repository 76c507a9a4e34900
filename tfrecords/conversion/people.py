"""People labelled in pictures: one table for all annotation files, and the source that turns its rows into records.

Readers fill a `People` table with the joints in the data set's own order. Conversion to this project's joints,
provenance, visibility, boxes and pictures are the same for all of them and happen here.
"""

from __future__ import annotations

import abc
import array
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.formats import images
from tfrecords.schema import PoseRecord
from tfrecords.source import Skip, Source
from tools.cli.errors import InputError
from tools.files import inputs, limits
from tools.pose import bounds, joints

NO_JOINT = "no labelled joint"
BAD_SIZE = "picture of no size, or of more than 100,000 px"
# Rows that are converted at a time: enough for NumPy to be quick, few enough to stay small.
_CHUNK = 256
_NO_BOX = (np.nan,) * 4


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture or frame with people in it; the attributes are those of the record.

    `subject` decides the split, so that it never divides the people of one picture: the file where nothing better
    than the picture's name is known. `size` is (width, height) px, (-1, -1) when the annotation doesn't tell;
    `number` the annotation's own number of the picture, -1 where it has none.
    """

    file: str = ""
    subject: str = ""
    split: str = ""
    action: str = ""
    sequence: str = ""
    frame: int = -1
    size: tuple[int, int] = (-1, -1)
    number: int = -1


class People:
    """All people of an annotation file; rows in arrays, since there may be a million.

    Attributes:
      tracked: a tracker numbered the people, so that a number is the same person in all frames of a sequence.
    """

    def __init__(self, joint_set: str, name: str):
        """joint_set: in which the joints come; name: of the file, for messages."""
        self.joint_set = joints.joint_set(joint_set)
        self.name = name
        self.tracked = False
        self.pictures: list[Picture] = []
        self.skips: dict[int, Skip] = {}
        self._bad_sizes: set[int] = set()
        self._picture_rows = array.array("q")
        self._persons = array.array("q")
        self._joints = array.array("f")
        self._codes = array.array("B")
        self._boxes = array.array("f")
        self._head_sizes = array.array("f")
        self._numbers = array.array("q")

    def __len__(self) -> int:
        return len(self._persons)

    def add_picture(self, picture: Picture) -> int:
        """Adds a picture; returns its number for `add`. Raises `InputError` for a name that no file can have."""
        longest, where = limits.current().name_length, f"{self.name}: picture {len(self.pictures)}"
        for text in (picture.file, picture.subject, picture.action, picture.sequence):
            if len(text) > longest:
                raise InputError(f"{where}: a name of {len(text):,} characters")
            if not inputs.is_unicode(text):
                raise InputError(f"{where}: a name that is not Unicode text")
        if picture.size != (-1, -1) and not bounds.good_size(*picture.size):
            self._bad_sizes.add(len(self.pictures))
        self.pictures.append(picture)
        return len(self.pictures) - 1

    def add(
        self,
        picture: int,
        person: int,
        points: np.ndarray,
        codes: np.ndarray,
        box: Sequence[float] | np.ndarray | None = None,
        head_size: float = np.nan,
        number: int = -1,
    ) -> None:
        """Adds a person.

        Args:
          picture: number of the picture; person: which one in it, from 0.
          points: [J, 2] px with NaN at joints that are not labelled.
          codes: [J] visibility codes of the schema.
          box: x, y, width, height px; None: the tight box of the joints with a margin.
          head_size: px, for PCKh. number: of the person's annotation in the file, -1 where it has none.
        """
        size = self.joint_set.size
        points = np.asarray(points, np.float32).reshape(size, 2)
        if not np.isfinite(points).any():
            self.skips[len(self)] = Skip(NO_JOINT, f"{self.name}: {self._where(picture, person)}")
        elif reason := bounds.problem(points):
            self.skips[len(self)] = Skip(reason, f"{self.name}: {self._where(picture, person)}")
        elif picture in self._bad_sizes:
            self.skips[len(self)] = Skip(BAD_SIZE, f"{self.name}: {self._where(picture, person)}")
        self._picture_rows.append(picture)
        self._persons.append(person)
        self._joints.frombytes(points.tobytes())
        self._codes.frombytes(np.asarray(codes, np.uint8).reshape(size).tobytes())
        self._boxes.frombytes(np.asarray(_NO_BOX if box is None else box, np.float32).reshape(4).tobytes())
        self._head_sizes.append(head_size)
        self._numbers.append(number)

    def add_bad(self, picture: int, person: int, reason: str, found: str = "", number: int = -1) -> None:
        """Adds a person whose annotation can't be used; it keeps its number and is counted as skipped."""
        size = self.joint_set.size
        where = f"{self.name}: {self._where(picture, person)}" + (f": {found}" if found else "")
        self.add(picture, person, np.full((size, 2), np.nan), np.zeros(size), number=number)
        self.skips[len(self) - 1] = Skip(reason, where)

    def numbers(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """[n, 2] the numbers that the file itself gives to each row's picture and person; -1 where it gives none."""
        return np.array(
            [(self.pictures[self._picture_rows[r]].number, self._numbers[r]) for r in rows], np.int64
        ).reshape(-1, 2)

    def files(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The file of each row's picture, also of rows that can't be used."""
        return [self.pictures[self._picture_rows[row]].file for row in rows]

    def identities(self) -> bool:
        """Whether `person` says who it is: a tracker numbered the people, not all as 0 and none of a picture alike."""
        pictures, persons = np.frombuffer(self._picture_rows, np.int64), np.frombuffer(self._persons, np.int64)
        if not self.tracked or not persons.max(initial=0):
            return False
        pairs = pictures * (int(persons.max()) + 1) + persons
        return len(np.unique(pairs)) == len(pairs)

    def checked(self) -> People:
        """The table itself; raises `InputError` when it has no row, or no row that is any good."""
        if not len(self):
            raise InputError(f"{self.name}: no person in it")
        if len(self.skips) == len(self):
            first = self.skips[0]
            raise InputError(
                f"{self.name}: none of its {len(self)} records can be used; {first.detail}: {first.reason}"
            )
        return self

    def rows(self, split: str) -> np.ndarray:
        """The numbers of the rows of a split ('all': all), those of one picture together, in the order of pictures."""
        pictures = np.frombuffer(self._picture_rows, np.int64)
        order = np.argsort(pictures, kind="stable")
        if split == labels.ALL:
            return order
        chosen = np.array([picture.split == split for picture in self.pictures], bool)
        return order[chosen[pictures[order]]]

    def records(self, rows: Sequence[int] | np.ndarray, dataset: str) -> Iterator[PoseRecord | Skip]:
        """Yields for each row its record without image bytes, or its skip."""
        size = self.joint_set.size
        points = np.frombuffer(self._joints, np.float32).reshape(-1, size, 2)
        codes = np.frombuffer(self._codes, np.uint8).reshape(-1, size)
        boxes = np.frombuffer(self._boxes, np.float32).reshape(-1, 4)
        origin = _origins(self.joint_set.name)
        rows = np.asarray(rows, np.int64)
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            poses, provenance = joints.convert(points[chunk], self.joint_set.name)
            # The visibility of a joint that was made by a rule is unknown.
            labelled = (provenance == joints.LABELLED) & (origin >= 0)
            visibility = np.where(labelled, codes[chunk][:, origin], schema.UNKNOWN)
            given = boxes[chunk]
            box = np.where(np.isnan(given), labels.box_around(points[chunk]), given)
            for i, row in enumerate(chunk.tolist()):
                picture = self.pictures[self._picture_rows[row]]
                if row in self.skips:
                    yield self.skips[row]
                    continue
                yield PoseRecord(
                    dataset=dataset,
                    split=picture.split,
                    subject=picture.subject or picture.file,
                    action=picture.action,
                    sequence=picture.sequence,
                    frame=picture.frame,
                    person=self._persons[row],
                    file=picture.file,
                    pose_2d=poses[i],
                    provenance_2d=provenance[i],
                    visibility=visibility[i],
                    box=box[i],
                    head_size=self._head_sizes[row],
                    image_size=picture.size,
                )

    def _where(self, picture: int, person: int) -> str:
        name = self.pictures[picture]
        return f"{name.file or name.sequence or 'record'} person {person}"


@functools.cache
def _origins(joint_set: str) -> np.ndarray:
    """[17]: which joint of the set each of ours is taken from when it is labelled, -1 for those that are made."""
    numbers = np.arange(joints.joint_set(joint_set).size, dtype=np.float32)
    places, provenance = joints.convert(numbers[:, None], joint_set)
    return np.where(provenance == joints.LABELLED, places[:, 0], -1).astype(np.int64)


def with_image(record: PoseRecord, pictures: images.Pictures | None) -> PoseRecord | Skip:
    """The record with the bytes of its picture (`record.file`); a `Skip` when that is missing, bad, or of another size
    than the annotation says. Without pictures the record as it is."""
    if pictures is None:
        return record
    image = pictures.read(record.file)
    if isinstance(image, Skip):
        return image
    if (record.image_size > 0).all() and tuple(record.image_size) != image.size:
        said = "x".join(map(str, record.image_size))
        return Skip(images.OTHER_SIZE, f"{record.file}: {image.width}x{image.height}, not {said}")
    record.image, record.image_format = image.data, image.format
    record.image_size = np.array(image.size, np.int64)
    return record


class PeopleSource(Source):
    """A source whose annotation is read into a `People` table, once per process, when it is first needed."""

    _pictures: images.Pictures | None = None
    _declared = ""

    @abc.abstractmethod
    def _read(self) -> People:
        """Reads the annotation; raises `InputError`."""

    @functools.cached_property
    def _people(self) -> People:
        if not type(self).__module__.startswith("tfrecords."):  # of users: faults keep their traceback
            return self._read().checked()
        with inputs.reading(self.path, self.info.input):
            return self._read().checked()

    @functools.cached_property
    def _rows(self) -> np.ndarray:
        return self._people.rows(self.split)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def identities(self) -> bool:
        """As `People.identities`."""
        return self._people.identities()

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order."""
        rows = self._rows[np.asarray(numbers, np.int64)]
        for record in self._people.records(rows, self.info.name):
            yield record if isinstance(record, Skip) else with_image(record, self._pictures)

    def own_numbers(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """[n, 2] the numbers of picture and person in the annotation file itself, -1 where it has none."""
        return self._people.numbers(self._rows[np.asarray(numbers, np.int64)].tolist())

    def own_files(self, numbers: Sequence[int] | np.ndarray) -> list[str]:
        """[n] the picture's file of each record, also where the record can't be used."""
        return self._people.files(self._rows[np.asarray(numbers, np.int64)].tolist())

    def _declare_part(self) -> None:
        """Takes the split from the name of the input; raises `InputError` when another one was asked for."""
        self._declared = labels.declared_part(self.path.name)
        if self._declared and self.split not in (labels.ALL, self._declared):
            raise InputError(f"--split={self.split}: {self.path.name} is the {self._declared} split by its name")

    def _part(self, name: str) -> str:
        """The split of a picture (or clip): that of the file, or by its name when the file tells none."""
        return self._declared or labels.hashed_part(name)
