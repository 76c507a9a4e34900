"""Labels drawn on the photographs and videos they were made from, with the 3D beside."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import pathlib
import textwrap
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from label_generator.labelling import array_rows, people_file
from label_generator.labelling.people_file import PeopleFile
from tfrecords.formats.photographs import Photo
from tfrecords.source import Skip
from tools.cli.progress import Progress
from tools.drawing import animation, drawing, figures, text
from tools.drawing.figures import Room
from tools.files import atomic
from tools.pose import joints

FOLDER = "overlays"
# Heights of the drawn photographs and frames in px, and how wide the photograph may be for its height.
_HEIGHT, _FILM_HEIGHT, _WIDEST = 720, 480, 2.0
_LABEL = ("poses_2d", "provenance", "poses_3d", "quality")
# A film's room is the same in all frames, so that nothing jumps: mm beside and before the root, below it, above it.
_SIDE, _BELOW, _ABOVE = 1000.0, 1100.0, 1000.0
_WAITING = 2  # drawn photographs that wait to be written
_LETTERS = 26  # letters in a line of the square beside a picture without a label


class WithoutLabel(NamedTuple):
    """Rows of a picture without a label: poses_2d [P, 17, 2] px, provenance [P, 17], names and reasons [P] as texts."""

    poses_2d: np.ndarray
    provenance: np.ndarray
    names: list[str]
    reasons: list[str]


class Drawn(NamedTuple):
    """One picture and its labels: poses_2d [P, 17, 2] px, provenance [P, 17], poses_3d [P, 17, 3] mm, names [P]."""

    name: str
    photo: Photo
    poses_2d: np.ndarray
    provenance: np.ndarray
    poses_3d: np.ndarray
    names: list[str]
    others: WithoutLabel


def draw(people: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    """Draws the labels in `output` on their pictures, into its folder overlays/, whole or not at all.

    A photograph becomes its name with .png behind, a video its name with .mp4 behind; a name that ends so stays, unless
    another picture is called so. Where nobody is labelled the reason is written beside the picture. people: the
    people.npz. Returns the folder.
    """
    content = PeopleFile(people)
    with (
        atomic.write_folder(output / FOLDER) as folder,
        Progress(len(content), "rows drawn") as progress,
        _Writer() as writer,
    ):
        pictures = _labelled(content, array_rows.open_npz(output / "labels.npz"), progress)
        for (name, video), group in itertools.groupby(pictures, key=lambda item: (item.name, item.photo.frame >= 0)):
            target = _free(folder / name, ".mp4" if video else ".png", writer.given)
            target.parent.mkdir(parents=True, exist_ok=True)
            if video:
                rate = _Rate(group)
                animation.write_animation(target, rate.frames(), rate.fps, overwrite=True)
                continue
            for picture in group:
                writer.write(target, panel(picture, _HEIGHT))
    return output / FOLDER


class _Writer:
    """Writes pictures in a thread of its own, while the next ones are drawn; `given`: the files it was given."""

    def __init__(self) -> None:
        self.given: set[pathlib.Path] = set()
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._waiting: collections.deque[concurrent.futures.Future] = collections.deque()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: object, *others: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        while kind is None and self._waiting:
            self._waiting.popleft().result()

    def write(self, path: pathlib.Path, image: np.ndarray) -> None:
        """Begins to write a picture; raises what the writing of an earlier one raised."""
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self.given.add(path)
        self._waiting.append(self._pool.submit(drawing.write_image, path, image, overwrite=True))


def _free(path: pathlib.Path, ending: str, given: Collection[pathlib.Path] = ()) -> pathlib.Path:
    """`path` with that ending, behind its own where that is another one or the file is there already or among given."""
    while path.suffix.lower() != ending or path.exists() or path in given:
        path = path.with_name(path.name + ending)
    return path


def _labelled(content: PeopleFile, labels: dict, progress: Progress) -> Iterator[Drawn]:
    """Each picture that can be read, with its labels."""
    reasons = labels["reasons"].read(0, len(labels["reasons"])).tolist()
    for picture, (number, rows) in zip(content.pictures(), people_file.by_picture(content)):
        progress.update(int(rows[-1]) + 1)
        if isinstance(picture.photo, Skip) or picture.number != number:
            continue
        start, stop = int(rows[0]), int(rows[-1]) + 1
        columns = {name: labels[name].read(start, stop) for name in ("reason", "person", *_LABEL)}
        good = columns["reason"] == 0
        poses_2d, provenance, poses_3d, quality = (columns[name][good] for name in _LABEL)
        persons = columns["person"][good].tolist()
        names = [f"{person}: {quality:.2f}" for person, quality in zip(persons, quality.tolist())]
        others = _without_label(columns, reasons)
        yield Drawn(picture.name, picture.photo, poses_2d, provenance, poses_3d, names, others)


def _without_label(columns: dict[str, np.ndarray], reasons: list[str]) -> WithoutLabel:
    """Of the rows of one picture those without a label."""
    bad = columns["reason"] != 0
    persons, texts = columns["person"][bad].tolist(), [reasons[code] for code in columns["reason"][bad].tolist()]
    names = ["" if person < 0 else f"{person}: no label" for person in persons]
    lines = [words if person < 0 else f"person {person}: {words}" for person, words in zip(persons, texts)]
    return WithoutLabel(columns["poses_2d"][bad], columns["provenance"][bad], names, lines)


class _Rate:
    """The frames of a film, and how many of them a second, which the times of the first two say."""

    def __init__(self, pictures: Iterator[Drawn]):
        self._first = list(itertools.islice(pictures, 2))
        self._rest = pictures
        seconds = [picture.photo.seconds for picture in self._first]
        self.fps = float(np.clip(1.0 / (seconds[1] - seconds[0]), 0.5, 240.0)) if len(seconds) == 2 else 25.0

    def frames(self) -> Iterator[np.ndarray]:
        """BGR."""
        room = Room(np.array([-_SIDE, -_ABOVE, -_SIDE]), np.array([_SIDE, _BELOW, _SIDE]))
        for picture in itertools.chain(self._first, self._rest):
            yield panel(picture, _FILM_HEIGHT, room)


def panel(picture: Drawn, height: int, room: Room | None = None) -> np.ndarray:
    """The picture with its skeletons, and a square of the same height with their 3D, BGR.

    room: of the 3D when it is one person; by default one that fits.
    """
    import cv2

    pixels = picture.photo.pixels
    zoom = min(height / pixels.shape[0], _WIDEST * height / pixels.shape[1])
    size = max(1, round(pixels.shape[1] * zoom)), max(1, round(pixels.shape[0] * zoom))
    shown = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    poses = (picture.poses_2d + 0.5) * zoom - 0.5
    others = picture.others
    if len(others.poses_2d):
        greyed = (others.poses_2d + 0.5) * zoom - 0.5
        shown = drawing.draw_skeleton_2d(
            shown, greyed, provenance=others.provenance, labels=others.names, colours=[drawing.GHOST_COLOUR] * 3
        )
    if len(poses):
        shown = drawing.draw_skeleton_2d(shown, poses, provenance=picture.provenance, labels=picture.names)
    missing = height - shown.shape[0]
    shown = np.pad(shown, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)), constant_values=255)
    if len(poses):
        together = placed(picture.poses_2d, picture.poses_3d)
        solid = figures.figure_3d(together, size=(height, height), room=room if len(together) == 1 else None)
    else:
        solid = np.full((height, height, 3), 255, np.uint8)
        words = "no label: " + "; ".join(others.reasons)
        lines = "\n".join(textwrap.wrap(words, _LETTERS)[:8])
        text.put_text(solid, lines, (height / 2, height / 2), height // 20, anchor="mm")
    return np.concatenate([shown, solid], 1)


def placed(poses_2d: np.ndarray, poses_3d: np.ndarray) -> np.ndarray:
    """People side by side as the picture has them, [P, 17, 3] mm.

    Nobody knows how far each is from a camera that is not known: they stand at one depth, where the picture shows
    them, by the mean of millimetres in a pixel.
    """
    root = joints.POSE17.root
    flat = np.where(np.isfinite(poses_2d), poses_2d, np.nan)
    extents_2d = np.sqrt(np.nanmean((flat - np.nanmean(flat, 1, keepdims=True)) ** 2, (1, 2)))
    extents_3d = poses_3d[..., :2].std(1)
    scale = float(np.median(np.sqrt((extents_3d**2).mean(1)) / np.maximum(extents_2d, 1e-6)))
    roots = np.where(np.isfinite(flat[:, root]), flat[:, root], np.nanmean(flat, 1))
    offsets = (roots - roots.mean(0)) * scale
    return poses_3d + np.concatenate([offsets, np.zeros((len(offsets), 1))], 1)[:, None]
