"""Sides that a detector exchanges for some frames; motions that must stay as they are."""

import numpy as np
import pytest

from tests.tfrecords.exports import motion_labels
from tools.pose import sides
from tools.pose.joints import POSE17


def walk(frames=60, fps=25.0, seed=0):
    """Somebody who waves, swings their legs and turns round once, px."""
    poses, roots = motion_labels.motion(int(frames * motion_labels.FPS / fps) + 1, seed)
    absolute = (poses + roots[:, None])[np.round(np.arange(frames) * motion_labels.FPS / fps).astype(int)]
    camera = motion_labels.CAMERA
    return absolute[..., :2] / absolute[..., 2:] * camera[:2] + camera[2:]


@pytest.mark.parametrize("fps", [25.0, 12.5])
@pytest.mark.parametrize("noise_px", [0.0, 3.0])
def test_motions_stay_as_they_are(fps, noise_px):
    for seed in range(4):
        points = walk(60, fps, seed)
        points = points + np.random.default_rng(seed).normal(0, noise_px, points.shape)
        assert not sides.exchanged(points).any()


@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("parts", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("noise_px", [0.0, 2.0])
def test_sides_are_put_right(length, parts, noise_px):
    points = walk()
    points = points + np.random.default_rng(0).normal(0, noise_px, points.shape)
    wrong = np.zeros((60, 2), bool)
    wrong[8 : 8 + length] = parts
    wrong[30 : 30 + length, 0] = True
    read = sides.put_right(points, wrong)
    read[31, POSE17.index("LWrist")] = np.nan
    read[33, POSE17.index("LKnee")] = np.nan
    np.testing.assert_array_equal(sides.exchanged(read), wrong)
    np.testing.assert_array_equal(sides.put_right(sides.put_right(points, wrong), wrong), points)


def test_the_ends_of_a_clip_are_put_right_too():
    points = walk()
    wrong = np.zeros((60, 2), bool)
    wrong[:3] = wrong[57:] = True
    np.testing.assert_array_equal(sides.exchanged(sides.put_right(points, wrong)), wrong)


def test_missing_frames_people_and_short_clips():
    points = walk()
    points[20:24] = np.nan
    assert not sides.exchanged(points).any()
    assert not sides.exchanged(np.full_like(points, np.nan)).any()
    assert not sides.exchanged(np.zeros((30, 17, 2))).any()
    for count in range(4):
        assert sides.exchanged(points[:count]).shape == (count, 2)
