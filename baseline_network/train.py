"""Train the baseline network, which predicts 2D heatmaps and joint depths from a picture of a person.

    python baseline_network/train.py --flagfile=baseline_network/flags/baseline.cfg --train_data=labels/tfrecords
    python baseline_network/train.py --flagfile=baseline_network/flags/stage1_2d.cfg --data_dir=data

Published recipe: one stage on pictures with 3D labels (baseline_network/flags/baseline.cfg). For the ablation, the
three stages of Zhou et al. (ICCV 2017): stage1_2d.cfg, stage2_depth.cfg and stage3_geometry.cfg, each started from the
previous one's export/ with --weights. An interrupted training resumes from its last checkpoint when the same command is
given again, and ends with the same weights. The trained network is written to export/ in the experiment directory;
evaluate.py, predict.py, demo.py and export.py take it as --weights.
"""

from __future__ import annotations

import sys

from baseline_network.training import training_flags
from tools.cli import command


def declare() -> command.Flags:
    """The flags of this command."""
    return training_flags.declare(__doc__)


def main(flags: command.Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network."""
    from baseline_network.training import run

    return run.train(flags)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
