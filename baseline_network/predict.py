"""Tells the 2D and 3D poses of the people in pictures.

    python baseline_network/predict.py --input=photos/ --output=poses
    python baseline_network/predict.py --input=photo.jpg --output=poses --box=120,40,200,420
    python baseline_network/predict.py --input=walk.mp4 --output=poses --largest --detect_every=5

--input is a folder (with all folders in it), a picture or a video. Writes into --output: predictions.json and
predictions.npz (16 joints of each person in pixels and in millimetres; docs/baseline_network.md describes both), and
the pictures with the poses drawn on them: overlays/, or overlay.mp4 of a video. Everything is written at the end, or
nothing at all.
"""

from __future__ import annotations

import os
import pathlib
import sys

from tools.cli import command, common_flags
from tools.cli.errors import InputError


def declare() -> command.Flags:
    """The flags of this command."""
    from baseline_network.images import detection
    from baseline_network.prediction import flags as network_flags

    flags = command.Flags(__doc__)
    with flags.group("Pictures in"):
        flags.string("input", "", "folder, picture or video")
        flags.integer("limit", 0, "at most so many pictures or frames; 0: all", lower_bound=0)
    with flags.group("People in them"):
        detection.declare(flags, "skip")
        flags.integer(
            "detect_every", 1, "of a video: look for people in each so many-th frame, and keep their boxes between",
            lower_bound=1,
        )  # fmt: skip
    with flags.group("Network"):
        network_flags.declare(flags)
        flags.integer("batch_size", 32, "people that the network sees at once", lower_bound=1)
    with flags.group("Poses out"):
        flags.string("output", "", "folder for what is written")
        flags.boolean("overlays", True, "draw the poses on the pictures too")
        flags.boolean("overwrite", False, "replace predictions that lie in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Predicts, and says what was found, what was skipped and where the result lies."""

    flags.require("input", "output")
    from baseline_network.images import detection

    chooser = detection.chooser(flags)
    path = pathlib.Path(flags.input)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")

    from baseline_network.images import person_images

    video, names = None, []
    if path.is_dir():
        names = person_images.list_pictures(path, flags.output)
    elif path.suffix.lower() in person_images.VIDEO_SUFFIXES:
        video = person_images.Video(path)
    else:
        names = [path.name]
        path = path.parent
    if flags.use_cpu:
        common_flags.hide_gpus()

    from baseline_network.prediction import files as prediction_files
    from baseline_network.prediction import flags as network_flags

    prediction_files.check_free(flags.output, flags.overwrite)
    network, predictor = network_flags.make_predictor(flags)
    origin = {"input": os.path.basename(os.path.normpath(flags.input))}
    if video is not None:
        origin |= {"fps": video.fps, "frames_by_file": video.count}
    with prediction_files.writing(
        flags.output, prediction_files.header(network, predictor, **origin), flags.overwrite
    ) as writer:
        _predict(flags, chooser, predictor, writer, path, names, video)
    if video is not None and not flags.limit and writer.pictures < video.count:
        print(f"{flags.input}: ended after {writer.pictures:,} of {video.count:,} frames; it may be damaged")
    kind = "frame" if video is not None else "picture"
    print(f"{writer.people:,} people in {writer.pictures:,} {kind}{'s' * (writer.pictures != 1)}")
    for reason, count in sorted(writer.skipped.items()):
        print(f"skipped: {count:,} ({reason})")
    if writer.first_skip:
        print(f"  first: {writer.first_skip}")
    for source, count in sorted(writer.sources.items()):
        print(f"boxes: {count:,} {source}")
    print(f"written to {flags.output}")
    return 0


def _predict(flags, chooser, predictor, writer, path, names, video) -> None:
    """Runs all pictures through the network into the writer."""
    import itertools

    from baseline_network.images import person_images
    from baseline_network.prediction import files as prediction_files
    from baseline_network.prediction import run as prediction_run
    from tools.cli.progress import Progress

    most = flags.limit or None
    if video is None:
        names = names[:most]
        pictures = ((name, person_images.read(path / name, name)) for name in names)
        total = len(names)
    else:
        pictures = ((photo.name, photo) for photo in itertools.islice(video.photos(), most))
        total = min(video.count, most or video.count)
    every = flags.detect_every if video is not None else 1
    results = prediction_run.predict(predictor, chooser, pictures, flags.batch_size, every)

    with Progress(total, "pictures" if video is None else "frames", quiet=not total) as progress:

        def recorded():
            for result in results:
                writer.add(result)
                yield result
                progress.update(writer.pictures)

        if not flags.overlays:
            for _ in recorded():
                pass
        elif video is not None:
            from baseline_network.prediction import pictures as drawn
            from tools.drawing import animation

            frames = (drawn.overlay(result.photo.pixels, result.people) for result in recorded())
            animation.write_animation(writer.stage / prediction_files.FILM, frames, video.fps)
        else:
            _draw(recorded(), writer.stage / prediction_files.OVERLAYS)


def _draw(results, folder: pathlib.Path) -> None:
    """Writes the overlay of every picture that somebody was found in."""
    from baseline_network.prediction import files as prediction_files
    from baseline_network.prediction import pictures
    from tools.drawing import drawing

    for result in results:
        if result.people:
            target = folder / (result.name + prediction_files.ENDING)
            target.parent.mkdir(parents=True, exist_ok=True)
            drawing.write_image(target, pictures.overlay(result.photo.pixels, result.people))


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
