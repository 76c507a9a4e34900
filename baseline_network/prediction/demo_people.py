"""The people that the demo shows: those of the user's photograph, or rendered ones whose true poses are known."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from baseline_network.images import detection
from baseline_network.network import targets
from baseline_network.prediction import network_flags, pictures, prediction_files
from baseline_network.prediction.people_in_pictures import PictureResult, PredictedPerson, predict_people
from tfrecords.formats import photographs
from tfrecords.source import Skip
from tfrecords.storage.partial import locked
from tools.cli import plans
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.drawing import animation, drawing, sheets
from tools.pose import joints

if TYPE_CHECKING:
    from baseline_network.network.network_files import HourglassWeights
    from baseline_network.prediction.predictor import Predictor

RENDERED = "rendering"
REPORT = "report.txt"
# Small pictures are enlarged to this, so that what is drawn on them is sharp; px.
_MIN_SIDE = 480


@dataclasses.dataclass
class DemoPicture:
    """A picture and where its people are.

    Attributes:
      photo: the picture. boxes: of its people.
      truth_3d: [16, 3] mm of its only person relative to the pelvis, NaN where unknown; or None.
      truth_2d: [16, 2] px.
      people: the network's predictions, once `add_predictions` has run.
    """

    photo: photographs.Photo
    boxes: list[detection.Box]
    truth_3d: np.ndarray | None = None
    truth_2d: np.ndarray | None = None
    people: list[PredictedPerson] = dataclasses.field(default_factory=list)

    def errors(self) -> tuple[float, float]:
        """Mean error of the only person's joints in 3D (mm, aligned at the pelvis) and in 2D (px)."""
        person = self.people[0]
        in_space = np.nanmean(np.linalg.norm(person.pose_3d - self.truth_3d, axis=-1))
        return float(in_space), float(np.nanmean(np.linalg.norm(person.points - self.truth_2d, axis=-1)))


def show(flags: Flags, output: pathlib.Path) -> None:
    """Predicts the people of the photograph, or of rendered pictures, and writes the demo's files into `output`.

    Raises:
      InputError: the photograph, a box or the weights are of no use; nothing is written then.
    """
    if flags.arguments:
        shown = from_photograph(flags.arguments[0], detection.chooser(flags))
    else:
        shown = rendered(flags.count, flags.seed)
    network, predictor = network_flags.make_predictor(flags, fall_back=True)
    add_predictions(predictor, shown)
    with locked(output):
        write(output, network, predictor, shown, flags.rows)


def preview(flags: Flags, results: Sequence[pathlib.Path]) -> int:
    """What `show` would read and write; raises `InputError` as it does for a photograph that cannot be read."""
    from baseline_network.network import network_files

    reads = [network_files.described(flags.weights, fall_back=True)]
    selects = [f"{flags.count} rendered people"]
    if flags.arguments:
        path = flags.arguments[0]
        photo = photographs.read(path, os.path.basename(path))
        if isinstance(photo, Skip):
            raise InputError(f"{path}: {photo.reason}")
        height, width = photo.pixels.shape[:2]
        reads, selects = [f"{path}: {width} x {height} px", *reads], [f"people by --detector={flags.detector}"]
    return plans.show(flags, reads, selects, results)


def from_photograph(path: str, chooser: detection.Chooser) -> list[DemoPicture]:
    """The user's photograph; raises `InputError` when it cannot be read, or a box lies outside of it."""
    suffix = os.path.splitext(path)[1].lower()
    if os.path.isdir(path) or suffix in photographs.VIDEO_SUFFIXES:
        raise InputError(f"{path}: not one photograph; baseline_network/predict.py takes folders and videos")
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    photo = photographs.read(path)
    if isinstance(photo, Skip):
        raise InputError(f"{photo.detail}: {photo.reason}")
    people = chooser.people(photo.pixels, path)
    if isinstance(people, Skip):
        raise InputError(f"{people.detail}: {people.reason}")
    height, width = photo.pixels.shape[:2]
    turned = "" if photo.orientation == 1 else f", turned upright (EXIF orientation {photo.orientation})"
    print(f"{path}: {width} x {height} px{turned}")
    return [DemoPicture(photo._replace(name=os.path.basename(path)), people)]


def rendered(count: int, seed: int) -> list[DemoPicture]:
    """People rendered by this program in postures of its kinematic model, with their truth."""
    import cv2

    from tfrecords.source import Options
    from tfrecords.sources import open_source

    print(f"no photograph given: {count} rendered people")
    # A few more, since a picture may show no person.
    source = open_source("rendered", "", Options(count=4 * count + 20, seed=seed, split="test"))
    results = []
    for record in source.records(np.arange(len(source))):
        if isinstance(record, Skip):
            continue
        pixels = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
        photo = photographs.Photo(f"{record.action} {record.frame}", pixels)
        truth_3d, _ = joints.convert(record.pose_3d, "pose17", pictures.JOINT_SET, record.provenance_3d)
        truth_2d, _ = joints.convert(record.pose_2d, "pose17", pictures.JOINT_SET, record.provenance_2d)
        x, y, width, height = (float(number) for number in record.box)
        box = detection.Box(x, y, width, height, RENDERED)
        results.append(DemoPicture(photo, [box], truth_3d - truth_3d[targets.PELVIS], truth_2d))
        if len(results) == count:
            break
    return results


class _KnownBoxes:
    """Answers as a `detection.Chooser`, with boxes that are known: the first call with the first picture's."""

    def __init__(self, boxes: Sequence[list[detection.Box]]):
        self._boxes = iter(boxes)

    def people(self, picture: np.ndarray, name: str = "") -> list[detection.Box] | Skip:
        """The next picture's boxes."""
        return next(self._boxes)


def add_predictions(predictor: Predictor, shown: Sequence[DemoPicture], batch_size: int = 32) -> None:
    """Gives each picture the people that the network predicts in its boxes."""
    photos = ((picture.photo.name, picture.photo) for picture in shown)
    boxes = _KnownBoxes([picture.boxes for picture in shown])
    for picture, result in zip(shown, predict_people(predictor, boxes, photos, batch_size)):
        picture.people = result.people


def report(shown: Sequence[DemoPicture]) -> str:
    """The predictions in a line for each person."""
    lines = []
    for picture in shown:
        for number, person in enumerate(picture.people):
            x, y, width, height = person.box[:4]
            score = "" if person.box.score is None else f" (score {person.box.score:.1f})"
            words = [
                f"{picture.photo.name}, person {number + 1}: box {x:.0f},{y:.0f},{width:.0f},{height:.0f} from "
                f"{person.box.source}{score}",
                f"median confidence {np.median(person.confidence):.2f}",
                f"{int((person.confidence >= pictures.SURE).sum())} of {len(person.confidence)} joints above "
                f"{pictures.SURE:g}",
            ]
            if picture.truth_3d is not None:
                in_space, in_picture = picture.errors()
                words.append(f"error {in_space:.0f} mm, {in_picture:.1f} px")
            lines.append(", ".join(words))
    known = [picture.errors() for picture in shown if picture.truth_3d is not None]
    if known:
        in_space, in_picture = np.mean(known, axis=0)
        lines.append(f"mean joint error: {in_space:.1f} mm, aligned at the pelvis; {in_picture:.1f} px")
    return "\n".join(lines)


def write(
    output: pathlib.Path, network: HourglassWeights, predictor: Predictor, shown: Sequence[DemoPicture], rows: int
) -> None:
    """Writes the demo's files into a folder, replacing those that are there, and prints the report.

    All are made before one is put in place, the report last.
    """
    text = report(shown)
    print(text)
    results = [PictureResult(picture.photo.name, picture.photo, picture.people) for picture in shown]
    content = {
        **prediction_files.header(network, predictor),
        "images": [prediction_files.result_as_json(result) for result in results],
    }
    with tempfile.TemporaryDirectory(prefix=".demo.", dir=output) as folder:
        folder_path = pathlib.Path(folder)
        (folder_path / "predictions.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
        _draw(folder_path, shown, rows)
        (folder_path / REPORT).write_text(text + "\n", encoding="utf-8")
        for path in sorted(folder_path.iterdir(), key=lambda path: path.name == REPORT):
            os.replace(path, output / path.name)


def _draw(folder: pathlib.Path, shown: Sequence[DemoPicture], rows: int) -> None:
    """Makes overlay.png, gallery.png and rotation.gif."""
    everyone = [(picture, person) for picture in shown for person in picture.people]
    overlays = [pictures.overlay(picture.photo.pixels, picture.people, min_side=_MIN_SIDE) for picture in shown]
    names = None if len(shown) == 1 else [picture.photo.name for picture in shown]
    sheet = overlays[0] if len(shown) == 1 else sheets.contact_sheet(overlays, None, names)
    drawing.write_image(folder / "overlay.png", sheet)
    panels = [
        pictures.row(picture.photo.pixels, person, _caption(picture, person), picture.truth_3d)
        for picture, person in everyone[:rows]
    ]
    drawing.write_image(folder / "gallery.png", np.concatenate(panels))
    picture, person = max(everyone, key=lambda pair: float(np.median(pair[1].confidence)))
    frames = pictures.turning(picture.photo.pixels, person)
    animation.write_animation(folder / "rotation.gif", frames, fps=16)


def _caption(picture: DemoPicture, person: PredictedPerson) -> str:
    detail = person.box.source if picture.truth_3d is None else f"error {picture.errors()[0]:.0f} mm"
    return f"{picture.photo.name}: {detail}, confidence {np.median(person.confidence):.2f}"
