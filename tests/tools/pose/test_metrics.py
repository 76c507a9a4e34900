"""Metrics against SciPy's Procrustes, slow loops written from the definitions, and what must not change them."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tools.pose import metrics, procrustes

QUICK = settings(max_examples=60, deadline=None)


def some_poses(n, seed=0, noise=60.0, joints=17):
    """Truth and predictions [n, joints, 3] mm of different proportions, float32."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, (n, joints, 3)) * rng.uniform(20, 500, (n, 1, 3))
    predicted = truth * rng.uniform(0.5, 1.5, (n, 1, 1)) + rng.normal(0, noise, truth.shape)
    return predicted.astype(np.float32), truth.astype(np.float32)


def procrustes_by_scipy(predicted, truth):
    """Aligned pose by SciPy, without mirroring: orthogonal_procrustes may mirror, so its determinant is set right."""
    pose, target = predicted - predicted.mean(0), truth - truth.mean(0)
    rotation, _ = scipy.linalg.orthogonal_procrustes(pose, target)
    if np.linalg.det(rotation) < 0:
        u, _, vt = scipy.linalg.svd(pose.T @ target)
        rotation = u @ np.diag([1, 1, -1]) @ vt
    scale = np.trace(rotation.T @ pose.T @ target) / np.sum(pose**2)
    return scale * pose @ rotation + truth.mean(0)


def distances_by_loop(predicted, truth, mask):
    """[N, J] distances, one joint at a time; None where the mask is False."""
    return [
        [sum((float(p) - float(t)) ** 2 for p, t in zip(a, b)) ** 0.5 if keep else None for a, b, keep in zip(*pose)]
        for pose in zip(predicted, truth, mask)
    ]


def means_by_loop(table):
    rows = [[value for value in row if value is not None] for row in table]
    return [sum(row) / len(row) if row else np.nan for row in rows]


def masked_poses(n=40, seed=1):
    """Poses of which some joints are unusable, and NaN; pose 0 has none, pose 1 one, pose 2 three."""
    predicted, truth = some_poses(n, seed)
    mask = np.random.default_rng(seed).random((n, 17)) < 0.7
    mask[:3] = False
    mask[1, 4] = True
    mask[2, [1, 5, 9]] = True
    predicted[~mask] = np.nan
    truth[~mask] = np.nan
    return predicted, truth, mask


def test_mpjpe_is_the_loops():
    predicted, truth, mask = masked_poses()
    loop = distances_by_loop(predicted, truth, mask)
    np.testing.assert_allclose(metrics.mpjpe(predicted, truth, mask), means_by_loop(loop), rtol=1e-12)
    expected = np.array([[np.nan if value is None else value for value in row] for row in loop])
    np.testing.assert_allclose(metrics.mpjpe(predicted, truth, mask, per_joint=True), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        metrics.mpjpe(predicted, truth, mask.astype(np.float32)), metrics.mpjpe(predicted, truth, mask)
    )


@pytest.mark.parametrize("noise", [1.0, 60.0, 1000.0])
def test_p_mpjpe_is_scipys(noise):
    predicted, truth = (poses.astype(np.float64) for poses in some_poses(300, noise=noise))
    aligned = np.array([procrustes_by_scipy(a, b) for a, b in zip(predicted, truth)])
    expected = np.linalg.norm(aligned - truth, axis=-1)
    np.testing.assert_allclose(metrics.p_mpjpe(predicted, truth), expected.mean(-1), rtol=1e-9)
    np.testing.assert_allclose(metrics.p_mpjpe(predicted, truth, per_joint=True), expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(metrics.procrustes_align(predicted, truth).aligned, aligned, atol=1e-7)


def test_procrustes_disparity_is_scipys():
    """SciPy makes both poses of unit size: its disparity is relative to the truth. It does not mirror these poses."""
    predicted, truth = some_poses(200, noise=5.0)
    aligned = metrics.procrustes_align(predicted, truth).aligned
    for pose, target, result in zip(predicted.astype(np.float64), truth.astype(np.float64), aligned):
        disparity = scipy.spatial.procrustes(target, pose)[2]
        assert np.sum((result - target) ** 2) / np.sum((target - target.mean(0)) ** 2) == pytest.approx(
            disparity, rel=1e-9
        )


def test_p_mpjpe_with_a_mask_is_that_of_the_usable_joints():
    predicted, truth, mask = masked_poses()
    errors = metrics.p_mpjpe(predicted, truth, mask)
    assert np.isnan(errors[:2]).all()
    for pose in range(2, len(mask)):
        usable = mask[pose]
        here, there = predicted[pose, usable].astype(np.float64), truth[pose, usable].astype(np.float64)
        expected = np.linalg.norm(procrustes_by_scipy(here, there) - there, axis=-1)
        assert errors[pose] == pytest.approx(expected.mean(), rel=1e-9)
    per_joint = metrics.p_mpjpe(predicted, truth, mask, per_joint=True)
    np.testing.assert_array_equal(np.isnan(per_joint[2:]), ~mask[2:])
    np.testing.assert_allclose(np.nanmean(per_joint[2:], axis=1), errors[2:], rtol=1e-12)


def test_unusable_joints_move_with_the_others():
    predicted, truth = some_poses(20)
    mask = np.ones((20, 17), bool)
    mask[:, 7:] = False
    truth[:, 7:] = np.nan
    result = metrics.procrustes_align(predicted, truth, mask)
    assert np.isfinite(result.aligned).all()
    by_parts = np.einsum("nab,njb->nja", result.rotation, predicted) * result.scale[:, None, None]
    np.testing.assert_allclose(result.aligned, by_parts + result.translation[:, None], atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(result.rotation), 1, atol=1e-9)


@QUICK
@given(
    seed=st.integers(0, 10**6),
    turn=hnp.arrays(np.float64, (3,), elements=st.floats(-3, 3)),
    shift=hnp.arrays(np.float64, (3,), elements=st.floats(-5000, 5000)),
    scale=st.floats(0.01, 100),
    stretch=st.sampled_from([(1, 1, 1), (1, 1, 0), (1, 1e-3, 1e-3), (1, 0, 0)]),
)
def test_similarity_transforms_cost_nothing(seed, turn, shift, scale, stretch):
    """Also for poses in a plane or on a line, where the rotation is not unique but the aligned pose is."""
    truth = np.random.default_rng(seed).normal(0, 300, (4, 17, 3)) * stretch
    moved = scale * Rotation.from_rotvec(turn).apply(truth.reshape(-1, 3)).reshape(truth.shape) + shift
    assert metrics.p_mpjpe(moved, truth).max() < 1e-6
    np.testing.assert_allclose(metrics.procrustes_align(moved, truth).scale, 1 / scale, rtol=1e-6)


@QUICK
@given(
    seed=st.integers(0, 10**6),
    turn=hnp.arrays(np.float64, (3,), elements=st.floats(-3, 3)),
    scale=st.floats(0.01, 100),
    noise=st.floats(1, 2000),
)
def test_p_mpjpe_ignores_the_predictions_similarity(seed, turn, scale, noise):
    predicted, truth = some_poses(5, seed, noise)
    moved = scale * Rotation.from_rotvec(turn).apply(predicted.reshape(-1, 3)).reshape(predicted.shape) - 700.0
    np.testing.assert_allclose(metrics.p_mpjpe(moved, truth), metrics.p_mpjpe(predicted, truth), rtol=1e-6)


def test_mirrored_poses_stay_mirrored():
    _, truth = some_poses(50)
    mirrored = truth * [-1, 1, 1]
    aligned = metrics.procrustes_align(mirrored, truth)
    np.testing.assert_allclose(np.linalg.det(aligned.rotation), 1, atol=1e-9)
    expected = [np.linalg.norm(procrustes_by_scipy(a, b) - b, axis=-1).mean() for a, b in zip(mirrored, truth)]
    np.testing.assert_allclose(metrics.p_mpjpe(mirrored, truth), expected, rtol=1e-6)
    assert metrics.p_mpjpe(mirrored, truth).min() > 1


@pytest.mark.parametrize("ratio", [1.0, 1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 0.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_best_rotations_reach_the_best_trace(ratio, sign):
    """On covariances from generous to degenerate, on both sides of the change to the SVD."""
    rng = np.random.default_rng(3)
    singular = np.stack([rng.uniform(0.5, 1, 200), rng.uniform(0.5, 1, 200) * ratio, ratio**2 * rng.random(200)], 1)
    left, right = Rotation.random(200, random_state=1).as_matrix(), Rotation.random(200, random_state=2).as_matrix()
    covariance = np.einsum("nai,ni,nib->nab", left, singular * [1, 1, sign], right) * 1e5
    with np.errstate(all="ignore"):
        rotation, trace = procrustes.best_rotations(np.moveaxis(covariance, 0, -1))
    rotation = np.moveaxis(rotation, -1, 0)
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, 1, 2), np.broadcast_to(np.eye(3), (200, 3, 3)), atol=1e-8
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-8)
    s = np.linalg.svd(covariance, compute_uv=False)
    best = s[:, 0] + s[:, 1] + np.sign(np.linalg.det(covariance)) * s[:, 2]
    np.testing.assert_allclose(trace, best, rtol=1e-12)
    np.testing.assert_allclose(np.einsum("nab,nab->n", rotation, covariance), best, rtol=1e-10)


def test_degenerate_poses():
    _, truth = some_poses(4)
    truth = truth.astype(np.float64)
    spread = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=-1).mean(-1)
    # A prediction of one point, also far from the origin where its joints differ by roundings, fits best as the centre.
    for point in (0.0, 5000.123, np.arange(17)[:, None] % 2 * 1e-12 + 5000.0):
        collapsed = np.zeros_like(truth) + point
        np.testing.assert_allclose(metrics.p_mpjpe(collapsed, truth), spread, rtol=1e-9)
        result = metrics.procrustes_align(collapsed, truth)
        np.testing.assert_array_equal(result.scale, 0)
        np.testing.assert_allclose(np.linalg.det(result.rotation), 1, atol=1e-9)
    np.testing.assert_allclose(metrics.p_mpjpe(truth, np.zeros_like(truth)), 0, atol=1e-9)


def test_poses_without_a_prediction_are_nan_and_counted():
    predicted, truth = some_poses(30)
    expected = metrics.p_mpjpe(predicted, truth)
    predicted[3, 5], predicted[7] = np.nan, np.nan
    for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe):
        errors = metric(predicted, truth)
        assert np.flatnonzero(np.isnan(errors)).tolist() == [3, 7]
        mean = metrics.mean_error(errors)
        assert (mean.count, mean.left_out) == (28, 2)
        assert mean.mean == pytest.approx(np.delete(errors, [3, 7]).mean())
    np.testing.assert_array_equal(np.delete(metrics.p_mpjpe(predicted, truth), [3, 7]), np.delete(expected, [3, 7]))
    assert np.isnan(metrics.procrustes_align(predicted, truth).aligned[[3, 7]]).all()
    nothing = metrics.mean_error([np.nan, np.nan])
    assert np.isnan(nothing.mean)
    assert nothing[1:] == (0, 2)


def test_n_mpjpe_takes_the_best_factor():
    predicted, truth, mask = masked_poses()
    errors = metrics.n_mpjpe(predicted, truth, mask)
    for pose in range(1, len(mask)):
        here = predicted[pose, mask[pose]].astype(np.float64)
        there = truth[pose, mask[pose]].astype(np.float64)
        factor = np.linalg.lstsq(here.reshape(-1, 1), there.ravel(), rcond=None)[0][0]
        assert errors[pose] == pytest.approx(np.linalg.norm(factor * here - there, axis=-1).mean(), rel=1e-9)
    assert np.isnan(errors[0])
    np.testing.assert_allclose(metrics.n_mpjpe(3.7 * truth.astype(np.float64), truth, mask)[1:], 0, atol=1e-9)
    whole = np.nan_to_num(truth)
    np.testing.assert_allclose(metrics.n_mpjpe(0 * whole, whole), metrics.mpjpe(0 * whole, whole))


def test_acceleration_error_stays_within_sequences():
    """Against the definition, frame by frame; a constant velocity is no acceleration."""
    rng = np.random.default_rng(5)
    predicted, truth = rng.normal(size=(2, 12, 4, 3))
    sequence = np.array(["a"] * 5 + ["b"] * 7)
    expected = np.full(12, np.nan)
    for t in range(1, 11):
        if sequence[t - 1] == sequence[t] == sequence[t + 1]:
            p, q = ((x[t + 1] - x[t]) - (x[t] - x[t - 1]) for x in (predicted, truth))
            expected[t] = np.mean([np.sqrt(((p - q)[j] ** 2).sum()) for j in range(4)])
    np.testing.assert_allclose(metrics.acceleration_error(predicted, truth, sequence), expected)
    np.testing.assert_allclose(metrics.acceleration_error(predicted, truth, sequence, fps=10), expected * 100)
    steady = truth[:1] + np.arange(12)[:, None, None] * truth[1:2]
    np.testing.assert_allclose(metrics.acceleration_error(steady, None, sequence)[1:4], 0, atol=1e-12)
    assert np.isnan(metrics.acceleration_error(truth[:2], truth[:2], sequence[:2])).all()
    with pytest.raises(ValueError, match="sequence"):
        metrics.acceleration_error(predicted, truth, sequence[1:])


def test_mpjve_stays_within_sequences():
    predicted, truth = some_poses(3000, noise=20.0)
    sequence = np.repeat(["walk", "run", "walk again"], [100, 1, 2899])
    mask = np.random.default_rng(5).random((3000, 17)) < 0.9
    mask[50] = False
    predicted[~mask] = np.nan
    expected = np.full((3000, 17), np.nan)
    for frame in range(1, 3000):
        if sequence[frame] == sequence[frame - 1]:
            for joint in range(17):
                if mask[frame, joint] and mask[frame - 1, joint]:
                    moved = predicted[frame, joint].astype(float) - predicted[frame - 1, joint]
                    expected[frame, joint] = np.linalg.norm(
                        moved - (truth[frame, joint].astype(float) - truth[frame - 1, joint])
                    )
    per_joint = metrics.mpjve(predicted, truth, sequence, mask, per_joint=True)
    np.testing.assert_allclose(per_joint, expected, rtol=1e-9)
    errors = metrics.mpjve(predicted, truth, sequence, mask)
    assert np.flatnonzero(np.isnan(errors)).tolist() == [0, 50, 51, 100, 101]
    measured = ~np.isnan(errors)
    np.testing.assert_allclose(errors[measured], np.nanmean(expected[measured], axis=1), rtol=1e-9)
    np.testing.assert_allclose(metrics.mpjve(predicted, truth, sequence, mask, fps=12.0), errors * 12)
    rates = np.where(sequence == "walk", 50.0, 25.0)
    np.testing.assert_allclose(metrics.mpjve(predicted, truth, sequence, mask, fps=rates), errors * rates)
    # A constant offset moves nothing.
    np.testing.assert_allclose(metrics.mpjve(truth.astype(np.float64) + 7, truth, sequence)[1:100], 0, atol=1e-6)
    assert np.isnan(metrics.mpjve(truth[:1], truth[:1], sequence[:1])).all()
    with pytest.raises(ValueError, match="sequence"):
        metrics.mpjve(predicted, truth, sequence[:-1])


def test_pckh_counts_joints_within_half_a_head():
    predicted, truth, mask = masked_poses(60)
    predicted, truth = predicted[..., :2], truth[..., :2]
    # Errors of about half a head, so that both outcomes are frequent.
    predicted = np.where(np.arange(17)[:, None] % 2, truth + 5, predicted)
    expected = []
    for pose in range(60):
        usable = mask[pose]
        if not (usable[0] and usable[1]):
            expected.append(np.nan)
            continue
        head = np.linalg.norm(truth[pose, 0].astype(float) - truth[pose, 1])
        near = [
            np.linalg.norm(predicted[pose, j].astype(float) - truth[pose, j]) < head / 2 for j in np.flatnonzero(usable)
        ]
        expected.append(100 * sum(near) / len(near))
    scores = metrics.pckh(predicted, truth, mask)
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    assert 0 < metrics.mean_error(scores).mean < 100
    per_joint = metrics.pckh(predicted, truth, mask, per_joint=True)
    np.testing.assert_allclose(np.nanmean(per_joint[~np.isnan(scores)], axis=1), scores[~np.isnan(scores)])


def test_pckh_with_given_heads():
    truth = np.zeros((3, 4, 2))
    predicted = truth + np.array([1.0, 2.0, 3.0, np.nan])[:, None] * [0.6, 0.8]
    scores = metrics.pckh(predicted, truth, head_sizes=[2.0, 5.0, np.nan])
    # 1 px is not nearer than half of 2 px; NaN is a miss; a pose without a head size has no score.
    np.testing.assert_array_equal(scores, [0, 50, np.nan])
    np.testing.assert_array_equal(metrics.pckh(predicted, truth, head_sizes=5.0, threshold=0.7), [75, 75, 75])
    np.testing.assert_array_equal(
        metrics.pckh(predicted[None], truth[None], head_sizes=[[2.0, 5.0, 9.0]]), [[0, 50, 75]]
    )


@QUICK
@given(
    distances=hnp.arrays(
        np.float64, (9,), elements=st.one_of(st.floats(0, 200), st.integers(0, 40).map(lambda i: 5.0 * i))
    )
)
def test_3dpck_and_auc_are_mpi_inf_3dhps(distances):
    truth = np.zeros((1, 9, 3))
    predicted = truth + distances[:, None] * [0, 0, 1]
    curve = [sum(distance < threshold for distance in distances) / 9 for threshold in range(0, 151, 5)]
    assert metrics.pck_3d(predicted, truth)[0] == pytest.approx(100 * curve[-1])
    assert metrics.auc_3d(predicted, truth)[0] == pytest.approx(100 * sum(curve) / 31)


def test_3dpck_and_auc_with_a_mask():
    truth = np.zeros((2, 4, 3))
    predicted = truth + np.array([0.0, 149.9, 150.0, np.nan])[:, None] * [1, 0, 0]
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_allclose(metrics.pck_3d(predicted, truth, mask), [50, 100])
    np.testing.assert_allclose(metrics.auc_3d(predicted, truth, mask), [100 * 31 / 31 / 4, 100 * 31 / 31 / 2])
    assert metrics.auc_3d(truth, truth)[0] == pytest.approx(100 * 30 / 31)
    assert metrics.pck_3d(predicted, truth, mask, per_joint=True)[1, :2].tolist() == [100, 100]
    assert np.isnan(metrics.pck_3d(predicted, truth, mask, per_joint=True)[1, 2:]).all()


def test_root_depth_error():
    truth = np.array([4000.0, 5000.0, 2000.0, np.nan])
    predicted = np.array([4100.0, 4900.0, np.nan, 3000.0])
    np.testing.assert_array_equal(metrics.root_depth_error(predicted, truth), [100, 100, np.nan, np.nan])
    np.testing.assert_allclose(metrics.root_depth_error(predicted, truth, relative=True)[:2], [2.5, 2.0])
    with pytest.raises(ValueError, match="one shape"):
        metrics.root_depth_error(predicted, truth[:2])


def test_leading_axes_and_chunks_change_nothing(monkeypatch):
    predicted, truth, mask = masked_poses(60)
    shaped = (predicted.reshape(3, 20, 17, 3), truth.reshape(3, 20, 17, 3), mask.reshape(3, 20, 17))
    for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe, metrics.pckh, metrics.pck_3d, metrics.auc_3d):
        whole = metric(predicted, truth, mask)
        np.testing.assert_array_equal(metric(*shaped), whole.reshape(3, 20))
        assert metric(predicted[5], truth[5], mask[5]).shape == ()
        assert metric(*shaped, per_joint=True).shape == (3, 20, 17)
        with monkeypatch.context() as patch:
            patch.setattr(procrustes, "CHUNK", 7)
            np.testing.assert_allclose(metric(predicted, truth, mask), whole, rtol=1e-9)
        assert metric(predicted[:0], truth[:0], mask[:0]).shape == (0,)
    aligned = metrics.procrustes_align(*shaped)
    assert aligned.rotation.shape == (3, 20, 3, 3)
    np.testing.assert_array_equal(
        aligned.aligned, metrics.procrustes_align(predicted, truth, mask).aligned.reshape(3, 20, 17, 3)
    )


def test_one_mask_serves_all_poses():
    predicted, truth = some_poses(10)
    keep = np.arange(17) % 3 > 0
    np.testing.assert_allclose(metrics.mpjpe(predicted, truth, keep), metrics.mpjpe(predicted[:, keep], truth[:, keep]))
    np.testing.assert_allclose(
        metrics.p_mpjpe(predicted, truth, keep), metrics.p_mpjpe(predicted[:, keep], truth[:, keep])
    )


def test_wrong_shapes_are_refused():
    predicted, truth = some_poses(5)
    with pytest.raises(ValueError, match="one shape"):
        metrics.mpjpe(predicted, truth[:4])
    with pytest.raises(ValueError, match="joint_mask"):
        metrics.mpjpe(predicted, truth, np.ones((5, 16)))
    with pytest.raises(ValueError, match="3"):
        metrics.p_mpjpe(predicted[..., :2], truth[..., :2])


def test_many_poses_are_scipys():
    predicted, truth = some_poses(100_000)
    errors = metrics.p_mpjpe(predicted, truth)
    for pose in range(0, 100_000, 9973):
        expected = procrustes_by_scipy(predicted[pose].astype(float), truth[pose].astype(float)) - truth[pose]
        assert errors[pose] == pytest.approx(np.linalg.norm(expected, axis=-1).mean(), rel=1e-6)


def test_p_mpjpe_on_motion_capture_is_scipys(pose3d_data):
    with np.load(pose3d_data / "cmu_dev.npz") as archive:
        truth = np.concatenate([archive[name][::10] for name in archive.files]).astype(np.float64)
    predicted = truth[np.random.default_rng(0).permutation(len(truth))]
    expected = [np.linalg.norm(procrustes_by_scipy(a, b) - b, axis=-1).mean() for a, b in zip(predicted, truth)]
    np.testing.assert_allclose(metrics.p_mpjpe(predicted, truth), expected, rtol=1e-8, atol=1e-8)
