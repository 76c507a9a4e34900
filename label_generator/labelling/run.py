"""One run of `generate.py`: batches through the lifter into columns, then the files that the user gets."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from label_generator.labelling import (
    dry_run,
    engine_job,
    inputs,
    joint_orders,
    lifted_batches,
    output_joints,
    overlays,
    people_file,
    photographs,
    remote_output,
    same_pictures,
    summaries,
)
from label_generator.labelling.batch import Batch
from label_generator.labelling.options import LABELS, LabellingOptions
from label_generator.labelling.picture_files import PictureFiles
from label_generator.lifting import joint_places, settings
from tfrecords import schema
from tfrecords.exports import clips, formats
from tfrecords.exports.rows import COLUMNS, TEXTS
from tfrecords.storage import manifest
from tfrecords.storage.partial import locked
from tools.cli import outputs
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.cli.words import counted
from tools.files import atomic, remote
from tools.files import decisions as decisions_file
from tools.files.columns import FOLDER, LabelFiles
from tools.pose import joints

if TYPE_CHECKING:  # it imports TensorFlow, and bad flags are reported before that
    from label_generator.lifting.lifter import Lifter

_SUMMARY, _RECORDS = "summary.json", formats.RECORDS
_CHECKPOINT_SECONDS = 2.0
_CLIP_BATCH = 256  # frames of a clip that are lifted once more at a time
_REFUSED = "refused"  # marks unfinished labels whose call ended with an InputError


def generate(flags: Flags) -> int:
    """Labels what the flags of `generate.py` name; returns the exit status.

    Raises:
      InputError: bad flags or input, which is known before TensorFlow is loaded; see `run`.
    """
    options = LabellingOptions.of_flags(flags)
    check_output(options)
    if flags.dry_run:
        return dry_run.show(flags, options)
    engine = engine_job.LabelEngine.of_flags(flags)
    given, target, options = options.spec.path, options.output, remote_output.on_this_machine(options)
    settings.named_networks(flags)  # wrong names are not found out after hours of looking for people
    if options.spec.format == "photographs":
        if not options.spec.path.lower().endswith(".npz"):  # people that an earlier run found
            dry_run.check_videos(options, PictureFiles(str(remote.fetched(options.spec.path)), options.folder))
        options = photographs.with_people(options)
    poses = inputs.open_input(options.spec)
    if poses.pictures is None:
        print(f"input: {poses.description}, {len(poses):,} poses", flush=True)
    else:
        where = f", in {options.spec.path}" if options.spec.path != given else ""
        print(f"input: {given}, {poses.pictures.text}{where}", flush=True)
    dry_run.check_poses(options, poses)
    dry_run.check_decisions(options, poses)
    dry_run.check_sequences(options, poses)
    dry_run.check_pictures(options)
    same_pictures.check_one_person(options, poses, flags.min_joints)
    from label_generator.lifting.lifter_of_flags import make_lifter

    lifter, fingerprint = make_lifter(flags)
    summary = run(options, poses, lifter, fingerprint, engine)
    flags.report.update(summary, output=target)
    if options.spec.format == "photographs" and options.overlays:
        drawn = overlays.draw(pathlib.Path(options.spec.path), options.folder)
        print(f"drawn in {drawn}")
        flags.report["drawn"] = drawn
    remote_output.send(options, target)
    return 0


def check_output(options: LabellingOptions) -> None:
    """Raises `InputError` when the output is no folder that can be written, or holds finished labels that may not be
    replaced."""
    if not remote.is_remote(options.output):
        outputs.check_folder(options.folder)
    wanted = [LABELS, *formats.outputs(options.formats)]
    wanted += [f"poses_3d_{options.output_joints}.npy"] * bool(options.output_joints)
    unfinished = (options.folder / FOLDER).exists()
    outputs.check_all_free((options.folder / name for name in wanted), options.overwrite or unfinished)


def run(
    options: LabellingOptions,
    poses: inputs.Input,
    lifter: Lifter,
    fingerprint: str,
    engine: engine_job.LabelEngine | None = None,
) -> dict[str, Any]:
    """Labels all poses of the input, writes the files and prints a summary, which it returns.

    Args:
      fingerprint: of the lifter's weights.
      engine: what lifts instead of this process; the labels are the same.

    Raises:
      InputError: bad input, another run's unfinished labels in the output, or a full disk.
    """
    weights = f"{lifter.name_of_weights} ({lifter.recipe}, {fingerprint[:12]})"
    print(f"weights: {weights}; {summaries.settings_text(lifter.settings)}")
    print(f"camera: {summaries.camera_text(options.camera)}", flush=True)
    if options.decisions is not None:
        print(f"review: {options.decisions.path}, {counted(len(options.decisions), 'decision')}", flush=True)
    with locked(options.folder):
        header = _header(options, poses, lifter, fingerprint)
        refused = options.folder / FOLDER / _REFUSED
        try:
            files = LabelFiles(options.folder, COLUMNS, TEXTS, header, settings.REASONS)
        except InputError:
            # What a refused call has left is no use to another one.
            if not options.overwrite and not refused.exists():
                raise
            shutil.rmtree(options.folder / FOLDER)
            files = LabelFiles(options.folder, COLUMNS, TEXTS, header, settings.REASONS)
        try:
            other, already = None, files.rows
            if already:
                print(f"going on after {already:,} poses that an earlier run labelled", flush=True)
            else:
                other = _other_order(options, poses, lifter)
            if engine is None:
                seconds = _lift_all(options, poses, lifter, files)
            else:
                seconds = engine_job.lift_all(engine, options, poses, lifter, files, header)
            if not already:
                _check_matched(options, len(poses))
            clips_summary = _make_clips(options, poses, files, lifter)
            summary = summaries.summarize(options, files, weights, seconds, lifter)
            summary["looks_like"] = other
            summary["cut_videos"] = [video._asdict() for video in poses.cut_videos]
            corrected = options.correct_joints and lifter.recipe == "canonical"
            corrected = corrected and lifted_batches.joint_set(options.spec) in joint_places.CORRECTIONS
            summary["corrected_joints"] = lifted_batches.joint_set(options.spec) if corrected else None
            summary["sequence"] = clips_summary
            summary["pictures"] = poses.pictures.for_summary() if poses.pictures else None
            _finish(options, files, summary, weights, engine)
        except InputError:
            with contextlib.suppress(OSError):
                refused.touch()
            raise
        finally:
            files.close()
        shutil.rmtree(options.folder / FOLDER, ignore_errors=True)
    summaries.print_summary(summary, options, poses.pictures)
    return summary


def _header(options: LabellingOptions, poses: inputs.Input, lifter: Lifter, fingerprint: str) -> dict[str, Any]:
    stats = [(path, path.stat()) for path in poses.files()]
    spec = dataclasses.asdict(options.spec)
    return {
        "input": {**spec, "path": inputs.absolute(options.spec).path},
        "input files": [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats],
        "poses": len(poses),
        "weights": fingerprint,
        "settings": dataclasses.asdict(lifter.settings),
        "camera": dataclasses.asdict(options.camera),
        "precision": options.precision,
        "min_quality": options.min_quality,
        "batch_size": options.batch_size,
        "sequence": [options.sequence, options.fps, *(["one person"] if options.one_person else [])],
        "correct_joints": options.correct_joints,
        "version": manifest.project_version(),
        **({} if options.decisions is None else {"decisions": options.decisions.sha256}),
    }


def _lift_all(options: LabellingOptions, poses: inputs.Input, lifter: Lifter, files: LabelFiles) -> float:
    """Lifts what is missing; returns the seconds that it took."""
    total, already = len(poses), files.rows
    size = _batch_size(options, poses)
    start = saved = time.monotonic()
    with Progress(total, "poses", already) as progress:
        for first, batch in _ahead(poses, already, size):
            lifted_batches.label_batch(options, lifter, files, batch, first, size)
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                files.checkpoint()
                saved = time.monotonic()
            progress.update(files.rows)
    files.checkpoint()
    if files.rows != total:
        raise InputError(f"{options.spec.path}: {files.rows:,} poses read, {total:,} announced")
    return time.monotonic() - start


def _make_clips(
    options: LabellingOptions, poses: inputs.Input, files: LabelFiles, lifter: Lifter
) -> dict[str, Any] | None:
    """Refines the clips of the input, unless the user wants single frames; what the summary says of them."""
    if options.sequence is False and not options.one_person:
        return None
    return clips.make_clips(
        files,
        clips.ClipOptions(
            always=bool(options.sequence),
            fps=options.fps or poses.fps,
            identities=poses.identities,
            image_size=options.camera.image_size,
            clips=options.sequence is not False,
            one_person=options.one_person,
        ),
        functools.partial(lifted_batches.labels_of, lifter, min(_batch_size(options, poses), _CLIP_BATCH)),
    )


def _batch_size(options: LabellingOptions, poses: inputs.Input) -> int:
    """Small inputs need no big batch; powers of two, as the search has them."""
    return min(options.batch_size, 1 << max(len(poses) - 1, 0).bit_length())


def _other_order(options: LabellingOptions, poses: inputs.Input, lifter: Lifter) -> str | None:
    """Warns when the first poses look like another order of joints, which it returns in words."""
    size = _batch_size(options, poses)
    batch = next(inputs.read_batches(poses, 0, size), None)
    if batch is None:
        return None

    def lift(poses_2d: np.ndarray, labelled: np.ndarray) -> np.ndarray:
        filled = lifted_batches.filled(poses_2d, size, np.nan)
        lifted = lifter.lift(
            filled, np.full((size, 4), np.nan, np.float32), lifted_batches.filled(labelled, size, False)
        )
        return lifted.expected_error_mm.numpy()[: len(poses_2d)]

    spec = options.spec
    finding = joint_orders.look_at(
        lift, batch.poses_2d, batch.provenance == joints.LABELLED, lifted_batches.joint_set(spec)
    )
    if finding is None:
        return None
    print(finding.message(f"--joints={spec.joints}" if spec.joints else spec.format), file=sys.stderr, flush=True)
    return finding.order


def _ahead(poses: inputs.Input, already: int, size: int) -> Iterator[tuple[int, Batch]]:
    """(number of the first pose, batch), each read while the one before is lifted."""
    if already >= len(poses):
        return
    batches = inputs.read_batches(poses, already, size)
    first = already
    with concurrent.futures.ThreadPoolExecutor(1) as reading:
        waiting = reading.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = reading.submit(next, batches, None)
            yield first, batch
            first += len(batch)


def _check_matched(options: LabellingOptions, count: int) -> None:
    """Says how many decisions fitted no pose; raises `InputError` when none did, since they are another input's."""
    decisions = options.decisions
    if decisions is None:
        return
    left = len(decisions) - len(decisions.matched)
    if decisions.matched or not left:
        if left:
            print(f"review: {left:,} decisions fit no pose of this input")
        return
    raise decisions.fits_nothing(f"{count:,} poses of {options.spec.path}")


def _finish(
    options: LabellingOptions,
    files: LabelFiles,
    summary: dict,
    weights: str,
    engine: engine_job.LabelEngine | None = None,
) -> None:
    """Writes the files into `.partial` and moves them into place, labels.npz last."""
    part, written = options.folder / FOLDER, [_SUMMARY]
    if options.output_joints:
        name = f"poses_3d_{options.output_joints}.npy"
        summary["output_joints"] = output_joints.write(files, part / name, options.output_joints)
        written.append(name)
    if not (part / LABELS).exists():
        # The records' conversion is gone on with only while its source stays as it was.
        temporary = part / f"{LABELS}.tmp"
        extra = {
            "reasons": np.array(files.reasons),
            "camera_kinds": np.array(schema.CAMERA_KINDS),
            "weights": np.array([weights]),
            # Without the time it took: the same labels are the same bytes.
            "summary": np.array([json.dumps({**summary, "seconds": None})]),
        }
        files.write_npz(temporary, extra)
        os.replace(temporary, part / LABELS)
    if options.decisions is not None:
        # What the labels were made with stays with them: a later review goes on from it.
        (part / decisions_file.NAME).write_bytes(options.decisions.data)
        written.append(decisions_file.NAME)
    images = options.images
    if "mp4" in options.formats and not images and options.spec.format == "photographs":
        images = people_file.folder_of_pictures(pathlib.Path(options.spec.path))
    export = formats.ExportOptions(options.formats, options.spec.path, options.names, images)
    written += formats.write(files, part, weights, summary, export)
    atomic.write_text(part / _SUMMARY, json.dumps(summary, indent=1) + "\n")  # now it knows the motions
    if "tfrecord" in options.formats and summary["labels"]:
        _write_records(options, part, engine)
        written.append(_RECORDS)
    for name in (*written, LABELS):
        place = options.folder / name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(part / name, place)


def _write_records(options: LabellingOptions, part: pathlib.Path, engine: engine_job.LabelEngine | None = None) -> None:
    from label_generator.labelling import labelled_records as records
    from tfrecords import writer

    if (part / _RECORDS / manifest.NAME).exists():
        return
    by = engine.engine if engine and not remote.is_remote(engine.output) else None
    spec = inputs.absolute(options.spec) if by else options.spec
    spec, part = dataclasses.replace(spec, images=options.images), part.resolve() if by else part
    if not options.images:
        try:
            inputs.open_input(spec)
        except InputError as error:
            spec = dataclasses.replace(spec, images="none")
            print(f"records without pictures: {error}")

    def written(spec: inputs.Spec) -> manifest.Manifest:
        source = functools.partial(records.LabelledSource, spec, part / LABELS, options.unlabelled, options.decisions)
        return writer.convert(source, part / _RECORDS, engine=by)

    try:
        try:
            content = written(spec)
        except writer.EveryRecordSkipped as error:
            if spec.images:  # the pictures that were named, or none
                raise
            print(f"records without pictures: {error}")
            content = written(dataclasses.replace(spec, images="none"))
    except InputError as error:
        if not options.images or options.images == "none":
            raise
        raise InputError(
            f"--tfrecords: {error}; the same command with other --images, or 'none', goes on from here"
        ) from error
    print(f"records: {content.records:,} in {counted(len(content.shards), 'shard')}")
