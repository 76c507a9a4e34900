"""Annotated people that the body head is trained on, and what crops of them depend on."""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

import numpy as np

from tfrecords.source import Options
from tfrecords.sources.photos import Photos
from tools.cli.errors import InputError
from tools.detection import body_head, mediapipe_models
from tools.files import checksums
from tools.pose import bounds, joints

BODY = joints.joint_set(body_head.JOINT_SET)
LEAST_PEOPLE = 2  # one to train on, one held out


class Annotated(NamedTuple):
    """A picture [H, W, 3] uint8 BGR, the joints [14, 2] px of one person, NaN where unknown, and of neighbours."""

    row: int
    pixels: np.ndarray
    points: np.ndarray
    others: np.ndarray = np.zeros((0, BODY.size, 2))


class Neighbours(NamedTuple):
    """Of crops: the share of people who get neighbours, and how many people, the last rows, are held out; neighbours of
    people held out are such people, of others others."""

    share: float = 0.0
    held: int = 0


class Scale(NamedTuple):
    """`Crops.scale` of a head, and its file's SHA-256."""

    tensors: list[np.ndarray]
    head: str


ALONE = Neighbours()


class AnnotatedPeople:
    """The people of an .npz of `--source=photos` that crops can be made of, checked.

    Attributes:
      path: the file. rows: [n] rows with half of the joints or more and a picture's name. points: [N, 14, 2] px of all
        rows, NaN where unknown.
    """

    def __init__(self, path: pathlib.Path, images: str = ""):
        """Raises `InputError`: no such file, no people, joints that are none, no pictures, or none that can be read."""
        if images == "none":
            raise InputError("--images=none: the head is trained on pictures; expected their folder or tar")
        try:
            self._source = Photos(path, Options(images=images))
        except InputError as error:
            # Conversions can do without pictures, this training can't.
            raise InputError(str(error).replace(" or leave them out by --images=none", "")) from error
        self.path, self._images = path, images
        self._names, table, _, joint_set = self._source.arrays()
        known = np.isfinite(table).all(-1) & (table[..., 2] > 0)
        given = np.where(known[..., None], table[..., :2], np.nan)
        for row, one in enumerate(given):
            if problem := bounds.problem(one):
                raise InputError(f"{path}: row {row} ({self._names[row]}): {problem}")
        self.points = joints.convert(given, joint_set, body_head.JOINT_SET)[0]
        enough = np.isfinite(self.points).all(-1).sum(-1) >= BODY.size // 2
        self.rows = np.flatnonzero(enough & (np.array(self._names) != ""))
        if len(self.rows) < LEAST_PEOPLE:
            raise InputError(
                f"{path}: {len(self.rows)} of {len(table):,} people with {BODY.size // 2} joints of "
                f"{body_head.JOINT_SET} or more; at least {LEAST_PEOPLE} are needed, one of whom is held out"
            )
        if all(self.pixels(int(row)) is None for row in self.rows):
            raise InputError(f"{path}: none of its pictures can be read; the first is {self.name(int(self.rows[0]))}")

    def name(self, row: int) -> str:
        """The picture's name."""
        return self._names[row]

    def pixels(self, row: int) -> np.ndarray | None:
        """The picture [H, W, 3] uint8 BGR, or None where it is missing or cannot be read."""
        return self._source.picture(self._names[row])

    def made_of(
        self, count: int, seed: int, neighbours: Neighbours = ALONE, scale: Scale | None = None
    ) -> dict[str, Any]:
        """What crops of these people depend on."""
        return {
            **({"scale of": scale.head} if scale else {}),
            **({"neighbours": list(neighbours)} if neighbours.share else {}),
            "input": checksums.of_file(self.path),
            "images": str(pathlib.Path(self._images or self.path.parent).resolve()),
            "crops": count,
            "seed": seed,
            "landmark network": checksums.of_file(mediapipe_models.model_file("landmarks")),
            "body head": body_head.checksum(),
        }
