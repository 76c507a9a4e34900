"""The stated skeleton: places by hand for one upright person, and what must not depend on where they stand."""

import numpy as np
import pytest
from people_for_tests import in_body, moving, person
from scipy.spatial.transform import Rotation

from label_generator.training import skeletons
from tools.pose.joints import POSE17


def test_an_upright_person_by_hand():
    pose = person()
    before, after = in_body(pose), in_body(skeletons.to_definition(pose[None])[0])
    at = dict(zip(POSE17.joints, after))
    scale = 860 / skeletons.LEGS_MM
    # 507 mm from hips to shoulders where 0.475 of the legs are 408.5: three fifths of the rest go to the hips.
    surplus = (507 - 408.5) / (1 + 0.475 * 0.6)
    grown = (914 / (860 + 0.6 * surplus)) ** 0.7
    aside = 130 * scale
    # The shoulders stay 10 mm behind the hips' line, as they are.
    middle = np.array([0, 507 - surplus, -10])
    expected = {
        "Hip": (0, 0, 0),
        "RHip": (aside, 0, 0),
        "LHip": (-aside, 0, 0),
        "RKnee": (95 + (aside - 95) / 2, -440 - 0.6 * surplus, 0),
        "RShoulder": (180 + (155 * scale - 180) / 2, *middle[1:]),
        "Thorax": middle + [0, 55 * scale, 0],
        "Neck/Nose": middle + [0, (55 + 87) * scale, 72 * scale],
        "Head": middle + [0, (55 + 186) * scale, 42 * scale],
    }
    for name, place in expected.items():
        np.testing.assert_allclose(at[name], np.multiply(place, grown), atol=1e-6, err_msg=name)
    np.testing.assert_allclose(at["Spine"][1], 0.49 * at["Thorax"][1], atol=4)
    upper, fore = (np.linalg.norm(at["RElbow"] - at[j]) for j in ("RShoulder", "RWrist"))
    assert fore / upper == pytest.approx(0.87, abs=1e-6)
    assert before[POSE17.index("Thorax"), 1] < before[POSE17.index("RShoulder"), 1]  # and now it is above them
    assert at["Thorax"][1] > at["RShoulder"][1]


def test_axes_do_not_matter():
    poses = moving(person())
    turn = Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix()
    np.testing.assert_allclose(
        skeletons.to_definition(poses @ turn.T), skeletons.to_definition(poses) @ turn.T, atol=1e-6
    )


def test_a_mirror_does_not_matter():
    poses = moving(person())
    mirrored = (poses * [-1, 1, 1])[:, POSE17.mirror]
    expected = (skeletons.to_definition(poses) * [-1, 1, 1])[:, POSE17.mirror]
    places = skeletons.measure(poses)
    np.testing.assert_allclose(skeletons.measure(mirrored).spine, places.spine * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(skeletons.to_definition(mirrored), expected, atol=1e-6)


def test_different_skeletons_come_to_the_same_places():
    skeleton = {"captured": person(), "avatar": person(88, 515, (115, -49, -12), (2, 295, 24), 400)}
    for name, pose in skeleton.items():
        places = skeletons.measure(skeletons.to_definition(moving(pose)))
        scale = places.legs / skeletons.LEGS_MM
        assert places.hips_apart / scale == pytest.approx(260, rel=0.07), name
        assert places.shoulder_line[1] / scale == pytest.approx(-55, abs=6), name
        np.testing.assert_allclose(places.nose / scale, skeletons.STATED.nose_mm, atol=10, err_msg=name)
        np.testing.assert_allclose(places.head / scale, skeletons.STATED.head_mm, atol=12, err_msg=name)
        trunk = places.thorax[1] + places.shoulder_line[1]
        assert trunk / places.legs == pytest.approx(skeletons.STATED.trunk_share, abs=0.02), name


def test_each_skeleton_is_measured_on_its_own():
    short, tall = moving(person(), 60, spread_mm=3.0), moving(person(thigh=480), 60, 1, 3.0)
    poses = np.concatenate([short[:30], tall, short[30:]])
    sequences = np.repeat([0, 1, 2], [30, 60, 30])
    groups = skeletons.skeleton_groups(poses, sequences)
    assert groups[0] == groups[-1] != groups[40]
    found = skeletons.library(poses, sequences)
    np.testing.assert_allclose(found[30:90, 0], skeletons.to_definition(tall), atol=1e-3)
    np.testing.assert_allclose(found[sequences != 1, 0], skeletons.to_definition(poses[sequences != 1]), atol=1e-3)
    assert np.isfinite(found).all()


def test_smpl_is_lent_and_coco_is_not():
    poses = moving(person(), spread_mm=3.0)
    lent = skeletons.library(poses, np.zeros(len(poses), int))

    def closest_mm(name):
        own = skeletons.to_definition(poses, definition=skeletons.DEFINITIONS[name])
        return np.linalg.norm(lent - own[:, None], axis=-1).max((0, 2)).min()

    assert closest_mm("smpl") < 1e-3
    assert closest_mm("coco") > 20
    # SMPL's Hip is far above the line of its hips.
    hips = lent[:, skeletons.LENT.index("smpl"), [POSE17.index("RHip"), POSE17.index("LHip")]].mean(1)
    assert np.linalg.norm(hips, axis=-1).mean() == pytest.approx(95, abs=20)


def test_a_lent_skeleton_is_what_its_definition_says():
    definition = skeletons.Definition(822.0, 88.0, 0.0, 0.573, 24.0, 115.0, (0.0, 49.0, 12.0), shin_share=1.23)
    places = skeletons.measure(skeletons.to_definition(moving(person(), spread_mm=3.0), definition=definition))
    scale = places.legs / definition.legs_mm
    assert scale == pytest.approx(1, abs=0.03)
    assert places.hips_apart == pytest.approx(2 * 88 * scale, rel=0.07)
    assert places.shoulders_apart == pytest.approx(2 * 115 * scale, rel=0.07)
    np.testing.assert_allclose(places.shoulder_line / scale, (0, -49, -12), atol=6)
    moved = skeletons.to_definition(moving(person(), spread_mm=3.0), definition=definition)
    joint = {name: moved[:, i] for i, name in enumerate(POSE17.joints)}
    thigh = np.linalg.norm(joint["LKnee"] - joint["LHip"], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(joint["LFoot"] - joint["LKnee"], axis=-1) / thigh, 1.23, rtol=1e-6)
