"""Export a baseline network for other programs: a SavedModel, TFLite files in float16 and int8, an ONNX model.

    python baseline_network/export.py --weights=experiments/.../export --output=packed
    python baseline_network/export.py --data=records/val --formats=int8,onnx --output=packed

The SavedModel needs only TensorFlow: it maps JPEG or PNG bytes (or pixels) and person boxes to joints in pixels and
millimetres. The TFLite and ONNX files contain only the network, from a crop to heatmaps and depths. Each is compared
with the Keras model; differences, sizes and speed are printed and written to export.json. docs/baseline_network.md
describes inputs and outputs.
"""

from __future__ import annotations

import os
import sys

from tools.cli import command, outputs
from tools.cli.errors import InputError
from tools.files import sent

FORMATS = ("saved_model", "float16", "int8", "onnx")


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Network"):
        flags.string("weights", "", "folder with the network's weights; not given: those shipped")
        flags.strings(
            "formats",
            ["saved_model", "float16", "int8"],
            "which of saved_model, float16 and int8 (both TFLite; int8 of hourglasses alone), onnx (pip install -e "
            "'.[onnx]')",
        )
    with flags.group("Settings fixed in the SavedModel"):
        flags.boolean("flip", True, "average with the mirrored picture's prediction; takes twice as long")
        flags.float("margin", 0.0, "side of the crop over the longer side of the box; 0: as in training", lower_bound=0)
        flags.integer("static_batch", 1, "pictures at a time in the signature of fixed shapes", lower_bound=1)
    with flags.group("Pictures for the comparison and for int8 calibration"):
        flags.string("data", "", "TFRecords with pictures: folder, manifest or glob; not given: some are rendered")
        flags.integer("check", 16, "pictures on which each file is compared with the Keras model", lower_bound=1)
        flags.integer("calibrate", 100, "other pictures, for calibrating int8 value ranges", lower_bound=1)
    with flags.group("Result"):
        flags.string("output", None, "folder, or address, to write")
        flags.boolean("overwrite", False, "replace the folder")
    return flags


def main(flags: command.Flags) -> int:
    """Writes the exported files, each compared with the Keras model."""
    return sent.run(_export, flags)


def _export(flags: command.Flags) -> int:
    flags.require("output")
    unknown = [name for name in flags.formats if name not in FORMATS]
    if unknown or not flags.formats:
        raise InputError(f"--formats={','.join(flags.formats)}: expected some of {', '.join(FORMATS)}")
    for name, needed in (("static_batch", "saved_model"), ("flip", "saved_model"), ("calibrate", "int8")):
        if flags.given(name) and needed not in flags.formats:
            raise InputError(f"--{name}: goes with --formats={needed}; this is {','.join(flags.formats)}")
    output = os.path.normpath(flags.output)
    _check_output(output, flags)
    from baseline_network.exporting import run

    return run.export_network(flags, output)


def _check_output(output: str, flags: command.Flags) -> None:
    """Raises `InputError` unless `output` is free, or what this command once wrote and may replace."""
    outputs.check_folder(output)
    if not os.path.lexists(output):
        return
    outputs.check_free(output, flags.overwrite)
    # A whole folder is about to go: it must be one of ours, and not what is packed.
    if os.listdir(output) and not os.path.exists(os.path.join(output, "export.json")):
        raise InputError(f"--output={output}: holds no export.json, so --overwrite does not replace it")
    if flags.weights:
        read, written = os.path.realpath(flags.weights), os.path.realpath(output)
        if os.path.commonpath([read, written]) == written:
            raise InputError(f"--output={output}: holds the weights that are packed ({flags.weights})")


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
