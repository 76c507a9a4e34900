"""Callbacks in a real fit: figures reach TensorBoard, pictures come when due, a diverged state is never saved."""

import dataclasses
import functools
import glob
import re

import numpy as np
import pytest
import tensorflow as tf
import tqdm
from tensorboard.plugins.hparams import plugin_data_pb2 as hparams_pb2

from tools.cli import progress
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
    settings = {"lr": 0.1, "threads": 2, "train_data": "records", "mix": [3, 1]}
    plan = experiments.Plan(start, False, "")
    session = TrainingSession(devices, str(folder), plan, settings, epochs, decisive=("lr", "mix"), **options)
    return session.train(made)


def events(folder):
    """(tag, step) of everything that was written."""
    found = []
    for file in glob.glob(f"{folder}/**/*.tfevents.*", recursive=True):
        for event in tf.compat.v1.train.summary_iterator(file):
            found += [(value.tag, event.step) for value in event.summary.value]
    return found


def hyper_parameters(folder):
    """What TensorBoard's HParams tab shows of a training."""
    for file in glob.glob(f"{folder}/*.tfevents.*"):
        for event in tf.compat.v1.train.summary_iterator(file):
            for value in event.summary.value:
                if value.tag == "_hparams_/session_start_info":
                    content = value.metadata.plugin_data.content
                    shown = hparams_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
                    return {name: getattr(one, one.WhichOneof("kind")) for name, one in shown.items()}
    raise AssertionError("no hyper-parameters")


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
    # Settings that decide the weights, and the records; not how fast it was.
    assert hyper_parameters(tmp_path / "log") == {"lr": 0.1, "train_data": "records", "mix": "[3, 1]"}
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
    devices = TrainingDevices(tf.distribute.get_strategy(), "float32", profiled=True)
    assert devices.steps_per_execution(10) == 1  # otherwise the profile has no steps
    assert dataclasses.replace(devices, profiled=False).steps_per_execution(10) == 10


class Steps:
    """Calls a `StepReports` as Keras does in epochs of so many steps; the loss of step n is 1/n."""

    def __init__(self, folder, steps_per_epoch, **options):
        self.report = callbacks.StepReports(str(folder), steps_per_epoch, 3, **options)
        optimizer = tf.keras.optimizers.legacy.SGD()
        optimizer.iterations  # noqa: B018 (is created by being looked at)
        self.report.set_model(tf.keras.Sequential())
        self.report.model.optimizer = optimizer

    def epoch(self, number, steps):
        self.report.on_epoch_begin(number)
        for batch, step in enumerate(steps):
            self.report.model.optimizer.iterations.assign(step)
            self.report.on_train_batch_end(batch, {"loss": 1 / step})
        self.report.on_epoch_end(number)


def test_the_loss_of_steps_is_a_curve_with_a_point_every_few(tmp_path, trainings):
    steps = Steps(tmp_path, 5, every_steps=4)
    steps.epoch(0, range(1, 6))
    steps.epoch(1, range(6, 11))
    assert trainings.scalars(tmp_path)["batch_loss"] == pytest.approx({4: 1 / 4, 8: 1 / 8})


def test_a_line_a_minute_says_how_far_an_epoch_is(tmp_path, capsys, monkeypatch):
    """Not on a terminal: one line each LINE_EVERY_SECONDS; the first step, which waits for the graph, is left out."""
    clock = iter([0.0, 100.0, *(100.0 + progress.LINE_EVERY_SECONDS * n for n in (0.5, 1.1, 1.5, 2.2))])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    Steps(tmp_path, 1000).epoch(1, [1001, 1002, 1003, 1004, 1005])
    lines = capsys.readouterr().err.splitlines()
    pattern = r"epoch 2 of 3, step (\d+) of 1,000, loss 0\.000\d+, (.*) steps a second, (.*) of this epoch left"
    found = [re.fullmatch(pattern, line).groups() for line in lines]
    assert [int(place) for place, *_ in found] == [2, 4]
    rate = 3 / (1.5 * progress.LINE_EVERY_SECONDS)  # steps 2 to 4
    assert found[1][1:] == (f"{rate:,.1f}", progress.duration(996 / rate))


def test_a_terminal_gets_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(tqdm, "tqdm", functools.partial(tqdm.tqdm, mininterval=0))
    steps = Steps(tmp_path, 5)
    steps.epoch(0, range(1, 6))
    steps.epoch(1, range(9, 11))  # begun in its middle, as after an interruption
    shown = capsys.readouterr().err
    assert "epoch 1 of 3:" in shown
    assert re.search(r"5/5 .*loss=0\.2[],\s]", shown)
    assert re.search(r"epoch 2 of 3: .*4/5 .*loss=0\.1111", shown)
    assert "a second" not in shown
