"""What cameras see, against OpenCV; where they are put."""

import cv2
import numpy as np
import pytest

from tfrecords.conversion import placing
from tools.cli.errors import InputError
from tools.pose.cameras import Camera


@pytest.mark.parametrize("distort", [False, True])
def test_what_a_camera_sees_is_what_opencv_projects(bodies, camera_values, distort):
    rotation, translation, intrinsics, distortion = camera_values[9, "55011271"]
    world = bodies(50).astype(np.float64)
    seen = placing.view_from(world, Camera(intrinsics, distortion, rotation, translation), 400.0, distort)

    matrix = np.array([[intrinsics[0], 0, intrinsics[2]], [0, intrinsics[1], intrinsics[3]], [0, 0, 1]])
    lens = distortion if distort else np.zeros(5)
    turn, _ = cv2.Rodrigues(rotation)
    left, _ = cv2.projectPoints(world.reshape(-1, 3), turn, translation, matrix, lens)
    right, _ = cv2.projectPoints(world.reshape(-1, 3), turn, translation + [400.0, 0, 0], matrix, lens)
    np.testing.assert_allclose(seen.poses_2d, left.reshape(50, 17, 2), atol=2e-3)
    np.testing.assert_allclose(seen.right_2d, right.reshape(50, 17, 2), atol=2e-3)
    placed = seen.poses_3d.astype(np.float64) + seen.roots[:, None]
    np.testing.assert_allclose(placed, np.einsum("ij,fkj->fki", rotation, world) + translation, atol=2e-3)
    np.testing.assert_allclose(seen.nearest_mm, placed[..., 2].min(1), atol=2e-3)
    assert not seen.poses_3d[:, 10].any()


def test_no_baseline_no_right_view(bodies):
    assert (
        placing.view_from(bodies(2) + [0, 0, 5000.0], Camera(np.array([1000.0, 1000, 500, 500])), 0.0).right_2d is None
    )


def test_wild_cameras_keep_their_ranges():
    target = np.array([100.0, -200.0, 900.0])
    for seed in range(300):
        camera = placing.wild_camera(target, np.random.default_rng(seed))
        eye = -camera.rotation.T @ camera.translation
        distance = np.linalg.norm(eye - target)
        assert 2500 <= distance <= 9000
        assert 300 <= eye[2] <= 4000
        assert abs(eye[2] - target[2]) <= distance * np.sin(np.radians(40)) + 1e-6
        fov = 2 * np.degrees(np.arctan(500 / camera.intrinsics[0]))
        assert 30 <= fov <= 90
        seen = camera.to_camera(target)
        off = np.degrees(np.arctan2(np.abs(seen[:2]), seen[2]))
        assert (off <= 10.5).all()
        assert (camera.to_camera(target + [0, 0, 100])[1] < seen[1]).all()  # up in the world is up in the picture
        np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)


def test_placing_keeps_bodies_and_the_room(bodies):
    world = bodies(200).astype(np.float64) * 1.0
    world[..., 0] += np.linspace(0, 9000, 200)[:, None]
    placed = placing.place_in_room(world, np.random.default_rng(3))
    between = np.linalg.norm(np.diff(placed, axis=1), axis=-1)
    np.testing.assert_allclose(between, np.linalg.norm(np.diff(world, axis=1), axis=-1), atol=1e-6)
    np.testing.assert_array_equal(placed[..., 2], world[..., 2])
    assert np.abs(placed[:, 10, :2]).max() <= 1600 + 1e-9


def test_a_frame_that_is_not_finite_moves_no_other(bodies):
    world = bodies(20).astype(np.float64)
    broken = world.copy()
    broken[7, 10] = np.nan
    keep = np.arange(20) != 7
    with_gap = placing.place_in_room(broken, np.random.default_rng(5))
    without = placing.place_in_room(world[keep], np.random.default_rng(5))
    np.testing.assert_array_equal(with_gap[keep], without)


def test_the_message_without_cameras_says_what_to_give():
    with pytest.raises(InputError, match=r"--cameras.*--cameras_style=wild"):
        placing.load_cameras("", "mocap")


@pytest.mark.parametrize("height", [9_900.0, -5_700.0, 1e9])
def test_a_target_that_no_camera_in_the_wild_sees_ends(height):
    with pytest.raises(placing.OutOfView, match="above the floor"):
        placing.wild_camera(np.array([0.0, 0.0, height]), np.random.default_rng(0))


def test_one_glitch_moves_no_camera(bodies):
    world = bodies(200).astype(np.float64)
    expected = placing.wild_view(world, 0, np.random.default_rng(5))[2]
    glitch = world.copy()
    glitch[17] = 1e9
    camera = placing.wild_view(glitch, 0, np.random.default_rng(5))[2]
    # The mean of 199 frames instead of 200.
    np.testing.assert_allclose(camera.rotation, expected.rotation, atol=0.05)
    view = placing.view_from(glitch, camera, 500.0)
    assert view.in_reach.tolist() == [i != 17 for i in range(200)]
    placed, _, level, _ = placing.level_view(glitch)
    assert not placing.view_from(placed, level, 500.0).in_reach[17]
