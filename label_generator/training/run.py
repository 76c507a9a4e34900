"""What train.py runs, from the flags to the trained network in the experiment directory's export/.

In reading order: the records, the settings that decide the weights, the session (devices and experiment directory),
the recipe's training, fit, export. The published training step is Keras' own, with the loss and optimizer of
`published_training.PublishedTraining.make_model`; the canonical one is `canonical_losses.CanonicalTrainer.train_step`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Callable, Protocol

import numpy as np
import tensorflow as tf

from label_generator.networks import linear_model, network_files
from label_generator.stages import names
from label_generator.training import (
    canonical_training,
    level_poses,
    published_data,
    published_training,
    training_flags,
)
from tfrecords import reader
from tfrecords.storage import fingerprints
from tools.cli import plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files import checksums, remote
from tools.training import experiments, memory, op_forms, parameter_servers
from tools.training.division import Division
from tools.training.session import TrainingDevices, TrainingJob, TrainingSession


class Training(Protocol):
    """What the trainings of both recipes have in common; see `published_training.PublishedTraining`."""

    train_poses: int
    test_poses: int
    left_out: int
    is_on_disk: bool

    @property
    def steps_per_epoch(self) -> int: ...

    def make_batches(self, start_step: int) -> tf.data.Dataset: ...

    def make_model(self, replicas: int, jit_compile: bool, steps_per_execution: int) -> tf.keras.Model: ...

    def take_weights(self, model: tf.keras.Model) -> None: ...

    def figures(self, division: Division) -> dict[str, float]: ...

    def table(self) -> str: ...

    def draw(self, epoch: int) -> dict[str, Any]: ...

    def export(self, directory: str, facts: Mapping[str, Any]) -> None: ...


def train(flags: Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network; returns the exit status.

    Raises:
      InputError: a flag does not fit the records, the weights or the directory; nothing is written then.
    """
    training_flags.view_settings(flags)  # what they are, before anything is written
    train_data, test_data = find_records(flags)
    if flags.dry_run:
        return _preview(flags, train_data, test_data)
    devices = TrainingDevices.of_flags(flags)
    settings, decisive = collect_settings(flags, train_data, test_data, devices)
    directory = training_flags.experiment_directory(flags)
    session = TrainingSession.begin(flags, devices, directory, settings, decisive, _extendable(flags))
    training: Training
    if flags.recipe == "published":
        training = make_published(flags, train_data, test_data)
    else:
        training = make_canonical(flags, train_data, test_data, settings["draw_views"] == training_flags.IN_STEP)
    if devices.is_chief:
        print(_summary(flags, training, devices), flush=True)
    with devices.scope():
        model = training.make_model(
            devices.replicas, devices.jit_compile, devices.steps_per_execution(flags.steps_per_execution)
        )

    division = Division.of(devices.strategy)

    def evaluate(_: int) -> dict[str, float]:
        training.take_weights(model)
        return training.figures(division)

    given = (flags.batch_size, training.steps_per_epoch, evaluate, training.draw)
    figures = session.train(TrainingJob(model, training.make_batches, *given, row_bytes=memory.output_bytes(model)))
    if devices.is_chief:
        test_figures = {name[4:]: value for name, value in figures.items() if name.startswith("val_")}
        for name, value in test_figures.items():
            print(f"{name}: {value:.4g}")
        facts = {
            "settings": {name: settings[name] for name in decisive if not name.endswith("_data")},
            "steps": training.steps_per_epoch * flags.epochs,
            "train_poses": training.train_poses,
            "test_poses": training.test_poses,
            "figures": test_figures,
        }
        training.export(session.export_directory, facts)
        if flags.evaluateActionWise:
            print(training.table())
        flags.report.update(
            directory=session.directory, weights=session.export_directory, logs=session.log_directory,
            epochs=flags.epochs, figures=test_figures, train_poses=training.train_poses, test_poses=training.test_poses,
        )  # fmt: skip
        session.print_results()
    return 0


def _preview(flags: Flags, train_data: str, test_data: str) -> int:
    """What would be trained on what, and from which checkpoint on."""
    directory = training_flags.experiment_directory(flags)
    settings, decisive = collect_settings(flags, train_data, test_data, TrainingDevices.of_flags(flags))
    plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite, _extendable(flags))
    counts = [f"{place}: {len(reader.find(place)):,} records" for place in (train_data, test_data)]
    others = [place for place in (flags.left2right, flags.start_from) if place]
    reads = [*counts, *(f"{place}: weights" for place in others)]
    selects = [f"stage {flags.stage}, {flags.recipe} recipe, {flags.epochs} epochs", plan.message]
    places = [os.path.join(directory, name) for name in (experiments.LOG_FOLDER, experiments.EXPORT_FOLDER)]
    return plans.show(flags, reads, selects, [directory, *places])


def _extendable(flags: Flags) -> bool:
    """Whether the learning rate of a step is the same however many epochs are to come."""
    return bool(flags.recipe == "published")


def find_records(flags: Flags) -> tuple[str, str]:
    """The training and test records' places; raises `InputError` when there is nothing."""
    places = {}
    for name, folder in (("train_data", "train"), ("test_data", "test")):
        places[name] = getattr(flags, name) or os.path.join(flags.data_dir, folder)
        try:
            reader.find(places[name])
        except InputError as error:
            named = f"--{name}" if getattr(flags, name) else f"--{name} not given, and --data_dir"
            raise InputError(f"{named}: {error}") from error
    fingerprints.warn_of_shared(places["train_data"], places["test_data"])
    return places["train_data"], places["test_data"]


def collect_settings(
    flags: Flags, train_data: str, test_data: str, devices: TrainingDevices
) -> tuple[dict[str, Any], list[str]]:
    """All settings of a training, and the names of those that decide its weights."""
    settings = {**flags.as_dict(), **devices.as_settings()}
    settings["train_records"] = fingerprints.fingerprint(train_data)
    settings["test_records"] = fingerprints.fingerprint(test_data)
    decisive = ["stage", "recipe", *training_flags.PUBLISHED, "seed", "precision", "jit_compile", "train_records"]
    if flags.stage == names.POSE3D:
        decisive += ["right_view"]
        if flags.left2right:
            settings["left2right_weights"] = _digest_of_variables(flags.left2right)
            if flags.right_view == "predicted" or flags.recipe == "canonical":
                decisive += ["left2right_weights"]
    if flags.recipe == "canonical":
        decisive += [*training_flags.CANONICAL, "draw_views"]
        settings["draw_views"] = training_flags.IN_STEP if draws_in_step(flags.draw_views, devices) else "host"
        if flags.start_from:
            settings["start_weights"] = _digest_of_networks(flags.start_from)
            decisive += ["start_weights"]
    return settings, decisive


def _digest_of_variables(folder: str) -> str:
    path = os.path.join(remote.fetched(folder), "weights.npz")
    try:
        return checksums.of_file(path)[: checksums.SHORT]
    except OSError as error:
        raise InputError(f"--left2right: {path}: {error.strerror}") from error


def _digest_of_networks(folder: str) -> str:
    networks = network_files.find_networks([folder])
    return checksums.of_folders([network.directory for network in networks.values()])[: checksums.SHORT]


def make_published(flags: Flags, train_data: str, test_data: str) -> published_training.PublishedTraining:
    """The training of a published network: its poses, right views true or predicted, and its configuration."""
    network = network_files.load_network(flags.left2right) if flags.left2right else None
    predicts = flags.right_view == "predicted"
    test = published_data.load_poses(test_data, flags.stage, "test_data", actions=True, needs_right=not predicts)
    rights: dict[str, np.ndarray | None] | None = None
    right_of: Callable[[published_data.PublishedPoses], np.ndarray] | None = None
    if network is not None:
        predict = functools.partial(published_data.predict_right_views, network)
        of_test = predict(test.left)
        rights = {"": of_test} if predicts else {"": test.right, "predicted": of_test}
        right_of = (lambda poses: predict(poses.left)) if predicts else None
    train = published_data.TrainingRows.of_records(
        train_data, flags.stage, training_flags.memory_mib(flags) << 20, right_of
    )
    config = linear_model.LinearModelConfig.of_stage(
        flags.stage,
        linear_size=flags.linear_size,
        num_layers=flags.num_layers,
        residual=flags.residual,
        batch_norm=flags.batch_norm,
        max_norm=flags.max_norm,
        dropout=flags.dropout,
        seed=flags.seed,
    )
    setup = published_training.PublishedSetup(
        config, flags.stage, flags.batch_size, flags.learning_rate, flags.seed, flags.predict_14, flags.statistics
    )
    return published_training.PublishedTraining(setup, train, test, rights)


def draws_in_step(where: str, devices: TrainingDevices) -> bool:
    """Whether --draw_views=`where` has virtual views drawn inside the training step, on these devices.

    Raises:
      InputError: it asks for that on several devices, which share the rows of a batch.
    """
    alone = devices.replicas == 1 and not parameter_servers.is_one(devices.strategy)
    if where == training_flags.IN_STEP and not alone:
        raise InputError(f"--draw_views={where} is for one device; here the rows of a batch go to several: use host")
    return where == training_flags.IN_STEP or (where == "auto" and alone and op_forms.has_gpu())


def make_canonical(
    flags: Flags, train_data: str, test_data: str, in_step: bool = False
) -> canonical_training.CanonicalTraining:
    """The training of canonical networks: level poses, virtual views, and the networks that it starts from.

    in_step: views are drawn inside the training step (`draws_in_step`).
    """
    setup = canonical_training.CanonicalSetup(
        **{name: getattr(flags, name) for name in canonical_training.SETUP_FLAGS},
        views=training_flags.view_settings(flags),
        losses=training_flags.loss_weights(flags),
    )
    network = network_files.load_network(flags.left2right) if flags.left2right else None
    start = network_files.find_networks([flags.start_from]) if flags.start_from else None
    # A step that draws its own views has all poses on its device.
    memory = None if in_step else training_flags.memory_mib(flags) << 20
    train = level_poses.load_level_poses(train_data, memory)
    test = canonical_training.load_evaluation_poses(test_data)
    return canonical_training.CanonicalTraining(setup, train, test, network, start, in_step)


def _summary(flags: Flags, training: Training, devices: TrainingDevices) -> str:
    left_out = f" ({training.left_out:,} records without all joints left out)" if training.left_out else ""
    place = " (in a temporary file)" if training.is_on_disk else ""
    return (
        f"{flags.stage}, {flags.recipe} recipe: {training.train_poses:,} poses to train{place}, "
        f"{training.test_poses:,} to test{left_out}; "
        f"{flags.epochs} epochs of {training.steps_per_epoch:,} steps; {devices}"
    )
