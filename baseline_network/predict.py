"""Predict the 2D and 3D poses of the people in pictures and videos.

    python baseline_network/predict.py --input=photos/ --output=poses
    python baseline_network/predict.py --input=photo.jpg --output=poses --box=120,40,200,420
    python baseline_network/predict.py --input=walk.mp4 --output=poses --largest --detect_every=5
    python baseline_network/predict.py --input=walk.mp4 --output=poses --formats=bvh,mp4
    python label_generator/generate.py --input=poses/predictions.json --output=labels

--input is a folder (with all folders in it), a picture or a video. Writes into --output: predictions.json and
predictions.npz (16 joints of each person in pixels and in millimetres; docs/baseline_network.md describes both), and
the pictures with the poses drawn on them: overlays/, or overlay.mp4 of a video. Everything is written at the end, or
nothing at all.
"""

from __future__ import annotations

import sys

from tools.cli import command, common_flags
from tools.files import sent


def declare() -> command.Flags:
    """The flags of this command."""
    from baseline_network.images import detection
    from baseline_network.prediction import network_flags

    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Pictures in"):
        flags.string("input", "", "folder, picture or video")
        flags.integer("limit", 0, "largest number of pictures or frames; 0: all", lower_bound=0)
    with flags.group("People in them"):
        detection.declare(flags, "skip")
        flags.integer(
            "detect_every", 1, "of a video: detect people in every n-th frame, and keep their boxes in between",
            lower_bound=1,
        )  # fmt: skip
    with flags.group("Network"):
        network_flags.declare(flags)
        flags.integer("batch_size", 32, "people in a batch", lower_bound=1)
    with flags.group("Poses out"):
        flags.string("output", "", "folder, or address, for what is written")
        flags.strings(
            "formats",
            ["npz", "json"],
            "predictions.npz and .json, always; coco (with keypoints_3d), csv, wild, tfrecord; of videos also bvh, c3d "
            "and mp4 (docs/formats.md)",
        )
        flags.enum("names", "cgspeed", ["cgspeed", "mixamo", "h36m"], "what joints are called in BVH")
        flags.boolean("overlays", True, "draw the poses on the pictures too")
        flags.boolean("overwrite", False, "replace predictions that lie in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Predicts, and prints what was detected, what was skipped and where the result lies."""
    flags.require("input", "output")
    from baseline_network.prediction.input_pictures import InputPictures

    InputPictures(flags.input, flags.output, flags.limit).check()  # before TensorFlow is loaded, which takes seconds
    if flags.use_cpu:
        common_flags.hide_gpus()
    from baseline_network.prediction import run

    return sent.run(run.predict_files, flags)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
