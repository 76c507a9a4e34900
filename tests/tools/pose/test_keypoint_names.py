"""Key points by name: published name lists, in their order and shuffled, lead to the sets whose joints they are."""

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.pose import joints
from tools.pose.keypoint_names import canonical_name, match_names

COCO = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]
CROWDPOSE = [
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "top_head",
    "neck",
]
# PoseTrack has a head where COCO has eyes.
POSETRACK = [COCO[0], "head_bottom", "head_top", *COCO[3:]]
H36M = [
    "root",
    "right_hip",
    "right_knee",
    "right_foot",
    "left_hip",
    "left_knee",
    "left_foot",
    "spine",
    "thorax",
    "neck_base",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
]
# Halpe's 26 start with COCO's 17.
HALPE = [
    *COCO,
    *("head", "neck", "hip"),
    *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel"),
]
WHOLEBODY = (
    COCO
    + ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
    + [f"face-{i}" for i in range(68)]
    + [f"{side}_hand_root" for side in ("left", "right")]
)
DOG = [
    "L_Eye",
    "R_Eye",
    "Nose",
    "Throat",
    "TailBase",
    "Withers",
    "L_F_Elbow",
    "R_F_Elbow",
    "L_B_Elbow",
    "R_B_Elbow",
    "L_F_Knee",
    "R_F_Knee",
    "L_B_Knee",
    "R_B_Knee",
    "L_F_Paw",
    "R_F_Paw",
    "L_B_Paw",
]
PUBLISHED = {"coco17": COCO, "aichallenger14": CROWDPOSE, "h36m17": H36M, "halpe26": HALPE}


@pytest.mark.parametrize("root", ["root", "root (pelvis)"])
def test_mmposes_names_of_human36m_exchange_the_legs(root):
    """Its key point 1 is Human3.6M's joint 1, the right hip, which it calls left_hip; its arms' names are right."""
    legs = ["left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot"]
    match = match_names([root, *legs, *H36M[7:]])
    assert match.joint_set == "h36m17"
    np.testing.assert_array_equal(match.columns, np.arange(17))
    # The same names in another order are somebody else's, and mean what they say.
    other = match_names([*H36M[7:], root, *legs])
    assert [[*H36M[7:], root, *legs][column] for column in other.columns[1:7]] == H36M[1:7]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_in_any_order(name):
    names = PUBLISHED[name]
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = [names[i] for i in order]
    match = match_names(shuffled)
    assert match.joint_set == name
    assert len(set(match.columns.tolist())) == len(names)
    # Every joint comes from the name that says the same side and, but for the middle of the body, the same part.
    for joint, column in zip(joints.JOINT_SETS[name].joints, match.columns):
        source = shuffled[column]
        if joint[0] in "LR" and joint[1].isupper():
            assert source.startswith({"L": "left", "R": "right"}[joint[0]])
            assert joint[1:].lower()[:3] in source.replace("_", "")


def test_the_own_names_of_every_set_lead_to_a_set_with_the_same_meaning():
    # What files call these three's joints are not this project's names.
    for name in sorted(joints.JOINT_SETS.keys() - {"body25b", "h36m32", "smpl24"}):
        joint_set = joints.JOINT_SETS[name]
        poses = np.random.default_rng(1).normal(500, 100, (4, joint_set.size, 2))
        match = match_names(joint_set.joints)
        by_name, codes = joints.convert(match.select(poses), match.joint_set)
        expected, expected_codes = joints.convert(poses, name)
        np.testing.assert_array_equal(codes, expected_codes, err_msg=name)
        np.testing.assert_allclose(by_name, expected, atol=1e-3, err_msg=name)


def test_posetrack_has_a_neck_and_a_head_where_coco_has_eyes():
    match = match_names(POSETRACK)
    assert match.joint_set == "aichallenger14"
    own = joints.JOINT_SETS["aichallenger14"]
    assert POSETRACK[match.columns[own.index("Neck")]] == "head_bottom"
    assert POSETRACK[match.columns[own.index("HeadTop")]] == "head_top"
    assert set(match.ignored) == {"nose", "left_ear", "right_ear"}


def test_more_key_points_than_the_body_are_left_out():
    match = match_names(WHOLEBODY)
    assert match.joint_set == "coco17"
    np.testing.assert_array_equal(match.columns, np.arange(17))
    assert len(match.ignored) == len(WHOLEBODY) - 17


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("left_ankle", "LAnkle"),
        ("LAnkle", "LAnkle"),
        ("L_Ankle", "LAnkle"),
        ("ankle.l", "LAnkle"),
        ("Right Big Toe", "RBigToe"),
        ("rightEyeInner", "REyeInner"),
        ("Neck/Nose", "NeckBase"),
        ("hip", "Pelvis"),
        ("left_spine", ""),
        ("left_right_hip", ""),
        ("tail", ""),
        ("", ""),
    ],
)
def test_one_name(name, expected):
    assert canonical_name(name) == expected


@pytest.mark.parametrize("names", [DOG, ["left_hip", "right_hip"], [], ["a"] * 17])
def test_what_is_no_person_is_refused(names):
    with pytest.raises(InputError, match=r"file\.json"):
        match_names(names, "file.json")


def test_two_key_points_of_one_name_are_refused():
    with pytest.raises(InputError, match="both name the joint LEye"):
        match_names([*COCO, "LEye"])
