"""MPII's joints at the reference skeleton's places."""

import numpy as np
import pytest

from label_generator.lifting import joint_places
from label_generator.training import skeletons
from tools.pose.joints import POSE17

I = {name: POSE17.index(name) for name in POSE17.joints}  # noqa: E741


def upright():
    """A standing person of the reference skeleton, px at 1 px a mm, the picture's y down, and MPII's joints of them."""
    pose = np.zeros((17, 2))
    trunk = skeletons.STATED.trunk_share * skeletons.LEGS_MM
    for name, (x, up) in {
        "RHip": (-130, 0), "LHip": (130, 0), "RShoulder": (-155, trunk), "LShoulder": (155, trunk),
        "Thorax": (0, trunk + 55), "Neck/Nose": (0, trunk + 142), "Head": (0, trunk + 241), "Spine": (0, 240),
    }.items():  # fmt: skip
        pose[I[name]] = x, -up
    mpii = pose.copy()
    mpii[[I["Hip"], I["RHip"], I["LHip"]], 1] += 35
    mpii[I["Head"], 1] -= 75
    return pose[None], mpii[None]


def test_mpiis_hips_and_crown_come_to_the_reference_places():
    reference, mpii = upright()
    labelled = np.ones((1, 17), bool)
    found = joint_places.corrected(mpii, labelled, "mpii16")
    np.testing.assert_allclose(found, reference, atol=6)
    assert np.abs(mpii - reference).max() > 70
    assert joint_places.corrected(mpii, labelled, "lsp14") is mpii


@pytest.mark.parametrize("angle", [30.0, 180.0])
def test_the_correction_turns_with_the_person(angle):
    _, mpii = upright()
    labelled, a = np.ones((1, 17), bool), np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    expected = joint_places.corrected(mpii, labelled, "mpii16") @ turn
    np.testing.assert_allclose(joint_places.corrected(mpii @ turn, labelled, "mpii16"), expected, atol=1e-9)


def test_joints_stay_where_their_way_is_not_labelled():
    _, mpii = upright()
    labelled = np.ones((1, 17), bool)
    labelled[0, [I["LShoulder"], I["Thorax"]]] = False
    np.testing.assert_array_equal(joint_places.corrected(mpii, labelled, "mpii16"), mpii)
