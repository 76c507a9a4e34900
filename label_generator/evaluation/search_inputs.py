"""The poses whose search `search_h36m.py` reports on: from TFRecords, or from the original's trees of arrays."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfrecords import reader
from tfrecords.conversion import clips
from tfrecords.formats import arrays
from tools.cli.errors import InputError
from tools.pose import cameras

# The original's folders of coarse predictions, true 3D and left-view 2D, and the coordinates of their joints.
TREES = {"predict": 3, "3dCam": 3, "2dCam": 2}


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which poses are reported on.

    Attributes:
      action: one action, or 'all'.
      frame_step: every frame_step-th frame of each sequence.
      intrinsics: fx, fy, cx, cy in px, or None: each record's own, and for trees the published camera.
    """

    action: str = "all"
    frame_step: int = 25
    intrinsics: np.ndarray | None = None

    def actions(self, present: Iterable[str]) -> list[str]:
        """The actions to report on, of those present, in alphabetical order; raises `InputError` when there is none."""
        known = sorted(set(present), key=str.casefold)
        if self.action == "all":
            return known
        chosen = [name for name in known if name.casefold() == self.action.casefold()]
        if not chosen:
            raise InputError(f"--action={self.action}: no such action; there are {', '.join(known)}")
        return chosen


@dataclasses.dataclass(frozen=True)
class SearchInputs:
    """N poses, those of one sequence together.

    Attributes:
      truth: [N, 17, 3] mm. poses_2d: [N, 17, 2] px, the left view. intrinsics: [N, 4] px.
      actions, sequences: [N] texts. frames: [N] integers.
      coarse: [N, 17, 3] mm, the poses before the search; None where they are lifted first.
      right_2d: [N, 17, 2] px, the true right view; None where the predicted one is wanted.
    """

    truth: np.ndarray
    poses_2d: np.ndarray
    intrinsics: np.ndarray
    actions: np.ndarray
    sequences: np.ndarray
    frames: np.ndarray
    coarse: np.ndarray | None = None
    right_2d: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def rows(self, chosen: slice) -> SearchInputs:
        """The poses of these rows."""
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            values = getattr(self, field.name)
            fields[field.name] = None if values is None else values[chosen]
        return SearchInputs(**fields)


def trees_in(folder: pathlib.Path) -> bool:
    """Whether the folder holds the original's trees; raises `InputError` when it holds some of them only."""
    there = [name for name in TREES if (folder / name).is_dir()]
    missing = [name for name in TREES if name not in there]
    if there and missing:
        raise InputError(f"{folder}: has {', '.join(there)} but no {', '.join(missing)}")
    return bool(there)


def read_trees(folder: pathlib.Path, selection: Selection, permutation: Sequence[int] | None) -> SearchInputs:
    """The poses of the three trees.

    Args:
      permutation: joint i is at place permutation[i] of the arrays.

    Raises:
      InputError: naming the array that is missing, or not of the size of its partners.
    """
    first = next(iter(TREES))
    files = [path.relative_to(folder / first) for path in clips.list_files(folder / first, (".npy",), "arrays")]
    for path in files:
        if len(path.parts) != 3:
            raise InputError(f"{folder / first / path}: expected <subject>/<action>/<file>.npy")
    wanted = selection.actions([path.parts[1] for path in files])
    chosen = [path for path in files if path.parts[1] in wanted]
    chosen.sort(key=lambda path: (wanted.index(path.parts[1]), path.with_suffix("").as_posix()))
    clip_poses = [_read_clip(folder, path, selection.frame_step, permutation) for path in chosen]
    coarse, truth, poses_2d = (np.concatenate(parts) for parts in zip(*clip_poses))
    lengths = [len(parts[0]) for parts in clip_poses]
    camera = cameras.SEARCH_INTRINSICS if selection.intrinsics is None else selection.intrinsics
    return SearchInputs(
        coarse=coarse,
        truth=truth,
        poses_2d=poses_2d,
        intrinsics=np.tile(np.asarray(camera, np.float32), (len(poses_2d), 1)),
        actions=np.repeat([path.parts[1] for path in chosen], lengths),
        sequences=np.repeat([path.with_suffix("").as_posix() for path in chosen], lengths),
        frames=np.concatenate([np.arange(length) * selection.frame_step for length in lengths]),
    )


def _read_clip(
    folder: pathlib.Path, path: pathlib.Path, frame_step: int, permutation: Sequence[int] | None
) -> list[np.ndarray]:
    """Every frame_step-th pose of the array `path` of each tree."""
    parts = []
    for tree, size in TREES.items():
        place = folder / tree / path
        if not place.is_file():
            raise InputError(f"{place}: no such file, the partner of {folder / next(iter(TREES)) / path}")
        array = arrays.open_npy(place)
        if arrays.dimensions(array.shape, str(place)) != size:
            raise InputError(f"{place}: holds {5 - size}D poses, expected {size}D")
        arrays.check_layout(array, size, arrays.PLANAR, permutation, str(place))
        parts.append(array)
    if len({len(part) for part in parts}) > 1:
        counts = ", ".join(f"{len(part)} in {tree}" for tree, part in zip(TREES, parts))
        raise InputError(f"{path}: partners have different numbers of rows: {counts}")
    return [
        arrays.split_rows(np.array(part[::frame_step], np.float32), size, arrays.PLANAR, permutation)
        for part, size in zip(parts, TREES.values())
    ]


def read_records(where: str, selection: Selection, true_right_view: bool) -> SearchInputs:
    """The poses of a set of TFRecords.

    Args:
      true_right_view: read the records' right views too.

    Raises:
      InputError: no such records, or one without 2D, 3D, intrinsics or a right view that is asked for.
    """
    fields = ["dataset", "pose_2d", "pose_3d", "intrinsics", "subject", "action", "sequence", "camera", "frame"]
    records = reader.load_arrays(where, [*fields, *(["right_2d"] if true_right_view else [])])
    names = np.array(
        [
            "/".join(part for part in parts if part)
            for parts in zip(*(records[field] for field in ("subject", "action", "sequence", "camera")))
        ]
    )
    rows = _ordered_rows(records, names, selection)
    intrinsics = records["intrinsics"][rows]
    if selection.intrinsics is not None:
        intrinsics = np.tile(np.float32(selection.intrinsics), (len(rows), 1))
    inputs = SearchInputs(
        truth=records["pose_3d"][rows],
        poses_2d=records["pose_2d"][rows],
        intrinsics=intrinsics,
        actions=np.array([records["action"][i] for i in rows]),
        sequences=names[rows],
        frames=records["frame"][rows],
        right_2d=records["right_2d"][rows] if true_right_view else None,
    )
    for values, what in (
        (inputs.truth, "3D pose"),
        (inputs.poses_2d, "2D pose"),
        (inputs.intrinsics, "intrinsics (give --intrinsics)"),
    ):
        incomplete = np.flatnonzero(~np.isfinite(values).reshape(len(rows), -1).all(1))
        if len(incomplete):
            place = f"{inputs.sequences[incomplete[0]]} frame {inputs.frames[incomplete[0]]}"
            raise InputError(f"{where}: {place}: no complete {what}")
    if inputs.right_2d is not None and not np.isfinite(inputs.right_2d).all():
        raise InputError(f"{where}: --right_view=true needs right views; gen_right.py adds them")
    # Subjects' numbers mean something in Human3.6M alone.
    of_h36m = records["dataset"][rows[0]] == "h36m"
    if of_h36m and clips.subject_number(records["subject"][rows[0]]) in clips.TRAIN_SUBJECTS:
        print("note: these are training subjects of Human3.6M", file=sys.stderr)
    return inputs


def _ordered_rows(records: dict[str, np.ndarray], names: np.ndarray, selection: Selection) -> np.ndarray:
    """The chosen records by action, sequence and frame; they may have been shuffled among the shards."""
    wanted = {action: number for number, action in enumerate(selection.actions(records["action"]))}
    groups: dict[tuple[int, str], list[int]] = {}
    for i, (action, name) in enumerate(zip(records["action"], names)):
        if action in wanted:
            groups.setdefault((wanted[action], name), []).append(i)
    picked = []
    for key in sorted(groups):
        rows = np.array(groups[key])
        picked.append(rows[np.argsort(records["frame"][rows], kind="stable")][:: selection.frame_step])
    return np.concatenate(picked)
