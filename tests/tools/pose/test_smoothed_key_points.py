"""Smoothing of key points against motions whose truth is known, and against a dense solution of the same equations."""

import numpy as np
import pytest

from tools.pose import smoothed_key_points


def motion(frames=120, joints=17, fps=25.0):
    rng = np.random.default_rng(0)
    time = np.arange(frames)[:, None, None] / fps
    return 500 + 80 * np.sin(2 * np.pi * 0.5 * time + rng.uniform(0, 6, (joints, 2))) + 60 * time


def rms(values):
    return np.sqrt(np.nanmean(values**2))


def test_exact_points_stay_as_they_are():
    points = motion()
    smoothed, noise = smoothed_key_points.smoothed(points)
    assert noise == 0
    assert smoothed is points


@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_noise_is_measured_and_reduced(sigma):
    truth = motion()
    points = truth + np.random.default_rng(1).normal(0, sigma, truth.shape)
    smoothed, noise = smoothed_key_points.smoothed(points)
    assert noise == pytest.approx(sigma, rel=0.15)
    assert rms(smoothed - truth) < 0.75 * rms(points - truth)


def test_joints_that_were_not_seen_stay_so_and_outliers_count_little():
    truth = motion()
    points = truth + np.random.default_rng(2).normal(0, 3.0, truth.shape)
    points[40:50, 3] = np.nan
    points[:, 9] = np.nan
    points[70, 5] += 400
    smoothed, noise = smoothed_key_points.smoothed(points)
    np.testing.assert_array_equal(np.isnan(smoothed), np.isnan(points))
    assert noise == pytest.approx(3.0, rel=0.15)
    assert rms(smoothed[69:72:2, 5] - truth[69:72:2, 5]) < 10
    assert rms(smoothed[[38, 39, 50, 51], 3] - truth[[38, 39, 50, 51], 3]) < 8


def test_without_outliers_it_solves_the_least_squares_problem(monkeypatch):
    monkeypatch.setattr(smoothed_key_points, "_HUBER", np.inf)
    points = motion(30, 1) + np.random.default_rng(3).normal(0, 4.0, (30, 1, 2))
    noise, acceleration = smoothed_key_points.noise_and_motion(points)
    difference = np.diff(np.eye(30), 2, axis=0)
    stiffness = smoothed_key_points._SHARE * (noise / acceleration) ** 2
    rows = np.concatenate([np.eye(30), np.sqrt(stiffness) * difference])
    expected = np.linalg.lstsq(rows, np.concatenate([points[:, 0], np.zeros((28, 2))]), rcond=None)[0]
    np.testing.assert_allclose(smoothed_key_points.smoothed(points)[0][:, 0], expected, atol=1e-5)


def test_short_clips_and_still_ones_are_not_smoothed():
    noisy = np.random.default_rng(4).normal(0, 3.0, (smoothed_key_points.LEAST_FRAMES - 1, 17, 2))
    assert smoothed_key_points.smoothed(noisy)[1] == 0
    assert smoothed_key_points.smoothed(np.zeros((40, 17, 2)))[1] == 0
    assert smoothed_key_points.smoothed(np.full((40, 17, 2), np.nan))[1] == 0
