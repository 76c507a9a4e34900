"""Training poses of the canonical recipe: level axes, lent skeletons, in memory or in temporary files.

A pose takes 1,636 bytes with the seven skeletons that it is lent, so that ten million would be 16 GB. They are read in
blocks and kept as rows (`tools.files.row_store`): within the memory that is given for them or else in files, from which
a batch takes its own. What stays in memory for each pose is its sequence's number and how often it is met.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from label_generator.training import skeletons
from tfrecords import reader
from tools.cli.errors import InputError
from tools.files.row_store import RowStore
from tools.pose.joints import POSE17

# What the data layer calls the camera of records in level axes.
LEVEL = "level"
_SYNTHETIC = b"synthetic"
_FIELDS = ("pose_3d", "root_3d", "camera", "subject", "sequence", "dataset")
_POSE = 3 * POSE17.size
_BLOCK = 4096  # poses that are lent skeletons at once
_MEASURED = 65_536  # poses of one person, evenly spaced, that a skeleton is measured on


@dataclasses.dataclass(frozen=True)
class LevelPoses:
    """N poses in level axes, in memory.

    Attributes:
      poses: [N, 17, 3] mm, root-relative, x right, y down, z away.
      heights: [N] mm, the root above the floor.
      sequences: [N] integers, the same for the poses of one sequence.
      left_out: records that lack a joint.
      library: [N, K, 17, 3] the poses in other skeletons (`skeletons.library`), or None.
      synthetic: [N] bool, made by source synthetic; None: none is.
    """

    poses: np.ndarray
    heights: np.ndarray
    sequences: np.ndarray
    left_out: int
    library: np.ndarray | None = None
    synthetic: np.ndarray | None = None
    is_on_disk: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.sequences)

    def of_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """The poses [n, 17, 3] of these numbers [n]."""
        return self.poses[numbers]

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The poses in order, [size, 17, 3] at a time; the last block may be shorter."""
        for start in range(0, len(self), size):
            yield self.poses[start : start + size]


@dataclasses.dataclass(frozen=True)
class StoredPoses:
    """N poses in level axes, in temporary files; see `LevelPoses`.

    Attributes:
      captured: rows of pose and height. lent: rows of the poses in other skeletons.
    """

    captured: RowStore
    lent: RowStore
    sequences: np.ndarray
    left_out: int
    synthetic: np.ndarray | None = None
    is_on_disk: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def skeletons(self) -> int:
        """K, how many skeletons each pose is lent."""
        return self.lent.width // _POSE

    def of_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """The poses [n, 17, 3] of these numbers [n]."""
        return _poses_of(self.captured.take(numbers))

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The poses in order, [size, 17, 3] at a time; the last block may be shorter."""
        yield from map(_poses_of, self.captured.blocks(size))

    def take(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poses [n, 17, 3], heights [n] and lent skeletons [n, K, 17, 3] of these numbers [n]; by several threads."""
        rows, lent = self.captured.take(numbers), self.lent.take(numbers)
        return _poses_of(rows), rows[:, _POSE].copy(), lent.reshape(-1, self.skeletons, POSE17.size, 3)


def load_level_poses(where: str, memory_bytes: int | None = None) -> LevelPoses | StoredPoses:
    """Training poses from records in level axes; the same numbers wherever they are kept.

    Args:
      memory_bytes: what poses may take in memory; more of them lie in temporary files. None: all in memory.

    Raises:
      InputError: the records are a camera's, none is whole, or there is no room for the temporary files.
    """
    count = len(reader.find(where))
    lent_width = _POSE * skeletons.LENT_SKELETONS
    row_bytes = 4 * (_POSE + 1 + lent_width)
    # Both stores go the same way.
    room = row_bytes * count if memory_bytes is None or row_bytes * count <= memory_bytes else 0
    captured, lent = RowStore(_POSE + 1, count, room), RowStore(lent_width, count, room)
    read = _Read(where)
    lengths = [np.empty((0, skeletons.BONES), np.float32)]
    for batch in reader.array_batches(where, _FIELDS):
        poses, heights = read.add(batch)
        captured.append(np.concatenate([poses.reshape(-1, _POSE), heights[:, None]], axis=1))
        lengths.append(skeletons.bone_lengths(poses))
    if not len(captured):
        raise InputError(f"--train_data={where}: no record has a whole pose_3d and its root_3d")
    sequences, synthetic = read.sequences(), np.concatenate(read.synthetic)
    # People of source synthetic all have one skeleton.
    groups = skeletons.groups_of_lengths(np.concatenate(lengths), np.where(synthetic, -1, sequences))
    places = {
        group: skeletons.measure(_poses_of(captured.take(_evenly(np.flatnonzero(groups == group)))))
        for group in np.unique(groups).tolist()
    }
    at = 0
    for rows in captured.blocks(_BLOCK):
        poses = _poses_of(rows)
        lent.append(skeletons.lent(poses, groups[at : at + len(poses)], places).reshape(len(poses), -1))
        at += len(poses)
    if captured.is_on_disk:
        return StoredPoses(captured, lent, sequences, read.left_out, synthetic)
    rows = captured.array
    library = lent.array.reshape(len(rows), -1, POSE17.size, 3)
    return LevelPoses(_poses_of(rows), rows[:, _POSE], sequences, read.left_out, library, synthetic)


def _poses_of(rows: np.ndarray) -> np.ndarray:
    return rows[:, :_POSE].reshape(-1, POSE17.size, 3)


def _evenly(numbers: np.ndarray) -> np.ndarray:
    if len(numbers) <= _MEASURED:
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, _MEASURED).astype(np.int64)]


class _Read:
    """What is kept of the records beside their poses."""

    def __init__(self, where: str):
        self._where, self.left_out = where, 0
        self.synthetic: list[np.ndarray] = []
        self._of: list[np.ndarray] = []
        self._numbers: dict[tuple[bytes, bytes], int] = {}

    def add(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Poses [n, 17, 3] and heights [n] of the whole records of a batch.

        Raises:
          InputError: a record is of a camera.
        """
        for camera in set(batch["camera"].tolist()):
            if camera != LEVEL.encode():
                raise InputError(
                    f"--train_data={self._where}: poses of camera '{camera.decode('utf-8', 'replace')}', but the "
                    "canonical recipe places its own cameras and needs poses in level axes (make_tfrecords.py "
                    f"--cameras_style={LEVEL})"
                )
        whole = np.isfinite(batch["pose_3d"]).all((1, 2)) & np.isfinite(batch["root_3d"]).all(1)
        self.left_out += int(np.count_nonzero(~whole))
        names = zip(batch["subject"][whole].tolist(), batch["sequence"][whole].tolist())
        numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in names]
        self._of.append(np.array(numbers, np.int32))
        self.synthetic.append(batch["dataset"][whole] == _SYNTHETIC)
        return batch["pose_3d"][whole], -batch["root_3d"][whole, 1]

    def sequences(self) -> np.ndarray:
        """[N] the number of each pose's sequence, in the order of their names."""
        names = [b"/".join(name).decode("utf-8", "surrogateescape") for name in self._numbers]
        return np.unique(names, return_inverse=True)[1].astype(np.int32)[np.concatenate(self._of)]
