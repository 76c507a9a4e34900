"""Right views of whole files: TFRecords, a tree of arrays or one array, as `gen_right.py` writes them."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from label_generator.stages import pose_rows
from label_generator.stages.right_view import RightSource, right_views
from tfrecords import writer
from tfrecords.conversion import clips
from tfrecords.formats import arrays
from tfrecords.source import Options
from tools.cli import outputs
from tools.cli.errors import InputError
from tools.cli.words import counted
from tools.files import atomic
from tools.pose import bounds, cameras
from tools.pose.joints import POSE17

_ROWS_AT_ONCE = 65_536  # some tens of megabytes


@dataclasses.dataclass(frozen=True)
class RightViewOptions:
    """How right views are made.

    Attributes:
      intrinsics: fx, fy, cx, cy in px of the camera that projects; None: each record's own.
      baseline_mm: how far poses are moved along +x.
      layout: of the rows of arrays, 'planar' or 'interleaved'.
      permutation: joint i is at place permutation[i] of the arrays; None: in this project's order.
      skip: leave poses behind the camera out instead of raising `InputError`.
      overwrite: replace what lies at the output.
    """

    intrinsics: tuple[float, float, float, float] | None
    baseline_mm: float
    layout: str = arrays.PLANAR
    permutation: Sequence[int] | None = None
    skip: bool = False
    overwrite: bool = False


class WrittenViews(NamedTuple):
    """How many poses were written and left out, and into how many files or shards, in words."""

    poses: int
    left_out: int
    files: str


def parse_intrinsics(text: str) -> tuple[float, float, float, float] | None:
    """The camera of ``--intrinsics``: 'search', 'released', 'own' (None) or fx,fy,cx,cy in px.

    Raises:
      InputError: it is none of these.
    """
    named: dict[str, tuple[float, float, float, float] | None] = {
        "search": cameras.SEARCH_INTRINSICS,
        "released": cameras.RELEASED_RIGHT_VIEW_INTRINSICS,
        "own": None,
    }
    if text in named:
        return named[text]
    try:
        fx, fy, cx, cy = cameras.parse_intrinsics(text).tolist()
    except InputError as error:
        raise InputError(f"--intrinsics: {error}; or 'search', 'released', 'own'") from None
    return fx, fy, cx, cy


def write_right_views(source: str, output: str, options: RightViewOptions) -> WrittenViews:
    """Writes the right views of 3D poses in camera coordinates, all or nothing.

    Args:
      source: a set of TFRecords, a tree of .npy arrays, or one .npy. output: of the same kind.

    Raises:
      InputError: naming the file and the pose that has no right view, or what lies at the output.
    """
    path = pathlib.Path(source)
    if path.suffix == ".npy" or (path.is_dir() and not _holds_records(path)):
        return _write_arrays(path, pathlib.Path(output), options)
    return _write_records(source, output, options)


def preview(source: str, output: str, options: RightViewOptions) -> tuple[list[str], list[pathlib.Path]]:
    """What `write_right_views` would read, in words, and the files or folders that it would write; writes nothing.

    Raises:
      InputError: as it does, as far as that shows before a pose is read.
    """
    path, target = pathlib.Path(source), pathlib.Path(output)
    if path.suffix == ".npy" or (path.is_dir() and not _holds_records(path)):
        files = _array_files(path, target, options)
        shapes = {name: arrays.open_npy(name).shape for name, _ in files}
        for name, shape in shapes.items():
            if arrays.dimensions(shape, str(name)) != 3:
                raise InputError(f"{name}: holds 2D poses, expected 3D in camera coordinates")
        return [f"{name}: {shape[0]:,} poses" for name, shape in shapes.items()], [written for _, written in files]
    content, plan = writer.preview(_record_source(source, output, options), output, overwrite=options.overwrite)
    return [f"{source}: {len(content):,} records"], [target / plan.file(shard) for shard in range(plan.num_shards)]


def _array_files(
    source: pathlib.Path, output: pathlib.Path, options: RightViewOptions
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """(array, where its right view goes); raises `InputError` for what may not be read or written."""
    if options.intrinsics is None:
        raise InputError("--intrinsics=own: arrays have none; give fx,fy,cx,cy, 'search' or 'released'")
    outputs.check_free(output, options.overwrite)
    if output.resolve() == source.resolve():
        raise InputError(f"{output}: --output is --input")
    if source.suffix == ".npy":
        if output.suffix != ".npy":
            raise InputError(f"--output={output}: the view of one array is a file *.npy")
        outputs.check_folder(output.parent)
        return [(source, output)]
    outputs.check_folder(output)
    files = clips.list_files(source, (".npy",), "<subject>/<action>/<file>.npy, one .npy, or TFRecords")
    return [(path, output / path.relative_to(source)) for path in files]


def _holds_records(folder: pathlib.Path) -> bool:
    return (folder / "manifest.json").exists() or any(".tfrecord" in path.name for path in folder.iterdir())


def _write_arrays(source: pathlib.Path, output: pathlib.Path, options: RightViewOptions) -> WrittenViews:
    files, intrinsics = _array_files(source, output, options), options.intrinsics
    assert intrinsics is not None, "arrays have no cameras of their own"
    output.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".npy":
        with atomic.write_file(output) as temporary:
            counts = [_write_array(source, temporary, options, intrinsics)]
            poses, left_out = _checked(counts, source)
    else:
        counts = []
        with atomic.write_folder(output) as folder:
            for path, written in files:
                target = folder / written.relative_to(output)
                target.parent.mkdir(parents=True, exist_ok=True)
                counts.append(_write_array(path, target, options, intrinsics))
            poses, left_out = _checked(counts, source)
    return WrittenViews(poses, left_out, f"{len(counts):,} file{'s' * (len(counts) != 1)}")


def _checked(counts: Sequence[tuple[int, int]], source: pathlib.Path) -> tuple[int, int]:
    """The sums of poses and of those left out; raises `InputError` when all are, so that nothing is written."""
    poses, left_out = (sum(column) for column in zip(*counts))
    if poses and left_out == poses:
        raise InputError(f"{source}: none of its {poses:,} poses is in front of the camera")
    return poses, left_out


def _write_array(
    path: pathlib.Path, target: pathlib.Path, options: RightViewOptions, intrinsics: tuple[float, ...]
) -> tuple[int, int]:
    """Writes the view of one array of 3D poses; returns the numbers of poses and of those left out."""
    poses, layout = arrays.open_npy(path), options.layout
    if arrays.dimensions(poses.shape, str(path)) != 3:
        raise InputError(f"{path}: holds 2D poses, expected 3D in camera coordinates")
    arrays.check_layout(poses, 3, layout, options.permutation, str(path))
    shape = (len(poses), 34) if poses.ndim == 2 else (len(poses), 17, 2)
    if not len(poses):
        np.save(target, np.zeros(shape, poses.dtype))
        return 0, 0
    left_out = 0
    with arrays.NpyWriter(target, shape, poses.dtype) as written:
        for start in range(0, len(poses), _ROWS_AT_ONCE):
            piece = arrays.split_rows(np.asarray(poses[start : start + _ROWS_AT_ONCE]), 3, layout, options.permutation)
            _check_unit(piece, start, path)
            views = right_views(piece, intrinsics, options.baseline_mm)
            bad = np.flatnonzero(np.isnan(views[:, 0, 0]))
            if len(bad) and not options.skip:
                problem = why_without_right_view(piece[bad[0]])
                raise InputError(f"{path}: row {start + bad[0]}: {problem}; --skip leaves such rows out")
            left_out += len(bad)
            written.append(pose_rows.to_rows(views, layout) if poses.ndim == 2 else views)
    return len(poses), left_out


def _check_unit(poses: np.ndarray, first: int, path: pathlib.Path) -> None:
    """Raises `InputError` for poses [n, 17, 3] that are not in mm, beside which a baseline in mm is too long."""
    extents = np.abs(poses - poses.mean(1, keepdims=True)).max((1, 2))
    small = np.flatnonzero(extents < bounds.SMALLEST_EXTENT_MM)
    if len(small):
        raise InputError(
            f"{path}: row {first + small[0]}: all joints within {extents[small[0]]:.2g} of their mean: not in mm; "
            "multiply metres by 1,000"
        )


def why_without_right_view(pose: np.ndarray) -> str:
    """Why a pose [17, 3] has no right view."""
    for joint, name in enumerate(POSE17.joints):
        if not np.isfinite(pose[joint]).all():
            return f"joint {joint} ({name}) is not a number"
    joint = int(np.argmin(pose[:, 2]))
    return (
        f"joint {joint} ({POSE17.joints[joint]}) is at or behind the camera, z = {pose[joint, 2]:.1f} mm "
        "(poses must be in camera coordinates, not relative to their root)"
    )


def _write_records(source: str, output: str, options: RightViewOptions) -> WrittenViews:
    content = writer.convert(_record_source(source, output, options), output, overwrite=options.overwrite)
    left_out = sum(entry["count"] for entry in content.skipped.values())
    return WrittenViews(content.records, left_out, counted(len(content.shards), "shard"))


def _record_source(source: str, output: str, options: RightViewOptions) -> functools.partial[RightSource]:
    path = pathlib.Path(source)
    if path.is_dir() and pathlib.Path(output).resolve() == path.resolve():
        raise InputError(f"{output}: --output is --input")
    if options.permutation is not None:
        raise InputError("--permutation: is for arrays; records have this project's order")
    of_records = Options(baseline_mm=options.baseline_mm, intrinsics=options.intrinsics)
    return functools.partial(RightSource, source, of_records, options.skip)
