"""Inputs of generate: every format gives the same poses, guessed from the file, in pieces, from any place on."""

import gzip
import json

import numpy as np
import pytest

from label_generator.labelling import array_inputs, array_rows, formats
from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.pose import bounds, joints

COUNT = 9


@pytest.fixture(scope="module")
def poses(people):
    return people.pose_2d[:COUNT]


def coco(poses):
    """[N, 17, 3] x, y, v in COCO's order, of our limbs and a made-up face."""
    ours, theirs = joints.POSE17, joints.joint_set("coco17")
    found = np.zeros((len(poses), 17, 3), np.float32)
    for i, name in enumerate(theirs.joints):
        name = name.replace("Ankle", "Foot")
        source = ours.index(name) if name in ours.joints else 0
        found[:, i, :2], found[:, i, 2] = poses[:, source], 2
    return found


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


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


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


def everything(opened, size=4, start=0):
    batches = list(opened.batches(start, size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    return {
        name: np.concatenate([np.asarray(getattr(batch, name)) for batch in batches])
        for name in ("poses_2d", "provenance", "frame", "file", "sequence", "image_size", "camera_kind", "intrinsics")
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
    kinds = {label_inputs.CAMERA_KINDS[kind] for kind in found["camera_kind"]}
    assert kinds <= {"calibrated"} if name == "tfrecords" else kinds <= {"", "assumed"}


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


ARRAYS = {
    "poses.npy": lambda path, poses: np.save(path, poses),
    "fortran.npy": lambda path, poses: np.save(path, np.asfortranarray(poses)),
    "planar.npy": lambda path, poses: np.save(path, poses.transpose(0, 2, 1).reshape(-1, 34)),
    "rows.npy": lambda path, poses: np.save(path, poses.reshape(-1, 34).astype(np.float64)),
    "stored.npz": lambda path, poses: np.savez(path, other=np.zeros(3), keypoints=poses),
    "packed.npz": lambda path, poses: np.savez_compressed(path, only=poses),
    "poses.csv": lambda path, poses: np.savetxt(path, poses.reshape(-1, 34), delimiter=",", fmt="%.5f"),
    "poses.tsv": lambda path, poses: np.savetxt(path, poses.reshape(-1, 34), delimiter="\t", fmt="%.5f"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, people, name):
    path = tmp_path / name
    ARRAYS[name](path, people.pose_2d)
    assert formats.guess_format(str(path)) == "array"
    opened = label_inputs.open_input(Spec(str(path), "array", joints="pose17"))
    assert len(opened) == 300
    found = everything(opened, 64)
    np.testing.assert_allclose(found["poses_2d"], people.pose_2d, atol=1e-4)
    assert list(found["frame"]) == list(range(300))
    # Pieces may be asked for again, and from any place.
    np.testing.assert_array_equal(everything(opened, 64, 128)["poses_2d"], found["poses_2d"][128:])
    records = list(opened.records(np.array([3, 4, 290])))
    np.testing.assert_array_equal([record.pose_2d for record in records], found["poses_2d"][[3, 4, 290]])


def test_archives_with_cameras_masks_and_confidence(tmp_path, people):
    mask = np.random.default_rng(0).random((300, 17)) > 0.2
    np.savez(tmp_path / "a.npz", poses_2d=people.pose_2d, intrinsics=people.intrinsics, joint_mask=mask)
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "a.npz"), "array", joints="pose17")), 100)
    np.testing.assert_array_equal(found["intrinsics"], people.intrinsics)
    assert set(found["camera_kind"]) == {label_inputs.CAMERA_KINDS.index("given")}
    np.testing.assert_array_equal(found["provenance"] == joints.LABELLED, mask)
    confident = np.concatenate([people.pose_2d, np.where(mask, 0.8, 0.4)[..., None]], -1)
    np.save(tmp_path / "c.npy", confident)
    spec = Spec(str(tmp_path / "c.npy"), "array", joints="pose17", min_confidence=0.5)
    found = everything(label_inputs.open_input(spec), 100)
    np.testing.assert_array_equal(found["provenance"] == joints.LABELLED, mask)
    np.savez(tmp_path / "d.npz", poses_2d=people.pose_2d, intrinsics=people.intrinsics[0])
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "d.npz"), "array", joints="pose17")), 100)
    np.testing.assert_array_equal(found["intrinsics"], np.tile(people.intrinsics[0], (300, 1)))


def test_other_joints_are_converted(tmp_path, people):
    theirs = np.random.default_rng(1).uniform(0, 500, (20, 25, 2)).astype(np.float32)
    np.save(tmp_path / "body.npy", theirs)
    # The number of joints says whose they are where it says it clearly.
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "body.npy"), "array")), 8)
    expected, provenance = joints.convert(theirs, "body25")
    np.testing.assert_array_equal(found["poses_2d"], expected)
    np.testing.assert_array_equal(found["provenance"], provenance)
    order = tuple(np.random.default_rng(2).permutation(17).tolist())
    mixed = np.empty_like(people.pose_2d)
    mixed[:, order] = people.pose_2d
    np.save(tmp_path / "mixed.npy", mixed)
    spec = Spec(str(tmp_path / "mixed.npy"), "array", joints="pose17", permutation=order)
    np.testing.assert_array_equal(everything(label_inputs.open_input(spec), 100)["poses_2d"], people.pose_2d)


def test_csv_with_names(tmp_path, poses):
    lines = ["file;frame;" + ";".join(f"{axis}{i}" for i in range(17) for axis in "xy")]
    for i, pose in enumerate(poses):
        cells = [f"{value:.4f}" for value in pose.ravel()]
        cells[10:12] = ["", ""] if i == 2 else cells[10:12]
        lines += [f"clip {i // 5}.mp4;{10 * i};" + ";".join(cells), ""]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    opened = label_inputs.open_input(Spec(str(tmp_path / "a.csv"), "array", joints="pose17"))
    found = everything(opened)
    assert list(found["file"]) == [f"clip {i // 5}.mp4" for i in range(COUNT)]
    assert list(found["frame"]) == [10 * i for i in range(COUNT)]
    expected = poses.copy()
    expected[2, 5] = np.nan
    np.testing.assert_allclose(found["poses_2d"], expected, atol=1e-3)
    assert found["provenance"][2, 5] == joints.MISSING


@pytest.mark.parametrize(
    ("make", "flags", "message"),
    [
        (
            lambda path: np.save(path, np.ones((4, 17, 2))),
            {},
            "say whose joints these are with --joints, one of pose17",
        ),
        (lambda path: np.save(path, np.ones((4, 17, 2))), {"joints": "mpii16"}, r"expected \[N, 16, 2\]"),
        (lambda path: np.save(path, np.ones((4, 17, 2))), {"joints": "x"}, "no joint set 'x'"),
        (lambda path: np.save(path, np.ones((0, 17, 2))), {"joints": "pose17"}, "holds no pose"),
        (lambda path: np.save(path, np.ones((4, 34))), {"joints": "pose17"}, "give --layout"),
        (lambda path: np.save(path, -np.ones((4, 17, 3))), {"joints": "pose17"}, "row 0: negative confidence"),
        (
            lambda path: np.save(path, np.random.default_rng(0).uniform(300, 5000, (4, 17, 3))),
            {"joints": "pose17"},
            "row 0: a confidence of 4,.* expected up to 100; are these 3D poses",
        ),
        (lambda path: np.save(path, np.full((4, 17, 2), "a")), {"joints": "pose17"}, "expected numbers"),
        (lambda path: np.save(path, np.array([{}])), {"joints": "pose17"}, "Python objects"),
        (lambda path: path.write_bytes(b"no array"), {"joints": "pose17"}, "no .npy array"),
        (lambda path: None, {"joints": "pose17"}, "no such file"),
    ],
)
def test_bad_arrays(tmp_path, make, flags, message):
    path = tmp_path / "bad.npy"
    make(path)
    with pytest.raises(InputError, match=message) as error:
        everything(label_inputs.open_input(Spec(str(path), "array", **flags)))
    if "joint set" not in message:
        assert str(path) in str(error.value)


def test_damaged_archives(tmp_path, people):
    """Cut or flipped bytes end in one clear error, or in the poses as they were."""
    rng = np.random.default_rng(4)
    refused = 0
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", poses_2d=people.pose_2d[:50])
        whole = (tmp_path / "a.npz").read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            if rng.random() < 0.5:
                del data[rng.integers(len(data)) :]
            else:
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            (tmp_path / "a.npz").write_bytes(data)
            try:
                everything(label_inputs.open_input(Spec(str(tmp_path / "a.npz"), "array", joints="pose17")))
            except InputError:
                refused += 1
    assert refused >= 40


def test_the_layout_is_found_by_the_length_of_bones(tmp_path, people):
    np.save(tmp_path / "a.npy", people.pose_2d.transpose(0, 2, 1).reshape(-1, 34))
    rows = array_rows.open_npy(tmp_path / "a.npy")
    assert array_inputs.guess_layout(rows, joints.POSE17, 2) == "planar"
    np.save(tmp_path / "a.npy", people.pose_2d.reshape(-1, 34))
    assert array_inputs.guess_layout(array_rows.open_npy(tmp_path / "a.npy"), joints.POSE17, 2) == "interleaved"


def test_joints_at_zero_are_missing(tmp_path, people):
    poses = people.pose_2d[:3].copy()
    poses[1, joints.POSE17.index("Hip")] = 0  # relative to the root: it is there
    poses[2, [0, 3]] = 0
    np.save(tmp_path / "a.npy", poses)
    (batch,) = label_inputs.open_input(label_inputs.Spec(str(tmp_path / "a.npy"), "array", joints="pose17")).batches(
        0, 3
    )
    missing = np.zeros((3, 17), bool)
    missing[2, [0, 3]] = True
    np.testing.assert_array_equal(batch.provenance != joints.LABELLED, missing)
    theirs = coco(people.pose_2d[:3])[..., :2]
    theirs[0], theirs[1, 9] = 0, 0
    np.save(tmp_path / "b.npy", theirs)
    (batch,) = label_inputs.open_input(label_inputs.Spec(str(tmp_path / "b.npy"), "array", joints="coco17")).batches(
        0, 3
    )
    assert not (batch.provenance[0] == joints.LABELLED).any()
    assert batch.provenance[1, joints.POSE17.index("LWrist")] != joints.LABELLED
    assert batch.provenance[2, joints.POSE17.index("LWrist")] == joints.LABELLED


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


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_coordinates_of_arrays_are_missing_joints(tmp_path, value):
    poses = np.random.default_rng(0).uniform(10, 900, (3, 17, 2))
    poses[1, 6, 0] = value
    np.save(tmp_path / "a.npy", poses)
    np.savetxt(tmp_path / "a.csv", poses.reshape(3, 34), delimiter=",")
    for name in ("a.npy", "a.csv"):
        spec = Spec(str(tmp_path / name), "array", joints="pose17", layout="interleaved")
        missing = everything(label_inputs.open_input(spec))["provenance"] == joints.MISSING
        assert np.argwhere(missing).tolist() == [[1, 6]], name


def test_labels_of_this_project_are_read_as_what_they_are(tmp_path):
    rng = np.random.default_rng(0)
    poses = rng.uniform(10, 900, (4, 17, 2)).astype(np.float32)
    provenance = rng.integers(0, 3, (4, 17)).astype(np.uint8)
    poses[provenance == 0] = np.nan
    more = {"poses_3d": np.zeros((4, 17, 3), np.float32), "quality": np.ones(4), "reason": np.zeros(4, np.uint8)}
    more["intrinsics"] = np.full((4, 4), np.nan, np.float32)
    np.savez(tmp_path / "labels.npz", poses_2d=poses, provenance=provenance, **more)
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "labels.npz"), "array")))
    np.testing.assert_array_equal(found["poses_2d"], poses)
    np.testing.assert_array_equal(found["provenance"], provenance)
    np.savez(tmp_path / "labels.npz", poses_2d=poses, provenance=provenance)
    with pytest.raises(InputError, match="say whose joints these are"):
        label_inputs.open_input(Spec(str(tmp_path / "labels.npz"), "array"))


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
