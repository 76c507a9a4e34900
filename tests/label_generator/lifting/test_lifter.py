"""The lifter: against NumPy loops written from the formulas, and what must not change a label."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from label_generator.labelling import cameras, dry_run, inputs
from label_generator.labelling.batch import empty_batch
from label_generator.labelling.options import LabellingOptions
from label_generator.lifting import chains, lifter, quality
from label_generator.lifting.geometric_search import geometric_search
from label_generator.lifting.joint_weights import joint_weights
from label_generator.lifting.settings import REASONS
from label_generator.networks import network_files
from tools.cli.errors import InputError
from tools.pose import bounds, joints
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics
from tools.pose.joints import POSE17

ROOT = 10
COUNT = 64  # of poses in most batches, so that graphs are traced once


@pytest.fixture(scope="module")
def published(published_weights):
    return lifter.load_lifter([published_weights])


@pytest.fixture(scope="module")
def canonical(canonical_weights):
    return lifter.load_lifter([canonical_weights])


@pytest.fixture(scope="module")
def any_lifter(request):
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("any_lifter", ["published", "canonical"], indirect=True)


def same(found, expected, **tolerance):
    """Compares every field of two `Lifted`."""
    for name, one, other in zip(lifter.Lifted._fields, found, expected):
        np.testing.assert_allclose(np.float64(one), np.float64(other), err_msg=name, **tolerance)


def test_published_chain_against_loops(published, published_weights, people):
    """Coarse pose, then the released search in its own words, then quality from what came out."""
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    lifted = published.lift(poses, intrinsics)
    lifted = type(lifted)(*map(np.asarray, lifted))
    seen = change_intrinsics(poses.astype(np.float64), intrinsics[:, None], SEARCH_INTRINSICS)
    coarse = lifted.coarse_3d.astype(np.float64)
    fx, fy, cx, cy = SEARCH_INTRINSICS
    depths = np.arange(2800, 7200)
    for i in range(0, COUNT, 8):
        cost = np.zeros(len(depths))
        u, v = (seen[i, :, 0] - cx) / fx, (seen[i, :, 1] - cy) / fy
        x, y, z = coarse[i].T
        for j in range(17):
            across = u[j] * (z[j] + depths) - u[ROOT] * (z[ROOT] + depths)
            down = v[j] * (z[j] + depths) - v[ROOT] * (z[ROOT] + depths)
            cost += np.sqrt((across - x[j]) ** 2 + (down - y[j]) ** 2)
        best = depths[np.argmin(cost)]
        assert lifted.cost[i] == pytest.approx(cost.min(), rel=1e-4)
        assert abs(float(lifted.root_3d[i, 2]) - best - z[ROOT]) <= 1.01
        depth = float(lifted.root_3d[i, 2])
        refined = np.stack([u * (z + depth), v * (z + depth), z + depth], -1)
        np.testing.assert_allclose(lifted.pose_3d[i], refined - refined[ROOT], atol=0.2)
        np.testing.assert_allclose(lifted.root_3d[i], refined[ROOT], atol=0.2)
        off = np.linalg.norm((refined - refined[ROOT] - coarse[i])[:, :2], axis=-1)
        assert lifted.residual_mm[i] == pytest.approx(off.mean(), rel=1e-2)
        assert bool(lifted.at_range_end[i]) == (best in (depths[0], depths[-1]))
    assert not np.asarray(lifted.nominal).any()
    assert (np.asarray(lifted.reason) == 0).all()
    expected = np.asarray(lifted.expected_error_mm)
    np.testing.assert_allclose(lifted.quality, np.exp(-expected / 100), rtol=1e-5)
    # Joints share the pose's expected error.
    by_joint = -100 * np.log(np.asarray(lifted.joint_quality, np.float64))
    np.testing.assert_allclose(by_joint.mean(1), expected, rtol=1e-3)


def test_published_refinement_lies_on_the_rays(published, people):
    lifted = published.lift(people.pose_2d[:COUNT], people.intrinsics[:COUNT])
    points = np.asarray(lifted.pose_3d + lifted.root_3d[:, None], np.float64)
    intrinsics = people.intrinsics[:COUNT, None].astype(np.float64)
    pixels = points[..., :2] / points[..., 2:] * intrinsics[..., :2] + intrinsics[..., 2:]
    np.testing.assert_allclose(pixels, people.pose_2d[:COUNT], atol=5e-3)


def canonical_with(weights, **settings):
    return lifter.load_lifter([weights], dataclasses.replace(lifter.RECIPE_SETTINGS["canonical"], **settings))


def test_trust_moves_between_the_coarse_pose_and_the_rays(canonical_weights, people):
    arguments = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    trusted, on_rays = (
        canonical_with(canonical_weights, refinement=kind, symmetry=False).lift(*arguments)
        for kind in ("trust", "rays")
    )
    np.testing.assert_allclose(trusted.coarse_3d, on_rays.coarse_3d, atol=1e-3)
    moved = np.asarray(trusted.pose_3d - trusted.coarse_3d, np.float64)
    whole = np.asarray(on_rays.pose_3d - on_rays.coarse_3d, np.float64)
    share = (moved * whole).sum(-1) / np.maximum((whole * whole).sum(-1), 1e-9)
    clear = np.linalg.norm(whole, axis=-1) > 5
    assert clear.mean() > 0.5
    assert ((share > 0) & (share < 1))[clear].all()
    np.testing.assert_allclose(moved[clear], (share[..., None] * whole)[clear], atol=0.05)


@pytest.mark.parametrize("kind", ["trust", "rays"])
def test_symmetry_makes_bones_alike_and_nothing_else(kind, canonical_weights, people):
    arguments = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    without, alike = (
        canonical_with(canonical_weights, refinement=kind, symmetry=on).lift(*arguments) for on in (False, True)
    )
    asymmetry = [float(tf.reduce_mean(quality.bone_signals(lifted.pose_3d)[0])) for lifted in (without, alike)]
    assert asymmetry[1] < 0.5 * asymmetry[0]
    for name in set(lifter.Lifted._fields) - {"pose_3d"}:
        np.testing.assert_allclose(getattr(alike, name), getattr(without, name), rtol=1e-4, atol=1e-4, err_msg=name)
    if kind == "rays":
        # Joints slide along their rays.
        points = np.asarray(alike.pose_3d + alike.root_3d[:, None], np.float64)
        intrinsics = people.intrinsics[:COUNT, None].astype(np.float64)
        pixels = points[..., :2] / points[..., 2:] * intrinsics[..., :2] + intrinsics[..., 2:]
        np.testing.assert_allclose(pixels, people.pose_2d[:COUNT], atol=0.05)


def test_weighted_search_is_the_search_with_these_weights(canonical_weights, people):
    arguments = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    plain, weighted = (canonical_with(canonical_weights, weighted=on).lift(*arguments) for on in (False, True))
    np.testing.assert_allclose(plain.coarse_3d, weighted.coarse_3d, atol=1e-3)
    made = canonical_with(canonical_weights, weighted=True)
    view = made.chain.to_search_camera(
        tf.constant(arguments[0]), tf.constant(arguments[1]), tf.ones(people.pose_2d[:COUNT].shape[:2], bool)
    )
    pair = made.chain.reconstruct(view), made.chain.reconstruct(view, mirror=True)
    mean = {name: sum(getattr(one, name) for one in pair) / 2 for name in ("pose_3d", "ray_trust", "joint_error_mm")}
    weights = joint_weights(view.weights, mean["ray_trust"], mean["joint_error_mm"])
    found = geometric_search(
        mean["pose_3d"], view.points, view.intrinsics, weights, 700.0, 20000.0, 1.0, subgrid=True
    ).depth_mm
    distance = np.linalg.norm(weighted.root_3d, axis=-1)
    np.testing.assert_allclose(distance, found, rtol=1e-3)
    assert np.abs(distance - np.linalg.norm(plain.root_3d, axis=-1)).max() > 1


@both
def test_the_camera_does_not_matter_only_the_rays(any_lifter, people):
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    other = np.array([800.0, 640.0, 100.0, -50.0])
    moved = change_intrinsics(poses.astype(np.float64), intrinsics[:, None], other)
    first, second = any_lifter.lift(poses, intrinsics), any_lifter.lift(moved.astype(np.float32), other)
    np.testing.assert_allclose(first.pose_3d, second.pose_3d, atol=1.5)
    np.testing.assert_allclose(first.root_3d, second.root_3d, atol=5)


@both
def test_unknown_intrinsics(any_lifter, people):
    """Size and place in the picture tell nothing; the record says that depth is nominal."""
    unknown = np.full(4, np.nan, np.float32)
    first = any_lifter.lift(people.pose_2d[:COUNT], unknown)
    second = any_lifter.lift(people.pose_2d[:COUNT] * 0.37 + [900.0, -40.0], unknown)
    assert np.asarray(first.nominal).all()
    np.testing.assert_allclose(first.pose_3d, second.pose_3d, atol=1.5)
    assert np.isfinite(first.pose_3d).all()


def test_canonical_labels_turn_with_the_camera(canonical, people):
    """A camera turned about its centre sees other pixels and the same person, turned."""
    angle = 0.15
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    poses, intrinsics = people.pose_2d[:COUNT].astype(np.float64), people.intrinsics[:COUNT, None].astype(np.float64)
    rays = np.concatenate([(poses - intrinsics[..., 2:]) / intrinsics[..., :2], np.ones((COUNT, 17, 1))], -1)
    # About the root's own ray the canonical view would roll; a turn in its plane doesn't.
    rays[:, :, 1] -= rays[:, [ROOT], 1]
    turned = rays @ turn.T
    first = canonical.lift((rays[..., :2]).astype(np.float32), [1.0, 1.0, 0.0, 0.0])
    second = canonical.lift((turned[..., :2] / turned[..., 2:]).astype(np.float32), [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(np.asarray(first.pose_3d) @ turn.T, second.pose_3d, atol=2)
    np.testing.assert_allclose(np.asarray(first.root_3d) @ turn.T, second.root_3d, atol=10)


def test_canonical_is_symmetric_when_flipping(canonical, people):
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    flipped = poses.copy()
    flipped[..., 0] = 2 * intrinsics[:, None, 2] - flipped[..., 0]
    first = canonical.lift(poses, intrinsics)
    second = canonical.lift(flipped[:, POSE17.mirror], intrinsics)
    mirrored = np.asarray(second.pose_3d)[:, POSE17.mirror] * [-1, 1, 1]
    np.testing.assert_allclose(first.pose_3d, mirrored, atol=1.5)


def test_canonical_does_not_look_at_masked_joints(canonical, people):
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    mask = np.ones((COUNT, 17), bool)
    mask[:, [0, 5, 13]] = False
    moved = poses.copy()
    moved[:, [0, 5, 13]] = np.nan
    same(canonical.lift(poses, intrinsics, mask), canonical.lift(moved, intrinsics), rtol=1e-5, atol=1e-3)
    assert np.isfinite(canonical.lift(moved, intrinsics).pose_3d).all()


def test_canonical_root_between_the_hips(canonical, people):
    poses = people.pose_2d[:COUNT].copy()
    hips = poses[:, [POSE17.index("RHip"), POSE17.index("LHip")]].mean(1)
    made = poses.copy()
    made[:, ROOT] = np.nan
    assert (np.asarray(canonical.lift(made, people.intrinsics[:COUNT]).reason) == 0).all()
    made[:, ROOT] = hips
    mask = np.ones((COUNT, 17), bool)
    mask[:, ROOT] = False
    assert (np.asarray(canonical.lift(made, people.intrinsics[:COUNT], mask).reason) == 0).all()


@both
def test_reasons(any_lifter, people):
    poses, intrinsics = people.pose_2d[:COUNT].copy(), people.intrinsics[:COUNT].copy()
    mask = np.ones((COUNT, 17), bool)
    mask[1, 7:] = False
    poses[2, [10, 11]] = np.nan
    intrinsics[3, 0] = -5
    intrinsics[4, 1] = np.nan
    poses[5] = np.nan
    poses[6] = poses[6, ROOT]
    poses[7] += 1e9
    poses[8, 3] = 2e5, 0
    intrinsics[9] = 1e30, 1e30, 500, 500
    intrinsics[10, 2] = -2e5
    intrinsics[11, 0] = 20 * intrinsics[11, 1]
    intrinsics[12, 0] = np.inf
    lifted = any_lifter.lift(poses, intrinsics, mask)
    reasons = [REASONS[i] for i in np.asarray(lifted.reason)]
    assert reasons[:6] == [
        "",
        "too few labelled joints",
        "no root, or a joint is missing",
        "camera unusable",
        "",
        "too few labelled joints",
    ]
    assert reasons[6:12] == [bounds.NOT_PIXELS, *[bounds.TOO_FAR] * 2, *["camera unusable"] * 3]
    assert reasons[12] == "camera unusable"
    assert set(reasons[13:]) == {""}
    # As generate.py --dry_run foretells them without any network.
    batch = empty_batch(COUNT)
    batch.poses_2d, batch.intrinsics, batch.camera_kind[:] = poses, intrinsics, 1
    batch.provenance = np.where(mask, joints.LABELLED, joints.MADE).astype(np.uint8)
    options = LabellingOptions(inputs.Spec("-", "array"), cameras.CameraChoice("auto"), "out")
    assert dry_run.without_label(options, batch, any_lifter.settings, any_lifter.recipe) == reasons
    assert list(np.flatnonzero(lifted.nominal)) == [4]
    bad = np.asarray(lifted.reason) > 0
    for name in ("pose_3d", "root_3d", "coarse_3d", "quality", "joint_quality", "expected_error_mm", "cost", "signals"):
        values = np.asarray(getattr(lifted, name))
        assert np.isnan(values[bad]).all(), name
        assert np.isfinite(values[~bad]).all(), name
    assert not np.asarray(lifted.at_range_end)[bad].any()


@both
def test_a_pose_is_lifted_alike_whatever_is_beside_it(any_lifter, people):
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    together = any_lifter.lift(poses, intrinsics)
    others, cameras = people.pose_2d[100 : 100 + COUNT].copy(), people.intrinsics[100 : 100 + COUNT].copy()
    others[::3] = np.nan
    others[7], cameras[7] = poses[5], intrinsics[5]
    beside = any_lifter.lift(others, cameras)
    same((value[7] for value in beside), (value[5] for value in together), rtol=1e-3, atol=0.05)


def test_true_right_view(published, published_weights, people):
    """It replaces the predicted one, and what stands for it is compared with the final pose."""
    networks = network_files.find_networks([published_weights])
    chain = chains.chain_of(networks)
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    right = change_intrinsics(people.right_2d[:COUNT], intrinsics[:, None], SEARCH_INTRINSICS).astype(np.float32)
    lifted = published.lift(poses, intrinsics, right_2d=right.astype(np.float64))
    np.testing.assert_allclose(lifted.right_2d, right - right[:, [ROOT]], atol=1e-3)
    view = chain.to_search_camera(tf.constant(poses), tf.constant(intrinsics), tf.ones([COUNT, 17], tf.bool))
    np.testing.assert_allclose(lifted.coarse_3d, chain.reconstruct(view, tf.constant(right)).pose_3d, atol=1e-2)


def test_refused(published, canonical, canonical_weights, people):
    poses = people.pose_2d[:COUNT]
    with pytest.raises(InputError, match=r"\[B, 17, 2\] px, not \(64, 16, 2\)"):
        published.lift(poses[:, :16], SEARCH_INTRINSICS)
    with pytest.raises(InputError, match="intrinsics are"):
        published.lift(poses, SEARCH_INTRINSICS[:3])
    with pytest.raises(InputError, match="turn flip off"):
        canonical.lift(poses, SEARCH_INTRINSICS, right_2d=poses)
    unflipped = dataclasses.replace(lifter.RECIPE_SETTINGS["canonical"], flip=False)
    straight = lifter.load_lifter([canonical_weights], unflipped)
    with pytest.raises(InputError, match="takes no true right view"):
        straight.lift(poses, SEARCH_INTRINSICS, right_2d=poses)
    with pytest.raises(InputError, match="refinement is 'rays' or 'trust'"):
        lifter.LifterSettings(refinement="none")


def test_settings_and_names_follow_the_networks_that_run(published_weights, tmp_path, save_canonical, people):
    made = lifter.load_lifter([published_weights])
    assert made.settings == lifter.LifterSettings()
    assert (made.recipe, made.name_of_weights) == ("published", "test-left2right+test-pose3d")
    # A network that the chain does not run decides nothing.
    extra = save_canonical(tmp_path, stages=("direct",))
    made = lifter.load_lifter([extra, published_weights])
    assert (made.recipe, made.name_of_weights) == ("published", "test-left2right+test-pose3d")
    assert made.settings == lifter.RECIPE_SETTINGS["published"]
    alone = lifter.load_lifter([extra])
    assert (alone.recipe, alone.name_of_weights) == ("canonical", "test-direct")
    assert np.isfinite(alone.lift(people.pose_2d[:COUNT], people.intrinsics[:COUNT]).pose_3d).all()


def test_calibration_beside_the_weights(published_weights, tmp_path, save_published, people):
    folder = save_published(tmp_path / "net", people)
    calibration = quality.Calibration(np.log(42.0), (0.0,) * len(quality.SIGNALS))
    quality.save_calibration(folder / lifter.CALIBRATION, calibration)
    lifted = lifter.load_lifter([folder]).lift(people.pose_2d[:COUNT], people.intrinsics[:COUNT])
    np.testing.assert_allclose(lifted.expected_error_mm, 42.0, rtol=1e-5)
    np.testing.assert_allclose(lifted.quality, np.exp(-0.42), rtol=1e-5)


@both
def test_bfloat16_is_near(request, any_lifter, people):
    folder = request.getfixturevalue(f"{any_lifter.recipe}_weights")
    half = lifter.load_lifter([folder], compute_dtype=tf.bfloat16)
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    exact, near = any_lifter.lift(poses, intrinsics), half.lift(poses, intrinsics)
    apart = np.linalg.norm(np.asarray(exact.coarse_3d - near.coarse_3d), axis=-1)
    assert 0 < apart.mean() < 15


@both
def test_any_batch_is_its_poses_one_by_one(any_lifter, people):
    """One pose goes another way than several, and several are filled up to few sizes of batches."""
    poses, intrinsics = people.pose_2d[:COUNT].copy(), people.intrinsics[:COUNT].copy()
    poses[3, 2], intrinsics[2] = np.nan, np.nan
    whole = any_lifter.lift(poses, intrinsics)
    for count in (1, 3):
        part = any_lifter.lift(poses[:count], intrinsics[:count])
        assert part.pose_3d.shape == [count, 17, 3]
        same(part, (value[:count] for value in whole), rtol=1e-3, atol=0.05)
    # One camera for all, and a mask that is made of the poses.
    alone = any_lifter.lift(poses[:1], intrinsics[0], np.ones((1, 17), bool))
    same(alone, (value[:1] for value in whole), rtol=1e-3, atol=0.05)
    assert any_lifter.lift(poses[:0], intrinsics[:0]).pose_3d.shape == [0, 17, 3]


def test_few_sizes_of_batches():
    sizes = {count: int(lifter.filled_size(tf.constant(count))) for count in (0, 1, 2, 3, 1024, 1025, 4096, 4097, 9000)}
    assert sizes == {0: 1, 1: 1, 2: 2, 3: 4, 1024: 1024, 1025: 2048, 4096: 4096, 4097: 8192, 9000: 12288}
