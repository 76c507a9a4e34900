"""Packs trained networks for others: as one SavedModel of the whole chain, or as weights folders of half the size.

    python label_generator/export.py --weights=experiments/.../export --output=chain
    python label_generator/export.py --weights=... --format=weights --dtype=float16 --name=mine --output=my_weights

The SavedModel needs nothing but TensorFlow: its signature takes poses_2d [B, 17, 2] px (NaN where missing), intrinsics
[B, 4] px (NaN where unknown) and joint_mask [B, 17], and returns pose_3d and root_3d in mm, quality and the rest of
what docs/label_generator.md describes; normalisation and search are inside its graph.
"""

from tools import command


def declare():
    """The flags of this command."""
    from label_generator import lifter_flags

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


def main(options):
    """Runs the command."""
    import os
    import shutil

    from label_generator import lifter_flags, model_files
    from tools.errors import InputError

    options.require("output")
    output = options.output.rstrip("/")
    if os.path.exists(output) and not options.overwrite:
        raise InputError(f"{output} exists; give --overwrite to replace it")
    if os.path.exists(output) and not os.path.isdir(output):
        raise InputError(f"{output} is a file, not a folder")
    lifter, _ = lifter_flags.make_lifter(options)  # also finds out whether the networks fit together
    if options.format == "saved_model":
        from label_generator.lifter import save_lifter

        temporary = f"{output}.partial"
        shutil.rmtree(temporary, ignore_errors=True)
        save_lifter(lifter, temporary)
        if os.path.exists(output):
            shutil.rmtree(output)
        os.replace(temporary, output)
    else:
        from label_generator import lifter as lifter_module

        networks = model_files.find_networks(options.weights or [lifter_module.SHIPPED])
        for stage in lifter.stages:
            network = networks[stage]
            facts = {**network.facts, **({"name": options.name} if options.name else {})}
            model_files.save_network(
                os.path.join(output, stage), stage, network.recipe, network.config, network.variables,
                network.statistics, facts, options.dtype,
            )  # fmt: skip
    size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(output) for name in names)
    print(f"{' and '.join(lifter.stages)}, {lifter.recipe} recipe, {size / 1e6:.1f} MB: {output}")


if __name__ == "__main__":
    command.run(main, declare)
