"""OpenPose's JSON: both key point sets, folders and tars, real videos."""

import collections
import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.conversion import people
from tfrecords.source import Skip
from tfrecords.sources import open_source, openpose
from tools.cli.errors import InputError
from tools.pose import joints
from tools.pose.joints import POSE17

# joint of the record -> BODY_25 and COCO_18
BODY_25 = {3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 10: 8, 11: 9, 12: 10, 13: 11, 14: 12, 15: 13, 16: 14}
COCO_18 = {3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 11: 8, 12: 9, 13: 10, 14: 11, 15: 12, 16: 13}


def make_person(count, seed=0, lost=()):
    random = np.random.default_rng(seed)
    points = np.concatenate([random.uniform(10, 500, (count, 2)), random.uniform(0.1, 1, (count, 1))], 1).round(3)
    points[list(lost)] = 0
    return points


def as_json(*persons, key="pose_keypoints_2d", version=1.3):
    entries = [{"person_id": [-1], key: p.reshape(-1).tolist(), "face_keypoints_2d": []} for p in persons]
    return json.dumps({"version": version, "people": entries})


def write(folder, **frames):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in frames.items():
        (folder / f"{name}.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("count", "key", "direct"), [(25, "pose_keypoints_2d", BODY_25), (18, "pose_keypoints", COCO_18)]
)
def test_reads_back_what_was_written(tmp_path, read_all, count, key, direct):
    everybody = [make_person(count, seed, lost=[3, 4] if seed == 1 else []) for seed in range(3)]
    folder = write(
        tmp_path / "out",
        dance_000000000000_keypoints=as_json(everybody[0], everybody[1], key=key),
        dance_000000000001_keypoints=as_json(everybody[2], key=key),
    )
    records = read_all("openpose", folder)
    assert [(r.sequence, r.frame, r.person, r.subject) for r in records] == [
        *(("dance", 0, 0, "dance"), ("dance", 0, 1, "dance"), ("dance", 1, 0, "dance"))
    ]
    for record, points in zip(records, everybody):
        for ours, theirs in direct.items():
            found = points[theirs, 2] > 0
            expected = points[theirs, :2] if found else [np.nan, np.nan]
            np.testing.assert_array_equal(record.pose_2d[ours], np.float32(expected))
            assert record.provenance_2d[ours] == (2 if found else 0)
        # OpenPose's Neck is the middle of the shoulders, from which Thorax is made
        np.testing.assert_array_equal(record.pose_2d[2], np.float32(points[1, :2]))
        assert record.provenance_2d[2] == 1
        if count == 18:
            np.testing.assert_allclose(record.pose_2d[10], points[[8, 11], :2].mean(0), rtol=1e-6)
            assert record.provenance_2d[10] == 1
        # the crown is made from the ears, and the neck half way to it
        assert record.provenance_2d[[0, 1, 9]].tolist() == [1, 1, 1]
        assert not record.visibility.any()
        assert record.problem() == ""


def upright_person(joint_set, shift=0.0):
    """A standing person in px, by the names that the sets share; feet and faces near ankles and noses."""
    places = {
        "Nose": (100, 40), "Neck": (100, 60), "UpperNeck": (100, 58), "HeadTop": (100, 20), "Eye": (5, 36),
        "Ear": (9, 38), "Shoulder": (22, 60), "Elbow": (30, 95), "Wrist": (33, 128), "MidHip": (100, 130),
        "Hip": (14, 130), "Knee": (15, 180), "Ankle": (16, 228), "BigToe": (20, 236), "SmallToe": (24, 235),
        "Heel": (14, 234),
    }  # fmt: skip
    points = []
    for name in joints.JOINT_SETS[joint_set].joints:
        x, y = places.get(name) or places[name[1:]]
        points.append((x if name in places else 100 + {"L": 1, "R": -1}[name[0]] * x, y))
    return np.c_[np.array(points, float) + shift, np.full(len(points), 0.9)]


@pytest.mark.parametrize("flags", [{}, {"joints": "body25b"}])
def test_body_25b_is_told_from_body_25(tmp_path, read_all, flags):
    """Both have 25 key points; as BODY_25, BODY_25B's left ankle would be a right eye."""
    found = {}
    for name in ("body25", "body25b"):
        texts = {f"{i:012d}_keypoints": as_json(upright_person(name, 3.0 * i)) for i in range(4)}
        folder = write(tmp_path / name, **texts)
        found[name] = read_all("openpose", folder, **(flags if name == "body25b" else {}))
    for one, other in zip(found["body25"], found["body25b"]):
        limbs = [POSE17.index(side + part) for side in "RL" for part in ("Shoulder", "Wrist", "Knee", "Foot")]
        np.testing.assert_array_equal(one.pose_2d[limbs], other.pose_2d[limbs])
        assert other.provenance_2d[POSE17.index("Head")] == 2  # HeadTop is labelled there, made from ears here
        assert one.provenance_2d[POSE17.index("Head")] == 1


@pytest.mark.parametrize(("count", "wrist"), [(25, 4), (18, 4)])
def test_joints_below_the_confidence_are_missing(tmp_path, read_all, count, wrist):
    points = make_person(count)
    points[:, 2], points[wrist, 2] = 0.9, 0.3
    folder = write(tmp_path / "out", dance_000000000000_keypoints=as_json(points))
    for least, missing in ((0.0, False), (0.29, False), (0.31, True)):
        (record,) = read_all("openpose", folder, min_confidence=least)
        assert np.isnan(record.pose_2d[POSE17.index("RWrist")]).all() == missing
    with pytest.raises(InputError, match="none of its 1 records can be used"):
        read_all("openpose", folder, min_confidence=0.95)


def test_depths_are_no_confidences(tmp_path, read_all):
    points = make_person(25)
    points[:, 2] = 3000 + points[:, 0]  # mm from the camera
    folder = write(tmp_path / "out", dance_000000000000_keypoints=as_json(points))
    with pytest.raises(InputError, match="confidence beyond 100: a 3D pose"):
        read_all("openpose", folder)


def test_hands_and_face_are_ignored(tmp_path, read_all):
    person = upright_person("body25")
    plain = read_all("openpose", write(tmp_path / "a", **{"000_keypoints": as_json(person)}))
    content = json.loads(as_json(person))
    rng = np.random.default_rng(0)
    for key, count in (("face_keypoints_2d", 70), ("hand_left_keypoints_2d", 21), ("hand_right_keypoints_2d", 21)):
        content["people"][0][key] = rng.uniform(0, 1, 3 * count).tolist()
    (record,) = read_all("openpose", write(tmp_path / "b", **{"000_keypoints": json.dumps(content)}))
    np.testing.assert_array_equal(record.pose_2d, plain[0].pose_2d)


def test_names(tmp_path, read_all):
    person = as_json(make_person(25))
    write(tmp_path / "out" / "b", frame_12=person, frame_3=person)
    write(tmp_path / "out" / "a" / "x", **{"000007_keypoints": person})
    write(tmp_path / "out", **{"IMG-0001": person, "portrait": person, "14_000000000052_keypoints": person})
    places = [(r.sequence, r.frame, r.file) for r in read_all("openpose", tmp_path / "out")]
    assert places == [
        ("14", 52, "14_000000000052_keypoints.json"),
        ("IMG", 1, "IMG-0001.json"),
        ("a/x", 7, "a/x/000007_keypoints.json"),
        ("b/frame", 3, "b/frame_3.json"),
        ("b/frame", 12, "b/frame_12.json"),
        ("portrait", -1, "portrait.json"),
    ]


def test_a_folder_of_numbers_is_a_sequence_of_its_name(tmp_path, read_all):
    folder = write(tmp_path / "video7", **{"0001": as_json(make_person(25)), "0000": as_json(make_person(25))})
    assert [(r.sequence, r.frame) for r in read_all("openpose", folder)] == [("video7", 0), ("video7", 1)]


@pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.tgz"])
def test_a_tar_is_its_folder(tmp_path, read_all, name):
    folder = write(
        tmp_path / "out", **{f"v_{i:012d}_keypoints": as_json(make_person(25, i)) for i in range(5)}, other="[]"
    )
    (folder / "notes.txt").write_text("no frame")
    with tarfile.open(tmp_path / name, "w:gz" if name != "out.tar" else "w") as archive:
        archive.add(folder, ".")
    first, second = read_all("openpose", folder), read_all("openpose", tmp_path / name)
    for a, b in zip(first, second):
        if not isinstance(a, Skip):
            assert (a.file, a.sequence, a.frame) == (b.file, b.sequence, b.frame)
            np.testing.assert_array_equal(a.pose_2d, b.pose_2d)
    assert sum(isinstance(item, Skip) for item in second) == 1


def test_every_nth_frame(tmp_path, read_all):
    frames = {f"{s}_{i:04d}": as_json(make_person(25)) for s in "ab" for i in range(10, 20)}
    records = read_all("openpose", write(tmp_path / "out", **frames), frame_step=4)
    assert [(r.sequence, r.frame) for r in records] == [(s, i) for s in "ab" for i in (10, 14, 18)]


def test_what_can_not_be_used_is_counted(tmp_path, read_all):
    folder = write(
        tmp_path / "out",
        a_0=as_json(make_person(25)),
        a_1=as_json(),
        a_2="{ no JSON",
        a_3="[]",
        a_4=as_json(make_person(17)),
        a_5=as_json(make_person(25, lost=range(25))),
        a_6=as_json(make_person(25) / [1000, 1000, 1]),
        a_7=json.dumps({"people": [{"pose_keypoints_2d": None}, 3]}),
    )
    items = read_all("openpose", folder)
    assert collections.Counter(item.reason if isinstance(item, Skip) else "" for item in items) == {
        "": 1,
        openpose.NO_PERSON: 1,
        openpose.BAD_JSON: 2,
        openpose.BAD_KEYPOINTS: 3,
        people.NO_JOINT: 1,
        openpose.NOT_PIXELS: 1,
    }


def test_inputs_that_are_none(tmp_path):
    with pytest.raises(InputError, match="expected a folder of OpenPose JSON"):
        open_source("openpose", tmp_path / "none")
    with pytest.raises(InputError, match="no JSON file in it"):
        len(open_source("openpose", write(tmp_path / "empty")))
    with pytest.raises(InputError, match="none of its 1 records"):
        len(open_source("openpose", write(tmp_path / "bad", a_0=as_json(make_person(21)))))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(write(tmp_path / "good", a_0=as_json(make_person(25))), ".")
    for data in (b"", b"no tar", stream.getvalue()[:60]):
        (tmp_path / "cut.tar.gz").write_bytes(data)
        with pytest.raises(InputError, match=r"cut\.tar\.gz"):
            len(open_source("openpose", tmp_path / "cut.tar.gz"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["people", "pose_keypoints_2d", "pose_keypoints", "x"]), inner)
    ),
    max_leaves=10,
)


def test_a_damaged_gzip_stream_is_a_skip_as_any_other_file_that_is_no_json(tmp_path, read_all):
    folder = write(tmp_path / "out", a_0=as_json(make_person(25)))
    for place, junk in enumerate((b"\x1f\x8b\x00", gzip.compress(as_json(make_person(25)).encode())[:-9]), 1):
        (folder / f"a_{place}.json").write_bytes(junk)
    first, *others = read_all("openpose", folder)
    assert first.problem() == ""
    assert [other.reason for other in others] == [openpose.BAD_JSON] * 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON | st.lists(JSON, max_size=3).map(lambda persons: {"people": persons}), st.binary(max_size=20))
def test_anything_else_is_a_skip(tmp_path, read_all, content, junk):
    folder = write(tmp_path / "out", a_0=as_json(make_person(25)), a_1=json.dumps(content))
    (folder / "a_2.json").write_bytes(junk)
    for item in read_all("openpose", folder):
        assert isinstance(item, Skip) or item.problem() == ""


@pytest.mark.parametrize(("video", "count"), [("video_0", 441), ("video_1", 81), ("video_3", 350)])
def test_real_videos(pose3d_data, read_all, video, count):
    path = pose3d_data / "openpose" / f"{video}.tar.gz"
    records = read_all("openpose", path)
    assert len(records) == count
    assert not any(isinstance(record, Skip) for record in records)
    assert [record.frame for record in records] == sorted(record.frame for record in records)
    assert len({(record.sequence, record.frame) for record in records}) == count
    with tarfile.open(path) as archive:
        for record in records[:: count // 10]:
            truth = json.load(archive.extractfile("./" + record.file))["people"][record.person]
            points = np.reshape(truth["pose_keypoints_2d"], (25, 3))
            for ours, theirs in BODY_25.items():
                expected = points[theirs, :2] if points[theirs, 2] else [np.nan, np.nan]
                np.testing.assert_array_equal(record.pose_2d[ours], np.float32(expected))
    poses = np.stack([record.pose_2d for record in records])
    y = np.nanmedian(poses[..., 1], 0)
    assert y[0] < y[1] < y[2] < y[9] < y[10] < min(y[12], y[15]) < min(y[13], y[16])
