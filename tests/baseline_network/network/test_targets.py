"""Targets against loops written from docs/reference.md, and how they move with the picture."""

import math

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import targets
from tools.pose import joints

RESOLUTION = 128


def some_records(count=5, seed=0):
    """Poses seen by a camera: fields of the schema as tensors' arrays, and the boxes' middles and sides."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 350, [count, 17, 3])
    poses -= poses[:, 10:11]
    place = np.array([200.0, -100.0, 4500.0])
    pixels = 1100 * (poses[..., :2] + place[:2]) / (poses[..., 2:] + place[2]) + 500
    centres = (pixels.min(1) + pixels.max(1)) / 2
    sides = (pixels.max(1) - pixels.min(1)).max(1) * 1.25
    codes = np.full([count, 17], joints.LABELLED, np.uint8)
    record = {
        "pose_2d": pixels.astype(np.float32),
        "provenance_2d": codes,
        "pose_3d": poses.astype(np.float32),
        "provenance_3d": codes.copy(),
    }
    return record, tf.constant(centres, tf.float32), tf.constant(sides, tf.float32)


def lose(record, sample, joint, which=("2d", "3d")):
    for kind in which:
        record[f"pose_{kind}"][sample, joint] = np.nan
        record[f"provenance_{kind}"][sample, joint] = joints.MISSING


def tensors(record):
    return {field: tf.constant(value) for field, value in record.items()}


def heatmap_by_loop(points, usable, size):
    maps = np.zeros([size, size, len(points)])
    for j, (x, y) in enumerate(points):
        if not usable[j]:
            continue
        cx, cy = math.floor(x), math.floor(y)
        for row in range(cy - 3, cy + 4):
            for column in range(cx - 3, cx + 4):
                if 0 <= row < size and 0 <= column < size:
                    maps[row, column, j] = math.exp(-((row - cy) ** 2 + (column - cx) ** 2) / (2 * 1.75**2))
    return maps


def test_heatmaps_are_the_loops():
    rng = np.random.default_rng(0)
    points = rng.uniform(-8, 40, [4, 16, 2]).astype(np.float32)
    points[0, 0] = [3.0, 31.999]
    points[0, 1] = [1e30, -1e30]
    usable = rng.random([4, 16]) < 0.8
    maps = targets.heatmaps(tf.constant(points), tf.constant(usable), 32).numpy()
    for b in range(4):
        np.testing.assert_allclose(maps[b], heatmap_by_loop(points[b], usable[b], 32), atol=1e-6)
    # The published table of 7 x 7 numbers begins with these.
    patch = targets.heatmaps(tf.constant([[[16.5, 16.5]]]), tf.constant([[True]]), 32)[0, :, :, 0].numpy()
    np.testing.assert_allclose(patch[13, 13:17], [0.0529, 0.1197, 0.1954, 0.2301], atol=6e-5)
    assert patch[16, 16] == 1


@pytest.mark.parametrize("min_provenance", [joints.MADE, joints.LABELLED])
def test_sixteen_joints_are_those_of_convert(min_provenance):
    record, _, _ = some_records(40)
    rng = np.random.default_rng(1)
    record["provenance_3d"][:] = rng.choice([0, 1, 2], [40, 17], p=[0.1, 0.2, 0.7])
    record["pose_3d"][record["provenance_3d"] == 0] = np.nan
    poses, usable = targets.to_mpii16(
        tf.constant(record["pose_3d"]), tf.constant(record["provenance_3d"]), min_provenance
    )
    kept = record["provenance_3d"] >= min_provenance
    expected, codes = joints.convert(np.where(kept[..., None], record["pose_3d"], np.nan), "pose17", "mpii16")
    # What `convert` would make of other joints (a hip of the hips) is not a label of this record.
    direct = [i for i in range(16) if i != targets.THORAX]
    source = [int(np.argmax(targets.MPII16_FROM_POSE17[i])) for i in direct]
    np.testing.assert_array_equal(usable.numpy()[:, direct], kept[:, source])
    np.testing.assert_array_equal(usable.numpy()[:, targets.THORAX], codes[:, targets.THORAX] != joints.MISSING)
    np.testing.assert_allclose(poses.numpy()[usable.numpy()], expected[usable.numpy()], rtol=1e-5, atol=1e-3)
    assert not poses.numpy()[~usable.numpy()].any()


def test_back_to_seventeen_joints_is_convert():
    poses = np.random.default_rng(0).normal(0, 300, [3, 16, 3]).astype(np.float32)
    expected, codes = joints.convert(poses, "mpii16", "pose17")
    assert (codes > 0).all()
    np.testing.assert_allclose(targets.to_pose17(tf.constant(poses)), expected, rtol=1e-4, atol=1e-2)


def depths_by_loop(record, side, b):
    """(z - z of the Spine) * s / (side / 2) with s from the published bones, one joint at a time."""
    flat, _ = joints.convert(record["pose_2d"][b].astype(np.float64), "pose17", "mpii16")
    deep, _ = joints.convert(record["pose_3d"][b].astype(np.float64), "pose17", "mpii16")
    bones = [(0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (10, 11), (11, 12), (12, 8), (8, 13), (13, 14), (14, 15)]
    bones += [(6, 8), (8, 9)]
    in_2d = sum(math.dist(flat[i], flat[j]) for i, j in bones)
    in_3d = sum(math.dist(deep[i, :2], deep[j, :2]) for i, j in bones)
    scale = in_2d / in_3d
    spine = record["pose_3d"][b, 9]
    return scale, [(deep[j, 2] - spine[2]) * scale / (side / 2) for j in range(16)]


def test_depths_are_the_loops():
    record, centres, sides = some_records()
    transforms = crop.crop_transforms(centres, sides, RESOLUTION)
    found = targets.make_targets(tensors(record), transforms, tf.zeros([5], tf.bool), RESOLUTION)
    for b in range(5):
        _, depths = depths_by_loop(record, float(sides[b]), b)
        np.testing.assert_allclose(found["depths"][b], depths, rtol=1e-4, atol=1e-5)
    # A person as deep as wide lies within the published range.
    assert np.abs(found["depths"]).max() < 1.5
    assert np.all(found["depth_mask"])
    assert np.all(found["joint_mask"])


def test_a_larger_crop_shrinks_depths_and_turning_leaves_them():
    record, centres, sides = some_records()
    still = tf.zeros([5], tf.bool)

    def depths(factor, angle):
        transforms = crop.crop_transforms(centres, sides * factor, RESOLUTION, tf.fill([5], angle))
        return targets.make_targets(tensors(record), transforms, still, RESOLUTION)["depths"]

    np.testing.assert_allclose(depths(1.5, 0.0) * 1.5, depths(1.0, 0.0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(depths(1.0, 0.7), depths(1.0, 0.0), rtol=1e-4, atol=1e-5)


def test_mirrored_targets_are_those_of_the_mirrored_record():
    """Mirroring the picture, or the record (x of 2D and 3D, and sides exchanged): the same targets."""
    record, centres, sides = some_records()
    lose(record, 1, 5)
    lose(record, 2, 12, ["2d"])
    yes, no = tf.ones([5], tf.bool), tf.zeros([5], tf.bool)
    angles = tf.constant([0.1, -0.3, 0.0, 0.6, -1.0])
    found = targets.make_targets(
        tensors(record), crop.crop_transforms(centres, sides, RESOLUTION, angles, yes), yes, RESOLUTION
    )
    order = joints.POSE17.mirror
    other = {
        "pose_2d": (record["pose_2d"] * [-1, 1] + [1000, 0])[:, order].astype(np.float32),
        "pose_3d": (record["pose_3d"] * [-1, 1, 1])[:, order].astype(np.float32),
        "provenance_2d": record["provenance_2d"][:, order],
        "provenance_3d": record["provenance_3d"][:, order],
    }
    transforms = crop.crop_transforms(centres * [-1.0, 1.0] + [1000.0, 0.0], sides, RESOLUTION, -angles)
    expected = targets.make_targets(tensors(other), transforms, no, RESOLUTION)
    for name in ("points", "depths"):
        mask = expected["joint_mask" if name == "points" else "depth_mask"].numpy()
        np.testing.assert_allclose(found[name].numpy()[mask], expected[name].numpy()[mask], atol=2e-3)
    for name in ("joint_mask", "depth_mask"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_heatmaps_show_the_moved_points():
    record, centres, sides = some_records()
    transforms = crop.crop_transforms(centres, sides, RESOLUTION, tf.constant([0.5] * 5))
    found = targets.make_targets(tensors(record), transforms, tf.zeros([5], tf.bool), RESOLUTION)
    flat = joints.convert(record["pose_2d"], "pose17", "mpii16")[0]
    expected = crop.move(tf.constant(flat), transforms).numpy()
    np.testing.assert_allclose(found["points"], expected, atol=1e-3)
    for b in range(5):
        truth = heatmap_by_loop(found["points"][b].numpy() / 4, np.ones(16), RESOLUTION // 4)
        np.testing.assert_allclose(found["heatmaps"][b], truth, atol=1e-6)


def test_missing_joints_and_samples_without_depth():
    record, centres, sides = some_records(6)
    lose(record, 0, 5)  # a wrist
    lose(record, 1, 3)  # a shoulder takes the thorax with it
    lose(record, 2, slice(None), ["3d"])
    lose(record, 3, 9)  # without the Spine depths have no origin
    lose(record, 4, slice(None), ["2d"])
    lose(record, 5, 13, ["3d"])
    transforms = crop.crop_transforms(centres, sides, RESOLUTION)
    found = targets.make_targets(tensors(record), transforms, tf.zeros([6], tf.bool), RESOLUTION)
    seen, deep = found["joint_mask"].numpy(), found["depth_mask"].numpy()
    assert np.flatnonzero(~seen[0]).tolist() == [10] == np.flatnonzero(~deep[0]).tolist()
    assert np.flatnonzero(~seen[1]).tolist() == [7, 12] == np.flatnonzero(~deep[1]).tolist()
    assert seen[2].all()
    assert not deep[2].any()
    assert seen[3].all()
    assert not deep[3].any()
    assert not seen[4].any()
    assert not deep[4].any()
    assert seen[5].all()
    assert np.flatnonzero(~deep[5]).tolist() == [0]
    for name in ("heatmaps", "depths"):
        assert np.isfinite(found[name]).all()
    assert not found["heatmaps"].numpy()[0, ..., 10].any()
    assert found["heatmaps"].numpy()[0, ..., 9].max() == 1


def test_points_of_the_scaled_3d_pose():
    record, centres, sides = some_records()
    lose(record, 1, slice(None), ["3d"])
    transforms = crop.crop_transforms(centres, sides, RESOLUTION)
    still = tf.zeros([5], tf.bool)
    found = targets.make_targets(tensors(record), transforms, still, RESOLUTION, scaled_3d=True)
    plain = targets.make_targets(tensors(record), transforms, still, RESOLUTION)
    np.testing.assert_array_equal(found["points"][1], plain["points"][1])
    deep, _ = joints.convert(record["pose_3d"][0], "pose17", "mpii16")
    scale, _ = depths_by_loop(record, float(sides[0]), 0)
    expected = (deep[:, :2] - record["pose_3d"][0, 9, :2]) * scale + record["pose_2d"][0, 9]
    moved = crop.move(tf.constant(expected[None], tf.float32), transforms[:1])
    np.testing.assert_allclose(found["points"][0], moved[0], atol=2e-3)
    np.testing.assert_allclose(found["depths"], plain["depths"], atol=1e-6)
