"""Inputs of generate: every format gives the same poses, guessed from the file, in pieces, from any place on."""

import gzip
import json

import numpy as np
import pytest

from label_generator.labelling import formats
from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tests.label_generator.labelling.opened_inputs import coco, everything, write
from tfrecords import schema, writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.pose import bounds, joints

COUNT = 9


@pytest.fixture(scope="module")
def poses(people):
    return people.pose_2d[:COUNT]


def limbs(poses):
    """The joints that all formats label."""
    names = [side + joint for side in "RL" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Foot")]
    return poses[:, [joints.POSE17.index(name) for name in names]]


def write_coco(folder, poses):
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(len(poses))],
        "annotations": [
            {"image_id": i, "category_id": 1, "keypoints": points.ravel().tolist()}
            for i, points in enumerate(coco(poses))
        ],
        "categories": [],
    }
    return write(folder / "people.json", json.dumps(content))


def write_results(folder, poses):
    found = [
        {"image_id": f"{i}.jpg", "category_id": 1, "keypoints": points.ravel().tolist(), "score": 0.9}
        for i, points in enumerate(coco(poses))
    ]
    return write(folder / "results.json.gz", json.dumps(found))


def write_openpose(folder, poses):
    body = joints.joint_set("body25")
    for i, points in enumerate(coco(poses)):
        found = np.zeros((25, 3))
        for j, name in enumerate(joints.joint_set("coco17").joints):
            found[body.index(name)] = points[j]
        content = {"version": 1.3, "people": [{"pose_keypoints_2d": found.ravel().tolist()}]}
        write(folder / "frames" / f"dance_{i:012d}_keypoints.json", json.dumps(content))
    return folder / "frames"


def write_mpii(folder, poses):
    found = []
    for i, pose in enumerate(poses):
        points = np.zeros((16, 3))
        for j, name in enumerate(joints.joint_set("mpii16").joints):
            source = {"HeadTop": "Head", "UpperNeck": "Thorax", "Pelvis": "Hip"}.get(
                name, name.replace("Ankle", "Foot")
            )
            if name != "Thorax":
                points[j] = [*pose[joints.POSE17.index(source)], 1]
        one = {"img_paths": f"{i}.jpg", "joint_self": points.tolist(), "objpos": [1, 1], "scale_provided": 2}
        found.append({**one, "isValidation": 0.0, "img_width": 640, "img_height": 480})
    return write(folder / "mpii.json.gz", json.dumps(found))


def write_aichallenger(folder, poses):
    found = []
    for i, pose in enumerate(poses):
        points = []
        for name in joints.joint_set("aichallenger14").joints:
            source = {"HeadTop": "Head", "Neck": "Thorax"}.get(name, name.replace("Ankle", "Foot"))
            points += [*pose[joints.POSE17.index(source)].tolist(), 1]
        found.append({"image_id": f"im{i}", "keypoint_annotations": {"human1": points}, "human_annotations": {}})
    return write(folder / "aic.json", json.dumps(found))


def write_lsp(folder, poses):
    import scipy.io

    found = np.zeros((14, 3, len(poses)))
    for j, name in enumerate(joints.joint_set("lsp14").joints):
        source = {"HeadTop": "Head", "Neck": "Thorax"}.get(name, name.replace("Ankle", "Foot"))
        found[j, :2], found[j, 2] = poses[:, joints.POSE17.index(source)].T, 1
    scipy.io.savemat(folder / "joints.mat", {"joints": found})
    return folder / "joints.mat"


def write_videopose3d(folder, poses):
    order = [joints.POSE17.index(name) for name in joints.joint_set("h36m17").joints]
    content = {
        "S9": {"Walking 1": [poses[:4][:, order], poses[4:6][:, order]]},
        "S1": {"Eating": [poses[6:][:, order]]},
    }
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4], [1]]}
    np.savez(folder / "data_2d_h36m_gt.npz", positions_2d=content, metadata=metadata)
    return folder / "data_2d_h36m_gt.npz"


def write_tfrecords(folder, poses):
    source = lambda: open_source("synthetic", "", Options(count=len(poses)))  # noqa: E731
    writer.convert(source, folder / "set", quiet=True)
    return folder / "set"


def write_tree(folder, poses):
    (folder / "tree" / "9" / "Walking").mkdir(parents=True)
    np.save(folder / "tree" / "9" / "Walking" / "a.npy", poses.transpose(0, 2, 1).reshape(-1, 34))
    return folder / "tree"


FORMATS = {
    "coco": write_coco,
    "coco_results": write_results,
    "openpose": write_openpose,
    "mpii": write_mpii,
    "aichallenger": write_aichallenger,
    "lsp": write_lsp,
    "videopose3d": write_videopose3d,
    "tfrecords": write_tfrecords,
    "npy_tree": write_tree,
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(tmp_path, poses, name):
    path = FORMATS[name](tmp_path, poses)
    assert formats.guess_format(str(path)) == name
    opened = label_inputs.open_input(Spec(str(path), name))
    assert len(opened) == COUNT
    found = everything(opened)
    # Sequences come in the order of subjects for one of them.
    order = (
        [6, 7, 8, 0, 1, 2, 3, 4, 5] if name == "videopose3d" and found["sequence"][0].startswith("S1/") else range(9)
    )
    np.testing.assert_allclose(limbs(found["poses_2d"]), limbs(poses)[list(order)], atol=2e-3)
    assert (limbs(found["provenance"][..., None]) == joints.LABELLED).all()
    # From the middle on, and one by one as records.
    rest = everything(opened, start=4)
    np.testing.assert_array_equal(rest["poses_2d"], found["poses_2d"][4:])
    records = list(opened.records(np.arange(2, COUNT)))
    np.testing.assert_array_equal([record.pose_2d for record in records], found["poses_2d"][2:])
    assert [record.file for record in records] == list(found["file"][2:])
    kinds = {schema.CAMERA_KINDS[kind] for kind in found["camera_kind"]}
    assert kinds <= {"calibrated"} if name == "tfrecords" else kinds <= {"", "assumed"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("limit", [1, 5, 8, COUNT, 100])
def test_the_first_poses_alone(tmp_path, poses, name, limit):
    path = FORMATS[name](tmp_path, poses)
    whole = everything(label_inputs.open_input(Spec(str(path), name)))
    opened = label_inputs.open_input(Spec(str(path), name, limit=limit))
    assert len(opened) == min(limit, COUNT)
    for start in (0, 4):
        if start < limit:
            for field, values in everything(opened, start=start).items():
                np.testing.assert_array_equal(values, whole[field][start:limit])
    assert [batch.skipped for batch in opened.batches(0, 4)] == [{}] * -(-len(opened) // 4)


def test_people_that_cant_be_used_keep_their_row(tmp_path, poses):
    path = write_coco(tmp_path, poses)
    content = json.loads(path.read_text())
    content["annotations"][2]["keypoints"] = [1, 2]
    content["annotations"][5]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    opened = label_inputs.open_input(Spec(str(path), "coco"))
    skipped = {}
    for number, batch in enumerate(opened.batches(0, 4)):
        skipped |= {4 * number + i: reason for i, reason in batch.skipped.items()}
        assert all("2.jpg" in batch.file[i] or "5.jpg" in batch.file[i] for i in batch.skipped)
    assert skipped == {2: "not a key point of three numbers for each name", 5: "crowd, not a person"}
    (first,) = label_inputs.open_input(Spec(str(path), "coco", limit=4)).batches(0, 8)
    assert (len(first), first.skipped) == (4, {2: "not a key point of three numbers for each name"})
    assert np.isnan(everything(opened)["poses_2d"][[2, 5]]).all()


@pytest.mark.parametrize("gap", [float("nan"), None])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["coco", "coco_results", "openpose", "mpii", "aichallenger"])
def test_one_joint_that_is_nan_or_null_is_missing_alone(tmp_path, poses, name, place, gap):
    """JSON of other programs has NaN or null where a joint was not found; the person's other joints stand."""
    writers = {"coco": write_coco, "coco_results": write_results, "openpose": write_openpose}
    writers |= {"mpii": write_mpii, "aichallenger": write_aichallenger}
    path = writers[name](tmp_path, poses)
    whole = everything(label_inputs.open_input(Spec(str(path), name)))
    if path.is_dir():
        path = path / "dance_000000000001_keypoints.json"
    compressed = path.read_bytes()[:2] == b"\x1f\x8b"
    content = json.loads(gzip.decompress(path.read_bytes()) if compressed else path.read_bytes())
    flat, wrist = {
        "coco": lambda: (content["annotations"][1]["keypoints"], 9),
        "coco_results": lambda: (content[1]["keypoints"], 9),
        "openpose": lambda: (content["people"][0]["pose_keypoints_2d"], 7),
        "mpii": lambda: (content[1]["joint_self"][15], 0),
        "aichallenger": lambda: (content[1]["keypoint_annotations"]["human1"], 5),
    }[name]()
    flat[3 * wrist + place] = gap
    text = json.dumps(content).encode()
    path.write_bytes(gzip.compress(text) if compressed else text)
    found = everything(label_inputs.open_input(Spec(str(path.parent if name == "openpose" else path), name)))
    expected = whole["provenance"].copy()
    expected[1, joints.POSE17.index("LWrist")] = joints.MISSING
    np.testing.assert_array_equal(found["provenance"], expected)
    np.testing.assert_array_equal(found["poses_2d"][expected > 0], whole["poses_2d"][expected > 0])


def test_detections_below_the_confidence(tmp_path, poses):
    path = write_results(tmp_path, poses)
    content = json.loads(gzip.decompress(path.read_bytes()))
    content[1]["keypoints"][3 * 9 + 2] = 0.2  # LWrist
    content[2] = {"keypoints": []}
    content[5]["keypoints"][2::3] = [4000.0] * 17  # mm from the camera
    content.append({**content[0], "keypoints": content[3]["keypoints"]})
    write(path, json.dumps(content))
    opened = label_inputs.open_input(Spec(str(path), "coco_results", min_confidence=0.3))
    batch = next(opened.batches(0, 16))
    # People of one picture stand together.
    assert list(batch.file[:3]) == ["0.jpg", "0.jpg", "1.jpg"]
    assert list(batch.person[:3]) == [0, 1, 0]
    assert list(np.flatnonzero(batch.provenance[2] == 0)) == [joints.POSE17.index("LWrist")]
    assert sorted(batch.skipped.values()) == [bounds.NO_CONFIDENCE, "entry without image_id and keypoints"]
    with pytest.raises(InputError, match="17 key points a person, joint set mediapipe33 has 33"):
        len(label_inputs.open_input(Spec(str(path), "coco_results", joints="mediapipe33")))


@pytest.mark.parametrize(("count", "expected"), [(26, "halpe26"), (136, "halpe26"), (133, "coco17")])
def test_results_of_alphapose_keep_frames_and_identities(tmp_path, count, expected):
    size = joints.joint_set(expected).size
    random = np.random.default_rng(count)
    content, people = [], []
    for frame in (3, 31, 7):
        for identity in (9, 4):
            points = random.uniform(100, 400, (count, 3)).round(2)
            points[:, 2] = 0.9
            people.append((frame, identity, points))
            content.append(
                {
                    "image_id": f"{frame}.jpg",
                    "category_id": 1,
                    "keypoints": points.reshape(-1).tolist(),
                    "score": 2.5,
                    "box": [90.0, 95.0, 330.0, 340.0],
                    "idx": identity,
                }
            )
    path = write(tmp_path / "alphapose-results.json", json.dumps(content))
    assert formats.guess_format(str(path)) == "coco_results"
    batch = next(label_inputs.open_input(Spec(str(path), "coco_results")).batches(0, 16))
    assert list(zip(batch.frame, batch.person)) == [(frame, identity) for frame, identity, _ in people]
    assert set(batch.sequence) == {"alphapose-results"}
    for pose, (_, _, points) in zip(batch.poses_2d, people):
        np.testing.assert_allclose(pose, joints.convert(points[:size, :2], expected)[0], atol=1e-3)


def test_results_that_are_shares_of_the_picture_are_no_pixels(tmp_path, poses):
    path = write_results(tmp_path, poses)
    content = json.loads(gzip.decompress(path.read_bytes()))
    for entry in content[1:]:
        entry["keypoints"] = (np.array(entry["keypoints"]) / 1000).tolist()
    write(path, json.dumps(content))
    batch = next(label_inputs.open_input(Spec(str(path), "coco_results")).batches(0, 16))
    assert set(batch.skipped.values()) == {bounds.NOT_PIXELS}
    assert len(batch.skipped) == len(content) - 1


def test_json_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "a.json"
    for content, message in (
        ('{"annotations": []}'.encode("utf-16"), r"a\.json: is no text in UTF-8 \(UTF-16\?\)"),
        (gzip.compress(b"{}"), r"a\.json: is compressed with gzip; expected such a name to end in \.gz"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            formats.guess_format(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"people": [{"pose_keypoints_2d": []}]}', "one frame of OpenPose; name the folder"),
        ("a.json", "[1, 2]", "no key of this JSON is known"),
        ("a.json", "image 1", r"a.json: not JSON, which begins with \[ or \{"),
        ("a.json", "", "is empty"),
        ("a.xyz", "", "format not known by its name; --format is one of"),
        ("folder/a.txt", "", "no pictures, videos, records, OpenPose JSON"),
    ],
)
def test_unknown_formats(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        formats.guess_format(str(path if path.parent == tmp_path else path.parent))
    with pytest.raises(InputError, match="no such file"):
        formats.guess_format(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("name", ["coco", "openpose"])
def test_people_with_an_infinite_coordinate_have_a_reason(tmp_path, poses, name):
    path = {"coco": write_coco, "openpose": write_openpose}[name](tmp_path, poses)
    file = path / "dance_000000000001_keypoints.json" if path.is_dir() else path
    content = json.loads(file.read_text())
    flat = content["annotations"][1]["keypoints"] if name == "coco" else content["people"][0]["pose_keypoints_2d"]
    flat[3 * 7] = float("inf")
    file.write_text(json.dumps(content))
    batch = next(label_inputs.open_input(Spec(str(path), name)).batches(0, 16))
    assert list(batch.skipped) == [1]
    assert "of three numbers" in batch.skipped[1]
    assert not batch.provenance[1].any()
