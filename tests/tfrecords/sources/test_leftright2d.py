"""The released LeftRight2D arrays."""

import numpy as np
import pytest

from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli.errors import InputError


def planar(poses):
    return np.concatenate([poses[..., 0], poses[..., 1]], axis=1)


@pytest.fixture
def views(bodies):
    """views(frames, seed): left and right pixels [frames, 17, 2]."""

    def make(frames, seed):
        points = bodies(frames, seed).astype(np.float64)[..., [0, 2, 1]] * [1, -1, 1] + [0, 900, 5000]
        return tuple(
            (points + [shift, 0, 0])[..., :2] / points[..., 2:] * [1145.0, 1143.0] + [512, 515] for shift in (0, 500)
        )

    return make


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def read(path, **options):
    source = open_source("leftright2d", path, Options(**options))
    return list(source.records(range(len(source))))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left/9/Walking/Walking 1.npy", "right/9/Walking/Walking 1.npy"),
        ("2d_left/9/Walking/Walking 1.npy", "2d_right/9/Walking/Walking 1.npy"),
        ("9/Walking/Walking 1_left.npy", "9/Walking/Walking 1_right.npy"),
    ],
)
def test_pairs_by_subject(tmp_path, views, left, right):
    left_2d, right_2d = views(5, 1)
    save(tmp_path / left, planar(left_2d))
    save(tmp_path / right, planar(right_2d))
    records = read(tmp_path, split="test")
    assert len(records) == 5
    for frame, record in enumerate(records):
        assert record.problem() == ""
        assert (record.subject, record.action, record.split, record.frame) == ("S9", "Walking", "test", frame)
        assert record.file == left
        np.testing.assert_array_equal(record.pose_2d, left_2d[frame].astype(np.float32))
        np.testing.assert_array_equal(record.right_2d, right_2d[frame].astype(np.float32))
    with pytest.raises(InputError, match="nothing in split 'train'; there is S9"):
        read(tmp_path, split="train")


def test_single_arrays_of_a_split(tmp_path, views):
    for seed, split in enumerate(("train", "test")):
        left_2d, right_2d = views(4 + seed, seed)
        save(tmp_path / f"{split}_left.npy", planar(left_2d))
        save(tmp_path / f"{split}_right.npy", planar(right_2d))
    assert len(read(tmp_path)) == 9
    assert [record.frame for record in read(tmp_path, split="train")] == [0, 1, 2, 3]
    assert {record.split for record in read(tmp_path, split="test")} == {"test"}


def test_interleaved_rows(tmp_path, views):
    left_2d, right_2d = views(4, 0)
    save(tmp_path / "left.npy", left_2d.reshape(4, 34))
    save(tmp_path / "right.npy", right_2d.reshape(4, 34))
    with pytest.raises(InputError, match="give --layout=interleaved"):
        read(tmp_path)
    np.testing.assert_array_equal(read(tmp_path, layout="interleaved")[2].right_2d, right_2d[2].astype(np.float32))


def test_what_is_wrong_is_named(tmp_path, views):
    with pytest.raises(InputError, match=r"no \.npy file in it"):
        read(tmp_path)
    left_2d, right_2d = views(4, 0)
    left_2d[1, 3] = np.inf
    save(tmp_path / "a_left.npy", planar(left_2d))
    with pytest.raises(InputError, match=r"a_left\.npy: its right-view 2D partner is missing"):
        read(tmp_path)
    save(tmp_path / "a_right.npy", planar(right_2d)[:3])
    with pytest.raises(InputError, match=r"different numbers of rows: 4 in .*a_left\.npy, 3 in .*a_right\.npy"):
        read(tmp_path)
    save(tmp_path / "a_right.npy", planar(right_2d))
    assert [isinstance(item, Skip) for item in read(tmp_path)] == [False, True, False, False]
    save(tmp_path / "b_3d.npy", np.zeros((4, 51)))
    with pytest.raises(InputError, match=r"b_3d\.npy: its left-view 2D partner is missing"):
        read(tmp_path)
    save(tmp_path / "b_left.npy", planar(right_2d))
    save(tmp_path / "b_right.npy", planar(right_2d))
    with pytest.raises(InputError, match=r"b_3d\.npy: 3D poses; read such a folder with --source=npy_tree"):
        read(tmp_path)
