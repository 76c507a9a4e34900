"""Every format read back by its own reader; motions by two kinds of forward kinematics, and by Blender where it is."""

import csv
import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from tfrecords.conversion import bvh_joints
from tfrecords.exports import (
    bvh,
    c3d_file,
    clips,
    coco,
    film,
    formats,
    json_labels,
    motions,
    rotations,
    skeletons,
    tables,
    wild,
)
from tfrecords.formats import bvh as bvh_reader
from tfrecords.formats.upright import UprightPictures
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.drawing import animation
from tools.pose.joints import LABELLED, POSE17


@pytest.fixture
def files(tmp_path, video):
    """Labels of two people in a video, as clips."""
    made, *_ = video.label_files(tmp_path / "run")
    clips.make_clips(made, clips.ClipOptions(fps=video.FPS))
    yield made
    made.close()


def columns(files, *names):
    good = files.read("reason", 0, files.rows) == 0
    return [files.read(name, 0, files.rows)[good] for name in names]


def test_json(files, tmp_path, video):
    count = json_labels.write_json(files, tmp_path / "labels.json", "w", video.FPS)
    content = json.loads((tmp_path / "labels.json").read_text())
    assert (count, content["fps"], content["joints"]) == (files.rows - 1, video.FPS, list(POSE17.joints))
    assert set(content["units"]) <= set(content["labels"][0])
    poses, roots, pixels, numbers = columns(files, "poses_3d", "roots", "poses_2d", "own_numbers")
    labels = content["labels"]
    np.testing.assert_allclose([label["pose_3d"] for label in labels], poses, atol=0.006)
    np.testing.assert_allclose([label["root_3d"] for label in labels], roots, atol=0.006)
    read = np.array([label["pose_2d"] for label in labels], object).astype(float)
    np.testing.assert_allclose(read, pixels, atol=0.001)
    assert np.isnan(read).any()
    assert [label["annotation_id"] for label in labels] == numbers[:, 1].tolist()
    assert {label["nominal_camera"] for label in labels} == {None}
    np.testing.assert_allclose(labels[0]["intrinsics"], video.CAMERA)


def test_coco_is_joined_to_its_source(files, tmp_path, video):
    coco.write_coco(files, tmp_path / "coco.json", "w", video.FPS)
    content = json.loads((tmp_path / "coco.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    assert len(images) == len(content["images"]) == 60
    assert sorted(images) == list(range(7000, 7060))
    poses, pixels, codes, numbers, frame = columns(files, "poses_3d", "poses_2d", "provenance", "own_numbers", "frame")
    assert [a["id"] for a in content["annotations"]] == numbers[:, 1].tolist()
    for i, annotation in enumerate(content["annotations"]):
        image = images[annotation["image_id"]]
        assert (image["frame_id"], image["file_name"]) == (frame[i], f"walk/{frame[i]:04d}.jpg")
        assert (image["width"], image["height"]) == (1000, 800)
        flat = np.array(annotation["keypoints"]).reshape(17, 3)
        deep = np.array(annotation["keypoints_3d"]).reshape(17, 4)
        np.testing.assert_array_equal(flat[:, 2], np.where(codes[i] == LABELLED, 2, 0))
        np.testing.assert_array_equal(annotation["provenance_2d"], codes[i])
        assert annotation["num_keypoints"] == (flat[:, 2] > 0).sum()  # as COCO counts them
        known = codes[i] > 0
        np.testing.assert_allclose(flat[known, :2], pixels[i][known], atol=0.001)
        assert (flat[~known] == 0).all()
        np.testing.assert_allclose(deep[:, :3], poses[i], atol=0.006)
        low, size = pixels[i][known].min(0), np.ptp(pixels[i][known], axis=0)
        np.testing.assert_allclose(annotation["bbox"], [*low, *size], atol=0.002)
        assert annotation["camera_param"]["focal"] == [1100.0, 1100.0]
    ends = {tuple(pair) for pair in content["categories"][0]["skeleton"]}
    assert (POSE17.index("RKnee") + 1, POSE17.index("RHip") + 1) in ends


def test_coco_is_read_back_by_its_names(files, tmp_path, video):
    """What is written is an input too: by our own reader of COCO's layout, and by COCO's own library where it is."""
    path = tmp_path / "labels_coco.json"
    coco.write_coco(files, path, "w", video.FPS)
    pixels, numbers = columns(files, "poses_2d", "own_numbers")
    source = open_source("coco", path, Options(images="none"))
    rows = np.arange(len(source))
    # The source orders people by their pictures; its own numbers say which is which.
    order = [numbers[:, 1].tolist().index(number) for number in source.own_numbers(rows)[:, 1].tolist()]
    read = np.array([record.pose_2d for record in source.records(rows)])
    assert len(read) == files.rows - 1
    np.testing.assert_allclose(read, pixels[order], atol=0.001)
    try:
        from pycocotools.coco import COCO
    except ImportError:
        return
    index = COCO(str(path))
    assert sorted(index.getAnnIds(imgIds=[7000])) == sorted(numbers[numbers[:, 0] == 7000, 1].tolist())


def test_csv(files, tmp_path):
    assert tables.write_csv(files, tmp_path) == files.rows - 1
    poses, pixels, quality = columns(files, "poses_3d", "poses_2d", "quality")
    with open(tmp_path / tables.WIDE, newline="") as file:
        wide = list(csv.DictReader(file))
    read = np.array([[[row[f"{joint}_{axis}_mm"] for axis in "xyz"] for joint in POSE17.joints] for row in wide], float)
    np.testing.assert_allclose(read, poses, atol=0.0006)
    np.testing.assert_allclose([float(row["quality"]) for row in wide], quality, atol=1e-4)
    with open(tmp_path / tables.LONG, newline="") as file:
        long = list(csv.DictReader(file))
    assert len(long) == 17 * len(wide)
    read = np.array([[row["x_px"] or "nan", row["y_px"] or "nan"] for row in long], float).reshape(-1, 17, 2)
    np.testing.assert_allclose(read, pixels, atol=0.0006)
    assert {row["joint"] for row in long} == set(POSE17.joints)
    wrist = [row for row in long if row["joint"] == "LWrist" and row["frame"] == "21"]
    assert {(row["provenance_2d"], row["interpolated"]) for row in wrist} == {("missing", "1")}


def test_wild_npy_is_read_back_whole(files, tmp_path):
    count = wild.write_wild_npy(files, tmp_path / "wild.npy")
    source = open_source("mpii_lsp", tmp_path / "wild.npy", Options(images="none"))
    records = list(source.records(np.arange(len(source))))
    assert len(records) == count == files.rows - 1
    poses, pixels, quality, joint_quality, codes = columns(
        files, "poses_3d", "poses_2d", "quality", "joint_quality", "provenance"
    )
    np.testing.assert_array_equal([record.pose_3d for record in records], poses)
    np.testing.assert_array_equal([record.pose_2d for record in records], pixels)
    np.testing.assert_array_equal([record.provenance_2d for record in records], codes)
    np.testing.assert_array_equal([record.quality for record in records], quality)
    np.testing.assert_array_equal([record.joint_quality for record in records], joint_quality)
    assert np.isnan(pixels).any()


def independent_kinematics(path):
    """name -> [T, 3] mm, by quaternions, from the text of the file alone."""
    words = iter(path.read_text().split())
    stack, nodes, channels = [], [], []
    for word in words:
        if word in ("ROOT", "JOINT"):
            nodes.append([next(words), stack[-1] if stack else -1, None, []])
        elif word == "End":
            next(words)
            nodes.append([None, stack[-1], None, []])
        elif word == "{":
            stack.append(len(nodes) - 1)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            nodes[stack[-1]][2] = np.array([float(next(words)) for _ in range(3)])
        elif word == "CHANNELS":
            nodes[stack[-1]][3] = [next(words) for _ in range(int(next(words)))]
            channels += [(stack[-1], channel) for channel in nodes[stack[-1]][3]]
        elif word == "Frames:":
            frames = int(next(words))
        elif word == "Time:":
            next(words)
            break
    values = np.array([float(word) for word in words]).reshape(frames, len(channels))

    def multiply(p, q):
        return np.concatenate([[p[0] * q[0] - p[1:] @ q[1:]], p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:])])

    def turned(q, vector):
        conjugate = q * [1, -1, -1, -1]
        return multiply(multiply(q, np.r_[0.0, vector]), conjugate)[1:]

    result = {node[0]: np.empty((frames, 3)) for node in nodes if node[0]}
    for t in range(frames):
        state = {}
        for i, (name, parent, offset, own) in enumerate(nodes):
            mine = {channel: values[t, k] for k, (node, channel) in enumerate(channels) if node == i}
            turn = np.array([1.0, 0, 0, 0])
            for channel in own:
                if channel.endswith("rotation"):
                    half = np.radians(mine[channel]) / 2
                    axis = np.eye(3)["XYZ".index(channel[0])]
                    turn = multiply(turn, np.r_[np.cos(half), np.sin(half) * axis])
            if parent < 0:
                place = np.array([mine[f"{axis}position"] for axis in "XYZ"])
            else:
                place = state[parent][0] + turned(state[parent][1], offset)
                turn = multiply(state[parent][1], turn)
            state[i] = place, turn
            if name:
                result[name][t] = place * 10.0
    return result


@pytest.mark.parametrize("names", skeletons.NAMES)
def test_bvh_has_every_joint_where_the_label_has_it(tmp_path, names, video):
    poses, roots = video.motion(75)
    path = tmp_path / "walk.bvh"
    bvh.write_bvh(path, poses, roots, video.FPS, names)
    skeleton, values = bvh_reader.read(path)
    ours, others = bvh_reader.forward_kinematics(skeleton, values) * 10.0, independent_kinematics(path)
    wanted = bvh.y_up(poses + roots[:, None]) - bvh.floor_origin(poses, roots)
    assert skeleton.frame_time_s == pytest.approx(1 / video.FPS)
    checked = set()
    for name, node in skeletons.nodes_of(names).items():
        expected = wanted[:, POSE17.index(node.joint)]
        np.testing.assert_allclose(ours[:, skeleton.names.index(name)], expected, atol=0.05)
        np.testing.assert_allclose(others[name], expected, atol=0.05)
        checked.add(node.joint)
    # The head's top is the End Site where it is no joint.
    top = skeleton.names.index({"cgspeed": "Head End", "mixamo": "mixamorig:HeadTop_End", "h36m": "Head"}[names])
    np.testing.assert_allclose(ours[:, top], wanted[:, POSE17.index("Head")], atol=0.05)
    assert checked | {"Head"} == set(POSE17.joints)
    # y is up, the lowest foot on the floor, the head above it.
    assert min(others[n][:, 1].min() for n, node in skeletons.nodes_of(names).items() if "Foot" in node.joint) > -0.1
    mapped = bvh_joints.map_joints(skeleton, path).poses(ours)
    for joint in ("RWrist", "LElbow", "RKnee", "LFoot", "Thorax", "Head"):
        np.testing.assert_allclose(mapped[:, POSE17.index(joint)], wanted[:, POSE17.index(joint)], atol=0.05)
    for joint in ("RElbow", "LWrist", "RKnee", "LFoot"):
        end = POSE17.index(joint)
        length = np.linalg.norm(mapped[:, end] - mapped[:, POSE17.parents[end]], axis=-1)
        np.testing.assert_allclose(length, video.LENGTHS[joint[1:]], atol=0.05)


def angle_between(one, other):
    """[T] degrees between rotations [T, 3, 3]."""
    trace = np.einsum("tab,tab->t", one, other)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_bones_do_not_turn_by_leaps(video):
    """No rotation from frame to frame is much larger than the bone's own movement in its parent's axes."""
    poses, _ = video.motion(250)
    up = bvh.y_up(poses)
    # One arm goes straight through the rest pose's opposite: across the chest, to the other side and on.
    collar, elbow, wrist = (POSE17.index(f"L{name}") for name in ("Shoulder", "Elbow", "Wrist"))
    swing = np.linspace(0, 2 * np.pi, 250)
    forward = np.stack([np.cos(swing), 0.02 * np.sin(3 * swing), np.sin(swing)], -1)
    up[:, elbow] = up[:, collar] + 280 * forward
    up[:, wrist] = up[:, elbow] + 250 * forward
    for key, turns in rotations.local_rotations(up).items():
        steps = angle_between(turns[1:], turns[:-1])
        assert steps.max() < 25, key
        euler = rotations.euler_zxy(turns)
        np.testing.assert_allclose(zxy(euler), turns, atol=1e-9)
    arm = rotations.local_rotations(up)["Larm"]
    assert angle_between(arm[1:], arm[:-1]).max() < 12


def zxy(degrees):
    z, x, y = np.radians(degrees).T
    zero, one = np.zeros_like(z), np.ones_like(z)
    rz = np.array([[np.cos(z), -np.sin(z), zero], [np.sin(z), np.cos(z), zero], [zero, zero, one]])
    rx = np.array([[one, zero, zero], [zero, np.cos(x), -np.sin(x)], [zero, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), zero, np.sin(y)], [zero, one, zero], [-np.sin(y), zero, np.cos(y)]])
    return np.einsum("abt,bct,cdt->tad", rz, rx, ry)


def test_knees_bend_about_one_axis(video):
    """A leg that bends like a leg has no other rotation in its shin than that of a hinge."""
    poses, _ = video.motion(60)
    up = bvh.y_up(poses)
    hips = up[:, POSE17.index("LHip")] - up[:, POSE17.index("RHip")]
    left = hips / np.linalg.norm(hips, axis=-1, keepdims=True)
    forward = np.cross(left, [0.0, 1.0, 0.0])
    bend = np.linspace(0.6, 1.6, 60)[:, None]
    hip, knee, foot = (POSE17.index(f"L{name}") for name in ("Hip", "Knee", "Foot"))
    up[:, knee] = up[:, hip] + 440 * (forward * 0.6 + [0, -0.8, 0])
    up[:, foot] = up[:, knee] + 420 * (-forward * np.sin(bend - 0.6435) + [0, -1, 0] * np.cos(bend - 0.6435))
    shin = rotations.local_rotations(up)["Lshin"][30:]
    axis = np.stack([shin[:, 2, 1] - shin[:, 1, 2], shin[:, 0, 2] - shin[:, 2, 0], shin[:, 1, 0] - shin[:, 0, 1]], -1)
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    np.testing.assert_allclose(np.abs(axis[:, 0]), 1, atol=0.01)


BLENDER = """
import bpy, builtins, json, sys
opened = builtins.open
# The importer of Blender 3.4 opens with 'rU', which Python 3.11 has no more.
builtins.open = lambda file, mode="r", *rest, **more: opened(file, mode.replace("U", ""), *rest, **more)
source, target = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_anim.bvh(filepath=source, axis_forward="-Z", axis_up="Y", update_scene_fps=True)
body, scene = bpy.context.object, bpy.context.scene
found = {}
for frame in (1, 20, 40):
    scene.frame_set(frame)
    found[frame] = {bone.name: list(body.matrix_world @ bone.head) for bone in body.pose.bones}
with opened(target, "w") as file:
    json.dump({"fps": scene.render.fps / scene.render.fps_base, "frames": found}, file)
"""


@pytest.mark.skipif(not shutil.which("blender"), reason="Blender is not installed")
@pytest.mark.parametrize("names", skeletons.NAMES)
def test_blender_sees_the_same(tmp_path, names, video):
    poses, roots = video.motion(40)
    path, script, out = tmp_path / "walk.bvh", tmp_path / "read.py", tmp_path / "out.json"
    bvh.write_bvh(path, poses, roots, video.FPS, names)
    script.write_text(BLENDER)
    command = ["blender", "-b", "--factory-startup", "--python", str(script), "--", str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert out.exists(), done.stdout + done.stderr
    content = json.loads(out.read_text())
    assert content["fps"] == pytest.approx(video.FPS, rel=1e-3)
    wanted = bvh.y_up(poses + roots[:, None]) - bvh.floor_origin(poses, roots)
    for frame, joints in content["frames"].items():
        for name, node in skeletons.nodes_of(names).items():
            x, y, z = wanted[int(frame) - 1, POSE17.index(node.joint)]
            np.testing.assert_allclose(np.array(joints[name]) * 10, [x, -z, y], atol=1.0)


def test_motions_fill_gaps_and_know_their_rate(files, video):
    made = list(motions.motions(files, video.FPS))
    assert [one.name for one in made] == ["walk_one_1", "walk_one_2"]
    assert [len(one.frames) for one in made] == [60, 60]
    assert {one.fps for one in made} == {video.FPS}
    gap = next(one for one in made if (one.rows < 0).any())
    assert (gap.rows < 0).sum() == 1
    bones = np.linalg.norm(gap.poses_3d[:, 3] - gap.poses_3d[:, 2], axis=-1)
    assert np.ptp(bones) < 1e-6
    assert not gap.measured[gap.rows < 0].any()


@pytest.mark.parametrize("reader", ["ezc3d", "c3d"])
def test_c3d(files, tmp_path, reader, video):
    pytest.importorskip("ezc3d")
    package = pytest.importorskip(reader)
    one = next(motions.motions(files, video.FPS))
    path = tmp_path / "one.c3d"
    c3d_file.write_c3d(path, one)
    if reader == "ezc3d":
        content = package.c3d(str(path))
        points = content["data"]["points"].transpose(2, 1, 0)[..., :3]
        residual = content["data"]["meta_points"]["residuals"][0].T
        parameters = content["parameters"]["POINT"]
        rate, labels = parameters["RATE"]["value"][0], parameters["LABELS"]["value"]
        assert parameters["UNITS"]["value"] == ["mm"]
    else:
        with open(path, "rb") as file:
            content = package.Reader(file)
            rate, labels = content.point_rate, [label.strip() for label in content.point_labels]
            rows = np.array([frame[1] for frame in content.read_frames()])
        points, residual = rows[..., :3], rows[..., 3]
    assert rate == pytest.approx(video.FPS)
    assert [label.replace("_", "/") for label in labels] == list(POSE17.joints)
    places = one.poses_3d + one.roots[:, None]
    np.testing.assert_allclose(points[..., 0], places[..., 0], atol=0.01)
    np.testing.assert_allclose(points[..., 2], -places[..., 1], atol=0.01)
    np.testing.assert_allclose(points[..., 1], places[..., 2], atol=0.01)
    if reader == "ezc3d":
        np.testing.assert_array_equal(residual <= 0, ~one.measured)
    else:  # which reads the residuals' low byte only
        assert residual.min() >= 0, "a point that is marked as invalid"


def test_film(files, tmp_path, video):
    made = list(motions.motions(files, video.FPS))
    pictures = tmp_path / "pictures"
    (pictures / "walk").mkdir(parents=True)
    cv2.imwrite(str(pictures / "walk" / "0000.jpg"), np.full((80, 100, 3), (0, 200, 0), np.uint8))
    assert film.write_film(tmp_path / "one.mp4", made, files, UprightPictures(pictures)) == 1
    shown = cv2.VideoCapture(str(tmp_path / "one.mp4"))
    assert shown.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    assert shown.get(cv2.CAP_PROP_FPS) == pytest.approx(video.FPS)
    first, second = shown.read()[1], shown.read()[1]
    assert first.shape == (480, 600 + 480, 3)  # as wide as the pictures that the labels know
    assert np.abs(first[100, 20].astype(int) - [0, 200, 0]).max() < 30  # the picture is there, and there is one only
    assert second[100, 20].min() > 230
    assert (second[:, :600].min(-1) < 120).sum() > 300  # somebody is drawn on the left and on the right
    assert (second[:, 600:].min(-1) < 120).sum() > 300


def test_film_on_the_frames_of_a_video(files, tmp_path, video):
    grey = [np.full((80, 100, 3), 40 + 30 * (number % 6), np.uint8) for number in range(60)]
    source = animation.write_animation(tmp_path / "walk.mp4", grey, fps=video.FPS)
    made = list(motions.motions(files, video.FPS))
    assert film.write_film(tmp_path / "one.mp4", made, files, UprightPictures(source)) == 60
    shown = cv2.VideoCapture(str(tmp_path / "one.mp4"))
    for number in range(60):
        frame = shown.read()[1]
        assert abs(frame[5:30, 5:30].mean() - (40 + 30 * (number % 6))) < 12, number
    assert (frame[:, :600].max(-1).astype(int) - frame[:, :600].min(-1) > 60).sum() > 300  # coloured bones are on it


def test_film_without_pictures_is_square(files, tmp_path, video):
    assert film.write_film(tmp_path / "one.mp4", list(motions.motions(files, video.FPS)), files, None) == 0
    assert cv2.VideoCapture(str(tmp_path / "one.mp4")).read()[1].shape == (480, 960, 3)


def test_names_of_formats(monkeypatch):
    assert formats.parse(["npz", " json", "json", ""]) == ("npz", "json")
    with pytest.raises(InputError, match="--formats=fbx: there are npz, json"):
        formats.parse(["fbx"])
    assert formats.outputs(["csv", "bvh"]) == ["labels_wide.csv", "labels_long.csv", "bvh"]
    with pytest.raises(InputError, match="--names=maya"):
        skeletons.nodes_of("maya")
    monkeypatch.setitem(__import__("sys").modules, "ezc3d", None)
    with pytest.raises(InputError, match="needs the package ezc3d"):
        formats.parse(["c3d"])
    assert LABELLED == 2  # the code that files of COCO's layout say
