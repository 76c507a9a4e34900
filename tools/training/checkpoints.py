"""Checkpoints that a killed training goes on from, to the same weights as if it had never stopped."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tools.cli.errors import InputError
from tools.files import remote, tensorflow_errors

if TYPE_CHECKING:
    import tensorflow as tf

    from tools.training.preemption import Position

KEPT = 10  # as in the original
_NAME = "checkpoint"
_MIDWAY = "midway"  # other names, so that saving the epoch never writes over one that is needed until then
_STEPS, _FIGURES = "steps_into_epoch", "running_figures"  # what those hold beside
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class TrainingCheckpoints:
    """One checkpoint an epoch, named ``checkpoint-<step>`` as the original's, the last ten kept.

    A training that is asked to end saves ``midway-<step>`` in the middle of an epoch; it goes when that epoch is saved.

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
          directory: a folder or an address (`files.remote`); made when missing.
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
        remote.place(directory).mkdir(parents=True, exist_ok=True)
        self._place, self._chief = self._scratch.name if self._scratch else directory, chief
        if chief:
            _remove_unfinished(directory)
            steps = _steps_of(directory, _NAME)
            for midway in _steps_of(directory, _MIDWAY):
                if steps and midway <= steps[-1]:  # of a process that was killed before it had removed it
                    _remove(directory, _MIDWAY, midway)
            _list_checkpoints(directory, steps)
        self._manager = tf.train.CheckpointManager(self._checkpoint, self._place, keep, checkpoint_name=_NAME)

    @property
    def finished_epochs(self) -> int:
        """How many epochs the restored or running training has behind it."""
        return int(self._epoch.numpy())

    def save(self, finished_epochs: int) -> str:
        """Writes the checkpoint of this moment, after an epoch, and returns its path.

        Raises:
          InputError: the disk refuses; nothing is left of it, and the message says what is safe.
        """
        self._epoch.assign(finished_epochs)
        step = int(self._optimizer.iterations.numpy())
        with self._writing(f"{_NAME}-{step}"):
            path = self._manager.save(checkpoint_number=step)
        if self._chief:
            for midway in _steps_of(self._directory, _MIDWAY):
                _remove(self._directory, _MIDWAY, midway)
        return path

    def save_midway(self, position: Position) -> int:
        """Writes the checkpoint of a training that stands in the middle of an epoch; returns its step.

        Raises:
          InputError: as `save`.
        """
        import tensorflow as tf

        step = int(self._optimizer.iterations.numpy())
        self._epoch.assign(position.epochs)
        more = {_STEPS: tf.Variable(position.steps, dtype=tf.int64), _FIGURES: tf.Variable(position.to_json())}
        checkpoint = tf.train.Checkpoint(
            model=self._model, optimizer=self._optimizer, finished_epochs=self._epoch, **more
        )
        with self._writing(f"{_MIDWAY}-{step}"):
            checkpoint.write(os.path.join(self._place, f"{_MIDWAY}-{step}"))
        return step

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Refusals of the disk in one line, after which nothing is left of what was being written."""
        try:
            with tensorflow_errors.writing(os.path.join(self._directory, name), lambda: what_is_safe(self._directory)):
                yield
        except BaseException:
            with contextlib.suppress(OSError):
                if self._chief:
                    _remove_unfinished(self._directory)
            raise

    def restore(self, step: int) -> Position:
        """Restores the checkpoint of `step`.

        Returns:
          where the training stands.

        Raises:
          InputError: there is no checkpoint of that step, or it does not fit the model or can't be read.
        """
        import tensorflow as tf

        path = _path(self._directory, step)
        if not remote.place(path + ".index").exists():
            there = ", ".join(map(str, saved_steps(self._directory))) or "none"
            raise InputError(f"{path}: no such checkpoint; there are {there}")
        try:
            with self._scope():
                # Slot variables must exist before they can be restored and compared.
                make_slots(self._model)
            position = _position(path)
            # Only whole epochs are counted by TensorFlow's manager, which `restore` expects.
            restore = self._checkpoint.read if position.steps else self._checkpoint.restore
            restore(path).assert_existing_objects_matched().expect_partial()
        except (AssertionError, LookupError, ValueError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path}: does not fit this network, or is damaged ({reason})") from error
        position.epochs = self.finished_epochs
        return position


def make_slots(model: tf.keras.Model) -> None:
    """Makes the variables of a compiled model's optimizer, which its first step would make."""
    # Keras' older optimizers have another name for it.
    make = getattr(model.optimizer, "build", None) or model.optimizer._create_all_weights
    make(model.trainable_variables)


def _position(path: str) -> Position:
    """Where in its epoch a checkpoint stands."""
    import tensorflow as tf

    from tools.training.preemption import Position

    if os.path.basename(path).startswith(_NAME):
        return Position()
    reader = tf.train.load_checkpoint(path)
    steps, figures = (reader.get_tensor(name + _VALUE) for name in (_STEPS, _FIGURES))
    return Position.of_json(0, int(steps), figures.decode())


def what_is_safe(directory: str) -> str:
    """What a training that could not write goes on from, in words."""
    steps = saved_steps(directory) if remote.place(directory).is_dir() else []
    if not steps:
        return "there is no checkpoint yet; the same command starts anew"
    return f"{os.path.basename(_path(directory, steps[-1]))} is whole, and the same command goes on from there"


def saved_steps(directory: str) -> list[int]:
    """The steps of the whole checkpoints in a folder, ascending.

    A checkpoint's index is put in place after its data, so one that was being written when the process was killed is
    not among them.
    """
    return sorted({*_steps_of(directory, _NAME), *_steps_of(directory, _MIDWAY)})


def _steps_of(directory: str, name: str) -> list[int]:
    matches = (re.fullmatch(rf"{name}-(\d+)\.index", path.name) for path in remote.place(directory).iterdir())
    return sorted(int(match.group(1)) for match in matches if match)


def _path(directory: str, step: int) -> str:
    """The checkpoint of a step, without its suffixes; that of a whole epoch where there are two."""
    paths = [os.path.join(directory, f"{name}-{step}") for name in (_NAME, _MIDWAY)]
    return next((path for path in paths if remote.place(path + ".index").exists()), paths[0])


def discard_after(directory: str, step: int) -> None:
    """Removes the checkpoints later than `step`, which a training that starts there writes anew."""
    _list_checkpoints(directory, [s for s in _steps_of(directory, _NAME) if s <= step])
    for name in (_NAME, _MIDWAY):
        for later in _steps_of(directory, name):
            if later > step:
                _remove(directory, name, later)


def _remove(directory: str, name: str, step: int) -> None:
    # The index first: without it the rest is no checkpoint.
    for path in sorted(remote.place(directory).glob(f"{name}-{step}.*"), reverse=True):
        path.unlink()


def _list_checkpoints(directory: str, steps: list[int]) -> None:
    """Writes TensorFlow's list of checkpoints, from which it knows which is the oldest.

    A process killed between writing a checkpoint and listing it leaves one that is not listed.
    """
    import tensorflow as tf

    paths = [os.path.join(directory, f"{_NAME}-{step}") for step in steps]
    if paths:
        # Without times, none of them would ever count as old.
        times = [remote.place(path + ".index").stat().st_mtime_ns / 1e9 for path in paths]
        tf.__internal__.train.update_checkpoint_state(
            directory,
            paths[-1],
            paths,
            all_model_checkpoint_timestamps=times,
            last_preserved_timestamp=min(times) - 1.0,
        )
    else:
        (remote.place(directory) / "checkpoint").unlink(missing_ok=True)


def _remove_unfinished(directory: str) -> None:
    """Removes what a process left that was killed while it wrote a checkpoint."""
    place = remote.place(directory)
    for path in list(place.iterdir()):
        match = re.fullmatch(rf"({_NAME}|{_MIDWAY})-(\d+)(_temp|\.data-.*)", path.name)
        if not match:
            continue
        if match.group(3) == "_temp":
            remote.remove_folder(path)
        elif not (place / f"{match.group(1)}-{match.group(2)}.index").exists():
            path.unlink()
