"""Sources whose records are frames of clips, numbered clip by clip."""

from __future__ import annotations

import abc
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords import schema
from tfrecords.conversion import placing
from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip, Source
from tools.cli.errors import InputError
from tools.files import inputs
from tools.pose import joints
from tools.pose.cameras import Camera

# Records worked on at once: enough for NumPy to be busy, little enough (some MB) for memory not to matter.
CHUNK = 2048
TRAIN_SUBJECTS, TEST_SUBJECTS = (1, 5, 6, 7, 8), (9, 11)
# A body whose head is nearer to the hip or farther from it than this was read in the wrong unit.
_HIP_TO_HEAD_MM = (300.0, 1200.0)
_LABELLED = np.full(schema.JOINTS, joints.LABELLED, np.uint8)
_LABELLED.flags.writeable = False


def subject_number(name: str) -> int | None:
    """The number of a subject's folder: 9 for '9', 'S9' and 's_09'; None for another name."""
    number = re.fullmatch(r"(?:[Ss]_?|subject)?(\d+)", name)
    return int(number[1]) if number else None


def h36m_split(subject: int | None) -> str:
    """'train' or 'test' as the whole field splits Human3.6M's subjects, '' for other subjects."""
    return "train" if subject in TRAIN_SUBJECTS else "test" if subject in TEST_SUBJECTS else ""


def check_frame_step(options: Options) -> int:
    """The step between frames; raises `InputError` when it is not positive."""
    if options.frame_step < 1:
        raise InputError(f"--frame_step={options.frame_step}: expected 1 or more")
    return options.frame_step


class ClipSource(Source):
    """Numbers run through the records of the first clip, then the second, and so on.

    Subclasses call `_set_lengths` in their ``__init__``.
    """

    def _set_lengths(self, lengths: Sequence[int]) -> None:
        """Says how many records each clip has; raises `InputError` when there is none at all."""
        self._ends = np.cumsum(np.asarray(lengths, np.int64))
        if len(self) == 0:
            raise InputError(f"{self.path}: no pose in split '{self.split}' of source {self.info.name}")

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        for first in range(0, len(numbers), CHUNK):
            block = np.asarray(numbers[first : first + CHUNK], np.int64)
            if len(block) and not 0 <= block.min() <= block.max() < len(self):
                raise IndexError(f"records are numbered 0 to {len(self) - 1}")
            while len(block):
                clip = int(np.searchsorted(self._ends, block[0], side="right"))
                count = int(np.searchsorted(block, self._ends[clip]))
                start = int(self._ends[clip - 1]) if clip else 0
                yield from self._read(clip, block[:count] - start)
                block = block[count:]

    @abc.abstractmethod
    def _read(self, clip: int, rows: np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields the records with these ascending numbers (at most `CHUNK`) within the clip."""


@dataclasses.dataclass(frozen=True)
class Motion:
    """A sequence of poses in the world. number: among all sequences of the source, whatever the split."""

    number: int
    subject: str
    action: str
    name: str
    frames: int
    file: str = ""
    split: str = ""


# Poses as they are placed before a camera, the camera's name, the camera, its picture's width and height.
Placed = tuple[np.ndarray, str, Camera, tuple[int, int]]


class MotionSource(ClipSource):
    """Poses in the world, each frame seen by several cameras; a clip is one view of one sequence.

    Subclasses call `_set_motions` and implement `_load` and `_camera`.
    """

    def _set_motions(self, motions: Sequence[Motion], views: int) -> None:
        """Says which sequences the chosen split has and how many cameras see each."""
        self._motions, self._views = list(motions), views
        self._step = check_frame_step(self.options)
        self._world: tuple[int, tuple[np.ndarray, np.ndarray] | None] = (-1, None)
        self._view: tuple[int, Placed | None] = (-1, None)
        self._set_lengths([-(-motion.frames // self._step) for motion in motions for _ in range(views)])

    @abc.abstractmethod
    def _load(self, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
        """The sequence as float64 [F, 17, 3] mm in the world, z up, in this project's order, and provenance [17]."""

    @abc.abstractmethod
    def _camera(self, motion: Motion, view: int, world: np.ndarray) -> Placed:
        """The sequence as it is placed before that camera, the camera's name, the camera, its picture's size."""

    def sequences(self) -> Iterator[tuple[Motion, np.ndarray]]:
        """Yields the sequences of the chosen split with their poses in the world, float64 [F, 17, 3] mm, z up."""
        for motion in self._motions:
            yield motion, self._load(motion)[0]

    def _clip_view(self, clip: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """World poses, provenance and camera of a clip; the last sequence and view are kept, since numbers ascend."""
        sequence, view = divmod(clip, self._views)
        motion = self._motions[sequence]
        number, kept = self._world
        if number != sequence or kept is None:
            world, provenance = self._load(motion)
            if len(world) != motion.frames:
                raise InputError(f"{self.path}: {motion.name} has {len(world)} frames, its header says {motion.frames}")
            # An infinite number is no more known than a NaN, but arithmetic with it warns.
            world = np.where(np.isfinite(world), world, np.nan)
            kept = _check_size(world, f"{self.path}: {motion.name}"), provenance
            self._world = (sequence, kept)
        world, provenance = kept
        number, placed = self._view
        if number != clip or placed is None:
            placed = self._camera(motion, view, world)
            self._view = (clip, placed)
        poses, name, camera, size = placed
        return poses, provenance, (name, camera, size)

    def _read(self, clip: int, rows: np.ndarray) -> Iterator[PoseRecord | Skip]:
        motion = self._motions[clip // self._views]
        frames = rows * self._step
        try:
            world, provenance, (name, camera, size) = self._clip_view(clip)
        except placing.OutOfView as reason:
            for frame in frames.tolist():
                yield Skip("out of the view of any camera", f"{motion.name} frame {frame}: {reason}")
            return
        poses = world[frames]
        view = placing.view_from(poses, camera, self.options.baseline_mm, self.options.distort)
        finite = np.isfinite(poses).all((1, 2))
        for i, frame in enumerate(frames.tolist()):
            where = f"{motion.name} frame {frame} {name}"
            if not finite[i]:
                yield Skip("joint is not a number", where)
            elif view.nearest_mm[i] <= placing.NEAREST_MM:
                yield Skip("joint nearer than 1 m to the camera", f"{where}: {view.nearest_mm[i]:.0f} mm")
            elif not view.in_reach[i]:
                yield Skip("out of the view of any camera", f"{where}: {view.nearest_mm[i] / 1000:.3g} m away")
            else:
                yield PoseRecord(
                    dataset=self.info.name,
                    split=motion.split,
                    subject=motion.subject,
                    action=motion.action,
                    sequence=motion.name,
                    frame=frame,
                    file=motion.file,
                    pose_2d=view.poses_2d[i],
                    provenance_2d=provenance,
                    right_2d=None if view.right_2d is None else view.right_2d[i],
                    pose_3d=view.poses_3d[i],
                    provenance_3d=provenance,
                    root_3d=view.roots[i],
                    intrinsics=camera.intrinsics,
                    distortion=camera.distortion if self.options.distort else None,
                    camera=name,
                    camera_kind=schema.CALIBRATED,
                    image_size=np.array(size),
                )


def labelled() -> np.ndarray:
    """Provenance [17] of a source that labels every joint."""
    return _LABELLED


def _check_size(world: np.ndarray, place: str) -> np.ndarray:
    """Returns the poses; raises `InputError` when they can't be millimetres of a person."""
    hip, head = (world[:, joints.POSE17.index(joint)] for joint in ("Hip", "Head"))
    lengths = np.linalg.norm(head - hip, axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    length = float(np.median(lengths)) if len(lengths) else _HIP_TO_HEAD_MM[0]
    if not _HIP_TO_HEAD_MM[0] <= length <= _HIP_TO_HEAD_MM[1]:
        raise InputError(
            f"{place}: {length:.3g} mm from Hip to Head, expected {_HIP_TO_HEAD_MM[0]:g} to {_HIP_TO_HEAD_MM[1]:g}; "
            "another joint order, or another unit (--unit_mm: millimetres in one unit of the file)"
        )
    return world


def list_files(folder: pathlib.Path, suffixes: Sequence[str], wanted: str) -> list[pathlib.Path]:
    """Files of these suffixes below `folder`, sorted, without hidden ones; raises `InputError` when there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected {wanted}")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    for path in found:
        inputs.check_name(path)
    if not found:
        raise InputError(f"{folder}: no {' or '.join(suffixes)} file in it; expected {wanted}")
    return found
