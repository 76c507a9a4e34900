"""Motion capture as records: archives as NumPy writes them, BVH files, the protocols, the real data."""

import importlib.util
import io
import json
import shutil
import zipfile

import numpy as np
import pytest

from tfrecords.schema import PoseRecord
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tfrecords.sources.mocap import read_bvh, split_of
from tools.cli.errors import InputError
from tools.pose.joints import JOINT_SETS, LABELLED, MADE, POSE17

H36M17 = [POSE17.index(joint) for joint in JOINT_SETS["h36m17"].joints]


def write_archive(path, motions, **index):
    """An archive in Human3.6M's order of poses in ours, with an index if there is one."""
    np.savez_compressed(path, **{name: poses[:, H36M17] for name, poses in motions.items()})
    if index:
        path.with_name(path.stem + "_index.json").write_text(json.dumps(index))
    return path


@pytest.fixture
def archive(tmp_path, bodies):
    sequences = {"001/001_01": bodies(7, 1), "001/001_02": bodies(5, 2), "144/144_03": bodies(9, 3)}
    entries = {name: {"subject": int(name[:3]), "description": f"do {name[-2:]}"} for name in sequences}
    path = write_archive(
        tmp_path / "set.npz", sequences, unit="mm", axes="z up", joints=JOINT_SETS["h36m17"].joints, sequences=entries
    )
    return path, sequences


def by_hand(poses, number, view, camera_values, seed=0):
    """Camera coordinates and intrinsics as protocol a makes them, written out once more."""
    rng = np.random.default_rng([seed, number, view, False])
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    world = np.array([[turn @ (joint - [*poses[:, 10, :2].mean(0), 0]) for joint in pose] for pose in poses])
    shift = rng.uniform(-400, 400, 2)
    for pose in world:
        hip = pose[10, :2].copy()
        pose[:, :2] += np.clip(hip, -1200, 1200) - hip + shift
    subject = (1, 5, 6, 7, 8, 9, 11)[rng.integers(7)]
    name = ("54138969", "55011271", "58860488", "60457274")[view]
    rotation, translation, intrinsics, _ = camera_values[subject, name]
    camera = np.array([[rotation @ joint + translation for joint in pose] for pose in world])
    return camera, intrinsics, f"S{subject}/{name}"


def test_each_frame_from_four_cameras(archive, camera_json, camera_values):
    path, sequences = archive
    source = open_source("mocap", path, Options(cameras=str(camera_json), baseline_mm=300.0))
    assert len(source) == 4 * (7 + 5 + 9)
    records = iter(source.records(range(len(source))))
    for number, (name, poses) in enumerate(sequences.items()):
        for view in range(4):
            camera, intrinsics, camera_name = by_hand(poses.astype(np.float64), number, view, camera_values)
            for frame, pose in enumerate(camera):
                record = next(records)
                assert isinstance(record, PoseRecord)
                assert record.problem() == ""
                assert (record.sequence, record.frame, record.camera) == (name, frame, camera_name)
                assert (record.subject, record.action) == (str(int(name[:3])), f"do {name[-2:]}")
                assert (record.dataset, record.camera_kind) == ("mocap", "calibrated")
                np.testing.assert_allclose(record.pose_3d, pose - pose[10], atol=1e-3)
                np.testing.assert_allclose(record.root_3d, pose[10], atol=1e-3)
                pixels = pose[:, :2] / pose[:, 2:] * intrinsics[:2] + intrinsics[2:]
                np.testing.assert_allclose(record.pose_2d, pixels, atol=1e-3)
                moved = (pose[:, :2] + [300, 0]) / pose[:, 2:] * intrinsics[:2] + intrinsics[2:]
                np.testing.assert_allclose(record.right_2d, moved, atol=1e-3)
                np.testing.assert_array_equal(record.intrinsics, intrinsics.astype(np.float32))
                assert np.isnan(record.distortion).all()
                assert (record.provenance_2d == LABELLED).all()
    assert next(records, None) is None


def test_any_ascending_numbers_give_the_same_records(archive, camera_json):
    path, _ = archive
    options = Options(cameras=str(camera_json))
    whole = list(open_source("mocap", path, options).records(range(84)))
    numbers = np.sort(np.random.default_rng(0).choice(84, 30, replace=False))
    some = list(open_source("mocap", path, options).records(numbers))
    assert len(some) == 30
    for number, record in zip(numbers, some):
        for field in ("pose_2d", "pose_3d", "right_2d", "root_3d"):
            np.testing.assert_array_equal(getattr(record, field), getattr(whole[number], field))
    assert list(open_source("mocap", path, options).records([])) == []


def test_frame_step_keeps_cameras_and_frame_numbers(archive, camera_json):
    path, _ = archive
    every = list(open_source("mocap", path, Options(cameras=str(camera_json))).records(range(84)))
    source = open_source("mocap", path, Options(cameras=str(camera_json), frame_step=3))
    third = list(source.records(range(len(source))))
    assert len(third) == 4 * (3 + 2 + 3)
    kept = {(record.sequence, record.camera, record.frame): record for record in every}
    for record in third:
        same = kept[record.sequence, record.camera, record.frame]
        assert record.frame % 3 == 0
        np.testing.assert_array_equal(record.pose_2d, same.pose_2d)


def test_lens_distortion_is_recorded_when_it_is_asked_for(archive, camera_json):
    path, _ = archive
    plain, bent = (
        next(open_source("mocap", path, Options(cameras=str(camera_json), distort=distort)).records([5]))
        for distort in (False, True)
    )
    assert np.isfinite(bent.distortion).all()
    np.testing.assert_array_equal(plain.pose_3d, bent.pose_3d)
    assert 0.05 < np.abs(plain.pose_2d - bent.pose_2d).max() < 60


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frames_that_cannot_be_used_are_skipped_with_a_reason(tmp_path, bodies, camera_json, value):
    poses = bodies(6)
    poses[2] = value
    path = write_archive(tmp_path / "a.npz", {"1_01": poses})
    items = list(open_source("mocap", path, Options(cameras=str(camera_json))).records(range(24)))
    skipped = [i for i, item in enumerate(items) if isinstance(item, Skip)]
    assert skipped == [2, 8, 14, 20]
    assert {items[i].reason for i in skipped} == {"joint is not a number"}


def test_splits_share_no_subject_and_keep_couples_together(tmp_path, bodies):
    sequences = {f"{number:03d}/{number:03d}_01": bodies(2, number) for number in range(1, 100)}
    sequences["c2s/running_1"] = bodies(2, 0)
    path = write_archive(tmp_path / "a.npz", sequences)
    found = {}
    for split in ("all", "train", "val"):
        source = open_source("mocap", path, Options(split=split, cameras_style="wild"))
        records = [record for record in source.records(range(len(source))) if isinstance(record, PoseRecord)]
        found[split] = {record.subject for record in records}
        assert split == "all" or {record.split for record in records} == {split}
    assert not found["train"] & found["val"]
    assert found["train"] | found["val"] == found["all"] - {""} == {str(number) for number in range(1, 100)}
    assert 3 <= len(found["val"]) <= 20
    for couple in (("18", "19"), ("33", "34"), ("60", "61")):
        assert split_of(couple[0]) == split_of(couple[1])


def test_the_index_may_have_another_order(tmp_path, bodies):
    poses = bodies(3)
    order = np.random.default_rng(1).permutation(17)
    np.savez(tmp_path / "a.npz", x=poses[:, order])
    names = [POSE17.joints[i] for i in order]
    (tmp_path / "a_index.json").write_text(json.dumps({"joints": names, "sequences": {}}))
    record = next(open_source("mocap", tmp_path / "a.npz", Options(cameras_style="wild")).records([0]))
    np.savez(tmp_path / "b.npz", x=poses[:, H36M17])
    same = next(open_source("mocap", tmp_path / "b.npz", Options(cameras_style="wild")).records([0]))
    np.testing.assert_array_equal(record.pose_3d, same.pose_3d)
    (tmp_path / "a_index.json").unlink()
    given = Options(cameras_style="wild", permutation=tuple(np.argsort(order).tolist()))
    np.testing.assert_array_equal(
        next(open_source("mocap", tmp_path / "a.npz", given).records([0])).pose_3d, same.pose_3d
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((4, 16, 3))}, r"a has shape \[4, 16, 3\], expected \[frames, 17, 3\]"),
        ({"a": np.zeros((4, 17, 3), int)}, "holds int64, expected floating numbers"),
        ({"a": np.array([None])}, "an array of Python objects, expected floating numbers"),
        ({}, "no array in it"),
        ({"a": np.zeros((0, 17, 3))}, "no pose in split 'all'"),
        (
            {"a": np.ones((4, 17, 3))},
            "0 mm from Hip to Head, expected 300 to 1200; another joint order",
        ),
    ],
)
def test_wrong_archives(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as error:
        list(open_source("mocap", tmp_path / "a.npz", Options(cameras_style="wild")).records([0]))
    assert "a.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_archives(tmp_path, archive):
    path, _ = archive
    whole = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.npz: no \.npz archive, or damaged"):
        open_source("mocap", tmp_path / "cut.npz", Options(cameras_style="wild"))
    flipped = bytearray(whole)
    flipped[len(whole) // 6] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(InputError, match=r"flipped\.npz"):
        list(open_source("mocap", tmp_path / "flipped.npz", Options(cameras_style="wild")).records(range(84)))


@pytest.mark.parametrize("frames", [5, 1 << 53])
def test_arrays_of_fewer_frames_than_their_header_announces(tmp_path, frames):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (frames, 17, 3)})
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as file:
        file.writestr("01_01.npy", header.getvalue() + bytes(4 * 17 * 3 * 8))
    with pytest.raises(InputError, match=r"short\.npz: 01_01: cut short: 1,760 bytes of the [0-9,]+ that its header"):
        open_source("mocap", tmp_path / "short.npz", Options(cameras_style="wild"))


def test_wrong_inputs_and_options(tmp_path, archive, camera_json):
    path, _ = archive
    with pytest.raises(InputError, match=r"needs Human3\.6M's cameras: give .* --cameras"):
        open_source("mocap", path)
    with pytest.raises(InputError, match="--cameras_style=round: expected one of h36m, wild"):
        open_source("mocap", path, Options(cameras_style="round"))
    with pytest.raises(InputError, match="--frame_step=0"):
        open_source("mocap", path, Options(cameras_style="wild", frame_step=0))
    with pytest.raises(InputError, match="no such folder"):
        open_source("mocap", tmp_path / "none", Options(cameras_style="wild"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.bvh file in it"):
        open_source("mocap", tmp_path / "empty", Options(cameras_style="wild"))
    some = json.loads(camera_json.read_text())
    del some["extrinsics"]["S7"]
    (tmp_path / "some.json").write_text(json.dumps(some))
    with pytest.raises(InputError, match=r"some\.json: subject 7 has 0 cameras, expected 4"):
        open_source("mocap", path, Options(cameras=str(tmp_path / "some.json")))
    index = path.with_name("set_index.json")
    index.write_text(json.dumps({"unit": "m"}))
    with pytest.raises(InputError, match=r"set_index\.json: unit m, axes 'z up'; expected mm, z up"):
        open_source("mocap", path, Options(cameras_style="wild"))
    index.write_text("[1]")
    with pytest.raises(InputError, match=r"set_index\.json: expected a JSON object"):
        open_source("mocap", path, Options(cameras_style="wild"))


# A body in CMU's names, cm, y up: joint, parent, place at rest.
CMU = """Hips - 0 95 0|LeftUpLeg Hips 9 90 0|LeftLeg LeftUpLeg 9 50 0|LeftFoot LeftLeg 9 9 0|RightUpLeg Hips -9 90 0|
RightLeg RightUpLeg -9 50 0|RightFoot RightLeg -9 9 0|Spine Hips 0 110 0|Spine1 Spine 0 130 0|Neck Spine1 0 146 0|
Head Neck 0 158 5|LeftArm Spine1 15 143 0|LeftForeArm LeftArm 43 143 0|LeftHand LeftForeArm 67 143 0|
RightArm Spine1 -15 143 0|RightForeArm RightArm -43 143 0|RightHand RightForeArm -67 143 0"""


def write_bvh(path, frames, scale=1.0, z_up=False):
    """A file with that body; frames: root place in cm (y up) and yaw in degrees of each."""
    rows = [row.split() for row in CMU.replace("\n", "").split("|")]
    place = {row[0]: np.array(row[2:], float) for row in rows}
    place["-"] = place["Hips"]

    def axes(vector):
        x, y, z = vector * scale
        return f"{x} {-z} {y}" if z_up else f"{x} {y} {z}"

    up = "Z" if z_up else "Y"
    lines = ["HIERARCHY"]

    def joint(name, parent):
        lines.extend(
            [("JOINT " if parent != "-" else "ROOT ") + name, "{", "OFFSET " + axes(place[name] - place[parent])]
        )
        channels = "6 Xposition Yposition Zposition" if parent == "-" else "3"
        lines.append(f"CHANNELS {channels} {up}rotation Xrotation {'Y' if z_up else 'Z'}rotation")
        for row in rows:
            if row[1] == name:
                joint(row[0], name)
        if name == "Head":
            lines.extend(["End Site", "{", "OFFSET " + axes(np.array([0.0, 18, 0])), "}"])
        lines.append("}")

    joint("Hips", "-")
    lines += ["MOTION", f"Frames: {len(frames)}", "Frame Time: 0.01"]
    for root, yaw in frames:
        values = [0.0] * (3 * len(rows))
        values[0] = yaw
        lines.append(axes(np.array(root, float)) + " " + " ".join(map(str, values)))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("scale", "unit"), [(1.0, 0), (0.01, 0), (10.0, 0), (1 / 2.54, 0), (0.177, 0), (3.0, 10 / 3)])
@pytest.mark.parametrize("z_up", [False, True])
def test_bvh_units_and_axes(tmp_path, scale, unit, z_up):
    frames = [((30.0, 95.0, 40.0), 0.0), ((30.0, 95.0, 40.0), 90.0)]
    poses, provenance = read_bvh(write_bvh(tmp_path / "a.bvh", frames, scale, z_up), unit)
    place = dict(zip(POSE17.joints, poses[0]))
    tolerance = 10 if scale == 0.177 else 0.5  # CMU's unit is 56.44 mm, and 1 / 0.177 cm only nearly so
    expected = {
        "LHip": (390, -400, 890),
        "LFoot": (390, -400, 80),
        "Head": (300, -450, 1750),
        "RWrist": (-370, -400, 1420),
    }
    for joint, value in expected.items():
        np.testing.assert_allclose(place[joint], value, atol=tolerance, err_msg=joint)
    turned = dict(zip(POSE17.joints, poses[1]))
    np.testing.assert_allclose(turned["RWrist"], (300, -1070, 1420), atol=tolerance)
    codes = dict(zip(POSE17.joints, provenance))
    assert codes["Hip"] == codes["Spine"] == MADE
    assert codes["Head"] == codes["Neck/Nose"] == LABELLED


def test_a_folder_of_bvh_files(tmp_path, camera_json):
    folder = tmp_path / "motions"
    for name, count in (("60/60_01", 3), ("61/61_01", 4), ("anna/dance", 2)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bvh(folder / f"{name}.bvh", [((10.0 * i, 95, 0), 10.0 * i) for i in range(count)])
    (folder / ".hidden.bvh").write_text("not a motion")
    source = open_source("mocap", folder, Options(cameras=str(camera_json)))
    records = list(source.records(range(len(source))))
    assert len(records) == 4 * 9
    assert [record.sequence for record in records[::4]] == ["60/60_01"] * 3 + ["61/61_01"] * 4 + ["anna/dance"] * 2
    assert {(record.subject, record.file) for record in records} == {
        ("60", "60/60_01.bvh"),
        ("61", "61/61_01.bvh"),
        ("anna", "anna/dance.bvh"),
    }
    assert not [record for record in records if record.problem()]
    bones = np.linalg.norm(records[0].pose_3d[11] - records[0].pose_3d[12])
    np.testing.assert_allclose(bones, 400, atol=0.01)
    assert sorted(path.name for path in source.files()) == [
        "60_01.bvh",
        "61_01.bvh",
        camera_json.name,
        "dance.bvh",
    ]


def test_bvh_files_that_are_wrong(tmp_path):
    path = write_bvh(tmp_path / "a.bvh", [((0, 95, 0), 0.0)], scale=3.0)
    wild = Options(cameras_style="wild")
    with pytest.raises(InputError, match=r"a\.bvh: the body is .* units tall, .* --unit_mm"):
        open_source("mocap", path, wild)
    with pytest.raises(InputError, match="--unit_mm=-1: expected a positive number"):
        open_source("mocap", path, Options(cameras_style="wild", unit_mm=-1.0))
    text = write_bvh(tmp_path / "b.bvh", [((0, 95, 0), 0.0)] * 3).read_text()
    (tmp_path / "b.bvh").write_text("\n".join(text.splitlines()[:-1]))
    with pytest.raises(InputError, match=r"b\.bvh: line \d+: expected 3 frames, found the end of the file after 2"):
        list(open_source("mocap", tmp_path / "b.bvh", wild).records(range(12)))
    lines = text.splitlines()
    lines[-2] = lines[-2].replace("0.0", "nan", 1)
    (tmp_path / "c.bvh").write_text("\n".join(lines))
    items = list(open_source("mocap", tmp_path / "c.bvh", wild).records(range(12)))
    assert [i for i, item in enumerate(items) if isinstance(item, Skip)] == [1, 4, 7, 10]
    shutil.copy(tmp_path / "b.bvh", tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"b\.txt: expected \.npz"):
        open_source("mocap", tmp_path / "b.txt", wild)


@pytest.fixture(scope="session")
def protocols(pose3d_data):
    spec = importlib.util.spec_from_file_location("protocols", pose3d_data / "protocols.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Some:
    """The first sequences of an archive, as the protocols want one."""

    def __init__(self, archive, count):
        self.files = sorted(archive.files)[:count]
        self._archive = archive

    def __getitem__(self, name):
        return self._archive[name]


@pytest.mark.parametrize(("style", "protocol", "seed"), [("h36m", "a", 0), ("wild", "c", 0), ("wild", "c", 3)])
def test_records_are_the_protocols_poses(pose3d_data, protocols, style, protocol, seed):
    path = pose3d_data / "cmu_dev.npz"
    expected = protocols.build(Some(np.load(path), 6), protocol, seed)
    cameras = str(pose3d_data / "h36m_camera_parameters.json") if style == "h36m" else ""
    source = open_source("mocap", path, Options(cameras=cameras, cameras_style=style, seed=seed))
    count = sum(np.load(path)[name].shape[0] for name in sorted(np.load(path).files)[:6]) * 4
    records = [record for record in source.records(range(count)) if isinstance(record, PoseRecord)]
    assert [record.sequence for record in records] == expected["sequence"].tolist()
    assert [record.frame for record in records] == expected["frame"].tolist()
    names = {"pose_3d": "poses_3d", "root_3d": "roots", "pose_2d": "poses_2d", "right_2d": "right_2d"}
    for field, name in {**names, "intrinsics": "intrinsics"}.items():
        ours = np.stack([getattr(record, field) for record in records])
        # Equal but for the last bit, where another order of additions may round a float64 to the other float32.
        np.testing.assert_allclose(ours, expected[name], rtol=1.2e-7, atol=1e-5, err_msg=field)


@pytest.mark.parametrize(("name", "sequences", "frames"), [("cmu_train", 221, 27_044), ("cmu_dev", 39, 4_369)])
def test_the_real_motion_capture_converts_whole(pose3d_data, name, sequences, frames):
    path, cameras = pose3d_data / f"{name}.npz", str(pose3d_data / "h36m_camera_parameters.json")
    source = open_source("mocap", path, Options(cameras=cameras))
    assert len(source) == 4 * frames
    seen, usable = set(), 0
    for record in source.records(range(0, len(source), 5)):
        assert isinstance(record, PoseRecord)
        seen.add(record.sequence)
        usable += 1
    assert usable == -(-4 * frames // 5)
    assert len(seen) == sequences
    if name == "cmu_train":
        sizes = [len(open_source("mocap", path, Options(cameras=cameras, split=split))) for split in ("train", "val")]
        assert min(sizes) > 0
        assert sum(sizes) < len(source)  # the sequences of nobody in particular are in neither


def test_level_style_keeps_the_vertical_and_the_height(pose3d_data):
    options = Options(cameras_style="level")
    source = open_source("mocap", pose3d_data / "cmu_dev.npz", options)
    with np.load(pose3d_data / "cmu_dev.npz") as archive:
        assert len(source) == sum(len(archive[name]) for name in archive.files)
        world = archive[sorted(archive.files)[0]].astype(np.float64)
    record = next(iter(source.records([3])))
    order = [10, 9, 8, 14, 15, 16, 11, 12, 13, 7, 0, 1, 2, 3, 4, 5, 6]
    x, y, z = (world[3] - world[3, 0])[order].T
    np.testing.assert_allclose(record.pose_3d, np.stack([x, -z, y], -1), atol=1e-3)
    np.testing.assert_allclose(record.root_3d, [0.0, -world[3, 0, 2], 5000.0], atol=1e-3)


def test_splits_share_out_all_sequences(pose3d_data):
    sizes = {
        split: len(open_source("mocap", pose3d_data / "cmu_train.npz", Options(cameras_style="level", split=split)))
        for split in ("all", "train", "val", "unnamed")
    }
    assert sizes == {"all": 27044, "train": 21706, "val": 1841, "unnamed": 3497}
