"""Pictures made of pictures: contact sheets, and one pose through all stages, side by side. All uint8 `[H, W, 3]`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.cli.errors import InputError
from tools.drawing import drawing, figures
from tools.drawing import text as letters
from tools.drawing.drawing import WHITE
from tools.drawing.text import INK, Colour


def _shortened(text: str, size: int, width: float) -> str:
    """`text` cut with an ellipsis so that it is at most `width` pixels wide."""
    if letters.text_size(text, size)[0] <= width:
        return text
    while text and letters.text_size(text + "…", size)[0] > width:
        text = text[:-1]
    return text + "…"


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    cell: tuple[int, int] | None = None,
    gap: int = 8,
    text: int = 14,
    background: Colour = WHITE,
) -> np.ndarray:
    """Pictures in a grid of equal cells, each scaled to fit its cell without distortion, captions beneath.

    Args:
        images: list of uint8 `[h, w, 3]`, of any sizes.
        columns: cells in a row; by default as many as make the sheet about square.
        captions: list of one text per picture; lines, separated by newlines, are cut with an ellipsis where too wide.
        cell: (width, height) of the picture part of a cell; by default the largest width and height of all pictures.
        gap: pixels between cells and around the sheet.
        text: letter size of captions in pixels.

    Returns:
        uint8 `[rows * (cell height + caption height + gap) + gap, columns * (cell width + gap) + gap, 3]`.

    Raises:
        InputError: without pictures, for a picture of a wrong type, or when captions and pictures differ in number.
    """
    import cv2

    images = [drawing.checked_image(image) for image in images]
    captions = None if captions is None else [str(caption) for caption in captions]
    if not images or (captions is not None and len(captions) != len(images)):
        raise InputError(
            f"contact sheet: {len(images)} pictures, {len(captions or ())} captions; expected one for each"
        )
    columns = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    if columns < 1:
        raise InputError(f"contact sheet: columns must be at least 1, got {columns}")
    width, height = cell or (max(i.shape[1] for i in images), max(i.shape[0] for i in images))
    strip = max(letters.text_size(c, text)[1] for c in captions) + text // 2 if captions else 0
    rows = -(-len(images) // columns)
    sheet = np.full(
        (rows * (height + strip) + (rows + 1) * gap, columns * width + (columns + 1) * gap, 3), background, np.uint8
    )
    for n, image in enumerate(images):
        x, y = gap + n % columns * (width + gap), gap + n // columns * (height + strip + gap)
        scale = min(width / image.shape[1], height / image.shape[0])
        fitted = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        if fitted != (image.shape[1], image.shape[0]):
            image = cv2.resize(image, fitted, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        left, top = x + (width - fitted[0]) // 2, y + (height - fitted[1]) // 2
        sheet[top : top + fitted[1], left : left + fitted[0]] = image
        if captions:
            for row, line in enumerate(captions[n].split("\n")):
                position = (x + width / 2, y + height + text // 4 + row * letters.text_size("", text)[1])
                letters.put_text(sheet, _shortened(line, text, width), position, text, INK, "ma")
    return sheet


def side_by_side(
    pose_2d: np.ndarray,
    right_2d: np.ndarray | None = None,
    coarse_3d: np.ndarray | None = None,
    refined_3d: np.ndarray | None = None,
    image: np.ndarray | None = None,
    left_2d: np.ndarray | None = None,
    truth_3d: np.ndarray | None = None,
    joint_set: drawing.JointSetLike = None,
    joint_mask: np.ndarray | None = None,
    provenance: np.ndarray | None = None,
    caption: str = "",
    panel: tuple[int, int] = (400, 400),
) -> np.ndarray:
    """One row of pictures for one pose: 2D, right view, 3D before and after the search, and a caption beneath.

    The panels of what is not given are left out; both 3D panels share one room and scale.

    Args:
        pose_2d: `[J, 2]` px, drawn on `image` (cut to the person) or on a blank canvas.
        right_2d: `[J, 2]` px, the right view.
        coarse_3d, refined_3d: `[J, 3]` mm before and after the geometric search.
        image: uint8 `[H, W, 3]`, also the back wall of the 3D panels.
        left_2d: `[J, 2]`, the left view in the pixels of `right_2d`, drawn in grey beneath it to show the disparity.
        truth_3d: `[J, 3]` mm, drawn in grey in the 3D panels.
        joint_set, joint_mask, provenance: see `drawing.draw_skeleton_2d`; the latter two are of the 2D. 3D panels show
            every joint of the 3D, also of those that the 2D lacks.
        caption: text with error or quality.
        panel: (width, height) px of each picture.

    Returns:
        uint8 `[height, width, 3]`.
    """
    if image is None:
        panels, wall = [drawing.pose_canvas(pose_2d, joint_set, joint_mask, provenance, panel)], None
    else:
        wall, moved = drawing.crop_to_person(image, pose_2d, joint_mask)
        panels = [
            drawing.draw_skeleton_2d(
                _enlarged(wall, panel), moved * _fit(wall, panel), joint_set, joint_mask, provenance
            )
        ]
    titles = ["2D pose"]
    if right_2d is not None:
        panels.append(drawing.pose_canvas(right_2d, joint_set, joint_mask, provenance, panel, ghost=left_2d))
        titles.append("Right view" + (" (left view in grey)" if left_2d is not None else ""))
    given = [(coarse_3d, "3D before the search"), (refined_3d, "3D after the search")]
    solids = [(pose, title) for pose, title in given if pose is not None]
    if solids:
        together = [np.asarray(p, np.float64) for p in [s[0] for s in solids] + [truth_3d] if p is not None]
        aspect = 1.0 if wall is None else wall.shape[1] / wall.shape[0]
        room = figures.room_around(np.array(together), None, aspect, wall is not None)
    for pose, title in solids:
        panels.append(figures.figure_3d(pose, wall, joint_set, None, truth_3d, panel, room=room))
        titles.append(title + (" (truth in grey)" if truth_3d is not None else ""))
    text = max(11, panel[1] // 27)
    sheet = contact_sheet(panels, len(panels), titles, panel, text=text)
    if not caption:
        return sheet
    lines, height = caption.split("\n"), letters.text_size("", text)[1]
    strip = np.full((len(lines) * height + text, sheet.shape[1], 3), WHITE, np.uint8)
    for row, line in enumerate(lines):
        letters.put_text(strip, line, (sheet.shape[1] / 2, row * height), text, INK, "ma")
    return np.concatenate([sheet, strip])


def _fit(image: np.ndarray, panel: tuple[int, int]) -> float:
    return min(panel[0] / image.shape[1], panel[1] / image.shape[0])


def _enlarged(image: np.ndarray, panel: tuple[int, int]) -> np.ndarray:
    """The picture as large as it fits a panel, before limbs are drawn on it, so that they stay sharp."""
    import cv2

    scale = _fit(image, panel)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
