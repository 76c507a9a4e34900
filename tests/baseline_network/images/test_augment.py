"""Random crops and colours: their distribution, their repeatability, and that pictures and targets stay together."""

import math

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import augment, crop

COUNT = 4000


def drawn(settings=augment.PUBLISHED, seed=(7, 3), count=COUNT, varied=None):
    """Transforms of squares of 100 px around (50, 60) into 64 px: (transforms, mirrored, scales, degrees)."""
    centres, sides = tf.tile([[50.0, 60.0]], [count, 1]), tf.fill([count], 100.0)
    transforms, mirrored = augment.random_transforms(centres, sides, 64, tf.constant(seed), settings, varied)
    linear = transforms.numpy()[..., :2]
    scales = 0.64 / crop.magnification(transforms).numpy()
    return transforms, mirrored.numpy(), scales, np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 1, 1]))


def test_published_distributions():
    transforms, mirrored, scales, degrees = drawn()
    powers = np.log2(scales)
    assert np.abs(powers).max() <= 0.5 + 1e-5
    # A normal distribution set to its bounds beyond two sigma has 0.9595 of its deviation.
    assert powers.std() == pytest.approx(0.25 * 0.9595, rel=0.05)
    assert (np.abs(powers) > 0.4999).mean() == pytest.approx(0.0455, abs=0.012)
    turned = np.abs(degrees) > 1e-4
    assert turned.mean() == pytest.approx(0.4, abs=0.03)
    assert degrees[turned].std() == pytest.approx(30 * 0.9595, rel=0.06)
    assert np.abs(degrees).max() <= 60 + 1e-3
    assert mirrored.mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(mirrored, np.linalg.det(transforms.numpy()[..., :2]) < 0)
    # What one draw says, another does not.
    for a, b in ((powers, mirrored), (powers, degrees), (mirrored, turned)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.06
    middles = crop.move(tf.tile([[[50.0, 60.0]]], [COUNT, 1, 1]), transforms)
    np.testing.assert_allclose(middles, np.full([COUNT, 1, 2], 32.0), atol=1e-4)


def test_shift_moves_the_centre():
    transforms = drawn(augment.Augmentation(shift=0.1, scale_spread=0, turned_share=0, mirrored_share=0))[0]
    middles = crop.move(tf.tile([[[50.0, 60.0]]], [COUNT, 1, 1]), transforms).numpy()[:, 0] - 32
    assert 6.3 < np.abs(middles).max() <= 6.4 + 1e-4
    assert middles.std(0) == pytest.approx(6.4 / math.sqrt(3), rel=0.05)


def test_none_and_samples_that_are_not_varied():
    plain = crop.crop_transforms(tf.constant([[50.0, 60.0]]), tf.constant([100.0]), 64).numpy()[0]
    np.testing.assert_allclose(drawn(augment.NONE)[0], np.broadcast_to(plain, [COUNT, 2, 3]), atol=1e-5)
    varied = np.arange(COUNT) % 2 == 0
    transforms, mirrored, _, _ = drawn(augment.Augmentation(shift=0.1), varied=tf.constant(varied))
    np.testing.assert_allclose(transforms[1::2], np.broadcast_to(plain, [COUNT // 2, 2, 3]), atol=1e-5)
    assert not mirrored[1::2].any()
    np.testing.assert_array_equal(transforms[::2], drawn(augment.Augmentation(shift=0.1))[0][::2])
    images = np.random.default_rng(0).integers(0, 256, [4, 8, 8, 3]).astype(np.uint8)
    np.testing.assert_array_equal(augment.random_colours(images, tf.constant([1, 2]), augment.NONE), images)
    partly = augment.random_colours(images, tf.constant([1, 2]), varied=tf.constant([True, False, True, False]))
    np.testing.assert_array_equal(partly[1::2], images[1::2])
    assert (partly.numpy()[::2] != images[::2]).any()


def test_draws_are_a_function_of_seed_and_step():
    first, again, other = drawn(seed=(7, 3))[0], drawn(seed=(7, 3))[0], drawn(seed=(7, 4))[0]
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != other.numpy()).any(axis=(1, 2)).mean() > 0.99
    images = tf.fill([3, 8, 8, 3], 100.0)
    everything = augment.Augmentation(contrast=0.3, grey_share=0.5, noise=10.0, covered_share=0.5)
    colours = [augment.random_colours(images, tf.constant(seed), everything) for seed in ((7, 3), (7, 3), (7, 4))]
    np.testing.assert_array_equal(colours[0], colours[1])
    assert (colours[0].numpy() != colours[2].numpy()).any()


def test_published_colours_are_one_factor_per_channel():
    images = np.random.default_rng(0).integers(20, 256, [500, 4, 4, 3]).astype(np.float32)
    found = augment.random_colours(images, tf.constant([0, 1])).numpy()
    factors = found / images
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1], factors.shape), rtol=1e-5)
    factors = factors[:, 0, 0]
    assert 0.6 <= factors.min() < 0.61
    assert 0.99 < factors.max() <= 1
    assert factors.mean() == pytest.approx(0.8, abs=0.01)
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.15


def test_other_colours():
    images = np.random.default_rng(0).uniform(60, 190, [400, 16, 16, 3]).astype(np.float32)
    seed = tf.constant([3, 1])

    def only(**settings):
        return augment.random_colours(images, seed, augment.Augmentation(brightness=(1.0, 1.0), **settings)).numpy()

    grey = only(grey_share=0.3)
    without = np.ptp(grey, axis=-1).max((1, 2)) < 1e-3
    assert without.mean() == pytest.approx(0.3, abs=0.07)
    np.testing.assert_allclose(grey[without][..., 0], images[without] @ [0.299, 0.587, 0.114], rtol=1e-4)
    np.testing.assert_array_equal(grey[~without], images[~without])

    factors = only(contrast=0.5).std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.49 < factors.min() < 0.55
    assert 1.3 < factors.max() < 1.51

    noise = (only(noise=10.0) - images).std((1, 2, 3))
    assert noise.max() < 11
    assert noise.mean() == pytest.approx(5, abs=0.6)

    covered = (only(covered_share=0.4) != images).any(-1)
    hit = covered.any((1, 2))
    assert 0.3 < hit.mean() < 0.45
    assert (covered.any(1).sum(1) <= 7).all()
    # A rectangle: every covered row and column is covered where both are.
    np.testing.assert_array_equal(covered, covered.any(1)[:, None] & covered.any(2)[:, :, None])


def test_values_stay_in_range():
    images = np.random.default_rng(0).choice([0.0, 255.0], [8, 8, 8, 3])
    found = augment.random_colours(images, tf.constant([0, 0]), augment.Augmentation(noise=80.0, contrast=0.9)).numpy()
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() == 255
