"""The clips of finished labels as motions: all frames from the first to the last, of one person, bones constant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import numpy as np

from tfrecords.schema import expected_error_mm
from tools.files.columns import LabelFiles
from tools.pose import bones, sequences, tracks
from tools.pose.joints import POSE17


@dataclasses.dataclass
class ClipMotion:
    """One clip of one person.

    Attributes:
      name: for a file, unique in the run. sequence: where it is from. track: number of the clip.
      frames: [T] numbers in the sequence. fps: of these frames.
      poses_3d: [T, 17, 3] mm relative to the root, camera axes. roots: [T, 3] mm.
      measured: [T, 17] bool, seen in the picture; what was not is between its neighbours.
      expected_mm: [T, 17] errors to be expected.
      rows: [T] of the labels, -1 for frames without one.
    """

    name: str
    sequence: str
    track: int
    frames: np.ndarray
    fps: float
    poses_3d: np.ndarray
    roots: np.ndarray
    measured: np.ndarray
    expected_mm: np.ndarray
    rows: np.ndarray


def motions(files: LabelFiles, fps: float) -> Iterator[ClipMotion]:
    """Yields the clips in their order. fps: of the sequences."""
    track = np.asarray(files.mapped("track"))
    order = np.flatnonzero(track >= 0)
    order = order[np.argsort(track[order], kind="stable")]
    if not len(order):
        return
    names = list(files.texts("sequence"))
    counts: dict[str, int] = {}
    taken: set[str] = set()
    columns = {name: files.mapped(name) for name in ("frame", "poses_3d", "roots", "interpolated", "joint_quality")}
    sequence_of = files.mapped("sequence")
    for rows in np.split(order, np.flatnonzero(np.diff(track[order])) + 1):
        frame = np.asarray(columns["frame"][rows])
        rows, frame = rows[np.argsort(frame, kind="stable")], np.sort(frame)
        sequence = names[sequence_of[rows[0]]]
        counts[sequence] = counts.get(sequence, 0) + 1
        name = _file_name(sequence, counts[sequence], taken)
        step = tracks.frame_step(frame)
        place = np.round((frame - frame[0]) / step).astype(int)
        part = {key: np.asarray(column[rows]) for key, column in columns.items()}
        yield _whole(name, sequence, int(track[rows[0]]), part, place, step, fps, rows)


def _whole(
    name: str,
    sequence: str,
    track: int,
    part: dict[str, np.ndarray],
    place: np.ndarray,
    step: int,
    fps: float,
    rows: np.ndarray,
) -> ClipMotion:
    count = int(place[-1]) + 1
    known = np.zeros(count, bool)
    known[place] = True

    def spread(values: np.ndarray, filler: float) -> np.ndarray:
        full = np.full((count, *values.shape[1:]), filler, np.float64)
        full[place] = values
        return sequences.interpolated_frames(full, known)

    poses = part["poses_3d"].astype(np.float64)
    lengths = np.zeros(POSE17.size)
    vectors = poses[:, bones.ENDS] - poses[:, bones.STARTS]
    lengths[bones.ENDS] = np.median(np.linalg.norm(vectors, axis=-1), 0)
    measured = np.zeros((count, POSE17.size), bool)
    measured[place] = ~part["interpolated"]
    all_rows = np.full(count, -1)
    all_rows[place] = rows
    return ClipMotion(
        name=name,
        sequence=sequence,
        track=track,
        frames=part["frame"][0] + step * np.arange(count),
        fps=fps / step,
        poses_3d=bones.with_bone_lengths(spread(poses, np.nan), lengths),
        roots=spread(part["roots"], np.nan),
        measured=measured,
        expected_mm=expected_error_mm(spread(part["joint_quality"], np.nan)),
        rows=all_rows,
    )


def _file_name(sequence: str, number: int, taken: set[str]) -> str:
    """A name that every file system takes: letters, digits, dots and dashes."""
    plain = re.sub(r"[^\w.-]+", "_", sequence).strip("._") or "clip"
    name, more = f"{plain}_{number}", 1
    while name.lower() in taken:
        more += 1
        name = f"{plain}_{number}_{more}"
    taken.add(name.lower())
    return name
