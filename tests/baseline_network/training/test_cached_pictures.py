"""Batches from pictures kept in memory: the same as from files where nothing is varied, and varied ones that fit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import augment, crop, gathered
from baseline_network.network import targets
from baseline_network.training import cached_pictures, training_data
from baseline_network.training.training_data import BatchOptions, TrainingSet
from tfrecords import reader

LIVELY = augment.Augmentation(shift=0.05, contrast=0.3, grey_share=0.2, covered_share=0.3)


@pytest.fixture(scope="module")
def sets(pictured_records):
    return [
        TrainingSet(str(pictured_records / "train.tfrecord"), 5),
        TrainingSet(str(pictured_records / "test.tfrecord"), 3, varied=False, scaled_3d=True),
    ]


@pytest.fixture(scope="module")
def arrays(sets):
    return [cached_pictures.load(one, BatchOptions(64)) for one in sets]


def taken(sets, arrays, setup, start, count):
    batches = cached_pictures.make_batches(sets, arrays, setup, start).take(count)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches]


def test_gathered_pixels_are_those_of_the_warp():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, [4, 48, 40, 3]).astype(np.uint8)
    centres, sides = rng.uniform(-5, 50, [4, 2]).astype(np.float32), rng.uniform(10, 90, 4).astype(np.float32)
    angles = tf.constant([0.0, 0.4, -2.0, 3.0])
    transforms = crop.crop_transforms(centres, sides, 32, angles, tf.constant([False, True, False, True]))
    expected = crop.warp(tf.constant(images), transforms, 32).numpy()
    assert np.count_nonzero(expected)
    assert not expected.all()
    np.testing.assert_allclose(gathered.warp(tf.constant(images), transforms, 32).numpy(), expected, atol=0.1)


def test_without_variation_batches_are_those_made_from_files(sets):
    """Each window is read twice, once into memory: pictures differ by that smoothing alone, targets not at all."""
    setup = BatchOptions(64, augmentation=augment.NONE, quality_power=0.5, subpixel=True)
    for one in sets:
        cached = cached_pictures.load(one, setup)
        record = next(iter(reader.dataset(one.where, len(cached["sides"]), training_data.FIELDS)))
        count = len(cached["sides"])
        expected = training_data.prepare(record, setup, None, one.scaled_3d)
        marks = {"varied": np.zeros(count, bool), "scaled_3d": np.full(count, one.scaled_3d)}
        batch = {**cached, **marks, "seeds": np.zeros([count, 2], np.int64)}
        made = cached_pictures.prepare({name: tf.constant(value) for name, value in batch.items()}, setup)
        assert made.keys() == expected.keys()
        for name, value in expected.items():
            if name != "images":
                np.testing.assert_allclose(made[name].numpy(), value.numpy(), atol=2e-3, err_msg=name)
        difference = np.abs(made["images"].numpy() - expected["images"].numpy())
        assert difference.mean() < 4 < expected["images"].numpy().std()


def test_batches_go_on_from_any_step_and_hold_each_record_once_an_epoch(sets, arrays):
    setup = BatchOptions(64, seed=7, augmentation=LIVELY)
    whole = taken(sets, arrays, setup, 0, 9)
    for first, second in zip(whole[4:], taken(sets, arrays, setup, 4, 5)):
        for name, value in first.items():
            np.testing.assert_array_equal(second[name], value, err_msg=name)
    assert len(np.unique(np.concatenate([batch["seeds"] for batch in whole]), axis=0)) == 9 * 8
    seen = np.concatenate([batch["pose_2d"][:5, 0] for batch in whole[:6]])
    assert len(np.unique(seen, axis=0)) == 30


def test_what_is_varied_differs_by_step_and_its_joints_move_with_the_picture(sets, arrays):
    setup = BatchOptions(64, seed=7, augmentation=dataclasses.replace(LIVELY, covered_share=0.0), subpixel=True)
    batch = taken(sets, arrays, setup, 0, 1)[0]
    # A white spot on black at a joint of each record; where its crop is brightest the heatmap has its peak.
    joint = targets.POSE17.index("Hip")
    side = cached_pictures.window_side(64)
    to_window = crop.crop_transforms(batch["centres"], batch["sides"] * cached_pictures.REACH, side)
    spots = crop.move(batch["pose_2d"][:, joint : joint + 1], to_window).numpy()[:, 0]
    grid = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 2), -1)
    near = np.exp(-np.square(grid[None] - spots[:, None, None]).sum(-1) / 18.0)
    batch["windows"] = (255 * near[..., None].repeat(3, -1)).astype(np.uint8)
    results = []
    for step in range(2):
        batch["seeds"] = batch["seeds"] + step
        made = cached_pictures.prepare({name: tf.constant(value) for name, value in batch.items()}, setup)
        results.append(made["points"].numpy())
        for image, point in zip(made["images"].numpy(), made["points"].numpy()[:, targets.PELVIS]):
            if np.all((point > 4) & (point < 60)):
                bright = image.sum(-1) - np.quantile(image.sum(-1), 0.5)
                weights = np.where(bright > 0.5 * bright.max(), bright, 0.0)
                found = (np.stack(np.meshgrid(*[np.arange(64) + 0.5] * 2), -1) * weights[..., None]).sum((0, 1))
                np.testing.assert_allclose(found / weights.sum(), point, atol=1.0)
    assert np.abs(results[0][:5] - results[1][:5]).max() > 1
    np.testing.assert_array_equal(results[0][5:], results[1][5:])  # the set that is not varied


@pytest.mark.slow
def test_xla_compiles_the_preparation(sets, arrays):
    """Without variation to the same numbers; varied too, whose random numbers are XLA's own."""
    lively = dataclasses.replace(LIVELY, noise=5.0)
    for augmentation in (augment.NONE, lively):
        setup = BatchOptions(64, augmentation=augmentation, quality_power=0.5, subpixel=True)
        batch = {name: tf.constant(value) for name, value in taken(sets, arrays, setup, 0, 1)[0].items()}
        compiled = tf.function(cached_pictures.prepare, jit_compile=True)(batch, setup)
        for name, value in cached_pictures.prepare(batch, setup).items():
            assert compiled[name].shape == value.shape
            assert np.isfinite(compiled[name].numpy().astype(np.float64)).all()
            if augmentation is augment.NONE:
                np.testing.assert_allclose(compiled[name].numpy(), value.numpy(), atol=2e-3, err_msg=name)
