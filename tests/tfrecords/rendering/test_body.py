"""Bodies around poses: where their parts lie, and what the picture shows of them."""

import dataclasses

import numpy as np
import pytest

from tfrecords import schema
from tfrecords.rendering import body as render_body
from tfrecords.rendering import front as render_front
from tfrecords.rendering import head as render_head
from tfrecords.rendering import looks as render_looks
from tfrecords.rendering import picture as render_picture
from tfrecords.rendering import scene as render_scene
from tfrecords.synthetic import poses as synthetic_poses
from tools.pose.cameras import Camera
from tools.pose.joints import POSE17


@pytest.fixture(scope="module")
def poses():
    return synthetic_poses.make_block(11, 0).joints.astype(np.float64)


def camera_before(joints, side=1.0, distance=4000.0):
    """A camera level with the hip, in front of the chest (side 1) or behind the back (side -1)."""
    joint = dict(zip(POSE17.joints, joints))
    front = np.cross(joint["LShoulder"] - joint["RShoulder"], joint["Thorax"] - joint["Hip"])
    front = side * np.array([*front[:2], 0.0]) / np.linalg.norm(front[:2])
    right = np.cross(-front, [0.0, 0.0, 1.0])
    rotation = np.stack([right, [0.0, 0.0, -1.0], -front])
    eye = joint["Hip"] + distance * front
    return Camera(np.array([1000.0, 1000.0, 500.0, 500.0]), None, rotation, -rotation @ eye)


def upright(poses, count):
    """The first poses that stand straight, arms hanging at the sides or not."""
    found = []
    for joints in poses:
        joint = dict(zip(POSE17.joints, joints))
        legs = [joint[s + "Hip"][2] - joint[s + "Foot"][2] for s in "RL"]
        if min(legs) > 0.45 * render_body.stature(joints) and joint["Head"][2] > joint["Hip"][2] + 600:
            found.append(joints)
    return found[:count]


def plain_look(seed, **changes):
    look = render_looks.sample(np.random.default_rng(seed), 1700.0)
    return dataclasses.replace(look, face_turn=0.0, face_nod=0.0, **changes)


def test_surfaces_look_outwards(poses):
    for seed in range(4):
        body = render_body.build(poses[seed], plain_look(seed), 0.0, np.random.default_rng(seed))
        corners = body.mesh.vertices[body.mesh.faces].astype(np.float64)
        face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        volume = np.zeros(len(body.kind))
        np.add.at(volume, body.mesh.face_part, (corners[:, 0] * face_normal).sum(-1) / 6)
        closed = body.kind != render_body.SKIRT
        assert (volume[closed] > 0).all(), "a part is inside out"
        assert np.allclose(np.linalg.norm(body.mesh.normals, axis=-1), 1, atol=1e-3)


def test_every_joint_lies_within_its_flesh(poses):
    for seed, joints in enumerate(poses[:12]):
        body = render_body.build(joints, plain_look(seed), 0.0, np.random.default_rng(seed))
        distance = np.linalg.norm(body.mesh.vertices[None] - joints[:, None], axis=-1).min(1)
        assert (distance < body.flesh).all()


def test_feet_stand_on_the_floor_and_not_in_it(poses):
    for seed, joints in enumerate(upright(poses, 12)):
        body = render_body.build(joints, plain_look(seed), 0.0, np.random.default_rng(seed))
        assert -25 < body.mesh.vertices[:, 2].min() < 60


def test_heavy_bodies_are_wider_and_the_top_of_the_head_is_the_head(poses):
    joints = upright(poses, 1)[0]
    slim, heavy = (
        render_body.build(joints, plain_look(1, weight=weight, belly=weight), 0.0, np.random.default_rng(0))
        for weight in (0.0, 1.0)
    )
    waist = joints[POSE17.index("Spine")]

    def girth(body):
        trunk = body.mesh.vertices[: body.pieces[0][1]]
        return np.linalg.norm((trunk - waist)[np.abs(trunk[:, 2] - waist[2]) < 40][:, :2], axis=-1).mean()

    assert girth(heavy) > 1.25 * girth(slim)
    bald = render_body.build(joints, plain_look(1, hair="bald"), 0.0, np.random.default_rng(0))
    head = bald.kind == render_body.HEAD
    rows = np.unique(bald.mesh.faces[head[bald.mesh.face_part]])
    top = bald.mesh.vertices[rows][:, 2].max()
    assert top == pytest.approx(joints[POSE17.index("Head"), 2], abs=40)


def test_toes_and_nose_point_to_the_front(poses):
    for seed, joints in enumerate(upright(poses, 8)):
        joint = dict(zip(POSE17.joints, joints))
        front = np.cross(joint["LShoulder"] - joint["RShoulder"], joint["Thorax"] - joint["Hip"])
        front /= np.linalg.norm(front)
        body = render_body.build(joints, plain_look(seed, hair="bald"), 0.0, np.random.default_rng(seed))
        head = np.unique(body.mesh.faces[(body.kind == render_body.HEAD)[body.mesh.face_part]])
        near = np.linalg.norm(body.mesh.vertices - body.mesh.vertices[head].mean(0), axis=-1) < 200 * body.scale
        above = near & (body.mesh.vertices[:, 2] > joint["Thorax"][2] + 60)
        ahead = (body.mesh.vertices[above] - body.mesh.vertices[head].mean(0)) @ front
        assert ahead.max() > -ahead.min(), "the nose is what reaches farthest from the head"
        low = body.mesh.vertices[body.mesh.vertices[:, 2] < 70 * body.scale]
        ankles = (joint["RFoot"] + joint["LFoot"]) / 2
        assert ((low - ankles) @ front).max() > -((low - ankles) @ front).min()


@pytest.mark.parametrize("behind_mm", [-60.0, 0.0, 40.0, 120.0])
def test_a_neck_behind_the_spine_turns_no_head_round(behind_mm):
    """Joints captured behind the line from Thorax to Head are no noses; before it they are."""
    front, up = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    joint = {"Thorax": np.zeros(3), "Head": np.array([0.0, 0.0, 250.0])}
    joint["Neck/Nose"] = np.array([0.0, behind_mm, 110.0])
    _, _, face, _ = render_head.frame(joint, plain_look(3), 1.0, front, up)
    np.testing.assert_allclose(face, front, atol=1e-6)
    # Sideways it turns the face by what lies sideways alone.
    joint["Neck/Nose"] = np.array([80.0, behind_mm, 110.0])
    _, _, face, _ = render_head.frame(joint, plain_look(3), 1.0, front, up)
    assert face[0] > 0.5
    assert face @ front > 0.2


def test_the_face_is_seen_from_the_front_only(poses, monkeypatch):
    """Skin fills the upper part of the head seen from the front; from behind, hair does."""
    monkeypatch.setattr(render_front, "in_front", lambda rng, picture, person: np.zeros(person.shape, bool))
    bare, hair = np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.9])
    sample = render_looks.sample

    def painted(rng, stature):
        return dataclasses.replace(
            sample(rng, stature), skin=bare, hair_colour=hair, hair="short", beard=0.0, face_turn=0.0, face_nod=0.0,
            backpack=0.0,
        )  # fmt: skip

    monkeypatch.setattr(render_looks, "sample", painted)
    monkeypatch.setattr(render_picture.render_photo, "expose", lambda rng, p: (np.clip(p, 0, 1) * 255).astype(np.uint8))
    redder = {1.0: [], -1.0: []}
    for number, joints in enumerate(upright(poses, 6)):
        for side in redder:
            camera = camera_before(joints, side)
            picture = render_picture.draw(joints, camera, 0.0, np.random.default_rng(number))
            x, y = picture.pose_2d[POSE17.index("Neck/Nose")] * 0.5 + picture.pose_2d[POSE17.index("Head")] * 0.5
            patch = picture.pixels[max(int(y) - 2, 0) : int(y) + 3, max(int(x) - 2, 0) : int(x) + 3].astype(float)
            redder[side].append((patch[..., 0] - patch[..., 2]).mean())
    assert np.median(redder[1.0]) > 20 > -20 > np.median(redder[-1.0])


def ray_hits(direction, triangles):
    """Depth z of the first of `triangles` [f, 3, 3] that the ray from the origin meets, after Moeller and Trumbore."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    p = np.cross(direction, second)
    determinant = (first * p).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (-triangles[:, 0] * p).sum(-1) / determinant
        q = np.cross(-triangles[:, 0], first)
        v = (q @ direction) / determinant
        t = (second * q).sum(-1) / determinant
        hit = (np.abs(determinant) > 1e-9) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return t[hit].min() * direction[2] if hit.any() else np.inf


def test_visibility_is_what_rays_meet(poses, monkeypatch):
    monkeypatch.setattr(render_front, "in_front", lambda rng, picture, person: np.zeros(person.shape, bool))
    compared, occluded = 0, 0
    for number in range(12):
        joints = poses[number]
        camera = camera_before(joints, side=(-1.0) ** number, distance=3500.0)
        picture = render_picture.draw(joints, camera, 0.0, np.random.default_rng([4, number]))
        triangles = picture.mesh.vertices[picture.mesh.faces].astype(np.float64)
        places = camera.to_camera(joints)
        fx, fy = picture.intrinsics[:2]
        for joint, place in enumerate(places):
            if not (picture.pose_2d[joint] > 0).all() or not (picture.pose_2d[joint] < 255).all():
                assert picture.visibility[joint] == schema.OCCLUDED
                continue
            answers = set()
            for dx, dy in ((0, 0), (0.5, 0.5), (-0.5, 0.5), (0.5, -0.5), (-0.5, -0.5)):
                direction = place / place[2] + [dx / fx, dy / fy, 0]
                answers.add(bool(ray_hits(direction, triangles) < place[2] - picture.flesh[joint]))
            if len(answers) == 1:  # not at an outline, where half a pixel decides
                compared += 1
                occluded += answers == {True}
                expected = schema.OCCLUDED if answers == {True} else schema.VISIBLE
                assert picture.visibility[joint] == expected, (number, POSE17.joints[joint])
    assert compared > 120
    assert occluded > 5


def test_the_nearer_part_hides_the_farther_one(poses, monkeypatch):
    """An arm held before the chest is seen from the front, and hidden by the trunk from behind."""
    monkeypatch.setattr(render_front, "in_front", lambda rng, picture, person: np.zeros(person.shape, bool))
    joints = upright(poses, 1)[0].copy()
    index = POSE17.index
    axis = np.cross(joints[index("LShoulder")] - joints[index("RShoulder")], [0.0, 0.0, 1.0])
    front = axis / np.linalg.norm(axis)
    joints[index("RWrist")] = (joints[index("Spine")] + joints[index("Thorax")]) / 2 + 300 * front
    joints[index("RElbow")] = (joints[index("RShoulder")] + joints[index("RWrist")]) / 2 - [0, 0, 80.0]
    seen = {
        side: render_picture.draw(joints, camera_before(joints, side), 0.0, np.random.default_rng(2)).visibility
        for side in (1.0, -1.0)
    }
    assert seen[1.0][index("RWrist")] == schema.VISIBLE
    assert seen[-1.0][index("RWrist")] == schema.OCCLUDED


def test_the_box_is_the_silhouette_in_the_picture(poses, monkeypatch):
    """White bodies before black: the box is where the white pixels are."""
    monkeypatch.setattr(render_front, "in_front", lambda rng, picture, person: np.zeros(person.shape, bool))
    monkeypatch.setattr(
        render_scene, "background", lambda *_: (np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), bool))
    )
    monkeypatch.setattr(render_scene, "clutter", lambda *_: None)
    monkeypatch.setattr(render_picture.render_photo, "streak", lambda *_: np.ones((1, 1), np.float32))
    monkeypatch.setattr(render_picture.render_photo, "expose", lambda rng, p: (np.clip(p, 0, 1) * 255).astype(np.uint8))
    monkeypatch.setattr(
        render_picture.render_shade, "shade", lambda body, look, light, raster, *_: np.ones((len(raster.pixel), 3))
    )
    compared = 0
    for number, joints in enumerate(upright(poses, 10)):
        picture = render_picture.draw(joints, camera_before(joints), 0.0, np.random.default_rng(number))
        rows, columns = (np.flatnonzero((picture.pixels[..., 0] > 127).any(axis)) for axis in (1, 0))
        compared += 1
        assert np.abs(picture.box[:2] + 0.5 - [columns[0], rows[0]]).max() <= 2
        assert np.abs(picture.box[:2] + picture.box[2:] - 0.5 - [columns[-1], rows[-1]]).max() <= 2
    assert compared >= 5
