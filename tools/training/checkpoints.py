"""Checkpoints that a killed training goes on from, to the same weights as if it had never stopped."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from tools.cli.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

KEPT = 10  # as in the original
_NAME = "checkpoint"


class TrainingCheckpoints:
    """One checkpoint an epoch, named ``checkpoint-<step>`` as the original's, the last ten kept.

    A checkpoint holds the model, the optimizer and the number of finished epochs. Whatever else training depends on
    (the order of the data, dropout, virtual cameras) must be a function of seed, epoch and step; then a resumed run
    repeats the uninterrupted one.
    """

    def __init__(
        self,
        directory: str,
        model: tf.keras.Model,
        strategy: tf.distribute.Strategy | None = None,
        chief: bool = True,
        keep: int = KEPT,
    ) -> None:
        """
        Args:
          directory: made when missing.
          model: a compiled Keras model; its optimizer is saved with it.
          strategy: the tf.distribute strategy under which the model was built, None for none.
          chief: other workers of a cluster write theirs to a folder that is thrown away, since saving is a collective
            operation that all must join.
          keep: how many checkpoints are kept.
        """
        import tensorflow as tf

        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="finished_epochs")
        self._model, self._optimizer = model, model.optimizer
        self._scope = strategy.scope if strategy is not None else contextlib.nullcontext
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, finished_epochs=self._epoch)
        self._scratch = None if chief else tempfile.TemporaryDirectory(prefix="checkpoints-of-a-worker-")
        self._directory = directory
        os.makedirs(directory, exist_ok=True)
        if chief:
            _remove_unfinished(directory)
            _list_checkpoints(directory, saved_steps(directory))
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._scratch.name if self._scratch else directory, keep, checkpoint_name=_NAME
        )

    @property
    def finished_epochs(self) -> int:
        """How many epochs the restored or running training has behind it."""
        return int(self._epoch.numpy())

    def save(self, finished_epochs: int) -> str:
        """Writes the checkpoint of this moment and returns its path."""
        self._epoch.assign(finished_epochs)
        return self._manager.save(checkpoint_number=self._optimizer.iterations)

    def restore(self, step: int) -> int:
        """Restores the checkpoint of `step`.

        Returns:
          the number of finished epochs.

        Raises:
          InputError: there is no checkpoint of that step, or it does not fit the model or can't be read.
        """
        import tensorflow as tf

        path = os.path.join(self._directory, f"{_NAME}-{step}")
        if not os.path.exists(path + ".index"):
            there = ", ".join(map(str, saved_steps(self._directory))) or "none"
            raise InputError(f"{path}: no such checkpoint; there are {there}")
        try:
            with self._scope():
                # Slot variables must exist before they can be restored and compared. Keras' older optimizers have
                # another name for it.
                make = getattr(self._optimizer, "build", None) or self._optimizer._create_all_weights
                make(self._model.trainable_variables)
            self._checkpoint.restore(path).assert_existing_objects_matched()
        except (AssertionError, LookupError, ValueError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path}: does not fit this network, or is damaged ({reason})") from error
        return self.finished_epochs


def saved_steps(directory: str) -> list[int]:
    """The steps of the whole checkpoints in a folder, ascending.

    A checkpoint's index is put in place after its data, so one that was being written when the process was killed is
    not among them.
    """
    matches = (re.fullmatch(rf"{_NAME}-(\d+)\.index", name) for name in os.listdir(directory))
    return sorted(int(match.group(1)) for match in matches if match)


def discard_after(directory: str, step: int) -> None:
    """Removes the checkpoints later than `step`, which a training that starts there writes anew."""
    steps = saved_steps(directory)
    _list_checkpoints(directory, [s for s in steps if s <= step])
    for later in steps:
        if later > step:
            # The index first: without it the rest is no checkpoint.
            for path in sorted(glob.glob(os.path.join(glob.escape(directory), f"{_NAME}-{later}.*")), reverse=True):
                os.remove(path)


def _list_checkpoints(directory: str, steps: list[int]) -> None:
    """Writes TensorFlow's list of checkpoints, from which it knows which is the oldest.

    A process killed between writing a checkpoint and listing it leaves one that is not listed.
    """
    import tensorflow as tf

    paths = [os.path.join(directory, f"{_NAME}-{step}") for step in steps]
    if paths:
        # Without times, none of them would ever count as old.
        times = [os.path.getmtime(path + ".index") for path in paths]
        tf.compat.v1.train.update_checkpoint_state(
            directory,
            paths[-1],
            paths,
            all_model_checkpoint_timestamps=times,
            last_preserved_timestamp=min(times) - 1.0,
        )
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, "checkpoint"))


def _remove_unfinished(directory: str) -> None:
    """Removes what a process left that was killed while it wrote a checkpoint."""
    whole = set(saved_steps(directory))
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        match = re.fullmatch(rf"{_NAME}-(\d+)(_temp|\.data-.*)", name)
        if not match:
            continue
        if match.group(2) == "_temp":
            shutil.rmtree(path, ignore_errors=True)
        elif int(match.group(1)) not in whole:
            os.remove(path)
