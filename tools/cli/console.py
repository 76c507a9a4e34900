"""The commands of an installed wheel (`pose3d-labels` and so on), each the script of the same job."""

from __future__ import annotations

import importlib

from tools.cli import command

# name -> module of the script; setup.py names the same
COMMANDS = {
    "pose3d-labels": "label_generator.generate",
    "pose3d-demo": "label_generator.demo",
    "pose3d-evaluate": "label_generator.evaluate",
    "pose3d-train": "label_generator.train",
    "pose3d-export": "label_generator.export",
    "pose3d-records": "tools.make_tfrecords",
    "pose3d-inspect": "tools.inspect_tfrecords",
    "pose3d-split": "tools.split_tfrecords",
    "pose3d-review": "tools.review",
    "pose3d-predict": "baseline_network.predict",
    "pose3d-train-baseline": "baseline_network.train",
    "pose3d-evaluate-baseline": "baseline_network.evaluate",
    "pose3d-export-baseline": "baseline_network.export",
    "pose3d-trainings": "tools.trainings",
    "pose3d-completion": "tools.completion",
}


def _run(name: str) -> None:
    script = importlib.import_module(COMMANDS[name])
    command.run(script.main, script.declare)


def labels() -> None:
    """`pose3d-labels`: 2D poses in, 3D labels out."""
    _run("pose3d-labels")


def demo() -> None:
    """`pose3d-demo`: pictures of labels."""
    _run("pose3d-demo")


def evaluate() -> None:
    """`pose3d-evaluate`: label generators against known 3D."""
    _run("pose3d-evaluate")


def train() -> None:
    """`pose3d-train`: training of the label generator's networks."""
    _run("pose3d-train")


def export() -> None:
    """`pose3d-export`: the label generator as a SavedModel, TFLite, ONNX or weights."""
    _run("pose3d-export")


def records() -> None:
    """`pose3d-records`: data sets into TFRecords."""
    _run("pose3d-records")


def inspect() -> None:
    """`pose3d-inspect`: what is in folders of TFRecords, and whether it is sound."""
    _run("pose3d-inspect")


def split() -> None:
    """`pose3d-split`: one set of TFRecords into training and test sets."""
    _run("pose3d-split")


def review() -> None:
    """`pose3d-review`: a page for looking through labels."""
    _run("pose3d-review")


def predict() -> None:
    """`pose3d-predict`: pictures in, poses of the baseline network out."""
    _run("pose3d-predict")


def train_baseline() -> None:
    """`pose3d-train-baseline`: training of the baseline network."""
    _run("pose3d-train-baseline")


def evaluate_baseline() -> None:
    """`pose3d-evaluate-baseline`: a baseline network against known joints."""
    _run("pose3d-evaluate-baseline")


def export_baseline() -> None:
    """`pose3d-export-baseline`: a baseline network as a SavedModel or TFLite files."""
    _run("pose3d-export-baseline")


def trainings() -> None:
    """`pose3d-trainings`: the trainings in a folder, and how to show them in TensorBoard."""
    _run("pose3d-trainings")


def completion() -> None:
    """`pose3d-completion`: a script that completes these commands in a shell."""
    _run("pose3d-completion")
