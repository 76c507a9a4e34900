"""Make the right view's 2D ground truth from 3D poses in camera coordinates.

The second view sees each 3D pose moved along +x by --baseline_mm, projected with the same camera. Input is a set of
TFRecords (a new set is written, with the right view in each record), a tree <subject>/<action>/<file>.npy (the same
tree is written) or one .npy. Joints at or behind the camera end the command, or are left out with --skip.
"""

from __future__ import annotations

import functools
import pathlib
import sys

from tools.cli import command, outputs
from tools.cli.errors import InputError
from tools.files import atomic

_ROWS_AT_ONCE = 65_536  # some tens of megabytes


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("What is read and written"):
        flags.string("input", None, "3D: folder of TFRecords, tree of .npy ([N, 51] or [N, 17, 3] mm), or one .npy")
        flags.string("output", None, "where the right view goes: a folder, or for one .npy a file")
        flags.enum("layout", "planar", ["planar", "interleaved"], "rows of .npy: x..., y..., z... or x0 y0 z0 x1 ...")
        flags.strings("permutation", None, "17 numbers: joint i is at place permutation[i]; 2D is written in our order")
        flags.boolean("skip", False, "leave poses behind the camera out: NaN rows in .npy, no record in TFRecords")
        flags.boolean("overwrite", False, "replace what lies at --output")
    with flags.group("The second view"):
        flags.float("baseline_mm", 500.0, "how far poses are moved along +x, in mm; negative: to the other side")
        flags.string(
            "intrinsics",
            "search",
            "camera that projects: 'search' (1145.049,1143.781,512,515), 'released' (1145,1143,515,512, its principal "
            "point swapped), 'own' (each record's, TFRecords only), or fx,fy,cx,cy in px",
        )
    return flags


def main(flags: command.Flags) -> int:
    """Writes the right views and says where."""
    flags.require("input", "output")
    intrinsics = _intrinsics(flags.intrinsics)
    source = pathlib.Path(flags.input)
    if source.suffix == ".npy" or (source.is_dir() and not _is_records(source)):
        if intrinsics is None:
            raise InputError("--intrinsics=own: arrays have none; give fx,fy,cx,cy, 'search' or 'released'")
        poses, left_out, files = _write_arrays(flags, source, intrinsics)
        what = f"{files:,} file{'s' * (files != 1)}"
    else:
        poses, left_out, what = _write_records(flags, intrinsics)
    if left_out:
        print(f"left out {left_out:,} poses with a joint at or behind the camera")
    print(f"right view of {poses:,} poses in {what}, {flags.baseline_mm:g} mm aside, camera {flags.intrinsics}")
    print(f"written to {flags.output}")
    return 0


def _is_records(folder: pathlib.Path) -> bool:
    return (folder / "manifest.json").exists() or any(".tfrecord" in path.name for path in folder.iterdir())


def _intrinsics(text: str):
    """[4] px, or None for each record's own."""
    from tools.pose import cameras

    named = {
        "search": cameras.SEARCH_INTRINSICS,
        "released": cameras.RELEASED_RIGHT_VIEW_INTRINSICS,
        "own": None,
    }
    if text in named:
        return named[text]
    try:
        return tuple(cameras.parse_intrinsics(text).tolist())
    except InputError as error:
        raise InputError(f"--intrinsics: {error}; or 'search', 'released', 'own'") from None


def _write_arrays(flags, source, intrinsics) -> tuple[int, int, int]:
    """Writes the views of one array or a tree, all or nothing; returns the numbers of poses, left out, files."""
    from tools.pose import joints

    output = pathlib.Path(flags.output)
    outputs.check_free(output, flags.overwrite)
    if output.resolve() == source.resolve():
        raise InputError(f"{output}: --output is --input")
    permutation = joints.parse_permutation(flags.permutation)
    convert = functools.partial(_convert, flags=flags, permutation=permutation, intrinsics=intrinsics)
    output.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".npy":
        if output.suffix != ".npy":
            raise InputError(f"--output={output}: the view of one array is a file *.npy")
        with atomic.write_file(output) as temporary:
            counts = convert(source, temporary)
        return (*counts, 1)
    from tfrecords.conversion import clips

    files = clips.list_files(source, (".npy",), "<subject>/<action>/<file>.npy, one .npy, or TFRecords")
    counts = []
    with atomic.write_folder(output) as folder:
        for path in files:
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            counts.append(convert(path, target))
    return sum(poses for poses, _ in counts), sum(left_out for _, left_out in counts), len(files)


def _convert(path, target, flags, permutation, intrinsics) -> tuple[int, int]:
    """Writes the view of one array of 3D poses; returns the numbers of poses and of those left out."""
    import numpy as np

    from label_generator.stages import pose_rows
    from label_generator.stages.right_view import right_views
    from tfrecords.formats import arrays

    poses = arrays.open_npy(path)
    if arrays.dimensions(poses.shape, str(path)) != 3:
        raise InputError(f"{path}: holds 2D poses, expected 3D in camera coordinates")
    arrays.check_layout(poses, 3, flags.layout, permutation, str(path))
    shape = (len(poses), 34) if poses.ndim == 2 else (len(poses), 17, 2)
    written = np.lib.format.open_memmap(target, "w+", poses.dtype, shape) if len(poses) else None
    left_out = 0
    for start in range(0, len(poses), _ROWS_AT_ONCE):
        rows = arrays.split_rows(np.asarray(poses[start : start + _ROWS_AT_ONCE]), 3, flags.layout, permutation)
        views = right_views(rows, intrinsics, flags.baseline_mm)
        bad = np.flatnonzero(np.isnan(views[:, 0, 0]))
        if len(bad) and not flags.skip:
            raise InputError(f"{path}: row {start + bad[0]}: {_why(rows[bad[0]])}; --skip leaves such rows out")
        left_out += len(bad)
        written[start : start + len(views)] = pose_rows.to_rows(views, flags.layout) if poses.ndim == 2 else views
    if written is None:
        np.save(target, np.zeros(shape, poses.dtype))
    return len(poses), left_out


def _why(pose) -> str:
    """What is wrong with a pose [17, 3] that has no right view."""
    import numpy as np

    from tools.pose.joints import POSE17

    for joint, name in enumerate(POSE17.joints):
        if not np.isfinite(pose[joint]).all():
            return f"joint {joint} ({name}) is not a number"
    joint = int(np.argmin(pose[:, 2]))
    return (
        f"joint {joint} ({POSE17.joints[joint]}) is at or behind the camera, z = {pose[joint, 2]:.1f} mm "
        "(poses must be in camera coordinates, not relative to their root)"
    )


def _write_records(flags, intrinsics) -> tuple[int, int, str]:
    from tfrecords import writer
    from tfrecords.source import Options

    source = pathlib.Path(flags.input)
    if source.is_dir() and pathlib.Path(flags.output).resolve() == source.resolve():
        raise InputError(f"{flags.output}: --output is --input")
    if flags.permutation:
        raise InputError("--permutation: is for arrays; records have this project's order")
    options = Options(baseline_mm=flags.baseline_mm, intrinsics=intrinsics)
    factory = functools.partial(_open_right_source, flags.input, options, flags.skip)
    content = writer.convert(factory, flags.output, overwrite=flags.overwrite)
    left_out = sum(entry["count"] for entry in content.skipped.values())
    return content.records, left_out, f"{len(content.shards)} shards"


def _open_right_source(where, options, skip):
    from label_generator.stages.right_view import RightSource

    return RightSource(where, options, skip)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
