"""One picture of many labels: people with their 2D joints, and the 3D label from the camera's side and from beside."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from label_generator.labelling import array_rows, people_file
from label_generator.labelling.people_file import PeopleFile
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.drawing import drawing, figures, sheets
from tools.pose import metrics
from tools.pose.joints import POSE17

_CELL = (300, 300)
_MARGIN = 0.35


class Shown(NamedTuple):
    """One label: picture [H, W, 3] BGR, pose_2d [17, 2] px, provenance [17], pose_3d and truth [17, 3] mm (or None).

    Of a picture without a label pose_2d and pose_3d are NaN.
    """

    picture: np.ndarray
    pose_2d: np.ndarray
    provenance: np.ndarray
    pose_3d: np.ndarray
    caption: str
    truth: np.ndarray | None = None


def rendered(count: int, seed: int) -> Iterator[Shown]:
    """Labels of rendered people, whose truth is known, from their exact 2D joints and cameras."""
    import cv2

    from label_generator.lifting import api

    source = open_source("rendered", "", Options(count=4 * count, seed=seed))
    records = [record for record in source.records(np.arange(4 * count)) if not isinstance(record, Skip)][:count]
    labels = api.lift(
        np.stack([record.pose_2d for record in records]), camera=np.stack([record.intrinsics for record in records])
    )
    for i, record in enumerate(records):
        if labels.reasons[i]:
            continue
        error = float(metrics.mpjpe(labels.poses_3d[i][None], record.pose_3d[None]))
        picture = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
        caption = f"error {error:.0f} mm, expected {labels.expected_error_mm[i]:.0f} mm"
        yield Shown(picture, record.pose_2d, record.provenance_2d, labels.poses_3d[i], caption, record.pose_3d)


def labelled(folder: pathlib.Path, count: int) -> Iterator[Shown]:
    """Labels that `generate.py` made of photographs or a video, spread evenly over its pictures.

    Up to a quarter of the cells show pictures without any label, spread likewise, and the reason.

    Raises:
      InputError: `folder` holds no such labels, or their pictures are gone.
    """
    people = folder / "people.npz"
    if not people.is_file() or not (folder / "labels.npz").is_file():
        raise InputError(f"{folder}: no labels.npz with people.npz; expected an --output of generate.py on photographs")
    content, labels = PeopleFile(people), array_rows.open_npz(folder / "labels.npz")
    good = np.flatnonzero(labels["reason"].read(0, len(content)) == 0)
    if not len(good):
        raise InputError(f"{folder}: no label in it")
    without = _without_label(content.read("picture", 0, len(content)), labels["reason"].read(0, len(content)))
    others = _spread(without, count // 4)
    wanted = set(_spread(good, count - len(others))) | set(others)
    reasons = labels["reasons"].read(0, len(labels["reasons"])).tolist()
    for picture, (_, rows) in zip(content.pictures(), people_file.by_picture(content)):
        for row in sorted(wanted & set(rows.tolist())):
            if isinstance(picture.photo, Skip):
                continue
            names = ("poses_2d", "provenance", "poses_3d", "quality", "reason")
            values = {name: labels[name].read(row, row + 1)[0] for name in names}
            caption = f"{picture.name}: quality {values['quality']:.2f}"
            if values["reason"]:
                caption = f"{picture.name}: no label: {reasons[values['reason']]}"
                values |= {name: np.full_like(values[name], np.nan) for name in ("poses_2d", "poses_3d")}
            yield Shown(picture.photo.pixels, values["poses_2d"], values["provenance"], values["poses_3d"], caption)


def _without_label(picture: np.ndarray, reason: np.ndarray) -> np.ndarray:
    """The first row of each picture without any label; of rows, the picture's number and the reason, 0 of a label."""
    numbers, first = np.unique(picture, return_index=True)
    return first[~np.isin(numbers, picture[reason == 0])]


def _spread(rows: np.ndarray, count: int) -> list[int]:
    """So many of the rows, evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)].tolist()


def sheet(labels: Iterator[Shown], columns: int = 2) -> np.ndarray:
    """BGR: for each label its picture, the 3D as the camera saw it, and the 3D from the side; the truth in grey."""
    cells, captions = [], []
    for label in labels:
        picture, points = drawing.crop_to_person(label.picture, label.pose_2d, margin=_MARGIN)
        cells.append(drawing.draw_skeleton_2d(_enlarged(picture), points * _zoom(picture), POSE17,
                                              provenance=label.provenance))  # fmt: skip
        if not np.isfinite(label.pose_3d).all():
            cells += [np.full((*_CELL, 3), 255, np.uint8)] * 2
            name, _, reason = label.caption.partition(": ")
            captions += [name, reason, ""]
            continue
        for azimuth in (figures.AZIMUTH, 90.0):
            cells.append(figures.figure_3d(label.pose_3d, ghost=label.truth, size=_CELL, axes=False, azimuth=azimuth))
        captions += [label.caption, "3D" + (" (truth in grey)" if label.truth is not None else ""), "from the side"]
    if not cells:
        raise InputError("gallery: no label to show")
    return sheets.contact_sheet(cells, 3 * columns, captions, _CELL)


def _zoom(picture: np.ndarray) -> float:
    return max(1.0, max(_CELL) / max(picture.shape[:2]))


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """Small pictures as large as their cell, so that thin lines stay thin."""
    import cv2

    zoom = _zoom(picture)
    size = round(picture.shape[1] * zoom), round(picture.shape[0] * zoom)
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) if zoom > 1 else picture
