"""Mixed precision: float16 on GPUs, bfloat16 on CPUs, which have no loss to scale."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def policy_name(use_fp16: bool) -> str:
    """The Keras policy for --use_fp16 on the devices at hand: float32, mixed_float16 or mixed_bfloat16.

    Call it when TensorFlow's devices are prepared (`strategy.prepare_devices`).
    """
    if not use_fp16:
        return "float32"
    import tensorflow as tf

    return "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"


def keep_channels_last() -> None:
    """Lets cuDNN normalise float16 batches as they lie; call it before the first batch normalisation runs.

    Without this setting TensorFlow turns every such batch to channels first and back around the fused batch norm in
    training. TensorFlow leaves it off since large values may overflow in it; PyTorch uses it for such batches.
    """
    os.environ.setdefault("TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT", "1")


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
