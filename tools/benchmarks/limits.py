"""What the machine can do at most: matrix products by the same TensorFlow, and memory."""

from __future__ import annotations

import concurrent.futures
import os
from typing import Any, Callable

import numpy as np

from tools.benchmarks.common import Row, in_turns

_SIDE = 1024
_PRODUCTS = 8
# Floating-point operations of one call of what `matrix_products` returns.
PRODUCTS_FLOP = _PRODUCTS * 2 * _SIDE**3
_COPIED = 128 << 20


def matrix_products(dtype: str = "float32") -> Callable[[], object]:
    """A call that multiplies square matrices of the networks' width, one after the other as layers do."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    # Orthogonal, so that chained products stay of one size.
    matrix = np.linalg.qr(rng.normal(size=(_SIDE, _SIDE)))[0]
    right, start = tf.constant(matrix, dtype), tf.constant(rng.normal(size=(_SIDE, _SIDE)), dtype)

    @tf.function(autograph=False)
    def run(x: Any) -> Any:
        for _ in range(_PRODUCTS):
            x = tf.matmul(x, right)
        return x

    return lambda: run(start)


def memory_rates(repeats: int = 3) -> list[Row]:
    """How fast all cores together copy memory, in GB/s of what is read and written."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [(np.ones(_COPIED // workers, np.uint8), np.empty(_COPIED // workers, np.uint8)) for _ in range(workers)]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        rates = in_turns({"copy": lambda: list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))}, 1, repeats)
    return [rates["copy"].times(2 * _COPIED / 1e9).row(f"machine: memory, read and written, {workers} threads", "GB/s")]
