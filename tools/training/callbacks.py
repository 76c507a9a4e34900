"""Keras callbacks that both training commands use."""

from __future__ import annotations

import json
import math
import os
from typing import Callable

import tensorflow as tf

from tools.cli.errors import InputError
from tools.training.checkpoints import TrainingCheckpoints
from tools.training.preemption import Preemption


class Evaluation(tf.keras.callbacks.Callback):
    """Evaluates after every epoch and adds the figures to the epoch's logs, which TensorBoard shows.

    Must stand before the TensorBoard callback in the list.
    """

    def __init__(self, evaluate: Callable[[int], dict[str, float]]):
        """evaluate: takes the epoch (from 0), returns figures by name; names that begin with 'val_' are shown by
        TensorBoard as the validation curve of the rest of the name."""
        super().__init__()
        self._evaluate = evaluate

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        figures = self._evaluate(epoch)
        if logs is not None:
            logs.update(figures)


class StopWhenNotFinite(tf.keras.callbacks.Callback):
    """Ends training with an `InputError` after an epoch whose loss is not a finite number.

    Must stand before `SaveEveryEpoch`, so that such a state is never saved.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"epoch {epoch + 1}: the loss is {loss}, so training has diverged; nothing of this epoch was saved. "
                "Try a lower --learning_rate"
            )


class LastFigures(tf.keras.callbacks.Callback):
    """Keeps the figures of the last epoch in a dict."""

    def __init__(self, figures: dict[str, float]):
        """figures: is filled."""
        super().__init__()
        self._figures = figures

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        self._figures.clear()
        self._figures.update({name: float(value) for name, value in (logs or {}).items()})


class SaveEveryEpoch(tf.keras.callbacks.Callback):
    """Writes a checkpoint after every epoch; must be the last of the callbacks."""

    def __init__(self, checkpoints: TrainingCheckpoints, preemption: Preemption):
        super().__init__()
        self._checkpoints, self._preemption = checkpoints, preemption

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        self._preemption.before_saving()
        self._checkpoints.save(epoch + 1)
        self._preemption.after_saving(epoch + 1)


class Pictures(tf.keras.callbacks.Callback):
    """Shows pictures in TensorBoard's image tab every few epochs."""

    def __init__(self, log_dir: str, draw: Callable[[int], dict], every: int = 1):
        """draw: takes the epoch, returns BGR pictures [H, W, 3] uint8 by name."""
        super().__init__()
        self._writer = tf.summary.create_file_writer(os.path.join(log_dir, "pictures"))
        self._draw, self._every = draw, every

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        if epoch % self._every:
            return
        with self._writer.as_default(step=epoch):
            for name, picture in self._draw(epoch).items():
                tf.summary.image(name, picture[None, :, :, ::-1])
        self._writer.flush()


def tensorboard(log_dir: str, settings: dict, profile: str = "") -> list[tf.keras.callbacks.Callback]:
    """TensorBoard's curves and graph, and the hyper-parameters.

    Args:
      settings: flag values; what is not a number, text or truth value is written as text.
      profile: 'first,last' batch to profile, '' for none.

    Raises:
      InputError: `profile` is something else.
    """
    from tensorboard.plugins.hparams import api as hparams

    batches = profiled_batches(profile)
    hyper_parameters = {k: v if isinstance(v, (bool, int, float, str)) else json.dumps(v) for k, v in settings.items()}
    return [
        tf.keras.callbacks.TensorBoard(log_dir, write_graph=True, profile_batch=batches, update_freq="epoch"),
        hparams.KerasCallback(log_dir, hyper_parameters),
    ]


def profiled_batches(profile: str) -> tuple[int, int] | int:
    """(first, last) of '10,20', or 0 of ''; raises `InputError` for anything else."""
    if not profile:
        return 0
    words = profile.split(",")
    if len(words) != 2 or not all(word.strip().isdigit() for word in words) or int(words[0]) > int(words[1]):
        raise InputError(f"--profile={profile}: expected the first and the last batch to profile, such as 10,20")
    return int(words[0]), int(words[1])
