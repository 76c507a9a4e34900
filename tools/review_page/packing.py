"""Numbers and texts inside an HTML page: typed arrays in base64, tables in JSON that nothing can break out of.

Everything is written piece by piece, so that memory does not depend on the number of labels.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import numpy as np

# Code of a coordinate that is missing; the largest magnitude that a coordinate has.
MISSING, LARGEST = -32768, 32767
NO_QUALITY, QUALITY_STEPS = 255, 254
_TYPES = {"i2": "<i2", "u2": "<u2", "u1": "|u1", "i4": "<i4", "f4": "<f4", "f8": "<f8"}


def quantised(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates as whole numbers of a step of their own row.

    Args:
      poses: [N, J, D] float; joints that are not finite are missing.

    Returns:
      [N, J, D] int16, `MISSING` for missing joints, and [N] float32, the step of each row: a 32767th of its largest
      coordinate, so that one absurd label does not coarsen the others.
    """
    known = np.isfinite(poses).all(-1, keepdims=True)
    values = np.where(known, poses, 0).astype(np.float64)
    largest = np.abs(values).max((1, 2), initial=0)
    step = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    # The float32 step may be a hair smaller than the quotient, or 0 for the least of all floats.
    step = np.maximum(step, np.finfo(np.float32).tiny)
    numbers = np.clip(np.rint(values / step[:, None, None].astype(np.float64)), -LARGEST, LARGEST)
    return np.where(known, numbers, MISSING).astype(np.int16), step


def quality_codes(quality: np.ndarray) -> np.ndarray:
    """Qualities 0 to 1 as uint8 in steps of a 254th; 255 for what is not finite."""
    finite = np.isfinite(quality)
    codes = np.rint(np.clip(np.where(finite, quality, 0), 0, 1) * QUALITY_STEPS)
    return np.where(finite, codes, NO_QUALITY).astype(np.uint8)


def write_column(page: TextIO, name: str, kind: str, pieces: Iterable[np.ndarray]) -> None:
    """Writes an array that comes in pieces as one element `column-NAME`; kind: a key of the page's typed arrays."""
    page.write(f'<script type="application/octet-stream" id="column-{name}" data-type="{kind}">')
    rest = b""
    for piece in pieces:
        data = rest + np.ascontiguousarray(piece, _TYPES[kind]).tobytes()
        whole = len(data) - len(data) % 3  # base64 of pieces of 3 bytes is the base64 of the whole
        page.write(binascii.b2a_base64(data[:whole], newline=False).decode("ascii"))
        rest = data[whole:]
    page.write(binascii.b2a_base64(rest, newline=False).decode("ascii") + "</script>\n")


def script_json(value: Any) -> str:
    """JSON that may stand inside a <script> element: ASCII, without <, > and &, so no text of it ends the element."""
    text = json.dumps(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_table(page: TextIO, name: str, value: Any) -> None:
    """Writes a value as one element `table-NAME` of JSON; a list or iterator entry by entry."""
    page.write(f'<script type="application/json" id="table-{name}">')
    if isinstance(value, Iterator):
        page.write("[")
        for number, entry in enumerate(value):
            page.write((",\n" if number else "") + script_json(entry))
        page.write("]")
    else:
        page.write(script_json(value))
    page.write("</script>\n")
