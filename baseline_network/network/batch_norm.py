"""Batch normalisation over all replicas of a tf.distribute strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


@tf.custom_gradient
def sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
    """The sum of the replicas' values, whose gradient is the sum of the replicas' gradients; call it in a replica.

    The same as `ReplicaContext.all_reduce`. That one looks for variables behind its inputs, which are all replicas' and
    so the whole network before them: on virtual devices the graph of a network of a hundred normalisations took ten
    minutes to make. Behind a stopped gradient it finds nothing to look through.
    """

    def total(local: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(local))

    return total(values), total


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class SynchronizedBatchNorm(tf.keras.layers.BatchNormalization):
    """Keras' batch normalisation with `synchronized=True`, with one reduction instead of three.

    Every replica must have as many samples as the others.
    """

    def __init__(self, **options: Any) -> None:
        """options: of `tf.keras.layers.BatchNormalization`."""
        super().__init__(**{**options, "synchronized": True})

    def _sync_calculate_mean_and_var(
        self, x: tf.Tensor, reduction_axes: Sequence[int], keep_dims: bool, mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Keras' hook: mean and variance of the global batch.
        context = tf.distribute.get_replica_context()
        if context is None or mask is not None:
            return super()._sync_calculate_mean_and_var(x, reduction_axes, keep_dims, mask=mask)
        wide = tf.cast(x, tf.float32)
        count = tf.cast(tf.size(wide) / wide.shape[-1] * context.num_replicas_in_sync, tf.float32)
        sums = tf.stack([tf.reduce_sum(part, reduction_axes, keepdims=True) for part in (wide, tf.square(wide))])
        mean, mean_square = tf.unstack(sum_over_replicas(sums) / count)
        variance = tf.maximum(mean_square - tf.square(mean), 0.0)
        if not keep_dims:
            mean, variance = (tf.squeeze(value, reduction_axes) for value in (mean, variance))
        if x.dtype in (tf.float16, tf.bfloat16):
            mean, variance = tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)
        return mean, variance
