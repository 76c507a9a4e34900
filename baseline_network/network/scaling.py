"""Halving and doubling the resolution of maps [B, h, w, C], in the forms of `tools.training.op_forms`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tools.training import op_forms

_Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class AddUpsampled(tf.keras.layers.Layer):
    """fine [B, 2h, 2w, C] + coarse [B, h, w, C], the coarse one enlarged to the nearest pixel.

    On processors and in XLA's loops by broadcasting, which does not write the enlarged map to memory. TensorFlow's own
    broadcast over six axes is a slow kernel on GPUs, so there a resize and an addition do it. The gradient is a pooling
    everywhere: that of TensorFlow's resize adds up atomically on GPUs, and is refused under deterministic operations.
    """

    def __init__(self, form: str = op_forms.CPU, **options: Any) -> None:
        """form: one of `op_forms.FORMS`."""
        super().__init__(**options)
        self.form = form

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """inputs: (fine, coarse); returns [B, 2h, 2w, C]."""
        return (_add_resized if self.form == op_forms.GPU else _add_broadcast)(*inputs)

    def get_config(self) -> dict[str, Any]:
        """For Keras' serialisation."""
        return {**super().get_config(), "form": self.form}


def _gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # The sum over blocks of two by two. Summing over two of six axes, as TensorFlow would, takes ten times as long.
    return upstream, 4.0 * tf.nn.avg_pool2d(upstream, 2, 2, "VALID")


@tf.custom_gradient
def _add_broadcast(fine: tf.Tensor, coarse: tf.Tensor) -> tuple[tf.Tensor, _Gradient]:
    _, height, width, channels = coarse.shape
    blocks = tf.reshape(fine, [-1, height, 2, width, 2, channels])
    total = blocks + tf.reshape(coarse, [-1, height, 1, width, 1, channels])
    return tf.reshape(total, [-1, 2 * height, 2 * width, channels]), _gradient


@tf.custom_gradient
def _add_resized(fine: tf.Tensor, coarse: tf.Tensor) -> tuple[tf.Tensor, _Gradient]:
    enlarged = tf.raw_ops.ResizeNearestNeighbor(images=coarse, size=tf.shape(fine)[1:3], half_pixel_centers=True)
    return fine + enlarged, _gradient


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class BlockMax(tf.keras.layers.Layer):
    """The maximum of blocks of two by two, [B, 2h, 2w, C] -> [B, h, w, C]: max pooling in the form for XLA on GPUs.

    Of equal maxima the first, row by row, gets the gradient, as in TensorFlow's max pooling. XLA makes that one of
    select-and-scatter, which is slow on GPUs and refused under deterministic operations; this is elementwise.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """inputs: [B, 2h, 2w, C]."""
        return _block_max(inputs)


@tf.custom_gradient
def _block_max(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    _, height, width, channels = x.shape
    blocks = tf.reshape(x, [-1, height // 2, 2, width // 2, 2, channels])
    corners = [blocks[:, :, i, :, j] for i in range(2) for j in range(2)]
    largest = tf.maximum(tf.maximum(corners[0], corners[1]), tf.maximum(corners[2], corners[3]))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        free, parts = tf.ones_like(largest, tf.bool), []
        for corner in corners:
            first = free & (corner >= largest)
            parts.append(tf.where(first, upstream, tf.zeros_like(upstream)))
            free &= ~first
        rows = [tf.stack(parts[:2], 3), tf.stack(parts[2:], 3)]  # [B, h, w, 2, C] each
        return tf.reshape(tf.stack(rows, 2), [-1, height, width, channels])

    return largest, gradient
