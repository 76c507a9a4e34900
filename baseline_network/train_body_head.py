"""Train the body head, which corrects MediaPipe's landmarks, on photographs with annotated key points.

    python baseline_network/train_body_head.py --input=lspet_train_joints.npz --output=body_head

Reads the .npz of --source=photos (files, joints), keeps what MediaPipe's landmark network computes inside for crops of
the people (129 KB a crop, in --output/crops), trains on it, and writes body_head.tflite and body_head.sha256, which
--body_head=FOLDER of generate.py and evaluate.py --photos takes. Ended by a signal, it goes on with crops and training
when the same command is given again.
"""

from __future__ import annotations

import pathlib
import sys

from tools.cli import command


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Files"):
        flags.string("input", None, "the .npz with files [n] and joints [n, J, 3] or [n, J, 2]")
        flags.string("output", None, "folder for the head and the crops")
        flags.string(
            "images",
            "",
            "folder or tar of the pictures (default: beside --input=NAME_joints.npz, in NAME/, NAME.tar or images/)",
        )
        flags.boolean("overwrite", False, "replace what is in --output")
    with flags.group("Training"):
        flags.integer("crops", 64000, "how many crops are made", lower_bound=64)
        flags.float("epochs", 6.0, "passes over the crops", lower_bound=0)
        flags.integer("batch_size", 64, "crops a step", lower_bound=1)
        flags.float(
            "learning_rate", 2e-3, "largest learning rate, after 150 steps; it falls by a cosine", lower_bound=0
        )
        flags.float("held_out", 0.05, "share of the people, the last rows, that is measured and not trained on")
        flags.float(
            "neighbours",
            0.0,
            "share of the people around whom others are pasted, cut out of their pictures",
            lower_bound=0,
            upper_bound=1,
        )
        flags.string(
            "start_from",
            "",
            "head whose weights the training starts from: folder with body_head.tflite, or the file (default: random)",
        )
        flags.integer("seed", 0, "random seed of crops and training", lower_bound=0)
    return flags


def main(flags: command.Flags) -> int:
    """Makes the crops, trains, and reports."""
    flags.require("input", "output")
    from baseline_network.training import body_head

    if flags.dry_run:
        return body_head.preview(flags)
    figures = body_head.run(flags)
    print(f"PCKh@0.5 of the crops of people held out {figures['held_out_pckh']:.1f}; written to {flags.output}")
    flags.report.update(figures, output=str(pathlib.Path(flags.output)))
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
