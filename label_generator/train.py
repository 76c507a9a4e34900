"""Train a network of the 3D label generator.

Published recipe: first --stage=left2right (left view -> right view), then --stage=pose3d (both views -> 3D); the
flagfiles left2right.cfg and pose3d.cfg in label_generator/flags hold the published flags. A training that was stopped
or killed goes on from its last checkpoint when the same command is given again, to the same weights. At the end the
network lies in the experiment directory's export/, which generate.py and evaluate.py take as --weights.
"""

from __future__ import annotations

import os
import sys

from label_generator.training import flags as training_flags
from tools.cli import command
from tools.cli.errors import InputError
from tools.training import experiments
from tools.training import precision as precisions

_IGNORED = ("camera_frame", "use_sh", "cameras_path")


def declare() -> command.Flags:
    """The flags of this command."""
    return training_flags.declare(__doc__)


def main(flags: command.Flags) -> int:
    """Trains, evaluates after every epoch, and writes the trained network."""
    _check(flags)
    for name in _IGNORED:
        if flags.given(name):
            print(f"--{name} changes nothing: the release declared and never used it, and records need it not")
    train_data, test_data = _data(flags)

    from tools.training import strategy as strategies

    strategies.prepare_devices(flags.use_cpu, flags.virtual_cpus, flags.deterministic, flags.seed, flags.threads)
    strategy = strategies.make_strategy(flags.strategy)
    from tools.training import callbacks

    callbacks.profiled_batches(flags.profile)
    precision = precisions.policy_name(flags.use_fp16)
    settings, decisive = _settings(flags, train_data, test_data, precision)
    directory = training_flags.experiment_directory(flags)
    plan = experiments.plan(directory, settings, decisive, flags.load, flags.overwrite)
    chief = strategies.is_chief(strategy)
    # Other workers must have looked before the first one changes anything, and go on when it has.
    strategies.wait_for_all(strategy)
    if chief:
        print(f"{directory}: {plan.message}")
        experiments.prepare(directory, plan, settings)
    strategies.wait_for_all(strategy)

    make = _published if flags.recipe == "published" else _canonical
    training = make(flags, train_data, test_data)
    if chief:
        print(_told(flags, training, strategy, precision), flush=True)
    figures = _train(flags, training, strategy, precision, directory, plan, settings)
    if not chief:
        return 0
    for name, value in figures.items():
        if name.startswith("val_"):
            print(f"{name[4:]}: {value:.4g}")
    facts = {
        "settings": {name: settings[name] for name in decisive if not name.endswith("_data")},
        "steps": training.steps_per_epoch * flags.epochs,
        "train_poses": training.train_poses,
        "test_poses": training.test_poses,
        "figures": {name[4:]: value for name, value in figures.items() if name.startswith("val_")},
    }
    export = os.path.join(directory, experiments.EXPORT_FOLDER)
    training.export(export, facts)
    if flags.evaluateActionWise:
        print(training.table())
    print(f"checkpoints in {directory}\ncurves: tensorboard --logdir {os.path.join(directory, 'log')}")
    print(f"weights written to {export}")
    return 0


def _check(flags) -> None:
    if flags.recipe == "published" and flags.stage == "chain":
        raise InputError("--stage=chain is the canonical recipe's; the published one trains left2right, then pose3d")
    if not 0 < flags.dropout <= 1:
        raise InputError(f"--dropout={flags.dropout}: the probability to keep must be above 0 and at most 1")
    if flags.left2right and flags.stage != "pose3d":
        raise InputError(f"--left2right is for --stage=pose3d, not for {flags.stage}")
    if flags.right_view == "predicted" and not flags.left2right:
        raise InputError("--right_view=predicted needs --left2right, the weights folder that predicts")
    if flags.recipe == "published" and (flags.start_from or flags.schedule != "cosine"):
        name = "start_from" if flags.start_from else "schedule"
        raise InputError(f"--{name} is of the canonical recipe; the published one has no such choice")
    if flags.recipe == "canonical":
        given = [n for n in ("max_norm", "batch_norm", "residual", "predict_14") if getattr(flags, n)]
        given += ["dropout"] * (flags.dropout != 1) + ["statistics"] * (flags.statistics != "train")
        if given:
            raise InputError(f"--{given[0]} is of the published recipe; the canonical one has no such choice")
        if flags.stage == "pose3d" and not flags.left2right:
            raise InputError("the canonical pose3d is trained on predictions: name the weights with --left2right")


def _data(flags) -> tuple[str, str]:
    """The training and test records' places; raises `InputError` when there is nothing."""
    from tfrecords import reader

    places = {}
    for name, folder in (("train_data", "train"), ("test_data", "test")):
        places[name] = getattr(flags, name) or os.path.join(flags.data_dir, folder)
        try:
            reader.find(places[name])
        except InputError as error:
            named = f"--{name}" if getattr(flags, name) else f"--{name} not given, and --data_dir"
            raise InputError(f"{named}: {error}") from error
    return places["train_data"], places["test_data"]


def _settings(flags, train_data: str, test_data: str, precision: str) -> tuple[dict, list[str]]:
    """All settings, and the names of those that decide the weights."""
    from tfrecords.storage import fingerprints

    settings = {**flags.as_dict(), "precision": precision}
    settings["train_records"] = fingerprints.fingerprint(train_data)
    settings["test_records"] = fingerprints.fingerprint(test_data)
    decisive = ["stage", "recipe", *training_flags.PUBLISHED, "seed", "precision", "jit_compile", "train_records"]
    if flags.stage == "pose3d":
        decisive += ["right_view"]
        if flags.left2right:
            settings["left2right_weights"] = _digest(os.path.join(flags.left2right, "weights.npz"))
            if flags.right_view == "predicted" or flags.recipe == "canonical":
                decisive += ["left2right_weights"]
    if flags.recipe == "canonical":
        decisive += training_flags.CANONICAL
        if flags.start_from:
            settings["start_weights"] = _digest_of_networks(flags.start_from)
            decisive += ["start_weights"]
    return settings, decisive


def _digest(path: str) -> str:
    from tools.files import checksums

    try:
        return checksums.of_file(path)[: checksums.SHORT]
    except OSError as error:
        raise InputError(f"--left2right: {path}: {error.strerror}") from error


def _digest_of_networks(folder: str) -> str:
    from label_generator.networks import network_files
    from tools.files import checksums

    networks = network_files.find_networks([folder])
    return checksums.of_folders([network.directory for network in networks.values()])[: checksums.SHORT]


def _published(flags, train_data: str, test_data: str):
    from label_generator.networks import linear_model, network_files
    from label_generator.training import published_data, published_training

    network = network_files.load_network(flags.left2right) if flags.left2right else None
    predicts = flags.right_view == "predicted"
    train = published_data.load_poses(train_data, flags.stage, "train_data", needs_right=not predicts)
    test = published_data.load_poses(test_data, flags.stage, "test_data", actions=True, needs_right=not predicts)
    rights = None
    if network is not None:
        of_test = published_data.predict_right_views(network, test.left)
        if predicts:
            rights = {"": (published_data.predict_right_views(network, train.left), of_test)}
        else:
            rights = {"": (train.right, test.right), "predicted": (None, of_test)}
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
    setup = published_training.Setup(
        config, flags.stage, flags.batch_size, flags.learning_rate, flags.seed, flags.predict_14, flags.statistics
    )
    return published_training.PublishedTraining(setup, train, test, rights)


def _canonical(flags, train_data: str, test_data: str):
    from label_generator.networks import network_files
    from label_generator.training import canonical_training

    setup = canonical_training.Setup(
        stage=flags.stage,
        linear_size=flags.linear_size,
        num_layers=flags.num_layers,
        left2right_layers=flags.left2right_layers,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        epochs=flags.epochs,
        steps_per_epoch=flags.steps_per_epoch,
        seed=flags.seed,
        weight_decay=flags.weight_decay,
        ema=flags.ema,
        balance=flags.balance,
        rarity=flags.rarity,
        synthetic_share=flags.synthetic_share,
        schedule=flags.schedule,
        views=training_flags.view_settings(flags),
        losses=training_flags.loss_weights(flags),
    )
    network = network_files.load_network(flags.left2right) if flags.left2right else None
    start = network_files.find_networks([flags.start_from]) if flags.start_from else None
    train, test = canonical_training.load_level_poses(train_data), canonical_training.load_seen_poses(test_data)
    return canonical_training.CanonicalTraining(setup, train, test, network, start)


def _told(flags, training, strategy, precision: str) -> str:
    devices = f"{strategy.num_replicas_in_sync} replica{'s' if strategy.num_replicas_in_sync > 1 else ''}"
    left_out = f" ({training.left_out:,} records without all joints left out)" if training.left_out else ""
    return (
        f"{flags.stage}, {flags.recipe} recipe: {training.train_poses:,} poses to train, {training.test_poses:,} to "
        f"test{left_out}; {flags.epochs} epochs of {training.steps_per_epoch:,} steps; {devices}, {precision}"
    )


def _train(flags, training, strategy, precision: str, directory: str, plan, settings: dict) -> dict[str, float]:
    from tools.training import loop

    with precisions.policy(precision), strategy.scope():
        model = training.make_model(strategy.num_replicas_in_sync, flags.jit_compile, flags.steps_per_execution)

    def evaluate(_):
        training.take_weights(model)
        return training.figures()

    job = loop.Job(model, training.make_batches, flags.batch_size, training.steps_per_epoch, evaluate, training.draw)
    return loop.train(
        job, strategy, directory, plan, flags.epochs, settings, flags.profile, flags.pictures_every, flags.keep
    )


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
