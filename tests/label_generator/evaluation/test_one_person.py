"""Each person's labels get that person's bones, and nobody else's."""

import numpy as np

from label_generator.evaluation import one_person
from label_generator.evaluation.protocols import PoseSet
from tools.pose import bones
from tools.pose.joints import POSE17

INTRINSICS = (1100.0, 1100.0, 500.0, 500.0)


def of_people(sizes, count, seed=0):
    """A set of poses of people of these sizes, and labels that are wrong along their rays, all in random order."""
    rng = np.random.default_rng(seed)
    rest = rng.uniform(150.0, 450.0, POSE17.size)
    rest = (rest + rest[POSE17.mirror]) / 2.0  # left and right are alike
    people = rng.permutation(np.repeat(np.arange(len(sizes)), count))
    directions = rng.normal(size=(len(people), POSE17.size, 3)) * (1.0, 1.0, 0.3)
    directions[:, POSE17.index("LHip")] = -directions[:, POSE17.index("RHip")]  # the pelvis is one bone
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    truth = bones.with_bone_lengths(_chained(directions), rest)
    truth *= np.array(sizes)[people][:, None, None]
    root = np.array([0.0, 0.0, 5000.0])
    placed = truth + root
    points = placed[..., :2] / placed[..., 2:] * INTRINSICS[:2] + INTRINSICS[2:]
    off = rng.normal(0.0, 40.0, (len(people), POSE17.size, 1)) * (np.arange(POSE17.size) != POSE17.root)[:, None]
    wrong = truth + off * placed / np.linalg.norm(placed, axis=-1, keepdims=True)
    whole = np.ones((len(people), POSE17.size), bool)
    nothing = np.full(len(people), "", object)
    poses = PoseSet("people", points.astype(np.float32), whole, np.tile(np.float32(INTRINSICS), (len(people), 1)),
                    truth, np.tile(root, (len(people), 1)), points, nothing, nothing, people)  # fmt: skip
    roots = np.tile(root, (len(people), 1))
    return poses, {"pose_3d": wrong, "root_3d": roots, "joint_quality": np.full(whole.shape, 0.6), "other": people}


def _chained(directions):
    poses = np.zeros_like(directions)
    for joint in bones.ORDER[1:]:
        poses[:, joint] = poses[:, POSE17.parents[joint]] + directions[:, joint]
    return poses


def lengths(poses):
    return np.linalg.norm(poses[:, bones.ENDS] - poses[:, bones.STARTS], axis=-1)


def test_people_are_told_apart():
    poses, lifted = of_people((0.8, 1.0, 1.25), 40)
    lifted["pose_3d"][5] = np.nan
    after = one_person.with_own_lengths(poses, lifted)
    assert np.isnan(after["pose_3d"][5]).all()
    assert after["other"] is lifted["other"]
    before, now = (
        np.linalg.norm(labels["pose_3d"] - poses.poses_3d, axis=-1)[np.arange(120) != 5].mean()
        for labels in (lifted, after)
    )
    assert now < 0.9 * before
    for size, number in zip((0.8, 1.0, 1.25), range(3)):
        rows = (poses.people == number) & (np.arange(120) != 5)
        own, own_before, true = (lengths(x[rows]) for x in (after["pose_3d"], lifted["pose_3d"], poses.poses_3d))
        assert np.ptp(own, axis=0).max() < 1e-3 < np.ptp(own_before, axis=0).min()
        np.testing.assert_allclose(own[0], true[0], atol=40.0 * size)
    # Taken for one person they are all brought to one size.
    poses.people = None
    alike = one_person.with_own_lengths(poses, lifted)["pose_3d"]
    assert np.nanmax(np.nanstd(lengths(alike), axis=0)) < 1e-3
