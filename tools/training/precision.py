"""Mixed precision: float16 on GPUs, bfloat16 on CPUs, which have no loss to scale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def policy_name(use_fp16: bool) -> str:
    """The Keras policy for --use_fp16 on the devices at hand: float32, mixed_float16 or mixed_bfloat16.

    Call it when TensorFlow's devices are prepared (`strategy.prepare_devices`).
    """
    if not use_fp16:
        return "float32"
    import tensorflow as tf

    return "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Inside it, `name` is Keras' global policy."""
    import tensorflow as tf

    former = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(former)
