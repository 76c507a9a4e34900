"""Import published weights.

    python tools/import_checkpoint.py --format=tf1 --input=checkpoint-1234 --statistics=data/train --output=mine
    python tools/import_checkpoint.py --format=pytorch_hg3d --input=model.pth --output=mine

tf1: one checkpoint of the released label generator (left2right or pose3d) becomes a weights folder of label_generator.
pytorch_hg3d: one file of the published 3D pose network (hg3d, stacked hourglass with depths) becomes a weights folder
of baseline_network. It needs PyTorch (pip install -e '.[torch]'); no code in the file is executed.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from label_generator.stages import names
from tools.cli import command, outputs, plans
from tools.cli.errors import InputError

FORMATS = ("tf1", "pytorch_hg3d")
_TF1_ONLY = ("residual", "max_norm", "dropout", "stage", "permutation", "statistics", "split", "layout")
# What a folder may hold that is replaced; anything else in it is the user's.
_WEIGHTS_FILES = ("model.json", "weights.npz", "statistics.json")


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What becomes what"):
        flags.enum("format", None, FORMATS, "what the input is")
        flags.string(
            "input",
            "",
            "tf1: prefix of the checkpoint (.../checkpoint-1234), one of its files, or its folder, whose file "
            "'checkpoint' names the latest; pytorch_hg3d: a file of torch.save, the whole network or its state",
        )
        flags.string("output", "", "folder to write")
        flags.boolean("overwrite", False, "replace a weights folder that is there")
    with flags.group("What a PyTorch file does not contain"):
        flags.float(
            "margin",
            1.25,
            "side of the crops it was trained on over the longer side of the person's box",
            lower_bound=0.1,
            upper_bound=10.0,
        )
    with flags.group("What a TF1 checkpoint does not contain"):
        flags.boolean(
            "residual",
            None,
            "whether it was trained with --residual; read from the name of the experiment directory when not given",
        )
        flags.boolean("max_norm", None, "whether it was trained with --max_norm; the same")
        flags.float(
            "dropout",
            None,
            "probability to keep an activation in training; recorded only, since it does not affect inference",
        )
        flags.enum("stage", None, names.PAPER, "expected stage; not given: recognised by the network's sizes")
        flags.string(
            "permutation",
            "",
            "order of joints of the checkpoint, and of .npy files of --statistics, where it is not this project's: "
            "17 numbers, the i-th says which of its joints is joint i here",
        )
    with flags.group("Normalisation statistics, which a TF1 checkpoint does not hold"):
        flags.string(
            "statistics",
            "",
            "the poses it was trained on: a folder of TFRecords or the original's .npy trees; or a statistics.json of "
            "this project. Without it the network cannot be applied to pixels",
        )
        flags.enum("split", "train", ("train", "test", "all"), "which subjects of .npy trees; train: 1, 5, 6, 7, 8")
        flags.enum(
            "layout", "auto", ("auto", "planar", "interleaved"), "rows of .npy files; auto: by their folders' names"
        )
    return flags


def main(flags: command.Flags) -> int:
    """Imports one network and prints its sizes and settings."""
    flags.require("format", "input", "output")
    return _import_hg3d(flags) if flags.format == "pytorch_hg3d" else _import_tf1(flags)


def _import_hg3d(flags: command.Flags) -> int:
    for name in _TF1_ONLY:
        if flags.given(name):
            raise InputError(f"--{name} is for TF1 checkpoints, not for --format=pytorch_hg3d")
    _check_output(flags, ("model.json", "weights.npz", "README.md"))

    from baseline_network.importing import pytorch_hg3d
    from baseline_network.network import hourglass, network_files

    model = pytorch_hg3d.import_hg3d(flags.input)
    sizes = hourglass.sizes_of(model)
    print(f"{flags.input}: {sizes.joints} joints, crops of {sizes.resolution} px, {model.count_params():,} numbers")
    print(f"  contents: stacks {sizes.stacks}, modules {sizes.modules}, features {sizes.features}")
    flags.report.update(input=flags.input, output=flags.output, sizes=sizes, numbers=model.count_params())
    if flags.dry_run:
        return plans.show(flags, [flags.input], ["the network"], [flags.output])
    facts = {
        "origin": "PyTorch weights of the published network (hg3d)",
        "checkpoint": pathlib.Path(flags.input).name,
        # As the published code cuts and reads its pictures, which the file does not contain.
        "crop_margin": flags.margin,
    }
    folder = network_files.save(flags.output, model, facts)
    print(f"weights: {folder}")
    return 0


def _import_tf1(flags: command.Flags) -> int:
    import dataclasses

    from label_generator.importing import tf1_checkpoint
    from label_generator.networks import network_files
    from tools.pose import joints

    order = joints.parse_permutation(flags.permutation)
    _check_output(flags)
    checkpoint = tf1_checkpoint.read_checkpoint(flags.input)
    if flags.stage and flags.stage != checkpoint.stage:
        raise InputError(f"{checkpoint.path}: is of stage {checkpoint.stage}, --stage={flags.stage} was asked for")
    choices, origins = _choices(flags, checkpoint.path)
    config = checkpoint.config(**choices)
    print(f"{checkpoint.path}: {checkpoint.stage}, {config.input_size} -> {config.output_size} numbers")
    print(
        f"  contents: linear_size {config.linear_size}, num_layers {config.num_layers}, batch_norm "
        f"{_yes(config.batch_norm)}" + "".join(f", {name} {value:g}" for name, value in checkpoint.facts.items())
    )
    print("  settings: " + ", ".join(f"{name} {_yes(choices[name])} ({origins[name]})" for name in choices))
    flags.report.update(
        input=checkpoint.path, output=flags.output, stage=checkpoint.stage, config=dataclasses.asdict(config)
    )
    if flags.dry_run:
        where = [flags.statistics] if flags.statistics else []
        return plans.show(
            flags, [checkpoint.path, *where], [f"the network of stage {checkpoint.stage}"], [flags.output]
        )
    variables = checkpoint.variables
    if order is not None:
        variables = tf1_checkpoint.permuted(variables, checkpoint.stage, order)
        print("  joints put in this project's order: " + ",".join(map(str, order)))
    facts = {
        "origin": "checkpoint of the released TensorFlow 1 code",
        "checkpoint": pathlib.Path(checkpoint.path).name,
        **checkpoint.facts,
        "permutation": None if order is None else [int(i) for i in order],
    }
    statistics = _statistics(flags, checkpoint, variables, order, (config.residual, config.max_norm), facts)
    folder = network_files.save_network(
        flags.output, checkpoint.stage, "published", dataclasses.asdict(config), variables, statistics, facts
    )
    if not statistics:
        print(
            "  WITHOUT normalisation statistics: the checkpoint has none, and none were given (--statistics); "
            "the label generator refuses this folder until it has a statistics.json"
        )
    print(f"weights: {folder}")
    return 0


def _choices(flags: command.Flags, path: str) -> tuple[dict, dict]:
    """What the checkpoint does not contain, and the origin of each; raises InputError for what is missing."""
    from label_generator.importing import tf1_checkpoint

    named = tf1_checkpoint.choices_of_directory(path)
    choices, origins = {}, {}
    for name in ("residual", "max_norm", "dropout"):
        given = getattr(flags, name)
        if given is not None:
            choices[name], origins[name] = given, f"--{name}"
            if named.get(name, given) != given:
                origins[name] += f", though the directory's name has {_yes(named[name])}"
        elif name in named:
            choices[name], origins[name] = named[name], "the directory's name"
    missing = [f"--{name} or --no{name}" for name in ("residual", "max_norm") if name not in choices]
    if missing:
        raise InputError(
            f"{path}: neither the checkpoint nor the name of its directory states it; give {' and '.join(missing)} "
            "as it was trained (the published recipe has both on)"
        )
    return choices, origins


def _yes(value: Any) -> str:
    return f"{value:g}" if not isinstance(value, bool) else "on" if value else "off"


def _statistics(flags: command.Flags, checkpoint: Any, variables: Any, order: Any, chosen: Any, facts: dict) -> dict:
    """The statistics by name, {} where none were given; adds to `facts` where they are from and what they say."""
    from label_generator.importing import statistics as import_statistics
    from label_generator.networks import normalization
    from tfrecords.storage import manifest
    from tools.cli.progress import Progress

    where, stage = flags.statistics, checkpoint.stage
    if not where:
        return {}
    path = pathlib.Path(where)
    if path.is_file() and path.suffix == ".json" and path.name != manifest.NAME:
        statistics = normalization.load_statistics(path)
        import_statistics.check_statistics(statistics, stage, where)
        facts["statistics"] = path.name
        return {name: statistics[name] for name in ("input", "output")}
    if not path.exists() and not any(path.parent.glob(path.name)):
        raise InputError(f"--statistics={where}: no such file or folder")
    if path.is_dir() and not (path / manifest.NAME).exists():
        layout = "" if flags.layout == "auto" else flags.layout
        total, batches = import_statistics.batches_of_arrays(where, stage, flags.split, layout, order)
    else:
        total, batches = import_statistics.batches_of_tfrecords(where, stage)
    with Progress(total, "poses") as progress:
        data = import_statistics.read_training_data(batches, total, stage, where, progress.update)
    count = data.statistics["input"].count
    left_out = f", {data.unusable:,} left out for missing joints" if data.unusable else ""
    print(f"  statistics of {count:,} poses in {where}{left_out}")
    errors = import_statistics.errors_by_choice(checkpoint, variables, data)
    print(f"  mean squared error on {len(data.inputs):,} of them, normalised: {errors[chosen]:.4g}")
    for doubt in import_statistics.doubts(errors, chosen):
        print(f"  WARNING: {doubt}")
    facts["statistics"] = f"{path.name}, {count} poses"
    facts["mean_squared_error"] = errors[chosen]
    return data.statistics


def _check_output(flags: command.Flags, replaced: tuple = _WEIGHTS_FILES) -> None:
    """Raises InputError when the output is there and may not be replaced, or holds other files than `replaced`."""
    output = pathlib.Path(flags.output)
    if not output.exists():
        return
    there = sorted(entry.name for entry in output.iterdir()) if output.is_dir() else None
    if there == []:
        return
    outputs.check_free(output, flags.overwrite)
    others = [output.name] if there is None else [name for name in there if name not in replaced]
    if others:
        raise InputError(f"{output}: holds {others[0]}, which is no part of a weights folder, and is not replaced")


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
