"""Train the baseline network: a picture of a person in, 2D heatmaps and joint depths out.

Published recipe: one stage on pictures with 3D labels (baseline_network/flags/baseline.cfg); the three stages of the
network that it is built on, for the ablation, are stage1_2d.cfg, stage2_depth.cfg and stage3_geometry.cfg, each
starting from the former's export/ with --weights. A training that was stopped or killed goes on from its last
checkpoint when the same command is given again, to the same weights. At the end the network lies in the experiment
directory's export/, which evaluate.py, predict.py, demo.py and export.py take as --weights.
"""

from __future__ import annotations

import os
import sys

from baseline_network.training import flags as training_flags
from tools.cli import command
from tools.cli.errors import InputError
from tools.training import experiments
from tools.training import precision as precisions

# Batch normalisation and the optimizer's means want to settle before the rate is high.
_WARMUP_STEPS = 500


def declare() -> command.Flags:
    """The flags of this command."""
    return training_flags.declare(__doc__)


def main(flags: command.Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network."""
    places, test_data = _data(flags)
    augmentation = training_flags.augmentation(flags)

    from tools.training import strategy as strategies

    strategies.prepare_devices(flags.use_cpu, flags.virtual_cpus, flags.deterministic, flags.seed, flags.threads)
    strategy = strategies.make_strategy(flags.strategy)
    from baseline_network.network import network_files
    from baseline_network.training import data as training_data
    from tools.training import callbacks

    callbacks.profiled_batches(flags.profile)
    former = network_files.load(flags.weights) if flags.weights else None
    sizes = _sizes(flags, former)
    sets, counts = _sets(flags, places)
    for place in (*places, test_data):
        training_data.check_first(place, "test_data" if place == test_data else "train_data")
    precision = precisions.policy_name(flags.use_fp16)
    settings, decisive = _settings(flags, places, test_data, sizes, precision, former)
    directory = training_flags.experiment_directory(flags, sizes)
    plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite)
    chief = strategies.is_chief(strategy)
    # Other workers must have looked before the first one changes anything, and go on when it has.
    strategies.wait_for_all(strategy)
    if chief:
        print(f"{directory}: {plan.told}")
        experiments.prepare(directory, plan, settings)
    strategies.wait_for_all(strategy)

    steps_per_epoch = flags.steps_per_epoch or max(sum(counts) // flags.batch_size, 1)
    setup = training_data.Setup(
        sizes.resolution, flags.margin, flags.seed, augmentation, flags.quality_power, flags.min_quality, flags.subpixel
    )
    if chief:
        mixed = " + ".join(f"{one.share} of {count:,}" for one, count in zip(sets, counts))
        replicas = strategy.num_replicas_in_sync
        print(
            f"stacks {sizes.stacks}, modules {sizes.modules}, features {sizes.features}, {sizes.resolution} px; "
            f"{mixed} pictures in a batch; {flags.epochs} epochs of {steps_per_epoch:,} steps; "
            f"{replicas} replica{'s' if replicas > 1 else ''}, {precision}",
            flush=True,
        )
    evaluator, figures = _train(
        flags, strategy, sizes, former, sets, setup, test_data, steps_per_epoch, precision, directory, plan, settings
    )
    if not chief:
        return 0
    found = {name[4:]: value for name, value in figures.items() if name.startswith("val_")}
    for name, value in found.items():
        print(f"{name}: {value:.4g}")
    facts = {
        "crop_margin": flags.margin,
        "peaks": _refine(flags),
        "settings": {name: settings[name] for name in decisive if not name.endswith("_records")},
        "steps": steps_per_epoch * flags.epochs,
        "train_pictures": counts,
        "figures": found,
    }
    export = os.path.join(directory, experiments.EXPORT_FOLDER)
    network_files.save(export, evaluator.network, facts, flags.half)
    print(f"checkpoints in {directory}\ncurves: tensorboard --logdir {os.path.join(directory, experiments.LOG_FOLDER)}")
    print(f"weights written to {export}")
    return 0


def _data(flags) -> tuple[list[str], str]:
    """The sets of training records and the test records; raises `InputError` when there is nothing."""
    from tfrecords import reader

    def checked(place, name):
        try:
            reader.find(place)
        except InputError as error:
            named = f"--{name}" if getattr(flags, name) else f"--{name} not given, and --data_dir"
            raise InputError(f"{named}: {error}") from error
        return place

    train = flags.train_data or [os.path.join(flags.data_dir, "train")]
    for name in ("unaugmented", "scaled_3d"):
        for place in getattr(flags, name):
            if place not in train:
                raise InputError(f"--{name}={place}: not one of --train_data ({', '.join(train)})")
    if flags.mix and len(flags.mix) != len(train):
        raise InputError(f"--mix={','.join(flags.mix)}: expected a number for each of the {len(train)} sets")
    test = flags.test_data or os.path.join(flags.data_dir, "test")
    return [checked(place, "train_data") for place in train], checked(test, "test_data")


def _sizes(flags, former):
    from baseline_network.network import hourglass

    sizes = hourglass.Sizes(**{name: getattr(flags, name) for name in training_flags.SIZES})
    if former is not None and former.sizes != sizes:
        for name in training_flags.SIZES:
            there = getattr(former.sizes, name)
            if flags.given(name) and getattr(sizes, name) != there:
                raise InputError(f"--{name}={getattr(sizes, name)}: the network in --weights has {there}")
        sizes = former.sizes
    return sizes


def _sets(flags, places):
    """The sets, and how many records each has."""
    from baseline_network.training import data as training_data
    from tfrecords import reader

    counts = [len(reader.find(place)) for place in places]
    try:
        ratio = [float(number) for number in flags.mix] or counts
    except ValueError:
        raise InputError(f"--mix={','.join(flags.mix)}: expected numbers") from None
    shares = training_data.shares(flags.batch_size, ratio)
    for place, share, count in zip(places, shares, counts):
        if count < share:
            raise InputError(f"--train_data={place}: {count} records don't fill its {share} places of a batch")
    sets = [
        training_data.Set(place, share, place not in flags.unaugmented, place in flags.scaled_3d)
        for place, share in zip(places, shares)
    ]
    return sets, counts


def _refine(flags) -> str:
    from baseline_network.network import decoding

    return decoding.FIT if flags.subpixel else decoding.QUARTER


def _settings(flags, places, test_data, sizes, precision, former) -> tuple[dict, list[str]]:
    """All settings, and the names of those that decide the weights."""
    import dataclasses

    from tfrecords.storage import fingerprints
    from tools.files import checksums

    settings = {**flags.as_dict(), **dataclasses.asdict(sizes), "precision": precision}
    settings["train_records"] = [fingerprints.fingerprint(place) for place in places]
    settings["test_records"] = fingerprints.fingerprint(test_data)
    # Which of the sets these are, not where they lie.
    for name in ("unaugmented", "scaled_3d"):
        settings[name] = [places.index(place) for place in getattr(flags, name)]
    decisive = [*training_flags.SIZES, *training_flags.DECISIVE, *training_flags.AUGMENTATION]
    decisive += ["precision", "train_records"]
    if former is not None:
        settings["first_weights"] = checksums.of_arrays(former.values)[: checksums.SHORT]
        decisive.append("first_weights")
    return settings, decisive


def _train(
    flags, strategy, sizes, former, sets, setup, test_data, steps_per_epoch, precision, directory, plan, settings
):
    from baseline_network.network import hourglass
    from baseline_network.training import data as training_data
    from baseline_network.training import losses, trainer
    from tools.training import loop, schedules

    evaluator = trainer.Evaluator(sizes, trainer.TestSet(test_data, flags.test_limit, flags.margin, _refine(flags)))
    with precisions.policy(precision), strategy.scope():
        replicas = strategy.num_replicas_in_sync
        make = former.build if former is not None else lambda **options: hourglass.build(sizes, **options)
        network = make(synchronized=replicas > 1)
        model = trainer.Trainer(network, losses.Weights(flags.reg_weight, flags.var_weight), flags.batch_size)
        if flags.schedule == "cosine":
            schedule = schedules.WarmupCosine(flags.learning_rate, steps_per_epoch * flags.epochs, _WARMUP_STEPS)
        else:
            schedule = trainer.StepDrop(flags.learning_rate, steps_per_epoch * flags.drop_epoch)
        model.compile(
            optimizer=trainer.make_optimizer(flags.optimizer, schedule, precision),
            jit_compile=flags.jit_compile,
            steps_per_execution=flags.steps_per_execution,
        )

    def evaluate(_):
        evaluator.take_weights(network)
        return evaluator.figures()

    def make_batches(start_step):
        return training_data.make_batches(sets, setup, start_step)

    def make_rows(start_step, first, end):
        return training_data.make_batches(sets, setup, start_step, (first, end))

    job = loop.Job(model, make_batches, flags.batch_size, steps_per_epoch, evaluate, evaluator.draw, make_rows)
    with training_data.named_pictures([one.where for one in sets]):
        figures = loop.train(
            job, strategy, directory, plan, flags.epochs, settings, flags.profile, flags.pictures_every, flags.keep
        )
    return evaluator, figures


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
