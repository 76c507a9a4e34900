"""Joint sets and conversions against what the data sets' own documents say, and against a plain loop."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.cli.errors import InputError
from tools.pose import joints

DOCUMENTED = [
    "h36m17",
    "mpii16",
    "lsp14",
    "aichallenger14",
    "coco17",
    "body25",
    "openpose18",
    "halpe26",
    "mediapipe33",
    "smpl24",
]


def random_poses(name, count=5, dimensions=2, seed=0):
    return np.random.default_rng(seed).normal(0, 100, (count, joints.joint_set(name).size, dimensions))


@pytest.mark.parametrize(
    ("name", "size", "pairs"),
    [("pose17", 17, 6), ("h36m32", 32, 10), ("h36m17", 17, 6), ("mpii16", 16, 6), ("lsp14", 14, 6)]
    + [
        ("aichallenger14", 14, 6),
        ("coco17", 17, 8),
        ("body25", 25, 11),
        ("openpose18", 18, 8),
        ("mediapipe33", 33, 16),
        ("smpl24", 24, 9),
    ],
)
def test_set_is_one_tree_with_its_published_size(name, size, pairs):
    joint_set = joints.joint_set(name)
    assert (joint_set.size, len(joint_set.pairs), len(set(joint_set.joints))) == (size, pairs, size)
    for joint in range(size):  # every joint reaches the root
        steps = 0
        while joint_set.parents[joint] >= 0:
            joint, steps = joint_set.parents[joint], steps + 1
            assert steps <= size
        assert joint == joint_set.root
    assert np.array_equal(joint_set.mirror[joint_set.mirror], np.arange(size))


def test_facts_that_the_original_code_fixes():
    pose17 = joints.POSE17
    assert pose17.root == 10
    assert pose17.joints[:2] == ("Head", "Neck/Nose")
    moving = {0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27}
    h36m32 = joints.joint_set("h36m32")
    assert {h36m32.index(name) for name in pose17.joints} == moving


def test_human36m_order_round_trip_matches_the_known_permutation():
    poses = random_poses("h36m17", dimensions=3)
    converted, provenance = joints.convert(poses, "h36m17")
    order = [10, 9, 8, 14, 15, 16, 11, 12, 13, 7, 0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(converted, poses[:, order].astype(np.float32))
    assert (provenance == joints.LABELLED).all()
    np.testing.assert_array_equal(joints.convert(converted, "pose17", "h36m17")[0], poses.astype(np.float32))


def test_mpii_joints_go_by_name_and_place():
    poses = random_poses("mpii16")
    converted, provenance = joints.convert(poses, "mpii16")
    expected = {"Head": 9, "Thorax": 8, "Hip": 6, "RFoot": 0, "LFoot": 5, "RWrist": 10, "LShoulder": 13}
    for name, index in expected.items():
        np.testing.assert_array_equal(converted[:, joints.POSE17.index(name)], poses[:, index].astype(np.float32))
    made = {joints.POSE17.joints[i] for i in np.flatnonzero(provenance[0] == joints.MADE)}
    assert made == {"Neck/Nose", "Spine"}
    np.testing.assert_allclose(converted[:, 1], (poses[:, 8] + poses[:, 9]) / 2, rtol=1e-6)
    np.testing.assert_allclose(converted[:, 9], (poses[:, 8] + poses[:, 6]) / 2, rtol=1e-5)


def test_lsp_lacks_hip_spine_and_neck_as_the_protocol_says(pose3d_data):
    made = np.flatnonzero(joints.convert(random_poses("lsp14"), "lsp14")[1][0] == joints.MADE)
    assert made.tolist() == [1, 9, 10]


def test_neck_share_is_what_motion_capture_shows(pose3d_data):
    shares = []
    with np.load(pose3d_data / "cmu_train.npz") as archive:
        for name in archive.files:
            thorax, neck, head = archive[name].astype(np.float64)[:, [8, 9, 10]].transpose(1, 0, 2)
            way = head - thorax
            shares.append(((neck - thorax) * way).sum(-1) / (way * way).sum(-1))
    assert abs(np.median(np.concatenate(shares)) - joints.NECK_SHARE) < 0.01


def test_coco_head_needs_an_ear_or_both_eyes():
    poses = random_poses("coco17", 1)[0]
    coco = joints.joint_set("coco17")
    for present, expected in [
        (["LEar", "REar"], joints.MADE),
        (["LEar"], joints.MADE),
        (["LEye", "REye"], joints.MADE),
        (["Nose"], joints.MISSING),
    ]:
        labelled = np.ones(17, bool)
        labelled[:5] = False
        labelled[[coco.index(name) for name in present]] = True
        converted, provenance = joints.convert(poses, "coco17", provenance=labelled)
        assert provenance[0] == provenance[1] == expected
        assert np.isnan(converted[0]).all() == (expected == joints.MISSING)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(joints.JOINT_SETS)), target=st.sampled_from(sorted(joints.JOINT_SETS)), data=st.data()
)
def test_conversion_moves_with_the_pose_and_never_uses_a_missing_joint(name, target, data):
    size = joints.joint_set(name).size
    labelled = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    poses = random_poses(name, 1, 3, seed=data.draw(st.integers(0, 99)))[0]
    spoiled = np.where(labelled[:, None], poses, 1e9)
    converted, provenance = joints.convert(spoiled, name, target, labelled)
    assert converted.shape == (joints.joint_set(target).size, 3)
    np.testing.assert_array_equal(np.isnan(converted).any(-1), provenance == joints.MISSING)
    assert np.nanmax(np.abs(converted), initial=0) < 1e6
    moved, _ = joints.convert(spoiled + [10.0, -20.0, 30.0], name, target, labelled)
    known = provenance != joints.MISSING
    np.testing.assert_allclose(moved[known], converted[known] + [10.0, -20.0, 30.0], atol=1e-2)


def test_mirroring_and_converting_commute():
    for name in joints.JOINT_SETS:
        poses = random_poses(name)
        one, _ = joints.convert(poses[:, joints.joint_set(name).mirror], name)
        two, _ = joints.convert(poses, name)
        np.testing.assert_array_equal(one, two[:, joints.POSE17.mirror])


def test_made_joints_stay_made_when_converted_again():
    first, provenance = joints.convert(random_poses("lsp14"), "lsp14")
    _, second = joints.convert(first, "pose17", "mpii16", provenance)
    mpii = joints.joint_set("mpii16")
    assert second[0, mpii.index("Pelvis")] == joints.MADE
    assert second[0, mpii.index("RKnee")] == joints.LABELLED


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: joints.joint_set("coco18"), "there are pose17"),
        (lambda: joints.convert(np.zeros((2, 15, 2)), "lsp14"), r"\[..., 14, D\], not \[2, 15, 2\]"),
        (lambda: joints.convert(np.zeros((2, 14, 2)), "lsp14", provenance=np.ones((2, 13))), r"not \[2, 13\]"),
        (lambda: joints.parse_permutation("0,1,1"), "=0,1,1: expected 17 numbers, each of 0 to 16 once"),
        (lambda: joints.parse_permutation("a"), "permutation=a: expected"),
        (lambda: joints.POSE17.index("Tail"), "no joint 'Tail'"),
    ],
)
def test_bad_input_says_what_was_expected(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_permutation_takes_a_foreign_order_to_ours():
    order = joints.parse_permutation("10,9,8,14,15,16,11,12,13,7,0,1,2,3,4,5,6")
    poses = random_poses("h36m17")
    np.testing.assert_array_equal(poses[:, order].astype(np.float32), joints.convert(poses, "h36m17")[0])


def test_docs_show_the_conversion_table(repository):
    text = (repository / "docs" / "joints.md").read_text(encoding="utf-8")
    assert joints.conversion_table(DOCUMENTED) in text
    assert re.search(r"Neck/Nose.*0\.5", text)
