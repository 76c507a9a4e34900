"""People in one picture for other programs: `lg.detect`, whose answer `lg.lift` takes."""

from __future__ import annotations

import functools
import os

import numpy as np

from label_generator.labelling import found_people, photographs
from label_generator.lifting.api import People
from tfrecords.formats import photographs as picture_files
from tfrecords.source import Skip
from tools.cli.errors import InputError


def detect(
    picture: str | os.PathLike | np.ndarray, detector: str = "mediapipe", body_head: str | os.PathLike = ""
) -> People:
    """The people in a picture and their 2D key points, by MediaPipe's pose models on TensorFlow Lite.

    Args:
      picture: a file (turned upright by its EXIF orientation), or [H, W, 3] uint8 RGB.
      detector: 'mediapipe': landmarks corrected by the body head (research weights, see its card); 'mediapipe_only'.
      body_head: folder with a body head of your own (`train_body_head.py`); '': the shipped one.

    Returns:
      the people, none where nobody is detected.

    Raises:
      InputError: the file cannot be read, the array is none of a picture, another detector, MediaPipe's models are
        not installed, or the body head is missing or damaged.
    """
    if detector not in photographs.DETECTORS[:2]:
        raise InputError(f"detector: expected mediapipe or mediapipe_only, got {detector!r}")
    if isinstance(picture, (str, os.PathLike)):
        photo = picture_files.read(picture)
        if isinstance(photo, Skip):
            raise InputError(f"{os.fspath(picture)}: {photo.reason} ({photo.detail})")
        pixels = photo.pixels
    else:
        array = np.asarray(picture)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
            raise InputError(f"picture: expected [H, W, 3] uint8 RGB, got {list(array.shape)} {array.dtype}")
        pixels = np.ascontiguousarray(array[..., ::-1])  # the finder takes BGR
    people = _finder(detector, os.fspath(body_head)).find(pixels)
    found = found_people.as_arrays(people, list(range(len(people))), pixels)
    height, width = pixels.shape[:2]
    return People(found.points, found.confidence, found.boxes, "mediapipe33", (width, height))


@functools.cache
def _finder(detector: str, body_head: str) -> photographs.PeopleFinder:
    from tools.detection.people import PeopleFinder, settings_of

    return PeopleFinder(settings_of(detector, body_head), threads=len(os.sched_getaffinity(0)))
