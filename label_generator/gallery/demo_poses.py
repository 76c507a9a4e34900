"""The poses that the demo labels: the user's own, or people made up on the spot."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from label_generator.gallery.sheet import Labelled
from label_generator.labelling import cameras, formats, inputs
from label_generator.labelling.batch import Batch
from label_generator.labelling.inputs import Input
from label_generator.labelling.options import parse_image_size
from label_generator.lifting.lifter import Lifter
from tfrecords import schema
from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli import command
from tools.cli.errors import InputError
from tools.files import atomic
from tools.pose import joints

BATCH = 512
_PEOPLE = 256


def synthetic_people(seed: int, lifter: Lifter) -> Labelled:
    """People of the kinematic model before cameras in the wild, with 3 px of noise on their joints; truth known."""
    print(f"no input given: {_PEOPLE} people in everyday postures, seen by cameras in the wild, 3 px of noise")
    source = open_source("synthetic", "", Options(count=_PEOPLE, seed=seed, split="test", cameras_style="wild"))
    records = [record for record in source.records(np.arange(len(source))) if not isinstance(record, Skip)]
    poses_2d = np.stack([record.pose_2d for record in records])
    poses_2d = poses_2d + np.random.default_rng(seed).normal(0.0, 3.0, poses_2d.shape).astype(np.float32)
    intrinsics = np.stack([record.intrinsics for record in records])
    provenance = np.stack([record.provenance_2d for record in records])
    return Labelled(
        names=[f"{record.action} {record.frame}" for record in records],
        poses_2d=poses_2d,
        provenance=provenance,
        lifted=_lift(lifter, poses_2d, intrinsics, provenance),
        truth_3d=np.stack([record.pose_3d for record in records]),
    )


def from_input(path: str, flags: command.Flags, lifter: Lifter) -> Labelled:
    """The poses of a file or folder in any format that generate.py takes.

    Raises:
      InputError: it is not one, or has no pose.
    """
    wanted = formats.guess_format(path) if flags.format == "auto" else flags.format
    if wanted == "photographs" and not path.lower().endswith(".npz"):
        raise InputError(
            f"{path}: photographs; label_generator/generate.py --input={path} detects and labels their people"
        )
    spec = inputs.Spec(path, wanted, joints=flags.joints)
    source = inputs.open_input(spec)
    choice = cameras.parse_camera(flags.camera, parse_image_size(flags.image_size))
    print(f"{source.description}: {len(source):,} poses")
    batches, count = [], 0
    for batch in inputs.read_batches(source, 0, BATCH):
        batches.append(batch)
        count += len(batch)
        if count >= flags.limit:
            break
    if not count:
        raise InputError(f"{path}: no pose in it")
    views = [choice.pinhole_views(batch, i * BATCH) for i, batch in enumerate(batches)]
    poses_2d, intrinsics, kinds = (np.concatenate(parts)[: flags.limit] for parts in zip(*views))
    skipped = {
        k * BATCH + i: reason
        for k, batch in enumerate(batches)
        for i, reason in batch.skipped.items()
        if k * BATCH + i < flags.limit
    }
    provenance = np.concatenate([batch.provenance for batch in batches])[: flags.limit]
    for kind in np.unique(kinds):
        print(f"camera: {schema.CAMERA_KINDS[kind]} for {np.count_nonzero(kinds == kind):,} poses")
    names = names_of(source, batches)[: flags.limit]
    pictures = None
    if flags.images != "none":
        # Opened again for the pictures alone: a pose whose picture is missing is labelled all the same.
        pictures = _pictures(inputs.open_input(dataclasses.replace(spec, images=flags.images)), len(names))
        print(f"pictures: {sum(picture is not None for picture in pictures):,} of {len(names):,} found")
    lifted = _lift(lifter, poses_2d, intrinsics, provenance)
    return Labelled(names, poses_2d, provenance, lifted, images=pictures, skipped=skipped)


def names_of(source: Input, batches: Sequence[Batch]) -> list[str]:
    """Where each pose of the batches that were read comes from; inputs without frames have rows."""
    counts = "frame" if source.frames_stated else "row"
    return [_name(batch, i, counts) for batch in batches for i in range(len(batch))]


def _name(batch: Batch, i: int, counts: str) -> str:
    place = os.path.basename(batch.file[i]) or batch.sequence[i] or "pose"
    frame = f" {counts} {batch.frame[i]}" if batch.frame[i] >= 0 else ""
    return place + frame + (f" person {batch.person[i]}" if batch.person[i] > 0 else "")


def _pictures(source: Input, count: int) -> list[np.ndarray | None]:
    """The decoded picture of each pose, None where it has none."""
    pictures: list[np.ndarray | None] = []
    for record in source.records(np.arange(count)):
        pictures.append(images.pixels(getattr(record, "image", b"")))
    return pictures


def _lift(
    lifter: Lifter, poses_2d: np.ndarray, intrinsics: np.ndarray, provenance: np.ndarray
) -> dict[str, np.ndarray]:
    """Labels as arrays by field, in batches of one size so that the search is compiled once."""
    count = len(poses_2d)
    padded = -(-count // BATCH) * BATCH
    rows = np.minimum(np.arange(padded), count - 1)
    mask = provenance == joints.LABELLED
    parts = []
    for start in range(0, padded, BATCH):
        chosen = rows[start : start + BATCH]
        lifted = lifter.lift(poses_2d[chosen], intrinsics[chosen], mask[chosen])
        parts.append({field: values.numpy() for field, values in lifted._asdict().items()})
    return {field: np.concatenate([part[field] for part in parts])[:count] for field in parts[0]}


def save(path: str, labels: Labelled) -> None:
    """Writes names, 2D and labels as .npz, whole or not at all."""
    lifted = {name: labels.lifted[field] for name, field in _SAVED.items()}
    with atomic.write_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file, names=np.array(labels.names), poses_2d=labels.poses_2d, provenance=labels.provenance, **lifted
        )


_SAVED = {"poses_3d": "pose_3d", "roots": "root_3d", "coarse_3d": "coarse_3d", "quality": "quality",
          "joint_quality": "joint_quality", "reason": "reason", "nominal": "nominal"}  # fmt: skip
