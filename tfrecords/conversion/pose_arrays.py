"""Sources made of plain arrays: left-view 2D, right-view 2D and 3D of the same poses, each in a file of its own."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from tfrecords import schema
from tfrecords.conversion import clips
from tfrecords.formats import arrays
from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip
from tools.cli.errors import InputError
from tools.pose import cameras, joints
from tools.pose.joints import POSE17

LEFT, RIGHT, POSE_3D = "left", "right", "3d"
_KIND_NAMES = {LEFT: "left-view 2D", RIGHT: "right-view 2D", POSE_3D: "3D"}
_FIELDS = {LEFT: "pose_2d", RIGHT: "right_2d", POSE_3D: "pose_3d"}
# Words of file and folder names that say what an array is and not whose poses it holds.
_KIND_WORDS = re.compile(
    r"(?:^|(?<=[^a-z0-9]))(?:2d|3d|left|right|cam|2dcam|3dcam|pose|poses|new)(?=$|[^a-z0-9])", re.IGNORECASE
)
_RIGHT_WORD = re.compile(r"(?:^|[^a-z])right(?:$|[^a-z])")


@dataclasses.dataclass(frozen=True)
class ArrayClip:
    """Arrays with the same poses in the same rows. arrays: kind -> file; name: names the clip in messages."""

    name: str
    arrays: dict[str, pathlib.Path]
    subject: str = ""
    action: str = ""
    split: str = ""


class ArraySource(clips.ClipSource):
    """Subclasses find the clips and pass them to `_set_clips`."""

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        if options.layout not in ("", arrays.PLANAR, arrays.INTERLEAVED):
            raise InputError(f"--layout={options.layout}: expected {arrays.PLANAR} or {arrays.INTERLEAVED}")
        joints.check_permutation(options.permutation)
        self._step = clips.check_frame_step(options)

    def _set_clips(self, found: Iterable[ArrayClip], layout: str, root: pathlib.Path) -> None:
        """Says which clips there are; those of the chosen split become records.

        Raises:
          InputError: a file that is no array of poses, partners of different length or rows in the other layout.
        """
        self._layout, self._root = self.options.layout or layout, root
        self._opened: tuple[int, dict[str, arrays.ArrayRows]] = (-1, {})
        found = list(found)
        self._clips = [clip for clip in found if self.split in ("all", clip.split)]
        if not self._clips:
            there = sorted({clip.subject or clip.name for clip in found})[:20]
            raise InputError(f"{self.path}: nothing in split '{self.split}'; there is {', '.join(there)}")
        lengths = []
        for clip in self._clips:
            rows = {kind: len(array) for kind, array in self._open(clip).items()}
            if len(set(rows.values())) > 1:
                counts = ", ".join(f"{count} in {clip.arrays[kind]}" for kind, count in rows.items())
                raise InputError(f"{clip.name}: partners have different numbers of rows: {counts}")
            lengths.append(-(-next(iter(rows.values())) // self._step))
        # One look is enough: all files of a tree come from one program.
        for kind, array in self._open(self._clips[0]).items():
            place = str(self._clips[0].arrays[kind])
            arrays.check_layout(array, 3 if kind == POSE_3D else 2, self._layout, self.options.permutation, place)
        self._set_lengths(lengths)

    def _open(self, clip: ArrayClip) -> dict[str, arrays.ArrayRows]:
        """The clip's arrays, mapped; raises `InputError` when one is not what its kind says."""
        opened: dict[str, arrays.ArrayRows] = {}
        for kind, path in clip.arrays.items():
            opened[kind] = arrays.open_npy(path)
            size = arrays.dimensions(opened[kind].shape, str(path))
            if size != (3 if kind == POSE_3D else 2):
                raise InputError(f"{path}: holds {size}D poses, expected {_KIND_NAMES[kind]}")
        return opened

    def files(self) -> list[pathlib.Path]:
        return [path for clip in self._clips for path in clip.arrays.values()]

    def _read(self, clip: int, rows: np.ndarray) -> Iterator[PoseRecord | Skip]:
        if self._opened[0] != clip:
            self._opened = (clip, self._open(self._clips[clip]))
        source, frames = self._clips[clip], rows * self._step
        fields: dict[str, np.ndarray] = {}
        for kind, array in self._opened[1].items():
            size = 3 if kind == POSE_3D else 2
            picked = np.asarray(array[frames], np.float64)
            fields[_FIELDS[kind]] = arrays.split_rows(picked, size, self._layout, self.options.permutation)
        finite = np.all([np.isfinite(poses).all((1, 2)) for poses in fields.values()], axis=0)
        fields |= self._views(fields)
        file = source.arrays[next(iter(source.arrays))].relative_to(self._root).as_posix()
        fields = {name: values.astype(np.float32) for name, values in fields.items()}
        for i, frame in enumerate(frames.tolist()):
            if not finite[i]:
                yield Skip("joint is not a number", f"{source.name} row {frame}")
                continue
            record = {name: values[i] for name, values in fields.items() if not np.isnan(values[i]).any()}
            yield PoseRecord(
                dataset=self.info.name,
                split=source.split,
                subject=source.subject,
                action=source.action,
                sequence=source.name,
                frame=frame,
                file=file,
                camera_kind=self._camera_kind() if "intrinsics" in record else "",
                **record,
            )

    def _camera_kind(self) -> str:
        return schema.GIVEN if self.options.intrinsics else schema.ASSUMED

    def _views(self, fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """3D relative to its root, the root, the intrinsics, and pixels of 3D without 2D; NaN where unknown."""
        views, count = {}, len(next(iter(fields.values())))
        intrinsics = np.tile(np.array(self.options.intrinsics or cameras.SEARCH_INTRINSICS, np.float64), (count, 1))
        if "pose_3d" in fields:
            poses = fields["pose_3d"]
            root = poses[:, POSE17.root]
            views["pose_3d"] = poses - root[:, None]
            # Poses that are relative to their root already, or stand somewhere else than before a camera, say nothing
            # of where the root is.
            in_front = (poses[..., 2] > 0).all(-1)
            views["root_3d"] = np.where(in_front[:, None], root, np.nan)
            if "pose_2d" not in fields and self.options.intrinsics:
                camera = intrinsics[:, None]
                blind = ~in_front[:, None, None]
                views["pose_2d"] = np.where(blind, np.nan, cameras.project(poses, camera))
                if self.options.baseline_mm:
                    moved = cameras.right_view(poses, self.options.baseline_mm)
                    views["right_2d"] = np.where(blind, np.nan, cameras.project(moved, camera))
        left = views.get("pose_2d", fields.get("pose_2d"))
        if left is not None:
            # 2D with its root at the origin was moved there; no camera belongs to it.
            centred = (left[:, POSE17.root] == 0).all(-1)
            views["intrinsics"] = np.where(centred[:, None], np.nan, intrinsics)
        return views


def kind_of(path: pathlib.Path, relative: pathlib.Path) -> str:
    """What an array holds: by its width, and for 2D by the word 'right' in its name or its folders' names."""
    array = arrays.open_npy(path)
    if arrays.dimensions(array.shape, str(path)) == 3:
        return POSE_3D
    return RIGHT if _RIGHT_WORD.search(relative.as_posix().lower()) else LEFT


def key_of(relative: pathlib.Path) -> str:
    """A file's path without suffix and without the words that say what kind of array it is: the same for partners."""
    parts = []
    for part in relative.with_suffix("").parts:
        part = re.sub(r"[^\w]+|_+", "_", _KIND_WORDS.sub("", part)).strip("_")
        parts += [part] if part else []
    return "/".join(parts)


def pair_by_name(root: pathlib.Path, wanted: str, required: Iterable[str]) -> dict[str, dict[str, pathlib.Path]]:
    """All arrays below `root`, those with the same poses together: key -> kind -> file.

    Raises:
      InputError: no array, two arrays of one kind for the same poses, or one of the `required` kinds missing.
    """
    found: dict[str, dict[str, pathlib.Path]] = {}
    for path in clips.list_files(root, (".npy",), wanted):
        relative = path.relative_to(root)
        kind, group = kind_of(path, relative), found.setdefault(key_of(relative), {})
        if kind in group:
            raise InputError(f"{path}: {_KIND_NAMES[kind]} of the same poses is in {group[kind]} too")
        group[kind] = path
    for group in found.values():
        check_partners(group, required)
    return found


def check_partners(group: dict[str, pathlib.Path], required: Iterable[str], places: dict | None = None) -> None:
    """Raises `InputError` naming the kind that a group of partners lacks and, from `places`, where it should be."""
    for kind in required:
        if kind not in group:
            there = next(iter(group.values()))
            where = f", expected {places[kind]}" if places else " with a name that differs in that only"
            raise InputError(f"{there}: its {_KIND_NAMES[kind]} partner is missing{where}")
