"""What predict.py runs: a folder, a picture or a video in, predictions.json, predictions.npz and overlays out."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from baseline_network.images import detection
from baseline_network.prediction import exported, network_flags, pictures, prediction_files
from baseline_network.prediction.input_pictures import InputPictures
from baseline_network.prediction.people_in_pictures import PictureResult, predict_people
from tfrecords.exports import formats
from tools.cli import plans
from tools.cli.command import Flags
from tools.cli.progress import Progress
from tools.cli.words import counted
from tools.drawing import animation, drawing
from tools.files import inputs

if TYPE_CHECKING:
    from baseline_network.prediction.predictor import Predictor


def predict_files(flags: Flags) -> int:
    """Predicts the people of all pictures, writes the result, and prints what was detected and what was skipped.

    Returns:
      the exit status.

    Raises:
      InputError: the input, the output or the weights are of no use; nothing is written then.
    """
    chooser = detection.chooser(flags)
    files = InputPictures(flags.input, flags.output, flags.limit)
    options = exported.options_of(flags)
    more = formats.outputs(options.formats, exported.STEM)
    prediction_files.check_free(flags.output, flags.overwrite, more)
    if flags.dry_run:
        return _preview(flags, files, more)
    network, predictor = network_flags.make_predictor(flags)
    origin: dict[str, Any] = {"input": inputs.shown_name(os.path.basename(os.path.normpath(flags.input)))}
    if files.video is not None:
        origin |= {"fps": files.video.fps, "frames_by_file": files.video.count}
    header = prediction_files.header(network, predictor, **origin)
    summary: dict[str, Any] = {}

    def export(writer: prediction_files.Writer) -> None:
        if options.formats:
            fps = files.video.fps if files.video is not None else 0.0
            summary.update(exported.write(writer.rows, writer.stage, header["weights"] or "shipped", fps, options))

    with prediction_files.writing(flags.output, header, flags.overwrite, export, more) as writer:
        _predict_into(writer, files, predictor, chooser, flags)
    if files.video is not None and not flags.limit and writer.pictures < files.video.count:
        print(f"{flags.input}: ended after {writer.pictures:,} of {files.video.count:,} frames; it may be damaged")
    kind = "picture" if files.video is None else "frame"
    print(f"{counted(writer.people, 'person', 'people')} in {counted(writer.pictures, kind)}")
    for reason, count in sorted(writer.skipped.items()):
        print(f"skipped: {count:,} ({reason})")
    if writer.first_skip:
        print(f"  first: {writer.first_skip}")
    for source, count in sorted(writer.sources.items()):
        print(f"boxes: {count:,} {source}")
    if summary.get("sequence", {}).get("clips"):
        clips = summary["sequence"]
        frames = counted(clips["frames"], "frame")
        print(f"sequences: {counted(clips['clips'], 'clip')} of {frames}, bones of constant length")
    if "records" in summary:
        print(f"records: {summary['records']:,}")
    print(f"written to {flags.output}")
    flags.report.update(
        output=flags.output, people=writer.people, pictures=writer.pictures, skipped=writer.skipped,
        boxes=writer.sources, weights=network.directory,
    )  # fmt: skip
    return 0


def _preview(flags: Flags, files: InputPictures, more: Iterable[str]) -> int:
    """What would be read and written."""
    from baseline_network.network import network_files

    files.check()
    kind = "pictures" if files.video is None else f"frames at {files.video.fps:g} a second"
    overlays = prediction_files.OVERLAYS if files.video is None else prediction_files.FILM
    names = (prediction_files.JSON, prediction_files.NPZ, *([overlays] if flags.overlays else []), *more)
    boxes = f"people by --box={';'.join(flags.box)}" if flags.box else f"people by --detector={flags.detector}"
    return plans.show(
        flags,
        [f"{flags.input}: {files.total:,} {kind}", network_files.described(flags.weights)],
        [boxes if flags.box or flags.boxes == "detect" else "each whole picture as one person"],
        [os.path.join(flags.output, name) for name in names],
    )


def _predict_into(
    writer: prediction_files.Writer,
    files: InputPictures,
    predictor: Predictor,
    chooser: detection.Chooser,
    flags: Flags,
) -> None:
    """Runs all pictures through the network into the writer, and draws the overlays."""
    every = 1 if files.video is None else flags.detect_every
    results = predict_people(predictor, chooser, files.read(), flags.batch_size, every)
    kind = "pictures" if files.video is None else "frames"
    with Progress(files.total, kind, quiet=not files.total) as progress:

        def recorded() -> Iterator[PictureResult]:
            for result in results:
                writer.add(result)
                yield result
                progress.update(writer.pictures)

        if not flags.overlays:
            for _ in recorded():
                pass
        elif files.video is not None:
            frames = (pictures.overlay(result.photo.pixels, result.people) for result in recorded() if result.photo)
            animation.write_animation(writer.stage / prediction_files.FILM, frames, files.video.fps)
        else:
            _draw_overlays(recorded(), writer.stage / prediction_files.OVERLAYS)


def _draw_overlays(results: Iterable[PictureResult], folder: pathlib.Path) -> None:
    """Writes the overlay of every picture with people."""
    for result in results:
        if result.people and result.photo is not None:
            target = folder / (result.name + prediction_files.ENDING)
            target.parent.mkdir(parents=True, exist_ok=True)
            drawing.write_image(target, pictures.overlay(result.photo.pixels, result.people))
