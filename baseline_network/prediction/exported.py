"""Predictions in the formats of other programs: the same writers as for labels, from columns of the same layout."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from baseline_network.prediction.people_in_pictures import PredictedPerson
from tfrecords import schema
from tfrecords.exports import clips, formats, rows
from tfrecords.formats import photographs
from tfrecords.source import Options
from tfrecords.sources.predictions import JOINT_SET, NO_JOINT, Predictions
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files.columns import LabelFiles
from tools.pose import joints
from tools.pose.cameras import NOMINAL_MM

STEM = "predictions"
# What predict writes always.
ALWAYS = ("npz", "json")
COLUMNS = {**rows.COLUMNS, "confidence": ("<f4", (17,))}


@dataclasses.dataclass(frozen=True)
class Row:
    """A person of a picture: its name, frame or -1, size in px (-1 where unknown), which person of it from 0."""

    file: str
    frame: int
    size: tuple[int, int]
    number: int
    person: PredictedPerson


def options_of(flags: Flags) -> formats.ExportOptions:
    """What the flags want besides predictions.json and .npz.

    Raises:
      InputError: a format that there is not, or one of sequences and --input is no video.
    """
    chosen = formats.parse(flags.formats or [])
    is_video = str(flags.input).lower().endswith(photographs.VIDEO_SUFFIXES)
    for name in formats.OF_SEQUENCES:
        if name in chosen and not is_video:
            raise InputError(f"--formats={name}: is of videos; {flags.input} is none")
    if flags.given("names") and "bvh" not in chosen:
        raise InputError("--names: goes with --formats=bvh")
    more = tuple(name for name in chosen if name not in ALWAYS)
    path = pathlib.Path(flags.input)
    images = str(path if path.is_dir() or is_video else path.parent)
    return formats.ExportOptions(more, str(flags.input), flags.names, images, STEM)


def write(
    people: Iterable[Row], folder: pathlib.Path, weights: str, fps: float, options: formats.ExportOptions
) -> dict[str, Any]:
    """Writes the formats into a folder that holds predictions.npz; returns what there is to say of clips, or {}.

    Args:
      weights: name of the network. fps: of the video, 0 for pictures.
    """
    people = list(people)
    files = LabelFiles(folder, COLUMNS, rows.TEXTS, {}, ["", NO_JOINT])
    summary: dict[str, Any] = {}
    try:
        files.append(_columns(people))
        if fps:
            size = people[0].size
            summary["sequence"] = clips.make_clips(
                files, clips.ClipOptions(fps=fps, image_size=size if min(size) > 0 else None)
            )
        formats.write(files, folder, weights, summary, options)
    finally:
        files.discard()
    if "tfrecord" in options.formats:
        from tfrecords import writer

        source = functools.partial(_source, folder / f"{STEM}.npz", options.images, options.source)
        content = writer.convert(source, folder / formats.RECORDS, num_workers=1, quiet=True)
        summary["records"] = content.records
    return summary


def _source(path: pathlib.Path, images: str, shown: str) -> Predictions:
    """The predictions as records; `shown` is what they are called: the user's input."""
    source = Predictions(path, Options(images=images))
    source.path = pathlib.Path(shown)
    return source


def _columns(people: list[Row]) -> dict[str, Any]:
    """Columns of labels; the quality of a prediction is not known."""
    count = len(people)
    # The network counts pixels from their edges, labels from their centres; a joint of confidence 0 is missing.
    sure = np.stack([row.person.confidence for row in people]) > 0
    points = np.stack([row.person.points for row in people]).astype(np.float32) - np.float32(0.5)
    poses_2d, provenance = joints.convert(np.where(sure[..., None], points, np.nan), JOINT_SET)
    poses_3d, _ = joints.convert(np.stack([row.person.pose_3d for row in people]), JOINT_SET)
    poses_3d = poses_3d - poses_3d[:, joints.POSE17.root, None]
    confidence, _ = joints.convert(np.stack([row.person.confidence for row in people])[..., None], JOINT_SET)
    unknown, frame = np.full(count, np.nan), np.array([row.frame for row in people])
    return {
        "poses_3d": poses_3d,
        "roots": np.tile([0.0, 0.0, NOMINAL_MM], (count, 1)),
        "coarse_3d": poses_3d,
        "poses_2d": poses_2d,
        "provenance": provenance,
        "quality": unknown,
        "expected_error_mm": unknown,
        "joint_quality": np.full((count, 17), np.nan),
        "confidence": np.clip(confidence[..., 0], 0.0, 1.0),
        "residual_mm": unknown,
        "at_range_end": np.zeros(count, bool),
        "depth_nominal": np.ones(count, bool),
        "reason": (~sure.any(1)).astype(int),
        "intrinsics": np.full((count, 4), np.nan),
        "camera_kind": np.full(count, schema.CAMERA_KINDS.index(schema.NOMINAL)),
        "frame": frame,
        "person": np.array([row.number for row in people]),
        "file": [row.file for row in people],
        "sequence": [row.file if row.frame >= 0 else "" for row in people],
        "action": [""] * count,
        "track": np.full(count, -1),
        "interpolated": np.zeros((count, 17), bool),
        "nominal_camera": np.full((count, 4), np.nan),
        "image_size": np.array([row.size for row in people]),
        "own_numbers": np.full((count, 2), -1),
        "_points": poses_2d,
    }
