"""The commands of an installed wheel (`pose3d-labels` and so on), each the script of the same job."""

from __future__ import annotations

import importlib

from tools.cli import command


def _run(module: str) -> None:
    script = importlib.import_module(module)
    command.run(script.main, script.declare)


def labels() -> None:
    """`pose3d-labels`: 2D poses in, 3D labels out."""
    _run("label_generator.generate")


def demo() -> None:
    """`pose3d-demo`: pictures of labels."""
    _run("label_generator.demo")


def evaluate() -> None:
    """`pose3d-evaluate`: label generators against known 3D."""
    _run("label_generator.evaluate")


def train() -> None:
    """`pose3d-train`: training of the label generator's networks."""
    _run("label_generator.train")


def export() -> None:
    """`pose3d-export`: the label generator as a SavedModel or as weights."""
    _run("label_generator.export")


def records() -> None:
    """`pose3d-records`: data sets into TFRecords."""
    _run("tools.make_tfrecords")


def review() -> None:
    """`pose3d-review`: a page for looking through labels."""
    _run("tools.review")


def predict() -> None:
    """`pose3d-predict`: pictures in, poses of the baseline network out."""
    _run("baseline_network.predict")
