"""Weights of joints for the search: their law, and the weighted search against trying every depth in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from label_generator.lifting.geometric_search import geometric_search
from label_generator.lifting.joint_weights import joint_weights

ROOT = 10
CAMERA = np.array([1145.049, 1143.781, 512.0, 515.0])
DEPTHS = np.arange(2800.0, 7200.0, 1.0)


def people(count, seed=0):
    """Coarse poses, pixels with noise that differs from joint to joint, what the network says of both, root depths."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 300, (count, 17, 3))
    poses -= poses[:, ROOT : ROOT + 1]
    root = np.stack([rng.normal(0, 500, count), rng.normal(0, 300, count), rng.uniform(3200, 6800, count)], 1)
    whole = poses + root[:, None]
    expected = np.where(rng.random((count, 17)) < 0.5, 10.0, 150.0)
    coarse = poses + rng.normal(size=poses.shape) * expected[..., None] * [0.3, 0.3, 0.3]
    coarse[:, ROOT] = 0.0
    pixels = whole[..., :2] / whole[..., 2:] * CAMERA[:2] + CAMERA[2:]
    trust = rng.uniform(0.05, 1.0, (count, 17))
    taking_part = (rng.random((count, 17)) < 0.85).astype(float)
    taking_part[:, [ROOT, 11]] = 1.0
    return coarse, pixels, taking_part, trust, expected, root[:, 2]


def brute_force(pose, pixels, weights, objective):
    """The first of all depths with the least weighted cost, and the cost at every depth."""
    rays = (pixels - CAMERA[2:]) / CAMERA[:2]
    placed = rays * (pose[:, 2] + DEPTHS[:, None])[..., None]
    off = placed - placed[:, ROOT, None] - pose[:, :2]
    lengths = np.linalg.norm(off, axis=-1)
    costs = ((lengths**2 if objective == "squared" else lengths) * weights).sum(1)
    return DEPTHS[np.argmin(costs)], costs


@pytest.mark.parametrize("method", ["convex", "exhaustive"])
@pytest.mark.parametrize("objective", ["distance", "squared"])
def test_both_methods_find_what_trying_every_depth_finds(method, objective):
    coarse, pixels, taking_part, trust, expected, _ = people(20)
    weights = joint_weights(*(tf.constant(value) for value in (taking_part, trust, expected)))
    found = geometric_search(coarse, pixels, CAMERA, weights, objective=objective, method=method)
    for n in range(len(coarse)):
        depth, costs = brute_force(coarse[n], pixels[n], weights.numpy()[n], objective)
        assert found.depth_mm.numpy()[n] == depth
        assert found.cost.numpy()[n] == pytest.approx(costs.min(), rel=1e-9)


def test_depths_are_nearer_to_the_truth_than_without_weights():
    coarse, pixels, taking_part, trust, expected, depth = people(400, seed=1)
    weights = joint_weights(*(tf.constant(value) for value in (taking_part, np.ones_like(trust), expected)))
    errors = [
        np.abs(geometric_search(coarse, pixels, CAMERA, used).depth_mm.numpy() - depth).mean()
        for used in (taking_part, weights)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_the_law_of_the_weights():
    _, _, taking_part, trust, expected, _ = people(50, seed=2)
    expected[0, 3] = 1e-6  # one joint that is all but certain must not rule
    weights = joint_weights(*(tf.constant(value) for value in (taking_part, trust, expected))).numpy()
    np.testing.assert_array_equal(weights[taking_part == 0], 0.0)
    np.testing.assert_array_equal(weights[:, ROOT], 1.0)
    np.testing.assert_allclose(weights.sum(1), taking_part.sum(1), rtol=1e-9)
    law = trust / np.maximum(expected, 5.0)
    for row, certain in zip(weights, law):
        used = np.flatnonzero((row > 0) & (np.arange(17) != ROOT))
        np.testing.assert_allclose(row[used] / certain[used], row[used[0]] / certain[used[0]], rtol=1e-9)


def test_networks_without_an_opinion_get_the_weights_as_they_were():
    taking_part = np.float32(np.arange(34).reshape(2, 17) % 3 > 0)
    nothing = np.full((2, 17), np.nan, np.float32)
    for trust in (np.ones((2, 17), np.float32), np.zeros((2, 17), np.float32)):
        weights = joint_weights(tf.constant(taking_part), tf.constant(trust), tf.constant(nothing)).numpy()
        np.testing.assert_allclose(weights, taking_part, rtol=1e-6)
