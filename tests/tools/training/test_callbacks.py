"""Callbacks in a real fit: figures reach TensorBoard, pictures come when due, a diverged state is never saved."""

import glob

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import callbacks, experiments
from tools.training.checkpoints import saved_steps
from tools.training.session import TrainingDevices, TrainingJob, TrainingSession


def batches(values=1.0):
    x = np.full((4, 2), values, np.float32)
    return lambda start: tf.data.Dataset.from_tensors((x, x[:, :1])).repeat()


def job(values=1.0, draw=None):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=[2])])
    model.compile(tf.keras.optimizers.legacy.Adam(0.1), "mse")
    seen = []

    def evaluate(epoch):
        seen.append(epoch)
        return {"val_mpjpe_mm": 10.0 * epoch}

    return TrainingJob(model, batches(values), 4, 3, evaluate, draw), seen


def run(folder, made, epochs=3, start=0, **options):
    devices = TrainingDevices(tf.distribute.get_strategy(), "float32")
    session = TrainingSession(devices, str(folder), experiments.Plan(start, False, ""), {"lr": 0.1}, epochs, **options)
    return session.train(made)


def events(folder):
    found = []
    for file in glob.glob(f"{folder}/**/*.tfevents.*", recursive=True):
        for event in tf.compat.v1.train.summary_iterator(file):
            found += [(value.tag, event.step) for value in event.summary.value]
    return found


def test_every_epoch_is_evaluated_saved_and_shown(tmp_path):
    pictures = []

    def draw(epoch):
        pictures.append(epoch)
        return {"poses": np.zeros((8, 8, 3), np.uint8)}

    made, seen = job(draw=draw)
    figures = run(tmp_path, made, pictures_every=2)
    assert seen == [0, 1, 2]
    assert pictures == [0, 2]
    assert saved_steps(str(tmp_path)) == [3, 6, 9]
    assert figures["val_mpjpe_mm"] == 20.0
    assert np.isfinite(figures["loss"])
    shown = events(tmp_path / "log")
    assert {("epoch_mpjpe_mm", epoch) for epoch in range(3)} <= set(shown)
    assert {("poses", 0), ("poses", 2)} <= set(shown)
    # Finished: only evaluated.
    made, seen = job()
    assert run(tmp_path, made, start=9) == {"val_mpjpe_mm": 20.0}
    assert seen == [2]


def test_a_state_with_an_infinite_loss_is_not_saved(tmp_path):
    made, _ = job(values=np.inf)
    with pytest.raises(InputError, match="epoch 1: the loss is nan"):
        run(tmp_path, made)
    assert saved_steps(str(tmp_path)) == []


def test_profile_is_two_batches():
    assert callbacks.profiled_batches("") == 0
    assert callbacks.profiled_batches("3,5") == (3, 5)
    for bad in ("3", "5,3", "a,b", "1,2,3"):
        with pytest.raises(InputError, match=f"--profile={bad}"):
            callbacks.profiled_batches(bad)
