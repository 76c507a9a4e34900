"""Human3.6M crops: annotation files as h5py writes them, frames in their folders."""

import contextlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import h36m_images, open_source
from tools.cli.errors import InputError

# Human3.6M's 17, in its order, and where this project has them
H36M = (
    *("Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Neck/Nose", "Head"),
    *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)
OURS = (
    *("Head", "Neck/Nose", "Thorax", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
    *("Spine", "Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot"),
)
INDICES = [3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13]


def make_arrays(count, subjects=(1, 5), istrain=1, seed=0):
    """The columns of a file, and the poses of Human3.6M's 17 joints that they were taken from."""
    random = np.random.default_rng(seed)
    flat = random.uniform(10, 210, (count, 17, 2))
    deep = random.normal(0, 300, (count, 17, 3)) + [100, 200, 4500]
    arrays = {
        "id": np.arange(count) * 5 + 1,
        "joint_2d": flat[:, INDICES],
        "joint_3d_mono": deep[:, INDICES],
        "bbox": np.tile([300.0, 200.0, 400.0, 400.0], (count, 1)),
        "subject": np.resize(subjects, count),
        "action": np.resize(range(2, 17), count),
        "subaction": np.resize([1, 2], count),
        "camera": np.resize([1, 2, 3, 4], count),
        "istrain": np.full(count, istrain),
    }
    return arrays, flat, deep


def write(path, arrays, **changes):
    with h5py.File(path, "w") as file:
        for key, value in {**arrays, **changes}.items():
            if value is not None:
                file[key] = value
    return path


def frame_of(arrays, i):
    clip = "s_{:02d}_act_{:02d}_subact_{:02d}_ca_{:02d}".format(
        *(arrays[key][i] for key in ("subject", "action", "subaction", "camera"))
    )
    return clip, f"{clip}/{clip}_{arrays['id'][i]:06d}.jpg"


def check(record, flat, deep):
    root = deep[H36M.index("Hip")].astype(np.float32)
    for j, name in enumerate(OURS):
        if name == "Neck/Nose":
            continue
        h = H36M.index(name)
        np.testing.assert_array_equal(record.pose_2d[j], flat[h].astype(np.float32))
        np.testing.assert_array_equal(record.pose_3d[j], deep[h].astype(np.float32) - root)
    np.testing.assert_array_equal(record.root_3d, root)
    # the one that the 16 lack
    np.testing.assert_allclose(record.pose_2d[1], (record.pose_2d[0] + record.pose_2d[2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(record.pose_3d[1], (record.pose_3d[0] + record.pose_3d[2]) / 2, atol=1e-3)
    for provenance in (record.provenance_2d, record.provenance_3d):
        assert provenance.tolist() == [2, 1] + [2] * 15
    assert record.box.tolist() == [0, 0, 224, 224]
    assert record.problem() == ""


@pytest.mark.parametrize("below", ["images", "."])
def test_reads_back_what_was_written(tmp_path, read_all, encode, below):
    train, val = make_arrays(40), make_arrays(20, (9, 11), 0, seed=1)
    write(tmp_path / "annot_train.h5", train[0])
    write(tmp_path / "annot_val.h5", val[0])
    for part in (train, val):
        for i in range(len(part[1])):
            path = tmp_path / below / frame_of(part[0], i)[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(224, 224, seed=i))
    records = read_all("h36m_images", tmp_path, verify=True)
    assert len(records) == 60
    for number, record in enumerate(records):
        (arrays, flat, deep), i = (train, number) if number < 40 else (val, number - 40)
        check(record, flat[i], deep[i])
        clip, file = frame_of(arrays, i)
        assert (record.sequence, record.file, record.frame) == (clip, file, arrays["id"][i])
        assert (record.subject, record.split) == (f"S{arrays['subject'][i]}", "train" if number < 40 else "val")
        assert record.image == (tmp_path / below / file).read_bytes()
        assert record.image_size.tolist() == [224, 224]
    assert (records[0].action, records[10].action, records[14].action) == ("Directions", "Photo", "WalkTogether")
    assert [record.camera for record in records[:4]] == ["54138969", "55011271", "58860488", "60457274"]
    assert len(read_all("h36m_images", tmp_path, split="val")) == 20
    source = open_source("h36m_images", tmp_path)
    assert [record.frame for record in source.records([3, 39, 40, 59])] == [16, 196, 1, 96]
    assert len(source.files()) == 2


def test_one_file_with_both_splits(tmp_path, read_all):
    """`istrain` tells them apart."""
    arrays, flat, deep = make_arrays(6, (1, 9))
    path = write(tmp_path / "annotSampleTest.h5", arrays, istrain=np.resize([1, 0], 6))
    for part, first in (("train", 0), ("val", 1)):
        records = read_all("h36m_images", path, split=part, images="none")
        for i, record in zip(range(first, 6, 2), records):
            check(record, flat[i], deep[i])
    with pytest.raises(InputError, match="istrain puts S1, S9 into both splits"):
        open_source("h36m_images", write(path, arrays, istrain=[1, 0, 0, 0, 1, 1]), Options(images="none"))


def test_relative_poses_have_no_place(tmp_path, read_all):
    arrays, _, _ = make_arrays(2)
    deep = arrays["joint_3d_mono"] - arrays["joint_3d_mono"][:, 6:7]
    for record in read_all("h36m_images", write(tmp_path / "a.h5", arrays, joint_3d_mono=deep), images="none"):
        assert np.isnan(record.root_3d).all()
        assert record.problem() == ""


def test_what_can_not_be_used_is_counted(tmp_path, read_all, encode):
    arrays, _, _ = make_arrays(6)
    arrays["joint_2d"][0, 3] = np.nan
    arrays["joint_3d_mono"][1, 3, 2] = np.inf
    path = write(tmp_path / "annot_train.h5", arrays)
    for i, data in enumerate([encode(224, 224), encode(224, 224), b"", encode(220, 224), encode(224, 224)]):
        frame = tmp_path / frame_of(arrays, i)[1]
        frame.parent.mkdir(exist_ok=True)
        frame.write_bytes(data)
    assert [item.reason if isinstance(item, Skip) else "" for item in read_all("h36m_images", path)] == [
        *(h36m_images.BAD_2D, h36m_images.BAD_3D, images.EMPTY, images.OTHER_SIZE, "", images.MISSING)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_2d": np.zeros((3, 17, 2))}, "joint_2d must be 3 x 16 x 2, is 3 x 17 x 2"),
        ({"joint_3d_mono": np.zeros((3, 16, 2))}, "joint_3d_mono must be 3 x 16 x 3"),
        ({"camera": None}, "no array camera"),
        ({"subject": np.zeros(2)}, "subject must be 3 numbers"),
        ({"action": np.full(3, np.nan)}, "action must be 3 numbers"),
    ],
)
def test_files_of_another_format_are_errors(tmp_path, changes, message):
    arrays, _, _ = make_arrays(3)
    with pytest.raises(InputError, match=message):
        open_source("h36m_images", write(tmp_path / "annot_train.h5", arrays, **changes), Options(images="none"))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"no annot_\*\.h5"):
        open_source("h36m_images", tmp_path, Options(images="none"))
    path = write(tmp_path / "annot_train.h5", make_arrays(3)[0])
    with pytest.raises(InputError, match="--images=none"):
        open_source("h36m_images", path)
    data = path.read_bytes()
    for length in (0, 100, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match="annot_train"):
            open_source("h36m_images", path, Options(images="none"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x89HDF\r\n\x1a\n"]))
def test_any_bytes_are_an_input_error(tmp_path, data, start):
    (tmp_path / "annot_train.h5").write_bytes(start + data)
    with pytest.raises(InputError):
        open_source("h36m_images", tmp_path, Options(images="none"))


@pytest.mark.parametrize(("key", "value"), [("joint_2d", 100001.0), ("joint_3d_mono", 9e5)])
def test_joints_out_of_bounds_are_a_skip(tmp_path, read_all, key, value):
    arrays, _, _ = make_arrays(3)
    arrays[key][1, 4, 1], arrays[key][1, 6, 1] = value, -value  # 6 is the root
    first, second, third = read_all("h36m_images", write(tmp_path / "annot_train.h5", arrays), images="none")
    assert "beyond" in second.reason
    assert "row 1" in second.detail
    assert first.problem() == third.problem() == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_numbers_are_records_or_skips(tmp_path, read_all, data):
    arrays, _, _ = make_arrays(3)
    number = st.floats() | st.floats(width=16)
    for key in data.draw(st.lists(st.sampled_from(["joint_2d", "joint_3d_mono"]), min_size=1)):
        arrays[key][data.draw(st.integers(0, 2)), data.draw(st.integers(0, 15)), 1] = data.draw(number)
    for key in data.draw(st.lists(st.sampled_from(["id", "subject", "action", "camera", "istrain"]))):
        arrays[key] = np.array(data.draw(st.lists(number, min_size=3, max_size=3)))
    path = write(tmp_path / "annot_train.h5", arrays)
    with contextlib.suppress(InputError):
        for item in read_all("h36m_images", path, images="none"):
            assert isinstance(item, Skip) or item.problem() == ""
