"""How often each training pose is met."""

import numpy as np
import pytest
from people_for_tests import moving, person

from label_generator.training import canonical_training
from label_generator.training.canonical_training import CanonicalSetup, LevelPoses


def level(z_up):
    return np.stack([z_up[..., 0], -z_up[..., 2], z_up[..., 1]], -1).astype(np.float32)


def rarity(poses):
    return canonical_training.rarity(LevelPoses(poses, np.full(len(poses), 900.0), np.zeros(len(poses), int), 0))


def test_synthetic_people_are_met_as_often_as_said():
    poses = level(moving(person(), 100))
    made = np.arange(100) >= 60
    sequences = np.where(made, np.arange(100), 0)
    data = LevelPoses(poses, np.full(100, 900.0), sequences, 0, None, made)
    weights = canonical_training.pose_weights(data, CanonicalSetup("direct", synthetic_share=0.2))
    assert weights[made].sum() / weights.sum() == pytest.approx(0.2)
    np.testing.assert_allclose(weights[made], weights[made][0])
    alone = LevelPoses(poses[~made], np.full(60, 900.0), sequences[~made], 0, None, made[~made])
    np.testing.assert_allclose(canonical_training.pose_weights(alone, CanonicalSetup("direct")), 60**-0.5)


def test_rare_poses_are_those_unlike_others_wherever_they_face():
    upright = level(moving(person(), 400, spread_mm=10.0))
    upside_down = level(moving(person(), 8, seed=1, spread_mm=10.0)) * np.float32([1, -1, -1])
    found = rarity(np.concatenate([upright, upside_down]))
    assert found.min() >= 0.5
    assert found.max() <= 4.0
    assert np.median(found[:400]) == pytest.approx(1.0, abs=0.05)
    assert found[400:].min() == 4.0
    assert found[:400].max() < 2.0
    # Of two sizes and in other directions they are the same poses.
    turned = (upright * 1.2) @ np.float32([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.testing.assert_allclose(rarity(np.concatenate([turned, upside_down])), found, rtol=1e-3)
