"""The geometric search against the published loop, and its convex method against trying every depth.

`GEOMETRIC_SEARCH_POSES` sets how many poses the two methods are compared on (default 20,000, in each precision).
"""

import os

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from label_generator.lifting import geometric_search as module
from label_generator.lifting.geometric_search import geometric_search
from tools.cli.errors import InputError

POSES = int(os.environ.get("GEOMETRIC_SEARCH_POSES", "20000"))
CAMERA = np.array([1145.049, 1143.781, 512.0, 515.0])
ROOT = 10
KINDS = 12
# What counts as equal: costs are sums of 17 rounded terms.
FEW_ULPS = 8


def published_costs(pose_3d, pose_2d, depths, objective="distance", weights=None, camera="perspective"):
    """The formula of docs/reference.md for one pose at every depth, in NumPy matrices [D, 17]."""
    (x, y, z), (u, v) = pose_3d.T, pose_2d.T
    fx, fy, cx, cy = CAMERA
    if camera == "root_centred":
        u, v, cx, cy = u - u[ROOT], v - v[ROOT], 0.0, 0.0
    far = z + depths[:, None]
    across, down = (u - cx) / fx * far, (v - cy) / fy * far
    across, down = across - across[:, ROOT : ROOT + 1], down - down[:, ROOT : ROOT + 1]
    squares = (across - x) ** 2 + (down - y) ** 2
    terms = squares if objective == "squared" else np.sqrt(squares)
    return (terms * (1 if weights is None else weights)).sum(axis=1)


def published_search(pose_3d, pose_2d, depths, cap=np.inf, **options):
    """The released search: the first depth below the cap with the least cost, else 0; and the pose there."""
    best, least = 0.0, cap
    for depth, cost in zip(depths, published_costs(pose_3d, pose_2d, depths, **options)):
        if cost < least:
            best, least = depth, cost
    centred = options.get("camera") == "root_centred"
    rays = (pose_2d - (pose_2d[ROOT] if centred else CAMERA[2:])) / CAMERA[:2]
    far = pose_3d[:, 2:] + best
    placed = np.concatenate([rays * far, far], axis=1)
    return best, placed - placed[ROOT], least


def people(rng, n, noise_px=3.0):
    """Poses like people's before the camera, with the noise of a network's 2D."""
    poses = rng.normal(0, 300, (n, 17, 3)) * [1, 1.5, 0.8]
    poses -= poses[:, ROOT : ROOT + 1]
    roots = np.stack([rng.normal(0, 600, n), rng.normal(0, 300, n), rng.uniform(2600, 7400, n)], axis=1)
    camera = poses + roots[:, None]
    pixels = camera[..., :2] / camera[..., 2:] * CAMERA[:2] + CAMERA[2:]
    return poses + rng.normal(0, 30, poses.shape), pixels + rng.normal(0, noise_px, pixels.shape), roots[:, 2]


def adversarial(rng, n):
    """Poses [n, 17, 3], pixels [n, 17, 2] and weights [n, 17] of twelve kinds in turn; the first is ordinary people."""
    poses, pixels, _ = people(rng, n)
    poses[:, ROOT] = 0
    weights = np.ones((n, 17))
    kind = np.arange(n) % KINDS

    def of(number):
        return np.flatnonzero(kind == number)

    poses[of(1), :, 2] -= rng.uniform(500, 2500, (len(of(1)), 1))  # the root behind all others
    poses[of(1), ROOT, 2] = 0
    pixels[of(2)] = CAMERA[2:]  # all joints on the optical axis
    pixels[of(3)] = pixels[of(3), :1]  # all joints on one pixel
    some = rng.random((len(of(4)), 17)) < 0.3
    pixels[of(4)] = np.where(some[..., None], np.nan, pixels[of(4)])
    weights[of(5)] = rng.choice([0.0, 0.0, 0.5, 1.0, 2.0], (len(of(5)), 17))
    pixels[of(6)] = CAMERA[2:] + (pixels[of(6)] - CAMERA[2:]) * 1.6  # nearer than the range
    pixels[of(7)] = CAMERA[2:] + (pixels[of(7)] - CAMERA[2:]) * 0.3  # farther than the range
    exact, seen, _ = people(rng, len(of(8)), noise_px=0)  # a perfect pose: least cost nearly 0
    poses[of(8)], pixels[of(8)] = exact, seen
    poses[of(9)] = rng.normal(0, 1000, (len(of(9)), 17, 3))  # no pose at all
    pixels[of(9)] = rng.uniform(-2000, 4000, (len(of(9)), 17, 2))
    pixels[of(10), :, 1] = pixels[of(10), ROOT, None, 1]  # all on one line, few joints: plateaus and kinks
    poses[of(10), :, 1:] = 0
    weights[of(10), 4:ROOT] = 0
    pixels[of(11)] = pixels[of(11), ROOT, None] + rng.normal(0, 1e-3, (len(of(11)), 17, 2))  # nearly one pixel
    poses[of(4)[::2], 3] = np.nan
    return poses, pixels, weights


def costs_at(poses, pixels, weights, depths):
    """[n] the published cost at one depth per pose, unusable joints left out."""
    usable = np.isfinite(poses).all(-1) & np.isfinite(pixels).all(-1) & (weights > 0)
    poses, pixels = (np.where(usable[..., None], a, 0.0) for a in (poses, pixels))
    placed = (pixels - np.float64(CAMERA[2:])) / CAMERA[:2] * (poses[..., 2:] + depths[:, None, None])
    apart = placed - placed[:, ROOT : ROOT + 1] - poses[..., :2]
    return (np.where(usable, weights, 0.0) * np.linalg.norm(apart, axis=-1)).sum(-1)


def compare_methods(n, dtype, seed):
    """Runs both methods on n adversarial poses, checks them, and returns what the comparison saw."""
    rng = np.random.default_rng(seed)
    poses, pixels, weights = (a.astype(dtype) for a in adversarial(rng, n))
    convex, tried = (
        geometric_search(poses, pixels, CAMERA.astype(dtype), weights, method=method)
        for method in ("convex", "exhaustive")
    )
    valid = tried.valid.numpy()
    usable_root = np.isfinite(pixels[:, ROOT]).all(-1) & (weights[:, ROOT] > 0)
    assert not (valid & ~usable_root).any()
    assert valid[usable_root].mean() > 0.95
    np.testing.assert_array_equal(convex.valid, valid)
    convex, tried = (type(r)(*(x.numpy()[valid] for x in r)) for r in (convex, tried))
    poses, pixels, weights = poses[valid], pixels[valid], weights[valid]

    few = FEW_ULPS * np.spacing(np.maximum(tried.cost, np.finfo(dtype).tiny)).astype(np.float64)
    assert (np.abs(convex.cost.astype(np.float64) - tried.cost) <= few).all()
    same = convex.depth_mm == tried.depth_mm
    np.testing.assert_array_equal(convex.cost[same], tried.cost[same])

    # The cost is convex: the second best depth is a neighbour of the best.
    wide = [np.float64(a) for a in (poses, pixels, weights)]
    depth = tried.depth_mm.astype(np.float64)
    here = costs_at(*wide, depth)
    before = np.where(depth > module.MIN_DEPTH_MM, costs_at(*wide, depth - 1), np.inf)
    after = np.where(depth < module.MAX_DEPTH_MM - 1, costs_at(*wide, depth + 1), np.inf)
    decided = np.minimum(before, after) - here > few
    np.testing.assert_array_equal(convex.depth_mm[decided], tried.depth_mm[decided])
    np.testing.assert_array_equal(convex.at_range_end[decided], tried.at_range_end[decided])

    # What the depth costs in float64 is the least there is.
    least = geometric_search(*wide[:2], CAMERA, wide[2]).depth_mm.numpy()
    excess = costs_at(*wide, convex.depth_mm.astype(np.float64)) - costs_at(*wide, least)
    assert (excess <= few).all()
    return {
        "poses": int(valid.sum()),
        "largest cost difference, ulps": float((np.abs(convex.cost - tried.cost) / few).max() * FEW_ULPS),
        "excess over float64, ulps": float((excess / few).max() * FEW_ULPS),
        "same depth": float(same.mean()),
        "decided": float(decided.mean()),
        "range end": float(tried.at_range_end.mean()),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convex_finds_what_exhaustive_finds(dtype):
    piece = 100_000
    for seed, start in enumerate(range(0, POSES, piece)):
        found = compare_methods(min(piece, POSES - start), dtype, seed)
        print(np.dtype(dtype).name, start, found, flush=True)
        assert found["decided"] > (0.7 if dtype == np.float64 else 0.4)
        assert 0.1 < found["range end"] < 0.6


@pytest.mark.parametrize("camera", ["perspective", "root_centred"])
@pytest.mark.parametrize("objective", ["distance", "squared"])
@pytest.mark.parametrize("method", ["convex", "exhaustive"])
def test_is_the_published_loop(method, objective, camera):
    poses, pixels, _ = people(np.random.default_rng(1), 30)
    depths = np.arange(2800.0, 7200.0)
    found = geometric_search(poses, pixels, CAMERA, objective=objective, method=method, camera=camera)
    for i in range(len(poses)):
        depth, refined, cost = published_search(poses[i], pixels[i], depths, objective=objective, camera=camera)
        assert found.depth_mm[i] == depth
        assert found.at_range_end[i] == (depth in (depths[0], depths[-1]))
        np.testing.assert_allclose(found.poses_3d[i], refined, atol=1e-6)
        np.testing.assert_allclose(found.cost[i], cost, rtol=1e-12)
    assert found.valid.numpy().all()


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("objective", ["distance", "squared"])
@pytest.mark.parametrize(
    "grid", [(1000.0, 1001.0, 1.0), (3000.0, 3003.0, 1.0), (500.0, 9000.5, 0.5), (2800.0, 7200.0, 7.0)]
)
def test_ranges_and_steps(grid, objective, jit_compile):
    poses, pixels, _ = people(np.random.default_rng(2), 12)
    depths = np.arange(*grid)
    options = {"objective": objective, "jit_compile": jit_compile}
    found = geometric_search(poses, pixels, CAMERA, None, *grid, **options)
    expected = [published_search(p, q, depths, objective=objective)[0] for p, q in zip(poses, pixels)]
    np.testing.assert_array_equal(found.depth_mm, expected)
    np.testing.assert_array_equal(found.at_range_end, np.isin(expected, depths[[0, -1]]))


def test_tenths_of_a_millimetre_gain_no_depth():
    """(7200 - 2800) / 0.1 rounds to above 44,000; the grid still ends before 7200."""
    poses, pixels, _ = people(np.random.default_rng(3), 4)
    far = CAMERA[2:] + (pixels - CAMERA[2:]) * 0.1
    found = geometric_search(poses, far, CAMERA, step_mm=0.1)
    np.testing.assert_allclose(found.depth_mm, 7199.9, rtol=0, atol=1e-9)
    assert found.at_range_end.numpy().all()


def test_joints_left_out_change_nothing():
    """Whatever a weightless or missing joint holds, the others' result is that of a loop without it."""
    rng = np.random.default_rng(4)
    poses, pixels, _ = people(rng, 20)
    weights = rng.uniform(0.2, 2.0, (20, 17))
    weights[:, [3, 5]] = 0
    pixels[:, 5] = 1e9
    pixels[:, 7] = np.nan
    weights[:, 8] = np.nan
    weights[:, 9] = -1
    found = geometric_search(poses, pixels, CAMERA, weights)
    kept = [j for j in range(17) if j not in (3, 5, 7, 8, 9)]
    mask = np.zeros(17)
    mask[kept] = 1
    for i in range(20):
        clean = np.where(mask[:, None] > 0, pixels[i], CAMERA[2:])
        depth, refined, cost = published_search(
            poses[i], clean, np.arange(2800.0, 7200.0), weights=np.where(mask > 0, weights[i], 0)
        )
        assert found.depth_mm[i] == depth
        np.testing.assert_allclose(found.cost[i], cost, rtol=1e-12)
        np.testing.assert_allclose(found.poses_3d[i].numpy()[kept], refined[kept], atol=1e-6)
        left_out = [3, 5, 7, 8, 9]
        np.testing.assert_allclose(found.poses_3d[i].numpy()[left_out], (poses[i] - poses[i, ROOT])[left_out])


def test_poses_without_a_usable_root_are_not_valid():
    poses, pixels, _ = people(np.random.default_rng(5), 6)
    weights = np.ones((6, 17))
    pixels[0, ROOT] = np.nan
    weights[1, ROOT] = 0
    poses[2, ROOT, 2] = np.nan
    weights[3, np.arange(17) != ROOT] = 0
    cameras = np.tile(CAMERA, (6, 1))
    cameras[4, 0] = 0
    found = geometric_search(poses, pixels, cameras, weights)
    np.testing.assert_array_equal(found.valid, [False] * 5 + [True])
    for field in (found.depth_mm, found.poses_3d, found.root_mm, found.cost):
        assert np.isnan(field[:5]).all()
        assert np.isfinite(field[5]).all()
    assert not found.at_range_end.numpy()[:5].any()


@pytest.mark.parametrize("method", ["convex", "exhaustive"])
def test_first_of_equals(method):
    """Costs that are equal exactly: all joints on one pixel, and a plateau between two joints that pull apart."""
    camera = np.array([1024.0, 1024.0, 512.0, 512.0])
    poses, pixels = np.zeros((2, 17, 3)), np.full((2, 17, 2), 600.0)
    weights = np.zeros((2, 17))
    weights[:, [0, 1, ROOT]] = 1
    # |d / 8 - 400| + |d / 8 - 500|: the same at all depths from 3200 to 4000.
    pixels[1, 0, 0] += 128
    pixels[1, 1, 0] -= 128
    poses[1, 0, 0], poses[1, 1, 0] = 400, -500
    found = geometric_search(poses, pixels, camera, weights, method=method)
    np.testing.assert_array_equal(found.depth_mm, [2800, 3200])
    np.testing.assert_array_equal(found.at_range_end, [True, False])
    np.testing.assert_array_equal(found.cost, [0, 100])


@pytest.mark.parametrize("camera", ["perspective", "root_centred"])
def test_released_cap(camera):
    """Above the cap the released scripts keep depth 0; such poses are not valid."""
    poses, pixels, _ = people(np.random.default_rng(6), 10, noise_px=20)
    depths = np.arange(2800.0, 7200.0)
    costs = [published_costs(p, q, depths, camera=camera).min() for p, q in zip(poses, pixels)]
    cap = float(np.median(costs))
    found = geometric_search(poses, pixels, CAMERA, camera=camera, released_cap=cap)
    for i in range(10):
        depth, refined, _ = published_search(poses[i], pixels[i], depths, cap=cap, camera=camera)
        assert found.depth_mm[i] == depth
        assert found.valid[i] == (depth > 0)
        np.testing.assert_allclose(found.poses_3d[i], refined, atol=1e-6)
    assert 0 < found.valid.numpy().sum() < 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("objective", ["distance", "squared"])
def test_subgrid_depth_is_a_finer_grids(objective, dtype):
    poses, pixels, true_depth = people(np.random.default_rng(7), 40)
    inside = (true_depth > 3300) & (true_depth < 6600)
    poses, pixels = poses[inside].astype(dtype), pixels[inside].astype(dtype)
    coarse = geometric_search(poses, pixels, CAMERA, objective=objective)
    fine = geometric_search(poses, pixels, CAMERA, objective=objective, subgrid=True)
    assert (np.abs(fine.depth_mm - coarse.depth_mm) <= 1).all()
    assert (fine.cost.numpy() <= coarse.cost.numpy()).all()
    assert np.unique(fine.depth_mm.numpy() % 1).size > 5
    for i in range(len(poses)):
        near = float(coarse.depth_mm[i]) + np.arange(-1, 1.0001, 0.001)
        costs = published_costs(poses[i].astype(float), pixels[i].astype(float), near, objective=objective)
        at = published_costs(
            poses[i].astype(float), pixels[i].astype(float), np.float64([fine.depth_mm[i]]), objective=objective
        )
        assert at[0] <= costs.min() * (1 + (1e-11 if dtype == np.float64 else 2e-6))


def test_the_root_is_placed_in_the_camera():
    """Projecting root plus refined pose gives back the pixels that went in."""
    poses, pixels, _ = people(np.random.default_rng(8), 50)
    found = geometric_search(poses, pixels, CAMERA)
    placed = (found.root_mm[:, None] + found.poses_3d).numpy()
    np.testing.assert_allclose(placed[..., :2] / placed[..., 2:] * CAMERA[:2] + CAMERA[2:], pixels, atol=1e-6)
    np.testing.assert_allclose(found.root_mm[:, 2], found.depth_mm + poses[:, ROOT, 2])
    np.testing.assert_array_equal(found.poses_3d[:, ROOT], np.zeros((50, 3)))


@settings(max_examples=25, deadline=None)
@given(batch=st.one_of(st.integers(0, 40), st.integers(250, 600)), seed=st.integers(0, 99))
def test_any_batch_is_its_poses_one_by_one(batch, seed):
    """Splitting and filling up the batch loses, adds and mixes nothing."""
    pool_poses, pool_pixels, pool_weights = (
        a[:64].astype(np.float32) for a in adversarial(np.random.default_rng(9), 64)
    )
    choice = np.random.default_rng(seed).integers(0, 64, batch)
    whole = geometric_search(pool_poses, pool_pixels, CAMERA, pool_weights, 4000, 4100, method="exhaustive")
    inputs = pool_poses[choice], pool_pixels[choice], CAMERA, pool_weights[choice]
    found = geometric_search(*inputs, 4000, 4100, method="exhaustive")
    for part, of in zip(found, whole):
        np.testing.assert_array_equal(part, of.numpy()[choice])


@pytest.mark.parametrize("jit_compile", [None, True])
def test_inside_other_functions(jit_compile):
    """Unknown batch sizes, range tensors, and an enclosing graph, compiled or not."""
    signature = [tf.TensorSpec([None, 17, n]) for n in (3, 2)] + [tf.TensorSpec([])]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def depths(poses, pixels, furthest):
        return geometric_search(poses, pixels, CAMERA, max_depth_mm=furthest).depth_mm

    poses, pixels, _ = people(np.random.default_rng(10), 9000)
    poses, pixels = poses.astype(np.float32), pixels.astype(np.float32)
    for batch, furthest in ((5, 7200.0), (9000, 5000.0), (4096, 5000.0)):
        expected = geometric_search(poses[:batch], pixels[:batch], CAMERA, max_depth_mm=furthest).depth_mm
        found = depths(poses[:batch], pixels[:batch], furthest)
        assert found.shape == [batch]
        # XLA may round otherwise when it compiles the whole: a neighbouring depth of equal cost.
        np.testing.assert_allclose(found, expected, atol=2)
        assert (found.numpy() == expected.numpy()).mean() > 0.95


def test_bad_options_are_input_errors():
    poses, pixels, _ = people(np.random.default_rng(11), 1)
    for options, message in (
        ({"objective": "cubed"}, "objective is one of distance, squared"),
        ({"method": "random"}, "method is one of"),
        ({"camera": "fisheye"}, "camera is one of"),
        ({"min_depth_mm": 5000, "max_depth_mm": 5000}, "min < max"),
        ({"step_mm": 0}, "step above 0"),
        ({"step_mm": 1e-5}, "depths"),
        ({"joint_weights": np.ones((1, 16))}, "joint_weights"),
    ):
        with pytest.raises(InputError, match=message):
            geometric_search(poses, pixels, CAMERA, **options)
    with pytest.raises(InputError, match="poses_2d"):
        geometric_search(poses, poses, CAMERA)


def test_gpus_take_larger_pieces(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_compiled", lambda *options: asked.append(options[-2:]) or (lambda *inputs: inputs))
    poses_3d, poses_2d = people(np.random.default_rng(0), 3)[:2]
    for form in ("cpu", "gpu"):
        monkeypatch.setenv("POSE3D_OP_FORMS", form)
        for method in module.METHODS:
            geometric_search(poses_3d, poses_2d, CAMERA, method=method)
    assert asked == [(4096, 128), (256, 128), (65_536, 65_536), (65_536, 65_536)]
