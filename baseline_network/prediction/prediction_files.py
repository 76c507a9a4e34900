"""What predict writes: predictions.json, predictions.npz and the pictures, all or nothing.

docs/baseline_network.md describes the layout.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from baseline_network.network import targets
from baseline_network.prediction.exported import Row
from baseline_network.prediction.people_in_pictures import PictureResult, PredictedPerson
from tfrecords.storage.partial import locked
from tools.cli import outputs
from tools.cli.errors import InputError

if TYPE_CHECKING:
    from baseline_network.network.network_files import HourglassWeights
    from baseline_network.prediction.predictor import Predictor

FORMAT = 1
JSON, NPZ, FILM, OVERLAYS, ENDING = "predictions.json", "predictions.npz", "overlay.mp4", "overlays", ".overlay.jpg"
_STAGE = ".predict."


def check_free(output: str | os.PathLike, overwrite: bool, more: Iterable[str] = ()) -> None:
    """Raises `InputError` when `output` is no folder or holds predictions that may not be replaced.

    Args:
      more: names of other files and folders that are written.
    """
    output = pathlib.Path(output)
    outputs.check_folder(output)
    outputs.check_all_free((output / name for name in (JSON, NPZ, FILM, OVERLAYS, *more)), overwrite)


def person_as_json(person: PredictedPerson) -> dict[str, Any]:
    """One person's entry of predictions.json."""
    return {
        "box": [round(float(number), 2) for number in person.box[:4]],
        "box_source": person.box.source,
        "box_score": person.box.score,
        "points": [[round(float(v), 2) for v in point] for point in person.points],
        "confidence": [round(float(v), 4) for v in person.confidence],
        "pose_3d_mm": [[round(float(v), 1) for v in joint] for joint in person.pose_3d],
        "mm_per_pixel": round(person.mm_per_pixel, 5),
    }


def result_as_json(result: PictureResult) -> dict[str, Any]:
    """One picture's entry of predictions.json."""
    entry: dict[str, Any] = {"file": result.name}
    if result.photo is not None:
        if result.photo.frame >= 0:
            entry["frame"] = result.photo.frame
        height, width = result.photo.pixels.shape[:2]
        entry.update(width=width, height=height, exif_orientation=result.photo.orientation)
    if result.skip is not None:
        entry["skipped"] = result.skip.reason
    entry["people"] = [person_as_json(person) for person in result.people]
    return entry


def header(network: HourglassWeights, predictor: Predictor, **more: Any) -> dict[str, Any]:
    """The head of predictions.json: the network's settings, and the units."""
    return {
        "format": FORMAT,
        "weights": os.path.basename(os.path.normpath(network.directory)) if network.directory else "",
        "sizes": {name: int(value) for name, value in vars(network.sizes).items()},
        "flip": predictor.flip,
        "margin": predictor.margin,
        "joints": list(targets.MPII16.joints),
        "parents": list(targets.MPII16.parents),
        "units": {
            "box": "x, y, width, height; px of the upright picture, pixel i covers i to i + 1",
            "points": "x, y; px of the upright picture, pixel i covers i to i + 1",
            "pose_3d_mm": "mm relative to the pelvis; x right, y down, z away from the camera",
        },
        **more,
    }


class Writer:
    """Takes results one by one; see `writing`.

    Attributes:
      stage: folder in which pictures are put, by their path inside the output.
      people, pictures: numbers so far. skipped: reason -> number. first_skip: the first one's detail or None.
      sources: where boxes are from -> number. rows: the people so far.
    """

    def __init__(self, stage: pathlib.Path, content: dict[str, Any]):
        """content: of the JSON's head."""
        self.stage = stage
        self.people = self.pictures = 0
        self.skipped: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.first_skip: str | None = None
        self.rows: list[Row] = []
        self._fps = float(content.get("fps", 0.0))
        self._file = open(stage / JSON, "w", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        head = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
        self._file.write(f'{{\n {head},\n "images": [')

    def add(self, result: PictureResult) -> None:
        """Writes one picture's entry."""
        self._file.write(("," if self.pictures else "") + "\n  " + json.dumps(result_as_json(result), allow_nan=False))
        self.pictures += 1
        self.people += len(result.people)
        if result.skip is not None:
            self.skipped[result.skip.reason] = self.skipped.get(result.skip.reason, 0) + 1
            self.first_skip = self.first_skip or f"{result.skip.detail or result.name}: {result.skip.reason}"
        for person in result.people:
            self.sources[person.box.source] = self.sources.get(person.box.source, 0) + 1
        photo = result.photo
        height, width = (-1, -1) if photo is None else photo.pixels.shape[:2]
        frame, size = -1 if photo is None else photo.frame, (width, height)
        self.rows += [Row(result.name, frame, size, number, person) for number, person in enumerate(result.people)]

    def close(self) -> None:
        """Ends the JSON and writes the arrays."""
        self._file.write("\n ]\n}\n")
        self._file.close()
        people = [row.person for row in self.rows]

        def stacked(values: Iterable, *shape: int) -> np.ndarray:
            return np.array(list(values), np.float32).reshape(len(people), *shape)

        np.savez_compressed(
            self.stage / NPZ,
            files=np.array([row.file for row in self.rows], dtype=str),
            frames=np.array([row.frame for row in self.rows], np.int64),
            person=np.array([row.number for row in self.rows], np.int64),
            image_sizes=np.array([row.size for row in self.rows], np.int64).reshape(-1, 2),
            fps=np.array(self._fps),
            boxes=stacked((person.box[:4] for person in people), 4),
            box_sources=np.array([person.box.source for person in people], dtype=str),
            points=stacked((person.points for person in people), 16, 2),
            confidence=stacked((person.confidence for person in people), 16),
            poses_3d=stacked((person.pose_3d for person in people), 16, 3),
            mm_per_pixel=stacked(person.mm_per_pixel for person in people),
            joints=np.array(targets.MPII16.joints),
        )

    def abandon(self) -> None:
        """Closes the file of a run that failed."""
        self._file.close()


@contextlib.contextmanager
def writing(
    output: str | os.PathLike,
    content: dict[str, Any],
    overwrite: bool,
    export: Callable[[Writer], None],
    more: Iterable[str] = (),
) -> Iterator[Writer]:
    """A `Writer` whose files come into `output` when the block ends without an error and there is at least one person.

    Args:
      export: called at the end, writes other formats into the writer's `stage`. more: names of what they write.

    Raises:
      InputError: see `check_free`; or there is no person in any picture; nothing is written then.
    """
    output, more = pathlib.Path(output), tuple(more)
    check_free(output, overwrite, more)
    with locked(output):
        for left_behind in output.glob(_STAGE + "*"):  # of a process that was killed; we hold the folder's lock
            shutil.rmtree(left_behind, ignore_errors=True)
        stage = pathlib.Path(tempfile.mkdtemp(prefix=_STAGE, dir=output))
        try:
            writer = Writer(stage, content)
            try:
                yield writer
            except BaseException:
                writer.abandon()
                raise
            if not writer.people:
                writer.abandon()
                raise InputError(_nobody(writer))
            writer.close()
            export(writer)
            _place(stage, output, more)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _nobody(writer: Writer) -> str:
    if writer.pictures == 1 and writer.first_skip:
        return writer.first_skip
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in writer.skipped.items())
    return f"no picture of {writer.pictures:,} gave a pose ({reasons}); first: {writer.first_skip}"


def _place(stage: pathlib.Path, output: pathlib.Path, more: Iterable[str]) -> None:
    """Moves what was written to where it belongs, the JSON last; overlays and `more` of an earlier run go."""
    for name in more:
        if (output / name).is_dir():
            shutil.rmtree(output / name)
    staged = sorted(path.relative_to(stage) for path in stage.rglob("*") if path.is_file())
    for old in (output / OVERLAYS).rglob("*" + ENDING):
        if old.relative_to(output) not in staged:
            old.unlink()
    if pathlib.Path(FILM) not in staged:
        (output / FILM).unlink(missing_ok=True)
    for path in sorted(staged, key=lambda path: path == pathlib.Path(JSON)):
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        (stage / path).chmod(0o644)
        os.replace(stage / path, output / path)
