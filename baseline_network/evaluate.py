"""Evaluate a baseline network on TFRecords with pictures and ground-truth joints.

    python baseline_network/evaluate.py --data=records/val
    python baseline_network/evaluate.py --weights=experiments/.../export --data=records/val --output=report

Prints PCKh, PCK, MPJPE with the published rescaling of the bones and without it, N-MPJPE, P-MPJPE, 3DPCK and AUC, over
all people, by data set, action and joint, and for visible and occluded joints; --output takes the tables, JSON, plots
and a sheet of the best, middle and worst predictions. Records without 3D ground truth are evaluated in 2D only.
docs/baseline_network.md defines each metric.
"""

from __future__ import annotations

import os
import sys

from tools.cli import command, outputs
from tools.cli.errors import InputError
from tools.files import sent


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What is measured"):
        flags.string("weights", "", "folder with the network's weights; not given: those shipped")
        flags.string("data", None, "TFRecords with pictures: folder, manifest or glob")
        flags.integer("limit", 0, "evaluate only this many records from the start; 0: all", lower_bound=0)
        flags.boolean(
            "labelled_only", False, "evaluate annotated joints only, not those that a rule derived from others"
        )
        flags.boolean("published_thorax", False, "joint 7 as the published evaluation has it (Human3.6M's Spine)")
    with flags.group("How people are predicted"):
        flags.boolean("flip", True, "average with the mirrored picture's prediction; takes twice as long")
        flags.integer("batch_size", 32, "pictures at a time", lower_bound=1)
        flags.float("margin", 0.0, "side of the crop over the longer side of the box; 0: as in training", lower_bound=0)
        flags.enum(
            "boxes",
            "record",
            ["record", "detected"],
            "box of each crop. record: the record's box, or one around its joints; detected: a detector's box, and "
            "undetected people count as missed",
        )
        flags.enum(
            "detector",
            "mediapipe",
            ["mediapipe", "hog"],
            "for --boxes=detected: MediaPipe's pose models or OpenCV's people detector",
        )
    with flags.group("Report"):
        flags.boolean("actions", False, "also print the table by action")
        flags.string("output", "", "folder, or address, for table.md, figures.json, plots and sheet.png")
        flags.integer("sheet", 4, "how many best, middle and worst predictions are drawn; 0: none", lower_bound=0)
        flags.boolean("overwrite", False, "replace what is in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Evaluates, prints the tables and writes the report."""
    return sent.run(_evaluate, flags)


def _evaluate(flags: command.Flags) -> int:
    flags.require("data")
    if flags.given("sheet") and not flags.output:
        raise InputError("--sheet: goes with --output")
    if flags.output:
        outputs.check_folder(flags.output)
        outputs.check_free(os.path.join(flags.output, "figures.json"), flags.overwrite)
    from baseline_network.evaluation import run

    return run.evaluate_network(flags)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
