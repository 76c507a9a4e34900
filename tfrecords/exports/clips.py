"""Finished labels of a run, clip by clip made to agree: identities, constant bones, a smooth path (see `sequences`).

The columns that lifting wrote stay as they are until the end; the new ones lie beside them, so that a run that is
killed here does the clips again and nothing twice.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import numpy as np

from tfrecords.schema import expected_error_mm
from tools.cli.progress import Progress
from tools.files.columns import LabelFiles, Overlay
from tools.pose import bones, sequences, sides, smoothed_key_points, tracks
from tools.pose.cameras import BODY_MM, NOMINAL_MM

_QUALITY = ("quality", "expected_error_mm", "joint_quality")
CHANGED = ("poses_3d", "roots", "interpolated", "track", "nominal_camera", *_QUALITY)
# Somebody who is away for longer than this comes back as another clip.
MOST_GAP_S = 1.0
_READ = (
    "poses_3d", "roots", *_QUALITY, "provenance", "intrinsics", "image_size", "person", "frame", "_points",
)  # fmt: skip
# Key points px [n, 17, 2], whether each is labelled [n, 17], intrinsics [n, 4] -> the columns of their labels.
Lift = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
_LIFTED = ("poses_3d", "roots", *_QUALITY)
# Labels that a person's bone lengths are estimated from, and those brought to them at once.
_MOST_LABELS, _CHUNK = 20_000, 8192


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """How rows become clips.

    Attributes:
      always: also rows without a sequence's name are one clip.
      fps: frames per second; 0: not known, taken to be `sequences.DEFAULT_FPS`.
      identities: take `person` of the rows for who it is, as trackers tell it; otherwise people are matched.
      image_size: width and height in px where the rows don't tell them, or None.
      clips: make clips of sequences. one_person: all rows show one person, whose bones have one length everywhere.
    """

    always: bool = False
    fps: float = 0.0
    identities: bool = False
    image_size: tuple[int, int] | None = None
    clips: bool = True
    one_person: bool = False


def make_clips(files: LabelFiles, options: ClipOptions, lift: Lift | None = None) -> dict[str, Any]:
    """Refines the labels of all clips in `files`; returns what the summary says of them (`clips` 0: there are none).

    Args:
      lift: labels key points of clips again whose sides were put right (`sides`) or that are noisy and were smoothed
        (`smoothed_key_points`); None: their labels stay those of the key points as given.
    """
    groups = _groups(files, options.always) if options.clips else []
    fps = options.fps or sequences.DEFAULT_FPS
    summary: dict[str, Any] = {"clips": 0, "frames": 0, "fps": fps, "fps_known": bool(options.fps)}
    noises: list[float] = []
    turned = np.zeros(2, int)  # clips and frames
    changes = [np.zeros(3), np.zeros(3)]  # sums of accelerations before and after, and their number
    if not groups and not options.one_person:
        return summary
    columns = {name: files.mapped(name) for name in _READ}
    lengths = None
    if options.one_person:
        summary["one_person"], lengths = _lengths_of_person(columns)
        if lengths is None and not groups:
            return summary
    in_clips = np.zeros(files.rows, bool)
    new = {name: files.overlay(name) for name in CHANGED}
    done = 0
    with Progress(sum(map(len, groups)), "frames of clips") as progress:
        for rows in groups:
            frames = np.asarray(columns["frame"][rows])
            points = np.asarray(columns["_points"][rows], np.float64)
            points[columns["provenance"][rows] != 2] = np.nan
            identities = np.asarray(columns["person"][rows])
            step = tracks.frame_step(frames)
            rate = fps / step
            if not options.identities:
                identities = tracks.identities(frames, points, most_gap=int(np.ceil(MOST_GAP_S * fps)))
            labelled = np.isfinite(columns["poses_3d"][rows]).all((1, 2))
            camera = None
            if not np.isfinite(columns["intrinsics"][rows][labelled]).all():
                width, height = (int(n) for n in np.max(columns["image_size"][rows], 0))
                size = (width, height) if min(width, height) > 0 else options.image_size
                camera = tracks.nominal_camera(points[labelled], size, BODY_MM, NOMINAL_MM)
            for person in np.unique(identities[labelled & (identities >= 0)]):
                of_person = np.flatnonzero(identities == person)
                gap = max(round(MOST_GAP_S * rate), 1)
                for piece in tracks.pieces(frames[of_person], labelled[of_person], step, gap):
                    if len(piece) >= tracks.LEAST_FRAMES:
                        summary["clips"] += 1
                        at = of_person[piece]
                        part = {name: np.asarray(column[rows[at]]) for name, column in columns.items()}
                        single = part["poses_3d"], part["roots"], part["_points"]
                        given = points[at]
                        if lift is not None:
                            swapped = _swapped(part, given, step)
                            given = sides.put_right(given, swapped)
                            turned += [swapped.any(), swapped.any(1).sum()]
                            noises.append(_lift_again(part, swapped, step, lift))
                        number = summary["clips"] - 1
                        _one_clip(part, given, single, camera, rate, step, new, rows[at], number, changes, lengths)
                        in_clips[rows[at]] = True
                        summary["frames"] += len(piece)
            done += len(rows)
            progress.update(done)
    if lengths is not None:
        _single_labels(columns, new, np.flatnonzero(~in_clips), lengths)
    for column in new.values():
        column.close()
    files.use_overlays()
    if summary["clips"] and changes[0][2]:
        names = ("acceleration_before_mm", "acceleration_mm")
        summary.update({name: round(sums[0] / sums[2], 2) for name, sums in zip(names, changes)})
        names = ("bone_variation_before_percent", "bone_variation_percent")
        summary.update({name: round(100 * sums[1] / sums[2], 3) for name, sums in zip(names, changes)})
    if noises:
        noisy = [noise for noise in noises if noise]
        summary["noisy_clips"] = len(noisy)
        summary["noise_px"] = round(float(np.median(noisy)), 2) if noisy else 0.0
        summary["clips_with_exchanged_sides"], summary["frames_with_exchanged_sides"] = turned.tolist()
    return summary


def _swapped(part: dict[str, np.ndarray], points: np.ndarray, step: int) -> np.ndarray:
    """Frames of a clip in which the key points have left and right of arms or legs exchanged: [n, 2] bool."""
    place = _places(part, step)
    return sides.exchanged(_spread(points, place))[place]


def _lift_again(part: dict[str, np.ndarray], swapped: np.ndarray, step: int, lift: Lift) -> float:
    """Replaces the labels in the columns of a clip by those of its key points with the sides put right, and smoothed.

    Rows that get no label from those keep theirs. Nothing changes where no sides are exchanged and the noise is 0.

    Returns:
      The noise in px.
    """
    place = _places(part, step)
    points = sides.put_right(part["_points"].astype(np.float64), swapped)
    part["provenance"] = sides.put_right(part["provenance"], swapped)
    smoothed, noise = smoothed_key_points.smoothed(_spread(points, place))
    if noise or swapped.any():
        points = (smoothed[place] if noise else points).astype(np.float32)
        lifted = lift(points, part["provenance"] == 2, part["intrinsics"])
        good = np.isfinite(lifted["poses_3d"]).all((1, 2))
        for name, values in {**{name: lifted[name] for name in _LIFTED}, "_points": points}.items():
            part[name] = np.where(good.reshape(-1, *[1] * (values.ndim - 1)), values, part[name])
    return noise


def _places(part: dict[str, np.ndarray], step: int) -> np.ndarray:
    """The places of a clip's rows among all its frames."""
    return np.round((part["frame"] - part["frame"][0]) / step).astype(int)


def _lengths_of_person(columns: dict[str, np.ndarray]) -> tuple[int, np.ndarray | None]:
    """How many labels there are to estimate the bones of the one person from, and their lengths [17] mm; None: too few.

    As `bones.bone_lengths` does for a clip, from at most `_MOST_LABELS` labels at equal distances.
    """
    rows = np.flatnonzero(np.isfinite(columns["poses_3d"][:, 0, 0]))
    rows = rows[:: -(-len(rows) // _MOST_LABELS) or 1]
    if len(rows) < tracks.LEAST_FRAMES:
        return len(rows), None
    clip = _of_rows(columns, rows)
    return len(rows), bones.bone_lengths(clip.poses_3d, clip.rays, clip.expected_mm, clip.labelled)


def _of_rows(columns: dict[str, np.ndarray], rows: np.ndarray) -> sequences.Clip:
    """Labels with their rays; where the intrinsics are unknown, in the direction of the joints as they were placed."""
    poses, roots = columns["poses_3d"][rows].astype(np.float64), columns["roots"][rows].astype(np.float64)
    intrinsics = columns["intrinsics"][rows].astype(np.float64)
    labelled = columns["provenance"][rows] == 2
    rays = sequences.rays_of_labels(columns["_points"][rows], intrinsics, poses + roots[:, None])
    return sequences.Clip(poses, roots, rays, labelled, expected_error_mm(columns["joint_quality"][rows]))


def _single_labels(
    columns: dict[str, np.ndarray], new: dict[str, Overlay], rows: np.ndarray, lengths: np.ndarray
) -> None:
    """Gives the bones of labels outside clips these lengths."""
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        some = some[np.isfinite(columns["poses_3d"][some]).all((1, 2))]
        if len(some):
            poses, roots = sequences.with_lengths_of_person(_of_rows(columns, some), lengths)
            new["poses_3d"].write(some, poses)
            new["roots"].write(some, roots)


def _groups(files: LabelFiles, always: bool) -> list[np.ndarray]:
    """The rows of each sequence by their frames, where there are enough to be a clip."""
    if not files.rows:
        return []
    names = list(files.texts("sequence"))
    number, frame = np.asarray(files.mapped("sequence")), np.asarray(files.mapped("frame"))
    order = np.lexsort((frame, number))
    order = order[frame[order] >= 0]
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    return [
        rows
        for rows in groups
        if len(rows) and (always or names[number[rows[0]]]) and len(np.unique(frame[rows])) >= tracks.LEAST_FRAMES
    ]


def _one_clip(
    part: dict[str, np.ndarray],
    points: np.ndarray,
    single: tuple[np.ndarray, np.ndarray, np.ndarray],
    camera: np.ndarray | None,
    rate: float,
    step: int,
    new: dict[str, Overlay],
    rows: np.ndarray,
    number: int,
    changes: list[np.ndarray],
    lengths: np.ndarray | None,
) -> None:
    """Refines one clip and writes its rows into the new columns.

    Args:
      points: as given, which the labels are held to. single: the single frames' poses, roots and key points, for what
        the summary says of them. lengths: of the person's bones, where known.
    """
    poses, roots = part["poses_3d"].astype(np.float64), part["roots"].astype(np.float64)
    before = single[0].astype(np.float64)
    if camera is None:
        intrinsics = part["intrinsics"].astype(np.float64)
        rays = (points - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
    else:
        visible = np.isfinite(points).all(-1, keepdims=True)
        seen = np.where(visible, part["_points"], np.nan)
        poses, roots = tracks.placed_by_nominal_camera(poses, roots, seen, camera)
        before = tracks.placed_by_nominal_camera(before, single[1].astype(np.float64), points, camera)[0]
        rays = (points - camera[2:]) / camera[:2]
        new["nominal_camera"].write(rows, camera)
    place = _places(part, step)
    expected = expected_error_mm(part["joint_quality"])
    clip = sequences.Clip(
        poses_3d=_spread(poses, place),
        roots=_spread(roots, place),
        rays=_spread(rays, place),
        labelled=_spread(np.isfinite(points).all(-1), place, False),
        expected_mm=_spread(expected, place),
        fps=rate,
    )
    result = sequences.refine(clip, lengths=lengths)
    for sums, one in zip(changes, (_spread(before, place), result.poses_3d)):
        second = np.linalg.norm(np.diff(one, 2, axis=0), axis=-1)
        lengths = np.linalg.norm(one[:, bones.ENDS] - one[:, bones.STARTS], axis=-1)
        mean = np.nanmean(lengths, 0)
        variation = np.nanmean(np.nanstd(lengths, 0) / np.maximum(mean, 1.0))
        weight = int(np.isfinite(second).all(1).sum())
        if weight:
            sums += np.array([np.nanmean(second), variation, 1.0]) * weight
    # Of frames that agree less is to be expected than of single ones.
    new["expected_error_mm"].write(rows, sequences.ERROR_SHARE * part["expected_error_mm"])
    for name in ("quality", "joint_quality"):  # exp(-expected error / 100 mm)
        new[name].write(rows, part[name] ** sequences.ERROR_SHARE)
    new["poses_3d"].write(rows, result.poses_3d[place])
    new["roots"].write(rows, result.roots[place])
    new["interpolated"].write(rows, result.interpolated[place])
    new["track"].write(rows, number)


def _spread(values: np.ndarray, place: np.ndarray, filler: float = np.nan) -> np.ndarray:
    """[T, ...] the rows at their places in a clip of all frames; `filler` in the others."""
    full = np.full((place[-1] + 1, *values.shape[1:]), filler, values.dtype)
    full[place] = values
    return full
