"""Trained networks packed for others, as `export.py` does it: one SavedModel of the whole chain, or smaller weights."""

from __future__ import annotations

import json
import os
import pathlib

from label_generator.lifting import exported, portable, quality
from label_generator.lifting.lifter import CALIBRATION, SHIPPED, Lifter, save_lifter
from label_generator.lifting.lifter_of_flags import make_lifter
from label_generator.networks import network_files
from tools.cli import command, outputs
from tools.cli.errors import InputError
from tools.files import atomic, tensorflow_errors

FORMATS = ("saved_model", "tflite", "onnx", "weights")
FILES = {"tflite": "generator.tflite", "onnx": "generator.onnx"}


def pack(flags: command.Flags) -> str:
    """Writes what the flags of `export.py` describe, whole or not at all; returns a line that says what and how large.

    The files of other formats than weights are compared with the lifter that they are made of; what differs is printed
    and is in metadata.json, with all that a program needs to call them.

    Raises:
      InputError: weights that don't fit together, or an output that is not replaced.
    """
    output = os.path.normpath(flags.output)
    weights = flags.weights or [SHIPPED]
    _check_output(output, weights, flags.overwrite)
    if flags.dry_run:
        return ""
    lifter, _ = make_lifter(flags)  # which also checks whether the networks fit together
    folder = os.path.dirname(output) or "."
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output={flags.output}: no permission to write into {folder}")
    with (
        tensorflow_errors.writing(output, lambda: "nothing was written; the same command starts anew"),
        atomic.write_folder(output) as temporary,
    ):
        if flags.format == "weights":
            _save_weights(lifter, weights, temporary, flags.name, flags.dtype)
        else:
            flags.report["compared"] = _save_chain(flags, lifter, pathlib.Path(temporary))
    size = sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(output) for name in names)
    return f"{' and '.join(lifter.stages)}, {lifter.recipe} recipe, {size / 1e6:.1f} MB: {output}"


def _check_output(output: str, weights: list[str | os.PathLike], overwrite: bool) -> None:
    """Raises `InputError` unless `output` is free, or an earlier export that may be replaced."""
    outputs.check_folder(output)
    if not os.path.lexists(output):
        return
    outputs.check_free(output, overwrite)
    for directory in weights:
        read, written = os.path.realpath(directory), os.path.realpath(output)
        if os.path.commonpath([read, written]) in (read, written):
            raise InputError(f"--output={output}: holds, or lies in, the weights that are packed ({directory})")
    # The whole folder is about to be replaced: it must be a SavedModel or weights.
    known = {"saved_model.pb", *FILES.values(), *(os.path.join(stage, "model.json") for stage in network_files.STAGES)}
    if os.listdir(output) and not any(os.path.exists(os.path.join(output, name)) for name in known):
        raise InputError(
            f"--output={output}: neither an exported chain nor weights, so --overwrite does not replace it"
        )


def _save_chain(flags: command.Flags, lifter: Lifter, folder: pathlib.Path) -> dict[str, float]:
    """Writes the whole chain and its metadata.json; returns how far a converted chain's labels are from the lifter's.

    A SavedModel holds the lifter's own graph, so there is nothing to compare.
    """
    kind, half = flags.format, flags.format == "tflite" and flags.dtype == "float16"
    figures: dict[str, float] = {}
    if kind == "saved_model":
        save_lifter(lifter, folder)
    else:
        converted, _ = make_lifter(flags, portable=True)
        path = folder / FILES[kind]
        path.write_bytes(portable.to_onnx(converted) if kind == "onnx" else portable.to_tflite(converted, half))
        run = (portable.onnx_runner if kind == "onnx" else portable.tflite_runner)(path)
        figures = exported.compare(lifter, run, exported.sample())
        print(
            f"{figures['labels']} labels of {figures['poses']} poses: {figures['max_pose_mm']:.2g} mm (pose), "
            f"{figures['max_root_mm']:.2g} mm (root), {figures['max_quality']:.2g} (quality) from the lifter's at most"
        )
        exported.check(figures, half)
    content = exported.metadata(lifter, kind, None if kind == "saved_model" else 1)
    content["compared"] = figures
    atomic.write_text(folder / exported.METADATA, json.dumps(content, indent=1) + "\n")
    return figures


def _save_weights(
    lifter: Lifter, weights: list[str | os.PathLike], folder: str | os.PathLike, name: str, dtype: str
) -> None:
    networks = network_files.find_networks(weights)
    for stage in lifter.stages:
        network = networks[stage]
        facts = {**network.facts, **({"name": name} if name else {})}
        network_files.save_network(
            os.path.join(folder, stage),
            stage,
            network.recipe,
            network.config,
            network.variables,
            network.statistics,
            facts,
            dtype,
        )
    # Without its calibration a packed lifter would state another quality than the one that it was made from.
    if lifter.calibration is not quality.UNCALIBRATED:
        quality.save_calibration(os.path.join(folder, CALIBRATION), lifter.calibration)
