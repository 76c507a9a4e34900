"""Makes a review page of a folder of labels."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from tfrecords.storage import manifest
from tools.cli import outputs
from tools.cli.errors import InputError
from tools.files import atomic
from tools.pose.joints import POSE17
from tools.review_page import bundle, label_columns, packing
from tools.review_page.label_columns import LabelColumns
from tools.review_page.pictures import Photographs, write_crops

_AT_RANGE_END, _DEPTH_NOMINAL = 1, 2
_HEAD_BYTES = 1000
_SIDES = {"L": "left ", "R": "right "}


def make_page(
    labels: str,
    output: str,
    images: str = "",
    picture_size: int = 320,
    first: int = 0,
    limit: int = 0,
    overwrite: bool = False,
) -> LabelColumns:
    """Writes the page, and its pictures into a folder beside it; prints where pictures come from.

    Args:
      labels: output folder of generate.py, or its labels.npz. output: the .html file.
      images: see `Photographs`. picture_size: longest side of a picture in px.
      first, limit: the rows that are shown; limit 0: all.

    Raises:
      InputError: no labels or damaged ones, no pictures where they were named, or a page that may not be replaced.
    """
    page, folder, columns, photographs = prepare(labels, output, images, first, limit, overwrite)
    print(photographs.message, flush=True)
    with contextlib.ExitStack() as stack:
        crops = np.zeros((columns.count, 3), np.float32)
        if photographs:
            part = stack.enter_context(atomic.write_folder(folder))
            crops = write_crops(photographs, columns, part, picture_size)
            print(f"{np.count_nonzero(crops[:, 2]):,} of {columns.count:,} poses have a picture", flush=True)
        temporary = stack.enter_context(atomic.write_file(page))
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(bundle.head(bundle.TITLE))
            _write_data(file, columns, crops, folder.name if photographs else "")
            file.write(bundle.tail())
    return columns


def prepare(
    labels: str, output: str, images: str = "", first: int = 0, limit: int = 0, overwrite: bool = False
) -> tuple[pathlib.Path, pathlib.Path, LabelColumns, Photographs]:
    """The page, the folder of its pictures, the rows and their photographs; writes nothing.

    Args and errors: as `make_page`.
    """
    page = pathlib.Path(output)
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output={output}: expected the name of a page, ending in .html")
    folder = page.with_name(f"{page.stem}_pictures")
    if not page.parent.is_dir():
        raise InputError(f"{page}: cannot be written (no folder {page.parent})")
    if page.is_dir():
        raise InputError(f"{page}: is a folder, expected the name of a page")
    outputs.check_all_free((page, folder), overwrite)
    outputs.check_folder(folder)
    _check_replaceable(page, folder)
    columns = LabelColumns(labels, first, limit)
    photographs = Photographs(columns, images)
    if images and photographs and columns.count and not any(photographs):
        raise InputError(
            f"--images={images}: holds no picture of the {columns.count:,} poses; the labels' files are named such as "
            f"'{next((name for name in columns.texts('files') if name), '')[:100]}'"
        )
    return page, folder, columns, photographs


def _check_replaceable(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Raises `InputError` unless what lies there is a review page and the folder of its pictures, or nothing."""
    if page.exists():
        with open(page, "rb") as file:
            if bundle.MARK not in file.read(_HEAD_BYTES):
                raise InputError(f"{page}: is no review page, so --overwrite does not replace it")
    if folder.exists():
        for place in folder.rglob("*"):
            if place.is_dir() and not place.is_symlink():
                continue
            if not (place.suffix == ".jpg" and place.stem.isdigit() and place.parent.name.isdigit()):
                raise InputError(f"{folder}: holds {place.name}, no picture of a review, so it is not replaced")


def _write_data(file: TextIO, columns: LabelColumns, crops: np.ndarray, pictures: str) -> None:
    identities = columns.identities()
    kinds: dict[str, str] = {}

    def write(name: str, kind: str, pieces: Iterator[np.ndarray]) -> None:
        kinds[name] = kind
        packing.write_column(file, name, kind, pieces)

    for name, source in (("2d", "poses_2d"), ("3d", "poses_3d")):
        write(f"pose_{name}", "i2", (packing.quantised(piece)[0] for piece in columns.pieces(source)))
        write(f"scale_{name}", "f4", (packing.quantised(piece)[1] for piece in columns.pieces(source)))
    write("joint_quality", "u1", (packing.quality_codes(piece) for piece in columns.pieces("joint_quality")))
    write("provenance", "u1", columns.pieces("provenance"))
    for name in ("quality", "expected_error_mm", "residual_mm"):
        write(name, "f4", columns.pieces(name))
    write("root", "f4", columns.pieces("roots"))
    flags = zip(columns.pieces("at_range_end"), columns.pieces("depth_nominal"))
    write("flags", "u1", (end * _AT_RANGE_END + nominal * _DEPTH_NOMINAL for end, nominal in flags))
    for name in columns.tables:
        write(name, "i4", columns.pieces(name))
    for name in ("frame", "person"):
        write(name, "f8", columns.pieces(name))
    write("applied", "u1", columns.decided())
    write("crop", "f4", iter([crops]))
    write("shared", "u1", iter([label_columns.shared(identities)]))
    for table in columns.tables.values():
        packing.write_table(file, table, columns.texts(table))
    packing.write_table(file, "facts", _facts(columns, identities, pictures, list(kinds)))


def _facts(columns: LabelColumns, identities: np.ndarray, pictures: str, names: list[str]) -> dict[str, Any]:
    return {
        "title": columns.title,
        "count": columns.count,
        "first": columns.first,
        "total": columns.total,
        "fingerprint": label_columns.fingerprint(identities),
        "pictures": pictures,
        "columns": names,
        "tables": list(columns.tables.values()),
        "joints": [_in_words(name) for name in POSE17.joints],
        "parents": list(POSE17.parents),
        "sides": list(POSE17.sides),
        "mirror": POSE17.mirror.tolist(),
        "version": manifest.project_version(),
    }


def _in_words(joint: str) -> str:
    """'RShoulder' -> 'right shoulder', 'Head' -> 'head'."""
    side = _SIDES.get(joint[0], "") if joint[1:2].isupper() else ""
    return side + (joint[1:] if side else joint).lower()
