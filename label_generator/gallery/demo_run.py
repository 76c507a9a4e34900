"""One run of `demo.py`: poses, labels, pictures and a report."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from label_generator.gallery import demo_poses, sheet
from label_generator.lifting.lifter_of_flags import make_lifter
from tfrecords.storage.partial import locked
from tools.cli import command
from tools.cli.errors import InputError
from tools.drawing import animation, drawing


def show(flags: command.Flags, results: Sequence[str]) -> None:
    """Labels the poses that the flags of `demo.py` name and writes gallery, rotation, labels and report.

    Args:
      results: where these four go, in the folder --output.

    Raises:
      InputError: bad input, or no pose got a label.
    """
    with locked(pathlib.Path(flags.output)):
        _show(flags, *results)


def _show(flags: command.Flags, gallery: str, rotation: str, labels_npz: str, report: str) -> None:
    lifter, _ = make_lifter(flags)
    print(f"weights: {lifter.name_of_weights} ({lifter.recipe} recipe)")
    if flags.arguments:
        labels = demo_poses.from_input(flags.arguments[0], flags, lifter)
    else:
        labels = demo_poses.synthetic_people(flags.seed, lifter)
    text = sheet.report(labels)
    print(text)
    pathlib.Path(report).write_text(text + "\n", encoding="utf-8")
    demo_poses.save(labels_npz, labels)
    if not (labels.lifted["reason"] == 0).any():
        raise InputError("no pose got a label, so there is nothing to draw (reasons stand above)")
    drawing.write_image(gallery, sheet.gallery(labels, flags.rows), overwrite=True)
    best = sheet.best(labels)
    animation.write_animation(rotation, sheet.turning(labels, best), fps=16, overwrite=True)
    reasons = labels.lifted["reason"]
    flags.report.update(
        output=flags.output, poses=len(reasons), labels=int((reasons == 0).sum()), weights=lifter.name_of_weights,
        written=[gallery, rotation, labels_npz, report], text=text,
    )  # fmt: skip
    print(f"in {flags.output}: gallery.png, rotation.gif ({labels.names[best]}), labels.npz, report.txt")
