"""Skeletons as triangles: bones where the joints are, of the sides' colours, nothing of joints that are not there."""

import numpy as np

from tools.drawing import drawing, meshes
from tools.pose.joints import POSE17


def volume(mesh):
    """Of a closed surface, by the divergence theorem; positive where the faces look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("fx,fx->f", a, np.cross(b, c)).sum() / 6)


def test_bones_are_closed_bodies_between_their_joints():
    poses = np.random.default_rng(0).uniform(-800, 800, (5, 17, 3))
    mesh = meshes.skeletons(poses)
    bones = drawing.skeleton_of().limbs
    assert mesh.vertices.shape == (5 * len(bones) * 6, 3)
    assert mesh.faces.shape == (5 * len(bones) * 8, 3)
    # Every edge of a closed body belongs to two faces, in opposite directions.
    edges = np.concatenate([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    assert {tuple(edge) for edge in edges} == {tuple(edge) for edge in edges[:, ::-1]}
    assert volume(mesh) > 0
    # Three people in the upper row, two in the lower one.
    rows = [[[0, 0, 0]], [[1.6, 0, 0]], [[3.2, 0, 0]], [[0, -2.4, 0]], [[1.6, -2.4, 0]]]
    places = poses * [0.001, -0.001, -0.001] + np.array(rows)
    ends = mesh.vertices.reshape(5, len(bones), 6, 3)
    for bone, (start, end) in enumerate(bones):
        np.testing.assert_allclose(ends[:, bone, 0], places[:, start], atol=1e-5)
        np.testing.assert_allclose(ends[:, bone, 5], places[:, end], atol=1e-5)


def test_colours_tell_the_sides_and_the_truth_is_grey():
    pose = np.random.default_rng(1).uniform(-800, 800, (1, 17, 3))
    mesh = meshes.skeletons(pose, pose + 10)
    colours = mesh.colours.reshape(2, -1, 6, 3)
    assert (colours[1] == 150).all()
    for bone, (_, end) in enumerate(drawing.skeleton_of().limbs):
        name = POSE17.joints[end]
        side = name[0] if name[1].isupper() else ""
        expected = {"L": drawing.LEFT_COLOUR, "R": drawing.RIGHT_COLOUR}.get(side, drawing.CENTRE_COLOUR)
        assert (colours[0, bone] == expected[::-1]).all()


def test_joints_that_are_not_there_have_no_bones():
    pose = np.random.default_rng(2).uniform(-800, 800, (1, 17, 3))
    pose[0, POSE17.index("LWrist")] = np.nan
    nobody = np.full((1, 17, 3), np.nan)
    mesh = meshes.skeletons(pose, nobody)
    assert len(mesh.vertices) == 6 * (len(drawing.skeleton_of().limbs) - 1)
    assert np.isfinite(mesh.vertices).all()
    assert len(meshes.skeletons(nobody).faces) == 0
