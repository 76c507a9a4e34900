"""Keras callbacks that both training commands use."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any, Callable

import tensorflow as tf

from tools.cli import progress
from tools.cli.errors import InputError
from tools.drawing import meshes
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


class StepReports(tf.keras.callbacks.Callback):
    """The loss within an epoch: in TensorBoard every few steps, and on standard error, as a bar on a terminal and as a
    line a minute elsewhere."""

    def __init__(self, log_dir: str, steps_per_epoch: int, epochs: int, every_steps: int = 50):
        """every_steps: between two points of the curve 'batch_loss'."""
        super().__init__()
        self._writer = tf.summary.create_file_writer(os.path.join(log_dir, "steps"))
        self._steps, self._epochs, self._every = steps_per_epoch, epochs, every_steps
        self._epoch = self._written = 0
        self._start = self._shown = time.monotonic()
        self._first = -1
        self._bar: Any = None  # of tqdm, within an epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        self._epoch, self._first = epoch, -1
        if sys.stderr.isatty():
            import tqdm

            text = f"epoch {epoch + 1} of {self._epochs}"
            self._bar = tqdm.tqdm(total=self._steps, desc=text, unit=" steps", leave=False, smoothing=0.1)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook; `batch` is the last of those that one call of the training function has run."""
        loss = (logs or {}).get("loss")
        # Not `batch`: an epoch that an earlier run began starts in its middle.
        now, step = time.monotonic(), int(self.model.optimizer.iterations.numpy())
        if loss is not None and step - self._written >= self._every:
            with self._writer.as_default(step=step):
                tf.summary.scalar("batch_loss", loss)
            self._written = step
        if self._bar is not None:
            if loss is not None:
                self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            self._bar.update(step - self._epoch * self._steps - self._bar.n)
        if self._first < 0:  # the first call waits for the graph
            self._first, self._start = step, now
            return
        if self._bar is not None or now - self._shown < progress.LINE_EVERY_SECONDS:
            return
        self._shown = now
        rate, place = (step - self._first) / max(now - self._start, 1e-9), step - self._epoch * self._steps
        shown = f", loss {loss:.4g}" if loss is not None else ""
        left = progress.duration((self._steps - place) / max(rate, 1e-9))
        print(
            f"epoch {self._epoch + 1} of {self._epochs}, step {place:,} of {self._steps:,}{shown}, "
            f"{rate:,.1f} steps a second, {left} of this epoch left",
            file=sys.stderr,
            flush=True,
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        self._writer.flush()
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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


# TensorBoard's mesh tab shows this scene without further settings.
_SCENE = {
    "camera": {"cls": "PerspectiveCamera", "fov": 50},
    "material": {"cls": "MeshStandardMaterial", "roughness": 1},
}


class Pictures(tf.keras.callbacks.Callback):
    """Shows pictures in TensorBoard's image tab, and skeletons that can be turned in its mesh tab, every few epochs."""

    def __init__(self, log_dir: str, draw: Callable[[int], dict], every: int = 1):
        """draw: takes the epoch, returns BGR pictures [H, W, 3] uint8, or `meshes.Mesh`, by name."""
        super().__init__()
        self._writer = tf.summary.create_file_writer(os.path.join(log_dir, "pictures"))
        self._draw, self._every = draw, every

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        if epoch % self._every:
            return
        with self._writer.as_default(step=epoch):
            for name, shown in self._draw(epoch).items():
                if isinstance(shown, meshes.Mesh):
                    from tensorboard.plugins.mesh import summary as mesh_summary

                    vertices, faces, colours = (values[None] for values in shown)
                    mesh_summary.mesh(name, vertices, faces, colours, _SCENE, step=epoch)
                else:
                    tf.summary.image(name, shown[None, :, :, ::-1])
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
