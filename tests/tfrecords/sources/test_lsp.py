"""Leeds Sports Pose: both layouts of joints.mat as SciPy writes them, and the real annotations with photographs."""

import contextlib
import io
import tarfile

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.conversion import people
from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import lsp, open_source
from tools.cli.errors import InputError

# joint of the record -> LSP's; Neck is Thorax, HeadTop is Head
DIRECT = {0: 13, 2: 12, 3: 8, 4: 7, 5: 6, 6: 9, 7: 10, 8: 11, 11: 2, 12: 1, 13: 0, 14: 3, 15: 4, 16: 5}


def make_joints(count, seed=0):
    """[person, 14, (x, y, flag)]."""
    random = np.random.default_rng(seed)
    joints = np.concatenate([random.uniform(5, 140, (count, 14, 2)), random.integers(0, 2, (count, 14, 1))], -1)
    joints[:, [2, 3], 2] = 1
    return joints


def write_original(folder, joints):
    scipy.io.savemat(folder / "joints.mat", {"joints": joints.transpose(2, 1, 0)})


def write_extended(folder, joints, name="joints.mat", compress=False):
    scipy.io.savemat(folder / name, {"joints": joints.transpose(1, 2, 0)}, do_compression=compress)


def test_original(tmp_path, read_all, encode):
    joints = make_joints(3)
    write_original(tmp_path, joints)
    (tmp_path / "images").mkdir()
    for i in range(3):
        (tmp_path / "images" / f"im{i + 1:04d}.jpg").write_bytes(encode(150, 150, seed=i))
    for i, record in enumerate(read_all("lsp", tmp_path, verify=True)):
        assert (record.file, record.split, record.subject) == (f"im{i + 1:04d}.jpg", "train", record.file)
        for ours, theirs in DIRECT.items():
            np.testing.assert_array_equal(record.pose_2d[ours], np.float32(joints[i, theirs, :2]))
            # the original's flag says hidden
            assert record.visibility[ours] == (1 if joints[i, theirs, 2] else 2)
        assert record.image == (tmp_path / "images" / record.file).read_bytes()
        assert record.image_size.tolist() == [150, 150]
        assert record.problem() == ""
        inside = (record.pose_2d > record.box[:2]) & (record.pose_2d < record.box[:2] + record.box[2:])
        assert inside.all()


def test_second_half_of_the_original_is_for_testing(tmp_path, read_all):
    write_original(tmp_path, make_joints(2000))
    parts = {part: read_all("lsp", tmp_path, split=part, images="none") for part in ("train", "test")}
    assert [record.file for record in parts["train"]] == [f"im{i:04d}.jpg" for i in range(1, 1001)]
    assert [record.file for record in parts["test"]] == [f"im{i:04d}.jpg" for i in range(1001, 2001)]
    assert len(read_all("lsp", tmp_path, images="none")) == 2000


@pytest.mark.parametrize("compress", [False, True])
def test_extended(tmp_path, read_all, encode, compress):
    joints = make_joints(4)
    joints[3, :, 2] = 0
    write_extended(tmp_path, joints, "lsp_joints.mat", compress)
    pictures = [encode(150, 150, seed=i) for i in range(4)]
    with tarfile.open(tmp_path / "lsp_images.tar", "w") as archive:
        for i, data in enumerate(pictures):
            member = tarfile.TarInfo(f"images/im{i + 1:05d}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    items = read_all("lsp", tmp_path / "lsp_joints.mat")
    assert items[3].reason == people.NO_JOINT
    for i, record in enumerate(items[:3]):
        assert (record.file, record.split, record.image) == (f"im{i + 1:05d}.jpg", "train", pictures[i])
        for ours, theirs in DIRECT.items():
            if joints[i, theirs, 2]:
                np.testing.assert_array_equal(record.pose_2d[ours], np.float32(joints[i, theirs, :2]))
                assert (record.provenance_2d[ours], record.visibility[ours]) == (2, 2)
            else:
                assert record.provenance_2d[ours] < 2
    with pytest.raises(InputError, match="extended set, which is for training only"):
        len(open_source("lsp", tmp_path / "lsp_joints.mat", Options(split="test")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"joints": np.zeros((3, 16, 5))}, "joints must be 3 x 14 x N or 14 x 3 x N, is 3 x 16 x 5"),
        ({"joints": np.zeros((14, 2, 5))}, "is 14 x 2 x 5"),
        ({"joints": np.zeros((3, 14))}, "is 3 x 14"),
        ({"joints": "text"}, "joints must be"),
        ({"other": np.zeros((3, 14, 5))}, "no variable 'joints'"),
        ({"joints": np.full((3, 14, 5), np.nan)}, "none of its 5 records can be used"),
        ({"joints": np.zeros((14, 3, 0))}, "no person"),
    ],
)
def test_files_of_another_format_are_errors(tmp_path, content, message):
    scipy.io.savemat(tmp_path / "joints.mat", content)
    with pytest.raises(InputError, match=message):
        len(open_source("lsp", tmp_path, Options(images="none")))


def test_missing_files(tmp_path, read_all, encode):
    with pytest.raises(InputError, match="no such file"):
        open_source("lsp", tmp_path, Options(images="none"))
    joints = make_joints(3)
    joints[1, 4, 0] = np.inf
    write_extended(tmp_path, joints)
    with pytest.raises(InputError, match="--images=none"):
        open_source("lsp", tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "im00001.jpg").write_bytes(encode(9, 9))
    items = read_all("lsp", tmp_path)
    assert [item.reason if isinstance(item, Skip) else "" for item in items] == ["", lsp.BAD_JOINTS, images.MISSING]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_an_input_error_or_skips(tmp_path, read_all, data):
    write_extended(tmp_path, make_joints(1), compress=data.draw(st.booleans()))
    content = bytearray((tmp_path / "joints.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "joints.mat").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(InputError):
        for item in read_all("lsp", tmp_path, images="none"):
            assert isinstance(item, Skip) or item.problem() == ""


def test_real_annotations_with_photographs(pose3d_data, read_all):
    path = pose3d_data / "lsp_joints.mat"
    records = read_all("lsp", path, verify=True)
    truth = scipy.io.loadmat(path)["joints"]
    assert len(records) == truth.shape[2] == 200
    assert len({record.image for record in records}) == 200
    inside, known, upright = 0, 0, []
    for i, record in enumerate(records):
        assert record.file == f"im{i + 1:05d}.jpg"
        labelled = truth[:, 2, i] == 1
        for ours, theirs in DIRECT.items():
            if labelled[theirs]:
                np.testing.assert_array_equal(record.pose_2d[ours], np.float32(truth[theirs, :2, i]))
        assert (record.provenance_2d == 2).sum() == labelled.sum()
        taken = record.provenance_2d == 2
        within = (record.pose_2d[taken] >= 0) & (record.pose_2d[taken] <= record.image_size)
        inside, known = inside + within.all(-1).sum(), known + taken.sum()
        lean = record.pose_2d[10, 1] - record.pose_2d[2, 1]
        upright += [] if np.isnan(lean) else [lean > 0]
    assert inside > 0.99 * known
    assert len(upright) > 100
    assert 0.5 < np.mean(upright) < 0.95  # gymnasts: most, not all, have their head up
