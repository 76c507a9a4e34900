"""Decoding against loops written from docs/reference.md, and there and back through targets."""

import math

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import decoding, hourglass, targets

BONES = [(0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (10, 11), (11, 12), (12, 8), (8, 13), (13, 14), (14, 15)]
BONES += [(6, 8), (8, 9)]


def peak_by_loop(heatmap):
    best, place = -math.inf, None
    for y, row in enumerate(heatmap):
        for x, value in enumerate(row):
            if value > best:
                best, place = value, (x, y)
    x, y = place
    height, width = heatmap.shape
    point = [x + 0.5, y + 0.5]
    if 0 < x < width - 1 and 0 < y < height - 1:
        point[0] += 0.25 if heatmap[y, x + 1] >= heatmap[y, x - 1] else -0.25
        point[1] += 0.25 if heatmap[y + 1, x] >= heatmap[y - 1, x] else -0.25
    return point, best


def test_peaks_are_the_loops():
    maps = np.random.default_rng(0).normal(size=[20, 6, 5, 16]).astype(np.float32)
    points, confidence = decoding.peaks(tf.constant(maps))
    inner = 0
    for b in range(20):
        for j in range(16):
            expected, best = peak_by_loop(maps[b, ..., j])
            np.testing.assert_allclose(points[b, j], expected)
            assert confidence[b, j] == best
            inner += expected[0] % 0.5 != 0
    assert 50 < inner < 300


def test_fitted_peaks_are_the_joints_that_exact_heatmaps_were_made_of():
    points = np.random.default_rng(2).uniform(1.5, 14.5, [20, 16, 2]).astype(np.float32)
    usable = tf.ones([20, 16], tf.bool)
    maps = targets.heatmaps(tf.constant(points), usable, 16, exact=True)
    found, _ = decoding.peaks(maps, decoding.FIT)
    np.testing.assert_allclose(found, points, atol=2e-4)
    # The published way is half a pixel off at worst on its own heatmaps, and a quarter more.
    found, _ = decoding.peaks(targets.heatmaps(tf.constant(points), usable, 16))
    assert 0.5 < np.abs(found - points).max() < 0.751
    # Whatever the map, never further than half a pixel from its highest.
    noise = tf.constant(np.random.default_rng(3).normal(size=[8, 16, 16, 16]), tf.float32)
    middles = np.floor(decoding.peaks(noise)[0]) + 0.5
    assert np.abs(decoding.peaks(noise, decoding.FIT)[0] - middles).max() <= 0.5 + 1e-6


def test_published_pose_is_the_loops():
    rng = np.random.default_rng(1)
    maps = rng.normal(size=[3, 16, 16, 16]).astype(np.float32)
    depths = rng.uniform(-1, 1, [3, 16]).astype(np.float32)
    transforms = crop.crop_transforms(
        tf.constant(rng.uniform(0, 300, [3, 2]), tf.float32), tf.constant([90.0, 200, 64]), 64
    )
    found = decoding.predictions_to_pose(tf.constant(maps), tf.constant(depths), transforms, 64)
    for b in range(3):
        # In pixels of the heatmap, as published: z = (d + 1) / 2 * side.
        pose = np.array([[*peak_by_loop(maps[b, ..., j])[0], (depths[b, j] + 1) / 2 * 16] for j in range(16)])
        total = sum(math.dist(pose[i], pose[j]) for i, j in BONES)
        expected = (pose - pose[6]) / total * 4296.99233013
        np.testing.assert_allclose(found["pose_3d"][b], expected, atol=0.05)
    np.testing.assert_allclose(decoding.bones_sum(found["pose_3d"]), 4296.99233013, rtol=1e-5)
    thorax = decoding.with_published_thorax(found["pose_3d"]).numpy()
    np.testing.assert_allclose(thorax[:, 7], (thorax[:, 6] + thorax[:, 8]) / 2, atol=1e-3)
    others = [j for j in range(16) if j != 7]
    np.testing.assert_array_equal(thorax[:, others], found["pose_3d"].numpy()[:, others])


@pytest.mark.parametrize("turned", [0.0, 0.8])
def test_targets_decode_to_the_pose_they_were_made_of(turned):
    """A weak-perspective person: pixels and millimetres to a heatmap's pixel, depths exactly, turned or not."""
    rng = np.random.default_rng(2)
    pose = rng.normal(0, 300, [4, 17, 3]).astype(np.float32)
    pose -= pose[:, 10:11]
    scale = 0.2
    pixels = pose[..., :2] * scale + [320, 240]
    codes = np.full([4, 17], 2, np.uint8)
    record = {"pose_2d": pixels.astype(np.float32), "pose_3d": pose, "provenance_2d": codes, "provenance_3d": codes}
    transforms = crop.crop_transforms(
        tf.fill([4, 2], 280.0) + [40.0, -40.0], tf.fill([4], 480.0), 256, tf.fill([4], turned)
    )
    made = targets.make_targets(
        {name: tf.constant(value) for name, value in record.items()}, transforms, tf.zeros([4], tf.bool), 256
    )
    assert np.all((made["points"].numpy() > 0) & (made["points"].numpy() < 256))
    found = decoding.predictions_to_pose(
        made["heatmaps"], made["depths"], transforms, 256, mm_per_pixel=tf.fill([4], 1 / scale)
    )
    flat, _ = targets.to_mpii16(tf.constant(record["pose_2d"]), tf.constant(codes))
    deep, _ = targets.to_mpii16(tf.constant(pose), tf.constant(codes))
    cell = 480 / 64  # px of the picture
    # A patch's peak tells the pixel alone, and its equal neighbours add a quarter to the half.
    assert np.abs(found["points"] - flat).max() <= 0.75 * cell * 2**0.5 + 1e-3
    error = found["pose_3d"] - (deep - deep[:, 6:7])
    assert np.abs(error[..., 2]).max() < 1e-2
    assert np.abs(error).max() <= 1.5 * cell * 2**0.5 / scale
    np.testing.assert_allclose(found["confidence"], 1)


def test_a_pose_of_one_point_stays_finite():
    maps = tf.zeros([1, 8, 8, 16])
    whole = crop.crop_transforms(tf.constant([[16.0, 16.0]]), tf.constant([32.0]), 32)
    found = decoding.predictions_to_pose(maps, tf.zeros([1, 16]), whole, 32)
    assert not found["pose_3d"].numpy().any()


def test_averaging_both_ways_makes_the_answer_symmetric():
    model = hourglass.build(hourglass.Sizes(1, 1, 16, 64, 16))
    images = tf.constant(np.random.default_rng(0).uniform(0, 1, [2, 64, 64, 3]), tf.float32)
    once = decoding.predict_both_ways(model, images)
    mirrored = decoding.predict_both_ways(model, images[:, :, ::-1])
    order = targets.MPII16.mirror
    np.testing.assert_allclose(
        once["heatmaps"], mirrored["heatmaps"].numpy()[..., ::-1, :][..., order], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(once["depths"], mirrored["depths"].numpy()[:, order], rtol=1e-4, atol=1e-5)


def test_averaging_a_perfect_network_changes_nothing():
    """Heatmaps and depths of a person and of the mirrored picture, both exact, average to themselves."""
    rng = np.random.default_rng(3)
    pose = rng.normal(0, 300, [2, 17, 3]).astype(np.float32)
    codes = np.full([2, 17], 2, np.uint8)
    record = {"pose_2d": pose[..., :2] * 0.1 + 100, "pose_3d": pose, "provenance_2d": codes, "provenance_3d": codes}
    record = {name: tf.constant(value) for name, value in record.items()}
    centres, sides = tf.fill([2, 2], 100.3), tf.fill([2], 200.0)

    def answer(mirror):
        mirrored = tf.fill([2], mirror)
        transforms = crop.crop_transforms(centres, sides, 64, mirrored=mirrored)
        made = targets.make_targets(record, transforms, mirrored, 64)
        return {"heatmaps": made["heatmaps"][:, None], "depths": made["depths"]}

    both = decoding.mirrored_average(answer(False), answer(True))
    np.testing.assert_allclose(both["heatmaps"], answer(False)["heatmaps"], atol=1e-5)
    np.testing.assert_allclose(both["depths"], answer(False)["depths"], atol=1e-5)
