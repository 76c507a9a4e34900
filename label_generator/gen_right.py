"""Make ground truth of the right view, in 2D, from 3D poses in camera coordinates.

    python label_generator/gen_right.py --input=data/train --output=data/train_right --baseline_mm=200
    python label_generator/gen_right.py --input=3dCam/ --output=right/             a tree of .npy

The right view is each 3D pose moved along +x by --baseline_mm and projected with the same camera. Input is a set of
TFRecords (a new set with right views is written), a tree <subject>/<action>/<file>.npy (a tree with the same files is
written) or one .npy. A joint at or behind the camera is an error; with --skip its pose is left out.
"""

from __future__ import annotations

import sys

from tools.cli import command, plans


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What is read and written"):
        flags.string("input", None, "3D: folder of TFRecords, tree of .npy ([N, 51] or [N, 17, 3] mm), or one .npy")
        flags.string("output", None, "output folder; for one .npy, output file")
        flags.enum("layout", "planar", ["planar", "interleaved"], "rows of .npy: x..., y..., z... or x0 y0 z0 x1 ...")
        flags.strings(
            "permutation",
            None,
            "17 numbers: joint i is at place permutation[i]; right views are written in this project's order",
        )
        flags.boolean("skip", False, "leave poses behind the camera out: NaN rows in .npy, no record in TFRecords")
        flags.boolean("overwrite", False, "replace existing files in --output")
    with flags.group("The second view"):
        flags.float(
            "baseline_mm", 500.0, "stereo baseline: displacement of poses along +x, in mm; negative: to the other side"
        )
        flags.string(
            "intrinsics",
            "search",
            "camera that projects: 'search' (1145.049,1143.781,512,515), 'released' (1145,1143,515,512, its principal "
            "point swapped), 'own' (each record's, TFRecords only), or fx,fy,cx,cy in px",
        )
    return flags


def main(flags: command.Flags) -> int:
    """Writes the right views and prints where they lie."""
    flags.require("input", "output")
    from label_generator.stages import right_view_files
    from tools.pose import bounds, joints

    options = right_view_files.RightViewOptions(
        intrinsics=right_view_files.parse_intrinsics(flags.intrinsics),
        baseline_mm=bounds.check_baseline(flags.baseline_mm),
        layout=flags.layout,
        permutation=joints.parse_permutation(flags.permutation),
        skip=flags.skip,
        overwrite=flags.overwrite,
    )
    if flags.dry_run:
        reads, writes = right_view_files.preview(flags.input, flags.output, options)
        return plans.show(flags, reads, ["every pose"], writes)
    written = right_view_files.write_right_views(flags.input, flags.output, options)
    if written.left_out:
        print(f"left out {written.left_out:,} poses with a joint at or behind the camera")
    print(
        f"right view of {written.poses:,} poses in {written.files}, {flags.baseline_mm:g} mm aside, "
        f"camera {flags.intrinsics}"
    )
    print(f"written to {flags.output}")
    flags.report.update(
        output=flags.output, poses=written.poses, left_out=written.left_out, files=written.files,
        baseline_mm=flags.baseline_mm, intrinsics=options.intrinsics,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
