"""DeepLabCut's CSV: header lines scorer, [individuals,] bodyparts, coords, then one line a frame.

The body parts' names tell the joints (`tools.pose.keypoint_names`); coordinates are x, y in px and a likelihood. The
first column is the frame's number or its picture.
"""

from __future__ import annotations

import csv
import pathlib

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.detected import add_detected, match_of
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")


class DeepLabCut(PeopleSource):
    """People of each frame, in the order of lines."""

    info = Info(
        name="deeplabcut",
        description="DeepLabCut's tracks of people: 2D poses of a video",
        input="its CSV, with the header lines scorer, bodyparts, coords",
        licence="that of the video",
        citation="Mathis et al.: DeepLabCut: markerless pose estimation, Nature Neuroscience 2018",
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` when there is no such file."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)

    def _read(self) -> People:
        name = str(self.path)
        text = labels.read_file(self.path).decode("utf-8-sig", "replace")
        try:
            lines = [line for line in csv.reader(text.splitlines()) if line]
        except csv.Error as error:
            raise InputError(f"{name}: no CSV ({error})") from None
        header = {line[0]: line[1:] for line in lines[:4] if line[0] in _HEADERS}
        if not {"bodyparts", "coords"} <= set(header):
            raise InputError(f"{name}: no header lines bodyparts and coords; expected {self.info.input}")
        body = lines[len(header) :]
        columns = _columns(header, name)
        first = next(iter(columns.values()))
        match = match_of(len(first), list(first), self.options.joints, name)
        people = People(match.joint_set, name)
        people.tracked = "individuals" in header
        for number, line in enumerate(body):
            frame = int(line[0]) if line[0].isascii() and line[0].isdigit() and len(line[0]) < 13 else number
            file = "" if line[0].isdigit() else line[0]
            row = people.add_picture(
                Picture(file=file or self.path.name, subject=self.path.stem, sequence=self.path.stem, frame=frame)
            )
            for person, parts in enumerate(columns.values()):
                values = _values(line[1:], list(parts.values()))
                points = None if values is None else values[:, :2]
                scores = None if values is None else values[:, 2]
                add_detected(people, match, row, person, points, scores, None, self.options.min_confidence)
        return people


def _columns(header: dict[str, list[str]], name: str) -> dict[str, dict[str, dict[str, int]]]:
    """individual -> body part -> coordinate -> column."""
    parts, coordinates = header["bodyparts"], header["coords"]
    people = header.get("individuals", [""] * len(parts))
    found: dict[str, dict[str, dict[str, int]]] = {}
    for column, (person, part, coordinate) in enumerate(zip(people, parts, coordinates)):
        found.setdefault(person, {}).setdefault(part, {})[coordinate] = column
    first = list(next(iter(found.values()), {}))
    for person, parts_of in found.items():
        if list(parts_of) != first or not all({"x", "y"} <= set(part) for part in parts_of.values()):
            raise InputError(f"{name}: columns of '{person[:40]}' are not x, y of the same body parts as the others'")
    if not first:
        raise InputError(f"{name}: no body part in it")
    return found


def _values(cells: list[str], columns: list[dict[str, int]]) -> np.ndarray | None:
    """[K, 3] x, y, likelihood of one person in a line; an empty cell is a missing joint; None for other texts."""
    values = np.ones((len(columns), 3), np.float64)
    try:
        for row, places in enumerate(columns):
            for axis, coordinate in enumerate(("x", "y", "likelihood")):
                if coordinate in places:
                    cell = cells[places[coordinate]].strip()
                    values[row, axis] = float(cell) if cell else np.nan
    except (ValueError, IndexError):
        return None
    values[~np.isfinite(values).all(-1), 2] = 0.0
    return values
