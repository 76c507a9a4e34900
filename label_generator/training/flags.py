"""The flags of `train.py`: the original's in its order, then those of this project by group."""

from __future__ import annotations

import os
import pathlib

from label_generator.stages import names
from tools.cli import command
from tools.cli.errors import InputError
from tools.training import experiments
from tools.training import flags as shared

STAGES = (*names.NETWORKS, names.CHAIN)
RECIPES = ("published", "canonical")
SCHEDULES = ("cosine", "constant")
# The flags that define the published network and its training, which the experiment directory's name spells out.
PUBLISHED = (
    "learning_rate",
    "dropout",
    "batch_size",
    "epochs",
    "max_norm",
    "batch_norm",
    "predict_14",
    "linear_size",
    "num_layers",
    "residual",
)
# Fields of `virtual_camera.Settings` and `canonical_training.LossWeights` that are flags of the same name.
VIEWS = (
    "studio_share",
    "distance_mm",
    "height_mm",
    "max_pitch_deg",
    "off_axis_deg",
    "roll_deg",
    "size_spread",
    "bone_spread",
    "recombined",
    "noise_px",
    "noise_share",
    "detected_share",
    "skeleton_captured",
    "skeleton_stated",
    "skeleton_borrowed",
    "skeleton_displaced",
    "skeleton_spread",
    "part_spread",
    "tilt_share",
    "tilt_deg",
    "tilt_any",
    "masked",
    "unknown",
)
LOSSES = ("right_view", "refined", "distance", "expected_error", "trust")
CANONICAL = (
    "steps_per_epoch",
    "left2right_layers",
    "balance",
    "rarity",
    "synthetic_share",
    "schedule",
    "weight_decay",
    "ema",
    *(f"view_{name}" for name in VIEWS),
    *(f"loss_{name}" for name in LOSSES),
)


def declare(description: str) -> command.Flags:
    """The flags of `train.py`."""
    flags = command.Flags(description)
    with flags.group("Flags of the original, in its order"):
        flags.float("learning_rate", 1e-3, "learning rate at the first step; decays by 0.96 every 100,000 steps")
        flags.float("dropout", 1, "probability to KEEP an activation; 1 means no dropout")
        flags.integer("batch_size", 64, "poses in a step, over all devices together", lower_bound=1)
        flags.integer(
            "epochs",
            200,
            "how many times training goes through the data in all: a training that --load goes on with ends after as "
            "many, where the release trains that many more",
            lower_bound=1,
        )
        flags.boolean("camera_frame", False, "poses are in camera axes; ignored, as by the release: records always are")
        flags.boolean("max_norm", False, "clip each weight matrix to Frobenius norm 1 in the forward pass")
        flags.boolean("batch_norm", False, "batch normalisation after each hidden linear layer")
        flags.boolean(
            "predict_14",
            False,
            "leave Neck/Nose, Spine and Hip, which LSP does not label, out of loss and figures (released: ignored)",
        )
        flags.boolean("use_sh", False, "use detected 2D poses; ignored, as by the release: --train_data says which")
        flags.integer("linear_size", 1024, "width of the hidden layers", lower_bound=1)
        flags.integer("num_layers", 2, "residual blocks, of two linear layers each", lower_bound=0)
        flags.boolean("residual", False, "add each block's input to its output")
        flags.boolean("evaluateActionWise", False, "print a table of test errors by action at the end")
        flags.string(
            "cameras_path",
            "data/h36m/cameras.h5",
            "camera parameters; ignored, as by the release: records carry their cameras",
        )
        flags.string("data_dir", "data/h36m/", "folder with TFRecords in train/ and test/, unless they are named below")
        flags.string("train_dir", "experiments", "where experiment directories are made")
        flags.boolean("use_cpu", False, "leave GPUs alone")
        flags.integer(
            "load", 0, "go on from the checkpoint of exactly this step; 0: from the last, if any", lower_bound=0
        )
        flags.boolean("use_fp16", False, "mixed precision: float16 with loss scaling on GPUs, bfloat16 on CPUs")
    with flags.group("Stage"):
        flags.enum(
            "stage",
            "left2right",
            STAGES,
            "what is trained. left2right: left -> right view; pose3d: both views -> 3D; direct: left -> 3D; "
            "chain: the first two at once (canonical recipe)",
        )
        flags.enum("recipe", "published", RECIPES, "the paper's, or this project's on virtual cameras")
    with flags.group("Data"):
        flags.string("train_data", "", "training records: folder, manifest or glob of TFRecords")
        flags.string("test_data", "", "test records, likewise")
        flags.enum(
            "right_view", "true", ["true", "predicted"], "which right view pose3d is trained on (published recipe)"
        )
        flags.string(
            "left2right",
            "",
            "weights folder of a trained left2right; predicts right views, on which pose3d is then evaluated too",
        )
    shared.declare_strategy(
        flags,
        "initial weights, order of data, dropout and virtual cameras",
        "compile the training step with XLA, whose dropout draws other numbers",
    )
    with flags.group("Evaluation, logging and files"):
        flags.enum(
            "statistics",
            "train",
            ["train", "test"],
            "which poses' mean and deviation normalise test data; test: as the released predict_3d_pose.py, whose mm "
            "are not mm (published recipe)",
        )
        shared.declare_files(flags, "drawn poses")
    with flags.group("Canonical recipe (not in the paper)"):
        flags.integer("steps_per_epoch", 1000, "steps from evaluation to evaluation; views never end", lower_bound=1)
        flags.integer("left2right_layers", 1, "residual blocks of the first network of a chain", lower_bound=1)
        flags.float("balance", 0.5, "a sequence of n poses is met in proportion to n to this power")
        flags.float(
            "rarity", 0.0, "poses unlike others are met more often, by their distance to this power", lower_bound=0
        )
        flags.float("synthetic_share", 0.2, "share of views of people of source synthetic, where there are both")
        flags.enum("schedule", "cosine", SCHEDULES, "what the learning rate does after its first 200 steps")
        flags.string(
            "start_from",
            "",
            "weights folder of trained networks to start from, of the stages and sizes that are trained; a pose3d may "
            "start from a direct network, and then learns what the right view adds",
        )
        flags.float("weight_decay", 0.01, "AdamW's decay of matrices", lower_bound=0)
        flags.float("ema", 0.999, "decay of the average of weights that is evaluated and exported", upper_bound=0.99999)
        flags.float("view_studio_share", 0.4, "share of views by cameras placed as Human3.6M's")
        flags.strings("view_distance_mm", ["1900", "10500"], "from, to: distance of the other cameras")
        flags.strings("view_height_mm", ["200", "4200"], "from, to: their height above the floor")
        flags.float("view_max_pitch_deg", 42.0, "how steeply they look up or down")
        flags.float("view_off_axis_deg", 10.0, "how far they look past the person")
        flags.float("view_roll_deg", 3.0, "standard deviation of their roll")
        flags.float("view_size_spread", 0.03, "standard deviation of a person's size")
        flags.float("view_bone_spread", 0.05, "standard deviation of each pair of bones")
        flags.float("view_recombined", 0.3, "probability to take over the legs, and the arms, of another pose")
        flags.float("view_noise_px", 8.0, "largest standard deviation of noise on 2D joints")
        flags.float("view_noise_share", 0.6, "share of views with noise")
        flags.float("view_detected_share", 0.0, "share of views with a detector's errors instead")
        flags.float("view_skeleton_captured", 1.0, "share of people whose skeleton is as captured")
        flags.float("view_skeleton_stated", 0.0, "share of people whose joints are at the stated places")
        flags.float("view_skeleton_borrowed", 0.0, "share of people with the skeleton of another data set")
        flags.float("view_skeleton_displaced", 0.0, "share of people whose joints are displaced besides")
        flags.float("view_skeleton_spread", 0.6, "how far, in units of the spread between data sets")
        flags.float("view_part_spread", 0.0, "standard deviation of the size of legs, arms and trunk by itself")
        flags.float("view_tilt_share", 0.0, "share of people turned about a horizontal axis")
        flags.float("view_tilt_deg", 15.0, "standard deviation of that angle")
        flags.float("view_tilt_any", 0.0, "share of people turned by any angle")
        flags.float("view_masked", 0.4, "share of views with joints missing")
        flags.float("view_unknown", 0.15, "share of views whose intrinsics the network is not told")
        flags.float("loss_right_view", 1.0, "weight of the right view's error")
        flags.float("loss_refined", 0.5, "weight of the error after a search in closed form")
        flags.float("loss_distance", 0.2, "weight of the error of the logarithm of the distance")
        flags.float("loss_expected_error", 0.05, "weight of the fit of each joint's expected error")
        flags.float("loss_trust", 0.2, "weight of the error that teaches how far to trust each ray")
    return flags


def experiment_directory(flags: command.Flags) -> str:
    """The directory of a training, named as the original's."""
    return os.path.join(
        flags.train_dir,
        f"dropout_{_number(flags.dropout)}",
        f"epochs_{flags.epochs}",
        f"lr_{_number(flags.learning_rate)}",
        "residual" if flags.residual else "not_residual",
        f"depth_{flags.num_layers}",
        f"linear_size{flags.linear_size}",
        f"batch_size_{flags.batch_size}",
        "maxnorm" if flags.max_norm else "no_maxnorm",
        "batch_normalization" if flags.batch_norm else "no_batch_normalization",
        "predict_14" if flags.predict_14 else "predict_17",
    )


def exported_weights(flags: command.Flags) -> str:
    """The weights folder that a finished training left in the experiment directory of these flags.

    Raises:
      InputError: there is none, or --load names another checkpoint than the last.
    """
    folder = pathlib.Path(experiment_directory(flags), experiments.EXPORT_FOLDER)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such weights of a finished training; name a folder with --weights")
    if flags.load:
        raise InputError(f"--load={flags.load}: a training exports its last checkpoint only; use --load=0 or --weights")
    return str(folder)


def _number(value: float) -> str:
    """1 for the default 1.0, as the original's flags print it; others as Python does."""
    return str(int(value)) if value == int(value) else str(value)


def view_settings(flags: command.Flags):
    """The `virtual_camera.Settings` of these flags; raises `InputError` when a range is none."""
    from label_generator.training import virtual_camera

    values = {name: getattr(flags, f"view_{name}") for name in VIEWS}
    for name in ("distance_mm", "height_mm"):
        values[name] = _range(f"view_{name}", values[name])
    return virtual_camera.Settings(**values)


def loss_weights(flags: command.Flags):
    """The `canonical_training.LossWeights` of these flags."""
    from label_generator.training import canonical_losses

    return canonical_losses.LossWeights(**{name: getattr(flags, f"loss_{name}") for name in LOSSES})


def _range(name: str, words: list[str]) -> tuple[float, float]:
    try:
        low, high = (float(word) for word in words)
    except ValueError:
        raise InputError(f"--{name}={','.join(words)}: expected two numbers, from and to") from None
    if not 0 < low <= high:
        raise InputError(f"--{name}={','.join(words)}: expected a range above 0, from and to")
    return low, high
