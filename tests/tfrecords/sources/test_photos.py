"""Photographs with key points in an .npz: every layout that the reader names, damaged files, and the real set."""

import io
import tarfile

import numpy as np
import pytest

from tfrecords.conversion import people
from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source, photos
from tools.cli.errors import InputError

# joint of the record -> LSP's; Neck is Thorax, HeadTop is Head
DIRECT = {0: 13, 2: 12, 3: 8, 4: 7, 5: 6, 6: 9, 7: 10, 8: 11, 11: 2, 12: 1, 13: 0, 14: 3, 15: 4, 16: 5}


def make_joints(count, joints=14, seed=0):
    """[person, joint, (x, y, labelled)]; each person lacks joint 4, the third one as NaN."""
    table = np.random.default_rng(seed).uniform(5, 140, (count, joints, 3)).astype(np.float32)
    table[..., 2] = 1
    table[:, 4, 2] = 0
    table[2:3, 4] = np.nan
    return table


def write(path, files, joints, **more):
    np.savez(path, files=np.array(files), joints=joints, **more)


def test_tar_beside_the_file(tmp_path, read_all, encode):
    joints = make_joints(3)
    files = ["a.jpg", "b.png", "c.jpg"]
    pictures = {name: encode(150, 120, suffix=name[-4:], seed=i) for i, name in enumerate(files)}
    with tarfile.open(tmp_path / "mine_train.tar", "w") as archive:
        for name, data in pictures.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    write(tmp_path / "mine_train_joints.npz", files, joints)
    records = read_all("photos", tmp_path / "mine_train_joints.npz", verify=True)
    for i, record in enumerate(records):
        assert (record.file, record.split, record.person) == (files[i], "train", 0)
        assert record.image == pictures[files[i]]
        assert record.image_size.tolist() == [150, 120]
        for ours, theirs in DIRECT.items():
            if theirs == 4:
                assert (record.provenance_2d[ours], record.visibility[ours]) == (0, 0)
                assert np.isnan(record.pose_2d[ours]).all()
            else:
                np.testing.assert_array_equal(record.pose_2d[ours], joints[i, theirs, :2])
                assert (record.provenance_2d[ours], record.visibility[ours]) == (2, 2)
        assert record.problem() == ""
    with pytest.raises(InputError, match="is the train split by its name"):
        open_source("photos", tmp_path / "mine_train_joints.npz", Options(split="val"))


def test_folder_boxes_and_several_people_of_one_picture(tmp_path, read_all, encode):
    (tmp_path / "party").mkdir()
    (tmp_path / "party" / "a.jpg").write_bytes(encode(200, 150))
    boxes = np.array([[1, 2, 30, 40], [np.nan] * 4, [5, 6, 70, 80]], np.float32)
    # without a third number everything that is finite was labelled
    write(tmp_path / "party.npz", ["a.jpg", "missing.jpg", "a.jpg"], make_joints(3)[..., :2], boxes=boxes)
    items = read_all("photos", tmp_path / "party.npz")
    # those of one picture follow each other
    assert [item.detail if isinstance(item, Skip) else (item.file, item.person) for item in items] == [
        ("a.jpg", 0),
        ("a.jpg", 1),
        f"missing.jpg not in {tmp_path / 'party'}",
    ]
    np.testing.assert_array_equal([item.box for item in items[:2]], boxes[[0, 2]])
    assert items[0].provenance_2d.min() > 0
    assert items[2].reason == images.MISSING


def test_splits_by_name_divide_no_picture(tmp_path, read_all):
    files = [f"{i // 2}.jpg" for i in range(200)]
    write(tmp_path / "mine.npz", files, make_joints(200))
    parts = {part: read_all("photos", tmp_path / "mine.npz", split=part, images="none") for part in ("train", "val")}
    names = {part: {record.file for record in records} for part, records in parts.items()}
    assert sum(map(len, parts.values())) == 200
    assert not names["train"] & names["val"]
    assert 4 <= len(names["val"]) <= 20


@pytest.mark.parametrize(("count", "name"), [(16, ""), (33, ""), (17, "coco17"), (25, "body25")])
def test_joint_sets(tmp_path, read_all, count, name):
    joints = make_joints(2, count)
    write(tmp_path / "mine.npz", ["a.jpg", "b.jpg"], joints, **({"joint_set": np.array(name)} if name else {}))
    knee = {16: 1, 33: 26, 17: 14, 25: 10}[count]
    for i, record in enumerate(read_all("photos", tmp_path / "mine.npz", images="none")):
        np.testing.assert_array_equal(record.pose_2d[12], joints[i, knee, :2])


def test_unusable_people_are_counted(tmp_path, read_all):
    joints = make_joints(4)
    joints[1] = np.nan
    joints[2, 0, 0] = 1e9
    write(tmp_path / "mine.npz", ["a.jpg", "b.jpg", "c.jpg", ""], joints)
    items = read_all("photos", tmp_path / "mine.npz", images="none")
    reasons = sorted(item.reason for item in items if isinstance(item, Skip))
    assert reasons == sorted([people.NO_JOINT, photos.BAD_JOINTS, photos.NO_NAME])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"joints": np.zeros((2, 14, 3))}, "no array 'files'"),
        ({"files": np.array(["a"])}, "no array 'joints'"),
        ({"files": np.array([1, 2]), "joints": np.zeros((2, 14, 3))}, r"files must be \[n\] names"),
        ({"files": np.array(["a"]), "joints": np.zeros((2, 14, 3))}, "1 files and 2 people"),
        ({"files": np.array(["a"]), "joints": np.zeros((1, 14, 4))}, r"joints must be numbers \[n, J, 3\]"),
        ({"files": np.array(["a"]), "joints": np.array([[["x"] * 3]])}, r"joints must be numbers \[n, J, 3\]"),
        ({"files": np.array(["a"]), "joints": np.ones((1, 17, 3))}, "17 joints and no joint_set"),
        ({"files": np.array(["a"]), "joints": np.ones((1, 17, 3)), "joint_set": "lsp14"}, "lsp14 has 14"),
        ({"files": np.array(["a"]), "joints": np.ones((1, 14, 3)), "joint_set": "ours"}, "joint_set 'ours'; there are"),
        ({"files": np.array(["a"]), "joints": np.ones((1, 14, 3)), "boxes": np.ones((1, 3))}, "boxes must be"),
        ({"files": np.array([], str), "joints": np.ones((0, 14, 3))}, "no person"),
        ({"files": np.array(["a"], object), "joints": np.ones((1, 14, 3))}, "not an .npz of plain arrays"),
    ],
)
def test_files_of_another_format_are_errors(tmp_path, arrays, message):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=message):
        len(open_source("photos", tmp_path / "mine.npz", Options(images="none")))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00", b"text"])
def test_damaged_files_are_errors(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.npz: no \.npz archive, or damaged"):
        len(open_source("photos", tmp_path / "mine.npz", Options(images="none")))


def test_a_single_array_is_no_npz(tmp_path):
    with open(tmp_path / "mine.npz", "wb") as file:
        np.save(file, np.ones((2, 14, 3)))
    with pytest.raises(InputError, match=r"mine\.npz: no \.npz archive, or damaged"):
        len(open_source("photos", tmp_path / "mine.npz", Options(images="none")))


def test_missing_pictures_are_named(tmp_path):
    write(tmp_path / "mine_joints.npz", ["a.jpg"], make_joints(1))
    with pytest.raises(InputError, match=r"no images at .*mine, .*mine\.tar"):
        open_source("photos", tmp_path / "mine_joints.npz")
    with pytest.raises(InputError, match="no such file"):
        open_source("photos", tmp_path / "other.npz")


def test_real_photographs(pose3d_data, read_all):
    path = pose3d_data / "photos" / "lspet_val_joints.npz"
    if not path.exists():
        pytest.skip(f"no {path}")
    records = read_all("photos", path, verify=True)
    truth = np.load(path)["joints"]
    assert len(records) == len(truth) == 549
    inside = []
    for record, row in zip(records, truth):
        assert record.split == "val"
        assert (record.provenance_2d[[2, 3, 13]] == 2).tolist() == (row[[12, 8, 0], 2] == 1).tolist()
        labelled = record.pose_2d[record.provenance_2d == 2]
        inside += ((labelled >= 0) & (labelled <= record.image_size)).all(1).tolist()
    assert np.mean(inside) > 0.98
