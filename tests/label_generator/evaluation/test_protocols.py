"""The evaluation protocols against the published script that defines them."""

import importlib.util

import numpy as np
import pytest

from label_generator.evaluation import protocols
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

CAMERAS = "h36m_camera_parameters.json"


@pytest.fixture(scope="module")
def small_motion(pose3d_data, tmp_path_factory):
    """The first three sequences of cmu_dev, 30 frames each."""
    path = tmp_path_factory.mktemp("motion") / "small.npz"
    with np.load(pose3d_data / "cmu_dev.npz") as archive:
        np.savez(path, **{name: archive[name][:30] for name in sorted(archive.files)[:3]})
    return path


@pytest.fixture(scope="module")
def reference(pose3d_data, small_motion):
    """What the published script makes of the same file."""
    spec = importlib.util.spec_from_file_location("protocols_script", pose3d_data / "protocols.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda name: module.build(np.load(small_motion), name)


@pytest.mark.parametrize("name", ["a", "b5", "c", "d", "e"])
def test_same_poses_as_the_published_script(name, small_motion, pose3d_data, reference):
    ours, theirs = protocols.build(name, small_motion, str(pose3d_data / CAMERAS)), reference(name)
    assert len(ours) == len(theirs["frame"])
    np.testing.assert_allclose(ours.poses_3d, theirs["poses_3d"], atol=1e-2)
    np.testing.assert_allclose(ours.roots, theirs["roots"], atol=1e-2)
    np.testing.assert_allclose(ours.right_2d, theirs["right_2d"], atol=1e-2)
    np.testing.assert_array_equal(ours.joint_mask, theirs["labelled"])
    labelled = theirs["labelled"]
    np.testing.assert_allclose(ours.poses_2d[labelled], theirs["poses_2d"][labelled], atol=1e-2)
    if name == "d":
        assert np.isnan(ours.intrinsics).all()
    else:
        np.testing.assert_allclose(ours.intrinsics, theirs["intrinsics"], rtol=1e-6)


def test_protocol_e_makes_the_joints_that_lsp_lacks(small_motion, pose3d_data):
    exact = protocols.build("a", small_motion, str(pose3d_data / CAMERAS))
    lsp = protocols.build("e", small_motion, str(pose3d_data / CAMERAS))
    hips = exact.poses_2d[:, [POSE17.index("RHip"), POSE17.index("LHip")]].mean(1)
    np.testing.assert_allclose(lsp.poses_2d[:, POSE17.root], hips, atol=1e-3)
    coco = protocols.build("e_coco", small_motion, str(pose3d_data / CAMERAS))
    assert {POSE17.joints[i] for i in np.flatnonzero(~coco.joint_mask[0])} == {
        "Head", "Neck/Nose", "Thorax", "Spine", "Hip",
    }  # fmt: skip
    # The ears were put where the rule makes the true head of them.
    np.testing.assert_allclose(coco.poses_2d[:, 0], exact.poses_2d[:, 0], atol=1e-2)


def test_protocol_f_moves_the_joints_and_nothing_else(small_motion):
    exact = protocols.build("c", small_motion)
    moved = protocols.build("f_h36m", small_motion)
    assert len(moved) == len(exact)
    place = {name: POSE17.index(name) for name in POSE17.joints}
    # Elbows stay where they were in the world, so that the camera sees them at the same pixels.
    for name in ("RElbow", "LElbow"):
        np.testing.assert_allclose(moved.poses_2d[:, place[name]], exact.poses_2d[:, place[name]], atol=0.02)
    seen = moved.poses_3d + moved.roots[:, None]
    np.testing.assert_allclose(
        seen[..., :2] / seen[..., 2:] * moved.intrinsics[:, None, :2] + moved.intrinsics[:, None, 2:],
        moved.poses_2d,
        atol=0.05,
    )

    def above(poses, joint, a, b):
        """How far a joint is above the middle of two others along the trunk, mm."""
        up = poses[:, place["Thorax"]] - poses[:, place["Hip"]]
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        return np.median(np.sum((poses[:, place[joint]] - poses[:, [place[a], place[b]]].mean(1)) * up, -1))

    hips = np.linalg.norm(moved.poses_3d[:, place["RHip"]] - moved.poses_3d[:, place["LHip"]], axis=-1)
    legs = sum(
        np.linalg.norm(moved.poses_3d[:, place[a]] - moved.poses_3d[:, place[b]], axis=-1)
        for a, b in (("RHip", "RKnee"), ("RKnee", "RFoot"))
    )
    assert np.median(hips / legs) == pytest.approx(260 / 914, rel=0.08)
    assert above(moved.poses_3d, "Thorax", "RShoulder", "LShoulder") == pytest.approx(50, abs=12)
    smpl = protocols.build("f_smpl", small_motion, step=5)
    assert [POSE17.joints[i] for i in np.flatnonzero(~smpl.joint_mask[0])] == ["Neck/Nose"]
    assert np.isnan(smpl.poses_2d[:, place["Neck/Nose"]]).all()
    assert above(smpl.poses_3d, "Hip", "RHip", "LHip") == pytest.approx(95, abs=20)


def test_protocol_h_is_pictures_whose_size_alone_is_known(small_motion):
    found, unknown = protocols.build("h", small_motion, step=2), protocols.build("h_unknown", small_motion, step=2)
    np.testing.assert_array_equal(found.poses_2d, unknown.poses_2d)
    assert np.isnan(unknown.intrinsics).all()
    diagonal = np.hypot(1280, 720)
    np.testing.assert_allclose(found.intrinsics, np.tile([diagonal, diagonal, 640, 360], (len(found), 1)), rtol=1e-6)
    # The pictures are pinhole views of the truth, by cameras whose focal lengths are spread around the assumed one.
    points = found.poses_3d + found.roots[:, None]
    seen, offset = points[..., :2] / points[..., 2:], found.poses_2d - [640, 360]
    focal = (seen * offset).sum((1, 2)) / (seen**2).sum((1, 2))
    np.testing.assert_allclose(seen * focal[:, None, None], offset, atol=0.1)
    film_mm = focal / diagonal * 43.27
    assert 23.9 < film_mm.min() < 28 < np.median(film_mm) < 75 < film_mm.max() < 105.1
    hips = offset[:, POSE17.root] / diagonal
    assert hips[:, 0].std() == pytest.approx(0.168, rel=0.15)
    # People are seen from the same side as in c, turned with the ray to them.
    exact = protocols.build("c", small_motion, step=2)
    depth = [(p * r).sum(-1) / np.linalg.norm(r, axis=-1) for p, r in (
        (s.poses_3d, s.roots[:, None]) for s in (exact, found)
    )]  # fmt: skip
    np.testing.assert_allclose(*depth, atol=0.5)


def test_protocol_g_has_the_measured_errors(small_motion, pose3d_data):
    exact = protocols.build("a", small_motion, str(pose3d_data / CAMERAS))
    found = protocols.build("g", small_motion, str(pose3d_data / CAMERAS))
    np.testing.assert_array_equal(found.poses_3d, exact.poses_3d)
    mm = (found.poses_2d - exact.poses_2d) / exact.intrinsics[:, None, :2] * exact.roots[:, None, 2:]
    off = np.linalg.norm(mm, axis=-1)
    # Of a normal distribution in two directions the median distance is 1.177 deviations; heavy tails have less.
    for joint, deviation in (("RShoulder", 21), ("RWrist", 28), ("LHip", 32), ("LFoot", 19)):
        median = np.median(off[:, POSE17.index(joint)])
        assert median / (1.177 * deviation) == pytest.approx(0.93, abs=0.12), joint
    assert (off[:, POSE17.index("RWrist")] > 200).mean() == pytest.approx(0.025, abs=0.02)
    again = protocols.build("g", small_motion, str(pose3d_data / CAMERAS))
    np.testing.assert_array_equal(again.poses_2d, found.poses_2d)
    coco = protocols.build("g_coco", small_motion, str(pose3d_data / CAMERAS))
    assert coco.joint_mask.sum(1).max() == 12
    np.testing.assert_allclose(coco.poses_2d[:, POSE17.index("RWrist")], found.poses_2d[:, POSE17.index("RWrist")])


def test_frame_step_and_bad_names(small_motion, pose3d_data):
    every = protocols.build("c", small_motion, step=1)
    some = protocols.build("c", small_motion, step=10)
    assert 0 < len(some) < len(every) / 5
    with pytest.raises(InputError, match="there are a, b2"):
        protocols.build("x", small_motion)
    with pytest.raises(InputError, match="--cameras"):
        protocols.build("a", small_motion)
