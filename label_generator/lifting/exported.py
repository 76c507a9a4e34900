"""What an exported label generator says of itself, and how far it is from the one that it was made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from label_generator.lifting import canonical_view, portable
from label_generator.lifting.lifter import Lifter
from label_generator.lifting.portable import Runner
from label_generator.lifting.settings import REASONS
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tfrecords.storage import manifest
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

METADATA = "metadata.json"
FORMAT = 1
# Poses on which a file is compared, and how far its labels may be away. In float32: poses and roots relative to their
# size, but not to less than a metre. The search's cost is flat around its least, so that in float32 the root's depth is
# only known to some 1e-4 of itself. With matrices in float16: poses in mm.
COMPARED = 64
RELATIVE_BOUND, ROOT_BOUND, HALF_BOUND_MM = 1e-4, 1e-3, 5.0
_LEAST_MM = 1000.0


def metadata(lifter: Lifter, kind: str, batch: int | None) -> dict[str, Any]:
    """Everything that a program needs to call an exported chain: joints, units, axes, camera and settings.

    Args:
      kind: the format. batch: poses in one call; None: any number.
    """
    rows = "B" if batch is None else batch
    published = lifter.recipe == "published"
    return {
        "format": FORMAT,
        "kind": kind,
        "version": manifest.project_version(),
        "recipe": lifter.recipe,
        "stages": list(lifter.stages),
        "weights": lifter.name_of_weights,
        "joints": list(POSE17.joints),
        "parents": list(POSE17.parents),
        "root": POSE17.joints[POSE17.root],
        "axes": "of the camera: x right, y down, z away from it",
        "inputs": {
            "poses_2d": {
                "shape": [rows, POSE17.size, 2],
                "unit": "px, without lens distortion; NaN at missing joints",
            },
            "intrinsics": {"shape": [rows, 4], "unit": "fx, fy, cx, cy in px; NaN where the camera is unknown"},
            "joint_mask": {"shape": [rows, POSE17.size], "unit": "true at labelled joints"},
        },
        "outputs": {
            "pose_3d": {"shape": [rows, POSE17.size, 3], "unit": "mm relative to the root; NaN without a label"},
            "root_3d": {"shape": [rows, 3], "unit": "mm from the camera; nominal where intrinsics are unknown"},
            "quality": {"shape": [rows], "unit": "0 to 1, exp(-expected error / 100 mm)"},
            "joint_quality": {"shape": [rows, POSE17.size], "unit": "0 to 1"},
            "expected_error_mm": {"shape": [rows], "unit": "mm"},
            "residual_mm": {"shape": [rows], "unit": "mm"},
            "at_range_end": {"shape": [rows], "unit": "whether the depth is at an end of the range"},
            "nominal": {"shape": [rows], "unit": "whether the intrinsics are unknown"},
            "reason": {"shape": [rows], "unit": "0 where there is a label, else an index into reasons"},
        },
        "reasons": list(REASONS),
        "camera": {
            "model": "pinhole, square pixels where intrinsics are unknown",
            "unknown": f"scaled to a nominal distance of {canonical_view.NOMINAL_MM:g} mm",
            "missing_joints": "refused" if published else "allowed",
            "depth_range_mm": [lifter.settings.min_depth_mm, lifter.settings.max_depth_mm],
        },
        "settings": dataclasses.asdict(lifter.settings),
    }


def sample(count: int = COMPARED) -> dict[str, np.ndarray]:
    """Inputs for comparisons: synthetic people with 3 px of noise, of whom every other has an unknown camera, every
    third lacks a wrist, and the last has four joints."""
    source = open_source("synthetic", "", Options(count=count, seed=3, split="test", cameras_style="wild"))
    records = [record for record in source.records(np.arange(count)) if not isinstance(record, Skip)]
    noise = np.random.default_rng(3).normal(0.0, 3.0, (len(records), POSE17.size, 2))
    poses = (np.stack([record.pose_2d for record in records]) + noise).astype(np.float32)
    intrinsics = np.stack([record.intrinsics for record in records]).astype(np.float32)
    intrinsics[1::2] = np.nan
    poses[::3, POSE17.index("LWrist")] = np.nan
    poses[-1, 4:] = np.nan
    return {"poses_2d": poses, "intrinsics": intrinsics, "joint_mask": np.isfinite(poses).all(-1)}


def compare(lifter: Lifter, run: Runner, inputs: dict[str, np.ndarray]) -> dict[str, float]:
    """How far the labels of an exported chain are from the lifter's.

    Returns:
      'max_pose_mm', 'max_root_mm', 'max_quality': largest differences; 'max_relative', 'max_root_relative': of joints
      and of roots, over their own size or a metre. 'poses', 'labels': how many were compared, and have a label.

    Raises:
      InputError: a pose has a label, or a reason, that the lifter does not give it.
    """
    parts = [run({name: rows[i : i + 1] for name, rows in inputs.items()}) for i in range(len(inputs["poses_2d"]))]
    theirs = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in portable.OUTPUTS}
    lifted = lifter.lift(*(inputs[name] for name in ("poses_2d", "intrinsics", "joint_mask")))
    ours = {name: getattr(lifted, name).numpy() for name in portable.OUTPUTS}
    for name in ("reason", "nominal"):
        if not np.array_equal(ours[name], theirs[name]):
            raise InputError(f"the exported chain differs in '{name}' of {np.sum(ours[name] != theirs[name])} poses")
    good = ours["reason"] == 0
    apart = {name: np.abs(ours[name][good] - theirs[name][good]) for name in ("pose_3d", "root_3d", "quality")}
    pose, root = (apart[name] / np.maximum(np.abs(ours[name][good]), _LEAST_MM) for name in ("pose_3d", "root_3d"))
    return {
        "poses": len(good),
        "labels": int(good.sum()),
        "max_pose_mm": float(apart["pose_3d"].max()),
        "max_root_mm": float(apart["root_3d"].max()),
        "max_quality": float(apart["quality"].max()),
        "max_relative": float(pose.max()),
        "max_root_relative": float(root.max()),
    }


def check(figures: dict[str, float], half: bool) -> None:
    """Raises `InputError` when an exported chain is further from its lifter than its number format explains."""
    if half and not figures["max_pose_mm"] <= HALF_BOUND_MM:
        raise InputError(f"poses in float16 are {figures['max_pose_mm']:.2g} mm away, more than {HALF_BOUND_MM:g} mm")
    for name, bound in (("max_relative", RELATIVE_BOUND), ("max_root_relative", ROOT_BOUND)):
        if not half and not figures[name] <= bound:
            raise InputError(f"labels are {figures[name]:.2g} of their size away ({name}), more than {bound:g}")
