"""A film of each sequence: the picture with its 2D poses on the left, the 3D poses on the right."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from tfrecords.exports.motions import ClipMotion
from tfrecords.formats.upright import UprightPictures
from tfrecords.source import Skip
from tools.drawing import animation, drawing, figures
from tools.files.columns import LabelFiles
from tools.pose.joints import POSE17

_SIDE = 480
# How wide the picture's part may be for its height.
_NARROWEST, _WIDEST = 0.5, 2.0
_PAPER = (255, 255, 255)


def write_film(
    path: str | os.PathLike, motions: list[ClipMotion], files: LabelFiles, pictures: UprightPictures | None
) -> int:
    """Writes the film of the clips of one sequence; returns how many of its frames show a picture.

    Args:
      pictures: those that the labels' `file` and `frame` name; None, or where it has none: on white.

    Raises:
      InputError: a file that can't be written.
    """
    shown: list[int] = []
    animation.write_animation(path, _frames(motions, files, pictures, shown), motions[0].fps, overwrite=True)
    return len(shown)


def _frames(
    motions: list[ClipMotion], files: LabelFiles, pictures: UprightPictures | None, shown: list[int]
) -> Iterator[np.ndarray]:
    pixels, provenance, file_of, sizes = (
        files.mapped(name) for name in ("poses_2d", "provenance", "file", "image_size")
    )
    names = list(files.texts("file"))
    # One person is shown where they stand, so that they are not small in a room as large as their path.
    alone = len(motions) == 1
    bodies = [motion.poses_3d if alone else motion.poses_3d + motion.roots[:, None] for motion in motions]
    room = figures.room_around(np.concatenate(bodies))
    labelled_px = np.concatenate([pixels[motion.rows[motion.rows >= 0]].reshape(-1, 2) for motion in motions])
    labelled_px = labelled_px[np.isfinite(labelled_px).all(-1)]
    low, high = labelled_px.min(0), labelled_px.max(0)
    width, height = np.max([sizes[motion.rows[motion.rows >= 0]].max(0) for motion in motions], 0)
    shape = float(np.clip(width / height, _NARROWEST, _WIDEST)) if pictures and min(width, height) > 0 else 1.0
    canvas_size = (_SIDE, round(_SIDE * shape))
    last = ""
    for frame in np.unique(np.concatenate([motion.frames for motion in motions])):
        at = [(i, np.flatnonzero(motion.frames == frame)) for i, motion in enumerate(motions)]
        now = [(i, int(k[0])) for i, k in at if len(k)]
        rows = [int(motions[i].rows[k]) for i, k in now if motions[i].rows[k] >= 0]
        last = names[file_of[rows[0]]] if rows else last
        photo = pictures.read(last, int(frame)) if pictures and last else None
        picture = None if photo is None or isinstance(photo, Skip) else photo.pixels
        if picture is not None:
            shown.append(int(frame))
        points = np.asarray(pixels[rows], np.float64)
        if picture is not None and rows and (sizes[rows] > 0).all():  # it may be a smaller copy of the labelled one
            points = points * (np.array(picture.shape[1::-1]) / sizes[rows])[:, None]
        left = _left(picture, points, provenance[rows], low, high, canvas_size)
        now_3d = np.array([bodies[i][k] for i, k in now])
        yield np.concatenate([left, figures.figure_3d(now_3d, size=(_SIDE, _SIDE), axes=False, room=room)], 1)


def _left(
    picture: np.ndarray | None,
    points: np.ndarray,
    codes: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    canvas_size: tuple[int, int],
) -> np.ndarray:
    """The picture, or white where there is none, with the 2D poses; canvas_size: height and width, px."""
    canvas = np.full((*canvas_size, 3), _PAPER, np.uint8)
    room = np.array(canvas_size[::-1])
    if picture is None:
        extent = np.maximum(high - low, 1e-3)
        scale = float((room / (1.2 * float(extent.max()) + 2.0)).min())
        shift = (room - scale * (high + low)) / 2
    else:
        import cv2

        height, width = picture.shape[:2]
        scale = float((room / (width, height)).min())
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        x, y = (canvas_size[1] - small.shape[1]) // 2, (canvas_size[0] - small.shape[0]) // 2
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        shift = np.array([x, y])
    if not len(points):
        return canvas
    return drawing.draw_skeleton_2d(canvas, np.asarray(points) * scale + shift, POSE17, provenance=np.asarray(codes))
