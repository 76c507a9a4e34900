"""Trainings that a signal asks to end: the step is finished and saved; resumed, they end with the same weights."""

import errno
import functools
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.cli.signals import Ended
from tools.files import locks, tensorflow_errors
from tools.training import checkpoints, experiments
from tools.training.session import TrainingDevices, TrainingJob, TrainingSession

EPOCHS, STEPS = 3, 5


def batches(start_step):
    """Endless batches, each a function of its step."""

    def make(step):
        x = tf.random.stateless_normal([8, 4], tf.stack([step, step]))
        return x, x[:, :1] * 3.0

    return tf.data.Dataset.range(start_step, tf.int64.max).map(make)


class Strike(tf.keras.callbacks.Callback):
    """Sends this process a signal before a step of an epoch."""

    def __init__(self, number, epoch, step, times=1):
        super().__init__()
        self._number, self._epoch, self._step, self._times = number, epoch, step, times
        self._now = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self._now, batch) == (self._epoch, self._step):
            for _ in range(self._times):
                os.kill(os.getpid(), self._number)


@pytest.fixture(scope="module")
def train_in():
    """train_in(folder, name, *callbacks, evaluate=) -> (weights, figures) of a training in a folder of that name."""

    def train(folder, name, *callbacks, evaluate=lambda epoch: {"val_error": 1.0 + epoch}):
        tf.keras.utils.set_random_seed(1)
        directory = str(folder / name)
        devices = TrainingDevices(tf.distribute.OneDeviceStrategy("/cpu:0"), "float32")
        with devices.scope():
            model = tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=[4]), tf.keras.layers.Dense(1)])
            model.compile(tf.keras.optimizers.Adam(0.01), "mse", steps_per_execution=1)
        plan = experiments.plan(directory, {}, [])
        experiments.prepare(directory, plan, {})
        session = TrainingSession(devices, directory, plan, {}, EPOCHS)
        figures = session.train(TrainingJob(model, batches, 8, STEPS, evaluate), callbacks)
        return model.get_weights(), figures

    return train


@pytest.fixture
def train(train_in, tmp_path):
    return functools.partial(train_in, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(train_in, tmp_path_factory):
    return train_in(tmp_path_factory.mktemp("undisturbed"), "undisturbed")


def assert_same(got, expected):
    for one, other in zip(got[0], expected[0]):
        np.testing.assert_array_equal(one, other)
    # Means over an epoch in two parts are added up in another order.
    assert got[1] == pytest.approx(expected[1], rel=1e-5)


@pytest.mark.parametrize(
    ("number", "epoch", "step"),
    [(signal.SIGHUP, 0, 0), (signal.SIGTERM, 1, 2), (signal.SIGINT, EPOCHS - 1, STEPS - 1)],
)
def test_a_signal_during_an_epoch(train, undisturbed, tmp_path, number, epoch, step):
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    with pytest.raises(Ended) as ended:
        train("stopped", Strike(number, epoch, step))
    made = epoch * STEPS + step + 1
    assert ended.value.status == 128 + number
    assert f"epoch {epoch + 1} of 3; midway-{made} is whole, and the same command goes on" in ended.value.note
    assert {one: signal.getsignal(one) for one in before} == before
    folder = str(tmp_path / "stopped")
    assert checkpoints.saved_steps(folder) == [*range(STEPS, epoch * STEPS + 1, STEPS), made]
    assert experiments.plan(folder, {}, []).message == f"resuming from the last checkpoint, step {made}"
    assert_same(train("stopped"), undisturbed)
    assert checkpoints.saved_steps(folder) == [5, 10, 15]
    assert not list((tmp_path / "stopped").glob("midway*"))


def test_a_signal_in_the_evaluation_leaves_it_at_once(train, undisturbed):
    went_on = []

    def evaluate(epoch):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            went_on.append(epoch)
        return {"val_error": 1.0 + epoch}

    with pytest.raises(Ended, match="SIGTERM") as ended:
        train("stopped", evaluate=evaluate)
    assert "midway-10 is whole" in ended.value.note
    assert not went_on
    assert_same(train("stopped"), undisturbed)


def test_stopped_again_and_again(train, undisturbed):
    for step in (1, 0, 1):
        with pytest.raises(Ended):
            train("stopped", Strike(signal.SIGTERM, 1, step))
    assert_same(train("stopped"), undisturbed)


def test_a_second_signal_ends_at_once_and_saves_nothing(train, undisturbed):
    with pytest.raises(Ended) as ended:
        train("stopped", Strike(signal.SIGTERM, 1, 2, times=2))
    assert "checkpoint-5 is whole" in ended.value.note
    assert_same(train("stopped"), undisturbed)


def test_a_full_disk_is_one_line_with_what_is_safe(train, undisturbed, tmp_path, monkeypatch):
    write = tf.train.CheckpointManager.save

    def full(self, checkpoint_number):
        if int(checkpoint_number) == 10:
            (tmp_path / "full" / "checkpoint-10_temp").mkdir()
            raise tf.errors.ResourceExhaustedError(None, None, f"x.data: {os.strerror(errno.ENOSPC)}")
        return write(self, checkpoint_number)

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(InputError) as error:
        train("full")
    place = tmp_path / "full"
    assert str(error.value) == (
        f"{place}/checkpoint-10: cannot be written: No space left on device; checkpoint-5 is whole, and the same "
        "command goes on from there"
    )
    assert not list(place.glob("*_temp"))
    monkeypatch.undo()
    assert_same(train("full"), undisturbed)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "a; No space left on device"), "No space left on device"),
        (tf.errors.OutOfRangeError(None, None, "a; File too large"), "File too large"),
        (tf.errors.PermissionDeniedError(None, None, "a; Permission denied"), "Permission denied"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), ""),
        (tf.errors.OutOfRangeError(None, None, "End of sequence"), ""),
        (ValueError("No space left on device"), ""),
    ],
)
def test_what_the_system_said(error, reason):
    assert tensorflow_errors.reason_of(error) == reason


def test_one_training_at_a_time(tmp_path):
    first = locks.FolderLock(tmp_path / "there", "another training")
    with pytest.raises(InputError, match="there: another training is writing here"):
        locks.FolderLock(tmp_path / "there", "another training")
    first.release()
    locks.FolderLock(tmp_path / "there", "another training").release()
