"""What `generate.py --dry_run` says: the input, what is taken of it, and the files that would be written."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from label_generator.labelling import inputs, photographs, summaries
from label_generator.labelling.options import LABELS, LabellingOptions
from label_generator.labelling.picture_files import PictureFiles
from label_generator.networks import network_files
from tfrecords.exports import formats
from tfrecords.source import Skip
from tools.cli import outputs, plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.pose import bounds

# Of these the first must have a picture, where records with pictures are asked for.
_TRIED_PICTURES = 32
_SHOWN_POSES = 256


def show(flags: Flags, options: LabellingOptions) -> int:
    """Reads the input as far as that needs no network, and says what would become of it.

    Raises:
      InputError: what the run itself would raise before it lifts.
    """
    outputs.check_folder(options.folder)
    writes = ["summary.json", LABELS]
    if options.spec.format == "photographs" and pathlib.Path(options.spec.path).suffix.lower() != ".npz":
        files = PictureFiles(options.spec.path, options.folder)
        videos = sum(map(files.is_video, files.names))
        total = files.frames(options.every_seconds)
        reads = [f"{options.spec.path}: {len(files.names) - videos:,} photographs, {videos:,} videos"]
        selects = [f"{total:,} pictures and frames, and in them everybody whom --detector={options.detector} finds"]
        writes += [photographs.NAME, *(["overlays"] if options.overlays else [])]
    else:
        poses = inputs.open_input(options.spec)
        check_poses(options, poses)
        check_pictures(options)
        reads = [f"{options.spec.path}: {poses.description}, {len(poses):,} poses"]
        first = next(inputs.read_batches(poses, 0, min(_SHOWN_POSES, max(len(poses), 1))), None)
        selects = [f"{len(poses):,} poses"]
        if first is not None:
            whole = float(np.mean((first.provenance > 0).mean(1))) if len(first) else 0.0
            selects.append(
                f"of the first {len(first):,}: {len(first) - len(first.skipped):,} usable, {whole:.0%} of 17 joints"
            )
    if options.decisions is not None:
        reads.append(f"{options.decisions.path}: {len(options.decisions):,} decisions of a review")
    folders = flags.weights or [network_files.SHIPPED]
    networks = network_files.find_networks(folders)
    reads += [f"{network.directory}: {network.stage}, {network.recipe} recipe" for network in networks.values()]
    selects.append(f"camera: {summaries.camera_text(options.camera)}")
    writes += formats.outputs(options.formats)
    writes += [f"poses_3d_{options.output_joints}.npy"] * bool(options.output_joints)
    return plans.show(flags, reads, selects, [options.folder / name for name in writes])


def check_poses(options: LabellingOptions, poses: inputs.Input) -> None:
    """Raises `InputError` when there is no pose to label, or those there are are not in px."""
    if not len(poses):
        split = options.spec.split
        raise InputError(f"{options.spec.path}: no pose{f' of split {split!r}' if split else ''} in it")
    first = next(inputs.read_batches(poses, 0, _SHOWN_POSES), None)
    if first is not None and bounds.shares(first.poses_2d):
        raise InputError(
            f"{options.spec.path}: its 2D joints are within 2 px of one another, so not in px; write px (shares of the "
            "picture's size times its width and height)"
        )


def check_pictures(options: LabellingOptions) -> None:
    """Raises `InputError` before anything is lifted when records with pictures are asked for and there are none.

    Only where --images names a place: without it records go without pictures that are not there.
    """
    if "tfrecord" not in options.formats or options.images in ("", "none"):
        return
    source = inputs.open_input(dataclasses.replace(options.spec, images=options.images))
    count = min(len(source), _TRIED_PICTURES)
    tried = list(source.records(np.arange(count)))
    skipped = [item for item in tried if isinstance(item, Skip)]
    if tried and len(skipped) == len(tried):
        raise InputError(
            f"--images={options.images}: none of the first {count:,} poses has a usable picture; the first: "
            f"{skipped[0].detail or skipped[0].reason}"
        )
