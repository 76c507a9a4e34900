"""Train a network of the 3D label generator.

    python label_generator/train.py --flagfile=label_generator/flags/left2right.cfg --data_dir=data
    python label_generator/train.py --flagfile=label_generator/flags/pose3d.cfg --data_dir=data
    python label_generator/train.py --flagfile=label_generator/flags/canonical.cfg --data_dir=data

Published recipe: first --stage=left2right (left view -> right view), then --stage=pose3d (both views -> 3D); the
flagfiles left2right.cfg and pose3d.cfg in label_generator/flags hold the published flags. An interrupted training
resumes from its last checkpoint when the same command is given again, and ends with the same weights. The trained
network is written to export/ in the experiment directory; generate.py and evaluate.py take it as --weights.
"""

from __future__ import annotations

import sys

from label_generator.stages import names
from label_generator.training import training_flags
from tools.cli import command
from tools.cli.errors import InputError

_IGNORED = ("camera_frame", "use_sh", "cameras_path")


def declare() -> command.Flags:
    """The flags of this command."""
    return training_flags.declare(__doc__)


def main(flags: command.Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network."""
    _check(flags)
    for name in _IGNORED:
        if flags.given(name):
            print(f"--{name} has no effect: the released code declares it without using it, and records do not need it")
    from label_generator.training import run

    return run.train(flags)


def _check(flags: command.Flags) -> None:
    """Raises `InputError` for flags that contradict each other."""
    if flags.recipe == "published" and flags.stage == names.CHAIN:
        raise InputError("--stage=chain is the canonical recipe's; the published one trains left2right, then pose3d")
    if not 0 < flags.dropout <= 1:
        raise InputError(f"--dropout={flags.dropout}: the probability to keep must be above 0 and at most 1")
    if flags.left2right and flags.stage != names.POSE3D:
        raise InputError(f"--left2right is for --stage=pose3d, not for {flags.stage}")
    if flags.right_view == "predicted" and not flags.left2right:
        raise InputError("--right_view=predicted needs --left2right, the weights folder that predicts")
    if flags.recipe == "published":
        given = [name for name in (*training_flags.CANONICAL, "start_from", "draw_views") if flags.given(name)]
        if given:
            raise InputError(f"--{given[0]} is of the canonical recipe; the published one has no such choice")
    if flags.recipe == "canonical":
        given = [n for n in ("max_norm", "batch_norm", "residual", "predict_14") if getattr(flags, n)]
        given += ["dropout"] * (flags.dropout != 1) + ["statistics"] * (flags.statistics != "train")
        if given:
            raise InputError(f"--{given[0]} is of the published recipe; the canonical one has no such choice")
        if flags.stage == names.POSE3D and not flags.left2right:
            raise InputError("the canonical pose3d is trained on predictions: name the weights with --left2right")


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
