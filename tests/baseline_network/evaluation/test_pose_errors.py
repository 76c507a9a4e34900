"""Figures of predictions against numbers worked out by hand, loops, and what must not change them."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from baseline_network.evaluation import pose_errors
from baseline_network.images import crop
from baseline_network.network import decoding, targets
from tools.pose import metrics

BONES = [(0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (10, 11), (11, 12), (12, 8), (8, 13), (13, 14), (14, 15)]
BONES += [(6, 8), (8, 9)]
NAMES = "RAnkle,RKnee,RHip,LHip,LKnee,LAnkle,Pelvis,Thorax,UpperNeck,HeadTop,RWrist,RElbow,RShoulder,LShoulder"
NAMES = [*NAMES.split(","), "LElbow", "LWrist"]


def person(rng, count=5):
    """Predictions and truth of random people: orthographic predictions, truth of 3.9 to 4.7 m of bones."""
    true = rng.normal(0, 300, [count, 16, 3])
    pose = true + rng.normal(0, 60, true.shape)
    truth = {
        "points": rng.uniform(100, 300, [count, 16, 2]),
        "joint_mask_2d": np.ones([count, 16], bool),
        "pose_3d": true,
        "joint_mask_3d": np.ones([count, 16], bool),
        "box_sides": rng.uniform(100, 200, count),
        "crop_sides": rng.uniform(150, 250, count),
        "mm_per_pixel": rng.uniform(4, 9, count),
    }
    pose -= pose[:, 6:7]
    scale = rng.uniform(0.1, 0.3, [count, 1, 1])
    return {"points": 200 + pose[..., :2] * scale, "pose_3d": pose}, truth


def test_lengths_by_loops():
    predicted, truth = person(np.random.default_rng(0))
    found = pose_errors.errors(predicted, truth)
    for n in range(5):
        pose, true = predicted["pose_3d"][n], truth["pose_3d"][n] - truth["pose_3d"][n, 6]
        bones, true_bones = (sum(math.dist(p[i], p[j]) for i, j in BONES) for p in (pose, true))
        # Depth in pixels goes with x and y: the pixels that were multiplied to millimetres.
        pixels = math.dist(predicted["points"][n, 0], predicted["points"][n, 6]) / math.dist(pose[0, :2], pose[6, :2])
        for name, scale in (
            ("mpjpe_published", 4296.99233013 / bones),
            ("mpjpe_sized", true_bones / bones),
            ("mpjpe_metric", pixels * truth["mm_per_pixel"][n]),
        ):
            expected = [math.dist(pose[j] * scale, true[j]) for j in range(16)]
            np.testing.assert_allclose(found[name][n], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found["n_mpjpe"][n].mean(), metrics.n_mpjpe(pose, true))
        np.testing.assert_allclose(found["p_mpjpe"][n].mean(), metrics.p_mpjpe(pose, truth["pose_3d"][n]))
        far = np.linalg.norm(pose * 4296.99233013 / bones - true, axis=-1)
        np.testing.assert_array_equal(found["pck_3d@150"][n], 100.0 * (far < 150))
        np.testing.assert_allclose(found["auc_3d"][n], [100 * np.mean(far[j] < np.arange(31) * 5) for j in range(16)])
    figures = pose_errors.figures(predicted, truth)
    assert figures["mpjpe_published"] == pytest.approx(found["mpjpe_published"].mean())
    assert figures["mpjpe_metric/LWrist"] == pytest.approx(found["mpjpe_metric"][:, 15].mean())
    assert figures["pck_3d@150"] == pytest.approx(found["pck_3d@150"].mean())


def test_shares_by_hand():
    """Joint j is 2.1 j pixels off; the head is 20 px, the torso 100, the box's longer side 80, the crop 200."""
    points = np.zeros([1, 16, 2])
    points[0, 9] = [12, -16]  # HeadTop, 20 from UpperNeck
    points[0, 2], points[0, 13] = [60, 0], [60, 100]  # RHip, LShoulder
    off = points + 2.1 * np.arange(16)[None, :, None] * [0.6, -0.8]
    nothing = {"pose_3d": np.full([1, 16, 3], np.nan), "joint_mask_3d": np.zeros([1, 16], bool)}
    truth = {
        "points": points,
        "joint_mask_2d": np.ones([1, 16], bool),
        "box_sides": [80.0],
        "crop_sides": [200.0],
        **nothing,
    }
    predicted = {"points": off, "pose_3d": np.ones([1, 16, 3])}
    figures = pose_errors.figures(predicted, truth)
    # Below 10 px: joints 0 to 4, of the 14 that count.
    assert figures["pckh@0.5"] == pytest.approx(100 * 5 / 14)
    assert figures["pckh@0.5/LKnee"] == 100
    assert figures["pckh@0.5/LAnkle"] == 0
    assert figures["pck_torso@0.2"] == pytest.approx(100 * 10 / 16)  # below 20 px: 0 to 9
    assert figures["pck_box@0.2"] == pytest.approx(100 * 8 / 16)  # below 16 px: 0 to 7
    assert figures["pck_box@0.05"] == pytest.approx(100 * 2 / 16)  # below 4 px: 0 and 1
    assert figures["pck_crop@0.05"] == pytest.approx(100 * 5 / 10)  # below 10 px: 0 to 4, of the limbs' ten
    assert figures["distance_px"] == pytest.approx(15.75)
    assert not [name for name in figures if "mpjpe" in name or "3d@" in name or name == "auc_3d"]
    assert [figures[f"images{what}"] for what in ("", "_2d", "_3d", "_head", "_metric")] == [1, 1, 0, 1, 0]
    # The data set's own head goes before the drawn one: 0.5 of 40 px has joints 0 to 9, less the two that don't count.
    given_head = pose_errors.figures(predicted, {**truth, "head_sizes": np.array([40.0])})
    assert given_head["pckh@0.5"] == pytest.approx(100 * 8 / 14)
    absent = pose_errors.figures(predicted, {**truth, "head_sizes": np.array([np.nan])})
    assert absent["pckh@0.5"] == figures["pckh@0.5"]


def test_names_are_mpiis():
    assert list(pose_errors.JOINT_NAMES) == NAMES
    assert [NAMES[j] for j in pose_errors.TORSO] == ["LShoulder", "RHip"]


def test_missing_joints_and_people():
    predicted, truth = person(np.random.default_rng(1), 4)
    truth["joint_mask_2d"][0, 3] = truth["joint_mask_3d"][0, 5] = False
    truth["joint_mask_3d"][1, 6] = False  # no pelvis: nothing to be relative to
    truth["joint_mask_3d"][2] = False
    truth["joint_mask_2d"][3] = False
    truth["points"][0, 3] = truth["pose_3d"][0, 5] = np.nan
    found = pose_errors.errors(predicted, truth)
    for name in (*pose_errors.LENGTHS, "pck_3d@150", "auc_3d"):
        counted = np.isfinite(found[name])
        np.testing.assert_array_equal(counted[0], np.arange(16) != 5)
        assert not counted[1:3].any()
        assert counted[3].all()
    for name in ("pckh@0.5", "pck_torso@0.2", "distance_px"):
        counted = np.isfinite(found[name])
        np.testing.assert_array_equal(counted[0], np.arange(16) != 3)
        assert counted[1:3].all()
        assert not counted[3].any()
    figures = pose_errors.figures(predicted, truth)
    assert figures["images_3d"] == 2
    assert figures["images_2d"] == 3
    means = [np.nanmean(found["mpjpe_metric"][n]) for n in (0, 3)]
    assert figures["mpjpe_metric"] == pytest.approx(np.mean(means))
    assert figures["pckh@0.5"] == pytest.approx(np.nanmean(np.delete(found["pckh@0.5"], [6, 7], 1)))


def test_published_thorax():
    predicted, truth = person(np.random.default_rng(2), 2)
    before = {name: values.copy() for name, values in truth.items()}
    spine = np.array([[10.0, 20, 30], [np.nan] * 3])
    found = pose_errors.errors(predicted, {**truth, "spine": spine}, published_thorax=True)
    usual = pose_errors.errors(predicted, truth)
    published = decoding.with_published_thorax(tf.constant(predicted["pose_3d"])).numpy()
    for n, true in ((0, spine[0]), (1, (truth["pose_3d"][1, 6] + truth["pose_3d"][1, 8]) / 2)):
        bones = sum(math.dist(published[n, i], published[n, j]) for i, j in BONES)
        error = published[n, 7] * 4296.99233013 / bones - (true - truth["pose_3d"][n, 6])
        assert found["mpjpe_published"][n, 7] == pytest.approx(np.linalg.norm(error))
    others = np.arange(16) != 7
    for name in ("mpjpe_published", "mpjpe_sized", "mpjpe_metric"):
        np.testing.assert_allclose(found[name][:, others], usual[name][:, others])
    for name, values in before.items():
        np.testing.assert_array_equal(truth[name], values)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), zoom=st.floats(0.1, 10), shift=st.floats(-500, 500), size=st.floats(0.2, 5))
def test_what_figures_do_not_depend_on(seed, zoom, shift, size):
    """The picture's resolution and place, where truth's pose stands, the size in which the prediction comes."""
    predicted, truth = person(np.random.default_rng(seed), 3)
    other = {
        **truth,
        "points": truth["points"] * zoom + shift,
        "box_sides": truth["box_sides"] * zoom,
        "crop_sides": truth["crop_sides"] * zoom,
        "pose_3d": truth["pose_3d"] + [shift, -shift, 5 * shift],
        "mm_per_pixel": truth["mm_per_pixel"] / zoom,
    }
    moved = {"points": predicted["points"] * zoom + shift, "pose_3d": predicted["pose_3d"] * size}
    one, two = pose_errors.figures(predicted, truth), pose_errors.figures(moved, other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        expected = value * (zoom if name.startswith("distance_px") else 1)
        assert two[name] == pytest.approx(expected, rel=1e-6, abs=1e-6), name


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_alignment_only_helps_and_perfection_is_perfect(seed):
    predicted, truth = person(np.random.default_rng(seed), 3)
    found = pose_errors.errors(predicted, truth)

    def squares(name):
        return np.sum(found[name] ** 2, 1)

    for name in ("mpjpe_published", "mpjpe_sized", "mpjpe_metric"):
        assert np.all(squares("p_mpjpe") <= squares("n_mpjpe") + 1e-6)
        assert np.all(squares("n_mpjpe") <= squares(name) + 1e-6)
    exact = {"points": truth["points"], "pose_3d": truth["pose_3d"]}
    figures = pose_errors.figures(exact, truth)
    assert figures["pckh@0.5"] == figures["pck_box@0.05"] == figures["pck_torso@0.2"] == 100
    assert max(figures[name] for name in ("mpjpe_sized", "p_mpjpe", "n_mpjpe", "distance_px")) < 1e-4


def weak_perspective(count=4, pixels_per_mm=0.2):
    rng = np.random.default_rng(3)
    pose = rng.uniform(-550, 550, [count, 17, 3]).astype(np.float32)
    pose -= pose[:, 10:11]
    pixels = (pose[..., :2] * pixels_per_mm + [320, 240]).astype(np.float32)
    codes = np.full([count, 17], 2, np.uint8)
    return {
        "pose_2d": pixels,
        "pose_3d": pose,
        "provenance_2d": codes,
        "provenance_3d": codes.copy(),
        "box": np.tile(np.float32([10, 20, 90, 60]), [count, 1]),
        "head_size": np.float32([30, np.nan, np.nan, np.nan]),
        "root_3d": np.tile(np.float32([0, 0, 4000]), [count, 1]),
        "intrinsics": np.float32([[1000, 1000, 320, 240]] * 2 + [[np.nan] * 4] * 2),
    }


def test_truth_of_records():
    record = weak_perspective()
    record["provenance_2d"][3, 16] = record["provenance_3d"][2, 10] = 0
    record["pose_2d"][3, 16] = record["pose_3d"][2, 10] = np.nan
    truth = pose_errors.truth_of(record)
    np.testing.assert_allclose(truth["points"][0, 9], record["pose_2d"][0, 0])
    np.testing.assert_allclose(truth["pose_3d"][0, 0], record["pose_3d"][0, 13])
    np.testing.assert_allclose(truth["mm_per_pixel"], [4, 4, 5, 5], rtol=1e-5)  # of the camera, of the bones
    np.testing.assert_array_equal(truth["box_sides"], 90)
    np.testing.assert_array_equal(truth["spine"], record["pose_3d"][:, 9])
    assert not truth["joint_mask_2d"][3, 5]
    assert not truth["joint_mask_3d"][2, 6]
    assert truth["joint_mask_3d"][:2].all()
    without = {name: record[name] for name in ("pose_2d", "pose_3d", "provenance_2d", "provenance_3d")}
    fewer = pose_errors.truth_of(without)
    np.testing.assert_allclose(fewer["mm_per_pixel"], 5, rtol=1e-5)
    assert np.isnan(fewer["box_sides"]).all()


def test_the_networks_own_targets_are_nearly_right():
    """From records over targets and decoding to figures: what is left is the heatmap's coarseness."""
    record = weak_perspective()
    record["intrinsics"][:] = np.nan
    transforms = crop.crop_transforms(tf.fill([4, 2], 280.0), tf.fill([4], 480.0), 256)
    tensors = {name: tf.constant(values) for name, values in record.items()}
    made = targets.make_targets(tensors, transforms, tf.zeros([4], tf.bool), 256)
    found = decoding.predictions_to_pose(made["heatmaps"], made["depths"], transforms, 256)
    truth = {**pose_errors.truth_of(record), "crop_sides": np.full(4, 480.0)}
    figures = pose_errors.figures({name: values.numpy() for name, values in found.items()}, truth)
    assert figures["pck_crop@0.05"] == 100
    # A cell is 7.5 px of 5 mm; x and y are off by up to 1.5 cells, the pelvis's own error included.
    assert figures["mpjpe_metric"] < 1.5 * 7.5 * 2**0.5 * 5
    assert figures["p_mpjpe"] <= figures["mpjpe_metric"]
    assert figures["images_metric"] == 4
