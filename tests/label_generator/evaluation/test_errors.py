"""Evaluation figures against closed forms."""

import numpy as np
import pytest
from scipy import stats

from label_generator.evaluation import errors as evaluation
from label_generator.evaluation.protocols import PoseSet
from label_generator.lifting import quality
from tools.cli.errors import InputError
from tools.pose.cameras import project


def pose_set(count=40, seed=0):
    """People 5 m away, seen by one camera; the right view of a camera 500 mm aside."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 250, (count, 17, 3))
    poses -= poses[:, 10:11]
    roots = np.tile([100.0, -50.0, 5000.0], (count, 1))
    intrinsics = np.array([1145.049, 1143.781, 512.0, 515.0])
    absolute = poses + roots[:, None]
    return PoseSet(
        name="made",
        poses_2d=project(absolute, intrinsics),
        joint_mask=np.ones((count, 17), bool),
        intrinsics=np.tile(intrinsics, (count, 1)),
        poses_3d=poses,
        roots=roots,
        right_2d=project(absolute + [500.0, 0, 0], intrinsics),
        actions=np.array(["Walking", "Sitting"] * (count // 2), object),
        sequences=np.array(["s"] * count, object),
    )


def labels(poses, scale=1.0, offset=0.0):
    """Labels of which everything is known: the truth times `scale`, every joint but the root moved by `offset` mm."""
    count = len(poses)
    moved = poses.poses_3d * scale
    moved[:, :10] += [offset, 0.0, 0.0]
    moved[:, 11:] += [offset, 0.0, 0.0]
    right = poses.right_2d - poses.right_2d[:, 10:11]
    return {
        "coarse_3d": moved,
        "pose_3d": moved,
        "root_3d": poses.roots * 1.02,
        "right_2d": right,
        "quality": np.full(count, 0.5),
        "expected_error_mm": np.full(count, 50.0),
        "signals": np.zeros((count, len(quality.SIGNALS))),
        "at_range_end": np.zeros(count, bool),
        "reason": np.zeros(count, int),
        "nominal": np.zeros(count, bool),
    }


def test_known_offsets_give_known_errors():
    poses = pose_set()
    figures = evaluation.compare(poses, labels(poses, offset=17.0)).summary()
    assert figures["mpjpe"] == pytest.approx(16.0)  # 16 of 17 joints moved by 17 mm
    assert figures["depth_error_percent"] == pytest.approx(2.0)
    assert figures["pckh_right"] == pytest.approx(100.0)
    assert figures["labelled_percent"] == 100.0


def test_size_is_taken_out_of_the_sized_depth_error_and_of_n_mpjpe():
    poses = pose_set()
    lifted = labels(poses, scale=1.1)
    lifted["root_3d"] = poses.roots * 1.1
    figures = evaluation.compare(poses, lifted).summary()
    assert figures["depth_error_percent"] == pytest.approx(10.0)
    assert figures["depth_error_sized_percent"] == pytest.approx(0.0, abs=1e-4)
    assert figures["n_mpjpe"] == pytest.approx(0.0, abs=1e-3)


def test_poses_without_label_are_left_out_and_counted():
    poses = pose_set()
    lifted = labels(poses, offset=17.0)
    for field in ("coarse_3d", "pose_3d", "root_3d", "quality"):
        lifted[field][:10] = np.nan
    lifted["reason"][:10] = 1
    figures = evaluation.compare(poses, lifted).summary()
    assert figures["labelled_percent"] == pytest.approx(75.0)
    assert figures["mpjpe"] == pytest.approx(16.0)
    assert figures["pck_3d"] == pytest.approx(100.0)


def test_dropping_the_worst_by_quality():
    poses = pose_set()
    lifted = labels(poses)
    shift = np.linspace(0, 170, len(poses))
    lifted["pose_3d"] = poses.poses_3d.copy()
    lifted["pose_3d"][:, 0, 0] += shift  # an error of shift / 17
    lifted["quality"] = np.exp(-shift / 1000.0)
    figures = evaluation.compare(poses, lifted).summary()
    assert figures["spearman"] == pytest.approx(1.0)
    assert figures["mpjpe_without_worst_30"] == pytest.approx(np.sort(shift)[:28].mean() / 17, rel=1e-5)


def test_reliability_compares_expected_and_true_errors_by_groups():
    poses = pose_set(100)
    lifted = labels(poses)
    shift = np.linspace(17, 1700, len(poses))
    lifted["pose_3d"] = poses.poses_3d.copy()
    lifted["pose_3d"][:, 0, 0] += shift  # an error of shift / 17
    lifted["expected_error_mm"] = 1.5 * shift / 17
    lifted["quality"] = np.exp(-lifted["expected_error_mm"] / 100.0)
    lifted["quality"][:5] = np.nan
    result = evaluation.compare(poses, lifted)
    expected, true = result.reliability()
    assert len(true) == evaluation.GROUPS
    np.testing.assert_allclose(expected, 1.5 * true, rtol=1e-5)
    assert true[0] == pytest.approx(shift[5:15].mean() / 17, rel=1e-5)
    figures = result.summary()
    assert figures["expected_off_percent"] == pytest.approx(50.0, rel=1e-4)
    assert figures["expected_mm"] == pytest.approx(1.5 * shift[5:].mean() / 17, rel=1e-5)


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(3)
    for size in (5, 50):
        x, y = rng.integers(0, 6, size).astype(float), rng.normal(0, 1, size)
        assert evaluation.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_unknown_intrinsics_have_no_depth_error():
    poses = pose_set()
    lifted = labels(poses)
    lifted["nominal"][:] = True
    assert "depth_error_percent" not in evaluation.compare(poses, lifted).summary()


def test_nothing_labelled_is_an_error():
    poses = pose_set()
    lifted = labels(poses)
    lifted["reason"][:] = 2
    with pytest.raises(InputError, match="none of its 40 poses"):
        evaluation.compare(poses, lifted).summary()
