"""What a run of `generate.py` reports: settings and camera in words, counts of the labels, and the summary as text."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from label_generator.labelling import cameras, picture_counts
from label_generator.labelling.options import LABELS, LabellingOptions
from tfrecords import schema
from tfrecords.exports import formats
from tfrecords.storage import manifest
from tools.cli.words import counted
from tools.files.columns import LabelFiles
from tools.pose import tracks

if TYPE_CHECKING:  # it imports TensorFlow, and bad flags are reported before that
    from label_generator.lifting.lifter import Lifter, LifterSettings

_QUALITY_BINS = 1000
_SHOWN_BINS, _BAR = 10, 40
_ROWS_AT_ONCE = 1 << 18
_NAMED_VIDEOS = 5
# From so many labels on, such a share in the lowest tenth of quality is no chance.
_FEWEST_LABELS, _MOST_LOW = 5, 0.8
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def settings_text(settings: LifterSettings) -> str:
    """The settings of search and refinement in words."""
    return (
        f"search {settings.min_depth_mm:g}-{settings.max_depth_mm:g} mm by {settings.step_mm:g}, "
        f"{settings.objective}{', weighted' if settings.weighted else ''}, {settings.refinement}"
        f"{', left and right alike' if settings.symmetry else ''}{', both mirror images' if settings.flip else ''}"
    )


def camera_text(camera: cameras.CameraChoice) -> str:
    """The assumed camera in words."""
    return {
        "auto": "each record's own calibrated one; else a focal length of the picture's diagonal, if its size "
        "is known; else unknown, so depth nominal",
        "h36m": "Human3.6M's intrinsics for all, the published assumption",
        "unknown": "unknown for all: scaled to a nominal distance, absolute depth means nothing",
        "given": f"given for all: {', '.join(f'{value:g}' for value in camera.intrinsics)} px",
        "fov": f"given for all: {camera.fov_deg:g} degrees across each picture's width",
    }[camera.name]


def summarize(
    options: LabellingOptions, files: LabelFiles, weights: str, seconds: float, lifter: Lifter
) -> dict[str, Any]:
    """Counts of everything, taken from the columns piece by piece."""
    from label_generator.lifting import quality

    reasons = np.zeros(len(files.reasons), np.int64)
    kinds = np.zeros(len(schema.CAMERA_KINDS), np.int64)
    bins = np.zeros(_QUALITY_BINS, np.int64)
    at_end, errors, off_centre = 0, 0.0, 0
    for start in range(0, files.rows, _ROWS_AT_ONCE):
        piece = functools.partial(files.read, start=start, stop=start + _ROWS_AT_ONCE)
        reason, kind = piece("reason"), piece("camera_kind")
        reasons += np.bincount(reason, minlength=len(reasons))
        kinds += np.bincount(kind, minlength=len(kinds))
        good = reason == 0
        off_centre += int((good & _centre_is_outside(piece("intrinsics"), piece("image_size"), options)).sum())
        bins += np.histogram(piece("quality")[good], _QUALITY_BINS, (0, 1))[0]
        at_end += int((piece("at_range_end") & good).sum())
        errors += float(piece("expected_error_mm")[good].astype(np.float64).sum())
    labels = int(reasons[0])
    return {
        "input": options.spec.path,
        "format": options.spec.format,
        "poses": files.rows,
        "labels": labels,
        "without_label": {text: int(n) for text, n in zip(files.reasons[1:], reasons[1:]) if n},
        "camera": options.camera.name,
        "camera_kinds": {text or "none": int(n) for text, n in zip(schema.CAMERA_KINDS, kinds) if n},
        "weights": weights,
        "settings": dataclasses.asdict(lifter.settings),
        "quality_calibrated": lifter.calibration is not quality.UNCALIBRATED,
        "quality_quantiles": _quantiles(files),
        "quality_histogram": bins.reshape(_SHOWN_BINS, -1).sum(1).tolist(),
        "mean_expected_error_mm": errors / labels if labels else None,
        "depth_at_range_end": at_end,
        "principal_point_outside": off_centre,
        "decisions": options.decisions.sha256 if options.decisions else None,
        "input_spec": dataclasses.asdict(options.spec),
        "images": options.images,
        "seconds": round(seconds, 3),
        "version": manifest.project_version(),
    }


def _centre_is_outside(intrinsics: np.ndarray, sizes: np.ndarray, options: LabellingOptions) -> np.ndarray:
    """[n] bool, where the principal point lies outside the picture: the intrinsics are of another size of it."""
    if options.camera.name in ("h36m", "fov"):  # assumed, or made of the picture's size
        return np.zeros(len(sizes), bool)
    sizes = np.where(sizes > 0, sizes, np.asarray(options.camera.image_size or (-1, -1)))
    centre = intrinsics[:, 2:]
    return (sizes > 0).all(1) & ((centre < 0) | (centre > sizes)).any(1)  # NaN is not outside


def _quantiles(files: LabelFiles) -> dict[str, float | None]:
    """Quality that so large a share of the labels does not exceed."""
    values = np.asarray(files.mapped("quality"))[np.asarray(files.mapped("reason")) == 0]
    return {str(share): float(np.quantile(values, share)) if len(values) else None for share in _QUANTILES}


def low_quality_line(summary: Mapping[str, Any]) -> str:
    """The warning for a summary most of whose labels have the lowest quality; '' where they have not, or where another
    order of joints was warned of already, or where the weights' quality only ranks."""
    low, labels = summary["quality_histogram"][0], summary["labels"]
    if summary.get("looks_like") or not summary["quality_calibrated"]:
        return ""
    if labels < _FEWEST_LABELS or low < _MOST_LOW * labels:
        return ""
    return (
        f"{low:,} of {labels:,} labels have the lowest quality (below {1 / _SHOWN_BINS:g}): joint order, units or "
        "camera? Check --joints and --permutation (docs/joints.md), that x and y are px from the top left, and --camera"
    )


def cut_video_lines(cut_videos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Messages for the videos of a summary's `cut_videos`, the first few by name."""
    lines = [
        f"{video['file']} ends early: {video['decoded']:,} of the {video['announced']:,} frames that it announces "
        "could be decoded; the labels are of those"
        for video in cut_videos[:_NAMED_VIDEOS]
    ]
    more = len(cut_videos) - _NAMED_VIDEOS
    return lines + [f"{more:,} more videos end early: cut_videos in summary.json"] * (more > 0)


def _written(options: LabellingOptions) -> list[str]:
    """The files and folders of --formats besides labels.npz and the records, folders with the number of their files."""
    texts = []
    for name in formats.outputs(one for one in options.formats if one != "tfrecord"):
        place = options.folder / name
        files = sum(path.is_file() for path in place.rglob("*")) if place.is_dir() else 0
        texts.append(f"{place}/ ({counted(files, 'file')})" if place.is_dir() else str(place))
    return texts


def print_summary(
    summary: dict[str, Any], options: LabellingOptions, pictures: picture_counts.PictureCounts | None = None
) -> None:
    """Prints what `summarize` returned, for the user. pictures: of photographs, which are counted apart from people."""
    of = counted(summary["poses"], "pose") if pictures is None else pictures.text
    print(f"{counted(summary['labels'], 'label')} for {of} in {summary['seconds']:.1f} s")
    for line in pictures.lines() if pictures else ():
        print(line)
    for reason, count in sorted(summary["without_label"].items(), key=lambda item: -item[1]):
        if count := count - (pictures.rows.get(reason, 0) if pictures else 0):
            print(f"without label: {count:,}, {reason}")
    for line in cut_video_lines(summary["cut_videos"]):
        print(f"warning: {line}", file=sys.stderr)
    kinds = dict(summary["camera_kinds"])
    if pictures:  # their rows without a person have no camera either
        kinds["none"] = kinds.get("none", 0) - sum(pictures.rows.values())
    print(f"cameras: {', '.join(f'{count:,} {kind}' for kind, count in kinds.items() if count > 0) or 'none'}")
    if summary["corrected_joints"]:
        print(
            f"joints of {summary['corrected_joints']} brought to the reference skeleton's places (--nocorrect_joints)"
        )
    if summary["principal_point_outside"]:
        print(
            f"warning: the principal point is outside the picture for {summary['principal_point_outside']:,} labels: "
            "intrinsics and key points may be of different sizes of it",
            file=sys.stderr,
        )
    clips = summary["sequence"]
    if clips and "one_person" in clips:
        few = "" if clips["one_person"] >= tracks.LEAST_FRAMES else ", too few: bone lengths stay as they are"
        print(f"one person: bone lengths from {counted(clips['one_person'], 'label')}{few}")
    if clips and clips["clips"]:
        rate = f"{clips['fps']:g} frames a second{'' if clips['fps_known'] else ', assumed: --fps tells'}"
        labels = counted(clips["frames"], "label")
        print(f"sequences: {counted(clips['clips'], 'clip')} of {labels} ({rate}), bones of constant length")
        if "acceleration_mm" in clips:
            before, after = clips["acceleration_before_mm"], clips["acceleration_mm"]
            print(f"  acceleration {before:.1f} -> {after:.1f} mm a frame squared, relative to the root")
            before, after = clips["bone_variation_before_percent"], clips["bone_variation_percent"]
            print(f"  bone lengths vary by {before:.1f} -> {after:.1f} %")
        if clips.get("noisy_clips"):
            noisy = counted(clips["noisy_clips"], "clip")
            print(f"  key points of {noisy} smoothed before lifting: {clips['noise_px']:.1f} px of noise")
        if frames := clips.get("frames_with_exchanged_sides"):
            some = f"{counted(frames, 'frame')} of {counted(clips['clips_with_exchanged_sides'], 'clip')}"
            print(f"  left and right of arms or legs put right in {some}")
    if summary["labels"]:
        calibrated = (
            "" if summary["quality_calibrated"] else " (these weights' quality is not calibrated: it ranks only)"
        )
        quantiles = ", ".join(f"{share}: {value:.3f}" for share, value in summary["quality_quantiles"].items())
        print(f"quality, by quantile: {quantiles}{calibrated}")
        most = max(summary["quality_histogram"])
        for i, count in enumerate(summary["quality_histogram"]):
            bar = "#" * round(_BAR * count / most)
            print(f"  {i / _SHOWN_BINS:.1f}-{(i + 1) / _SHOWN_BINS:.1f} {count:>9,} {bar}".rstrip())
        if line := low_quality_line(summary):
            print(f"warning: {line}", file=sys.stderr)
        if summary["depth_at_range_end"]:
            print(f"depth at an end of the search range: {summary['depth_at_range_end']:,}")
        if summary["camera_kinds"].get(schema.NOMINAL):
            print("absolute depth is nominal where the camera is unknown: roots tell no distance there")
        if summary["camera"] == "auto" and (assumed := summary["camera_kinds"].get(schema.ASSUMED)):
            print(
                f"camera of {assumed:,} poses assumed by the picture's size (focal length: its diagonal): distances "
                "are as uncertain as that; --camera tells a better one"
            )
    if other := summary.get("output_joints"):
        lost = f"; no rule makes {', '.join(other['without_a_rule'])}" if other["without_a_rule"] else ""
        print(f"as {other['set']}, places {other['places']}{lost}: {options.folder}/poses_3d_{other['set']}.npy")
    if more := _written(options):
        print(f"written too: {', '.join(more)}")
    print(f"written to {options.folder / LABELS}")
