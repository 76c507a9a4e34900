"""Writes the exported files and compares each with the Keras model on pictures."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from baseline_network.evaluation import pose_errors, record_evaluation
from baseline_network.exporting import equalization, formats, onnx_core, tflite_process
from baseline_network.images import crop
from baseline_network.network import decoding, kinds, network_files
from baseline_network.prediction.predictor import Predictor
from tfrecords import reader, schema, sources
from tfrecords.source import Options, Skip
from tools.cli import plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files import atomic, tensorflow_errors
from tools.pose import joints

RENDERED = "rendered people"
_FIGURES = ("pckh@0.5", "pck_crop@0.05", "mpjpe_published", "p_mpjpe")
_WORDS = {
    "saved_model": "SavedModel: {max_px:.2g} px and {max_mm:.2g} mm from the Keras model at most",
    "core": "{name}: joints {median_px:.2g} px and {median_mm:.2g} mm from the Keras model's in the "
    "median, {max_px:.2g} px and {max_mm:.2g} mm at most; heatmaps {max_heatmaps:.2g}, depths {max_depths:.2g} at most",
}


@dataclasses.dataclass
class Sample:
    """People to compare exported files on.

    Attributes:
      encoded: their pictures as files. boxes: [N, 4] px. crops: [N, r, r, 3] float32 RGB, 0 to 255.
      transforms: [N, 2, 3] to the crops. truth: of `pose_errors.truth_of`.
    """

    encoded: list[bytes]
    boxes: np.ndarray
    crops: np.ndarray
    transforms: np.ndarray
    truth: dict[str, np.ndarray]

    def rows(self, chosen: np.ndarray) -> Sample:
        """Some of the people."""
        arrays = {name: getattr(self, name)[chosen] for name in ("boxes", "crops", "transforms")}
        truth = {name: values[chosen] for name, values in self.truth.items()}
        return Sample([self.encoded[i] for i in chosen], **arrays, truth=truth)


def load_sample(where: str, count: int, margin: float, resolution: int) -> Sample:
    """People evenly from all records, or rendered ones; records without a usable picture are left out.

    Args:
      where: as `reader.find`; '' renders people.
      count: largest number of people. margin, resolution: of the crops.

    Raises:
      InputError: as `reader.find`, or not one of them has a usable picture.
    """
    if where:
        total = len(reader.find(where))
        numbers = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
        with reader.named_damage(where):
            batches = record_evaluation.read_some(where, numbers)
        parts = [batches[number] for number in sorted(batches)]
    else:
        source = sources.open_source("rendered", "", Options(count=count, seed=1, split="val"))
        records = source.records(range(count))
        # A source leaves out what it cannot make, with a reason.
        parts = [_as_batch(record) for record in records if not isinstance(record, Skip)]
    kept = []
    for batch in parts:
        boxes, reasons = record_evaluation.boxes_of(batch)
        transforms = crop.crop_transforms(*crop.box_squares(tf.constant(boxes), margin), resolution)
        try:
            if not reasons[0]:
                crops = crop.crop_files(tf.constant(batch["image"]), transforms, resolution)
                kept.append((batch, boxes, crops.numpy(), transforms.numpy()))
        except tf.errors.InvalidArgumentError:
            continue
    if not kept:
        raise InputError(f"{where}: no record has a picture that can be used")
    batch = {name: np.concatenate([part[0][name] for part in kept]) for name in kept[0][0]}
    boxes, crops, transforms = (np.concatenate([part[i] for part in kept]) for i in (1, 2, 3))
    truth = pose_errors.truth_of(batch, joints.MADE)
    sides = boxes[:, 2:].max(1)
    truth = {**truth, "box_sides": sides, "crop_sides": np.maximum(sides, 1.0) * margin}
    return Sample(list(batch["image"]), boxes, crops, transforms, truth)


def _as_batch(record: schema.PoseRecord) -> dict[str, np.ndarray]:
    """A record as a batch of one of `record_evaluation.FIELDS`."""
    values = {name: getattr(record, name) for name in record_evaluation.FIELDS}
    return {
        name: np.array([value.encode() if isinstance(value, str) else value], object)
        if isinstance(value, (str, bytes))
        else np.asarray(value)[None]
        for name, value in values.items()
    }


def wanted_formats(flags: Flags, network: network_files.HourglassWeights) -> list[str]:
    """--formats, without the default's int8 where the network is no hourglass.

    Raises:
      InputError: int8 is asked for a head on MediaPipe's landmark network, whose joints move by 8.6 px in it.
    """
    wanted = list(flags.formats)
    if "int8" in wanted and kinds.kind_of(network.sizes) != kinds.HOURGLASS:
        if flags.given("formats"):
            raise InputError(
                "--formats=int8: made of hourglasses alone; MediaPipe's landmark network does not keep its accuracy in "
                f"int8. --weights={network_files.WITHOUT_MEDIAPIPE} names an hourglass"
            )
        wanted.remove("int8")
    return wanted


def export_network(flags: Flags, output: str) -> int:
    """Writes the exported files into the folder `output`, whole or not at all; returns the exit status.

    Raises:
      InputError: see `export`, or the weights are of no use.
    """
    if flags.dry_run:
        data = [f"{flags.data}: {len(reader.find(flags.data)):,} records"] if flags.data else []
        wanted = wanted_formats(flags, network_files.weights_of(flags.weights))
        selects = [f"formats {', '.join(wanted)}", "" if flags.data else "rendered people for the comparison"]
        return plans.show(flags, [network_files.described(flags.weights), *data], filter(None, selects), [output])
    if "onnx" in flags.formats:
        onnx_core.check_packages()
    network = network_files.weights_of(flags.weights)
    with (
        tensorflow_errors.writing(output, lambda: "nothing was written; the same command starts anew"),
        atomic.write_folder(output) as folder,
    ):
        content = export(network, str(folder), flags)
    print(f"{', '.join(sorted(os.listdir(output)))} are in {output}")
    flags.report.update(content, output=output, written=sorted(os.listdir(output)))
    if content["failed"]:
        raise InputError(f"{'; '.join(content['failed'].values())}; what else was asked for is in {output}")
    return 0


def export(network: network_files.HourglassWeights, folder: str, options: Flags) -> dict[str, Any]:
    """Writes the files that `options` (the flags of export.py) name into a folder, and prints the comparison; returns
    the content of export.json, whose 'failed' tells the formats that could not be made, and why.

    Raises:
      InputError: every file differs more from the Keras model than `formats` allows, or can't be run, or the pictures
        can't be used.
    """
    wanted = wanted_formats(options, network)
    predictor = Predictor(network, options.flip, options.margin or None)
    refine = network.facts.get("peaks", decoding.QUARTER)
    count = options.check + (options.calibrate if "int8" in wanted else 0)
    sample = load_sample(options.data, count, predictor.margin, predictor.resolution)
    everyone = np.arange(len(sample.boxes))
    most = max(len(everyone) // 2, 1) if "int8" in wanted else len(everyone)
    spread = np.unique(np.linspace(0, len(everyone) - 1, min(options.check, most)).round().astype(int))
    check, rest = sample.rows(spread), np.setdiff1d(everyone, spread)
    calibration = sample.crops[rest] if len(rest) else sample.crops

    os.makedirs(folder, exist_ok=True)
    without_flip = Predictor(network, False, options.margin or None) if predictor.flip else predictor
    keras = formats.heatmaps_and_depths(predictor.model, check.crops)
    expected = formats.decode(keras, check.transforms, predictor.resolution, refine)
    content: dict[str, Any] = {
        "weights": network.directory,
        "sizes": dataclasses.asdict(network.sizes),
        "joints": list(pose_errors.JOINT_NAMES),
        "flip": predictor.flip,
        "margin": predictor.margin,
        "peaks": refine,
        "compared_on": {"pictures": len(check.boxes), "of": options.data or RENDERED},
        "threads": os.cpu_count(),
        # The network alone, without the mirror image, as TFLite has it; a SavedModel has "flip".
        "keras": {
            "flip": False,
            "ms": formats.milliseconds(lambda: without_flip.from_crops(check.crops[:1], check.transforms[:1])),
            **_figures(expected, check),
        },
        "files": {},
        "failed": {},
    }
    print(
        f"{network.directory}: {network.sizes.features} features, {network.sizes.resolution} px; compared on "
        f"{len(check.boxes)} pictures of {options.data or RENDERED}; Keras {content['keras']['ms']:.1f} ms a crop, the "
        "mirror image not looked at"
    )

    def attempt(name: str, make: Callable[[str], dict[str, Any]]) -> None:
        # What is finished is kept when another format fails.
        try:
            content["files"][name] = make(os.path.join(folder, name))
        except InputError as error:
            content["failed"][name] = str(error)
            _remove(os.path.join(folder, name))

    if "saved_model" in wanted:
        attempt("saved_model", lambda path: _saved_model(network, predictor, path, check, options.static_batch, refine))
    for precision in (one for one in formats.PRECISIONS if one in wanted):
        even = precision == "int8"
        core = formats.core(equalization.equalized(predictor.model, calibration) if even else predictor.model)
        make = functools.partial(
            _tflite, core, precision, calibration, keras, expected, check, predictor.resolution, refine
        )
        attempt(f"core_{precision}.tflite", make)
    if "onnx" in wanted:
        core = formats.core(predictor.model)
        attempt("core.onnx", functools.partial(_onnx, core, keras, expected, check, predictor.resolution, refine))
    if not content["files"]:
        raise InputError("; ".join(content["failed"].values()))
    pathlib.Path(folder, "export.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def _figures(predicted: dict[str, np.ndarray], sample: Sample) -> dict[str, float]:
    figures = pose_errors.figures(predicted, sample.truth, by_joint=False)
    return {name: figures[name] for name in _FIGURES if name in figures}


def _remove(path: str) -> None:
    """Removes a file or folder, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def _size(path: str) -> int:
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _print_comparison(name: str, words: str, entry: dict[str, Any]) -> None:
    print(f"{words.format(name=name, **entry['difference'])}; {entry['bytes'] / 1e6:.1f} MB, {entry['ms']:.1f} ms")


def _saved_model(
    network: network_files.HourglassWeights,
    predictor: Predictor,
    path: str,
    check: Sample,
    static_batch: int,
    refine: str,
) -> dict[str, Any]:
    formats.save_saved_model(predictor, path, static_batch, refine)
    signatures = tf.saved_model.load(path).signatures
    encoded, boxes = tf.constant(check.encoded), tf.constant(check.boxes)
    exported = {
        name: value.numpy() for name, value in signatures["serving_default"](encoded=encoded, boxes=boxes).items()
    }
    expected_people = {name: value.numpy() for name, value in predictor.from_files(encoded, boxes).items()}
    difference = formats.differences(expected_people, exported)
    formats.check_saved(difference, "saved_model")
    # The signature of fixed shapes has crops, and pixels of the crop.
    several = np.resize(np.arange(len(check.boxes)), static_batch)
    crops = tf.constant(check.crops[several])
    whole = tf.tile(tf.eye(2, 3)[None], [static_batch, 1, 1])
    static = {name: value.numpy() for name, value in signatures["static"](images=crops).items()}
    fixed = Predictor(network, True, predictor.margin, turned=False) if predictor.turned else predictor
    expected_people = {name: value.numpy() for name, value in fixed.from_crops(crops, whole).items()}
    static_difference = formats.differences(expected_people, static)
    formats.check_saved(static_difference, "saved_model, signature static")
    entry = {
        "signatures": {name: _signature(function) for name, function in signatures.items()},
        "difference": difference,
        "static_difference": static_difference,
        "bytes": _size(path),
        "ms": formats.milliseconds(lambda: signatures["serving_default"](encoded=encoded[:1], boxes=boxes[:1])),
        "ms_static": formats.milliseconds(lambda: signatures["static"](images=crops)),
        **_figures(exported, check),
    }
    _print_comparison("saved_model", _WORDS["saved_model"], entry)
    return entry


def _signature(function: Any) -> dict[str, dict[str, str]]:
    """Inputs and outputs of a signature: name -> type and shape."""

    def texts(specs: Mapping[str, tf.TensorSpec]) -> dict[str, str]:
        return {
            name: f"{spec.dtype.name} [{', '.join('?' if size is None else str(size) for size in spec.shape)}]"
            for name, spec in specs.items()
        }

    return {
        "inputs": texts(function.structured_input_signature[1]),
        "outputs": texts(function.structured_outputs),
    }


def _tflite(
    core: tf.keras.Model,
    precision: str,
    calibration: np.ndarray,
    keras: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    check: Sample,
    resolution: int,
    refine: str,
    path: str,
) -> dict[str, Any]:
    content = formats.convert(core, precision, calibration)
    pathlib.Path(path).write_bytes(content)
    outputs, milliseconds = tflite_process.run(content, check.crops, os.path.basename(path))
    between = formats.output_differences(keras, outputs)
    if precision == "float16":
        formats.check_float16(between, os.path.basename(path))
    entry = _core_entry(1, keras, outputs, expected, check, resolution, refine)
    entry.update(bytes=len(content), ms=milliseconds)
    if precision == "int8":
        entry["calibrated_on"] = len(calibration)
    _print_comparison(os.path.basename(path), _WORDS["core"], entry)
    return entry


def _onnx(
    core: tf.keras.Model,
    keras: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    check: Sample,
    resolution: int,
    refine: str,
    path: str,
) -> dict[str, Any]:
    content = onnx_core.convert(core)
    pathlib.Path(path).write_bytes(content)
    run = onnx_core.OnnxCore(content)
    outputs = run(check.crops)
    onnx_core.check(formats.output_differences(keras, outputs), os.path.basename(path))
    entry = _core_entry("N", keras, outputs, expected, check, resolution, refine)
    entry.update(bytes=len(content), ms=formats.milliseconds(lambda: run(check.crops[:1])))
    _print_comparison(os.path.basename(path), _WORDS["core"], entry)
    return entry


def _core_entry(
    batch: int | str,
    keras: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    check: Sample,
    resolution: int,
    refine: str,
) -> dict[str, Any]:
    """What export.json says of a file that holds the network alone, but for its size and speed."""
    exported = formats.decode(outputs, check.transforms, resolution, refine)

    def text(shape: tuple[int, ...]) -> str:
        return f"float32 [{', '.join(map(str, (batch, *shape)))}]"

    return {
        "inputs": {"image": f"{text((resolution, resolution, 3))} RGB, 0 to 255"},
        "outputs": {name: text(value.shape[1:]) for name, value in keras.items()},
        "difference": {**formats.differences(expected, exported), **formats.output_differences(keras, outputs)},
        **_figures(exported, check),
    }
