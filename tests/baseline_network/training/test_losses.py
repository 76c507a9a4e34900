"""Losses against NumPy loops written from docs/reference.md."""

import math

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import landmark_encoder
from baseline_network.training import losses

BATCH, STACKS, SIDE = 5, 2, 8


@pytest.fixture
def drawn():
    """Random outputs and targets: samples 0 and 3 have depth, joints are missing here and there."""
    rng = np.random.default_rng(0)
    outputs = {
        "heatmaps": rng.normal(size=[BATCH, STACKS, SIDE, SIDE, 16]).astype(np.float32),
        "depths": rng.normal(size=[BATCH, 16]).astype(np.float32),
    }
    targets = {
        "heatmaps": rng.uniform(size=[BATCH, SIDE, SIDE, 16]).astype(np.float32),
        "joint_mask": rng.random([BATCH, 16]) < 0.8,
        "points": rng.uniform(0, 32, [BATCH, 16, 2]).astype(np.float32),
        "depths": rng.normal(size=[BATCH, 16]).astype(np.float32),
        "depth_mask": (rng.random([BATCH, 16]) < 0.8) & np.array([1, 0, 0, 1, 0], bool)[:, None],
    }
    return outputs, targets


def constants(values):
    return {name: tf.constant(value) for name, value in values.items()}


def heatmap_loop(outputs, targets, b):
    total = 0.0
    for stack in range(STACKS):
        squares = 0.0
        for j in range(16):
            if targets["joint_mask"][b, j]:
                squares += ((outputs["heatmaps"][b, stack, :, :, j] - targets["heatmaps"][b, :, :, j]) ** 2).sum()
        total += squares / (16 * SIDE * SIDE)
    return total


def depth_loop(outputs, targets, b):
    pairs = zip(outputs["depths"][b], targets["depths"][b], targets["depth_mask"][b])
    return sum((float(p) - float(t)) ** 2 for p, t, use in pairs if use) / 16


def geometric_loop(depths, points, mask):
    """One sample: the variance of the weighted lengths of each group's usable bones, added up."""
    shin, forearm = 1.0085885, 1.1375361
    groups = [
        [(0, 1, shin), (1, 2, 1), (3, 4, 1), (4, 5, shin)],
        [(10, 11, forearm), (11, 12, 1), (13, 14, 1), (14, 15, forearm)],
        [(2, 6, 1), (3, 6, 1)],
        [(12, 8, 1), (13, 8, 1)],
    ]
    total = 0.0
    for group in groups:
        lengths = [
            factor * math.sqrt(((points[i] - points[j]) ** 2).sum() + (depths[i] - depths[j]) ** 2)
            for i, j, factor in group
            if mask[i] and mask[j]
        ]
        if lengths:
            mean = sum(lengths) / len(lengths)
            total += sum((length - mean) ** 2 for length in lengths) / len(lengths)
    return total


def test_all_parts_are_the_loops(drawn):
    outputs, targets = drawn
    found = losses.losses(constants(outputs), constants(targets), 32, losses.Weights(0.1, 0.01))
    units = targets["points"] / 16 - 1
    for b in range(BATCH):
        geometric = 0.0
        if not targets["depth_mask"][b].any():
            geometric = geometric_loop(outputs["depths"][b], units[b], targets["joint_mask"][b])
            assert geometric > 0
        parts = heatmap_loop(outputs, targets, b), depth_loop(outputs, targets, b), geometric
        for name, expected in zip(("heatmap_loss", "depth_loss", "geometric_loss"), parts):
            assert float(found[name][b]) == pytest.approx(expected, rel=1e-4, abs=1e-7)
        total = parts[0] + 0.1 * parts[1] + 0.01 * parts[2]
        assert float(found["loss"][b]) == pytest.approx(total, rel=1e-4)
    assert float(found["depth_loss"][1]) == 0
    assert float(found["depth_loss"][0]) > 0


def test_the_published_recipe_has_no_geometric_term(drawn):
    outputs, targets = (constants(values) for values in drawn)
    found = losses.losses(outputs, targets, 32, losses.Weights())
    assert set(found) == {"loss", "heatmap_loss", "depth_loss"}
    np.testing.assert_allclose(found["loss"], found["heatmap_loss"] + 0.1 * found["depth_loss"], rtol=1e-6)


def test_depth_weights_weigh_the_depths_alone(drawn):
    outputs, targets = (constants(values) for values in drawn)
    quality = np.array([0.0, 0.25, 1.0, 2.0, 0.5], np.float32)
    weights = losses.Weights(0.1, 0.01)
    plain = losses.losses(outputs, targets, 32, weights)
    found = losses.losses(outputs, targets, 32, weights, tf.constant(quality))
    np.testing.assert_allclose(found["depth_loss"], plain["depth_loss"] * quality, rtol=1e-5)
    for name in ("heatmap_loss", "geometric_loss"):
        np.testing.assert_array_equal(found[name], plain[name])
    total = found["heatmap_loss"] + 0.1 * found["depth_loss"] + 0.01 * found["geometric_loss"]
    np.testing.assert_allclose(found["loss"], total, rtol=1e-5)


def test_masked_joints_have_no_gradient(drawn):
    outputs, targets = (constants(values) for values in drawn)
    with tf.GradientTape() as tape:
        tape.watch(list(outputs.values()))
        loss = tf.reduce_sum(losses.losses(outputs, targets, 32, losses.Weights(0.1, 0.01))["loss"])
    gradients = tape.gradient(loss, outputs)
    seen, deep = targets["joint_mask"].numpy(), targets["depth_mask"].numpy()
    by_joint = np.abs(gradients["heatmaps"]).sum((1, 2, 3))
    assert (by_joint[~seen] == 0).all()
    assert (by_joint[seen] > 0).all()
    depth_gradient = gradients["depths"].numpy()
    assert (depth_gradient[~(deep | (seen & ~deep.any(1, keepdims=True)))] == 0).all()
    assert (depth_gradient[deep] != 0).all()


def test_geometric_gradient_is_finite_where_bones_have_no_length():
    depths, points = tf.zeros([1, 16]), tf.zeros([1, 16, 2])
    with tf.GradientTape() as tape:
        tape.watch(depths)
        loss = losses.geometric_loss(depths, points, tf.ones([1, 16]))
    assert float(loss[0]) < 1e-9
    assert np.isfinite(tape.gradient(loss, depths)).all()
    assert float(losses.geometric_loss(depths, points, tf.zeros([1, 16]))[0]) == 0


def test_half_precision_outputs_are_compared_in_float32():
    predicted = tf.fill([1, 1, 4, 4, 2], tf.constant(300.0, tf.float16))
    loss = losses.heatmap_loss(predicted, tf.zeros([1, 4, 4, 2]), tf.ones([1, 2]))
    assert loss.dtype == tf.float32
    assert float(loss[0]) == pytest.approx(90000)


def test_places_and_depths_of_probabilities_by_loops():
    rng = np.random.default_rng(4)
    logits, points = rng.normal(size=[2, 1, 8, 8, 3]), rng.uniform(0.1, 0.9, [2, 3, 2])
    points[0, 1] = [1.2, 0.5]  # outside: does not count
    mask = np.array([[True, True, False], [True, True, True]])
    heat = np.exp(logits)
    heat *= landmark_encoder.PEAK / heat.sum((2, 3), keepdims=True)
    expected = np.zeros(2)
    for b, j in [(0, 0), (1, 0), (1, 1), (1, 2)]:
        target = np.zeros([8, 8])
        for y in range(8):
            for x in range(8):
                square = (x + 0.5 - 8 * points[b, j, 0]) ** 2 + (y + 0.5 - 8 * points[b, j, 1]) ** 2
                target[y, x] = math.exp(-square / (2 * landmark_encoder.SIGMA**2))
        target /= target.sum()
        expected[b] -= (target * np.log(heat[b, 0, :, :, j] / landmark_encoder.PEAK)).sum() / 3
    found = losses.place_loss(*(tf.constant(value, tf.float32) for value in (heat, points)), tf.constant(mask))
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    apart = np.array([[0.02, -0.3, 5.0]])
    expected = (0.02**2 / 0.1 + (0.3 - 0.025)) / 3
    counted = tf.constant([[True, True, False]])
    found = losses.robust_depth_loss(tf.constant(apart, tf.float32), tf.zeros([1, 3]), counted)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
