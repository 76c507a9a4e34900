"""What train.py runs, from the flags to the trained network in the experiment directory's export/.

In reading order: the records, the network's sizes, the settings that decide the weights, the session (devices and
experiment directory), the model with its losses and optimiser, fit, export. The training step is
`trainer.Trainer.train_step`, its batches are `training_data.make_batches`, its losses `losses.losses`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from baseline_network.network import decoding, hourglass, kinds, landmark_encoder, network_files
from baseline_network.training import (
    cached_pictures,
    losses,
    maps_training,
    reviewed,
    trainer,
    training_data,
    training_flags,
)
from tfrecords import reader
from tfrecords.storage import fingerprints
from tools.cli import plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files import checksums
from tools.files.decisions import Decisions
from tools.training import data_service, experiments, memory, op_forms, parameter_servers, schedules
from tools.training.division import Division
from tools.training.session import TrainingDevices, TrainingJob, TrainingSession

# Batch normalisation and the optimiser's means settle before the rate is high.
_WARMUP_STEPS = 500


@dataclasses.dataclass(frozen=True)
class TrainingRecords:
    """The records of a training.

    Attributes:
      train: places of the training sets, as `reader.find` takes them. test: place of the test records.
      counts: number of records of each training set.
      reviewed: what a review leaves of each training set, None for all of it.
    """

    train: list[str]
    test: str
    counts: list[int]
    reviewed: Sequence[reviewed.Reviewed | None] = ()


@dataclasses.dataclass(frozen=True)
class NetworkTraining:
    """Everything that one training of the network consists of.

    Attributes:
      sizes: of the network. start: the network whose weights it starts from, None for random weights.
      sets: training sets with their shares of a batch. batches: how pictures become batches. test: test records.
      batch_size, steps_per_epoch, epochs: of the training.
      cached: pictures are kept in memory and varied on the device (`cached_pictures`).
      maps: it is a training on inner maps that are kept on disk; None: on pictures.
    """

    sizes: hourglass.Sizes
    start: network_files.HourglassWeights | None
    sets: list[training_data.TrainingSet]
    batches: training_data.BatchOptions
    test: trainer.TestSet
    batch_size: int
    steps_per_epoch: int
    epochs: int
    cached: bool = False
    maps: maps_training.MapsTraining | None = None


def train(flags: Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network; returns the exit status.

    Raises:
      InputError: a flag does not fit the records, the weights or the directory; nothing is written then.
    """
    start = network_files.load(flags.weights) if flags.weights else None
    records = find_records(flags)
    augmentation = training_flags.augmentation(flags)
    service = data_service.DataService.of_flags(flags.data_service, flags.data_service_workers)
    if flags.dry_run:
        return _preview(flags, records, start)
    devices = TrainingDevices.of_flags(flags, compiled_on_gpu=False)
    moves_groups(flags, devices)
    if service and flags.cache_pictures:
        raise InputError("--cache_pictures: pictures that --data_service's workers decode aren't kept here")
    maps_training.check(flags, devices)
    if flags.frozen_stem and not flags.weights:
        raise InputError("--frozen_stem: without --weights the first layers would stay random")
    if flags.frozen_stem and start is not None and isinstance(start.sizes, landmark_encoder.Sizes):
        raise InputError("--frozen_stem: of a head on MediaPipe's landmark network all is trained")
    records = leave_out(flags, records)
    sizes = network_sizes(flags, start)
    sets = training_sets(flags, records)
    for place in records.train:
        training_data.check_first(place, "train_data")
    training_data.check_first(records.test, "test_data")
    settings, decisive = collect_settings(flags, records, sizes, devices, start)
    directory = training_flags.experiment_directory(flags, sizes)
    session = TrainingSession.begin(flags, devices, directory, settings, decisive, _extendable(flags))

    training = NetworkTraining(
        sizes,
        start,
        sets,
        training_data.BatchOptions(
            sizes.resolution,
            flags.margin,
            flags.seed,
            augmentation,
            flags.quality_power,
            flags.min_quality,
            flags.subpixel,
        ),
        trainer.TestSet(records.test, flags.test_limit, flags.margin, _refinement(flags)),
        flags.batch_size,
        flags.steps_per_epoch or max(sum(records.counts) // flags.batch_size, 1),
        flags.epochs,
        flags.cache_pictures,
    )
    if devices.is_chief:
        mixed = " + ".join(f"{one.share} of {count:,}" for one, count in zip(sets, records.counts))
        print(
            f"stacks {sizes.stacks}, modules {sizes.modules}, features {sizes.features}, {sizes.resolution} px; "
            f"{mixed} pictures in a batch; {flags.epochs} epochs of {training.steps_per_epoch:,} steps; {devices}",
            flush=True,
        )
    maps = maps_training.keep(flags, training.sets, training.batches, settings, session.directory)
    training = dataclasses.replace(training, maps=maps)
    evaluator = trainer.Evaluator(sizes, training.test)
    with devices.scope():
        network, model = build_model(flags, training, devices)
    with training_data.named_pictures(records.train):
        figures = session.train(make_job(training, network, model, evaluator, Division.of(devices.strategy), service))
    if devices.is_chief:
        facts = {
            "crop_margin": flags.margin,
            "peaks": _refinement(flags),
            "settings": {name: settings[name] for name in decisive if not name.endswith("_records")},
            "steps": training.steps_per_epoch * flags.epochs,
            "train_pictures": records.counts,
        }
        export(session, evaluator.network, figures, facts, flags.half)
        flags.report.update(
            directory=session.directory, weights=session.export_directory, logs=session.log_directory,
            epochs=flags.epochs, figures={name[4:]: figure for name, figure in figures.items() if name[:4] == "val_"},
            train_pictures=records.counts,
        )  # fmt: skip
    return 0


def _preview(flags: Flags, records: TrainingRecords, start: network_files.HourglassWeights | None) -> int:
    """What would be trained on what, and from which checkpoint on."""
    sizes = network_sizes(flags, start)
    sets = training_sets(flags, leave_out(flags, records))
    devices = TrainingDevices.of_flags(flags, compiled_on_gpu=False)
    moves_groups(flags, devices)
    settings, decisive = collect_settings(flags, records, sizes, devices, start)
    directory = training_flags.experiment_directory(flags, sizes)
    plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite, _extendable(flags))
    reads = [f"{place}: {count:,} records" for place, count in zip(records.train, records.counts)]
    reads.append(f"{records.test}: {len(reader.find(records.test)):,} records, for evaluation")
    reads += [f"{flags.weights}: weights to start from"] if flags.weights else []
    shares = " + ".join(f"{one.share} of {place}" for one, place in zip(sets, records.train))
    selects = [f"{shares} in a batch, {flags.epochs} epochs", plan.message]
    places = [os.path.join(directory, name) for name in (experiments.LOG_FOLDER, experiments.EXPORT_FOLDER)]
    return plans.show(flags, reads, selects, [directory, *places])


def _extendable(flags: Flags) -> bool:
    """Whether the learning rate of a step is the same however many epochs are to come."""
    return bool(flags.schedule == "step")


def find_records(flags: Flags) -> TrainingRecords:
    """The training and test records that the flags name; raises `InputError` when one is missing or does not fit."""
    train = flags.train_data or [os.path.join(flags.data_dir, "train")]
    for name in ("unaugmented", "scaled_3d"):
        for place in getattr(flags, name):
            if place not in train:
                raise InputError(f"--{name}={place}: not one of --train_data ({', '.join(train)})")
    if flags.mix and len(flags.mix) != len(train):
        raise InputError(f"--mix={','.join(flags.mix)}: expected a number for each of the {len(train)} sets")
    counts = [_count(flags, place, "train_data") for place in train]
    test = flags.test_data or os.path.join(flags.data_dir, "test")
    _count(flags, test, "test_data")
    fingerprints.warn_of_shared(train, test)
    return TrainingRecords(train, test, counts)


def leave_out(flags: Flags, records: TrainingRecords) -> TrainingRecords:
    """The records without those that --decisions leave out; raises `InputError` when that leaves none of a set."""
    if not flags.decisions:
        return dataclasses.replace(records, reviewed=[None] * len(records.train))
    decisions = Decisions(flags.decisions)
    left = [reviewed.reviewed(place, decisions) for place in records.train]
    if len(decisions) and not decisions.matched:
        raise decisions.fits_nothing(f"records of {', '.join(map(str, records.train))}")
    for place, one in zip(records.train, left):
        print(f"{place}: {one.count:,} records; {one.dropped:,} dropped in review, {one.swapped:,} with swapped sides")
    return dataclasses.replace(records, counts=[one.count for one in left], reviewed=left)


def _count(flags: Flags, place: str, flag: str) -> int:
    try:
        return len(reader.find(place))
    except InputError as error:
        named = f"--{flag}" if getattr(flags, flag) else f"--{flag} not given, and --data_dir"
        raise InputError(f"{named}: {error}") from error


def network_sizes(flags: Flags, start: network_files.HourglassWeights | None) -> hourglass.Sizes:
    """The sizes by the flags, or of the weights to start from; raises `InputError` when the two contradict."""
    try:
        sizes = _sizes(flags)
    except InputError as error:
        raise InputError(f"--{error}") from None
    if start is None:
        return sizes
    if flags.encoder != "none" and not isinstance(start.sizes, landmark_encoder.Sizes):
        raise InputError(f"--encoder={flags.encoder}: the network in --weights is an hourglass")
    if flags.encoder != "none":
        # Of a head that does not lift yet, all but what the depths are made of besides goes on.
        start = dataclasses.replace(start, sizes=landmark_encoder.LiftingSizes(**dataclasses.asdict(start.sizes)))
    for name in training_flags.SIZES:
        size = getattr(start.sizes, name)
        if name != "resolution" and flags.given(name) and getattr(sizes, name) != size:
            raise InputError(f"--{name}={getattr(sizes, name)}: the network in --weights has {size}")
    return dataclasses.replace(start.sizes, resolution=sizes.resolution) if flags.given("resolution") else start.sizes


def _sizes(flags: Flags) -> hourglass.Sizes:
    if flags.encoder == "none":
        return hourglass.Sizes(**{name: getattr(flags, name) for name in training_flags.SIZES})
    # The published sizes are the hourglass's; a head has its own where none are given.
    given = {name: getattr(flags, name) for name in training_flags.SIZES if flags.given(name)}
    return landmark_encoder.LiftingSizes(**given)


def training_sets(flags: Flags, records: TrainingRecords) -> list[training_data.TrainingSet]:
    """The training sets with their shares of a batch; raises `InputError` when one has too few records for its own."""
    try:
        ratio = [float(number) for number in flags.mix] or records.counts
    except ValueError:
        raise InputError(f"--mix={','.join(flags.mix)}: expected numbers") from None
    shares = training_data.shares(flags.batch_size, ratio)
    for place, share, count in zip(records.train, shares, records.counts):
        if count < share:
            raise InputError(f"--train_data={place}: {count} records don't fill its {share} places of a batch")
    return [
        training_data.TrainingSet(place, share, place not in flags.unaugmented, place in flags.scaled_3d, left)
        for place, share, left in zip(records.train, shares, records.reviewed)
    ]


def collect_settings(
    flags: Flags,
    records: TrainingRecords,
    sizes: hourglass.Sizes,
    devices: TrainingDevices,
    start: network_files.HourglassWeights | None,
) -> tuple[dict[str, Any], list[str]]:
    """All settings of a training, and the names of those that decide its weights."""
    settings = {**flags.as_dict(), **dataclasses.asdict(sizes), **devices.as_settings()}
    settings["train_records"] = [fingerprints.fingerprint(place) for place in records.train]
    settings["test_records"] = fingerprints.fingerprint(records.test)
    settings["decisions"] = checksums.of_file(flags.decisions) if flags.decisions else ""
    # Which of the sets these are, not where they lie.
    for name in ("unaugmented", "scaled_3d"):
        settings[name] = [records.train.index(place) for place in getattr(flags, name)]
    decisive = [*training_flags.SIZES, *training_flags.DECISIVE, *training_flags.AUGMENTATION]
    decisive += ["precision", "train_records", *(["decisions"] if flags.decisions else [])]
    decisive += [
        name for name in ("frozen_stem", "cache_pictures", "cached_maps", "frozen_places") if getattr(flags, name)
    ]
    decisive += ["encoder"] if isinstance(sizes, landmark_encoder.Sizes) else []
    if start is not None:
        settings["first_weights"] = checksums.of_arrays(start.values)[: checksums.SHORT]
        decisive.append("first_weights")
    return settings, decisive


def _refinement(flags: Flags) -> str:
    return decoding.FIT if flags.subpixel else decoding.QUARTER


def build_model(
    flags: Flags, training: NetworkTraining, devices: TrainingDevices
) -> tuple[tf.keras.Model, trainer.Trainer]:
    """The network, and the compiled Keras model that trains it; call it in `devices.scope()`."""
    synchronized = devices.replicas > 1
    if training.start is not None:
        start = training.start.at_resolution(training.sizes.resolution).of_kind(training.sizes)
        network = start.build(synchronized=synchronized, form=devices.op_form)
    else:
        network = kinds.build(training.sizes, synchronized=synchronized, form=devices.op_form)
    if flags.frozen_stem:
        hourglass.freeze_stem(network)
    prepare = functools.partial(cached_pictures.prepare, setup=training.batches) if training.cached else None
    weights = losses.Weights(flags.reg_weight, flags.var_weight)
    grouped = moves_groups(flags, devices) and not isinstance(training.sizes, landmark_encoder.Sizes)
    if training.maps:
        model = training.maps.trainer_of(network, weights, training.batch_size)
    else:
        model = trainer.Trainer(network, weights, training.batch_size, prepare, grouped)
    if flags.schedule == "cosine":
        steps = training.steps_per_epoch * training.epochs
        schedule = schedules.WarmupCosine(flags.learning_rate, steps, _WARMUP_STEPS)
    else:
        schedule = trainer.StepDrop(flags.learning_rate, training.steps_per_epoch * flags.drop_epoch)
    model.compile(
        optimizer=trainer.make_optimizer(flags.optimizer, schedule, devices.precision),
        jit_compile=devices.jit_compile,
        steps_per_execution=devices.steps_per_execution(flags.steps_per_execution),
    )
    return network, model


def moves_groups(flags: Flags, devices: TrainingDevices) -> bool:
    """Whether the training step casts and moves all variables as a few vectors (`grouped_variables`).

    By default with the forms of operations for GPUs, where few kernels are what counts, on one device; between replicas
    gradients are summed and variables moved one by one.

    Raises:
      InputError: it is asked for where it cannot be.
    """
    alone = devices.replicas == 1 and not parameter_servers.is_one(devices.strategy)
    possible = alone and flags.optimizer == "rmsprop" and flags.encoder == "none"
    if flags.grouped_updates and not possible:
        raise InputError("--grouped_updates is for one device, the hourglass and --optimizer=rmsprop")
    wanted = devices.op_form == op_forms.GPU if flags.grouped_updates is None else flags.grouped_updates
    return bool(wanted and possible)


def make_job(
    training: NetworkTraining,
    network: tf.keras.Model,
    model: trainer.Trainer,
    evaluator: trainer.Evaluator,
    division: Division | None = None,
    service: data_service.DataService | None = None,
) -> TrainingJob:
    """What `TrainingSession.train` runs: the model, its batches, and what follows each epoch.

    service: makes the batches; None: this process does.
    """

    def evaluate(_: int) -> dict[str, float]:
        evaluator.take_weights(network)
        return evaluator.figures(division)

    def make_batches(start_step: int, rows: tuple[int, int] | None = None) -> tf.data.Dataset:
        make = functools.partial(training_data.make_batches, training.sets, training.batches, start_step, rows)
        return service.read(make, start_step) if service else make()

    def make_rows(start_step: int, first: int, end: int) -> tf.data.Dataset:
        return make_batches(start_step, (first, end))

    if training.cached:
        arrays = [cached_pictures.load(one, training.batches) for one in training.sets]
        make_cached = functools.partial(cached_pictures.make_batches, training.sets, arrays, training.batches)
        make_batches, make_rows = make_cached, None  # type: ignore[assignment]
    if training.maps:
        make_batches = training.maps.batches_of(network, training.batch_size, training.batches.seed)  # type: ignore
        make_rows = None  # type: ignore[assignment]
    given = (training.batch_size, training.steps_per_epoch, evaluate, evaluator.draw, make_rows)
    return TrainingJob(model, make_batches, *given, memory.output_bytes(network))


def export(
    session: TrainingSession,
    network: tf.keras.Model,
    figures: dict[str, float],
    facts: dict[str, Any],
    half: bool,
) -> None:
    """Writes the trained network and prints its figures of the test records."""
    test_figures = {name[4:]: value for name, value in figures.items() if name.startswith("val_")}
    for name, value in test_figures.items():
        print(f"{name}: {value:.4g}")
    network_files.save(session.export_directory, network, {**facts, "figures": test_figures}, half)
    session.print_results()
