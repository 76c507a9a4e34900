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
    flags = command.Flags(description)
    with flags.group("As in the label generator, in its order"):
        flags.float("learning_rate", 2.5e-4, "learning rate at the first step", lower_bound=0)
        flags.integer("batch_size", 6, "pictures in a step, over all devices together", lower_bound=1)
        flags.integer("epochs", 60, "how many times training goes through the pictures", lower_bound=1)
        flags.string("data_dir", "data/wild/", "folder with TFRecords in train/ and test/, unless they are named below")
        flags.string("train_dir", "experiments", "where experiment directories are made")
        flags.boolean("use_cpu", False, "leave GPUs alone")
        flags.integer(
            "load", 0, "go on from the checkpoint of exactly this step; 0: from the last, if any", lower_bound=0
        )
        flags.boolean("use_fp16", False, "mixed precision: float16 with loss scaling on GPUs, bfloat16 on CPUs")
    with flags.group("Data"):
        flags.strings("train_data", [], "sets of training records with pictures: folders, manifests or globs")
        flags.string("test_data", "", "test records, likewise")
        flags.strings(
            "mix",
            [],
            "ratio of the sets' pictures in a batch, such as 3,1; not given: in proportion to the sets' sizes",
        )
        flags.strings("unaugmented", [], "sets of --train_data that are not varied (published: Human3.6M)")
        flags.strings("scaled_3d", [], "sets whose 2D is taken from the scaled 3D pose (published: Human3.6M)")
        flags.string("decisions", "", "decisions.json of a review (tools/review.py): dropped records are left out")
        flags.integer("test_limit", 2000, "how many test records are looked at after an epoch; 0: all", lower_bound=0)
    with flags.group("Network"):
        flags.string("weights", "", "weights folder to start from, such as the former stage's; not given: at random")
        flags.integer("stacks", 2, "hourglasses in a row", lower_bound=1)
        flags.integer("modules", 2, "residuals at each position", lower_bound=1)
        flags.integer("features", 256, "channels", lower_bound=2)
        flags.integer("resolution", 256, "side of the crop that the network sees, in px; a multiple of 64")
    with flags.group("Loss and optimiser"):
        flags.float("reg_weight", 0.1, "weight of the depths' error", lower_bound=0)
        flags.float("var_weight", 0.0, "weight of the bones' lengths on pictures without depths", lower_bound=0)
        flags.float(
            "quality_power",
            0.0,
            "a generated label's depths weigh its quality to this power; 0: all the same",
            lower_bound=0,
        )
        flags.float("min_quality", 0.0, "depths of labels of a lower quality are not used", lower_bound=0)
        flags.boolean(
            "subpixel",
            False,
            "heatmaps around the joints themselves, not their pixels, so that peaks can be found "
            "between pixels (not published)",
        )
        flags.enum("optimizer", "rmsprop", ["rmsprop", "adam"], "RMSprop as published, or Adam")
        flags.enum(
            "schedule",
            "step",
            ["step", "cosine"],
            "how the learning rate falls: to a tenth at --drop_epoch, "
            "or as half a cosine to nothing, after a short rise",
        )
        flags.integer("drop_epoch", 0, "epochs until the learning rate is a tenth; 0: never", lower_bound=0)
        flags.integer("steps_per_epoch", 0, "steps from evaluation to evaluation; 0: all pictures once", lower_bound=0)
    with flags.group("Variation of the pictures (published unless said otherwise)"):
        flags.float("margin", 1.25, "side of the crop over the longer side of the person's box", **_MARGIN)
        flags.float("scale_spread", 0.25, "standard deviation of the crop's side, as a power of 2", lower_bound=0)
        flags.float("turned_share", 0.4, "share of pictures that are turned", **_SHARE)
        flags.float("turn_spread_deg", 30.0, "standard deviation of their angle", lower_bound=0)
        flags.float("mirrored_share", 0.5, "share of pictures that are mirrored", **_SHARE)
        flags.strings("brightness", ["0.6", "1"], "from, to: factor of each colour channel")
        flags.float("shift", 0.0, "the crop moves by up to this share of its side (not published)", **_SHARE)
        flags.float("contrast", 0.0, "contrast changes by a factor of up to 1 +- this (not published)", **_SHARE)
        flags.float("grey_share", 0.0, "share of pictures without colours (not published)", **_SHARE)
        flags.float("noise", 0.0, "largest standard deviation of noise, of 255 (not published)", lower_bound=0)
        flags.float("covered_share", 0.0, "share of pictures with a covered part (not published)", **_SHARE)
    shared.declare_strategy(
        flags,
        "initial weights, order of data and variation of pictures",
        "compile the training step with XLA; for GPUs, slower on CPUs",
    )
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
    return os.path.join(
        flags.train_dir,
        f"hourglass_{stacks}_{modules}_{features}_{resolution}",
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
