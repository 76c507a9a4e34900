"""Batches for training: shares of sets, the same stream from any step, labels' quality, damaged pictures."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import augment, crop
from baseline_network.network import targets
from baseline_network.training import training_data
from baseline_network.training.training_data import BatchOptions, TrainingSet, shares
from tools.cli.errors import InputError


@pytest.mark.parametrize(
    ("batch_size", "ratio", "expected"),
    [
        (6, [1, 1], [3, 3]),
        (32, [3, 1], [24, 8]),
        (7, [1, 1], [4, 3]),
        (4, [1000, 1], [3, 1]),
        (3, [5, 1, 1], [1, 1, 1]),
        (10, [0.1, 0.2], [3, 7]),
    ],
)
def test_shares_are_whole_and_near_the_ratio(batch_size, ratio, expected):
    assert shares(batch_size, ratio) == expected


def test_impossible_shares_are_told():
    with pytest.raises(InputError, match="numbers above 0"):
        shares(4, [1, 0])
    with pytest.raises(InputError, match="3 sets need a picture each"):
        shares(2, [1, 1, 1])


@pytest.mark.slow
def test_two_workers_of_a_data_service_make_the_same_batches(pictured_records, data_service_of_two):
    sets = [
        TrainingSet(str(pictured_records / "train.tfrecord"), 3),
        TrainingSet(str(pictured_records / "test.tfrecord"), 2, varied=False),
    ]
    setup = BatchOptions(64, seed=7)
    make = functools.partial(training_data.make_batches, sets, setup, 3, (1, 5))
    read = data_service_of_two.read(make, 3).take(5).as_numpy_iterator()
    for batch, other in zip(taken(sets, setup, 3, 5, (1, 5)), read):
        assert batch.keys() == other.keys()
        for name, values in batch.items():
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def taken(sets, setup, start, count, rows=None):
    batches = training_data.make_batches(sets, setup, start, rows).take(count)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches]


def test_a_stream_goes_on_from_any_step_as_if_it_had_never_stopped(pictured_records):
    sets = [
        TrainingSet(str(pictured_records / "train.tfrecord"), 3),
        TrainingSet(str(pictured_records / "test.tfrecord"), 2, varied=False),
    ]
    lively = augment.Augmentation(shift=0.1, contrast=0.3, grey_share=0.2, noise=9.0, covered_share=0.5)
    setup = BatchOptions(64, seed=7, augmentation=lively)
    whole = taken(sets, setup, 0, 13)
    for start in (4, 12):
        for first, second in zip(whole[start:], taken(sets, setup, start, 13 - start)):
            for name, value in first.items():
                np.testing.assert_array_equal(second[name], value, err_msg=name)
    other = taken(sets, dataclasses.replace(setup, seed=8), 0, 1)[0]
    assert np.abs(other["images"] - whole[0]["images"]).mean() > 1


@pytest.mark.parametrize("rows", [(0, 4), (4, 8), (2, 7), (5, 6)])
def test_rows_of_a_batch_are_the_same_made_alone(pictured_records, rows):
    """What every worker of several does; the sets' border is between rows 4 and 5."""
    sets = [
        TrainingSet(str(pictured_records / "train.tfrecord"), 5),
        TrainingSet(str(pictured_records / "test.tfrecord"), 3),
    ]
    lively = augment.Augmentation(shift=0.1, contrast=0.3, grey_share=0.5, noise=9.0, covered_share=0.8)
    setup = BatchOptions(64, seed=7, augmentation=lively)
    for whole, part in zip(taken(sets, setup, 3, 2), taken(sets, setup, 3, 2, rows)):
        assert whole.keys() == part.keys()
        for name, value in part.items():
            assert len(value) == rows[1] - rows[0]
            np.testing.assert_allclose(value, whole[name][rows[0] : rows[1]], rtol=1e-6, atol=1e-4, err_msg=name)


def test_what_is_not_varied_is_the_plain_crop(pictured_records, rendered_people):
    (batch,) = taken(
        [TrainingSet(str(pictured_records / "test.tfrecord"), 8, varied=False)], BatchOptions(64, 1.25), 0, 1
    )
    crops = []
    for record in rendered_people[32:]:
        square = crop.box_squares(tf.constant(record.box[None]), 1.25)
        transform = crop.crop_transforms(*square, 64)
        crops.append(crop.crop_files(tf.constant([record.image]), transform, 64)[0].numpy())
    # Shuffled, so each must be one of them.
    nearest = [min(range(8), key=lambda n: np.abs(crops[n] - image).max()) for image in batch["images"]]
    assert sorted(nearest) == list(range(8))
    assert max(np.abs(crops[n] - image).max() for n, image in zip(nearest, batch["images"])) < 1e-3
    assert batch["joint_mask"].all()
    assert batch["depth_mask"].all()
    assert (batch["depth_weights"] == 1).all()


def test_quality_weighs_and_blanks_depths(rendered_people, write_pictured, tmp_path):
    qualities = [0.2, 0.5, 0.9, np.nan]
    records = [dataclasses.replace(r, quality=q) for r, q in zip(rendered_people, qualities)]
    records.append(dataclasses.replace(records[2], pose_3d=None, provenance_3d=None, quality=np.nan))
    file = write_pictured(tmp_path / "labels.tfrecord", records)
    (batch,) = taken([TrainingSet(file, 5, varied=False)], BatchOptions(64, quality_power=2.0, min_quality=0.4), 0, 1)
    order = np.argsort(batch["depth_weights"])
    np.testing.assert_allclose(batch["depth_weights"][order], [0.04, 0.25, 0.81, 1, 1], rtol=1e-5)
    with_depth = batch["depth_mask"].any(1)
    assert not with_depth[order[0]]
    assert with_depth[order[1:3]].all()
    assert sorted(with_depth[order[3:]]) == [False, True]
    assert batch["joint_mask"].all()


def test_subpixel_heatmaps_are_made_where_asked_for(pictured_records):
    sets = [TrainingSet(str(pictured_records / "test.tfrecord"), 8, varied=False)]
    (plain,), (exact,) = (taken(sets, BatchOptions(64, subpixel=on), 0, 1) for on in (False, True))
    usable = tf.constant(plain["joint_mask"])
    for batch, on in ((plain, False), (exact, True)):
        expected = targets.heatmaps(tf.constant(batch["points"]) / 4, usable, 16, on)
        np.testing.assert_allclose(batch["heatmaps"], expected, atol=1e-6)
    assert np.abs(plain["heatmaps"] - exact["heatmaps"]).max() > 0.05


@pytest.mark.parametrize("damage", ["cut", "text", "none"])
def test_damaged_pictures_are_named(damage, rendered_people, write_pictured, tmp_path):
    broken = {"cut": rendered_people[1].image[:300], "text": b"not a picture at all", "none": b""}[damage]
    kept = "jpeg" if broken else ""
    records = [rendered_people[0], dataclasses.replace(rendered_people[1], image=broken, image_format=kept)]
    file = write_pictured(tmp_path / "broken.tfrecord", records)
    expected = r"broken\.tfrecord: record 1.*" + ("has no picture" if damage == "none" else "can't be decoded")
    with pytest.raises(InputError, match=expected), training_data.named_pictures([file]):
        taken([TrainingSet(file, 2)], BatchOptions(64), 0, 1)
    assert training_data.first_bad_picture(write_pictured(tmp_path / "good.tfrecord", rendered_people[:2])) == ""


def test_records_without_any_picture_are_told_before_training(rendered_people, write_pictured, tmp_path):
    bare = [dataclasses.replace(record, image=b"", image_format="") for record in rendered_people[:2]]
    with pytest.raises(InputError, match=r"--train_data=.*no pictures; convert with --images"):
        training_data.check_first(write_pictured(tmp_path / "bare.tfrecord", bare), "train_data")
