"""Source rendered: its records, its numbering, its input, and the whole way into a file."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfrecords import schema
from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip
from tfrecords.sources import mocap, open_source
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError
from tools.pose.joints import JOINT_SETS, POSE17

COUNT = 24


@pytest.fixture(scope="module")
def records():
    found = list(open_source("rendered", "", Options(count=COUNT, seed=5)).records(range(COUNT)))
    assert all(isinstance(record, PoseRecord) for record in found)
    return found


def decode(record):
    import cv2

    return cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def capture(tmp_path):
    """Motion capture of three subjects: sound, with a joint that is not a number, and a giant."""
    poses = synthetic_poses.make_block(2, 0).joints[:40].astype(np.float32)
    order = [POSE17.index(joint) for joint in JOINT_SETS["h36m17"].joints]
    broken, giant = poses[10:20].copy(), poses[20:30] * 1.9
    broken[3, 4] = np.nan
    sequences = {"02_01": poses[:10, order], "05_01": broken[:, order], "07_01": giant[:, order]}
    np.savez(tmp_path / "motion.npz", **sequences)
    return tmp_path / "motion.npz"


def test_records_are_sound_and_say_what_they_are(records):
    for number, record in enumerate(records):
        assert record.problem() == ""
        assert (record.dataset, record.split, record.subject) == ("rendered", "train", f"train-{number}")
        assert record.camera_kind == schema.CALIBRATED
        assert record.image_format == "jpeg"
        assert record.image_size.tolist() == [256, 256]
        assert (record.provenance_3d == 2).all()
        assert set(record.visibility.tolist()) <= {schema.OCCLUDED, schema.VISIBLE}
        assert record.frame == number


def test_joints_are_projected_exactly(records):
    for record in records:
        fx, fy, cx, cy = (float(value) for value in record.intrinsics)
        for joint in range(17):
            x, y, z = (float(a) + float(b) for a, b in zip(record.pose_3d[joint], record.root_3d))
            assert record.pose_2d[joint, 0] == pytest.approx(fx * x / z + cx, abs=2e-3)
            assert record.pose_2d[joint, 1] == pytest.approx(fy * y / z + cy, abs=2e-3)
            assert record.right_2d[joint, 0] == pytest.approx(fx * (x + 500) / z + cx, abs=2e-3)
            assert record.right_2d[joint, 1] == pytest.approx(fy * y / z + cy, abs=2e-3)
        assert not record.pose_3d[POSE17.root].any()


def test_the_pose_is_the_synthetic_one_turned(records):
    poses = synthetic_poses.make_block(5, 0).joints.astype(np.float64)
    for number, record in enumerate(records[:6]):
        expected = np.linalg.norm(poses[number][:, None] - poses[number][None], axis=-1)
        pose = record.pose_3d.astype(np.float64)
        assert np.abs(np.linalg.norm(pose[:, None] - pose[None], axis=-1) - expected).max() < 0.1


def test_pictures_are_jpeg_of_their_size_and_frame_the_person(records):
    whole = 0
    for record in records:
        assert record.image[:3] == b"\xff\xd8\xff"
        assert record.image[-2:] == b"\xff\xd9"
        picture = decode(record)
        assert picture.shape == (256, 256, 3)
        assert picture.dtype == np.uint8
        x, y, width, height = record.box
        assert min(x, y) >= -0.5
        assert max(x + width, y + height) <= 255.5
        inside = (record.pose_2d > -0.5).all(-1) & (record.pose_2d < 255.5).all(-1)
        assert (record.visibility[~inside] == schema.OCCLUDED).all()
        whole += inside.all()
        if inside.all():
            assert (record.pose_2d >= [x - 3, y - 3]).all()
            assert (record.pose_2d <= [x + width + 3, y + height + 3]).all()
            assert max(width, height) > 0.6 * 256
    assert whole >= 0.8 * COUNT


def test_pictures_differ(records):
    pictures = np.stack([decode(record) for record in records]).astype(np.float64)
    assert pictures.mean((1, 2, 3)).std() > 10
    assert pictures.std((1, 2, 3)).min() > 5
    assert pictures.std((1, 2, 3)).std() > 4
    assert len({len(record.image) for record in records}) > COUNT // 2
    assert np.stack([record.intrinsics for record in records])[:, 0].std() > 100
    assert np.stack([record.root_3d for record in records])[:, 2].std() > 500
    hidden = np.stack([record.visibility == schema.OCCLUDED for record in records])
    assert 0.02 < hidden.mean() < 0.6


def test_a_record_depends_on_seed_split_and_number_only(records):
    other = open_source("rendered", "", Options(count=9, seed=5))
    for number, record in zip((1, 7), other.records([1, 7])):
        assert record.image == records[number].image
        assert np.array_equal(record.pose_2d, records[number].pose_2d)
    reseeded = next(iter(open_source("rendered", "", Options(count=9, seed=6)).records([1])))
    tested = next(iter(open_source("rendered", "", Options(count=9, seed=5, split="test")).records([1])))
    for record in (reseeded, tested):
        assert record.image != records[1].image
        assert not np.allclose(record.pose_3d, records[1].pose_3d)


def test_pictures_can_be_left_out(records):
    record = next(iter(open_source("rendered", "", Options(count=3, seed=5, images="none")).records([2])))
    assert record.image == b""
    assert record.image_format == ""
    assert np.array_equal(record.pose_2d, records[2].pose_2d)


def test_captured_poses_are_gone_through_once_before_any_comes_again(capture):
    source = open_source("rendered", capture, Options(count=60, seed=1, split="all"))
    found = list(source.records(range(60)))
    first, again = found[:30], found[30:]
    places = [
        item.detail.partition(":")[0] if isinstance(item, Skip) else f"{item.sequence} frame {item.frame}"
        for item in found
    ]
    assert len(set(places[:30])) == 30
    assert places[:30] == places[30:]
    skips = [item.reason for item in first if isinstance(item, Skip)]
    assert skips.count("joint is not a number") == 1
    assert skips.count("body of no person's size") == 10
    for one, two in zip(first, again):
        if not isinstance(one, Skip):
            assert one.image != two.image
            assert one.split == mocap.split_of(one.subject) != ""


def test_captured_poses_are_split_by_subject(pose3d_data):
    subjects = {}
    for split in ("train", "val"):
        source = open_source("rendered", pose3d_data / "cmu_train.npz", Options(count=20, split=split))
        records = [record for record in source.records(range(20)) if not isinstance(record, Skip)]
        assert len(records) >= 18
        assert all(record.split == split for record in records)
        subjects[split] = {record.subject for record in records}
    assert subjects["train"]
    assert not subjects["train"] & subjects["val"]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("", Options(count=0), "--count=0"),
        ("", Options(seed=-1), "--seed=-1"),
        ("", Options(distort=True), "--distort"),
        ("", Options(split="all"), "--split=all"),
        ("", Options(split="dev"), "--split=dev"),
        ("nothing.npz", Options(), "nothing.npz"),
    ],
)
def test_bad_input_is_named(path, options, message):
    with pytest.raises(InputError, match=message):
        open_source("rendered", path, options)


def test_motion_capture_has_no_test_split(capture):
    with pytest.raises(InputError, match="test"):
        open_source("rendered", capture, Options(split="test"))


def test_the_whole_way_into_records(tmp_path, repository):
    command = [sys.executable, str(pathlib.Path(repository) / "tools" / "make_tfrecords.py"), "--source=rendered"]
    output = tmp_path / "records"
    done = subprocess.run(
        [*command, f"--output={output}", "--count=12", "--seed=5", "--workers=1", "--num_shards=2"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((output / "manifest.json").read_text())
    assert sum(shard["records"] for shard in content["shards"]) == 12
    assert len(list(output.glob("*.tfrecord"))) == 2
    again = subprocess.run([*command, f"--output={output}", "--count=0"], capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
