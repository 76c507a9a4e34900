"""Bounds of 2D poses, intrinsics and picture sizes: one camera and many are judged alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.schema import PoseRecord
from tools.cli.errors import InputError
from tools.pose import bounds, cameras

NUMBERS = st.sampled_from([0.0, -1.0, 0.5, 1.0, 9.0, 1000.0, 1e5, -1e5, 1.1e5, 1e7, 2e7, 1e30, np.inf, np.nan])


@settings(deadline=None)
@given(st.lists(st.tuples(*[NUMBERS] * 4), min_size=1, max_size=5))
def test_one_camera_and_many(rows):
    many = bounds.good_intrinsics(np.array(rows))
    for row, good in zip(rows, many):
        assert bounds.good_camera(*row) == good
        fx, fy, cx, cy = row
        expected = 1 <= fx <= 1e7 and 1 <= fy <= 1e7 and 0.1 <= fx / fy <= 10 and abs(cx) <= 1e5 and abs(cy) <= 1e5
        assert good == expected


def test_poses():
    pose = np.random.default_rng(0).uniform(0, 500, (17, 2))
    gaps = pose.copy()
    gaps[::2] = np.nan
    one = np.full((17, 2), np.nan)
    one[3] = 5
    for sound in (pose, gaps, one, np.full((17, 2), np.nan)):
        assert bounds.problem(sound) == ""
    for shares in (pose / 1000, np.full((17, 2), 77.0), gaps / 500):
        assert bounds.problem(shares) == bounds.NOT_PIXELS
    for far in (pose + 1e9, -1e6 - pose, np.where(np.arange(34).reshape(17, 2) == 4, 1e30, pose)):
        assert bounds.problem(far) == bounds.TOO_FAR


def test_shares():
    poses = np.random.default_rng(0).uniform(0, 1, (20, 17, 2))
    assert bounds.shares(poses)
    assert bounds.shares(np.where(np.arange(17)[:, None] < 5, np.nan, poses))
    assert not bounds.shares(poses * 500)
    assert not bounds.shares(np.repeat(poses[:, :1] * 500, 17, 1))  # all on one pixel: damage, no shares
    assert not bounds.shares(np.full((2, 17, 2), np.nan))


def test_records_say_what_is_out_of_bounds():
    pose = np.random.default_rng(0).uniform(0, 500, (17, 2))
    good = {"pose_2d": pose, "intrinsics": [1000, 1000, 250, 250], "camera_kind": "given"}
    assert PoseRecord(**good).problem() == ""
    assert PoseRecord(**{**good, "pose_2d": pose / 500}).problem() == bounds.NOT_PIXELS
    assert PoseRecord(**{**good, "pose_2d": pose + 1e9}).problem() == bounds.TOO_FAR
    assert PoseRecord(**good, pose_3d=np.full((17, 3), 1e7)).problem() == bounds.TOO_FAR_3D
    assert PoseRecord(**{**good, "intrinsics": [1e30, 1e30, 250, 250]}).problem() == "intrinsics out of bounds"


@pytest.mark.parametrize("text", ["1e30,1e30,0,0", "0.5,0.5,0,0", "1000,1000,1e6,0", "20000,1000,0,0", "fov:179.99"])
def test_flags(text):
    with pytest.raises(InputError, match="expected focal lengths of 1 to 10,000,000 px"):
        cameras.parse_intrinsics(text, (640, 480))
