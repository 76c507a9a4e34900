"""Human3.6M's cameras from every file in which they circulate.

| file | what it is |
|---|---|
| cameras.h5 | of 3d-pose-baseline: `tools.pose.cameras.load_h36m_h5` |
| .json | of human36m-camera-parameters: `tools.pose.cameras.load_h36m_json` |
| metadata.xml | of the data set's own code: 300 numbers in the element w0 |
| .pkl, .npy | dicts that preprocessing scripts wrote, by subject and camera: tuples or dicts of R, T, f, c, k, p |

In all of them X_cam = R (X - T), with T where the camera is; some dicts hold R transposed, or T in metres.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords.formats import unpickle
from tools.cli.errors import InputError
from tools.files import inputs
from tools.pose import cameras
from tools.pose.cameras import Camera

# The four cameras in the order of their numbers.
NAMES = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = 11
_OUTER, _INNER = 6, 9  # numbers of a pose and of a lens in w0
_W0 = SUBJECTS * len(NAMES) * _OUTER + len(NAMES) * _INNER
_MOST_BYTES = 1 << 22
# The subjects stand about here, mm: cameras look at it.
_ROOM_MM = np.array([0.0, 0.0, 900.0])
# Rooms are smaller than this in metres and larger in millimetres.
_METRES = 100.0


def load(path: str | os.PathLike) -> dict[tuple[int, str], Camera]:
    """The cameras of a file of any of these kinds, by subject number and camera name such as ``54138969``.

    Raises:
      InputError: none of these files, damaged, or numbers that are no camera.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return cameras.load_h36m_h5(path)
    if suffix == ".xml":
        return load_metadata(path)
    if suffix in (".pkl", ".pickle", ".npy"):
        return load_pickle(path)
    return cameras.load_h36m_json(path)


def load_metadata(path: str | os.PathLike) -> dict[tuple[int, str], Camera]:
    """The cameras of ``metadata.xml``: for each camera and subject three angles and a place, for each camera its lens.

    The element w0 is looked for as text, since nothing else of the file is wanted and XML can be a bomb.
    """
    text = inputs.read_bytes(path, _MOST_BYTES).decode("utf-8", "replace")
    found = re.search(r"<w0>\s*\[?([^<\]]*)\]?\s*</w0>", text)
    if not found:
        raise InputError(f"{path}: no element w0 of camera parameters; expected Human3.6M's metadata.xml")
    try:
        numbers = np.array([float(word) for word in found[1].split()])
    except ValueError:
        raise InputError(f"{path}: w0 holds something that is no number") from None
    if len(numbers) != _W0:
        raise InputError(f"{path}: w0 has {len(numbers)} numbers, expected {_W0}")
    listed = re.search(r"<index2id>(.*?)</index2id>", text, re.DOTALL)
    names = re.findall(r">\s*(\d{8})\s*<", listed[1]) if listed else []
    names = names if len(names) == len(NAMES) else list(NAMES)
    outer = numbers[: -len(NAMES) * _INNER].reshape(len(NAMES), SUBJECTS, _OUTER)
    inner = numbers[-len(NAMES) * _INNER :].reshape(len(NAMES), _INNER)
    return {
        (subject + 1, name): _camera(
            f"{path}: subject {subject + 1} camera {name}",
            _rotation(outer[i, subject, :3]), outer[i, subject, 3:], inner[i, :2], inner[i, 2:4], inner[i, 4:7],
            inner[i, 7:], name,
        )
        for i, name in enumerate(names)
        for subject in range(SUBJECTS)
    }  # fmt: skip


def load_pickle(path: str | os.PathLike) -> dict[tuple[int, str], Camera]:
    """The cameras of a pickled dict, read without running what a pickle may ask for (`formats.unpickle`)."""
    content = unpickle.load_objects(path)
    content = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    found = {}
    for subject, camera, entry in _entries(content):
        name = _name(camera, entry)
        place = f"{path}: subject {subject} camera {name}"
        R, T, f, c, k, p = (_numbers(entry, i, key, shape, place) for i, (key, shape) in enumerate(_PARTS.items()))
        centre = T * 1000.0 if np.abs(T).max() < _METRES else T
        found[subject, name] = _camera(place, _towards_the_room(R, centre), centre, f, c, k, p, name)
    if not found:
        raise InputError(f"{path}: no dict of cameras by subject, such as (1, 1) or S1; expected Human3.6M's cameras")
    return found


_PARTS = {"R": (3, 3), "T": (3,), "f": (2,), "c": (2,), "k": (3,), "p": (2,)}


def _entries(content: Any) -> Iterator[tuple[int, Any, Any]]:
    """(subject, camera's key, parameters) of a dict of either depth."""
    for key, value in content.items() if isinstance(content, dict) else ():
        if isinstance(key, tuple) and len(key) == 2:
            subject = _subject(key[0])
            if subject:
                yield subject, key[1], value
        elif isinstance(value, dict) and _subject(key):
            for camera, entry in value.items():
                yield _subject(key), camera, entry


def _subject(key: Any) -> int:
    """1 to 11 of 1, '1', 'S1' or 'subject1'; 0 for anything else."""
    match = re.fullmatch(r"(?:s|subject)?0*(\d{1,2})", str(key).lower())
    return int(match[1]) if match and 1 <= int(match[1]) <= SUBJECTS else 0


def _name(key: Any, entry: Any) -> str:
    """The camera's eight digits, from its own entry or the key, which may be its number from 1 to 4."""
    own = str(entry.get("id", "")) if isinstance(entry, dict) else ""
    for text in (own, str(key)):
        if re.fullmatch(r"\d{8}", text):
            return text
    number = re.fullmatch(r"(?:camera|cam)?0*([1-4])", str(key).lower())
    return NAMES[int(number[1]) - 1] if number else str(key)[:40]


def _numbers(entry: Any, place_in_tuple: int, key: str, shape: tuple[int, ...], place: str) -> np.ndarray:
    value = None
    if isinstance(entry, dict):
        value = entry.get(key)
        if value is None and key == "R" and entry.get("a") is not None:  # three angles, as in metadata.xml
            angles = np.asarray(entry["a"], np.float64).ravel()
            value = _rotation(angles) if angles.shape == (3,) else None
    elif isinstance(entry, (tuple, list)) and place_in_tuple < len(entry):
        value = entry[place_in_tuple]
    try:
        array = np.asarray(value, np.float64).squeeze()
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{place}: {key} is not {list(shape)} numbers")
    return array


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Rx(a) Ry(b) Rz(c) of three angles in radians."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def _towards_the_room(rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """R or its transpose, whichever makes the camera look at the middle of the room: scripts differ in this."""
    to_room = _ROOM_MM - centre
    return rotation if rotation[2] @ to_room >= rotation[:, 2] @ to_room else rotation.T


def _camera(
    place: str,
    rotation: np.ndarray,
    centre: np.ndarray,
    focal: np.ndarray,
    principal: np.ndarray,
    radial: np.ndarray,
    tangential: np.ndarray,
    name: str,
) -> Camera:
    try:
        return Camera(
            intrinsics=np.concatenate([focal, principal]),
            distortion=np.concatenate([radial[:2], tangential, radial[2:]]),
            rotation=rotation,
            translation=-rotation @ centre,
            name=name,
        )
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
