"""Crops of pictures that lie on the device, by gathering pixels: plain TensorFlow operations that XLA compiles.

tensorflow-addons' warp, which `crop.warp` is, has no form for XLA. On processors it is the faster of the two.
"""

from __future__ import annotations

import tensorflow as tf

from baseline_network.images import crop


def warp(images: tf.Tensor, transforms: tf.Tensor, resolution: int) -> tf.Tensor:
    """`crop.warp`: crops [B, resolution, resolution, C] float32 of images [B, H, W, C]; bilinear, black outside.

    Args:
      images: of known height, width and channels; uint8 or float32.
      transforms: [B, 2, 3] from pixels of the image to pixels of the crop.
    """
    height, width, channels = images.shape[1:]
    back = crop.invert(transforms)
    middles = tf.range(resolution, dtype=tf.float32) + 0.5
    x, y = middles[None, None, :], middles[None, :, None]
    # Where each pixel of the crop is read, from the middle of the image's first pixel on.
    column, row = (
        back[:, axis, 0, None, None] * x + back[:, axis, 1, None, None] * y + back[:, axis, 2, None, None] - 0.5
        for axis in (0, 1)
    )
    left, top = tf.floor(column), tf.floor(row)
    flat = tf.reshape(images, [-1, height * width, channels])

    def pixel(down: int, right: int) -> tf.Tensor:
        at_row, at_column = top + down, left + right
        inside = (at_row >= 0) & (at_row <= height - 1) & (at_column >= 0) & (at_column <= width - 1)
        place = tf.clip_by_value(at_row, 0, height - 1) * width + tf.clip_by_value(at_column, 0, width - 1)
        index = tf.reshape(tf.cast(place, tf.int32), [-1, resolution * resolution])
        values = tf.reshape(tf.gather(flat, index, batch_dims=1), [-1, resolution, resolution, channels])
        weight = (row - top if down else top + 1 - row) * (column - left if right else left + 1 - column)
        return tf.cast(values, tf.float32) * tf.where(inside, weight, 0.0)[..., None]

    return pixel(0, 0) + pixel(0, 1) + pixel(1, 0) + pixel(1, 1)
