"""Distances from the nearest pose: independent of place, size and orientation; errors by fifths of it."""

import types

import numpy as np
import pytest

from label_generator.evaluation import nearest
from tools.cli.errors import InputError
from tools.pose.joints import JOINT_SETS, POSE17


@pytest.fixture
def motion(tmp_path, people):
    """A file of motion capture, mm, z up."""
    poses = people.pose_3d[:40][..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0])
    order = [POSE17.index(joint) for joint in JOINT_SETS["h36m17"].joints]
    np.savez(tmp_path / "m.npz", **{"01_01": (poses[:, order] + [0, 0, 1000.0]).astype(np.float32)})
    return tmp_path / "m.npz", poses


def turned(poses, rng):
    """The poses, each turned by a random rotation, of another size and elsewhere."""
    rotations = np.linalg.qr(rng.normal(size=(len(poses), 3, 3)))[0]
    rotations *= np.sign(np.linalg.det(rotations))[:, None, None]
    return np.einsum("nij,nkj->nki", rotations, poses) * 0.9 + rng.normal(0, 1000, (len(poses), 1, 3))


def test_known_poses_and_their_mirror_images_are_near(motion):
    path, poses = motion
    known = nearest.of_motion(path)
    assert known.shape == (2 * len(poses), 8, 3)
    mirrored = poses[:, POSE17.mirror] * [-1.0, 1.0, 1.0]
    for same in (poses, turned(poses, np.random.default_rng(0)), mirrored):
        np.testing.assert_allclose(nearest.degrees(same, known), 0, atol=0.1)


def test_the_angle_of_a_limb_that_moved_alone(motion):
    _, poses = motion
    moved = poses[:1].copy()
    wrist, elbow = POSE17.index("RWrist"), POSE17.index("RElbow")
    forearm = moved[0, wrist] - moved[0, elbow]
    across = np.cross(forearm, [0.3, -0.5, 0.8])
    across *= np.linalg.norm(forearm) / np.linalg.norm(across)
    moved[0, wrist] = moved[0, elbow] + across  # by 90 degrees: one of eight cosines is 0
    known = nearest.limb_directions(poses[:1])
    np.testing.assert_allclose(nearest.degrees(moved, known), np.degrees(np.arccos(7 / 8)), atol=0.1)
    moved[0, wrist] = np.nan
    assert np.isnan(nearest.degrees(moved, known)).all()


def test_fifths_by_distance_without_poses_that_have_none():
    rng = np.random.default_rng(1)
    distances = rng.permutation(51).astype(float)
    errors = {"mpjpe": distances * 2, "p_mpjpe": distances, "n_mpjpe": distances * 3}
    distances[distances == 50] = np.nan
    rows = nearest.table(types.SimpleNamespace(errors=errors), distances).splitlines()[2:]
    assert rows[0] == "| 4.5 | 10 | 9.0 | 4.5 | 13.5 |"
    assert rows[-1] == "| 44.5 | 10 | 89.0 | 44.5 | 133.5 |"
    assert len(rows) == 5


def test_motion_without_a_whole_pose(tmp_path):
    np.savez(tmp_path / "m.npz", **{"01_01": np.full((5, 17, 3), np.nan, np.float32)})
    with pytest.raises(InputError, match=r"m\.npz"):
        nearest.of_motion(tmp_path / "m.npz")
