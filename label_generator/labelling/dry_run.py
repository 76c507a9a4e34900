"""What `generate.py --dry_run` says: the input, what is taken of it, and the files that would be written."""

from __future__ import annotations

import collections
import dataclasses
import pathlib

import numpy as np

from label_generator.labelling import inputs, lifted_batches, photographs, same_pictures, summaries
from label_generator.labelling.batch import Batch
from label_generator.labelling.options import LABELS, LabellingOptions
from label_generator.labelling.picture_files import PictureFiles
from label_generator.lifting import joint_places, settings
from tfrecords.exports import formats
from tfrecords.formats import photographs as readable
from tfrecords.source import Skip
from tools.cli import outputs, plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.cli.words import counted
from tools.detection import people
from tools.pose import bounds, joints, tracks

# Of these the first must have a picture, where records with pictures are asked for.
_TRIED_PICTURES = 32
_SHOWN_POSES = 256
_READ_AT_ONCE = 1024


def show(flags: Flags, options: LabellingOptions) -> int:
    """Reads the input as far as that needs no network, loads the networks, and says what would become of the input.

    Raises:
      InputError: what the run itself would raise before it lifts.
    """
    outputs.check_folder(options.folder)
    networks = settings.named_networks(flags)
    recipe = settings.used_networks({network.stage: network for network in networks})[0].recipe
    writes = ["summary.json", LABELS]
    if options.spec.format == "photographs" and pathlib.Path(options.spec.path).suffix.lower() != ".npz":
        files = PictureFiles(options.spec.path, options.folder)
        check_videos(options, files)
        people.check_models(options.detector, options.body_head)
        videos = sum(map(files.is_video, files.names))
        if not videos:
            readable.check_one_readable(files.paths, options.spec.path)
        total = files.frames(options.every_seconds, options.spec.limit)
        reads = [f"{options.spec.path}: {len(files.names) - videos:,} photographs, {videos:,} videos"]
        selects = [f"{total:,} pictures and frames, and in them everybody whom --detector={options.detector} finds"]
        writes += [photographs.NAME, *(["overlays"] if options.overlays else [])]
    else:
        poses = inputs.open_input(options.spec)
        check_poses(options, poses)
        check_decisions(options, poses)
        check_sequences(options, poses)
        check_pictures(options)
        same_pictures.check_one_person(options, poses, flags.min_joints)
        reads = [f"{options.spec.path}: {poses.description}, {len(poses):,} poses"]
        first = next(inputs.read_batches(poses, 0, min(_SHOWN_POSES, max(len(poses), 1))), None)
        selects = [f"{len(poses):,} poses"]
        if first is not None:
            selects.append(_usable_text(options, first, settings.settings_of_flags(flags, recipe), recipe))
        if "tfrecord" in options.formats and not options.images:
            selects.append(_pictures_text(options))
    settings.check_weights(flags)  # after the input, as the run does it, since it takes seconds
    if options.decisions is not None:
        reads.append(f"{options.decisions.path}: {counted(len(options.decisions), 'decision')} of a review")
    reads += [f"{network.directory}: {network.stage}, {network.recipe} recipe" for network in networks]
    selects.append(f"camera: {summaries.camera_text(options.camera)}")
    writes += formats.outputs(options.formats)
    writes += [f"poses_3d_{options.output_joints}.npy"] * bool(options.output_joints)
    return plans.show(flags, reads, selects, [options.folder / name for name in writes])


def _usable_text(options: LabellingOptions, batch: Batch, chosen: settings.LifterSettings, recipe: str) -> str:
    """How many poses of a batch can get a label as far as their 2D tells, and why the others can't."""
    reasons = collections.Counter(filter(None, without_label(options, batch, chosen, recipe)))
    whole = float(np.mean(batch.provenance > 0)) if len(batch) else 0.0
    text = f"of the first {len(batch):,}: {len(batch) - sum(reasons.values()):,} usable, {whole:.0%} of 17 joints"
    return text + "".join(f"; {count:,} without a label: {reason}" for reason, count in reasons.most_common())


def without_label(options: LabellingOptions, batch: Batch, chosen: settings.LifterSettings, recipe: str) -> list[str]:
    """Why each pose of a batch will get no label, '' where nothing of its 2D is against one; see `Lifter.lift`."""
    canonical = recipe == "canonical"
    views, intrinsics, _ = options.camera.pinhole_views(batch, 0, by_size=canonical)
    labelled = batch.provenance == joints.LABELLED
    if options.correct_joints and canonical:
        views = joint_places.corrected(views, labelled, lifted_batches.joint_set(options.spec))
    there = labelled & np.isfinite(views).all(-1)
    near = there & (np.abs(np.where(there[..., None], views, 0)) <= bounds.LARGEST_PX).all(-1)
    extent = np.where(near[..., None], views, -np.inf).max(1) - np.where(near[..., None], views, np.inf).min(1)
    few = near.sum(1) < chosen.min_joints
    root = near[:, joints.POSE17.root] | near[:, [joints.POSE17.index("RHip"), joints.POSE17.index("LHip")]].all(1)
    _, too_few, no_root, _, bad_camera, one_spot, too_far = settings.REASONS
    cases = [  # the later ones say more
        (no_root, ~(root if canonical else np.isfinite(views).all((1, 2)))),
        (too_few, few),
        (one_spot, (extent.max(-1) <= bounds.SMALLEST_EXTENT_PX) & ~few),
        (too_far, (there & ~near).any(1)),
        (bad_camera, ~np.isnan(intrinsics).any(1) & ~bounds.good_intrinsics(intrinsics)),
    ]
    reasons = [""] * len(batch)
    for text, chosen_rows in cases:
        for i in np.flatnonzero(chosen_rows).tolist():
            reasons[i] = text
    for i, text in batch.skipped.items():
        reasons[i] = text
    return reasons


def _pictures_text(options: LabellingOptions) -> str:
    """Where the pictures of records come from without --images, as `run` will decide it."""
    try:
        source = inputs.open_input(dataclasses.replace(options.spec, images=""))
    except InputError as error:
        return f"records without pictures: {error}"
    tried = list(source.records(np.arange(min(len(source), _TRIED_PICTURES))))
    count = sum(not isinstance(item, Skip) for item in tried)
    return f"records with pictures: {count:,} of the first {len(tried):,} poses have one that can be used"


def check_videos(options: LabellingOptions, files: PictureFiles) -> None:
    """Raises `InputError` when a format of sequences is asked for and there are photographs alone."""
    wanted = [name for name in formats.OF_SEQUENCES if name in options.formats]
    if wanted and not any(map(files.is_video, files.names)):
        raise formats.no_sequence(wanted[0], options.spec.path)


def check_sequences(options: LabellingOptions, poses: inputs.Input) -> None:
    """Raises `InputError` when a format of sequences is asked for and no sequence has frames enough for a clip.

    As `clips.make_clips` makes them; reads up to the first sequence that has.
    """
    wanted = [name for name in formats.OF_SEQUENCES if name in options.formats]
    if not wanted:
        return
    frames: dict[str, set[int]] = {}
    for batch in inputs.read_batches(poses, 0, _READ_AT_ONCE):
        for name, frame in zip(batch.sequence, batch.frame.tolist()):
            if frame >= 0 and (name or options.sequence):
                of_name = frames.setdefault(name, set())
                of_name.add(frame)
                if len(of_name) >= tracks.LEAST_FRAMES:
                    return
    raise formats.no_sequence(wanted[0], options.spec.path)


def check_poses(options: LabellingOptions, poses: inputs.Input) -> None:
    """Raises `InputError` when there is no pose to label, they are not in px, or their picture has no size."""
    if not len(poses):
        split = options.spec.split
        raise InputError(f"{options.spec.path}: no pose{f' of split {split!r}' if split else ''} in it")
    first = next(inputs.read_batches(poses, 0, _SHOWN_POSES), None)
    if first is not None:
        options.camera.pinhole_views(first, 0)  # a field of view needs the pictures' sizes
    if first is not None and bounds.shares(first.poses_2d):
        raise InputError(
            f"{options.spec.path}: its 2D joints are within 2 px of one another, so not in px; write px (shares of the "
            "picture's size times its width and height)"
        )


def check_decisions(options: LabellingOptions, poses: inputs.Input) -> None:
    """Raises `InputError` when no decision of --keep fits a pose: they are another input's. Reads up to the first."""
    decisions = options.decisions
    if decisions is None or not len(decisions):
        return
    first = 0
    for batch in inputs.read_batches(poses, 0, _READ_AT_ONCE):
        for i in range(len(batch)):
            if i not in batch.skipped:
                decisions.fate(batch.file[i], batch.sequence[i], batch.frame[i], batch.person[i], first + i)
        if decisions.matched:
            return
        first += len(batch)
    raise decisions.fits_nothing(f"{len(poses):,} poses of {options.spec.path}")


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
