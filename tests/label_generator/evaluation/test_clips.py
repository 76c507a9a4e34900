"""Evaluation of clips: noisy sequences are lifted once more from smoothed key points, exact ones are not."""

import numpy as np

from label_generator.evaluation import clips, protocols
from tools.pose.joints import POSE17

CAMERA = np.array([1100.0, 1100.0, 500.0, 400.0], np.float32)


def pose_set(noise):
    """Two people in a row, 30 frames each: one who sways, and one who is seen in too few frames to be a clip."""
    rng = np.random.default_rng(0)
    count = 33
    time = np.arange(count)[:, None, None] / 12
    poses = rng.normal(0, 250, (1, POSE17.size, 3)) + 40 * np.sin(3 * time + rng.uniform(0, 6, (1, POSE17.size, 3)))
    poses -= poses[:, POSE17.root, None]
    roots = np.tile([0.0, 0.0, 4500.0], (count, 1))
    places = poses + roots[:, None]
    points = places[..., :2] / places[..., 2:] * CAMERA[:2] + CAMERA[2:]
    points += rng.normal(0, noise, points.shape)
    names = np.array(["one"] * 30 + ["two"] * 3, object)
    mask = np.ones((count, POSE17.size), bool)
    return protocols.PoseSet(
        "made",
        points.astype(np.float32),
        mask,
        np.tile(CAMERA, (count, 1)),
        poses,
        roots,
        points * np.nan,
        names,
        names,
    )


def labels(poses, wrong_mm):
    rng = np.random.default_rng(1)
    off = rng.normal(0, wrong_mm, poses.poses_3d.shape)
    off[:, POSE17.root] = 0
    count = len(poses)
    return {
        "pose_3d": poses.poses_3d + off, "root_3d": poses.roots.copy(), "joint_quality": np.full((count, 17), 0.7),
        "expected_error_mm": np.full(count, 36.0), "quality": np.full(count, 0.7),
    }  # fmt: skip


def error(lifted, poses, rows):
    return np.linalg.norm(lifted["pose_3d"] - poses.poses_3d, axis=-1)[rows].mean()


def test_noisy_clips_are_lifted_once_more():
    poses, exact = pose_set(4.0), pose_set(0.0)
    clip, short = slice(0, 30), slice(30, 33)
    given = []

    def lift(smoothed):
        given.append(smoothed)
        return labels(smoothed, 10.0)

    single = labels(poses, 60.0)
    plain, again = clips.refined(poses, single, 12.0), clips.refined(poses, single, 12.0, lift)
    assert [len(part) for part in given] == [30]
    off = [np.abs(x - exact.poses_2d[clip]).mean() for x in (given[0].poses_2d, poses.poses_2d[clip])]
    assert off[0] < 0.9 * off[1]
    assert error(again, poses, clip) < 0.8 * error(plain, poses, clip)
    np.testing.assert_array_equal(again["pose_3d"][short], single["pose_3d"][short])
    single = labels(exact, 60.0)
    same = clips.refined(exact, single, 12.0, lift)
    assert len(given) == 1
    np.testing.assert_array_equal(same["pose_3d"], clips.refined(exact, single, 12.0)["pose_3d"])
