"""Training batches from decoded pictures in memory, cropped and varied on the device inside the training step.

For GPUs, which a processor that decodes, warps and colours every picture anew cannot feed: here it only copies. A
picture is kept as a window around its person, at the network's scale, large enough for the crops that are varied from
it; what a crop shows beyond the window is black.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from baseline_network.images import augment, crop, gathered
from baseline_network.network import targets
from baseline_network.training import training_data
from tfrecords import reader

# The window's side over the crop's. Crops are turned, shifted, and enlarged by 2^(2 x scale_spread) at most.
REACH = 1.5
_LOADED_AT_ONCE = 16
# Of a record, what targets are made of; no texts, which a compiled step could not take.
_FIELDS = ("pose_2d", "provenance_2d", "pose_3d", "provenance_3d")


def window_side(resolution: int) -> int:
    """Side of the windows of a network's crops, px."""
    return round(REACH * resolution)


def load(one: training_data.TrainingSet, setup: training_data.BatchOptions) -> dict[str, np.ndarray]:
    """The records of a set in the order in which they were written, as arrays [N, ...].

    Returns:
      windows [N, s, s, 3] uint8 RGB; centres [N, 2] and sides [N], the crop's square in px of the picture; quality [N],
      1 where there is none; and of the records pose_2d, pose_3d and their provenances.
    """
    side = window_side(setup.resolution)

    def look(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        boxes = crop.person_boxes(record["box"], record["pose_2d"], record["image_size"])
        centres, sides = crop.box_squares(boxes, setup.margin)
        pixels = crop.crop_files(record["image"], crop.crop_transforms(centres, sides * REACH, side), side)
        # Annotated and captured labels have no quality and count as exact.
        quality = tf.where(tf.math.is_finite(record["quality"]), record["quality"], 1.0)
        windows = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
        kept = {name: record[name] for name in _FIELDS}
        return {"windows": windows, "centres": centres, "sides": sides, "quality": quality, **kept}

    records = reader.dataset(one.where, _LOADED_AT_ONCE, training_data.FIELDS, chosen=one.reviewed)
    count = len(reader.find(one.where)) if one.reviewed is None else one.reviewed.count
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for batch in records.map(look, tf.data.AUTOTUNE, deterministic=True).prefetch(2).as_numpy_iterator():
        for name, values in batch.items():
            if name not in arrays:
                arrays[name] = np.empty((count, *values.shape[1:]), values.dtype)
            arrays[name][at : at + len(values)] = values
        at += len(values)
    return arrays


def make_batches(
    sets: Sequence[training_data.TrainingSet],
    arrays: Sequence[dict[str, np.ndarray]],
    setup: training_data.BatchOptions,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches from `start_step` on, for `prepare`.

    Args:
      arrays: of `load`, of each of the sets.

    Returns:
      a dataset of dicts: those of `load` [B, ...]; varied and scaled_3d [B] bool, of the rows' sets; seeds [B, 2], all
      different.
    """
    size = sum(one.share for one in sets)
    parts = [
        reader.from_arrays(
            values, one.share, shuffle_seed=setup.seed + number, start_step=start_step, epochs=None, drop_remainder=True
        )
        for number, (one, values) in enumerate(zip(sets, arrays))
    ]
    varied, scaled_3d = (
        np.repeat([getattr(one, name) for one in sets], [one.share for one in sets]) for name in ("varied", "scaled_3d")
    )

    def join(step: tf.Tensor, *several: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = step * size + tf.range(size, dtype=tf.int64)
        return {
            **{name: tf.concat([one[name] for one in several], 0) for name in several[0]},
            "varied": tf.constant(varied),
            "scaled_3d": tf.constant(scaled_3d),
            "seeds": tf.stack([tf.fill([size], tf.constant(setup.seed, tf.int64)), rows], 1),
        }

    steps = tf.data.Dataset.range(start_step, tf.int64.max)
    joined = tf.data.Dataset.zip((steps, *parts)).map(join, tf.data.AUTOTUNE, deterministic=True)
    return joined.prefetch(tf.data.AUTOTUNE)


def prepare(batch: dict[str, tf.Tensor], setup: training_data.BatchOptions) -> dict[str, tf.Tensor]:
    """What `training_data.prepare` makes, from a batch of `make_batches` or a replica's rows of it; XLA compiles it."""
    seed = batch["seeds"][0]  # no other batch and no other replica has this one
    transforms, mirrored = augment.random_transforms(
        batch["centres"], batch["sides"], setup.resolution, seed, setup.augmentation, batch["varied"]
    )
    to_windows = crop.crop_transforms(batch["centres"], batch["sides"] * REACH, window_side(setup.resolution))
    images = gathered.warp(batch["windows"], _after(transforms, crop.invert(to_windows)), setup.resolution)
    images = augment.random_colours(images, seed, setup.augmentation, batch["varied"])
    result = _targets(batch, transforms, mirrored, setup)
    result["depth_mask"] &= (batch["quality"] >= setup.min_quality)[:, None]
    return {"images": images, **result, "depth_weights": tf.pow(batch["quality"], setup.quality_power)}


def _targets(
    batch: dict[str, tf.Tensor], transforms: tf.Tensor, mirrored: tf.Tensor, setup: training_data.BatchOptions
) -> dict[str, tf.Tensor]:
    by_pose_2d, by_scaled_3d = (
        targets.make_targets(batch, transforms, mirrored, setup.resolution, scaled_3d=scaled, exact=setup.subpixel)
        for scaled in (False, True)
    )

    def choose(name: str) -> tf.Tensor:
        scaled = tf.reshape(batch["scaled_3d"], [-1] + [1] * (by_pose_2d[name].shape.rank - 1))
        return tf.where(scaled, by_scaled_3d[name], by_pose_2d[name])

    return {name: choose(name) for name in by_pose_2d}


def _after(second: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """One transform [B, 2, 3] for two in a row."""
    linear = tf.matmul(second[..., :2], first[..., :2])
    return tf.concat([linear, tf.matmul(second[..., :2], first[..., 2:]) + second[..., 2:]], -1)
