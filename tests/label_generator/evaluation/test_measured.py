"""Files of real views with measured 3D."""

import numpy as np
import pytest

from label_generator.evaluation import measured
from tools.cli.errors import InputError
from tools.pose.joints import POSE17


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = {"poses_3d": (17, 3), "roots": (3,), "poses_2d": (17, 2), "intrinsics": (4,), "poses_2d_detected": (17, 2)}
    found = {name: rng.normal(100, 30, (20, *shape)) for name, shape in shapes.items()}
    order = rng.permutation(17)
    found["joints"] = np.array(POSE17.joints)[order]
    found["detected"] = np.array([name[1:] in ("Knee", "Foot", "Wrist") for name in found["joints"]])
    found["action"] = np.array(["walking"] * 20)
    return found


def test_joints_come_in_this_projects_order(arrays, tmp_path):
    path = tmp_path / "views.npz"
    np.savez(path, **arrays)
    poses = measured.load(path, step=3)
    assert (poses.name, len(poses), poses.actions[0]) == ("views", 7, "walking")
    names = list(arrays["joints"])
    for i, joint in enumerate(POSE17.joints):
        np.testing.assert_allclose(poses.poses_2d[:, i], arrays["poses_2d"][::3, names.index(joint)], rtol=1e-6)
    root = arrays["poses_3d"][:, names.index("Hip")]
    head = arrays["poses_3d"][:, names.index("Head")] - root
    np.testing.assert_allclose(poses.poses_3d[:, 0], head[::3], atol=1e-4)
    assert poses.joint_mask.all()


def test_detections_of_the_joints_that_mean_the_same(arrays, tmp_path):
    path = tmp_path / "views.npz"
    place = list(arrays["joints"]).index("RKnee")
    arrays["poses_2d_detected"][4, place] = np.nan
    np.savez(path, **arrays)
    poses = measured.load(path, detected="same")
    assert poses.name == "views_detected_same"
    assert {POSE17.joints[i] for i in np.flatnonzero(poses.joint_mask[0])} == {
        side + joint for side in "RL" for joint in ("Knee", "Foot", "Wrist")
    }
    assert not poses.joint_mask[4, POSE17.index("RKnee")]
    np.testing.assert_array_equal(np.isfinite(poses.poses_2d).all(-1), poses.joint_mask)
    assert measured.load(path, detected="all").joint_mask.sum() == 20 * 17 - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses_3d": None}, "expected poses_3d"),
        ({"roots": None}, "has no array roots"),
        ({"intrinsics": np.zeros(4)}, r"intrinsics is \[4\], expected \[20, 4\]"),
        ({"joints": np.array(["Head"] * 17)}, "in any order"),
    ],
)
def test_bad_files(arrays, tmp_path, change, message):
    path = tmp_path / "views.npz"
    np.savez(path, **{name: values for name, values in {**arrays, **change}.items() if values is not None})
    with pytest.raises(InputError, match=message):
        measured.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"views\.npz: no \.npz archive"):
        measured.load(path)
