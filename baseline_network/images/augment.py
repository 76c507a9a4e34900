"""Random crops and colours for training the baseline network, drawn in the graph from (seed, step) alone.

The published augmentation is the default: scale 2^N(0, 0.25), turning by N(0, 30) degrees for 40 % of the pictures,
both cut at two sigma, mirroring of half of them, brightness of each colour channel U(0.6, 1). What else there is here
is off unless asked for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from baseline_network.images import crop

# Random numbers are clipped to this number of standard deviations.
_CUT = 2.0
_GREY = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How pictures are varied; `NONE` is no variation.

    Attributes:
      scale_spread: standard deviation of the base-2 logarithm of the crop's side.
      turned_share, turn_spread_deg: how many pictures are turned, and by how much.
      mirrored_share: how many are mirrored.
      brightness: range of the factor of each colour channel.
      shift: the crop's centre moves by up to this share of its side, along x and along y.
      contrast: the picture's contrast changes by a factor of up to 1 +- this.
      grey_share: how many pictures lose their colours.
      noise: largest standard deviation of noise on the values, which go from 0 to 255.
      covered_share: how many pictures lose a rectangle to one colour, of up to 0.4 of the crop's side.
    """

    scale_spread: float = 0.25
    turned_share: float = 0.4
    turn_spread_deg: float = 30.0
    mirrored_share: float = 0.5
    brightness: tuple[float, float] = (0.6, 1.0)
    shift: float = 0.0
    contrast: float = 0.0
    grey_share: float = 0.0
    noise: float = 0.0
    covered_share: float = 0.0


PUBLISHED = Augmentation()
NONE = Augmentation(scale_spread=0.0, turned_share=0.0, mirrored_share=0.0, brightness=(1.0, 1.0))


def _normal(shape: Sequence[int | tf.Tensor] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.random.stateless_normal(shape, seed), -_CUT, _CUT)


def random_transforms(
    centres: tf.Tensor,
    sides: tf.Tensor,
    resolution: int,
    seed: tf.Tensor,
    settings: Augmentation = PUBLISHED,
    varied: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Transforms from the picture to crops that are scaled, turned, shifted and mirrored at random.

    Args:
      centres [B, 2], sides [B]: the squares without variation, px of the picture (`crop.box_squares`).
      resolution: side of the crop in pixels.
      seed: [2] integers, for example (run's seed, step); the same seed draws the same.
      varied: [B] bool, which samples are varied; None: all. (The published code leaves Human3.6M as it is.)

    Returns:
      transforms [B, 2, 3] and mirrored [B] bool, for `crop.crop_files` or `crop.warp` and `targets.make_targets`.
    """
    count = tf.shape(sides)[0]
    varied = tf.ones([count], tf.bool) if varied is None else varied
    amount = tf.cast(varied, tf.float32)
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 5), 5)
    scale = tf.pow(2.0, settings.scale_spread * amount * _normal([count], seeds[0]))
    turned = tf.random.stateless_uniform([count], seeds[1]) < settings.turned_share
    angles = _normal([count], seeds[2]) * math.radians(settings.turn_spread_deg)
    mirrored = (tf.random.stateless_uniform([count], seeds[3]) < settings.mirrored_share) & varied
    shift = tf.random.stateless_uniform([count, 2], seeds[4], -settings.shift, settings.shift) * amount[:, None]
    centres = centres + shift * sides[:, None]
    angles = tf.where(turned & varied, angles, 0.0)
    return crop.crop_transforms(centres, sides * scale, resolution, angles, mirrored), mirrored


def random_colours(
    images: tf.Tensor,
    seed: tf.Tensor,
    settings: Augmentation = PUBLISHED,
    varied: tf.Tensor | None = None,
    among: tuple[slice, tf.Tensor] | None = None,
) -> tf.Tensor:
    """Images [B, r, r, 3], 0 to 255, with other colours, noise and covered parts; float32, 0 to 255.

    Args:
      seed, settings, varied: as in `random_transforms`.
      among: where these are rows of a larger batch, which rows and how many it has: each gets what it would get there.
    """
    images = tf.cast(images, tf.float32)
    side = tf.shape(images)[1]
    row_slice, count = among or (slice(None), tf.shape(images)[0])
    # Another stream than the transforms', which may be drawn from the same seed.
    seeds = tf.unstack(tf.random.experimental.stateless_split(tf.random.experimental.stateless_fold_in(seed, 1), 5), 5)
    result = images
    if settings.grey_share:
        grey = tf.reduce_sum(result * _GREY, -1, keepdims=True)
        chosen = tf.random.stateless_uniform([count, 1, 1, 1], seeds[0])[row_slice] < settings.grey_share
        result = tf.where(chosen, grey, result)
    if settings.contrast:
        low, high = 1 - settings.contrast, 1 + settings.contrast
        factor = tf.random.stateless_uniform([count, 1, 1, 1], seeds[1], low, high)[row_slice]
        mean = tf.reduce_mean(result, [1, 2, 3], keepdims=True)
        result = mean + factor * (result - mean)
    low, high = settings.brightness
    if (low, high) != (1.0, 1.0):
        result *= tf.random.stateless_uniform([count, 1, 1, 3], seeds[2], low, high)[row_slice]
    if settings.noise:
        first, second = tf.unstack(tf.random.experimental.stateless_split(seeds[3], 2), 2)
        spread = tf.random.stateless_uniform([count, 1, 1, 1], first, 0.0, settings.noise)[row_slice]
        # Image by image: numbers for images that are not here would take longer than all else.
        result += spread * tf.map_fn(
            lambda row: tf.random.stateless_normal(
                tf.shape(result)[1:], tf.random.experimental.stateless_fold_in(second, row)
            ),
            tf.range(count)[row_slice],
            fn_output_signature=tf.TensorSpec(result.shape[1:], tf.float32),
        )
    if settings.covered_share:
        result = _covered(result, side, seeds[4], settings.covered_share, row_slice, count)
    if varied is not None:
        result = tf.where(varied[:, None, None, None], result, images)
    may_leave_range = settings.contrast or settings.noise or high > 1.0
    return tf.clip_by_value(result, 0.0, 255.0) if may_leave_range else result


def _covered(
    images: tf.Tensor, side: int, seed: tf.Tensor, share: float, row_slice: slice, count: tf.Tensor
) -> tf.Tensor:
    """Rectangles of one random colour over a share of the images."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3), 3)
    chosen = tf.random.stateless_uniform([count, 1], seeds[0])[row_slice] < share
    draws = tf.random.stateless_uniform([count, 4], seeds[1])[row_slice]
    centre = draws[:, :2] * tf.cast(side, tf.float32)
    half = draws[:, 2:] * 0.2 * tf.cast(side, tf.float32)
    places = tf.range(side, dtype=tf.float32)[None] + 0.5
    columns = (tf.abs(places - centre[:, :1]) < half[:, :1]) & chosen
    rows = tf.abs(places - centre[:, 1:]) < half[:, 1:]
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(inside, tf.random.stateless_uniform([count, 1, 1, 3], seeds[2], 0.0, 255.0)[row_slice], images)
