"""Synthetic people against motion capture: joint angles, bone lengths and 2D spread, and the measures of them."""

import numpy as np
import pytest
from scipy import stats

from tfrecords.synthetic import body, cameras, poses
from tools.pose import joints

BINS = 36
(HEAD, NECK, THORAX, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, SPINE, HIP,
 R_HIP, R_KNEE, R_FOOT, L_HIP, L_KNEE, L_FOOT) = range(17)  # fmt: skip

# name -> (unit, range of the histogram; what lies outside counts in the outermost bins)
MEASURES = {
    "knee flexion": ("deg", 0, 150),
    "elbow flexion": ("deg", 0, 160),
    "hip elevation": ("deg", 0, 130),
    "shoulder elevation": ("deg", 0, 170),
    "hip flexion": ("deg", -60, 130),
    "hip abduction": ("deg", -40, 70),
    "shoulder flexion": ("deg", -80, 180),
    "shoulder abduction": ("deg", -60, 120),
    "trunk inclination": ("deg", 0, 90),
    "head pitch": ("deg", -60, 90),
    "shoulders over hips": ("deg", -60, 60),
    "wrist height": ("leg lengths", -1, 2),
    "feet apart": ("leg lengths", 0, 1.6),
}
ANGLES = tuple(name for name, (unit, _, _) in MEASURES.items() if unit == "deg")
BONES = {
    "upper arm": ((R_SHOULDER, R_ELBOW), (L_SHOULDER, L_ELBOW)),
    "forearm": ((R_ELBOW, R_WRIST), (L_ELBOW, L_WRIST)),
    "thigh": ((R_HIP, R_KNEE), (L_HIP, L_KNEE)),
    "shin": ((R_KNEE, R_FOOT), (L_KNEE, L_FOOT)),
    "hips": ((R_HIP, L_HIP),),
    "shoulders": ((R_SHOULDER, L_SHOULDER),),
    "hip to thorax": ((HIP, THORAX),),
    "thorax to head": ((THORAX, HEAD),),
}


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _between(a, b):
    """Angle between vectors `[..., 3]`, degrees."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def measure(poses: np.ndarray) -> dict:
    """Returns name -> values for each of `MEASURES`, of poses `[n, 17, 3]` mm in a world with z up.

    Left and right limbs are pooled (`[2 n]`). Limbs are measured against the trunk, from Hip to Thorax: elevation is
    the angle from straight down, flexion and abduction are its parts forwards and outwards (the swing vector).
    """
    poses = np.asarray(poses, np.float64)
    up = _unit(poses[:, THORAX] - poses[:, HIP])
    across = {"hip": poses[:, L_HIP] - poses[:, R_HIP], "shoulder": poses[:, L_SHOULDER] - poses[:, R_SHOULDER]}
    frames = {}
    for name, left in across.items():
        ahead = _unit(np.cross(left, up))
        frames[name] = (ahead, np.cross(up, ahead))
    out = {
        "knee flexion": [],
        "elbow flexion": [],
        **{f"{joint} {part}": [] for joint in ("hip", "shoulder") for part in ("elevation", "flexion", "abduction")},
    }
    limbs = (
        ("shoulder", "elbow", R_SHOULDER, -1), ("shoulder", "elbow", L_SHOULDER, 1),
        ("hip", "knee", R_HIP, -1), ("hip", "knee", L_HIP, 1),
    )  # fmt: skip
    for joint, hinge, first, sign in limbs:
        upper, lower = poses[:, first + 1] - poses[:, first], poses[:, first + 2] - poses[:, first + 1]
        out[f"{hinge} flexion"].append(_between(upper, lower))
        elevation = _between(upper, -up)
        ahead, left = ((upper * axis).sum(-1) for axis in frames[joint])
        flat = np.maximum(np.hypot(ahead, left), 1e-9)
        out[f"{joint} elevation"].append(elevation)
        out[f"{joint} flexion"].append(elevation * ahead / flat)
        out[f"{joint} abduction"].append(elevation * sign * left / flat)
    out = {name: np.concatenate(values) for name, values in out.items()}
    out["trunk inclination"] = _between(up, np.array([0.0, 0.0, 1.0]))
    neck = poses[:, HEAD] - poses[:, THORAX]
    out["head pitch"] = np.degrees(np.arctan2((neck * frames["shoulder"][0]).sum(-1), (neck * up).sum(-1)))
    hips, shoulders = frames["hip"][1], frames["shoulder"][1]
    turn = (np.cross(hips, shoulders) * up).sum(-1)
    out["shoulders over hips"] = np.degrees(np.arctan2(turn, (hips * shoulders).sum(-1)))
    leg = np.linalg.norm(poses[:, R_HIP] - poses[:, R_KNEE], axis=-1)
    leg = leg + np.linalg.norm(poses[:, R_KNEE] - poses[:, R_FOOT], axis=-1)
    wrists = poses[:, [R_WRIST, L_WRIST], 2] - poses[:, [HIP], 2]
    out["wrist height"] = (wrists / leg[:, None]).T.ravel()
    out["feet apart"] = np.linalg.norm(poses[:, R_FOOT] - poses[:, L_FOOT], axis=-1) / leg
    return {name: out[name] for name in MEASURES}


def bone_lengths(poses: np.ndarray) -> dict:
    """Returns name -> lengths in mm for each of `BONES`, of poses `[n, 17, 3]`."""
    poses = np.asarray(poses, np.float64)
    return {
        name: np.concatenate([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) for a, b in pairs])
        for name, pairs in BONES.items()
    }


def normalised_2d(pixels: np.ndarray) -> np.ndarray:
    """Returns 2D poses `[n, 17, 2]` about their root, divided by the root-mean-square distance of their joints."""
    centred = np.asarray(pixels, np.float64) - pixels[:, HIP : HIP + 1]
    return centred / np.sqrt((centred**2).sum(-1).mean(-1))[:, None, None]


def overlap_coefficient(first: np.ndarray, second: np.ndarray, low: float, high: float) -> float:
    """Returns the area that two normalised histograms of `BINS` bins share, 0 (apart) to 1 (alike)."""
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(values, low, high), edges)[0] / len(values) for values in (first, second)]
    return float(np.minimum(*shares).sum())


def compare(synthetic, captured):
    """name -> shared area of the histograms, and bone -> ratio of median lengths, of poses [n, 17, 3] mm, z up.

    2D measures ("2D x <joint>", "2D y <joint>") come from one camera in the wild for each pose.
    """
    overlap = {
        name: overlap_coefficient(values, measure(captured)[name], *MEASURES[name][1:])
        for name, values in measure(synthetic).items()
    }
    lengths = bone_lengths(captured)
    ratios = {name: np.median(values) / np.median(lengths[name]) for name, values in bone_lengths(synthetic).items()}
    flat = [
        normalised_2d(cameras.sample_views(np.random.default_rng([0, i]), poses, "wild").pixels)
        for i, poses in enumerate((synthetic, captured))
    ]
    for joint in range(17):
        if joint != HIP:
            for axis, letter in enumerate("xy"):
                pair = [poses[:, joint, axis] for poses in flat]
                overlap[f"2D {letter} {joints.POSE17.joints[joint]}"] = overlap_coefficient(*pair, -2.5, 2.5)
    return overlap, ratios


def read_capture(path):
    """Poses [n, 17, 3] mm in this project's order of an .npz of sequences in Human3.6M's. Those that stand more than
    2 m above or below the ground are moved onto it, so that cameras are placed alike."""
    with np.load(path) as archive:
        poses = joints.convert(np.concatenate([archive[name] for name in archive.files]), "h36m17")[0].astype(
            np.float64
        )
    lowest = poses[..., 2].min(1)
    poses[..., 2] -= np.where(np.abs(lowest) > 2000.0, lowest, 0.0)[:, None]
    return poses


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
    found = measure(posed(**angles))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)


def test_overlap_coefficient_of_known_distributions():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 200_000), rng.normal(1, 1, 200_000)
    expected = 2 * stats.norm.cdf(-0.5)  # closed form for two Gaussians of one width
    assert abs(overlap_coefficient(first, second, -6, 7) - expected) < 0.02
    assert overlap_coefficient(first, first, -6, 7) == pytest.approx(1.0)
    assert overlap_coefficient(np.zeros(9), np.ones(9), -1, 2) == 0.0


def test_normalised_2d_has_unit_size_and_its_root_in_the_middle():
    pixels = np.random.default_rng(2).uniform(0, 1000, (20, 17, 2))
    flat = normalised_2d(pixels)
    np.testing.assert_allclose(flat[:, 10], 0, atol=1e-12)
    for i in range(20):
        np.testing.assert_allclose(np.mean([x * x + y * y for x, y in flat[i]]), 1.0)
    np.testing.assert_allclose(normalised_2d(3 * pixels + 50), flat)


def test_model_is_near_to_motion_capture(pose3d_data):
    """Joint angles and the 2D spread overlap with motion capture, on average and each for itself."""
    captured = read_capture(pose3d_data / "cmu_train.npz")[::2]
    overlap, ratios = compare(poses.make_poses(1, 0, 12_000).joints, captured)
    assert np.mean([overlap[name] for name in ANGLES]) > 0.80
    assert np.mean([value for name, value in overlap.items() if name.startswith("2D ")]) > 0.82
    for name in ANGLES:
        assert overlap[name] > 0.70, name
    for name, ratio in ratios.items():
        assert 0.85 < ratio < 1.15, name
