"""One training from its first or last checkpoint to its end: Keras' fit with what both commands want around it."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from tools.training import experiments


@dataclasses.dataclass
class Job:
    """What is trained.

    Attributes:
      model: a compiled Keras model, built under the strategy.
      make_batches: start step -> endless `tf.data.Dataset` of global batches, the same whatever the start.
      batch_size: of the global batch.
      steps_per_epoch: steps until evaluation and checkpoint.
      evaluate: epoch (from 0) -> figures by name, 'val_...'; called by every worker.
      draw: epoch -> BGR pictures [H, W, 3] uint8 by name; None for none.
      make_rows: (start step, first, end) -> rows first to end of those batches; None: they are cut from the whole
        (`strategy.distribute`).
    """

    model: Any
    make_batches: Callable[[int], Any]
    batch_size: int
    steps_per_epoch: int
    evaluate: Callable[[int], dict[str, float]]
    draw: Callable[[int], dict] | None = None
    make_rows: Callable[[int, int, int], Any] | None = None


def train(
    job: Job,
    strategy,
    directory: str,
    plan: experiments.Plan,
    epochs: int,
    settings: Mapping,
    profile: str = "",
    pictures_every: int = 1,
    keep: int = 10,
    callbacks: Sequence = (),
) -> dict[str, float]:
    """Runs what is left of `epochs` epochs, in one call of fit.

    Args:
      plan: what `experiments.plan` decided; `experiments.prepare` must have run.
      settings: shown in TensorBoard as hyper-parameters.
      profile: 'first,last' batch to profile for TensorBoard, '' for none.
      pictures_every: epochs from picture to picture in TensorBoard; 0: no pictures.
      keep: how many checkpoints are kept.
      callbacks: Keras callbacks that are called before evaluation.

    Returns:
      the figures of the last evaluation, and 'loss' when there was an epoch left to train.

    Raises:
      InputError: a checkpoint does not fit, or the loss is not finite.
    """
    from tools.training import callbacks as ours
    from tools.training.checkpoints import TrainingCheckpoints
    from tools.training.strategy import distribute, is_chief

    chief = is_chief(strategy)
    saved = TrainingCheckpoints(directory, job.model, strategy, chief, keep)
    finished = saved.restore(plan.start_step) if plan.start_step else 0
    if finished >= epochs:
        return job.evaluate(finished - 1)
    first_step = finished * job.steps_per_epoch
    make_rows = job.make_rows and functools.partial(job.make_rows, first_step)
    data = distribute(strategy, lambda: job.make_batches(first_step), job.batch_size, make_rows)

    log = os.path.join(directory, experiments.LOG_FOLDER)
    last = _LastFigures()
    every = [*callbacks, ours.StopWhenNotFinite(), ours.Evaluation(job.evaluate)]
    if chief:
        every += ours.tensorboard(log, dict(settings), profile)
        if job.draw is not None and pictures_every:
            every.append(ours.Pictures(log, job.draw, pictures_every))
    every += [last.callback(), ours.SaveEveryEpoch(saved)]
    # A bar on a terminal, a line for each epoch in a log.
    verbose = 0 if not chief else 1 if sys.stdout.isatty() else 2
    job.model.fit(
        data,
        epochs=epochs,
        initial_epoch=finished,
        steps_per_epoch=job.steps_per_epoch,
        callbacks=every,
        verbose=verbose,
    )
    return last.figures


class _LastFigures:
    def __init__(self):
        self.figures: dict[str, float] = {}

    def callback(self):
        import tensorflow as tf

        def remember(epoch, logs=None):
            self.figures = {name: float(value) for name, value in (logs or {}).items()}

        return tf.keras.callbacks.LambdaCallback(on_epoch_end=remember)
