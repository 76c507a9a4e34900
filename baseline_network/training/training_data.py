"""Batches for training the baseline network: several sets of records mixed, cropped, varied, with targets.

Everything random is a function of seed, set and step, so a training that is resumed at a step sees what it would have
seen. Pictures are decoded in the graph (no Python), so the pipeline runs on all cores beside the training step.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from baseline_network.images import augment, crop
from baseline_network.network import targets
from baseline_network.training.reviewed import Reviewed
from tfrecords import reader
from tfrecords.formats import images
from tfrecords.storage import example, framing
from tools.cli.errors import InputError
from tools.training import data_service

FIELDS = ("image", "image_size", "box", "pose_2d", "provenance_2d", "pose_3d", "provenance_3d", "quality")
# Records in the buffer of the shuffle: pictures are large.
_SHUFFLE_BUFFER = 2048


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """One set of training records.

    Attributes:
      where: as `reader.find` takes it.
      share: how many of a batch's pictures come from it.
      varied: whether its pictures are augmented.
      scaled_3d: whether its 2D is taken from the scaled 3D pose (`targets.make_targets`).
      reviewed: which of its records are taken; None: all.
    """

    where: str
    share: int
    varied: bool = True
    scaled_3d: bool = False
    reviewed: Reviewed | None = None


@dataclasses.dataclass(frozen=True)
class BatchOptions:
    """What the pipeline makes of records.

    Attributes:
      resolution: side of the crops in px.
      margin: side of the crop over the longer side of the person's box, before variation.
      seed: of order and variation.
      augmentation: how pictures are varied.
      quality_power: a generated label's depths weigh its quality to this power.
      min_quality: depths of labels of a lower quality are left out.
      subpixel: heatmaps are about the joints themselves, not about their pixels (`targets.heatmaps`, exact).
    """

    resolution: int
    margin: float = crop.BOX_MARGIN
    seed: int = 0
    augmentation: augment.Augmentation = augment.PUBLISHED
    quality_power: float = 0.0
    min_quality: float = 0.0
    subpixel: bool = False


def shares(batch_size: int, ratio: Sequence[float]) -> list[int]:
    """How many of `batch_size` pictures each set gives: whole numbers nearest to the ratio, at least one each.

    Raises:
      InputError: a number of the ratio is not above 0, or there are more sets than pictures in a batch.
    """
    weights = np.asarray(ratio, np.float64)
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError(f"a ratio of sets must be of numbers above 0, is {','.join(map(str, weights))}")
    if len(weights) > batch_size:
        raise InputError(f"--batch_size={batch_size}: {len(weights)} sets need a picture each in every batch")
    exact = weights / weights.sum() * batch_size
    whole = np.maximum(np.floor(exact), 1).astype(int)
    while whole.sum() < batch_size:
        whole[np.argmax(exact - whole)] += 1
    while whole.sum() > batch_size:
        whole[np.argmax(np.where(whole > 1, whole - exact, -np.inf))] -= 1
    return whole.tolist()


def make_batches(
    sets: Sequence[TrainingSet],
    setup: BatchOptions,
    start_step: int = 0,
    rows: tuple[int, int] | None = None,
    mine: data_service.Mine = data_service.everything,
) -> tf.data.Dataset:
    """Endless batches from `start_step` on.

    Args:
      rows: (first, end) of the batch's rows that are made, pictures of others not being decoded; None: all. The rows
        are the same whichever are made beside them.
      mine: leaves some of the batches, before pictures are decoded (`tools.training.data_service`).

    Returns:
      a dataset of dicts: images [B, r, r, 3] float32 RGB, 0 to 255; those of `targets.make_targets`; depth_weights [B].
    """
    first, end = rows or (0, sum(one.share for one in sets))
    parts, before = [], 0
    for number, one in enumerate(sets):
        row_slice = slice(max(first - before, 0), min(end - before, one.share))
        if row_slice.start < row_slice.stop:
            parts.append(_batches_of(one, number, setup, start_step, row_slice, mine))
        before += one.share
    batches = parts[0]
    if len(parts) > 1:
        batches = tf.data.Dataset.zip(tuple(parts)).map(
            lambda *several: {name: tf.concat([one[name] for one in several], 0) for name in several[0]},
            tf.data.AUTOTUNE,
            deterministic=True,
        )
    return batches.prefetch(tf.data.AUTOTUNE)


def _batches_of(
    one: TrainingSet,
    number: int,
    setup: BatchOptions,
    start_step: int,
    row_slice: slice,
    mine: data_service.Mine,
) -> tf.data.Dataset:
    records = reader.dataset(
        one.where,
        one.share,
        FIELDS,
        shuffle_seed=setup.seed + number,
        start_step=start_step,
        epochs=None,
        drop_remainder=True,
        shuffle_buffer=_SHUFFLE_BUFFER,
        chosen=one.reviewed,
    )
    steps = tf.data.Dataset.range(start_step, tf.int64.max)

    def make(step: tf.Tensor, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # Another stream of random numbers for each set.
        seed = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(setup.seed, tf.int64), step]), number)
        return prepare(record, setup, seed if one.varied else None, one.scaled_3d, row_slice)

    return mine(tf.data.Dataset.zip((steps, records))).map(make, tf.data.AUTOTUNE, deterministic=True)


def prepare(
    record: dict[str, tf.Tensor],
    setup: BatchOptions,
    seed: tf.Tensor | None,
    scaled_3d: bool = False,
    row_slice: slice = slice(None),
) -> dict:
    """One batch for the network from a batch of records with `FIELDS`.

    Args:
      seed: None: nothing is varied.
      scaled_3d: see `TrainingSet`.
      row_slice: the rows that are produced.
    """
    boxes = crop.person_boxes(record["box"], record["pose_2d"], record["image_size"])
    centres, sides = crop.box_squares(boxes, setup.margin)
    if seed is None:
        transforms, mirrored = crop.crop_transforms(centres, sides, setup.resolution), tf.zeros_like(sides, tf.bool)
    else:
        transforms, mirrored = augment.random_transforms(centres, sides, setup.resolution, seed, setup.augmentation)
    # Drawn for all, so that a row's numbers are the same whichever rows are made.
    count = tf.shape(sides)[0]
    transforms, mirrored = transforms[row_slice], mirrored[row_slice]
    record = {name: value[row_slice] for name, value in record.items()}
    images = crop.crop_files(record["image"], transforms, setup.resolution)
    if seed is not None:
        images = augment.random_colours(images, seed, setup.augmentation, among=(row_slice, count))
    batch = targets.make_targets(
        record, transforms, mirrored, setup.resolution, scaled_3d=scaled_3d, exact=setup.subpixel
    )
    # Annotated and captured labels have no quality and count as exact.
    quality = tf.where(tf.math.is_finite(record["quality"]), record["quality"], 1.0)
    batch["depth_mask"] &= (quality >= setup.min_quality)[:, None]
    return {"images": images, **batch, "depth_weights": tf.pow(quality, setup.quality_power)}


@contextlib.contextmanager
def named_pictures(wheres: Sequence[reader.Where]) -> Iterator[None]:
    """Inside it, TensorFlow's errors about records and pictures become an `InputError` that names shard and record."""
    try:
        yield
    except reader.damage_errors() as error:
        for where in wheres:
            problem = reader.first_damage(where) or first_bad_picture(where)
            if problem:
                raise InputError(problem) from error
        raise


def first_bad_picture(where: reader.Where) -> str:
    """Names the first record without a picture that can be decoded, or '' when all can."""
    for file in reader.find(where).files:
        for number, data in enumerate(framing.read_frames(file)):
            image = example.decode_fields(data).get("image", b"")
            if not image:
                return f"{file}: record {number} has no picture; convert with --images"
            if images.pixels(image) is None:
                return f"{file}: record {number}: its picture can't be decoded, or is too large"
    return ""


def check_first(where: reader.Where, flag: str) -> None:
    """Raises `InputError` when the first record has no picture, which means that none has."""
    batch = next(iter(reader.dataset(where, 1, ["image", "file"])))
    if not batch["image"].numpy()[0]:
        raise InputError(f"--{flag}={where}: the records have no pictures; convert with --images")
