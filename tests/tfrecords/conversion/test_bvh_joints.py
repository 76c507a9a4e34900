"""The skeletons that programs write, and where the 17 joints are in them."""

import numpy as np
import pytest

from tfrecords.conversion import bvh_joints
from tfrecords.formats import bvh
from tools.cli.errors import InputError
from tools.pose.joints import LABELLED, MADE, POSE17

# Each skeleton as 'Joint<Parent:place' words: where the joint is at rest (x left, y up, z to the front), in any unit.
# ';top' marks an End Site at the crown. Places are what the 17 must come out at.
SKELETONS = {
    "cmu": (
        "Hips:0,10,0 LHipJoint<Hips:0,10,0 LeftUpLeg<LHipJoint:1,9,0 LeftLeg<LeftUpLeg:1,5,0 "
        "LeftFoot<LeftLeg:1,1,0 LeftToeBase<LeftFoot:1,0,1 RHipJoint<Hips:0,10,0 RightUpLeg<RHipJoint:-1,9,0 "
        "RightLeg<RightUpLeg:-1,5,0 RightFoot<RightLeg:-1,1,0 LowerBack<Hips:0,10,0 Spine<LowerBack:0,11,0 "
        "Spine1<Spine:0,13,0 Neck<Spine1:0,15,0 Neck1<Neck:0,16,0 Head<Neck1:0,17,0;top "
        "LeftShoulder<Spine1:0,15,0 LeftArm<LeftShoulder:2,14,0 LeftForeArm<LeftArm:5,14,0 "
        "LeftHand<LeftForeArm:7,14,0 LThumb<LeftHand:7,14,1 RightShoulder<Spine1:0,15,0 "
        "RightArm<RightShoulder:-2,14,0 RightForeArm<RightArm:-5,14,0 RightHand<RightForeArm:-7,14,0"
    ),
    "daz": (
        "hip:0,10,0 abdomen<hip:0,11,0 chest<abdomen:0,13,0 neck<chest:0,15,0 head<neck:0,17,0;top "
        "leftEye<head:0,18,1 rCollar<chest:0,14,0 rShldr<rCollar:-2,14,0 rForeArm<rShldr:-5,14,0 "
        "rHand<rForeArm:-8,14,0 lCollar<chest:0,14,0 lShldr<lCollar:2,14,0 lForeArm<lShldr:5,14,0 "
        "lHand<lForeArm:8,14,0 rButtock<hip:0,10,0 rThigh<rButtock:-1,9,0 rShin<rThigh:-1,5,0 "
        "rFoot<rShin:-1,1,0 lButtock<hip:0,10,0 lThigh<lButtock:1,9,0 lShin<lThigh:1,5,0 lFoot<lShin:1,1,0"
    ),
    "mixamo": (
        "mixamorig:Hips:0,10,0 mixamorig:Spine<mixamorig:Hips:0,11,0 mixamorig:Spine1<mixamorig:Spine:0,12,0 "
        "mixamorig:Spine2<mixamorig:Spine1:0,13,0 mixamorig:Neck<mixamorig:Spine2:0,15,0 "
        "mixamorig:Head<mixamorig:Neck:0,17,0 mixamorig:HeadTop_End<mixamorig:Head:0,19,0 "
        "mixamorig:LeftShoulder<mixamorig:Spine2:1,14,0 mixamorig:LeftArm<mixamorig:LeftShoulder:2,14,0 "
        "mixamorig:LeftForeArm<mixamorig:LeftArm:5,14,0 mixamorig:LeftHand<mixamorig:LeftForeArm:8,14,0 "
        "mixamorig:RightShoulder<mixamorig:Spine2:-1,14,0 mixamorig:RightArm<mixamorig:RightShoulder:-2,14,0 "
        "mixamorig:RightForeArm<mixamorig:RightArm:-5,14,0 "
        "mixamorig:RightHand<mixamorig:RightForeArm:-8,14,0 mixamorig:RightUpLeg<mixamorig:Hips:-1,9,0 "
        "mixamorig:RightLeg<mixamorig:RightUpLeg:-1,5,0 mixamorig:RightFoot<mixamorig:RightLeg:-1,1,0 "
        "mixamorig:LeftUpLeg<mixamorig:Hips:1,9,0 mixamorig:LeftLeg<mixamorig:LeftUpLeg:1,5,0 "
        "mixamorig:LeftFoot<mixamorig:LeftLeg:1,1,0"
    ),
    "biovision": (
        "Hips:0,10,0 LeftHip<Hips:1,9,0 LeftKnee<LeftHip:1,5,0 LeftAnkle<LeftKnee:1,1,0 RightHip<Hips:-1,9,0 "
        "RightKnee<RightHip:-1,5,0 RightAnkle<RightKnee:-1,1,0 Chest<Hips:0,11,0 LeftCollar<Chest:0,14,0 "
        "LeftShoulder<LeftCollar:2,14,0 LeftElbow<LeftShoulder:5,14,0 LeftWrist<LeftElbow:8,14,0 "
        "RightCollar<Chest:0,14,0 RightShoulder<RightCollar:-2,14,0 RightElbow<RightShoulder:-5,14,0 "
        "RightWrist<RightElbow:-8,14,0 Neck<Chest:0,15,0 Head<Neck:0,17,0;top"
    ),
    "blender": (
        "spine:0,10,0 spine.001<spine:0,11,0 spine.002<spine.001:0,12,0 spine.003<spine.002:0,13,0 "
        "spine.004<spine.003:0,15,0 spine.005<spine.004:0,16,0 spine.006<spine.005:0,17,0;top "
        "shoulder.L<spine.003:0,14,0 upper_arm.L<shoulder.L:2,14,0 forearm.L<upper_arm.L:5,14,0 "
        "hand.L<forearm.L:8,14,0 shoulder.R<spine.003:0,14,0 upper_arm.R<shoulder.R:-2,14,0 "
        "forearm.R<upper_arm.R:-5,14,0 hand.R<forearm.R:-8,14,0 pelvis.L<spine:0,10,0 thigh.L<spine:1,9,0 "
        "shin.L<thigh.L:1,5,0 foot.L<shin.L:1,1,0 thigh.R<spine:-1,9,0 shin.R<thigh.R:-1,5,0 "
        "foot.R<shin.R:-1,1,0"
    ),
    "smpl": (
        "Pelvis:0,10,0 L_Hip<Pelvis:1,9,0 L_Knee<L_Hip:1,5,0 L_Ankle<L_Knee:1,1,0 L_Foot<L_Ankle:1,0,1 "
        "R_Hip<Pelvis:-1,9,0 R_Knee<R_Hip:-1,5,0 R_Ankle<R_Knee:-1,1,0 R_Foot<R_Ankle:-1,0,1 "
        "Spine1<Pelvis:0,11,0 Spine2<Spine1:0,12,0 Spine3<Spine2:0,13,0 Neck<Spine3:0,15,0 "
        "Head<Neck:0,17,0;top L_Collar<Spine3:0,14,0 L_Shoulder<L_Collar:2,14,0 L_Elbow<L_Shoulder:5,14,0 "
        "L_Wrist<L_Elbow:8,14,0 L_Hand<L_Wrist:9,14,0 R_Collar<Spine3:0,14,0 R_Shoulder<R_Collar:-2,14,0 "
        "R_Elbow<R_Shoulder:-5,14,0 R_Wrist<R_Elbow:-8,14,0 R_Hand<R_Wrist:-9,14,0"
    ),
    "biped": (
        "Bip01:0,10,0 Bip01_Pelvis<Bip01:0,10,0 Bip01_Spine<Bip01_Pelvis:0,13,0 "
        "Bip01_Neck<Bip01_Spine:0,15,0 Bip01_Head<Bip01_Neck:0,17,0;top Bip01_L_Clavicle<Bip01_Neck:0,14,0 "
        "Bip01_L_UpperArm<Bip01_L_Clavicle:2,14,0 Bip01_L_Forearm<Bip01_L_UpperArm:5,14,0 "
        "Bip01_L_Hand<Bip01_L_Forearm:8,14,0 Bip01_R_Clavicle<Bip01_Neck:0,14,0 "
        "Bip01_R_UpperArm<Bip01_R_Clavicle:-2,14,0 Bip01_R_Forearm<Bip01_R_UpperArm:-5,14,0 "
        "Bip01_R_Hand<Bip01_R_Forearm:-8,14,0 Bip01_L_Thigh<Bip01_Pelvis:1,9,0 "
        "Bip01_L_Calf<Bip01_L_Thigh:1,5,0 Bip01_L_Foot<Bip01_L_Calf:1,1,0 Bip01_R_Thigh<Bip01_Pelvis:-1,9,0 "
        "Bip01_R_Calf<Bip01_R_Thigh:-1,5,0 Bip01_R_Foot<Bip01_R_Calf:-1,1,0"
    ),
}
EXPECTED = {
    "Head": (0, 19, 0),
    "Neck/Nose": (0, 17, 0),
    "Thorax": (0, 15, 0),
    "RShoulder": (-2, 14, 0),
    "RElbow": (-5, 14, 0),
    "RWrist": (-8, 14, 0),
    "LShoulder": (2, 14, 0),
    "LElbow": (5, 14, 0),
    "LWrist": (8, 14, 0),
    "Spine": (0, 12, 0),
    "Hip": (0, 9, 0),
    "RHip": (-1, 9, 0),
    "RKnee": (-1, 5, 0),
    "RFoot": (-1, 1, 0),
    "LHip": (1, 9, 0),
    "LKnee": (1, 5, 0),
    "LFoot": (1, 1, 0),
}


def skeleton_of(text):
    names, parents, places, ends = [], [], [], []
    for word in text.split():
        word, _, top = word.partition(";")
        joint, _, place = word.rpartition(":")
        name, _, parent = joint.partition("<")
        names.append(name)
        parents.append(names.index(parent) if parent else -1)
        places.append([float(value) for value in place.split(",")])
        ends.append(False)
        if top:
            names.append(name + " End")
            parents.append(len(names) - 2)
            places.append([0.0, 19.0, 0.0])
            ends.append(True)
    places = np.array(places)
    offsets = np.array([place - (places[parent] if parent >= 0 else 0) for place, parent in zip(places, parents)])
    channels = tuple(() if end else (("rotation", 2), ("rotation", 0), ("rotation", 1)) for end in ends)
    return bvh.Skeleton(tuple(names), tuple(parents), offsets, tuple(ends), channels, 1, 0.01)


def mapped(text):
    skeleton = skeleton_of(text)
    mapping = bvh_joints.map_joints(skeleton, "a.bvh")
    poses = mapping.poses(skeleton.rest()[None])[0]
    return dict(zip(POSE17.joints, poses)), dict(zip(POSE17.joints, mapping.provenance))


@pytest.mark.parametrize("maker", SKELETONS)
def test_the_17_of_each_maker(maker):
    poses, provenance = mapped(SKELETONS[maker])
    for joint, place in EXPECTED.items():
        np.testing.assert_allclose(poses[joint], place, atol=1e-9, err_msg=joint)
        assert provenance[joint] == (MADE if joint in ("Hip", "Spine") else LABELLED)


def test_a_head_without_its_top_is_as_long_as_the_neck():
    poses, provenance = mapped(SKELETONS["biovision"].replace(";top", ""))
    np.testing.assert_allclose(poses["Head"], (0, 19, 0))
    assert provenance["Head"] == MADE


def test_a_head_on_the_chest_makes_the_nose():
    poses, provenance = mapped(SKELETONS["biovision"].replace("Neck<Chest:0,15,0 Head<Neck", "Head<Chest"))
    np.testing.assert_allclose(poses["Thorax"], (0, 17, 0))
    np.testing.assert_allclose(poses["Neck/Nose"], (0, 18, 0))
    assert (provenance["Thorax"], provenance["Neck/Nose"]) == (LABELLED, MADE)


def test_our_own_names_are_taken_as_they_are():
    words = []
    for joint, parent in sorted(zip(POSE17.joints, POSE17.parents), key=lambda item: _depth(item[0])):
        words.append(joint + (f"<{POSE17.joints[parent]}" if parent >= 0 else "") + f":{POSE17.index(joint)},2,3")
    poses, provenance = mapped(" ".join(words))
    assert [poses[joint][0] for joint in POSE17.joints] == list(range(17))
    assert set(provenance.values()) == {LABELLED}


def _depth(joint):
    depth, i = 0, POSE17.index(joint)
    while POSE17.parents[i] >= 0:
        depth, i = depth + 1, POSE17.parents[i]
    return depth


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("LeftKnee", "LeftBend", r"a\.bvh: no joint for LKnee under a known name; the skeleton has Hips, LeftHip"),
        ("Head", "Hat", "no joint for Head under a known name"),
        ("LeftElbow<LeftShoulder", "LeftElbow<Chest", "expected LeftShoulder, LeftElbow, LeftWrist to be one limb"),
        ("Neck<Chest", "Neck<Hips", "expected Head to hang on the joint that carries the arms"),
    ],
)
def test_skeletons_that_are_no_body(old, new, message):
    with pytest.raises(InputError, match=message):
        mapped(SKELETONS["biovision"].replace(old, new))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mixamorig:LeftUpLeg", ("L", "upleg")),
        ("mixamorig7:RightHand", ("R", "hand")),
        ("thigh.R", ("R", "thigh")),
        ("lShldr", ("L", "shldr")),
        ("lshin", ("L", "shin")),
        ("rightfoot", ("R", "foot")),
        ("leg", ("", "leg")),
        ("LHip", ("L", "hip")),
        ("LHipJoint", ("L", "hipjoint")),
        ("Bip01 L Calf", ("L", "calf")),
        ("upperarm_l", ("L", "upperarm")),
        ("Subject1:RightForeArm", ("R", "forearm")),
        ("Head", ("", "head")),
        ("spine.006", ("", "spine006")),
    ],
)
def test_sides_and_parts(name, expected):
    assert bvh_joints.side_and_part(name) == expected
