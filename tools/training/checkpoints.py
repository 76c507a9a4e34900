"""Checkpoints that a killed training goes on from, to the same weights as if it had never stopped."""

from __future__ import annotations

import glob
import os
import re
import tempfile

import tensorflow as tf

from tools.errors import InputError

KEPT = 10  # as in the original


class TrainingCheckpoints:
    """One checkpoint an epoch, named ``checkpoint-<step>`` as the original's, the last ten kept.

    A checkpoint holds the model, the optimizer and the number of finished epochs. Whatever else training depends on
    (the order of the data, dropout, virtual cameras) must be a function of seed, epoch and step; then a resumed run
    repeats the uninterrupted one.
    """

    def __init__(self, directory: str, model: tf.keras.Model, optimizer, chief: bool = True):
        """directory: made when missing. chief: other workers of a cluster write theirs to a folder that is thrown away,
        since saving is a collective operation that all must join."""
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="finished_epochs")
        self._model, self._optimizer = model, optimizer
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, finished_epochs=self._epoch)
        self._scratch = None if chief else tempfile.TemporaryDirectory(prefix="checkpoints-of-a-worker-")
        self._directory = directory
        os.makedirs(directory, exist_ok=True)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._scratch.name if self._scratch else directory, KEPT, checkpoint_name="checkpoint"
        )

    @property
    def finished_epochs(self) -> int:
        """How many epochs the restored or running training has behind it."""
        return int(self._epoch.numpy())

    def save(self, finished_epochs: int) -> str:
        """Writes the checkpoint of this moment and returns its path."""
        self._epoch.assign(finished_epochs)
        return self._manager.save(checkpoint_number=self._optimizer.iterations)

    def restore(self, step: int = 0) -> int:
        """Restores the checkpoint of `step`, or with 0 the last one if there is any.

        Returns:
          the number of finished epochs, 0 when nothing was restored.

        Raises:
          InputError: there is no checkpoint of that step, or it does not fit the model or can't be read.
        """
        if step:
            path = os.path.join(self._directory, f"checkpoint-{step}")
            if not os.path.exists(path + ".index"):
                raise InputError(f"{path}: no such checkpoint; there are {_listed(saved_steps(self._directory))}")
        else:
            path = tf.train.latest_checkpoint(self._directory)
            if path is None:
                return 0
        try:
            # Slot variables must exist before they can be restored and compared.
            self._optimizer.build(self._model.trainable_variables)
            self._checkpoint.restore(path).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path}: does not fit this network, or is damaged ({reason})") from error
        return self.finished_epochs

    def discard_after(self, step: int) -> None:
        """Removes the checkpoints later than `step`, which a training that starts there writes anew."""
        kept = [s for s in saved_steps(self._directory) if s <= step]
        for later in set(saved_steps(self._directory)) - set(kept):
            for path in glob.glob(os.path.join(glob.escape(self._directory), f"checkpoint-{later}.*")):
                os.remove(path)
        paths = [os.path.join(self._directory, f"checkpoint-{s}") for s in kept]
        tf.train.update_checkpoint_state(self._directory, paths[-1] if paths else "", paths)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._directory, KEPT, checkpoint_name="checkpoint"
        )


def saved_steps(directory: str) -> list[int]:
    """The steps of the checkpoints in a folder, ascending."""
    found = (re.fullmatch(r"checkpoint-(\d+)\.index", name) for name in os.listdir(directory))
    return sorted(int(match.group(1)) for match in found if match)


def _listed(steps: list[int]) -> str:
    return ", ".join(map(str, steps)) or "none"
