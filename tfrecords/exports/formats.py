"""The formats of ``--formats``: their names, what each writes, and the writing itself."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

from tfrecords.formats.upright import UprightPictures
from tools.cli.errors import InputError
from tools.files.columns import LabelFiles

RECORDS = "tfrecords"
STEM = "labels"
OUTPUTS = {
    "npz": (),  # labels.npz, which is always there
    "json": ("{}.json",),
    "coco": ("{}_coco.json",),
    "csv": ("{}_wide.csv", "{}_long.csv"),
    "tfrecord": (RECORDS,),
    "wild": ("wild.npy",),
    "bvh": ("bvh",),
    "c3d": ("c3d",),
    "mp4": ("films",),
}
OF_SEQUENCES = ("bvh", "c3d", "mp4")


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is written of labels.

    Attributes:
      formats: of `OUTPUTS`. source: what the labels are of, for messages.
      names: of joints in BVH, of `skeletons.NAMES`.
      images: folder of the pictures and videos, or one video, for films; '' or 'none': on white.
      stem: with which the names of files begin.
    """

    formats: tuple[str, ...]
    source: str
    names: str = "cgspeed"
    images: str = ""
    stem: str = STEM


def parse(names: Iterable[str]) -> tuple[str, ...]:
    """The formats of these names, each once; raises `InputError` for another name, or one whose package is missing."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    for name in chosen:
        if name not in OUTPUTS:
            raise InputError(f"--formats={name}: there are {', '.join(OUTPUTS)}")
    if "c3d" in chosen:
        from tfrecords.exports import c3d_file

        c3d_file.check()
    return chosen


def outputs(formats: Iterable[str], stem: str = STEM) -> list[str]:
    """The files and folders that these formats write besides the .npz. stem: see `ExportOptions`."""
    return [name.format(stem) for chosen in formats for name in OUTPUTS[chosen]]


def no_sequence(name: str, source: str) -> InputError:
    """The error for a format of sequences and an input that has none."""
    return InputError(
        f"--formats={name}: {source} has no sequence of five frames or more; --sequence takes all rows for one"
    )


def write(
    files: LabelFiles, part: pathlib.Path, weights: str, summary: dict[str, Any], options: ExportOptions
) -> list[str]:
    """Writes all formats but records into a folder; returns the names of what it wrote.

    Args:
      part: the folder. summary: of the run. options: of the run.

    Raises:
      InputError: a format of sequences, and the input has none; or a file that can't be written.
    """
    clips = summary.get("sequence") or {"clips": 0, "fps": 0.0}
    fps = clips["fps"] if clips["clips"] else 0.0
    wanted = set(options.formats)
    for name in OF_SEQUENCES:
        if name in wanted and not clips["clips"]:
            raise no_sequence(name, options.source)
    if "json" in wanted:
        from tfrecords.exports import json_labels

        json_labels.write_json(files, part / OUTPUTS["json"][0].format(options.stem), weights, fps)
    if "coco" in wanted:
        from tfrecords.exports import coco

        coco.write_coco(files, part / OUTPUTS["coco"][0].format(options.stem), weights, fps)
    if "csv" in wanted:
        from tfrecords.exports import tables

        tables.write_csv(files, part, *outputs(["csv"], options.stem))
    if "wild" in wanted:
        from tfrecords.exports import wild

        wild.write_wild_npy(files, part / OUTPUTS["wild"][0])
    if wanted & set(OF_SEQUENCES):
        summary["motions"] = _write_motions(files, part, fps, options)
    return outputs((name for name in options.formats if name != "tfrecord"), options.stem)


def _write_motions(files: LabelFiles, part: pathlib.Path, fps: float, options: ExportOptions) -> list[dict[str, Any]]:
    """Writes BVH, C3D and films, clips of one sequence around one origin; returns what the summary says of each."""
    from tfrecords.exports import bvh, motions

    wanted = set(options.formats) & set(OF_SEQUENCES)
    for name in wanted:
        shutil.rmtree(part / OUTPUTS[name][0], ignore_errors=True)
        os.makedirs(part / OUTPUTS[name][0])
    pictures = UprightPictures(options.images) if "mp4" in wanted and options.images not in ("", "none") else None
    by_sequence: dict[str, list] = {}
    for motion in motions.motions(files, fps):
        by_sequence.setdefault(motion.sequence, []).append(motion)
    written = []
    for sequence, clips in by_sequence.items():
        origin = bvh.floor_origin(clips[0].poses_3d, clips[0].roots)
        origin[1] = min(bvh.floor_origin(clip.poses_3d, clip.roots)[1] for clip in clips)
        for clip in clips:
            if "bvh" in wanted:
                path = part / OUTPUTS["bvh"][0] / f"{clip.name}.bvh"
                bvh.write_bvh(path, clip.poses_3d, clip.roots, clip.fps, options.names, origin)
            if "c3d" in wanted:
                from tfrecords.exports import c3d_file

                c3d_file.write_c3d(part / OUTPUTS["c3d"][0] / f"{clip.name}.c3d", clip)
            written.append(
                {
                    "name": clip.name,
                    "sequence": sequence,
                    "track": clip.track,
                    "first_frame": int(clip.frames[0]),
                    "frames": len(clip.frames),
                    "fps": clip.fps,
                    "bvh_origin_mm": [round(float(number), 2) for number in origin],
                }
            )
        if "mp4" in wanted:
            from tfrecords.exports import film

            film.write_film(part / OUTPUTS["mp4"][0] / f"{clips[0].name}.mp4", clips, files, pictures)
    return written
