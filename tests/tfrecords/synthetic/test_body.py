"""The kinematic model and the poses made with it, against rotations by SciPy and slow loops over joint positions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tfrecords.synthetic import activities, body
from tfrecords.synthetic import poses as poses_of
from tools.cli.errors import InputError

COUNT = 4 * poses_of.BLOCK
BONES = {
    "thigh": ((11, 12), (14, 15)),
    "shin": ((12, 13), (15, 16)),
    "upper_arm": ((3, 4), (6, 7)),
    "forearm": ((4, 5), (7, 8)),
}
OFFSETS = {
    "to_spine": ((10, 9),),
    "to_thorax": ((9, 2),),
    "to_neck": ((2, 1),),
    "to_head": ((2, 0),),
    "to_hip": ((10, 11), (10, 14)),
    "to_shoulder": ((2, 3), (2, 6)),
}


@pytest.fixture(scope="module")
def people():
    """Four blocks of the default mix."""
    return poses_of.make_poses(3, 0, COUNT)


def distance(joints, a, b):
    return np.linalg.norm(joints[a] - joints[b], axis=0)


def bend(joints, a, b, c):
    """How far the chain a-b-c bends at b, degrees: by the law of cosines, from the distances alone."""
    ab, bc, ac = distance(joints, a, b), distance(joints, b, c), distance(joints, a, c)
    return 180 - np.degrees(np.arccos(np.clip((ab**2 + bc**2 - ac**2) / (2 * ab * bc), -1, 1)))


def made(rng, n, mix=None):
    """Bodies, angles and joints after every correction, as make_block goes through them."""
    bodies = body.sample_bodies(rng, n)
    sampled = poses_of.sample_angles(rng, n, activities.mixture(mix))
    joints, thorax = body.forward_kinematics(bodies, sampled.angles, rng.uniform(0, 6, n))
    body.stand_firm(bodies, joints, sampled.planted)
    body.sit_down(bodies, joints, sampled.seated)
    body.clear_torso(bodies, joints, thorax)
    body.put_on_ground(bodies, joints, sampled.lift)
    return bodies, sampled, joints


def test_every_bone_has_its_bodys_length_in_every_pose():
    bodies, _, joints = made(np.random.default_rng(0), 2000)
    for name, pairs in BONES.items():
        for a, b in pairs:
            np.testing.assert_allclose(distance(joints, a, b), getattr(bodies, name), rtol=1e-9)
    for name, pairs in OFFSETS.items():
        for a, b in pairs:
            expected = np.linalg.norm(getattr(bodies, name), axis=0)
            np.testing.assert_allclose(distance(joints, a, b), expected, rtol=1e-9)


def slow_joints(bodies, angles, yaw, i):
    """Forward kinematics of one pose from the definitions of the angles, with SciPy's rotations."""
    value = dict(zip(body.ANGLES, angles[:, i]))

    def turned(x, y, z):
        return Rotation.from_rotvec([x, y, z])

    pelvis = turned(0, 0, yaw[i]) * turned(-value["pelvis_roll"], value["pelvis_pitch"], 0)
    bending = np.array([-value["spine_lateral"], value["spine_flexion"], value["spine_twist"]])
    thorax = pelvis * Rotation.from_rotvec(bending)
    head = thorax * turned(-value["neck_lateral"], value["neck_flexion"], value["neck_twist"])
    out = np.zeros((17, 3))
    out[9] = (pelvis * Rotation.from_rotvec(0.35 * bending)).apply(bodies.to_spine[:, i])
    out[2] = out[9] + thorax.apply(bodies.to_thorax[:, i])
    out[1], out[0] = out[2] + head.apply(bodies.to_neck[:, i]), out[2] + head.apply(bodies.to_head[:, i])
    for side, sign, arm, leg in (("right", -1, 3, 11), ("left", 1, 6, 14)):
        angle = {name: value[f"{side}_{name}"] for name in body.SIDE}
        girdle = turned(sign * angle["clavicle_up"], 0, -sign * angle["clavicle_forward"])
        out[arm] = out[2] + (thorax * girdle).apply(bodies.to_shoulder[:, i] * [1, sign, 1])
        out[leg] = pelvis.apply(bodies.to_hip[:, i] * [1, sign, 1])
        for joint, hinge, first, parent, lengths, bends in (
            ("shoulder", "elbow", arm, thorax, (bodies.upper_arm[i], bodies.forearm[i]), -1),
            ("hip", "knee", leg, pelvis, (bodies.thigh[i], bodies.shin[i]), 1),
        ):
            # straight down, swung forwards about -y and outwards about x (to the left) or -x (to the right)
            swing = turned(sign * angle[f"{joint}_abduction"], -angle[f"{joint}_flexion"], 0)
            # the twist turns an arm's bend inwards: to the right for the left side; a leg's foot, behind it, likewise
            twist = turned(0, 0, (-1 if joint == "shoulder" else 1) * sign * angle[f"{joint}_twist"])
            upper = parent * swing * twist
            out[first + 1] = out[first] + upper.apply([0, 0, -lengths[0]])
            lower = upper * turned(0, bends * angle[hinge], 0)
            out[first + 2] = out[first + 1] + lower.apply([0, 0, -lengths[1]])
    return out


def test_forward_kinematics_equals_a_slow_chain_of_rotations():
    rng = np.random.default_rng(1)
    bodies = body.sample_bodies(rng, 60)
    angles = body.limited(rng.normal(0, 0.8, (len(body.ANGLES), 60)))
    yaw = rng.uniform(0, 6, 60)
    joints, thorax = body.forward_kinematics(bodies, angles, yaw)
    for i in range(60):
        np.testing.assert_allclose(joints[:, :, i], slow_joints(bodies, angles, yaw, i), atol=1e-9)
        np.testing.assert_allclose(thorax[:, :, i] @ thorax[:, :, i].T, np.eye(3), atol=1e-12)


def test_named_directions():
    """A person at yaw 0 looks along +x with the left along +y: what each angle moves where."""
    bodies = body.sample_bodies(np.random.default_rng(2), 1)

    def at(**degrees):
        angles = np.zeros((len(body.ANGLES), 1))
        for name, value in degrees.items():
            angles[body.ANGLES.index(name)] = np.radians(value)
        return body.forward_kinematics(bodies, angles, np.zeros(1))[0][:, :, 0]

    still = at()
    assert still[6, 1] > 0 > still[3, 1]  # left shoulder to the left
    assert still[0, 2] > still[2, 2] > 0 > still[12, 2] > still[13, 2]
    assert at(right_shoulder_flexion=90)[4, 0] > still[4, 0] + 200
    assert at(left_shoulder_abduction=90)[7, 1] > still[7, 1] + 200
    assert at(right_hip_abduction=45)[12, 1] < still[12, 1] - 200
    assert at(right_elbow=90)[5, 0] > still[5, 0] + 150  # forearms bend forwards
    assert at(right_knee=90)[13, 0] < still[13, 0] - 250  # shins backwards
    assert at(left_elbow=90, left_shoulder_twist=80)[8, 1] < still[8, 1] - 150  # inwards: to the right
    assert at(right_hip_flexion=90, right_knee=90, right_hip_twist=80)[13, 1] > still[13, 1] + 250  # to the left
    assert at(pelvis_pitch=30)[2, 0] > still[2, 0] + 150
    assert at(spine_lateral=30)[2, 1] > still[2, 1] + 50
    assert at(spine_twist=40)[6, 0] < still[6, 0] - 50  # turned to the left: the left shoulder goes back
    assert at(neck_flexion=40)[0, 0] > still[0, 0] + 80


def test_angles_stay_within_their_limits(people):
    joints = people.joints.transpose(1, 2, 0).astype(np.float64)
    knee = np.concatenate([bend(joints, 11, 12, 13), bend(joints, 14, 15, 16)])
    elbow = np.concatenate([bend(joints, 3, 4, 5), bend(joints, 6, 7, 8)])
    assert knee.max() <= 150.1
    assert elbow.max() <= 150.1
    sampled = poses_of.sample_angles(np.random.default_rng(5), 5000, activities.mixture())
    limits = np.array(body.LIMITS_CENTRE + body.LIMITS_SIDE + body.LIMITS_SIDE)
    degrees = np.degrees(sampled.angles)
    assert (degrees >= limits[:, :1] - 1e-9).all()
    assert (degrees <= limits[:, 1:] + 1e-9).all()
    for side in (body.RIGHT, body.LEFT):
        thigh = np.hypot(*degrees[side][[body.HIP_FLEXION, body.HIP_ABDUCTION]])
        arm = np.hypot(*degrees[side][[body.SHOULDER_FLEXION, body.SHOULDER_ABDUCTION]])
        assert thigh.max() <= body.HIP_CONE + 1e-6
        assert arm.max() <= body.SHOULDER_CONE + 1e-6


def test_knees_and_elbows_bend_the_human_way():
    """Shins never bend forwards and forearms never backwards, seen in the limb's own plane."""
    _, _, joints = made(np.random.default_rng(6), 4000, {"walking": 1, "running": 1, "sitting": 1})
    across = joints[14] - joints[11]
    for hip in (11, 14):
        thigh, shin = joints[hip + 1] - joints[hip], joints[hip + 2] - joints[hip + 1]
        # thigh x shin points from the right to the left hip's side when the foot goes back under the body
        side = (np.cross(thigh, shin, axis=0) * across).sum(0)
        bent = bend(joints, hip, hip + 1, hip + 2) > 20
        assert (side[bent] > 0).mean() > 0.98


def test_pose_is_the_same_however_it_is_asked_for(people):
    block = poses_of.BLOCK
    for start, stop in ((0, 10), (block - 3, block + 5), (5, 3 * block + 1), (2 * block, 3 * block), (7, 7)):
        part = poses_of.make_poses(3, start, stop)
        np.testing.assert_array_equal(part.joints, people.joints[start:stop])
        np.testing.assert_array_equal(part.activity, people.activity[start:stop])
        np.testing.assert_array_equal(part.stature, people.stature[start:stop])


def test_seeds_streams_and_blocks_differ():
    first = poses_of.make_block(0, 0).joints
    for other in (poses_of.make_block(1, 0), poses_of.make_block(0, 1), poses_of.make_block(0, 0, stream=1)):
        assert np.abs(first - other.joints).max(axis=(1, 2)).min() > 1.0


def test_mirrored_angles_make_the_mirror_image():
    rng = np.random.default_rng(8)
    bodies = body.sample_bodies(rng, 50)
    angles = body.limited(rng.normal(0, 0.6, (len(body.ANGLES), 50)))
    still = np.zeros(50)
    swapped = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 14, 15, 16, 11, 12, 13]
    plain = body.forward_kinematics(bodies, angles, still)[0]
    mirror = body.forward_kinematics(bodies, body.mirrored(angles), still)[0]
    np.testing.assert_allclose(mirror[swapped] * np.array([[1], [-1], [1]]), plain, atol=1e-9)


def test_left_and_right_are_alike():
    joints = poses_of.make_poses(9, 0, 20 * poses_of.BLOCK).joints.transpose(1, 2, 0).astype(np.float64)
    for right, left in (((11, 12, 13), (14, 15, 16)), ((3, 4, 5), (6, 7, 8))):
        quantiles = [np.quantile(bend(joints, *chain), np.linspace(0.05, 0.95, 19)) for chain in (right, left)]
        assert np.abs(quantiles[0] - quantiles[1]).max() < 2.5
    higher = (joints[5, 2] > joints[8, 2]).mean()
    assert 0.48 < higher < 0.52


def test_nobody_is_below_the_ground_and_who_does_not_fly_touches_it(people):
    joints = people.joints
    assert joints[..., 2].min() > 0
    rest = np.array([body.REST_HEIGHT[joint] for joint in range(17)]) * people.stature[:, None]
    gap = (joints[..., 2] - rest).min(1)
    assert gap.min() > -1e-2
    names = list(activities.ACTIVITIES)
    flies = np.isin(people.activity, [names.index(name) for name in ("jumping", "running", "sport")])
    assert (gap[~flies] < 1.0).mean() > 0.9  # a blend with a jump may leave the ground
    jumping = gap[people.activity == names.index("jumping")]
    assert 0.3 < (jumping > 20).mean() < 0.9


def test_feet_are_on_the_ground_where_the_activity_says_so():
    people = poses_of.make_poses(0, 0, 2048, {"standing": 1, "gesturing": 1, "reaching": 1})
    height = people.joints[:, [13, 16], 2] - body.REST_HEIGHT[13] * people.stature[:, None]
    assert (height.max(1) < 40).mean() > 0.97
    seated = poses_of.make_poses(0, 0, 2048, {"floor_sitting": 1})
    hip = seated.joints[:, [11, 14], 2].min(1) - body.REST_HEIGHT[11] * seated.stature
    assert (hip < 40).mean() > 0.7  # the others kneel on their heels


def test_wrists_are_rarely_inside_the_torso(people):
    hip, thorax = people.joints[:, 10].astype(np.float64), people.joints[:, 2].astype(np.float64)
    inside = []
    for wrist in (people.joints[:, 5], people.joints[:, 8]):
        for i in range(0, len(hip), 4):
            axis = thorax[i] - hip[i]
            place = np.dot(wrist[i] - hip[i], axis) / np.dot(axis, axis)
            apart = np.linalg.norm(wrist[i] - hip[i] - place * axis)
            inside.append(0 < place < 1 and apart < 0.05 * people.stature[i])
    assert np.mean(inside) < 0.01


def test_activities_come_in_the_mix_that_was_asked_for():
    mix = {"walking": 3.0, "sitting": 1.0}
    people = poses_of.make_poses(1, 0, 8 * poses_of.BLOCK, mix)
    names = np.array(list(activities.ACTIVITIES))[people.activity]
    assert set(names) == {"walking", "sitting"}
    assert abs((names == "walking").mean() - 0.75) < 0.02
    default = poses_of.make_poses(1, 0, 16 * poses_of.BLOCK)
    share = np.bincount(default.activity, minlength=len(activities.ACTIVITIES)) / len(default.activity)
    np.testing.assert_allclose(share, activities.mixture(), atol=0.012)
    # sitting people are lower and more bent than walking people
    height = people.joints[:, 0, 2] / people.stature
    assert np.median(height[names == "sitting"]) < np.median(height[names == "walking"]) - 0.15


@pytest.mark.parametrize(
    "mix", [{"flying": 1.0}, {"walking": -1.0}, {}, {"walking": 0.0}, {"walking": float("nan")}, {"walking": np.inf}]
)
def test_bad_mix_is_refused(mix):
    with pytest.raises(InputError):
        poses_of.make_block(0, 0, mix)


def test_bodies_are_human():
    bodies = body.sample_bodies(np.random.default_rng(4), 20000)
    assert 1600 < np.median(bodies.stature) < 1720
    assert 0.08 < (bodies.stature < 1500).mean() < 0.25
    leg, arm = (bodies.thigh + bodies.shin) / bodies.stature, (bodies.upper_arm + bodies.forearm) / bodies.stature
    assert np.corrcoef(leg, arm)[0, 1] > 0.2  # long arms go with long legs
    small, tall = bodies.stature < 1350, bodies.stature > 1650
    head = bodies.to_head[2] / bodies.stature
    assert head[small].mean() > head[tall].mean() + 0.01  # children have larger heads
    drop = -bodies.to_shoulder[2]
    assert drop.min() >= 30
    assert drop.max() <= 75
    assert abs(np.median(bodies.to_neck[2] / bodies.to_head[2]) - body.NECK_SHARE) < 0.005
    share = bodies.to_spine[2] / (bodies.to_spine[2] + bodies.to_thorax[2])
    assert abs(np.median(share) - 0.51) < 0.01
    # standing up straight, a body is about as tall as its stature, less what lies above the Head joint
    parts = (bodies.thigh, bodies.shin, bodies.to_spine[2], bodies.to_thorax[2], bodies.to_head[2])
    chain = body.REST_HEIGHT[13] + sum(parts) / bodies.stature
    assert 0.94 < np.median(chain) < 0.98
    assert np.quantile(np.abs(chain - np.median(chain)), 0.99) < 0.07
