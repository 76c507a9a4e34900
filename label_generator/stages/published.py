"""The published stages by name."""

from __future__ import annotations

from label_generator.stages import direct, left2right, pose3d
from label_generator.stages.stage import Stage
from tools.cli.errors import InputError

# Every stage that has a network, in the order in which they are trained.
STAGES: dict[str, Stage] = {stage.name: stage for stage in (left2right.STAGE, pose3d.STAGE, direct.STAGE)}
# The two subnetworks of the paper, in the order in which they run.
PAPER: tuple[Stage, ...] = (left2right.STAGE, pose3d.STAGE)


def stage_named(name: str) -> Stage:
    """The stage of that name; raises `InputError` when there is none."""
    if name not in STAGES:
        raise InputError(f"unknown stage {name!r}: expected one of {', '.join(STAGES)}")
    return STAGES[name]
