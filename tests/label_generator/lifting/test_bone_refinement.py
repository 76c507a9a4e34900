"""The refinement of bones against SciPy's least squares, and what it promises."""

import re

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import least_squares

from label_generator.lifting import bone_refinement as module
from tools.pose.joints import POSE17

ROOT = POSE17.root
SPREAD = 0.02


def people(count, seed=0, dtype=np.float64):
    """Symmetric bodies with joints wrong in depth: poses, rays, trust, expected errors, truth."""
    rng = np.random.default_rng(seed)
    lengths = np.full(17, 250.0) * rng.uniform(0.8, 1.2, (count, 17))
    lengths = (lengths + lengths[:, POSE17.mirror]) / 2
    direction = rng.normal(size=(count, 17, 3)) * [1.0, 1.0, 0.7]
    bones = direction / np.linalg.norm(direction, axis=-1, keepdims=True) * lengths[..., None]
    truth = np.zeros((count, 17, 3))
    for joint in sorted(range(17), key=depth_in_tree):
        if joint != ROOT:
            truth[:, joint] = truth[:, POSE17.parents[joint]] + bones[:, joint]
    root = np.stack([rng.normal(0, 300, count), rng.normal(0, 200, count), rng.uniform(2500, 6000, count)], 1)
    whole = truth + root[:, None]
    rays = whole[..., :2] / whole[..., 2:]
    expected = rng.uniform(20, 60, (count, 17))
    off = rng.normal(size=(count, 17)) * 0.5 * expected
    off[:, ROOT] = 0
    poses = np.concatenate([rays * off[..., None], off[..., None]], -1) + truth
    trust = rng.uniform(0.05, 0.95, (count, 17))
    return tuple(values.astype(dtype) for values in (poses, rays, trust, expected, truth))


def depth_in_tree(joint):
    return 0 if joint == ROOT else 1 + depth_in_tree(POSE17.parents[joint])


def log_ratios(pose):
    """log(right / left) of the six pairs of bones, by joint names."""
    found = []
    for name in ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist"):
        right, left = (POSE17.index(side + name) for side in "RL")
        length = [np.linalg.norm(pose[joint] - pose[POSE17.parents[joint]]) for joint in (right, left)]
        found.append(np.log(length[0] / length[1]))
    return np.array(found)


def scipy_refined(pose, rays, trust, expected, spread):
    """The objective of the module's head, minimised over 16 x 3 moves by SciPy; the pose and the least value."""
    others = [joint for joint in range(17) if joint != ROOT]
    across = (module.LATERAL_SHARE[0] + module.LATERAL_SHARE[1] * (1 - trust)) * expected * np.sqrt(1 - trust)
    along = module.DEPTH_SHARE * expected

    def placed(scaled):
        moved, scaled = pose.copy(), scaled.reshape(16, 3)
        for (x, y, z), joint in zip(scaled, others):
            slid = along[joint] * z
            moved[joint, :2] += across[joint] * np.array([x, y]) + slid * trust[joint] * rays[joint]
            moved[joint, 2] += slid
        return moved

    def residuals(scaled):
        return np.concatenate([scaled, log_ratios(placed(scaled)) / spread])

    found = least_squares(residuals, np.zeros(48), xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return placed(found.x), residuals


def refined(arrays, **options):
    return module.refine_bones(*(tf.constant(values) for values in arrays[:4]), **options).numpy()


def test_finds_what_scipy_finds():
    arrays = people(8)
    ours = refined(arrays, spread=SPREAD, iterations=30)
    truths = np.stack([scipy_refined(*rows, SPREAD)[0] for rows in zip(*arrays[:4])])
    off = np.linalg.norm(ours - truths, axis=-1).max(1)
    # Gauss-Newton without a step rule may settle in another valley where a bone points straight at the camera.
    assert np.median(off) < 0.02
    assert np.mean(off < 0.5) >= 0.8


def test_few_steps_come_close():
    arrays = people(200, seed=1)
    far, near = refined(arrays, iterations=30), refined(arrays)
    moved = np.linalg.norm(far - arrays[0], axis=-1).mean()
    assert moved > 3.0
    assert np.median(np.linalg.norm(far - near, axis=-1).mean(1)) < 0.1 * moved


def test_makes_bones_alike_and_poses_better():
    arrays = people(200, seed=2)
    poses, truth = arrays[0], arrays[4]
    ours = refined(arrays)
    before, after = (np.abs([log_ratios(pose) for pose in group]).mean() for group in (poses, ours))
    assert after < 0.25 * before
    errors = [np.linalg.norm(group - truth, axis=-1).mean() for group in (poses, ours)]
    assert errors[1] < 0.9 * errors[0]


def test_leaves_symmetric_poses_and_the_root_alone():
    poses, rays, trust, expected, truth = people(50, seed=3)
    np.testing.assert_allclose(refined((truth, rays, trust, expected)), truth, atol=1e-9)
    np.testing.assert_array_equal(refined((poses, rays, trust, expected))[:, ROOT], 0.0)


def test_trusted_joints_slide_along_their_rays():
    poses, rays, trust, expected, _ = people(50, seed=4)
    move = refined((poses, rays, np.ones_like(trust), expected)) - poses
    np.testing.assert_allclose(move[..., :2], rays * move[..., 2:], atol=1e-9)
    assert np.abs(move).max() > 5.0


def test_hidden_limbs_say_nothing_of_the_others():
    poses, rays, trust, expected, _ = people(30, seed=8)
    mask = np.ones((30, 17), bool)
    hidden = POSE17.index("RElbow")
    mask[:, hidden] = False
    options = {"joint_mask": tf.constant(mask), "iterations": 20}
    first = refined((poses, rays, trust, expected), **options)
    moved = poses.copy()
    moved[:, hidden] += [30.0, -80.0, 400.0]
    second = refined((moved, rays, trust, expected), **options)
    others = [joint for joint in range(17) if joint != hidden]
    np.testing.assert_allclose(second[:, others], first[:, others], atol=1e-9)
    np.testing.assert_allclose(second[:, hidden], moved[:, hidden], atol=1e-9)
    arms = [POSE17.index(name) for name in ("LElbow", "LWrist", "RWrist")]
    np.testing.assert_allclose(first[:, arms], poses[:, arms], atol=1e-9)
    assert np.abs(first - poses).max() > 5.0
    seen = refined((poses, rays, trust, expected), joint_mask=tf.ones([30, 17]))
    np.testing.assert_allclose(seen, refined((poses, rays, trust, expected)), atol=1e-9)


def test_no_pose_gets_worse_by_the_objective():
    # Wild poses, in which a full Gauss-Newton step often leads nowhere.
    rng = np.random.default_rng(9)
    poses, rays, trust, expected, _ = people(300, seed=9)
    poses = poses * np.exp(rng.normal(0, 0.8, poses.shape))
    found = refined((poses, rays, trust, np.full_like(expected, 300.0)))
    before, after = (np.array([(log_ratios(pose) ** 2).sum() for pose in group]) for group in (poses, found))
    assert (after <= before * (1 + 1e-9)).all()
    assert np.mean(after < 0.5 * before) > 0.5


def test_joints_without_an_expected_error_count_alike():
    poses, rays, trust, expected, _ = people(20, seed=5)
    same = np.full_like(expected, module.TYPICAL_MM)
    unknown = np.full_like(expected, np.nan)
    np.testing.assert_array_equal(refined((poses, rays, trust, unknown)), refined((poses, rays, trust, same)))


@pytest.mark.parametrize("kind", ["collapsed", "missing"])
def test_degenerate_poses_harm_no_other(kind):
    arrays = people(8, seed=6, dtype=np.float32)
    alone = refined(tuple(values[1:] for values in arrays))
    arrays[0][0] = 0.0 if kind == "collapsed" else np.nan
    together = refined(arrays)
    np.testing.assert_allclose(together[1:], alone, atol=1e-2)
    assert np.isfinite(together[0]).all() == (kind == "collapsed")


@pytest.mark.parametrize("size_mm", [1e-3, 1.0, 100.0, 1e4, 1e6])
def test_no_pose_is_too_odd_to_solve(size_mm):
    rng = np.random.default_rng(7)
    poses = rng.normal(size=(2000, 17, 3)) * size_mm * (rng.random((2000, 17, 1)) < 0.7)
    rays, trust = rng.normal(size=(2000, 17, 2)), rng.integers(0, 2, (2000, 17))
    expected = 10.0 ** rng.uniform(-1, 6, (2000, 17))
    arrays = [values.astype(np.float32) for values in (poses, rays, trust, expected)]
    assert np.isfinite(refined(arrays)).all()


def test_works_in_a_graph_with_any_batch():
    step = tf.function(module.refine_bones, input_signature=[
        tf.TensorSpec([None, 17, 3]), tf.TensorSpec([None, 17, 2]), tf.TensorSpec([None, 17]),
        tf.TensorSpec([None, 17]),
    ])  # fmt: skip
    for count in (0, 1, 5):
        arrays = people(max(count, 1), dtype=np.float32)
        rows = [values[:count] for values in arrays]
        assert step(*rows[:4]).shape == (count, 17, 3)


def test_a_system_that_is_not_positive_spoils_no_other():
    systems = np.stack([np.eye(3), np.diag([1.0, -1.0, 1.0]), 2 * np.eye(3)])
    found = module.solve_positive(tf.constant(systems), tf.ones([3, 3], tf.float64)).numpy()
    assert np.isnan(found[1]).any()
    np.testing.assert_allclose(found[[0, 2]], [[1.0] * 3, [0.5] * 3])


def test_nothing_is_worked_out_for_a_whole_batch_when_compiling():
    """XLA evaluates what has only constants in it, slowly where it is as large as a batch."""
    count = 77
    inputs = [tf.constant(values, tf.float32) for values in people(count)[:4]]
    compiled = tf.function(lambda *values: module.refine_bones(*values), autograph=False, jit_compile=True)
    known, large = set(), []
    for line in str(compiled.experimental_get_compiler_ir(*inputs)(stage="hlo")).splitlines():
        found = re.match(r"\s*(?:ROOT )?%?([\w.\-]+) = (\S+) ([a-z\-]+)\((.*?)\)", line)
        if found is None:
            continue
        name, shape, operation, rest = found.groups()
        operands = re.findall(r"%([\w.\-]+)", rest)
        if operation in ("constant", "iota") or (operands and all(operand in known for operand in operands)):
            known.add(name)
            # A broadcast is left to the loops that read it.
            large += [line] if f"[{count}," in shape and operation != "broadcast" else []
    assert len(known) > 20
    assert not large, large
