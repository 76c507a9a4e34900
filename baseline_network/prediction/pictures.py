"""Drawn predictions: skeletons on photographs, and 3D figures before them. All uint8 BGR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from baseline_network.prediction.people_in_pictures import PredictedPerson
from tools.drawing import animation, drawing, figures, sheets
from tools.pose import joints

JOINT_SET = "mpii16"
# Joints that the network is less sure of than this are drawn hollow.
SURE = 0.2
# Overlays are at most so large.
SIDE = 1600
_BOX_COLOUR = (60, 190, 250)


def overlay(
    pixels: np.ndarray,
    people: Sequence[PredictedPerson],
    min_side: int = 1,
    max_side: int = SIDE,
    labelled: bool = True,
) -> np.ndarray:
    """A photograph with its people's skeletons and boxes.

    Args:
      pixels: [H, W, 3].
      min_side, max_side: the picture is enlarged or shrunk so that its longer side is not less and not more, px.
      labelled: write where each box is from.
    """
    import cv2

    height, width = pixels.shape[:2]
    zoom = float(np.clip(1.0, min_side / max(height, width), max_side / max(height, width)))
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    picture = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    if not people:
        return picture
    thickness = max(1, round(max(picture.shape) / 500))
    for person in people:
        x, y, wide, high = (float(np.clip(number * zoom, -1e4, 1e4)) for number in person.box[:4])
        cv2.rectangle(picture, (round(x), round(y)), (round(x + wide), round(y + high)), _BOX_COLOUR, thickness)
    # Pixel centres are whole numbers to the drawing, and halves to the network.
    points = np.stack([person.points for person in people]) * zoom - 0.5
    sure = np.stack([person.confidence for person in people]) >= SURE
    return drawing.draw_skeleton_2d(
        picture,
        points,
        JOINT_SET,
        provenance=np.where(sure, joints.LABELLED, joints.MADE),
        labels=[_origin(person) for person in people] if labelled else None,
    )


def _origin(person: PredictedPerson) -> str:
    return person.box.source + ("" if person.box.score is None else f" {person.box.score:.1f}")


def around(pixels: np.ndarray, person: PredictedPerson) -> tuple[np.ndarray, PredictedPerson]:
    """The part of a photograph around one person, and the person in its pixels; the whole when no joint lies in it."""
    part, points = drawing.crop_to_person(pixels, person.points, margin=0.3)
    shift = person.points[0] - points[0]
    box = person.box._replace(x=person.box.x - shift[0], y=person.box.y - shift[1])
    return part, person._replace(points=points, box=box)


def row(
    pixels: np.ndarray,
    person: PredictedPerson,
    caption: str,
    truth_3d: np.ndarray | None = None,
    panel: tuple[int, int] = (420, 420),
) -> np.ndarray:
    """One person: the photograph with the skeleton, and the 3D pose as the camera saw it and from the side.

    Args:
      truth_3d: [16, 3] mm, drawn in grey, or None.
    """
    wall, moved = around(pixels, person)
    options: dict[str, Any] = {"joint_set": JOINT_SET, "ghost": truth_3d, "size": panel}
    front = figures.figure_3d(person.pose_3d, wall, **options)
    side = figures.figure_3d(person.pose_3d, None, azimuth=90.0, **options)
    titles = [caption, "3D" + ("" if truth_3d is None else " (truth in grey)"), "3D from the side"]
    drawn = overlay(wall, [moved], min_side=max(panel), labelled=False)
    return sheets.contact_sheet([drawn, front, side], 3, titles, panel, text=14)


def turning(pixels: np.ndarray, person: PredictedPerson, frames: int = 48) -> Iterator[np.ndarray]:
    """Frames of one person's 3D pose seen from both sides, before the photograph."""
    return animation.rotation_frames(
        person.pose_3d, around(pixels, person)[0], frames, joint_set=JOINT_SET, size=(420, 420), axes=True
    )
