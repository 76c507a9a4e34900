"""Errors of many poses, against SciPy pose by pose."""

from __future__ import annotations

import sys

import numpy as np

from tools.benchmarks.common import BenchmarkSettings, Row, in_turns
from tools.pose import metrics


def scipy_p_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[N] the P-MPJPE of poses [N, J, 3] in mm, one after the other; SciPy also mirrors poses where that is nearer."""
    from scipy.spatial import procrustes

    errors = np.empty(len(truth))
    for i, (pose, target) in enumerate(zip(predicted, truth)):
        size = np.linalg.norm(target - target.mean(0))
        standard, aligned, _ = procrustes(target, pose)
        errors[i] = np.linalg.norm(standard - aligned, axis=1).mean() * size
    return errors


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    rng = np.random.default_rng(0)
    count, looped = settings.count(1_000_000, 1000), settings.count(2000)
    truth = rng.normal(0, 300, (count, 17, 3)).astype(np.float32)
    predicted = truth + rng.normal(0, 50, truth.shape).astype(np.float32)
    calls = {"ours": lambda: metrics.p_mpjpe(predicted, truth)}
    try:
        scipy_p_mpjpe(predicted[:2], truth[:2])
    except ImportError:
        print("SciPy is not installed: its loop is left out", file=sys.stderr)
    else:
        calls["loop"] = lambda: scipy_p_mpjpe(predicted[:looped], truth[:looped])
    rates = in_turns(calls, 1, min(settings.repeats, 5))
    ours, loop = rates["ours"].times(count), rates["loop"].times(looped) if "loop" in rates else None
    rows = [loop.row("P-MPJPE, SciPy in a loop", "poses/s")] if loop else []
    return [*rows, ours.row(f"P-MPJPE, {count:,} poses", "poses/s", "SciPy in a loop" if loop else "", loop, 50.0)]
