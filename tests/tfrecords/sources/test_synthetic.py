"""The synthetic source: records that do not depend on how they are read, and say what they are."""

import numpy as np
import pytest

from tfrecords import schema
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli.errors import InputError

BLOCK = synthetic_poses.BLOCK


def opened(**options):
    return open_source("synthetic", "", Options(**options))


def test_record_i_is_the_same_in_every_reading():
    source = opened(count=3 * BLOCK, seed=5)
    numbers = [0, 3, BLOCK - 1, BLOCK, BLOCK + 7, 2 * BLOCK + 1]
    together = list(source.records(numbers))
    assert [record.frame for record in together] == numbers
    longer = opened(count=10 * BLOCK, seed=5)
    for number, record in zip(numbers, together):
        (alone,) = longer.records(np.array([number]))
        for feature in schema.FEATURES:
            np.testing.assert_array_equal(getattr(alone, feature.field), getattr(record, feature.field))


def test_length_is_the_count_asked_for():
    assert len(opened(count=777)) == 777


@pytest.mark.parametrize("style", ["h36m", "wild"])
def test_geometry_of_a_record(style):
    """Left and right pixels follow from root, pose and intrinsics by the pinhole formula, in a loop."""
    for record in opened(cameras_style=style, baseline_mm=400.0).records(range(0, 300, 30)):
        fx, fy, cx, cy = record.intrinsics.astype(float)
        assert record.pose_3d[10].tolist() == [0, 0, 0]
        for joint in range(17):
            x, y, z = (record.pose_3d[joint] + record.root_3d).astype(float)
            np.testing.assert_allclose(record.pose_2d[joint], [fx * x / z + cx, fy * y / z + cy], atol=2e-3)
            np.testing.assert_allclose(record.right_2d[joint], [fx * (x + 400) / z + cx, fy * y / z + cy], atol=2e-3)
        assert record.problem() == ""
        assert record.camera_kind == schema.CALIBRATED
        assert (record.provenance_2d == 2).all()
        assert (record.provenance_3d == 2).all()


def test_head_is_above_feet_in_pictures_of_upright_people():
    records = [r for r in opened(count=BLOCK).records(range(BLOCK)) if r.action in ("walking", "standing")]
    assert len(records) > 100
    assert all(record.pose_2d[0, 1] < record.pose_2d[[13, 16], 1].min() for record in records)


def test_given_intrinsics_replace_the_cameras():
    plain, given = (
        next(iter(opened(**options).records([4]))) for options in ({}, {"intrinsics": (600.0, 610.0, 320.0, 240.0)})
    )
    np.testing.assert_array_equal(given.pose_3d, plain.pose_3d)
    assert given.camera_kind == schema.GIVEN
    x, y, z = given.root_3d.astype(float)
    np.testing.assert_allclose(given.pose_2d[10], [600 * x / z + 320, 610 * y / z + 240], atol=1e-3)


def test_without_baseline_there_is_no_right_view():
    (record,) = opened(baseline_mm=0.0).records([0])
    assert np.isnan(record.right_2d).all()


def test_splits_and_seeds_share_no_pose_and_no_subject():
    pools = {
        (split, seed): list(opened(split=split, seed=seed).records(range(64)))
        for split in ("train", "val", "test")
        for seed in (0, 1)
    }
    subjects = {split: {r.subject for r in records} for (split, seed), records in pools.items() if seed == 0}
    assert not subjects["train"] & subjects["val"]
    assert not subjects["val"] & subjects["test"]
    rows = np.stack([record.pose_3d for records in pools.values() for record in records]).reshape(-1, 51)
    assert len(np.unique(rows.round(3), axis=0)) == len(rows)


@pytest.mark.parametrize(
    "options", [{"count": 0}, {"seed": -1}, {"cameras_style": "drone"}, {"distort": True}, {"split": "all"}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        opened(**options)


def test_a_block_is_made_once_for_many_small_shards(monkeypatch):
    made = []
    make_block = synthetic_poses.make_block
    monkeypatch.setattr(synthetic_poses, "make_block", lambda *a, **k: made.append(a) or make_block(*a, **k))
    source = open_source("synthetic", "", Options(count=40))
    one_by_one = [next(source.records([number])) for number in range(40)]
    at_once = list(open_source("synthetic", "", Options(count=40)).records(range(40)))
    assert len(made) == 2
    for first, second in zip(one_by_one, at_once):
        np.testing.assert_array_equal(first.pose_2d, second.pose_2d)
