"""Training poses of the canonical recipe in memory and in temporary files, against the records and each other."""

import numpy as np
import pytest
from people_for_tests import moving, person

from label_generator.training import canonical_training, level_poses, skeletons
from label_generator.training.canonical_training import CanonicalSetup
from tfrecords import reader
from tfrecords.schema import PoseRecord
from tfrecords.storage import example, framing
from tools.cli.errors import InputError


def level(z_up):
    return np.stack([z_up[..., 0], -z_up[..., 2], z_up[..., 1]], -1).astype(np.float32)


def write(path, records):
    with framing.RecordFile(path, False) as file:
        for record in records:
            file.write(example.encode(record))
    return str(path)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two people of several sequences, one of them synthetic, with records between that lack a joint."""
    poses = level(np.concatenate([moving(person(), 90, spread_mm=5.0), moving(person(thigh=480), 60, 1, 5.0)]))
    poses -= poses[:, :1]
    poses[5::17, 3] = np.nan
    made = [
        PoseRecord(
            dataset="synthetic" if number >= 90 else "captured",
            subject="S2" if number >= 90 else "S10",
            sequence=f"walk {number // 20}",
            camera="level",
            pose_3d=pose,
            root_3d=np.float32([0, -900 - number, 0]),
        )
        for number, pose in enumerate(poses)
    ]
    return write(tmp_path_factory.mktemp("level") / "records.tfrecord", made)


def test_poses_are_those_of_the_records(records):
    train = level_poses.load_level_poses(records)
    arrays = reader.load_arrays(records, ["pose_3d", "root_3d", "subject", "sequence"])
    whole = np.isfinite(arrays["pose_3d"]).all((1, 2))
    assert train.left_out == np.count_nonzero(~whole) == 9
    np.testing.assert_array_equal(train.poses, arrays["pose_3d"][whole])
    np.testing.assert_array_equal(train.heights, -arrays["root_3d"][whole, 1])
    names = [f"{a}/{b}" for a, b in zip(arrays["subject"][whole], arrays["sequence"][whole])]
    np.testing.assert_array_equal(train.sequences, np.unique(names, return_inverse=True)[1])
    assert train.synthetic.sum() == np.count_nonzero(whole[90:])
    expected = skeletons.library(train.poses, np.where(train.synthetic, -1, train.sequences))
    np.testing.assert_array_equal(train.library, expected)


def test_poses_in_files_give_the_same_batches(records, monkeypatch):
    monkeypatch.setattr(level_poses, "_BLOCK", 37)
    setup = CanonicalSetup("direct", batch_size=32, seed=3, rarity=1.0)
    expected, stored = (level_poses.load_level_poses(records, memory) for memory in (None, 1000))
    assert (expected.is_on_disk, stored.is_on_disk) == (False, True)
    assert len(stored) == len(expected)
    np.testing.assert_array_equal(np.concatenate(list(stored.blocks(50))), expected.poses)
    numbers = np.array([7, 0, 140, 7])
    for got, table in zip(stored.take(numbers), (expected.poses, expected.heights, expected.library)):
        np.testing.assert_array_equal(got, table[numbers])
    theirs, mine = (canonical_training.view_batches(poses, setup, 5).take(3) for poses in (expected, stored))
    for ours, others in zip(mine.as_numpy_iterator(), theirs.as_numpy_iterator()):
        assert ours.keys() == others.keys()
        for name, values in others.items():
            np.testing.assert_array_equal(ours[name], values, err_msg=name)


def test_a_person_of_many_poses_is_measured_on_some(records, monkeypatch):
    monkeypatch.setattr(level_poses, "_MEASURED", 40)
    some, whole = level_poses.load_level_poses(records).library, skeletons.library
    train = level_poses.load_level_poses(records)
    far = np.linalg.norm(some - whole(train.poses, np.where(train.synthetic, -1, train.sequences)), axis=-1)
    assert 0 < far.max() < 10


def test_records_of_a_camera_are_refused(tmp_path):
    pose, root = np.zeros((17, 3), np.float32), np.zeros(3, np.float32)
    seen = write(tmp_path / "seen.tfrecord", [PoseRecord(camera="front", pose_3d=pose, root_3d=root)])
    with pytest.raises(InputError, match=r"poses of camera 'front', but the canonical recipe"):
        level_poses.load_level_poses(seen)
    floating = write(tmp_path / "floating.tfrecord", [PoseRecord(camera="level", pose_3d=pose)])
    with pytest.raises(InputError, match="no record has a whole pose_3d and its root_3d"):
        level_poses.load_level_poses(floating)
