"""From a stream of pictures to a stream of people: boxes, crops in batches, the network; in order, memory bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from baseline_network.images import detection
from tfrecords.formats import photographs
from tfrecords.source import Skip
from tools.cli.errors import InputError

if TYPE_CHECKING:
    from baseline_network.prediction.predictor import Predictor

# Pictures wait for their batch; a few large ones do not wait for many.
_MOST_WAITING_BYTES = 128 << 20


class PredictedPerson(NamedTuple):
    """The prediction of one person, arrays over MPII's 16 joints.

    Attributes:
      box: around which the crop lay.
      points: [16, 2] px of the upright picture. confidence: [16].
      pose_3d: [16, 3] mm relative to the pelvis, x right, y down, z away.
      mm_per_pixel: of the picture, at the person.
    """

    box: detection.Box
    points: np.ndarray
    confidence: np.ndarray
    pose_3d: np.ndarray
    mm_per_pixel: float


class PictureResult(NamedTuple):
    """One picture's people; `skip` says why there are none, `photo` is None when the picture could not be read."""

    name: str
    photo: photographs.Photo | None
    people: list[PredictedPerson]
    skip: Skip | None = None


class PeopleChooser(Protocol):
    """What knows where people are, such as `detection.Chooser`."""

    def people(self, picture: np.ndarray, name: str = "") -> list[detection.Box] | Skip:
        """The boxes in a picture [H, W, 3] uint8 BGR, at least one; or why there is none."""


def predict_people(
    predictor: Predictor,
    chooser: PeopleChooser,
    pictures: Iterable[tuple[str, photographs.Photo | Skip]],
    batch_size: int,
    every: int = 1,
) -> Iterator[PictureResult]:
    """The people of pictures, a `PictureResult` for each picture in the pictures' order.

    Args:
      pictures: (name, picture or why there is none).
      batch_size: people in a batch of the network.
      every: people are detected in every n-th picture only, and the following ones keep its boxes; for videos.

    Raises:
      InputError: the network's output is not a number.
    """
    waiting: list[tuple] = []
    people = size = 0
    boxes: list[detection.Box] | Skip = []
    for number, (name, photo) in enumerate(pictures):
        if isinstance(photo, Skip):
            waiting.append((PictureResult(name, None, [], photo), [], None))
            continue
        if number % every == 0 or isinstance(boxes, Skip):
            boxes = chooser.people(photo.pixels, name if photo.frame < 0 else f"{name} frame {photo.frame}")
        if isinstance(boxes, Skip):
            waiting.append((PictureResult(name, photo, [], boxes), [], None))
        else:
            places = np.array([box[:4] for box in boxes], np.float32)
            waiting.append((PictureResult(name, photo, []), boxes, predictor.crops(photo.pixels[..., ::-1], places)))
            people += len(boxes)
        size += photo.pixels.nbytes
        if people >= batch_size or size >= _MOST_WAITING_BYTES:
            yield from _answered(predictor, waiting, batch_size)
            waiting, people, size = [], 0, 0
    yield from _answered(predictor, waiting, batch_size)


def _answered(predictor: Predictor, waiting: list[tuple], batch_size: int) -> Iterator[PictureResult]:
    """The results of the pictures that waited, people filled in."""
    crops = [crops for _, _, crops in waiting if crops is not None]
    if crops:
        images, transforms = (np.concatenate([part.numpy() for part in parts]) for parts in zip(*crops))
        # A crowd in one picture is more than a batch.
        pieces = range(0, len(images), batch_size)
        answered = [
            predictor.from_crops(images[start : start + batch_size], transforms[start : start + batch_size])
            for start in pieces
        ]
        answers = {name: np.concatenate([piece[name].numpy() for piece in answered]) for name in answered[0]}
    place = 0
    for result, boxes, _ in waiting:
        for box in boxes:
            values_of_person = {name: values[place] for name, values in answers.items()}
            if not all(np.isfinite(values).all() for values in values_of_person.values()):
                raise InputError(f"{result.name}: the network's answer is not a number; its weights are of no use")
            person = PredictedPerson(
                box,
                values_of_person["points"],
                values_of_person["confidence"],
                values_of_person["pose_3d"],
                float(values_of_person["mm_per_pixel"]),
            )
            result.people.append(person)
            place += 1
        yield result
