"""Batches of poses for training: an order that is a function of seed and epoch, so that a resumed run sees the same."""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf

from tools.errors import InputError


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Full batches in one pass; the rest is dropped in training, as in the original.

    Raises:
      InputError: there is not even one.
    """
    if count < batch_size:
        raise InputError(f"{count} training poses do not fill one batch of --batch_size={batch_size}")
    return count // batch_size


def batches(
    arrays: dict[str, np.ndarray],
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    transform: Callable | None = None,
) -> tf.data.Dataset:
    """Shuffled batches of arrays held in memory, epoch after epoch.

    Args:
      arrays: arrays [N, ...] by name.
      first_epoch, epochs: the epochs first_epoch .. epochs-1 are yielded, one after the other.
      transform: takes (batch by name, step) inside the graph, step [] int64 counted from the beginning of training;
        what it returns is yielded. None: the batch as it is.
    """
    count = len(next(iter(arrays.values())))
    steps = steps_per_epoch(count, batch_size)
    # Eager tensors are captured by reference; as graph constants they would be copied and meet protobuf's 2 GB limit.
    tensors = {name: tf.constant(array) for name, array in arrays.items()}

    def rows_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, tf.cast(epoch, tf.int32)])
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[: steps * batch_size], [steps, batch_size]))

    def pick(step: tf.Tensor, rows: tf.Tensor):
        batch = {name: tf.gather(tensor, rows) for name, tensor in tensors.items()}
        return transform(batch, step) if transform else batch

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(rows_of_epoch)
    dataset = dataset.enumerate(start=first_epoch * steps)
    return dataset.map(pick, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
