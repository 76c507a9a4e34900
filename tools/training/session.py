"""One training as both training commands run it: devices, experiment directory, and Keras' fit from the first or last
checkpoint to the end."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

import tensorflow as tf

from tools.cli import command, signals
from tools.files import locks, remote, tensorflow_errors
from tools.training import callbacks, experiments, memory, op_forms, parameter_servers, precision, strategy
from tools.training.checkpoints import TrainingCheckpoints, what_is_safe
from tools.training.preemption import Position, Preemption


@dataclasses.dataclass(frozen=True)
class TrainingDevices:
    """Where a training runs and in which precision.

    Attributes:
      strategy: the tf.distribute strategy.
      precision: name of the Keras policy, such as 'mixed_bfloat16'.
      jit_compile: whether XLA compiles the training step.
      op_form: which forms of operations suit these devices, see `op_forms`.
      profiled: whether some of the steps are profiled.
    """

    strategy: tf.distribute.Strategy
    precision: str
    jit_compile: bool = False
    op_form: str = op_forms.CPU
    profiled: bool = False

    @classmethod
    def of_flags(cls, flags: command.Flags, compiled_on_gpu: bool = True) -> TrainingDevices:
        """Configures TensorFlow's devices as the flags of group 'Strategy' say, before anything else uses them.

        Args:
          compiled_on_gpu: whether one GPU compiles the training step where --jit_compile is not given.

        Raises:
          InputError: there is no such strategy here, or --profile names no batches.
        """
        strategy.prepare_devices(flags.use_cpu, flags.virtual_cpus, flags.deterministic, flags.seed, flags.threads)
        chosen = strategy.make_strategy(flags.strategy, flags.tpu)
        profiled = bool(callbacks.profiled_batches(flags.profile))
        policy = precision.policy_name(flags.use_fp16)
        if policy == "mixed_float16":
            precision.keep_channels_last()
        jit_compile = op_forms.compiles(flags.jit_compile, chosen.num_replicas_in_sync, compiled_on_gpu)
        return cls(chosen, policy, jit_compile, op_forms.chosen(flags.op_forms, jit_compile), profiled)

    @property
    def replicas(self) -> int:
        """How many devices share a batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, summaries and the trained network, and prints."""
        return strategy.is_chief(self.strategy)

    def as_settings(self) -> dict[str, Any]:
        """What was chosen for these devices and decides the weights, by the names of the settings."""
        return {"precision": self.precision, "jit_compile": self.jit_compile}

    def steps_per_execution(self, wanted: int) -> int:
        """The steps of one call: `wanted`, but one where parameter servers' workers take steps as they come, and where
        steps are profiled: TensorBoard tells steps apart by the calls."""
        return 1 if self.profiled or parameter_servers.is_one(self.strategy) else wanted

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Inside it models and optimisers are built for these devices, in this precision."""
        with precision.policy(self.precision), self.strategy.scope():
            yield

    def __str__(self) -> str:
        compiled = ", compiled with XLA" if self.jit_compile else ""
        return f"{self.replicas} replica{'s' if self.replicas > 1 else ''}, {self.precision}{compiled}"


@dataclasses.dataclass
class TrainingJob:
    """What is trained, and on what.

    Attributes:
      model: a compiled Keras model, built in `TrainingDevices.scope`.
      make_batches: start step -> endless `tf.data.Dataset` of global batches, the same whatever the start.
      batch_size: of the global batch.
      steps_per_epoch: steps until evaluation and checkpoint.
      evaluate: epoch (from 0) -> figures by name, 'val_...'; called by every worker.
      draw: epoch -> BGR pictures [H, W, 3] uint8 by name; None for none.
      make_rows: (start step, first, end) -> rows first to end of those batches; None: they are cut from the whole
        (`strategy.distribute`).
      row_bytes: memory that a row of a batch takes at least in a step; 0: not known.
    """

    model: tf.keras.Model
    make_batches: Callable[[int], tf.data.Dataset]
    batch_size: int
    steps_per_epoch: int
    evaluate: Callable[[int], dict[str, float]]
    draw: Callable[[int], dict] | None = None
    make_rows: Callable[[int, int, int], tf.data.Dataset] | None = None
    row_bytes: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainingSession:
    """A training in its experiment directory.

    Attributes:
      devices: where it runs.
      directory: the experiment directory, which holds checkpoints, curves and in the end the trained network.
      plan: from which checkpoint it goes on, as `experiments.plan` decided.
      settings: flag values and what else describes it. decisive: names of those that decide the weights, which
        TensorBoard shows as hyper-parameters.
      epochs: of the whole training, finished ones included.
      profile: 'first,last' batch to profile for TensorBoard, '' for none.
      pictures_every: epochs between drawn pictures in TensorBoard; 0: no pictures.
      keep: how many checkpoints are kept.
      lock: on the directory, of the chief; held as long as the session lives.
    """

    devices: TrainingDevices
    directory: str
    plan: experiments.Plan
    settings: Mapping[str, Any]
    epochs: int
    profile: str = ""
    pictures_every: int = 1
    keep: int = 10
    lock: locks.FolderLock | None = None
    decisive: Sequence[str] = ()

    @classmethod
    def begin(
        cls,
        flags: command.Flags,
        devices: TrainingDevices,
        directory: str,
        settings: Mapping[str, Any],
        decisive: Sequence[str],
        extendable: bool = False,
    ) -> TrainingSession:
        """Decides from where the training in `directory` starts, prints it, and prepares the directory.

        Args:
          settings: see `TrainingSession`. decisive: names of those that decide the weights (`experiments.plan`).
          extendable: see `experiments.plan`.

        Raises:
          InputError: see `experiments.plan`; nothing is changed then.
        """
        plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite, extendable)
        # Every worker reads the directory before the chief changes it, and goes on once the chief has.
        strategy.wait_for_all(devices.strategy)
        lock = None
        if devices.is_chief:
            # Object stores know no locks.
            lock = None if remote.is_remote(directory) else locks.FolderLock(directory, "another training")
            # Another process may have gone on with it since.
            plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite, extendable)
            print(f"{directory}: {plan.message}")
            experiments.prepare(directory, plan, settings)
        strategy.wait_for_all(devices.strategy)
        given = (flags.epochs, flags.profile, flags.pictures_every, flags.keep)
        return cls(devices, directory, plan, settings, *given, lock, tuple(decisive))

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """The settings by which trainings are compared: those that decide the weights, and the records' names."""
        compared = {*self.decisive, *(name for name in self.settings if name.endswith("_data"))}
        return {name: value for name, value in self.settings.items() if name in compared}

    @property
    def log_directory(self) -> str:
        """Where TensorBoard's files lie."""
        return os.path.join(self.directory, experiments.LOG_FOLDER)

    @property
    def export_directory(self) -> str:
        """Where the trained network is written."""
        return os.path.join(self.directory, experiments.EXPORT_FOLDER)

    def train(self, job: TrainingJob, extra_callbacks: Sequence[tf.keras.callbacks.Callback] = ()) -> dict[str, float]:
        """Runs the epochs that are left, in one call of fit; each ends with an evaluation and a checkpoint.

        Args:
          extra_callbacks: called before evaluation.

        Returns:
          the figures of the last evaluation, and 'loss' when there was an epoch left to train.

        Raises:
          InputError: a checkpoint does not fit, the loss is not finite, a step needs more memory than there is, or the
            disk refuses.
          signals.Ended: a signal has asked the training to end; it is saved.
        """
        devices = self.devices
        if devices.strategy.cluster_resolver is None:  # which divides the batch among machines
            memory.check_step(job.batch_size, job.row_bytes)
        checkpoints = TrainingCheckpoints(self.directory, job.model, devices.strategy, devices.is_chief, self.keep)
        start = checkpoints.restore(self.plan.start_step) if self.plan.start_step else Position()
        if start.epochs >= self.epochs:
            return job.evaluate(start.epochs - 1)
        watch = Preemption(devices.strategy, job.steps_per_epoch, start)
        figures: dict[str, float] = {}

        def make_callbacks() -> list[tf.keras.callbacks.Callback]:
            steps = [watch, *extra_callbacks, callbacks.StopWhenNotFinite(), callbacks.Evaluation(job.evaluate)]
            if devices.is_chief:
                steps += callbacks.tensorboard(self.log_directory, self.hyper_parameters, self.profile)
                if not parameter_servers.is_one(devices.strategy):  # whose steps Keras does not report
                    steps.append(callbacks.StepReports(self.log_directory, job.steps_per_epoch, self.epochs))
                if job.draw is not None and self.pictures_every:
                    steps.append(callbacks.Pictures(self.log_directory, job.draw, self.pictures_every))
            return [*steps, callbacks.LastFigures(figures), callbacks.SaveEveryEpoch(checkpoints, watch)]

        advice = functools.partial(what_is_safe, self.directory)
        out_of_memory = memory.exhausted(job.batch_size, advice)
        with watch.watching(), out_of_memory, tensorflow_errors.writing(self.directory, advice):
            try:
                self._fit_to_the_end(job, start, make_callbacks)
            except BaseException as error:
                ended = watch.ended_by(error)
                if ended is None:
                    raise
                raise self._saved(ended, watch.position, checkpoints) from None
        return figures

    def _fit_to_the_end(
        self, job: TrainingJob, start: Position, make_callbacks: Callable[[], list[tf.keras.callbacks.Callback]]
    ) -> None:
        """All epochs, those anew in which the only worker of a parameter server was lost."""
        watch = parameter_servers.EpochStart.of(self.devices.strategy, job.model)
        if watch is None:
            return self._fit(job, start, make_callbacks)

        def with_watch() -> list[tf.keras.callbacks.Callback]:
            return [watch, *make_callbacks()]

        while True:
            try:
                return self._fit(job, start, with_watch)
            except parameter_servers.WorkerLost as lost:
                print(f"{lost} and is back; the epoch is begun anew", flush=True)
                watch.restore()
                start = start if lost.epoch == start.epochs else Position(lost.epoch)

    def _fit(
        self, job: TrainingJob, start: Position, make_callbacks: Callable[[], list[tf.keras.callbacks.Callback]]
    ) -> None:
        """The rest of the epoch in which a checkpoint was written, then all other epochs in one call of fit."""
        first = start.epochs
        if start.steps:
            left, first = job.steps_per_epoch - start.steps, start.epochs + 1
            if left:
                self._fit_epochs(job, start.epochs, start.steps, first, make_callbacks())
            else:  # only the evaluation is missing
                hooks = tf.keras.callbacks.CallbackList(make_callbacks(), model=job.model)
                hooks.on_train_begin()
                hooks.on_epoch_begin(start.epochs)
                hooks.on_epoch_end(start.epochs, dict(start.logs))
                hooks.on_train_end()
        if first < self.epochs:
            self._fit_epochs(job, first, 0, self.epochs, make_callbacks())

    def _fit_epochs(
        self, job: TrainingJob, epoch: int, made: int, end: int, steps: list[tf.keras.callbacks.Callback]
    ) -> None:
        """Epochs from `epoch` to `end`, of the first of which so many steps are made."""
        first_step, devices = epoch * job.steps_per_epoch + made, self.devices
        make_rows = job.make_rows and functools.partial(job.make_rows, first_step)
        batches = strategy.distribute(devices.strategy, lambda: job.make_batches(first_step), job.batch_size, make_rows)
        job.model.fit(
            batches,
            epochs=end,
            initial_epoch=epoch,
            steps_per_epoch=job.steps_per_epoch - made,
            callbacks=steps,
            # A line for each epoch; Keras' bar moves the cursor, which is not let through to terminals.
            verbose=2 if devices.is_chief else 0,
        )

    def _saved(self, ended: signals.Ended, position: Position, checkpoints: TrainingCheckpoints) -> signals.Ended:
        """Saves a training that was asked to end where that is needed; what is then to be said."""
        usable = all(math.isfinite(value) for value in (*position.running, *position.logs.values()))
        if position.steps > 0 and usable:
            checkpoints.save_midway(position)
        safe = what_is_safe(self.directory) if self.devices.is_chief else "the chief says what is saved"
        return signals.Ended(ended.number, f"epoch {position.epochs + 1} of {self.epochs}; {safe}")

    def print_results(self) -> None:
        """Prints where checkpoints, curves and the trained network lie."""
        print(f"checkpoints in {self.directory}\ncurves: tensorboard --logdir {self.log_directory}")
        print(f"weights written to {self.export_directory}")
