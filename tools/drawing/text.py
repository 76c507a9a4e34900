"""Text in pictures, in DejaVu Sans: OpenCV's own letters are stick figures and ASCII only."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

Colour = tuple[int, int, int]  # BGR
INK: Colour = (40, 40, 40)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> Any:
    """The font file that matplotlib brings."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


@functools.lru_cache(maxsize=1024)
def _text_mask(text: str, size: int) -> np.ndarray:
    """Coverage of `text` in 0 to 1, `[h, w]`; as tall for every text of that size and number of lines."""
    from PIL import Image, ImageDraw

    font = _font(size)
    lines = text.split("\n")
    ascent, descent = font.getmetrics()
    width = max(1, *(int(np.ceil(font.getlength(line))) for line in lines))
    mask = Image.new("L", (width, (ascent + descent) * len(lines)))
    draw = ImageDraw.Draw(mask)
    for row, line in enumerate(lines):
        draw.text((0, row * (ascent + descent)), line, fill=255, font=font)
    return np.asarray(mask, np.float32) / 255


def text_size(text: str, size: int) -> tuple[int, int]:
    """(width, height) in pixels of `text`, lines separated by newlines, in letters of `size` pixels."""
    height, width = _text_mask(text, size).shape
    return width, height


def put_text(
    image: np.ndarray,
    text: str,
    position: tuple[float, float],
    size: int = 16,
    colour: Colour = INK,
    anchor: str = "la",
    background: Colour | None = None,
) -> None:
    """Writes `text` into `image`, in place.

    Args:
        image: uint8 `[H, W, 3]`, changed.
        position: (x, y) pixels of the anchor.
        size: letter size in pixels.
        anchor: where in the text the position is: l m r (left, middle, right), then a m b (above, middle, below).
        background: BGR of a box behind the text, or None.
    """
    mask = _text_mask(text, size)
    height, width = mask.shape
    x = round(position[0] - width * "lmr".index(anchor[0]) / 2)
    y = round(position[1] - height * "amb".index(anchor[1]) / 2)
    if background is not None:
        pad = size // 3
        image[max(y - pad, 0) : max(y + height + pad, 0), max(x - pad, 0) : max(x + width + pad, 0)] = background
    top, left = max(y, 0), max(x, 0)
    region = image[top : max(y + height, 0), left : max(x + width, 0)]
    cover = mask[top - y : top - y + region.shape[0], left - x : left - x + region.shape[1], None]
    region[:] = np.rint(region * (1 - cover) + np.array(colour, np.float32) * cover)
