"""The released 2D-3D folder."""

import numpy as np
import pytest

from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError

CAMERA = (1145.049, 1143.781, 512.0, 515.0)


def planar(poses):
    return np.concatenate([poses[..., axis] for axis in range(poses.shape[2])], axis=1)


@pytest.fixture
def points(bodies):
    return lambda frames, seed: bodies(frames, seed).astype(np.float64)[..., [0, 2, 1]] * [1, -1, 1] + [0, 900, 5000]


def project(points):
    return points[..., :2] / points[..., 2:] * CAMERA[:2] + CAMERA[2:]


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@pytest.fixture
def folder(tmp_path, points):
    root = tmp_path / "2D-3D"
    for seed, (part, name) in enumerate(
        [("H36m/train", "1/Walking"), ("H36m/train", "5/Eating"), ("H36m/test", "9/Walking"), ("Unity", "unity_train")]
    ):
        poses = points(6, seed)
        if part == "Unity":
            save(root / part / f"{name}_2d.npy", planar(project(poses)))
            save(root / part / f"{name}_3d.npy", planar(poses))
        else:
            save(root / part / "2d" / f"{name}.npy", planar(project(poses)))
            save(root / part / "3d" / f"{name}.npy", planar(poses))
    return root


def read(path, **options):
    source = open_source("unity", path, Options(**options))
    return list(source.records(range(len(source))))


def test_every_array_reads_back(folder, points):
    records = read(folder.parent)
    assert len(records) == 24
    sequences = ["H36m/train/1/Walking", "H36m/train/5/Eating", "H36m/test/9/Walking", "Unity/unity_train"]
    assert [record.sequence for record in records[::6]] == sequences
    assert [record.subject for record in records[::6]] == ["S1", "S5", "S9", ""]
    assert [record.split for record in records[::6]] == ["train", "train", "test", "train"]
    for i, record in enumerate(records):
        poses = points(6, i // 6)[i % 6]
        assert record.problem() == ""
        np.testing.assert_array_equal(record.pose_2d, project(poses).astype(np.float32))
        np.testing.assert_array_equal(record.pose_3d, (poses - poses[10]).astype(np.float32))
        np.testing.assert_array_equal(record.root_3d, poses[10].astype(np.float32))
    assert records[-1].file == "Unity/unity_train_2d.npy"


def test_splits_share_no_subject(folder):
    train, test = read(folder, split="train"), read(folder, split="test")
    assert (len(train), len(test)) == (18, 6)
    assert {record.subject for record in train} & {record.subject for record in test} == set()
    (folder / "H36m/test/2d/1").mkdir()
    (folder / "H36m/test/3d/1").mkdir()
    for kind in ("2d", "3d"):
        save(folder / f"H36m/test/{kind}/1/b.npy", np.load(folder / f"H36m/train/{kind}/1/Walking.npy"))
    with pytest.raises(InputError, match="subject S1 is in H36m/train and in H36m/test"):
        read(folder, split="test")


def test_one_part_alone(folder):
    assert len(read(folder / "Unity")) == 6
    assert len(read(folder / "H36m" / "test", split="test")) == 6
    with pytest.raises(InputError, match="nothing in split 'test'"):
        read(folder / "Unity", split="test")


def test_3d_alone_is_projected_when_a_camera_is_given(tmp_path, points):
    poses = points(5, 0)
    save(tmp_path / "unity_train.npy", planar(poses))
    record = read(tmp_path)[3]
    assert np.isnan(record.pose_2d).all()
    record = read(tmp_path, intrinsics=CAMERA, baseline_mm=500.0)[3]
    np.testing.assert_allclose(record.pose_2d, project(poses)[3], atol=1e-3)
    np.testing.assert_allclose(record.right_2d, project(poses + [500, 0, 0])[3], atol=1e-3)
    np.testing.assert_allclose(record.intrinsics, CAMERA)


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_a_missing_partner_is_named(folder, kind):
    (folder / f"Unity/unity_train_{kind}.npy").unlink()
    other = {"2d": "unity_train_3d.npy: its left-view 2D", "3d": "unity_train_2d.npy: its 3D"}[kind]
    with pytest.raises(InputError, match=f"{other} partner is missing"):
        read(folder)


def test_wrong_inputs(tmp_path, folder):
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.npy file in it"):
        read(tmp_path / "empty")
    save(folder / "Unity/unity-train.3d.npy", np.load(folder / "Unity/unity_train_3d.npy"))
    with pytest.raises(InputError, match="3D of the same poses is in"):
        read(folder)
