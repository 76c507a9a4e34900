"""The flags of `train.py`: first those shared with the label generator's training, then the others by group."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tools.cli import command
from tools.cli.errors import InputError
from tools.training import flags as shared

if TYPE_CHECKING:
    from baseline_network.images.augment import Augmentation
    from baseline_network.network.hourglass import Sizes

_SHARE, _MARGIN = {"lower_bound": 0, "upper_bound": 1}, {"lower_bound": 0.5, "upper_bound": 10}
# Flags that decide the weights beside the data, in the order in which they are shown.
DECISIVE = (
    "learning_rate",
    "batch_size",
    "epochs",
    "steps_per_epoch",
    "schedule",
    "drop_epoch",
    "optimizer",
    "reg_weight",
    "var_weight",
    "quality_power",
    "min_quality",
    "mix",
    "unaugmented",
    "scaled_3d",
    "margin",
    "subpixel",
    "seed",
    "jit_compile",
)
SIZES = ("stacks", "modules", "features", "resolution")
# Fields of `augment.Augmentation` that are flags of the same name.
AUGMENTATION = (
    "scale_spread",
    "turned_share",
    "turn_spread_deg",
    "mirrored_share",
    "brightness",
    "shift",
    "contrast",
    "grey_share",
    "noise",
    "covered_share",
)


def declare(description: str) -> command.Flags:
    """The flags of `train.py`."""
    flags = command.Flags(description, dry_run=True)
    with flags.group("Flags shared with the label generator's training"):
        flags.float("learning_rate", 2.5e-4, "learning rate at the first step", lower_bound=0, upper_bound=1000)
        flags.integer(
            "batch_size", 6, "pictures in a step, over all devices; more than memory holds is refused", lower_bound=1
        )  # fmt: skip
        flags.integer("epochs", 60, "number of passes through the training pictures", lower_bound=1)
        flags.string(
            "data_dir",
            "data/wild/",
            "folder with TFRecords in train/ and test/; used where --train_data or --test_data is not given",
        )
        flags.string("train_dir", "experiments", "parent folder, or address, of the experiment directories")
        flags.boolean("use_cpu", False, "do not use GPUs")
        flags.integer(
            "load", 0, "resume from the checkpoint of exactly this step; 0: from the last one, if any", lower_bound=0
        )
        flags.boolean("use_fp16", False, "mixed precision: float16 with loss scaling on GPUs, bfloat16 on CPUs")
    with flags.group("Data"):
        flags.strings(
            "train_data", [], "TFRecords with pictures to train on: folders, manifests or globs, one for each data set"
        )
        flags.string("test_data", "", "TFRecords to evaluate on after each epoch: folder, manifest or glob")
        flags.strings(
            "mix",
            [],
            "ratio of the data sets' pictures in a batch, such as 3,1; not given: in proportion to their sizes",
        )
        flags.strings("unaugmented", [], "those of --train_data that are not augmented (published: Human3.6M)")
        flags.strings(
            "scaled_3d",
            [],
            "those of --train_data whose 2D joints are taken from the scaled 3D pose (published: Human3.6M)",
        )
        flags.string("decisions", "", "decisions.json of a review (tools/review.py): dropped records are left out")
        flags.boolean(
            "cache_pictures",
            False,
            "decode all training pictures once, keep them in memory, and crop and vary them on the device; for GPUs",
        )
        flags.integer(
            "cached_maps",
            0,
            "with --encoder=mediapipe: number of varied pictures whose inner maps are computed once, kept on disk (154 "
            "kB each) and trained on in every epoch; 0: pictures are varied anew at every step",
            lower_bound=0,
        )
        flags.string("maps_dir", "", "folder of --cached_maps; not given: maps/ of the experiment directory")
        flags.boolean(
            "frozen_places",
            False,
            "with --weights and --cached_maps: train the dense layers of the depths alone, on what the rest of the "
            "head, which stays as it is, makes of the kept maps",
        )
        flags.integer("test_limit", 2000, "number of test records evaluated after each epoch; 0: all", lower_bound=0)
    with flags.group("Network"):
        flags.string(
            "weights",
            "",
            "weights folder to start from, such as the export/ of the previous stage, of this or another resolution; "
            "not given: random initialisation",
        )
        flags.boolean(
            "frozen_stem",
            False,
            "with --weights: leave the first layers, up to the first pooling, as they are; saves a quarter of a step",
        )
        flags.enum(
            "encoder",
            "none",
            ["none", "mediapipe"],
            "none: the published hourglass; mediapipe: a small head on the inner maps of MediaPipe's landmark network, "
            "which stays as it is (not published; --features 64 and --modules 2, where not given)",
        )
        flags.integer("stacks", 2, "number of stacked hourglasses", lower_bound=1, upper_bound=100)
        flags.integer("modules", 2, "residual modules at each position of an hourglass", lower_bound=1, upper_bound=100)
        flags.integer("features", 256, "number of channels", lower_bound=2, upper_bound=8192)
        flags.integer("resolution", 256, "side of the network's input crop in px; a multiple of 64", upper_bound=8192)
    with flags.group("Loss and optimiser"):
        flags.float("reg_weight", 0.1, "weight of the depth loss", lower_bound=0)
        flags.float(
            "var_weight",
            0.0,
            "weight of the geometric loss (bone lengths) on pictures without 3D labels; 0: none",
            lower_bound=0,
        )
        flags.float(
            "quality_power",
            0.0,
            "weight the depth loss of a generated label by its quality to this power; 0: all labels equally",
            lower_bound=0,
        )
        flags.float(
            "min_quality",
            0.0,
            "ignore the depths of generated labels of lower quality; their 2D joints are still used",
            lower_bound=0,
        )
        flags.boolean(
            "subpixel",
            False,
            "centre heatmap targets on the exact joint instead of its pixel, which allows subpixel peaks "
            "(not published)",
        )
        flags.enum("optimizer", "rmsprop", ["rmsprop", "adam"], "RMSprop as published, or Adam")
        flags.boolean(
            "grouped_updates",
            None,
            "cast and move all variables as a few vectors, which starts a quarter of the kernels; the same numbers but "
            "for rounding; not given: with the forms of operations for GPUs, on one device with --optimizer=rmsprop",
        )
        flags.enum(
            "schedule",
            "step",
            ["step", "cosine"],
            "learning rate. step: divided by 10 after --drop_epoch; cosine: warm-up, then cosine decay to 0",
        )
        flags.integer(
            "drop_epoch",
            0,
            "with --schedule=step, epochs before the learning rate is divided by 10; 0: never",
            lower_bound=0,
        )
        flags.integer(
            "steps_per_epoch", 0, "steps between evaluations; 0: one pass through the pictures", lower_bound=0
        )
    with flags.group("Augmentation (as published unless marked)"):
        flags.float("margin", 1.25, "ratio of the crop's side to the longer side of the person's box", **_MARGIN)
        flags.float("scale_spread", 0.25, "standard deviation of the random scale, as exponent of 2", lower_bound=0)
        flags.float("turned_share", 0.4, "fraction of pictures that are rotated", **_SHARE)
        flags.float("turn_spread_deg", 30.0, "standard deviation of the rotation angle, in degrees", lower_bound=0)
        flags.float("mirrored_share", 0.5, "fraction of pictures that are mirrored", **_SHARE)
        flags.strings("brightness", ["0.6", "1"], "range of the random factor of each colour channel")
        flags.float(
            "shift", 0.0, "largest random shift of the crop, as a fraction of its side (not published)", **_SHARE
        )
        flags.float("contrast", 0.0, "largest random change of contrast: factor 1 +- this (not published)", **_SHARE)
        flags.float("grey_share", 0.0, "fraction of pictures converted to grey (not published)", **_SHARE)
        flags.float(
            "noise",
            0.0,
            "largest standard deviation of the added noise, for values 0 to 255 (not published)",
            lower_bound=0,
        )
        flags.float("covered_share", 0.0, "fraction of pictures with an occluding patch (not published)", **_SHARE)
    shared.declare_strategy(
        flags,
        "initial weights, order of data and augmentation",
        "compile the training step with XLA; slower on CPUs, and takes minutes; not given: no",
    )
    with flags.group("Input pipeline on other machines"):
        flags.string(
            "data_service",
            "",
            "grpc://HOST:PORT of the dispatcher of tf.data's service (tools/data_service.py): its workers read, decode "
            "and vary the pictures; batches are the same (docs/scale.md)",
        )
        flags.integer("data_service_workers", 1, "how many workers the service has", lower_bound=1)
    with flags.group("Logging and files"):
        shared.declare_files(flags, "drawn predictions")
        flags.boolean("half", False, "write the trained network's weights as float16")
    return flags


def experiment_directory(flags: command.Flags, sizes: Sizes | None = None) -> str:
    """The directory of a training, named by what the network is.

    Args:
      sizes: `hourglass.Sizes` of the network, where they are not those of the flags.
    """
    stacks, modules, features, resolution = (getattr(sizes or flags, name) for name in SIZES)
    from baseline_network.network import landmark_encoder

    kind = "head" if isinstance(sizes, landmark_encoder.Sizes) else "hourglass"
    return os.path.join(
        flags.train_dir,
        f"{kind}_{stacks}_{modules}_{features}_{resolution}",
        f"epochs_{flags.epochs}",
        f"lr_{flags.learning_rate:g}",
        f"batch_size_{flags.batch_size}",
        f"reg_{flags.reg_weight:g}_var_{flags.var_weight:g}",
    )


def augmentation(flags: command.Flags) -> Augmentation:
    """The `augment.Augmentation` of these flags; raises `InputError` when the range of brightness is none."""
    from baseline_network.images import augment

    values = {name: getattr(flags, name) for name in AUGMENTATION}
    try:
        low, high = (float(word) for word in flags.brightness)
    except ValueError:
        low = high = 0.0
    if not 0 < low <= high:
        raise InputError(f"--brightness={','.join(flags.brightness)}: expected two numbers above 0, from and to")
    return augment.Augmentation(**{**values, "brightness": (low, high)})
