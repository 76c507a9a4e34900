"""Cameras around people, against slow loops, OpenCV, and the ranges that they promise."""

import cv2
import numpy as np
import pytest

from tfrecords.synthetic import cameras
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError

HIP = 10


@pytest.fixture(scope="module")
def people():
    return synthetic_poses.make_poses(0, 0, 3000).joints


@pytest.fixture(scope="module", params=["h36m", "wild"])
def views(request, people):
    return request.param, cameras.sample_views(np.random.default_rng(1), people, request.param)


def test_joints_and_pixels_equal_a_slow_loop(views, people):
    _, seen = views
    for i in range(0, len(people), 100):
        rotation, translation = seen.rotation[i], seen.translation[i]
        fx, fy, cx, cy = seen.intrinsics[i]
        for j in range(17):
            x, y, z = (
                sum(rotation[r, c] * float(people[i, j, c]) for c in range(3)) + translation[r] for r in range(3)
            )
            np.testing.assert_allclose(seen.joints[i, j], [x, y, z], atol=1e-6)
            np.testing.assert_allclose(seen.pixels[i, j], [fx * x / z + cx, fy * y / z + cy], atol=1e-6)


def test_pixels_equal_opencv(views, people):
    _, seen = views
    for i in range(0, len(people), 300):
        fx, fy, cx, cy = seen.intrinsics[i]
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        turn = cv2.Rodrigues(seen.rotation[i])[0]
        expected = cv2.projectPoints(people[i].astype(np.float64), turn, seen.translation[i], matrix, None)[0][:, 0]
        np.testing.assert_allclose(seen.pixels[i], expected, atol=1e-4)


def test_rotations_are_rotations_and_up_is_up(views):
    _, seen = views
    np.testing.assert_allclose(
        seen.rotation @ seen.rotation.transpose(0, 2, 1), np.eye(3)[None].repeat(3000, 0), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(seen.rotation), 1.0, atol=1e-12)
    # the world's z axis points up in the picture (camera y down) from every camera
    assert seen.rotation[:, 1, 2].max() < -0.6


def test_all_joints_are_in_front(views):
    _, seen = views
    assert seen.joints[..., 2].min() >= 1000.0 - 1e-9


def test_most_people_are_whole_in_the_picture(views):
    _, seen = views
    inside = (seen.pixels >= 0).all((1, 2)) & (seen.pixels < np.array(seen.image_size)).all((1, 2))
    assert inside.mean() > 0.9


def test_camera_that_is_too_near_steps_back():
    """Someone 4 m tall who spreads towards every camera: still nobody behind it, and the same extrinsics tell so."""
    giant = synthetic_poses.make_poses(2, 0, 500).joints.astype(np.float64) * 2.6
    seen = cameras.sample_views(np.random.default_rng(0), giant, "wild")
    assert seen.joints[..., 2].min() >= 1000.0 - 1e-9
    assert (seen.joints[..., 2].min(1) < 1000.0 + 1e-6).any()
    again = np.einsum("nij,nkj->nki", seen.rotation, giant) + seen.translation[:, None]
    np.testing.assert_allclose(again, seen.joints, atol=1e-6)


def test_wild_cameras_keep_their_ranges(people):
    seen = cameras.sample_views(np.random.default_rng(3), people, "wild")
    eye = -np.einsum("nji,nj->ni", seen.rotation, seen.translation)
    root = people[:, HIP].astype(np.float64)
    distance = np.linalg.norm(eye - root, axis=-1)
    assert 2500 - 1e-3 <= distance.min() < 2600
    assert 8900 < distance.max() <= 9000 + 1e-3
    assert eye[:, 2].min() >= 300 - 1e-3
    assert 3900 < eye[:, 2].max() <= 4000 + 1e-3
    pitch = np.degrees(np.arcsin((root - eye)[:, 2] / distance))
    assert np.abs(pitch).max() <= 40 + 1e-6
    field = 2 * np.degrees(np.arctan(500 / seen.intrinsics[:, 0]))
    assert 30 <= field.min() < 31
    assert 89 < field.max() <= 90
    off = np.degrees(np.arctan2(np.linalg.norm(seen.joints[:, HIP, :2], axis=-1), seen.joints[:, HIP, 2]))
    assert off.max() <= np.hypot(10, 10) + 0.1
    around = np.arctan2(*(eye - root)[:, :2].T)
    assert np.histogram(around, 8, (-np.pi, np.pi))[0].min() > 0.09 * len(people)


def test_h36m_cameras_stand_like_the_real_ones(pose3d_data, people):
    """Heights, distances and pitch of the real calibration lie within the sampled ones, and the intrinsics are its."""
    import json

    real = json.loads((pose3d_data / "h36m_camera_parameters.json").read_text())
    matrices = [np.array(camera["calibration_matrix"]) for camera in real["intrinsics"].values()]
    expected = np.array([[m[0, 0], m[1, 1], m[0, 2], m[1, 2]] for m in matrices])
    seen = cameras.sample_views(np.random.default_rng(3), people, "h36m")
    found = np.unique(seen.intrinsics, axis=0)
    np.testing.assert_allclose(found, expected[np.argsort(expected[:, 0])], atol=1e-3)
    eye = -np.einsum("nji,nj->ni", seen.rotation, seen.translation)
    pitch = np.degrees(np.arcsin(-seen.rotation[:, 2, 2]))
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        for camera in real["extrinsics"][subject].values():
            rotation, translation = np.array(camera["R"]), np.array(camera["t"])[:, 0]
            place = -rotation.T @ translation
            assert eye[:, 2].min() < place[2] < eye[:, 2].max()
            assert pitch.min() < np.degrees(np.arcsin(-rotation[2, 2])) < pitch.max()
    # the paper's search range, 2.8 to 7.2 m, was made for these cameras
    depth = seen.joints[:, HIP, 2]
    assert ((depth > 2600) & (depth < 7400)).all()


def test_same_generator_same_views(people):
    first, second = (cameras.sample_views(np.random.default_rng([4, 2]), people[:50], "wild") for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize(("shape", "style"), [((5, 16, 3), "wild"), ((17, 3), "wild"), ((2, 17, 3), "drone")])
def test_bad_arguments_are_refused(shape, style):
    with pytest.raises(InputError):
        cameras.sample_views(np.random.default_rng(0), np.ones(shape), style)
