"""A film of each sequence: the picture with its 2D poses on the left, the 3D poses on the right."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import numpy as np

from tfrecords.exports.motions import Motion
from tools.drawing import animation, drawing, figures
from tools.files.columns import LabelFiles
from tools.pose.joints import POSE17

_SIDE = 480
_PAPER = (255, 255, 255)


def write_film(path: str | os.PathLike, motions: list[Motion], files: LabelFiles, images: pathlib.Path | None) -> None:
    """Writes the film of the clips of one sequence.

    Args:
      images: folder of the pictures that the labels' `file` names; None, or where it has none: on white.

    Raises:
      InputError: a file that can't be written.
    """
    animation.write_animation(path, _frames(motions, files, images), motions[0].fps, overwrite=True)


def _frames(motions: list[Motion], files: LabelFiles, images: pathlib.Path | None) -> Iterator[np.ndarray]:
    pixels, provenance, file_of = (files.mapped(name) for name in ("poses_2d", "provenance", "file"))
    names = list(files.texts("file"))
    # One person is shown where they stand, so that they are not small in a room as large as their path.
    alone = len(motions) == 1
    shown = [motion.poses_3d if alone else motion.poses_3d + motion.roots[:, None] for motion in motions]
    room = figures.room_around(np.concatenate(shown))
    labelled_px = np.concatenate([pixels[motion.rows[motion.rows >= 0]].reshape(-1, 2) for motion in motions])
    labelled_px = labelled_px[np.isfinite(labelled_px).all(-1)]
    low, high = labelled_px.min(0), labelled_px.max(0)
    for frame in np.unique(np.concatenate([motion.frames for motion in motions])):
        at = [(i, np.flatnonzero(motion.frames == frame)) for i, motion in enumerate(motions)]
        now = [(i, int(k[0])) for i, k in at if len(k)]
        rows = [int(motions[i].rows[k]) for i, k in now if motions[i].rows[k] >= 0]
        file = names[file_of[rows[0]]] if rows else ""
        left = _left(images / file if images and file else None, pixels[rows], provenance[rows], low, high)
        bodies = np.array([shown[i][k] for i, k in now])
        yield np.concatenate([left, figures.figure_3d(bodies, size=(_SIDE, _SIDE), axes=False, room=room)], 1)


def _left(
    path: pathlib.Path | None, points: np.ndarray, codes: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """The picture, or white where there is none, with the 2D poses, in a square."""
    picture = None
    if path is not None and path.is_file():
        import cv2

        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        margin = 0.1 * float((high - low).max()) + 1.0
        scale = _SIDE / (float((high - low).max()) + 2 * margin)
        canvas = np.full((_SIDE, _SIDE, 3), _PAPER, np.uint8)
        shift = (_SIDE - scale * (high + low)) / 2
    else:
        import cv2

        height, width = picture.shape[:2]
        scale = _SIDE / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        canvas = np.full((_SIDE, _SIDE, 3), _PAPER, np.uint8)
        x, y = (_SIDE - small.shape[1]) // 2, (_SIDE - small.shape[0]) // 2
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        shift = np.array([x, y])
    if not len(points):
        return canvas
    return drawing.draw_skeleton_2d(canvas, np.asarray(points) * scale + shift, POSE17, provenance=np.asarray(codes))
