"""The geometric search, against its published loop in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.benchmarks import limits
from tools.benchmarks.common import PEAK, BenchmarkSettings, Row, in_child, in_turns
from tools.pose.cameras import SEARCH_INTRINSICS
from tools.pose.joints import POSE17

_BATCHES = {"convex": 65_536, "exhaustive": 8_192}
_GOALS = {"convex": 300_000.0, "exhaustive": 2_000.0}
_NOISE_MM = 30.0


def published_loop(pose_3d: np.ndarray, pose_2d: np.ndarray) -> tuple[float, np.ndarray]:
    """The search as published, depth by depth with NumPy's matrices: (depth in mm, refined pose [17, 3] in mm).

    Args:
      pose_3d: [17, 3] mm, root-relative. pose_2d: [17, 2] px of the assumed camera.
    """
    fx, fy, cx, cy = SEARCH_INTRINSICS
    camera = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    pixels = np.vstack([pose_2d.T, np.ones(len(pose_2d))])
    lowest, best, refined = 10000.0, 0.0, pose_3d
    for depth in range(2800, 7200):
        placed = np.linalg.inv(camera) @ pixels @ np.diag(pose_3d[:, 2] + depth)
        placed = placed - placed[:, POSE17.root : POSE17.root + 1]
        cost = np.sum(np.sqrt(np.sum(np.square(placed[:2] - pose_3d[:, :2].T), axis=0)))
        if cost < lowest:
            lowest, best, refined = cost, float(depth), placed.T
    return best, refined


def people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Made people: coarse poses [N, 17, 3] mm, noisy, root-relative; pixels [N, 17, 2]; intrinsics [N, 4]."""
    from tfrecords.source import Options
    from tfrecords.sources import open_source

    source = open_source("synthetic", "", Options(count=min(count, 4096), seed=seed, split="train"))
    records = list(source.records(np.arange(len(source))))
    rows = np.arange(count) % len(records)
    poses, pixels, intrinsics = (
        np.stack([getattr(record, name) for record in records])[rows] for name in ("pose_3d", "pose_2d", "intrinsics")
    )
    noise = np.random.default_rng(seed).normal(0, _NOISE_MM, poses.shape)
    return (poses + noise).astype(np.float32), pixels.astype(np.float32), intrinsics.astype(np.float32)


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    import tensorflow as tf

    from label_generator.lifting.geometric_search import geometric_search

    poses, pixels, _ = people(max(_BATCHES.values()))
    intrinsics = np.array(SEARCH_INTRINSICS, np.float32)

    def search(method: str) -> Any:
        count = settings.count(_BATCHES[method], 1024)
        inputs = tf.constant(poses[:count]), tf.constant(pixels[:count]), tf.constant(intrinsics)
        return count, lambda: geometric_search(*inputs, method=method)

    searches = {method: search(method) for method in _BATCHES}
    looped = max(1, round(2 * settings.scale))

    def loop() -> Any:
        for i in range(looped):
            published_loop(poses[i], pixels[i])

    calls = {"loop": loop, **{method: call for method, (_, call) in searches.items()}}
    rates = in_turns(calls, 1, settings.repeats)
    slow = rates["loop"].times(looped)
    rows = [*limits.memory_rates(), slow.row("published loop, NumPy", "poses/s")]
    for method, (count, _) in searches.items():
        rate = rates[method].times(count)
        rows.append(rate.row(f"{method}, batches of {count:,}", "poses/s", "published loop", slow, _GOALS[method]))
    for count in (settings.count(16_384, 1024), settings.count(131_072, 8192)):
        more = float(in_child(PEAK + _MEMORY, count))
        rows.append(Row(f"exhaustive, {count:,} poses: memory beyond inputs and results", more, "MiB"))
    return rows


# A batch of one chunk comes first, so that compiling does not count.
_MEMORY = """
import sys
import numpy as np, tensorflow as tf
from label_generator.lifting.geometric_search import geometric_search
from tools.benchmarks.search import people
count = int(sys.argv[1])
poses, pixels, intrinsics = (tf.constant(x) for x in people(count))
run = lambda n: geometric_search(poses[:n], pixels[:n], intrinsics[:n], method="exhaustive")
run(512)
before = peak_mib()
found = run(count)
print(peak_mib() - before - sum(x.numpy().nbytes for x in found) / 2**20)
"""
