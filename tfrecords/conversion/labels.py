"""What readers of annotation files share: files and numbers that may be anything, splits by name, boxes."""

from __future__ import annotations

import os
import pathlib
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.cli.errors import InputError
from tools.files import inputs

ALL, TRAIN, VAL, TEST = "all", "train", "val", "test"

# A coordinate beyond this is no pixel and no millimetre of a person.
_LARGEST = 1e6
# One in so many names is held out where a data set has no split of its own.
_HELD_OUT = 10
_PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "minival": VAL, "test": TEST}
_PART = re.compile(r"(?<![a-z])(train|validation|valid|minival|val|test)(?![a-z])")
# Heads, hands and feet reach past the joints: the tight box grows by this share of its longer side on each side.
_BOX_MARGIN = 0.1


def read_file(path: str | os.PathLike) -> bytes:
    """The bytes of a file, decompressed when it is gzip; raises `InputError` that names it."""
    return inputs.read_bytes(path)


def check_file(path: pathlib.Path, expected: str) -> None:
    """Raises `InputError` telling what was expected when `path` is not a file, or one that may not be read."""
    if not path.is_file():
        if path.exists() and not path.is_dir():
            inputs.check_regular(path)
        raise InputError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected {expected}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: can't be read: permission denied")


def parse_json(data: bytes, name: str, drop: Sequence[str] = ()) -> Any:
    """The value of a JSON text.

    Args:
      data: UTF-8.
      name: what to call it in messages.
      drop: keys that are thrown away in all objects while parsing; keeps outlines of COCO out of memory.

    Raises:
      InputError: not JSON.
    """

    def without(entry: dict) -> dict:
        for key in drop:
            entry.pop(key, None)
        return entry

    return inputs.parse_json(data, name, object_hook=without if drop else None)


def number_array(value: Any, *shape: int) -> np.ndarray | None:
    """`value` as float32 of that shape (-1: any length), or None when it is not: texts, ragged, not finite, absurd."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if array.dtype.kind not in "iuf" or array.ndim != len(shape):
        return None
    if any(want not in (-1, side) for want, side in zip(shape, array.shape)):
        return None
    # A NaN fails the comparison too.
    return array.astype(np.float32) if np.all(np.abs(array.astype(np.float64)) <= _LARGEST) else None


def number_array_with_gaps(value: Any, *shape: int) -> np.ndarray | None:
    """`number_array` of numbers of which some are not there, NaN or JSON's null: they are NaN in it."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if array.dtype.kind == "O":  # null, or integers beyond 64 bits
        if not all(item is None or type(item) in (int, float) for item in array.flat):
            return None
        try:
            array = array.astype(np.float64)
        except OverflowError:
            return None
    if array.dtype.kind not in "iuf":
        return None
    gaps = np.isnan(array)
    filled = number_array(np.where(gaps, 0.0, array), *shape)
    return None if filled is None else np.where(gaps, np.float32(np.nan), filled)


def declared_part(name: str) -> str:
    """The split that a file name tells: 'train' of ``person_keypoints_train2017.json``; '' when it tells none."""
    found = _PART.findall(pathlib.PurePath(name).name.lower())
    return _PARTS[found[-1]] if found else ""


def hashed_part(name: str) -> str:
    """'train', or for one in ten names 'val'. It depends on the name alone, so all people of one picture, and the same
    picture in another file, fall into one split."""
    return VAL if zlib.crc32(name.encode("utf-8", "surrogatepass")) % _HELD_OUT == 0 else TRAIN


def box_around(poses: np.ndarray) -> np.ndarray:
    """The tight box of the joints with a margin of a tenth of its longer side.

    Args:
      poses: [..., J, 2] px with NaN at missing joints.

    Returns:
      [..., 4] float32 px: x, y of the upper left corner, width, height; NaN where fewer than two joints are known.
    """
    known = np.isfinite(poses).all(-1)
    low = np.where(known[..., None], poses, np.inf).min(-2)
    high = np.where(known[..., None], poses, -np.inf).max(-2)
    enough = known.sum(-1) >= 2
    side = np.where(enough[..., None], high - low, 0.0)
    margin = _BOX_MARGIN * side.max(-1, keepdims=True)
    box = np.concatenate([np.where(enough[..., None], low, 0.0) - margin, side + 2 * margin], -1)
    return np.where(enough[..., None], box, np.nan).astype(np.float32)
