"""Pictures of a review: the part of each photograph around its person, small, in a folder beside the page."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.formats import images
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.review_page.label_columns import LabelColumns

NONE = "none"
_MARGIN = 0.25  # free space around the person, as a share of its larger side
_LEAST_SIDE = 32.0  # px, of a crop
_JPEG_QUALITY = 82
_IN_A_FOLDER = 1000
_KEYPOINTS = "_keypoints.json"


class Photographs:
    """Yields the bytes of each row's photograph, None where there is none.

    Attributes:
      message: one line for the user: where pictures are taken from, or why there are none.
    """

    def __init__(self, columns: LabelColumns, place: str):
        """place: folder or tar of the pictures, 'none', or '' for those that the labels were made with: by --images of
        generate.py, or those that the labelled input has.

        Raises `InputError` when `place` is named and holds no pictures.
        """
        self._columns = columns
        self._pictures, self._input = None, None
        if place == NONE:
            self.message = "without pictures"
        elif place:
            self._pictures = images.Pictures(place)
            self.message = f"pictures: {place}"
        else:
            recorded = columns.summary.get("images")
            named = recorded if isinstance(recorded, str) and recorded != NONE else ""
            self._input, self.message = _open_input(columns, named)
            if named and self._input is None:
                # Plain arrays hold no pictures: their files are looked up by name.
                with contextlib.suppress(InputError):
                    self._pictures = images.Pictures(named)
                    self.message = f"pictures: {named}"

    def __bool__(self) -> bool:
        return self._pictures is not None or self._input is not None

    def __iter__(self) -> Iterator[bytes | None]:
        first, count = self._columns.first, self._columns.count
        if self._pictures is not None:
            names = list(self._columns.texts("files")) if count else []
            for numbers in self._columns.pieces("file"):
                for number in numbers.tolist():
                    yield self._read(names[number])
        elif self._input is not None:
            yield from self._input.photographs(np.arange(first, first + count))

    def _read(self, name: str) -> bytes | None:
        """The picture of that name, or of that name with a picture's ending (frames of OpenPose)."""
        stem = name[: -len(_KEYPOINTS)] if name.endswith(_KEYPOINTS) else name
        for candidate in dict.fromkeys((name, *(stem + suffix for suffix in images.SUFFIXES))):
            if self._pictures is not None and candidate and images.is_image_name(candidate):
                found = self._pictures.read(candidate)
                if not isinstance(found, Skip):
                    return found.data
        return None


def _open_input(columns: LabelColumns, named: str) -> tuple[Any, str]:
    """(the labelled input with its pictures or None, the message for the user). named: where they are, '' beside it."""
    from label_generator.labelling import formats, inputs

    where = columns.summary.get("input_spec") or {
        "path": columns.summary.get("input"),
        "format": columns.summary.get("format"),
    }
    hint = "--images=FOLDER names them"
    if (
        not isinstance(where, dict)
        or not isinstance(where.get("path"), str)
        or where.get("format") not in formats.FORMATS
    ):
        return None, f"without pictures: the labels don't say what was labelled; {hint}"
    try:
        permutation = where.get("permutation")
        where = {**where, "images": named, "permutation": tuple(permutation) if permutation else None}
        opened = inputs.open_input(inputs.Spec(**where))
        if not opened.source_info.images:
            return None, f"without pictures: {where['path']} has none; {hint}"
        if len(opened) != columns.total:
            raise InputError(f"{where['path']} has {len(opened):,} poses now, {columns.total:,} were labelled")
    except (InputError, TypeError) as error:
        return None, f"without pictures: {str(error).partition(';')[0]}; {hint}"
    # Of photographs the labels name the file of their people; users know the photographs.
    source = opened.photographed if isinstance(opened, inputs.PeopleInput) else where["path"]
    return opened, f"pictures: {named or f'those of {source}'}"


def write_crops(photographs: Photographs, columns: LabelColumns, folder: pathlib.Path, side: int) -> np.ndarray:
    """Writes the crop of every row that has a photograph as FOLDER/0000/ROW.jpg.

    Args:
      side: longest side of a crop in px; smaller ones stay as they are.

    Returns:
      [count, 3] float32: left and top of the crop in px of the photograph, and px of the crop per px of the photograph;
      all 0 where there is no picture. Place p of the photograph is (p + 0.5 - left) * scale in the crop, from its edge.
    """
    import cv2

    crops = np.zeros((columns.count, 3), np.float32)
    poses = (pose for piece in columns.pieces("poses_2d") for pose in piece)
    last, image = None, None
    with Progress(columns.count, "pictures") as progress:
        for i, (data, pose) in enumerate(zip(photographs, poses)):
            # People of one picture follow each other.
            if data is not last:
                last, image = data, _decoded(data)
            if image is not None:
                left, top, right, bottom = crop_box(pose, image.shape[1], image.shape[0])
                scale = min(1.0, side / max(right - left, bottom - top))
                size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
                small = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
                row = columns.first + i
                place = folder / f"{row // _IN_A_FOLDER:04d}" / f"{row}.jpg"
                if row % _IN_A_FOLDER == 0 or not place.parent.is_dir():
                    place.parent.mkdir(exist_ok=True)
                place.write_bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())
                crops[i] = left, top, scale
            progress.update(i + 1)
    return crops


def _decoded(data: bytes | None) -> np.ndarray | None:
    """[H, W, 3] BGR as stored, since that is what labels refer to; None when it can't be decoded."""
    return images.pixels(data) if data else None


def crop_box(pose: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom px of the part of a picture around a person; all of it when no joint lies in it.

    Args:
      pose: [J, 2] px with NaN at missing joints; joints outside the picture do not widen it.
    """
    with np.errstate(invalid="ignore"):
        inside = ((pose >= 0) & (pose < [width, height])).all(-1)
    if not inside.any():
        return 0, 0, width, height
    low, high = pose[inside].min(0), pose[inside].max(0)
    middle = (low + high) / 2
    half = max(float((high - low).max()), _LEAST_SIDE) * (0.5 + _MARGIN)
    left, top = np.floor(np.clip(middle - half, 0, None)).astype(int)
    right, bottom = np.ceil(np.clip(middle + half, None, [width, height])).astype(int)
    return int(left), int(top), int(right), int(bottom)
