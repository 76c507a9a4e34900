"""Packs trained networks for others: as one SavedModel of the whole chain, or as weights folders of half the size.

    python label_generator/export.py --weights=experiments/.../export --output=chain
    python label_generator/export.py --weights=... --format=weights --dtype=float16 --name=mine --output=my_weights

The SavedModel needs nothing but TensorFlow: its signature takes poses_2d [B, 17, 2] px (NaN where missing), intrinsics
[B, 4] px (NaN where unknown) and joint_mask [B, 17] bool (True where labelled), and returns pose_3d and root_3d in mm,
quality and the rest of what docs/label_your_data.md describes; normalisation and search are inside its graph.
"""

from tools.cli import command, outputs
from tools.cli.errors import InputError


def declare():
    """The flags of this command."""
    from label_generator.lifting import flags as lifter_flags

    flags = command.Flags(__doc__)
    with flags.group("What is packed"):
        lifter_flags.declare_weights(flags)
        flags.string("name", "", "what the weights are called in labels made with them (weights only)")
    with flags.group("Settings fixed in a SavedModel"):
        lifter_flags.declare_search(flags)
        lifter_flags.declare_refinement(flags)
    with flags.group("Result"):
        flags.enum("format", "saved_model", ["saved_model", "weights"], "what is written")
        flags.enum("dtype", "float16", ["float16", "float32"], "of weights on disk")
        flags.string("output", None, "folder to write")
        flags.boolean("overwrite", False, "replace the folder")
    return flags


def main(flags: command.Flags) -> int:
    """Runs the command."""
    import os

    from label_generator.lifting import flags as lifter_flags

    flags.require("output")
    _check_used(flags)
    output = os.path.normpath(flags.output)
    _check_output(output, flags)
    lifter, _ = lifter_flags.make_lifter(flags)  # also finds out whether the networks fit together
    folder = os.path.dirname(output) or "."
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output={flags.output}: no permission to write into {folder}")
    _write(flags, lifter, output)
    size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(output) for name in names)
    print(f"{' and '.join(lifter.stages)}, {lifter.recipe} recipe, {size / 1e6:.1f} MB: {output}")
    return 0


# Flags that mean something in one of the formats only.
_USED_BY = {
    "weights": ("name", "dtype"),
    "saved_model": (
        "precision", "min_depth_mm", "max_depth_mm", "step_mm", "objective", "method", "flip", "refinement", "symmetry",
        "weighted", "subgrid", "min_joints",
    ),
}  # fmt: skip


def _check_used(flags):

    for kind, names in _USED_BY.items():
        for name in names:
            if flags.given(name) and flags.format != kind:
                raise InputError(f"--{name}: goes with --format={kind}; this is {flags.format}")


def _check_output(output, flags):
    """Raises `InputError` unless `output` is free, or what this command once wrote and may replace."""
    import os

    from label_generator.lifting import lifter as lifter_module
    from label_generator.networks import network_files

    if not os.path.lexists(output):
        return
    outputs.check_folder(output)
    outputs.check_free(output, flags.overwrite)
    for weights in flags.weights or [lifter_module.SHIPPED]:
        read, written = os.path.realpath(weights), os.path.realpath(output)
        if os.path.commonpath([read, written]) in (read, written):
            raise InputError(f"--output={output}: holds, or lies in, the weights that are packed ({weights})")
    # A whole folder is about to go: it must be one of ours.
    ours = {"saved_model.pb", *(os.path.join(stage, "model.json") for stage in network_files.STAGES)}
    if os.listdir(output) and not any(os.path.exists(os.path.join(output, name)) for name in ours):
        raise InputError(f"--output={output}: neither a SavedModel nor weights, so --overwrite does not replace it")


def _write(flags, lifter, output):
    """Writes all into a folder of another name, then moves it to `output`: whole or not at all."""
    from tools.files import atomic

    with atomic.write_folder(output) as folder:
        if flags.format == "saved_model":
            from label_generator.lifting.lifter import save_lifter

            save_lifter(lifter, folder)
        else:
            _save_weights(flags, lifter, folder)


def _save_weights(flags, lifter, folder):
    import os

    from label_generator.lifting import lifter as lifter_module
    from label_generator.lifting import quality
    from label_generator.networks import network_files

    networks = network_files.find_networks(flags.weights or [lifter_module.SHIPPED])
    for stage in lifter.stages:
        network = networks[stage]
        facts = {**network.facts, **({"name": flags.name} if flags.name else {})}
        network_files.save_network(
            os.path.join(folder, stage), stage, network.recipe, network.config, network.variables,
            network.statistics, facts, flags.dtype,
        )  # fmt: skip
    # Without it the packed networks would say another quality than those that they were made from.
    if lifter.calibration is not quality.UNCALIBRATED:
        quality.save_calibration(os.path.join(folder, lifter_module.CALIBRATION), lifter.calibration)


if __name__ == "__main__":
    command.run(main, declare)
