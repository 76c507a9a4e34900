"""The flags of `train.py`: the original's in its order, then those of this project by group."""

from __future__ import annotations

import os
from typing import Any

from label_generator.stages import names
from label_generator.training.recipe_settings import LossWeights, ViewSettings, flag_fields
from tools.cli import command
from tools.cli.errors import InputError
from tools.files import remote
from tools.training import experiments
from tools.training import flags as shared

STAGES = (*names.NETWORKS, names.CHAIN)
RECIPES = ("published", "canonical")
SCHEDULES = ("cosine", "constant")
IN_STEP = "step"
_FARTHEST_MM = 1_000_000
_PUBLISHED_MIB, _CANONICAL_MIB = 256, 2048
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
VIEW_FIELDS, LOSS_FIELDS = flag_fields(ViewSettings), flag_fields(LossWeights)
CANONICAL = (
    "steps_per_epoch",
    "left2right_layers",
    "balance",
    "rarity",
    "synthetic_share",
    "schedule",
    "weight_decay",
    "ema",
    *(f"view_{field.name}" for field in VIEW_FIELDS),
    *(f"loss_{field.name}" for field in LOSS_FIELDS),
)


def declare(description: str) -> command.Flags:
    """The flags of `train.py`."""
    flags = command.Flags(description, dry_run=True)
    with flags.group("Flags of the original, in its order"):
        flags.float(
            "learning_rate",
            1e-3,
            "learning rate at the first step; decays by 0.96 every 100,000 steps",
            lower_bound=0,
            upper_bound=1000,
        )
        flags.float("dropout", 1, "probability to KEEP an activation; 1 means no dropout")
        flags.integer(
            "batch_size", 64, "poses in a step, over all devices; more than memory holds is refused", lower_bound=1
        )  # fmt: skip
        flags.integer(
            "epochs",
            200,
            "total number of passes through the data, including those before a resumed checkpoint (the released code "
            "trains that many more after --load)",
            lower_bound=1,
        )
        flags.boolean(
            "camera_frame", False, "poses are in camera coordinates; ignored, as in the release: records always are"
        )
        flags.boolean("max_norm", False, "clip each weight matrix to Frobenius norm 1 in the forward pass")
        flags.boolean("batch_norm", False, "batch normalisation after each hidden linear layer")
        flags.boolean(
            "predict_14",
            False,
            "leave Neck/Nose, Spine and Hip, which LSP does not label, out of loss and figures (released: ignored)",
        )
        flags.boolean(
            "use_sh", False, "use detected 2D poses; ignored, as in the release: choose the records with --train_data"
        )
        flags.integer("linear_size", 1024, "width of the hidden layers", lower_bound=1, upper_bound=65_536)
        flags.integer("num_layers", 2, "residual blocks, of two linear layers each", lower_bound=0, upper_bound=1000)
        flags.boolean("residual", False, "add each block's input to its output")
        flags.boolean("evaluateActionWise", False, "print a table of test errors by action at the end")
        flags.string(
            "cameras_path",
            "data/h36m/cameras.h5",
            "camera parameters; ignored, as in the release: records contain their cameras",
        )
        flags.string(
            "data_dir",
            "data/h36m/",
            "folder with TFRecords in train/ and test/; used where --train_data or --test_data is not given",
        )
        flags.string("train_dir", "experiments", "parent folder, or address, of the experiment directories")
        flags.boolean("use_cpu", False, "do not use GPUs")
        flags.integer(
            "load", 0, "resume from the checkpoint of exactly this step; 0: from the last one, if any", lower_bound=0
        )
        flags.boolean("use_fp16", False, "mixed precision: float16 with loss scaling on GPUs, bfloat16 on CPUs")
    with flags.group("Stage"):
        flags.enum(
            "stage",
            "left2right",
            STAGES,
            "network to train. left2right: left -> right view; pose3d: both views -> 3D; direct: left view -> 3D; "
            "chain: left2right and pose3d jointly (canonical recipe)",
        )
        flags.enum(
            "recipe", "published", RECIPES, "published: the paper's; canonical: this project's, with virtual cameras"
        )
    with flags.group("Data"):
        flags.string("train_data", "", "training records: folder, manifest or glob of TFRecords")
        flags.string("test_data", "", "test records: folder, manifest or glob of TFRecords")
        flags.enum(
            "right_view",
            "true",
            ["true", "predicted"],
            "right view that pose3d is trained on: ground truth or prediction (published recipe)",
        )
        flags.string(
            "left2right",
            "",
            "weights folder of a trained left2right network; pose3d is then also evaluated on its "
            "predicted right views",
        )
        flags.integer(
            "memory_mib",
            None,
            "keep training poses in memory up to this size; more lie in a temporary file (TMPDIR) and give the same "
            "batches. A pose of the published recipe takes 272 bytes (left2right) or 476 (pose3d), one of the "
            f"canonical recipe 1,636; not given: {_PUBLISHED_MIB} and {_CANONICAL_MIB}. Views that are drawn within "
            "the step need all poses in memory",
            lower_bound=0,
        )
    shared.declare_strategy(
        flags,
        "initial weights, order of data, dropout and virtual cameras",
        "compile the training step with XLA; dropout then uses other random numbers; not given: on one GPU",
    )
    with flags.group("Evaluation, logging and files"):
        flags.enum(
            "statistics",
            "train",
            ["train", "test"],
            "poses whose mean and standard deviation normalise test data. test: as in the released predict_3d_pose.py, "
            "whose reported values are then not millimetres (published recipe)",
        )
        shared.declare_files(flags, "drawn poses")
    with flags.group("Canonical recipe (not in the paper)"):
        flags.integer(
            "steps_per_epoch", 1000, "steps between evaluations (views are sampled without end)", lower_bound=1
        )
        flags.integer(
            "left2right_layers", 1, "residual blocks of the first network of a chain", lower_bound=1, upper_bound=1000
        )
        flags.float(
            "balance",
            0.5,
            "exponent: a sequence of n poses is sampled in proportion to n to this power",
            lower_bound=-10,
            upper_bound=10,
        )
        flags.float(
            "rarity",
            0.0,
            "exponent: poses are sampled in proportion to their distance from others to this power",
            lower_bound=0,
            upper_bound=10,
        )
        flags.float(
            "synthetic_share",
            0.2,
            "fraction of views that show records of --source=synthetic, where there are others too",
            lower_bound=0,
            upper_bound=1,
        )
        flags.enum(
            "draw_views",
            "auto",
            ["auto", "host", IN_STEP],
            "where virtual views are drawn. host: by the processor, ahead of the training step; step: within the step, "
            "on its device; auto: within the step on one GPU. XLA draws other random numbers",
        )
        flags.enum("schedule", "cosine", SCHEDULES, "learning rate after a warm-up of 200 steps")
        flags.string(
            "start_from",
            "",
            "weights folder to start from, with the same stages and sizes as the training; pose3d may "
            "also start from a "
            "direct network, and then learns what the right view adds",
        )
        flags.float("weight_decay", 0.01, "AdamW's weight decay of the weight matrices", lower_bound=0, upper_bound=100)
        flags.float(
            "ema",
            0.999,
            "decay of the moving average of the weights, which is evaluated and exported; 0: none",
            lower_bound=0,
            upper_bound=0.99999,
        )
        for field in VIEW_FIELDS:
            if isinstance(field.default, tuple):
                words = [f"{value:g}" for value in field.default]
                flags.strings(f"view_{field.name}", words, field.metadata["help"])
            else:
                _declare_bounded(flags, f"view_{field.name}", field)
        for field in LOSS_FIELDS:
            _declare_bounded(flags, f"loss_{field.name}", field)
    return flags


def _declare_bounded(flags: command.Flags, name: str, field: Any) -> None:
    low, high = field.metadata["bounds"]
    flags.float(name, field.default, field.metadata["help"], lower_bound=low, upper_bound=high)


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
    folder = remote.place(os.path.join(experiment_directory(flags), experiments.EXPORT_FOLDER))
    if not folder.is_dir():
        raise InputError(f"{folder}: no such weights of a finished training; name a folder with --weights")
    if flags.load:
        raise InputError(f"--load={flags.load}: a training exports its last checkpoint only; use --load=0 or --weights")
    return str(folder)


def _number(value: float) -> str:
    """1 for the default 1.0, as the original's flags print it; others as Python does."""
    return str(int(value)) if value == int(value) else str(value)


def view_settings(flags: command.Flags) -> ViewSettings:
    """The `ViewSettings` of these flags; raises `InputError` when a range is none."""
    values: dict[str, Any] = {}
    for field in VIEW_FIELDS:
        value = getattr(flags, f"view_{field.name}")
        values[field.name] = _range(f"view_{field.name}", value) if isinstance(field.default, tuple) else value
    return ViewSettings(**values)


def loss_weights(flags: command.Flags) -> LossWeights:
    """The `LossWeights` of these flags."""
    return LossWeights(**{field.name: getattr(flags, f"loss_{field.name}") for field in LOSS_FIELDS})


def _range(name: str, words: list[str]) -> tuple[float, float]:
    try:
        low, high = (float(word) for word in words)
    except ValueError:
        raise InputError(f"--{name}={','.join(words)}: expected two numbers, from and to") from None
    if not 0 < low <= high <= _FARTHEST_MM:
        raise InputError(f"--{name}={','.join(words)}: expected a range, from and to, of 0 to {_FARTHEST_MM:,} mm")
    return low, high


def memory_mib(flags: command.Flags) -> int:
    """What training poses may take in memory, MiB."""
    if flags.memory_mib is not None:
        return int(flags.memory_mib)
    return _PUBLISHED_MIB if flags.recipe == "published" else _CANONICAL_MIB
