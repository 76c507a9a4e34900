"""Virtual views against rotations of SciPy, loops over bones, and the statistics that the settings ask for."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from label_generator.training import virtual_camera
from label_generator.training.recipe_settings import ViewSettings
from label_generator.training.virtual_camera import Draws
from tools.pose.joints import POSE17

ROOT = POSE17.root
COUNT = 4000
PLAIN = ViewSettings(size_spread=0.0, bone_spread=0.0, recombined=0.0, noise_share=0.0, masked=0.0, unknown=0.0)


def standing(count, seed=0):
    """People in level axes (y down): a head above, feet below, arms aside, each joint moved at random. [n, 17, 3]"""
    place = {
        "Head": (0, -700, 0),
        "Neck/Nose": (0, -600, 40),
        "Thorax": (0, -500, 0),
        "Spine": (0, -250, 0),
        "Hip": (0, 0, 0),
    }
    for side, sign in (("R", -1), ("L", 1)):
        place[f"{side}Shoulder"] = (sign * 150, -480, 0)
        place[f"{side}Elbow"] = (sign * 220, -220, 10)
        place[f"{side}Wrist"] = (sign * 230, 10, -60)
        place[f"{side}Hip"] = (sign * 130, 0, 0)
        place[f"{side}Knee"] = (sign * 130, 440, -20)
        place[f"{side}Foot"] = (sign * 130, 880, 10)
    body = np.array([place[name] for name in POSE17.joints], np.float64)
    poses = body + np.random.default_rng(seed).normal(0, 60, (count, 17, 3))
    return (poses - poses[:, ROOT : ROOT + 1]).astype(np.float32)


def lengths(poses):
    """[n, 16] bone lengths, by a loop."""
    pairs = [(joint, parent) for joint, parent in enumerate(POSE17.parents) if parent >= 0]
    return np.stack([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) for a, b in pairs], 1)


def views(settings=PLAIN, seed=(3, 5), count=COUNT):
    drawn = virtual_camera.draw_views(
        tf.constant(standing(count)), tf.fill([count], 900.0), tf.constant(seed, tf.int64), settings
    )
    return {name: value.numpy() for name, value in drawn.items()}


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_rotations_about_axes_are_scipys(axis):
    angles = np.array([-2.0, 0.3, 1.0], np.float32)
    turned = virtual_camera.turn_about(axis, tf.constant(angles)).numpy()
    np.testing.assert_allclose(turned, Rotation.from_euler(axis, angles[:, None]).as_matrix(), atol=1e-6)


def test_the_same_seed_draws_the_same_views_and_another_step_others():
    settings = ViewSettings()
    first, again = views(settings, count=64), views(settings, count=64)
    other = views(settings, seed=(3, 6), count=64)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    assert np.abs(first["points"] - other["points"]).max() > 100


def test_streams_of_one_seed_differ_from_each_other():
    draws = Draws(tf.constant([1, 2]))
    a, b = draws.uniform([1000]).numpy(), draws.uniform([1000]).numpy()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    assert sorted(draws.permutation(50).numpy()) == list(range(50))


def test_without_spreads_people_keep_their_bones_and_stay_upright():
    poses = standing(COUNT)
    varied = virtual_camera.vary_poses(tf.constant(poses), Draws(tf.constant([1, 1])), PLAIN).numpy()
    # A mirrored person's left bones are the right ones of the original.
    order = [
        [joint for joint, parent in enumerate(POSE17.parents) if parent >= 0].index(POSE17.mirror[joint])
        for joint, parent in enumerate(POSE17.parents)
        if parent >= 0
    ]
    kept = np.abs(lengths(varied) - lengths(poses)).max(1) < 0.1
    swapped = np.abs(lengths(varied) - lengths(poses)[:, order]).max(1) < 0.1
    assert (kept | swapped).all()
    assert 0.45 < swapped.mean() < 0.55
    np.testing.assert_allclose(varied[kept][..., 1], poses[kept][..., 1], atol=0.05)
    np.testing.assert_allclose(varied[:, ROOT], 0.0, atol=1e-4)
    facing = virtual_camera._heading(tf.constant(varied), "LHip", "RHip").numpy()
    counts = np.histogram(facing, 8, (-np.pi, np.pi))[0]
    assert counts.min() > 0.7 * COUNT / 8


def test_bodies_vary_as_much_as_the_settings_say():
    poses = standing(COUNT)
    settings = dataclasses.replace(PLAIN, size_spread=0.03, bone_spread=0.05)
    varied = virtual_camera.vary_poses(tf.constant(poses), Draws(tf.constant([1, 1])), settings).numpy()
    spine = [np.linalg.norm(p[:, POSE17.index("Spine")] - p[:, ROOT], axis=-1) for p in (varied, poses)]
    spine = spine[0] / spine[1]
    # Both cut at 2.5 sigma, which takes about 3 % off; the spine has no mirror twin to be averaged with.
    assert np.std(spine) == pytest.approx(np.hypot(0.05, 0.03), rel=0.1)
    assert np.mean(spine) == pytest.approx(1.0, abs=0.005)


def test_recombined_limbs_have_a_donors_directions_and_their_own_lengths():
    poses = standing(COUNT)
    settings = dataclasses.replace(PLAIN, recombined=1.0)
    varied = virtual_camera.vary_poses(tf.constant(poses), Draws(tf.constant([4, 1])), settings).numpy()
    ours, bones = np.sort(lengths(poses), 1), np.sort(lengths(varied), 1)
    np.testing.assert_allclose(bones, ours, rtol=1e-3, atol=0.1)
    knee, hip = POSE17.index("RKnee"), POSE17.index("RHip")
    slope = [(p[:, knee] - p[:, hip])[:, 1] / np.linalg.norm(p[:, knee] - p[:, hip], axis=-1) for p in (poses, varied)]
    assert np.mean(np.abs(slope[0] - slope[1]) > 1e-4) > 0.95


def test_views_are_projections_of_their_points():
    seen = views()
    expected = np.empty_like(seen["rays"])
    for n, pose in enumerate(seen["points"][:200]):
        for joint, (x, y, z) in enumerate(pose):
            expected[n, joint] = x / z, y / z
    np.testing.assert_allclose(seen["rays"][:200], expected[:200], rtol=1e-5, atol=1e-6)
    assert (seen["noise"] == 0).all()
    assert not seen["unknown"].any()
    assert (seen["joint_mask"] == 1).all()


def test_cameras_stand_where_the_settings_say():
    heights = tf.fill([COUNT], 900.0)
    settings = dataclasses.replace(PLAIN, studio_share=0.0, roll_deg=0.0)
    rotation, root, focal = (
        v.numpy() for v in virtual_camera.draw_cameras(heights, Draws(tf.constant([1, 2])), settings)
    )
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, 1, 2), np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(np.ones(COUNT), abs=1e-5)
    # The camera's place in level axes, seen from the root: minus the root turned back.
    eye = -np.einsum("nji,nj->ni", rotation, root)
    above_floor = 900.0 - eye[:, 1]
    # A camera that would look too steeply down is put at a random height instead, now and then below the floor.
    assert (above_floor > 0).mean() > 0.95
    assert np.quantile(above_floor, 0.99) < 4600
    distance = np.linalg.norm(root, axis=1)
    # The place looked at is up to some 600 mm (one sigma) beside the person.
    assert np.quantile(distance, 0.01) > 1900 - 600
    assert np.quantile(distance, 0.99) < 10500 + 600
    # Uniform in its logarithm.
    assert np.median(np.log(distance)) == pytest.approx((np.log(1900) + np.log(10500)) / 2, abs=0.05)
    low, high = 500 / np.tan(np.radians(95) / 2), 500 / np.tan(np.radians(25) / 2)
    assert low - 1 <= focal.min()
    assert focal.max() <= high + 1
    # Level: without roll the camera's right is horizontal.
    np.testing.assert_allclose(rotation[:, 0, 1], 0.0, atol=1e-6)


def test_studio_cameras_look_down_from_a_tripod():
    heights = tf.fill([COUNT], 900.0)
    settings = dataclasses.replace(PLAIN, studio_share=1.0)
    rotation, root, focal = (
        v.numpy() for v in virtual_camera.draw_cameras(heights, Draws(tf.constant([1, 2])), settings)
    )
    above_floor = 900.0 + np.einsum("nji,nj->ni", rotation, root)[:, 1]
    assert above_floor.min() > 1449
    assert above_floor.max() < 1651
    # The optical axis in level axes is the rotation's third row; down is positive.
    pitch = np.degrees(np.arcsin(rotation[:, 2, 1]))
    assert pitch.min() > 9.9
    assert pitch.max() < 16.1
    assert (focal == 1145).all()


def test_roll_has_the_deviation_asked_for():
    settings = dataclasses.replace(PLAIN, roll_deg=5.0)
    rotation, _, _ = virtual_camera.draw_cameras(tf.fill([COUNT], 900.0), Draws(tf.constant([1, 3])), settings)
    tilt = np.degrees(np.arcsin(np.abs(rotation.numpy()[:, 0, 1])))
    assert np.sqrt(np.mean(tilt**2)) == pytest.approx(5.0, rel=0.15)


def test_noise_has_the_size_that_the_view_states():
    seen = views(dataclasses.replace(PLAIN, noise_share=0.5, noise_px=8.0))
    off = seen["rays"] - seen["points"][..., :2] / seen["points"][..., 2:]
    noisy = seen["noise"] > 0
    assert 0.45 < noisy.mean() < 0.55
    np.testing.assert_allclose(off[~noisy], 0.0, atol=1e-6)
    standardised = off[noisy] / seen["noise"][noisy, None, None]
    assert np.std(standardised) == pytest.approx(1.0, abs=0.02)


def test_masks_are_those_of_common_sources_in_their_shares():
    masks = virtual_camera.draw_joint_masks(
        20_000, Draws(tf.constant([2, 2])), dataclasses.replace(PLAIN, masked=0.4)
    ).numpy()
    names = np.array(POSE17.joints)
    lacking = [frozenset(names[row == 0]) for row in masks]
    lsp = np.mean([item == {"Neck/Nose", "Spine", "Hip"} for item in lacking])
    mpii = np.mean([item == {"Neck/Nose", "Spine"} for item in lacking])
    coco = np.mean([item == {"Head", "Neck/Nose", "Thorax", "Spine", "Hip"} for item in lacking])
    hourglass = np.mean([item == {"Spine"} for item in lacking])
    assert lsp == pytest.approx(0.16, abs=0.015)
    assert mpii == pytest.approx(0.06, abs=0.01)
    assert coco == pytest.approx(0.06, abs=0.01)
    assert hourglass == pytest.approx(0.032, abs=0.01)
    assert np.mean(masks.min(1)) == pytest.approx(0.6, abs=0.03)
    assert masks[:, [POSE17.index("RHip"), POSE17.index("LHip")]].min() == 1
    everything = virtual_camera.draw_joint_masks(500, Draws(tf.constant([2, 2])), PLAIN).numpy()
    assert everything.min() == 1


def test_no_view_has_a_joint_nearer_than_allowed():
    near = dataclasses.replace(PLAIN, studio_share=0.0, distance_mm=(600.0, 1500.0))
    seen = views(near, count=512)
    assert seen["points"][..., 2].min() >= near.min_depth_mm - 0.01
    nowhere_else = dataclasses.replace(near, distance_mm=(100.0, 150.0))
    assert views(nowhere_else, count=16)["points"][..., 2].min() >= near.min_depth_mm - 0.01
