"""The pose record: types, shapes, what makes one unfit, and the table that describes it."""

import dataclasses

import numpy as np
import pytest
from sources_for_tests import noise_record

from tfrecords import schema
from tfrecords.schema import PoseRecord
from tools.cli.errors import InputError


def test_features_and_record_name_the_same_fields():
    assert [feature.field for feature in schema.FEATURES] == [field.name for field in dataclasses.fields(PoseRecord)]
    assert len({feature.key for feature in schema.FEATURES}) == len(schema.FEATURES)


def test_an_empty_record_holds_the_absent_values():
    record = PoseRecord()
    for feature in schema.FEATURES:
        np.testing.assert_array_equal(getattr(record, feature.field), feature.absent())


def test_absent_arrays_are_not_shared():
    PoseRecord().root_3d[0] = 7
    assert np.isnan(PoseRecord().root_3d).all()


@pytest.mark.parametrize("field", [feature.field for feature in schema.FEATURES if feature.shape])
def test_wrong_shapes_are_named(field):
    shape = schema.BY_FIELD[field].shape
    with pytest.raises(InputError, match=rf"noise: .*{field} must be \[{shape[0]}.*\[{shape[0] - 1}"):
        noise_record(0, **{field: np.zeros((shape[0] - 1, *shape[1:]))})


def test_provenance_follows_the_numbers_unless_given():
    pose = np.zeros((17, 2))
    pose[4, 1] = np.nan
    record = PoseRecord(pose_2d=pose)
    assert record.provenance_2d.tolist() == [2] * 4 + [0] + [2] * 12
    assert record.provenance_2d.dtype == np.uint8
    assert not record.provenance_3d.any()
    made = PoseRecord(pose_2d=np.zeros((17, 2)), provenance_2d=[1] * 17)
    assert made.provenance_2d.tolist() == [1] * 17


def changed(**changes):
    record = noise_record(0)
    for field, (index, value) in changes.items():
        getattr(record, field)[index] = value
    return record


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (noise_record(0), ""),
        (noise_record(0, pose_2d=None), ""),
        (noise_record(0, pose_3d=None), ""),
        (noise_record(0, intrinsics=None), ""),
        (changed(pose_2d=(3, np.nan)), "joint neither finite nor marked as missing"),
        (changed(pose_3d=((3, 2), np.inf)), "joint neither finite nor marked as missing"),
        (changed(provenance_2d=(3, 0)), "joint neither finite nor marked as missing"),
        (changed(provenance_3d=(slice(None), 0)), "joint neither finite nor marked as missing"),
        (changed(pose_2d=(3, np.nan), provenance_2d=(3, 0)), ""),
        (noise_record(0, pose_2d=None, pose_3d=None), "no joint"),
        (noise_record(0, pose_2d=np.full((17, 2), np.nan), pose_3d=None), "no joint"),
        (changed(intrinsics=(0, 0)), "intrinsics are not four numbers with positive focal lengths"),
        (changed(intrinsics=(3, np.nan)), "intrinsics are not four numbers with positive focal lengths"),
        (noise_record(0, image=b"x"), "image without its format"),
    ],
)
def test_problem(record, problem):
    assert record.problem() == problem


def test_table_has_a_row_for_every_feature():
    rows = schema.table().splitlines()
    assert len(rows) == len(schema.FEATURES) + 2
    for feature in schema.FEATURES:
        assert any(row.startswith(f"| `{feature.key}` |") and feature.meaning in row for row in rows)


def test_docs_show_the_schema(repository):
    assert schema.table() in (repository / "docs" / "records.md").read_text(encoding="utf-8")
