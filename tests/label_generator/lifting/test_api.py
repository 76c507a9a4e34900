"""The Python interface against the lifter that it wraps."""

import subprocess
import sys

import numpy as np
import pytest

import label_generator as lg
from label_generator.lifting import api
from label_generator.lifting.lifter import SHIPPED, load_lifter, save_lifter
from tools.cli.errors import InputError
from tools.pose import cameras, joints

STANDING = np.array(
    [
        *[(512, 260), (512, 300), (512, 330), (470, 340), (455, 420), (450, 490), (554, 340), (569, 420), (574, 490)],
        *[(512, 410), (512, 490), (485, 490), (482, 610), (480, 730), (539, 490), (542, 610), (544, 730)],
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def lifter():
    return load_lifter([SHIPPED])


@pytest.fixture(scope="module")
def poses():
    return (STANDING + np.random.default_rng(0).normal(0, 8, (6, 17, 2))).astype(np.float32)


def test_three_lines_give_what_the_lifter_gives(lifter, poses):
    labels = lg.lift(poses, camera="h36m")
    expected = lifter.lift(poses, np.float32(cameras.SEARCH_INTRINSICS))
    np.testing.assert_allclose(labels.poses_3d, expected.pose_3d, atol=1e-2)
    np.testing.assert_allclose(labels.roots, expected.root_3d, rtol=1e-4, atol=0.5)
    np.testing.assert_allclose(labels.quality, expected.quality, atol=1e-4)
    assert labels.reasons == ("",) * 6
    assert labels.labelled.all()
    assert not labels.nominal.any()


def test_another_joint_set_and_low_confidences(lifter, poses):
    coco = np.random.default_rng(1).uniform(300, 700, (3, 17, 2)).astype(np.float32)
    confidences = np.full((3, 17), 0.9)
    confidences[1, 9] = 0.1
    labels = lg.lift(coco, joints="coco17", confidences=confidences, min_confidence=0.3)
    coco[1, 9] = np.nan
    converted, provenance = joints.convert(coco, "coco17")
    expected = lifter.lift(converted, [np.nan] * 4, provenance == joints.LABELLED)
    np.testing.assert_allclose(labels.poses_3d, expected.pose_3d, atol=1e-2)
    assert labels.nominal.all()


def test_the_size_of_the_picture_suffices_for_a_camera(lifter, poses):
    poses = poses + np.float32([500, 0])
    labels = lg.lift(poses, image_size=(1600, 1200))
    expected = lifter.lift(poses, np.float32([2000, 2000, 800, 600]))
    np.testing.assert_allclose(labels.poses_3d, expected.pose_3d, atol=1e-2)
    assert labels.nominal.all()
    unknown = lg.lift(poses)
    np.testing.assert_allclose(lg.lift(poses, camera="unknown", image_size=(1600, 1200)).poses_3d, unknown.poses_3d)
    assert np.abs(labels.poses_3d - unknown.poses_3d).max() > 10


def test_pieces_of_a_large_input_are_those_of_a_small_one(poses, monkeypatch):
    whole = lg.lift(poses)
    monkeypatch.setattr(api, "_AT_ONCE", 4)
    np.testing.assert_allclose(lg.lift(poses).poses_3d, whole.poses_3d, atol=0.1)
    streamed = list(lg.Lifter().stream(poses[:2]))
    # One pose is compiled apart: its float32 sums run in another order.
    np.testing.assert_allclose([part.poses_3d[0] for part in streamed], whole.poses_3d[:2], atol=0.1)
    assert len(lg.lift(poses[:0])) == 0


def test_a_pose_without_hips_has_a_reason(poses):
    poses = poses.copy()
    for joint in ("Hip", "RHip", "LHip"):
        poses[0, joints.POSE17.index(joint)] = np.nan
    labels = lg.lift(poses)
    assert labels.reasons[0] == "no root, or a joint is missing"
    assert np.isnan(labels.poses_3d[0]).all()
    assert labels.labelled.tolist() == [False] + [True] * 5


def test_a_saved_model_gives_the_same(lifter, poses, tmp_path):
    save_lifter(lifter, str(tmp_path / "chain"))
    labels = lg.Lifter.from_saved_model(tmp_path / "chain").lift(poses, camera=(1145, 1143, 512, 515))
    np.testing.assert_allclose(labels.poses_3d, lg.lift(poses, camera=(1145, 1143, 512, 515)).poses_3d, atol=1e-2)
    with pytest.raises(InputError, match=r"no saved_model\.pb"):
        lg.Lifter.from_saved_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": "coco18"}, "no joint set 'coco18'"),
        ({"joints": "mpii16"}, r"are \[N, 16, 2\] px, not \[6, 17, 2\]"),
        ({"camera": "fov:60"}, "needs image_size"),
        ({"camera": [1, 2]}, r"are \[4\] or \[6, 4\]"),
        ({"confidences": np.ones((5, 17))}, r"confidences are \[6, 17\]"),
        ({"confidences": np.full((6, 17), -0.5)}, "confidences: -0.5: expected numbers of 0 to 100"),
        ({"confidences": np.full((6, 17), 4000)}, "confidences: 4000: expected numbers of 0 to 100"),
        ({"confidences": "high"}, "confidences: expected an array of real numbers, got text"),
        ({"camera": [[1145, 1143], [512]]}, "camera: expected an array of real numbers, got a list that is none"),
        *[
            ({"image_size": size}, "image_size: expected width and height of 1 to 100,000 px")
            for size in ((0, 0), (640, -480), (640, np.nan), (640, 200_000), (640,), 640)
        ],
    ],
)
def test_what_does_not_fit_is_one_line(poses, change, message):
    with pytest.raises(InputError, match=message):
        lg.lift(poses, **change)


@pytest.mark.parametrize(
    ("poses_2d", "message"),
    [
        ("walk.jpg", "got text; of a picture, lg.detect gives them"),
        (STANDING[None] * (1 + 2j), "got complex64 values"),
        ([STANDING.tolist(), [1]], "got a list that is none"),
        ([[["a", "b"]] * 17], "got text"),
        ([[[{}, 1]] * 17], "got a list that is none"),
    ],
)
def test_poses_that_are_no_numbers_are_one_line(poses_2d, message):
    with pytest.raises(InputError, match=f"poses_2d: expected an array of real numbers, {message}"):
        lg.lift(poses_2d)


def test_names_that_are_imported_lazily_are_listed():
    assert {"lift", "detect", "Lifter", "Labels", "People"} <= set(dir(lg))


def test_settings_that_do_not_exist_are_one_line():
    with pytest.raises(InputError, match="settings speed: there are min_depth_mm"):
        lg.Lifter(speed=2)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, label_generator; print(sorted({'tensorflow', 'numpy', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
