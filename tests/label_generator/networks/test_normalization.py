"""Row layouts and normalisation against NumPy over all rows at once."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from label_generator.networks import normalization
from label_generator.networks.normalization import Accumulator, Statistics, normalizers, statistics_of
from label_generator.stages import pose_rows
from tools.cli.errors import InputError

ROOT = 10


def rows_of(seed, n=200, coordinates=2):
    poses = np.random.default_rng(seed).normal(300, 80, (n, 17, coordinates))
    return pose_rows.to_rows(pose_rows.root_centred(poses), "planar")


def test_root_centred():
    poses = np.random.default_rng(0).normal(size=(4, 17, 3)).astype(np.float32)
    for centred in (pose_rows.root_centred(poses), pose_rows.root_centred(tf.constant(poses))):
        np.testing.assert_array_equal(centred, poses - poses[:, [ROOT]])


@pytest.mark.parametrize("coordinates", [2, 3])
@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
def test_layouts_are_the_released_ones(coordinates, leading):
    poses = np.arange(np.prod([*leading, 17 * coordinates])).reshape([*leading, 17, coordinates])
    for layout in pose_rows.LAYOUTS:
        rows = pose_rows.to_rows(poses, layout)
        assert rows.shape == (*leading, 17 * coordinates)
        for joint in range(17):
            for axis in range(coordinates):
                column = axis * 17 + joint if layout == "planar" else joint * coordinates + axis
                np.testing.assert_array_equal(rows[..., column], poses[..., joint, axis])
        np.testing.assert_array_equal(pose_rows.from_rows(rows, coordinates, layout), poses)
        tensor_rows = pose_rows.to_rows(tf.constant(poses), layout)
        np.testing.assert_array_equal(tensor_rows, rows)
        np.testing.assert_array_equal(pose_rows.from_rows(tensor_rows, coordinates, layout), poses)


@pytest.mark.parametrize("shape", [[None, 17, 3], [None, None, 17, 3]])
def test_layouts_in_graphs_of_unknown_batch(shape):
    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def there_and_back(poses):
        rows = pose_rows.to_rows(poses, "interleaved")
        return rows, pose_rows.from_rows(rows, 3, "interleaved")

    poses = np.random.default_rng(1).normal(size=[s or 4 for s in shape]).astype(np.float32)
    rows, back = there_and_back(poses)
    np.testing.assert_array_equal(rows, poses.reshape([*poses.shape[:-2], 51]))
    np.testing.assert_array_equal(back, poses)


@settings(max_examples=60, deadline=None)
@given(
    rows=arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-1e4, 1e4)),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_batches_give_what_all_rows_give(rows, cuts):
    gathered = Accumulator("planar", True)
    for batch in np.split(rows, sorted(min(c, len(rows)) for c in cuts)):
        gathered.update(batch)
    found = gathered.result()
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.std, rows.std(axis=0), atol=1e-7 * (1 + np.abs(rows).max()))
    assert found.count == len(rows)


def test_far_from_zero_nothing_cancels():
    """The sum of squares minus the square of the sum would have no correct digit here."""
    rows = np.random.default_rng(2).normal(size=(10_000, 2)) + 1e9
    gathered = Accumulator("planar", False)
    for batch in np.array_split(rows.astype(np.float64), 13):
        gathered.update(batch)
    np.testing.assert_allclose(gathered.result().std, (rows - 1e9).std(axis=0), rtol=1e-6)


def test_columns_that_do_not_vary_become_zero():
    rows = rows_of(3)
    rows[:, 4] = 0.1
    gathered = Accumulator("planar", True)
    for batch in np.array_split(rows, 7):
        gathered.update(batch)
    statistics = gathered.result()
    constant = [4, ROOT, 17 + ROOT]
    np.testing.assert_array_equal(np.flatnonzero(statistics.std == 0), constant)
    other = rows + 5
    for data in (other, tf.constant(other), other.astype(np.float32), tf.constant(other, tf.float32)):
        normal = statistics.normalize(data)
        assert normal.dtype == data.dtype
        np.testing.assert_array_equal(np.asarray(normal)[:, constant], np.zeros((200, 3)))
        back = np.asarray(statistics.unnormalize(normal))
        tolerance = 1e-4 if data.dtype == np.float32 or data.dtype == tf.float32 else 1e-9
        np.testing.assert_allclose(np.delete(back, constant, 1), np.delete(other, constant, 1), atol=tolerance)
        np.testing.assert_allclose(back[:, constant], np.tile([0.1, 0, 0], (200, 1)), atol=1e-7)


def test_normalised_training_rows_have_unit_columns():
    rows = rows_of(4)
    normal = np.delete(statistics_of(rows, "planar", True).normalize(rows), [ROOT, 17 + ROOT], axis=1)
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(normal.std(axis=0), 1, rtol=1e-12)


def test_side_by_side():
    left, right = rows_of(5), rows_of(6)
    both = normalization.concatenated([statistics_of(r, "planar", True) for r in (left, right)])
    whole = statistics_of(np.concatenate([left, right], axis=1), "planar", True)
    np.testing.assert_array_equal(both.mean, whole.mean)
    np.testing.assert_array_equal(both.std, whole.std)
    with pytest.raises(InputError, match="same layout"):
        normalization.concatenated([whole, statistics_of(left, "interleaved", True)])


def test_three_ways_to_use_statistics():
    train_input, train_output = (statistics_of(rows_of(s), "planar", True) for s in (7, 8))
    test_input, test_output = (statistics_of(rows_of(s), "planar", True) for s in (9, 10))
    everything = {"test_input": test_input, "test_output": test_output}

    by_train = normalizers("train", train_input, train_output, **everything)
    assert (by_train.input, by_train.truth, by_train.back) == (train_input, train_output, train_output)
    by_test = normalizers("test", train_input, train_output, **everything)
    assert (by_test.input, by_test.truth, by_test.back) == (test_input, test_output, train_output)

    raw = np.random.default_rng(11).normal(500, 100, (60, 34))
    by_input = normalizers("input", train_input, train_output, file_rows=raw)
    assert by_input.truth is by_input.back
    assert not by_input.input.centred
    np.testing.assert_allclose(by_input.input.mean, raw.mean(axis=0))
    expected = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(by_input.truth.normalize(raw), expected)
    expected[:, [10, 27]] = 0
    np.testing.assert_allclose(by_input.input.normalize(raw), expected)

    with pytest.raises(InputError, match="train, test, input"):
        normalizers("validation", train_input, train_output)
    with pytest.raises(InputError, match="'test' need test_input, test_output"):
        normalizers("test", train_input, train_output)
    wide = statistics_of(rows_of(12, coordinates=3), "planar", True)
    with pytest.raises(InputError, match="51 columns out"):
        normalizers("input", train_input, wide, file_rows=raw)
    with pytest.raises(InputError, match="the network reads 34"):
        normalizers("input", train_input, train_output, file_rows=raw[:, :33])


def test_saved_statistics_come_back_exactly(tmp_path):
    path = tmp_path / "statistics.json"
    saved = {
        "input": statistics_of(rows_of(13) / 3, "planar", True),
        "output": statistics_of(rows_of(14, coordinates=3) / 7, "interleaved", False),
    }
    normalization.save_statistics(path, saved)
    loaded = normalization.load_statistics(path)
    assert list(loaded) == ["input", "output"]
    for name, expected in saved.items():
        found = loaded[name]
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.std, expected.std)
        assert (found.layout, found.centred, found.count) == (expected.layout, expected.centred, expected.count)
    assert [p.name for p in tmp_path.iterdir()] == ["statistics.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "statistics.json"
    normalization.save_statistics(path, {"input": statistics_of(rows_of(15), "planar", True)})
    before = path.read_bytes()

    def disk_full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(InputError, match=r"statistics\.json: cannot be written: no space"):
        normalization.save_statistics(path, {"input": statistics_of(rows_of(16), "planar", True)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["statistics.json"]


def damaged(change):
    content = {"mean": [1.0, 2.0], "std": [1.0, 0.0], "layout": "planar", "centred": True, "count": 3}
    file = {"version": 1, "statistics": {"input": content}}
    change(file, content)
    return json.dumps(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a file of normalisation statistics"),
        (damaged(lambda f, c: f.update(version=2)), "version 2"),
        (damaged(lambda f, c: c.update(std=[1.0])), "one row each"),
        (damaged(lambda f, c: c.update(std=[1.0, -1.0])), "not negative"),
        (damaged(lambda f, c: c.update(mean=[1.0, float("nan")])), "finite"),
        (damaged(lambda f, c: c.update(mean=["a", "b"])), "'input'"),
        (damaged(lambda f, c: c.update(layout="diagonal")), "diagonal"),
        (damaged(lambda f, c: c.pop("count")), "exactly"),
    ],
)
def test_damaged_files_are_input_errors(tmp_path, text, message):
    path = tmp_path / "statistics.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        normalization.load_statistics(path)
    assert "statistics.json" in str(caught.value)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json"):
        normalization.load_statistics(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="planar, interleaved"):
        pose_rows.to_rows(np.zeros((1, 17, 2)), "diagonal")
    with pytest.raises(InputError, match="17 joints x 3"):
        pose_rows.from_rows(np.zeros((1, 34)), 3, "planar")
    with pytest.raises(InputError, match="no rows"):
        Accumulator("planar", True).result()
    gathered = Accumulator("planar", True)
    gathered.update(np.zeros((4, 2)))
    with pytest.raises(InputError, match="row 5"):
        gathered.update([[0, 0], [0, np.nan]])
    with pytest.raises(InputError, match="finite"):
        Statistics(np.array([np.inf]), np.array([1.0]), "planar", True, 1)
