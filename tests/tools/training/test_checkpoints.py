"""Checkpoints of a small model: restored exactly, cleaned up after kills, refused when they don't fit."""

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.training.checkpoints import TrainingCheckpoints, discard_after, saved_steps


def model_of(width=3, optimizer=None):
    model = tf.keras.Sequential([tf.keras.layers.Dense(width, input_shape=[4]), tf.keras.layers.Dense(1)])
    model.compile(optimizer or tf.keras.optimizers.legacy.Adam(0.01), "mse")
    return model


def fit(model, steps):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    for _ in range(steps):
        model.train_on_batch(x, x[:, :1])


def state(model):
    optimizer = model.optimizer
    variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    return [v.numpy() for v in [*model.weights, *variables]]


@pytest.mark.parametrize("optimizer", [tf.keras.optimizers.legacy.Adam, tf.keras.optimizers.Adam])
def test_model_optimizer_and_epoch_come_back(tmp_path, optimizer):
    model = model_of(optimizer=optimizer(0.01))
    saved = TrainingCheckpoints(str(tmp_path), model)
    fit(model, 5)
    assert saved.save(1).endswith("checkpoint-5")
    expected = state(model)
    fit(model, 5)
    saved.save(2)
    assert saved_steps(str(tmp_path)) == [5, 10]
    other = model_of(optimizer=optimizer(0.01))
    assert TrainingCheckpoints(str(tmp_path), other).restore(5).epochs == 1
    for one, two in zip(expected, state(other)):
        np.testing.assert_array_equal(one, two)


def test_only_the_last_are_kept_also_over_a_restart(tmp_path):
    model = model_of()
    saved = TrainingCheckpoints(str(tmp_path), model, keep=3)
    for epoch in range(1, 6):
        fit(model, 1)
        saved.save(epoch)
    assert saved_steps(str(tmp_path)) == [3, 4, 5]
    again = TrainingCheckpoints(str(tmp_path), model, keep=3)
    fit(model, 1)
    again.save(6)
    assert saved_steps(str(tmp_path)) == [4, 5, 6]


def test_what_a_killed_process_left_is_cleaned_up(tmp_path):
    model = model_of()
    saved = TrainingCheckpoints(str(tmp_path), model)
    fit(model, 1)
    saved.save(1)
    # Killed while writing checkpoint 2; and, once, between writing one and listing it.
    (tmp_path / "checkpoint-2.data-00000-of-00001").write_bytes(b"half")
    (tmp_path / "checkpoint-3_temp").mkdir()
    (tmp_path / "checkpoint").unlink()
    again = TrainingCheckpoints(str(tmp_path), model, keep=1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint", "checkpoint-1.data-00000-of-00001", "checkpoint-1.index"]
    fit(model, 1)
    again.save(2)
    assert saved_steps(str(tmp_path)) == [2]


def test_other_workers_leave_nothing_behind(tmp_path):
    model = model_of()
    saved = TrainingCheckpoints(str(tmp_path), model, chief=False)
    fit(model, 1)
    path = saved.save(1)
    assert not path.startswith(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_discarding_later_checkpoints_leaves_the_others_listed(tmp_path):
    model = model_of()
    saved = TrainingCheckpoints(str(tmp_path), model)
    for epoch in (1, 2, 3):
        fit(model, 1)
        saved.save(epoch)
    discard_after(str(tmp_path), 2)
    assert saved_steps(str(tmp_path)) == [1, 2]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("checkpoint-2")
    discard_after(str(tmp_path), 0)
    assert not list(tmp_path.iterdir())


def test_checkpoints_that_do_not_fit_are_named(tmp_path):
    model = model_of()
    saved = TrainingCheckpoints(str(tmp_path), model)
    fit(model, 1)
    saved.save(1)
    with pytest.raises(InputError, match=r"checkpoint-7: no such checkpoint; there are 1"):
        saved.restore(7)
    with pytest.raises(InputError, match="checkpoint-1: does not fit this network, or is damaged"):
        TrainingCheckpoints(str(tmp_path), model_of(width=5)).restore(1)
    data = tmp_path / "checkpoint-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(InputError, match="checkpoint-1: does not fit this network, or is damaged"):
        TrainingCheckpoints(str(tmp_path), model_of()).restore(1)
