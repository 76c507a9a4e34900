"""Skeletons and detections drawn for training: their statistics, and what must stay as it is."""

import numpy as np
import pytest
import tensorflow as tf
from people_for_tests import moving, person

from label_generator.training import detector_noise, drawn_skeletons, skeletons
from label_generator.training.drawn_skeletons import SkeletonSettings
from label_generator.training.virtual_camera import Draws
from tools.pose.joints import POSE17

ROOT = POSE17.root
COUNT = 4000


@pytest.fixture(scope="module")
def poses():
    """[n, 17, 3] mm in level axes."""
    z_up = moving(person(), COUNT)
    return np.stack([z_up[..., 0], -z_up[..., 2], z_up[..., 1]], -1).astype(np.float32)


def draws(seed=3):
    return Draws(tf.constant([seed, 0], tf.int64))


def moved_in_body(before, after):
    """How far each joint moved, right, up and forward in the frame of the pelvis; [n, 17, 3]."""
    pelvis, _ = skeletons.body_frames(before.astype(np.float64))
    return np.einsum("nij,nkj->nki", pelvis, after - before)


def test_everybody_has_a_skeleton_in_the_shares_asked_for(poses):
    library = skeletons.library(poses, np.zeros(COUNT, int))
    settings = SkeletonSettings(captured=0.3, stated=0.25, borrowed=0.25)
    found = drawn_skeletons.blended(tf.constant(poses), tf.constant(library), draws(), settings).numpy()

    def like(others):
        return np.abs(found - others).max((1, 2)) < 1e-2

    captured, stated = like(poses), like(library[:, 0])
    borrowed = [like(library[:, k]) for k in range(1, library.shape[1])]
    assert captured.mean() == pytest.approx(0.3, abs=0.03)
    assert stated.mean() == pytest.approx(0.25, abs=0.03)
    for share in borrowed:
        assert share.mean() == pytest.approx(0.25 / len(borrowed), abs=0.02)
    # The rest is between the captured and the stated one, groups of joints by themselves: the head keeps its bone to
    # the thorax on the line between both.
    between = ~(captured | stated | np.any(borrowed, 0))
    head, thorax = POSE17.index("Head"), POSE17.index("Thorax")
    bones = [p[between][:, head] - p[between][:, thorax] for p in (poses, library[:, 0], found)]
    way = np.sum((bones[2] - bones[0]) * (bones[1] - bones[0]), -1) / np.sum(np.square(bones[1] - bones[0]), -1)
    np.testing.assert_allclose(bones[0] + way[:, None] * (bones[1] - bones[0]), bones[2], atol=0.1)
    assert way.min() > -0.21
    assert way.max() < 1.21
    assert way.std() == pytest.approx(1.4 / np.sqrt(12), abs=0.03)


def test_displacements_are_as_wide_as_said(poses):
    settings = SkeletonSettings(displaced=1.0, spread=0.5)
    found = drawn_skeletons.displaced(tf.constant(poses), draws(), settings).numpy()
    assert np.abs(found[:, ROOT]).max() == 0
    moved = moved_in_body(poses, found)
    moved -= moved[:, POSE17.index("RHip"), None] / 2 + moved[:, POSE17.index("LHip"), None] / 2
    # A strength that is uniform from 0 to 1 has a root mean square of 0.577.
    spine = moved[:, POSE17.index("Spine")].std(0)
    root = np.array([0.0, 22.0, 12.0])  # which everything is relative to
    np.testing.assert_allclose(spine, np.hypot([9.0, 28.0, 25.0], root) * 0.577, rtol=0.1)
    right, left = moved[:, POSE17.index("RHip")], moved[:, POSE17.index("LHip")]
    assert right[:, 0].std() == pytest.approx(22 * 0.577, rel=0.1)
    np.testing.assert_allclose(right[:, 0], -left[:, 0], atol=0.5)


def test_who_is_not_displaced_stays(poses):
    found = drawn_skeletons.displaced(tf.constant(poses), draws(), SkeletonSettings(displaced=0.25)).numpy()
    assert (np.abs(found - poses).max((1, 2)) < 1e-3).mean() == pytest.approx(0.75, abs=0.03)
    nobody = drawn_skeletons.displaced(tf.constant(poses), draws(), SkeletonSettings(displaced=0.0)).numpy()
    np.testing.assert_allclose(nobody, poses, atol=1e-3)


def test_it_is_the_same_inside_a_graph(poses):
    def run(values):
        return drawn_skeletons.displaced(values, draws(), SkeletonSettings(displaced=1.0))

    few = tf.constant(poses[:64])
    np.testing.assert_allclose(tf.function(run)(few).numpy(), run(few).numpy(), atol=1e-2)


def test_tilts_turn_whole_bodies(poses):
    found = drawn_skeletons.tilted(tf.constant(poses), draws(), 0.2, 15.0, 0.1).numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.linalg.norm(poses, axis=-1), atol=0.1)
    # How far the trunk leans shows the angle: these people stand upright.
    up = [
        p[:, POSE17.index("Thorax")] / np.linalg.norm(p[:, POSE17.index("Thorax")], axis=-1)[:, None]
        for p in (poses, found)
    ]
    angle = np.degrees(np.arccos(np.clip(np.sum(up[0] * up[1], -1), -1, 1)))
    assert (angle < 0.1).mean() == pytest.approx(0.7, abs=0.03)
    assert (angle > 90).mean() == pytest.approx(0.05, abs=0.015)


def test_the_joints_of_published_detections(poses):
    points = tf.constant(poses + np.float32([0, 0, 4000]))
    found = drawn_skeletons.as_detectors_see(points, draws(), 0.0, 1.0).numpy() - np.float32([0, 0, 4000])
    middle = (poses[:, POSE17.index("RShoulder")] + poses[:, POSE17.index("LShoulder")]) / 2
    np.testing.assert_allclose(found[:, POSE17.index("Thorax")], middle, atol=1e-2)
    neck = np.linalg.norm(found[:, POSE17.index("Neck/Nose")] - middle, axis=-1)
    np.testing.assert_allclose(neck.mean(), 55 * 860 / 914, rtol=0.03)
    lower = found[:, ROOT] - poses[:, ROOT]
    assert (lower[:, 1] > 30).all()  # down
    for name in ("RElbow", "LKnee", "RFoot"):
        np.testing.assert_allclose(found[:, POSE17.index(name)], poses[:, POSE17.index(name)], atol=1e-2)
    others = drawn_skeletons.as_detectors_see(points, draws(), 0.0, 0.0).numpy()
    np.testing.assert_allclose(others, points.numpy(), atol=1e-2)


def test_detectors_errors(poses):
    rays = tf.constant((poses[..., :2] / 5000).astype(np.float32))
    mm = tf.fill([COUNT], 1 / 5000.0)
    plain = detector_noise.DetectorNoise(people_spread=0.0, along_limb=0.0, freedom=200, swapped=0.0, outlier=0.0)
    found, deviation = detector_noise.detected(rays, mm, draws(), plain)
    error = (found.numpy() - rays.numpy()) * 5000
    for name, expected in (("RWrist", 21), ("Hip", 14), ("LFoot", 20)):
        np.testing.assert_allclose(error[:, POSE17.index(name)].std(0), expected, rtol=0.06)
    mean = np.mean([detector_noise.JOINT_MM.get(n, detector_noise.JOINT_MM.get(n[1:])) for n in POSE17.joints])
    np.testing.assert_allclose(deviation.numpy() * 5000, mean, rtol=1e-4)
    # Errors run along limbs: what a hip is off by, its knee takes over in part.
    along = detector_noise.DetectorNoise(people_spread=0.0, along_limb=0.5, freedom=200, swapped=0.0, outlier=0.0)
    error = detector_noise.detected(rays, mm, draws(), along)[0].numpy() - rays.numpy()
    hip, knee = (error[:, POSE17.index(name), 0] for name in ("RHip", "RKnee"))
    assert np.corrcoef(hip, knee)[0, 1] > 0.2
    # Heavy tails: the hundredth farthest is much farther than a normal distribution's 2.58 deviations.
    tails = detector_noise.DetectorNoise(people_spread=0.0, along_limb=0.0, freedom=4, swapped=0.0, outlier=0.0)
    error = (detector_noise.detected(rays, mm, draws(), tails)[0].numpy() - rays.numpy())[..., 0] * 5000
    wrist = np.abs(error[:, POSE17.index("RWrist")])
    assert np.percentile(wrist, 99) / np.percentile(wrist, 68) > 3.3


def test_legs_change_sides(poses):
    rays = tf.constant((poses[..., :2] / 5000).astype(np.float32))
    none = detector_noise.DetectorNoise(people_spread=0.0, along_limb=0.0, swapped=0.1, outlier=0.0)
    quiet = dict.fromkeys(detector_noise.JOINT_MM, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector_noise, "JOINT_MM", quiet)
        found = detector_noise.detected(rays, tf.ones([COUNT]), draws(), none)[0].numpy()
    right, left = POSE17.index("RKnee"), POSE17.index("LKnee")
    swapped = np.abs(found[:, right] - rays.numpy()[:, left]).max(-1) < 1e-6
    assert swapped.mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(found[~swapped][:, right], rays.numpy()[~swapped][:, right], atol=1e-6)
