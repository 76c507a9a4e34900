"""Train the baseline network: a picture of a person in, 2D heatmaps and joint depths out.

Published recipe: one stage on pictures with 3D labels (baseline_network/flags/baseline.cfg); the three stages of the
network that it is built on, for the ablation, are stage1_2d.cfg, stage2_depth.cfg and stage3_geometry.cfg, each
starting from the former's export/ with --weights. A training that was stopped or killed is resumed from its last
checkpoint when the same command is given again, and ends with the same weights. At the end the network lies in the
experiment directory's export/, which evaluate.py, predict.py, demo.py and export.py take as --weights.
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
