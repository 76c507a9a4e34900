"""Trainings whose directory is an address: what they write there is what they write into a folder."""

import numpy as np
import pytest
import tensorflow as tf

from tools.files import remote, weights_folder
from tools.training import checkpoints, experiments
from tools.training.preemption import Position

SETTINGS = {"epochs": 3, "seed": 1}


def model_of(value):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(tf.keras.optimizers.Adam(0.1), "mse")
    model.build([None, 2])
    model.optimizer.build(model.trainable_variables)
    model.weights[0].assign([[value], [2.0 * value]])
    return model


def names(address):
    return sorted(path.name for path in remote.place(address).iterdir())


def test_checkpoints(address):
    model = model_of(1.0)
    saving = checkpoints.TrainingCheckpoints(address, model, keep=2)
    for epoch in range(1, 4):
        model.fit(np.ones((4, 2)), np.zeros((4, 1)), epochs=1, verbose=0)
        saving.save(epoch)
    assert checkpoints.saved_steps(address) == [2, 3]
    assert saving.save_midway(Position(3, 1, [], {})) == 3
    expected = model.weights[0].numpy()
    # What a killed process leaves goes when the next one begins.
    (remote.place(address) / "checkpoint-9.data-00000-of-00001").write_bytes(b"half")
    other = model_of(0.0)
    restoring = checkpoints.TrainingCheckpoints(address, other, keep=2)
    assert restoring.restore(3).epochs == 3
    np.testing.assert_array_equal(other.weights[0].numpy(), expected)
    assert names(address) == [
        "checkpoint",
        *(f"checkpoint-{step}.{part}" for step in (2, 3) for part in ("data-00000-of-00001", "index")),
    ]
    assert "checkpoint-3 is whole" in checkpoints.what_is_safe(address)
    checkpoints.discard_after(address, 2)
    assert checkpoints.saved_steps(address) == [2]
    assert "no checkpoint yet" in checkpoints.what_is_safe(address + "/none")


def test_directories(address):
    first, longer = (f"{address}/dropout_1/epochs_{epochs}/lr_1" for epochs in (3, 30))
    experiments.prepare(first, experiments.plan(first, SETTINGS, ["seed"]), SETTINGS)
    for name in ("checkpoint-7.index", "checkpoint-7.data-00000-of-00001"):
        (remote.place(first) / name).write_bytes(b"content")
    log = remote.place(first) / "log" / "train"
    log.mkdir(parents=True)
    (log / "events").write_bytes(b"curve")
    assert experiments.plan(first, SETTINGS, ["seed"]).start_step == 7
    with pytest.raises(experiments.InputError, match="seed was 1, is 2"):
        experiments.plan(first, {**SETTINGS, "seed": 2}, ["seed"])
    more = {**SETTINGS, "epochs": 30}
    plan = experiments.plan(longer, more, ["seed", "epochs"], extendable=True)
    assert (plan.start_step, plan.source) == (7, first)
    experiments.prepare(longer, plan, more)
    assert names(longer) == ["checkpoint-7.data-00000-of-00001", "checkpoint-7.index", "log", "train.json"]
    assert (remote.place(longer) / "log" / "train" / "events").read_bytes() == b"curve"
    anew = experiments.plan(longer, more, ["seed"], overwrite=True)
    experiments.prepare(longer, anew, more)
    assert names(longer) == ["train.json"]


def test_weights(address, tmp_path):
    values = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    for version in (1, 2):
        weights_folder.write(
            f"{address}/export", {"format": version}, values, add=lambda f: (f / "s.json").write_text("{}")
        )
    assert names(f"{address}/export") == ["model.json", "s.json", "weights.npz"]
    folder = remote.fetched(f"{address}/export")
    assert weights_folder.read_description(folder, 2) == {"format": 2}
    np.testing.assert_array_equal(weights_folder.read_variables(folder)["a/kernel"], values["a/kernel"])
