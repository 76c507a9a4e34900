"""Export the label generator: the whole chain as a SavedModel, TFLite or ONNX file, or weights folders in float16.

    python label_generator/export.py --weights=experiments/.../export --output=chain
    python label_generator/export.py --format=tflite --output=on_phones
    python label_generator/export.py --format=onnx --output=in_browsers
    python label_generator/export.py --weights=... --format=weights --dtype=float16 --name=mine --output=my_weights

The SavedModel needs only TensorFlow. Its signature takes poses_2d [B, 17, 2] px (NaN where missing), intrinsics
[B, 4] px (NaN where unknown) and joint_mask [B, 17] bool (True where labelled), and returns pose_3d and root_3d in mm,
quality and the rest of what docs/label_your_data.md describes; normalisation and search are inside its graph. The
TFLite and ONNX files take and return the same for one pose, and need neither TensorFlow nor this project. They are
compared with the networks that they are made of. metadata.json names joints, units, axes and settings.
"""

from __future__ import annotations

from label_generator.lifting import lifter_flags
from tools.cli import command, plans
from tools.cli.errors import InputError
from tools.files import sent


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Networks"):
        lifter_flags.declare_weights(flags)
        flags.string("name", "", "name of the weights, recorded in labels made with them (--format=weights only)")
    with flags.group("Settings fixed in a SavedModel"):
        lifter_flags.declare_search(flags)
        lifter_flags.declare_refinement(flags)
    with flags.group("Result"):
        flags.enum("format", "saved_model", ["saved_model", "tflite", "onnx", "weights"], "what is written")
        flags.enum("dtype", "float16", ["float16", "float32"], "of the numbers on disk, of weights and TFLite files")
        flags.string("output", None, "folder, or address, to write")
        flags.boolean("overwrite", False, "replace the folder")
    return flags


def main(flags: command.Flags) -> int:
    """Packs, and prints what was written."""
    return sent.run(_pack, flags)


def _pack(flags: command.Flags) -> int:
    flags.require("output")
    _check_used(flags)
    from label_generator.lifting import packing

    packed = packing.pack(flags)
    if flags.dry_run:
        from label_generator.lifting import settings

        reads = [
            f"{network.directory}: {network.stage}, {network.recipe} recipe"
            for network in settings.check_weights(flags)
        ]
        return plans.show(flags, reads, [f"format {flags.format}"], [flags.output])
    print(packed)
    flags.report.update(output=flags.output, format=flags.format, summary=packed)
    return 0


# Flags that mean something in one of the formats only.
_USED_BY = {
    ("weights",): ("name",),
    ("weights", "tflite"): ("dtype",),
    ("saved_model", "tflite", "onnx"): lifter_flags.SETTINGS,
    ("saved_model",): ("precision",),
}


def _check_used(flags: command.Flags) -> None:
    """Raises `InputError` for a flag that would be ignored."""
    for kinds, names in _USED_BY.items():
        for name in names:
            if flags.given(name) and flags.format not in kinds:
                raise InputError(f"--{name}: goes with --format={' or '.join(kinds)}; this is {flags.format}")


if __name__ == "__main__":
    command.run(main, declare)
