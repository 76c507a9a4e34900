"""The published report of the geometric search: mean joint error before and after it, by action.

    python label_generator/search_h36m.py --input=data/test --weights=left2right/export,pose3d/export
    python label_generator/search_h36m.py --input=h36m/ --per_frame                the original's trees
    python label_generator/search_h36m.py --input=data/test --json > table.json

--input is a set of test TFRecords, whose poses are lifted by --weights with the predicted (or --right_view=true) right
view, or a folder with the original's trees predict/, 3dCam/ and 2dCam/ (<subject>/<action>/<file>.npy, planar rows),
whose predictions are searched as they are. Every 25th frame of each sequence is taken, as published.
"""

from __future__ import annotations

import sys

from label_generator.lifting import lifter_flags
from tools.cli import command


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("What is searched"):
        flags.string("input", None, "TFRecords with 2D and 3D, or the folder of predict/, 3dCam/, 2dCam/")
        flags.string("action", "all", "one action, such as WalkTogether, or all")
        flags.integer("frame_step", 25, "take every n-th frame of each sequence; 1: all", lower_bound=1)
        flags.strings("permutation", None, "17 numbers: joint i is at place permutation[i] of the trees' arrays")
        flags.string("intrinsics", "", "fx,fy,cx,cy in px (default: each record's own; for trees the published camera)")
    with flags.group("Lifting (TFRecords only)"):
        lifter_flags.declare_weights(flags)
        flags.enum(
            "right_view", "predicted", ["predicted", "true"], "right view that is the input of the 3D reconstruction"
        )
    with flags.group("Search"):
        lifter_flags.declare_search(flags)
        flags.enum(
            "search",
            "perspective",
            ["perspective", "root_centred"],
            "camera model. perspective; root_centred: as in the release's second script, root on the optical axis",
        )
        flags.boolean(
            "released_cap",
            False,
            "as released: poses without a cost below 10000 get depth 0; root_centred: without one "
            "below 2000, the previous "
            "pose's depth",
        )
    with flags.group("Report"):
        flags.boolean("per_frame", False, "print each frame's errors, as released, instead of each sequence's")
    return flags


def main(flags: command.Flags) -> int:
    """Prints the report."""
    flags.require("input")
    from label_generator.evaluation import search_report

    inputs = search_report.read_inputs(flags)
    searcher = search_report.make_searcher(flags, inputs)
    table = search_report.report(inputs, searcher, flags.per_frame)
    flags.report.update(table.as_dict())
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
