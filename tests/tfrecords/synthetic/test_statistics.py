"""Comparison with motion capture: the measures against closed forms, and how near the model is."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from scipy import stats

from tfrecords.synthetic import body, statistics
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError


def posed(**degrees):
    """One person at yaw 0 with these angles, the others 0, [1, 17, 3]; its trunk is straight."""
    bodies = body.sample_bodies(np.random.default_rng(0), 1)
    straight = {
        name: getattr(bodies, name) * np.array([[0], [0], [1]]) for name in ("to_spine", "to_thorax", "to_head")
    }
    bodies = type(bodies)(**{**vars(bodies), **straight})
    angles = np.zeros((len(body.ANGLES), 1))
    for name, value in degrees.items():
        angles[body.ANGLES.index(name)] = np.radians(value)
    return body.forward_kinematics(bodies, angles, np.full(1, 0.7))[0].transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ({"right_knee": 50, "left_knee": 20}, {"knee flexion": [50, 20]}),
        ({"right_elbow": 90, "left_elbow": 0}, {"elbow flexion": [90, 0]}),
        ({"right_hip_flexion": 60, "left_hip_flexion": -20}, {"hip flexion": [60, -20], "hip elevation": [60, 20]}),
        ({"right_hip_abduction": 30, "left_hip_abduction": 10}, {"hip abduction": [30, 10]}),
        ({"right_shoulder_abduction": 70, "left_shoulder_flexion": 40}, {"shoulder elevation": [70, 40]}),
        ({"left_shoulder_flexion": 100}, {"shoulder flexion": [0, 100]}),
        ({"pelvis_pitch": 35}, {"trunk inclination": [35], "hip flexion": [0, 0]}),
        ({"neck_flexion": 25}, {"head pitch": [25]}),
        ({"spine_twist": 30}, {"shoulders over hips": [30]}),
    ],
)
def test_measures_return_the_angles_that_were_put_in(angles, expected):
    found = statistics.measure(posed(**angles))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)


def test_overlap_coefficient_of_known_distributions():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 200_000), rng.normal(1, 1, 200_000)
    expected = 2 * stats.norm.cdf(-0.5)  # closed form for two Gaussians of one width
    assert abs(statistics.overlap_coefficient(first, second, -6, 7) - expected) < 0.02
    assert statistics.overlap_coefficient(first, first, -6, 7) == pytest.approx(1.0)
    assert statistics.overlap_coefficient(np.zeros(9), np.ones(9), -1, 2) == 0.0


def test_wasserstein_equals_scipy():
    rng = np.random.default_rng(1)
    first, second = rng.gamma(2, 3, 20_000), rng.normal(4, 2, 15_000)
    assert abs(statistics.wasserstein(first, second) - stats.wasserstein_distance(first, second)) < 0.02


def test_normalised_2d_has_unit_size_and_its_root_in_the_middle():
    pixels = np.random.default_rng(2).uniform(0, 1000, (20, 17, 2))
    flat = statistics.normalised_2d(pixels)
    np.testing.assert_allclose(flat[:, 10], 0, atol=1e-12)
    for i in range(20):
        np.testing.assert_allclose(np.mean([x * x + y * y for x, y in flat[i]]), 1.0)
    np.testing.assert_allclose(statistics.normalised_2d(3 * pixels + 50), flat)


def test_model_is_near_to_motion_capture(pose3d_data):
    """Joint angles and the 2D spread overlap with motion capture, on average and each for itself."""
    captured = statistics.read_capture(pose3d_data / "cmu_train.npz")[::2]
    synthetic = synthetic_poses.make_poses(1, 0, 12_000).joints
    found = statistics.compare(synthetic, captured)
    assert statistics.mean_overlap(found, "angles") > 0.80
    assert statistics.mean_overlap(found, "2D") > 0.82
    for name in statistics.ANGLES:
        assert found.overlap[name] > 0.70, name
    for name in statistics.BONES:
        ratio = np.median(found.samples[f"{name} (mm)"][0]) / np.median(found.samples[f"{name} (mm)"][1])
        assert 0.85 < ratio < 1.15, name


def write_capture(path, frames=60):
    """An .npz of two sequences in Human3.6M's order."""
    order = [10, 11, 12, 13, 14, 15, 16, 9, 2, 1, 0, 6, 7, 8, 3, 4, 5]
    poses = synthetic_poses.make_poses(4, 0, 2 * frames).joints[:, order]
    np.savez(path, first=poses[:frames], second=poses[frames:])


def test_command_draws_the_comparison(tmp_path, repository):
    write_capture(tmp_path / "capture.npz")
    command = [sys.executable, "-m", "tfrecords.synthetic.statistics", "--count=2000"]
    command += [f"--capture={tmp_path / 'capture.npz'}", f"--output={tmp_path / 'out' / 'plot.png'}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    picture = cv2.imread(str(tmp_path / "out" / "plot.png"))
    assert min(picture.shape[:2]) > 500
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert "mean overlap, angles:" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plot.png"]
    again = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert again.stderr.count("\n") == 1


def test_capture_is_read_in_this_projects_order(tmp_path):
    write_capture(tmp_path / "capture.npz")
    expected = synthetic_poses.make_poses(4, 0, 120).joints
    np.testing.assert_allclose(statistics.read_capture(tmp_path / "capture.npz"), expected, atol=1e-3)


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_bad_capture_is_refused(tmp_path, content):
    path = tmp_path / "capture.npz"
    if content is None:
        np.savez(path, a=np.zeros((3, 16, 3)))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError):
        statistics.read_capture(path)
