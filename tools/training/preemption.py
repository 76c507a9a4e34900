"""Trainings that are asked to end (SIGTERM of a scheduler, Ctrl-C): finish the step, save, say how to go on.

Saving between two epochs alone would lose hours of a long one. `Preemption` is a Keras callback that notices the
signal after a step, and in the evaluation after an epoch; what it knows is what `TrainingCheckpoints` needs to save a
training in the middle of an epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tools.cli import signals
from tools.cli.signals import Ended


@dataclasses.dataclass
class Position:
    """Where a training stands.

    Attributes:
      epochs: how many are finished. steps: how many steps of the next one are made.
      running: values of the metrics' variables over those steps. logs: the epoch's figures once all steps are made.
    """

    epochs: int = 0
    steps: int = 0
    running: list[float] = dataclasses.field(default_factory=list)
    logs: dict[str, float] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """`running` and `logs` as text."""
        return json.dumps({"running": self.running, "logs": self.logs})

    @classmethod
    def of_json(cls, epochs: int, steps: int, text: str) -> Position:
        """The inverse of `to_json`."""
        return cls(epochs, steps, **json.loads(text))


class Preemption(tf.keras.callbacks.Callback):
    """Ends a training by `Ended` once a signal has come, after a whole step; must be the first of the callbacks.

    Attributes:
      position: where the training stands; of use to the one who catches `Ended`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, steps_per_epoch: int, start: Position):
        """start: where the training goes on, as its checkpoint says."""
        super().__init__()
        self._supports_tf_logs = True  # figures stay on the device between steps
        self._steps_per_epoch, self._start = steps_per_epoch, start
        self._before = start.steps  # steps of this epoch that an earlier process made
        self.position = dataclasses.replace(start)
        self._number, self._at_once = 0, False
        self._strategy = strategy
        self._together = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._sum = tf.function(lambda number: strategy.run(tf.identity, (number,)))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Inside it a first SIGTERM, SIGHUP or Ctrl-C waits for the end of a step; a second one ends at once."""
        with signals.handled(self._handle):
            yield

    def _handle(self, number: int, frame: Any) -> None:
        second, self._number = self._number, number
        if second:
            self.position.steps = -1  # what was being done then is not whole
        if second or self._at_once:
            raise Ended(number)

    def ended_by(self, error: BaseException) -> Ended | None:
        """The signal that `error` is, also where native code has made another exception of it; None: it is none."""
        if isinstance(error, Ended):
            return error
        raised = self._number and (self._at_once or self.position.steps < 0)
        return Ended(self._number) if raised else None

    def _asked(self) -> int:
        """The signal that has come, to this process or to another worker of its cluster; 0: none."""
        if not self._together:
            return self._number
        # Every worker must end after the same step, and save together with the others.
        number = self._sum(tf.constant(self._number, tf.int32))
        return int(self._strategy.reduce(tf.distribute.ReduceOp.SUM, number, axis=None) > 0) and (
            self._number or int(signal.SIGTERM)
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        self._before = self._start.steps if epoch == self._start.epochs else 0
        self.position = Position(epoch, self._before, list(self._start.running) if self._before else [])
        self._at_once = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        if self._before and self.position.steps == self._before:
            self._add_running(self._start.running)
        self.position.steps = self._before + batch + 1
        if self.position.steps < self._steps_per_epoch and (number := self._asked()):
            self._take_running()
            raise Ended(number)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' hook: after the last step, before the evaluation."""
        self.position.steps = self._steps_per_epoch
        self.position.logs = {name: float(value) for name, value in (logs or {}).items()}
        if not self._together:
            # Evaluations change nothing that is trained, and may take minutes.
            self._at_once = True
            if self._number:
                raise Ended(self._number)

    def before_saving(self) -> None:
        """To be called before an epoch is saved, which no signal interrupts."""
        self._at_once = False

    def after_saving(self, finished_epochs: int) -> None:
        """To be called when an epoch is saved; ends the training when it was asked for."""
        self.position = Position(finished_epochs)
        if number := self._asked():
            raise Ended(number)

    def _take_running(self) -> None:
        self.position.running = [float(v.numpy()) for v in self._metric_variables()]

    def _metric_variables(self) -> list:
        return [variable for metric in self.model.metrics for variable in metric.variables]

    def _add_running(self, values: list[float]) -> None:
        """Sums and counts of the steps that an earlier process made, so that the epoch's means are of all its steps."""
        variables = self._metric_variables()
        if len(variables) == len(values):
            for variable, value in zip(variables, values):
                variable.assign(variable.numpy() + value)
