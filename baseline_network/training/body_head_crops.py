"""What the landmark network computes inside for crops of annotated people, kept on disk to train the body head on.

Each person is cropped at a region around their true joints, jittered, or turned at random, and again at the region that
the landmark network or the shipped head then names, as in use. A share of them has other people of the set beside,
behind or in front of them (`body_head_neighbours`). Tensors are kept as bytes: 129 KB a crop. An extraction
that was ended goes on where it stood, with the same bytes as one that was not; `made_of.json` says of what crops are.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from baseline_network.training import body_head_looks, body_head_neighbours
from baseline_network.training.body_head_people import (
    ALONE,
    BODY,
    LEAST_PEOPLE,
    Annotated,
    AnnotatedPeople,
    Neighbours,
    Scale,
)
from tools.cli import signals
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.detection import body_head, mediapipe_models
from tools.files import atomic, inputs

# Bytes for a standard deviation, and for a channel's mean.
_STEP, _MIDDLE = 25.4, 127.0
_SCALED_ON = 300  # crops
NAMES = ("fine", "middle", "coarse")  # 32 x 32 cells, 16 x 16, 8 x 8
_SHAPES = ((body_head.CELLS, body_head.CELLS, 97), (16, 16, 88), (8, 8, 144))
_BYTES = sum(int(np.prod(shape)) for shape in _SHAPES)
LINE_EVERY_S = 20.0
_SAVE_EVERY_S = 30.0
_FINISHED, _UNFINISHED, _MADE_OF = "crops.npz", "unfinished.npz", "made_of.json"


class Crops(NamedTuple):
    """Crops by number.

    Attributes:
      fine, middle, coarse: [n, 32, 32, 97], [n, 16, 16, 88], [n, 8, 8, 144] uint8: the head's inputs.
      places: [n, 14, 2] x, y in 0..1 of the crop, NaN where unknown. person: [n] row of the annotation.
      scale: per tensor of `body_head.INNER` but the first, [2, C] mean and standard deviation of its channels.
      crowded: [n] whether the person has neighbours.
    """

    fine: np.ndarray
    middle: np.ndarray
    coarse: np.ndarray
    places: np.ndarray
    person: np.ndarray
    scale: list[np.ndarray]
    crowded: np.ndarray


def kept(folder: pathlib.Path, made_of: dict[str, Any]) -> int:
    """How many crops of `made_of` a folder holds, 0 where there is none; raises `InputError` for crops of another."""
    if not folder.exists():
        return 0
    try:
        before = inputs.read_json(folder / _MADE_OF)
    except InputError:
        raise InputError(f"{folder}: exists, and does not say what it was made of; --overwrite replaces it") from None
    if not isinstance(before, dict) or before != made_of:
        other = [name for name in made_of if not isinstance(before, dict) or before.get(name) != made_of[name]]
        raise InputError(f"{folder}: crops of another {', '.join(other)}; --overwrite replaces them")
    if (folder / _FINISHED).is_file():
        return len(load(folder).places)
    try:
        with np.load(folder / _UNFINISHED) as state:
            return int(state["done"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder / _UNFINISHED}: missing or damaged; --overwrite makes the crops anew") from error


def make(
    people: AnnotatedPeople,
    folder: pathlib.Path,
    count: int,
    seed: int = 0,
    overwrite: bool = False,
    neighbours: Neighbours = ALONE,
    scale: Scale | None = None,
) -> Crops:
    """Crops of people, written to a folder; finished crops of the same are taken, unfinished ones gone on with.

    overwrite: replace crops of something else, or damaged ones. scale: of the tensors; None: of the first people's.

    Raises:
      InputError: crops of something else in the folder, too little room there, pictures of too few people that can be
        read, or no models.
      signals.Ended: the process was asked to end; what is done is kept.
    """
    made_of = people.made_of(count, seed, neighbours, scale)
    try:
        done = kept(folder, made_of)
    except InputError:
        if not overwrite:
            raise
        shutil.rmtree(folder)
        done = 0
    if (folder / _FINISHED).is_file():
        print(f"{folder}: {done:,} crops of an earlier run are used", flush=True)
        return load(folder)
    if not done:
        _check_room(folder, count)
    with signals.deferred() as asked:
        extraction = _Extraction(people, folder, count, seed, neighbours, asked)
        if folder.exists():
            extraction.resume()
        else:
            extraction.begin(made_of, scale.tensors if scale else [])
        extraction.run()
    return load(folder)


def _check_room(folder: pathlib.Path, count: int) -> None:
    above = folder.absolute()
    while not above.exists():
        above = above.parent
    free, needed = shutil.disk_usage(above).free, count * _BYTES
    if free < needed:
        raise InputError(f"{folder}: {count:,} crops take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


class _Extraction:
    """Crops in the making: what `run` has done so far, and the random numbers and people that come next."""

    def __init__(
        self,
        people: AnnotatedPeople,
        folder: pathlib.Path,
        count: int,
        seed: int,
        neighbours: Neighbours,
        asked: signals.Asked,
    ) -> None:
        self._people, self._folder, self._asked = people, folder, asked
        self._network = mediapipe_models.LandmarkNetwork(head=True)
        self._rng = np.random.default_rng(seed)
        self._done, self._count = 0, count
        self._order: list[int] = []  # rows that are left of this pass over the people, the next one last
        self._unread: list[int] = []
        self._places = np.full((count, BODY.size, 2), np.nan, np.float32)
        self._rows = np.zeros(count, np.int64)
        self._crowded = np.zeros(count, bool)
        self._neighbours = neighbours
        self._cut_outs = (
            body_head_neighbours.CutOuts(people.pixels, people.points, body_head_looks.plain)
            if neighbours.share
            else None
        )
        self._scale: list[np.ndarray] = []
        self._tensors: list[np.memmap] = []

    def begin(self, made_of: dict[str, Any], scale: list[np.ndarray]) -> None:
        """Finds the scale of the tensors on the first people, where none is given, then makes the folder."""
        self._scale = scale or self._found_scale()
        self._order = []
        with atomic.write_folder(self._folder) as folder:
            for name, shape in zip(NAMES, _SHAPES):
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, (self._count, *shape))
            (folder / _MADE_OF).write_text(json.dumps(made_of), encoding="utf-8")
            self._save(folder / _UNFINISHED)
        self._open()

    def _found_scale(self) -> list[np.ndarray]:
        first = []
        with Progress(_SCALED_ON, "crops for the scale of the tensors", every=LINE_EVERY_S) as progress:
            for number in range(_SCALED_ON):
                if self._asked.number:
                    raise signals.Ended(self._asked.number)
                person = self._next()
                first.append(self._network.inner(person.pixels, body_head_looks.start(person.points, self._rng, 0.0)))
                progress.update(number + 1)
        return [_scale([one[place] for one in first]) for place in range(1, len(body_head.INNER))]

    def resume(self) -> None:
        """Goes on with what an earlier process left."""
        try:
            with np.load(self._folder / _UNFINISHED) as state:
                self._places, self._rows, self._done = state["places"], state["person"], int(state["done"])
                self._crowded = state.get("crowded", self._crowded)
                self._scale = [state[f"scale{i}"] for i in range(len(body_head.INNER) - 1)]
                self._order, self._unread = state["order"].tolist(), state["unread"].tolist()
                self._rng.bit_generator.state = json.loads(str(state["rng"]))
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self._folder}: damaged; --overwrite makes the crops anew") from error
        print(f"{self._folder}: goes on after {self._done:,} of {self._count:,} crops", flush=True)

    def _open(self) -> None:
        self._tensors = [np.load(self._folder / f"{name}.npy", mmap_mode="r+") for name in NAMES]
        if [tensor.shape for tensor in self._tensors] != [(self._count, *shape) for shape in _SHAPES]:
            raise ValueError("tensors of another shape")

    def run(self) -> None:
        """Makes the crops that are missing."""
        saved = time.monotonic()
        with Progress(self._count, "crops", self._done, every=LINE_EVERY_S) as progress:
            while self._done < self._count:
                person = self._next()
                for region, inner in body_head_looks.looks(person, self._network, self._rng):
                    if self._done < self._count:
                        for array, values in zip(self._tensors, as_bytes(inner, self._scale)):
                            array[self._done] = values
                        self._places[self._done] = region.from_picture(person.points)
                        self._rows[self._done] = person.row
                        self._crowded[self._done] = len(person.others) > 0
                        self._done += 1
                progress.update(self._done)
                if self._asked.number or time.monotonic() - saved > _SAVE_EVERY_S:
                    self._flush()
                    saved = time.monotonic()
                if self._asked.number:
                    note = f"{self._done:,} of {self._count:,} crops are kept; the same command goes on from there"
                    raise signals.Ended(self._asked.number, note)
        self._flush()
        if self._unread:
            name = self._people.name(min(self._unread))
            print(
                f"{len(self._unread):,} of {len(self._people.rows):,} people are left out, since their pictures are "
                f"missing or cannot be read; the first is {name}",
                file=sys.stderr,
                flush=True,
            )
        with atomic.write_file(self._folder / _FINISHED) as temporary, open(temporary, "wb") as file:
            known: dict[str, np.ndarray] = {"places": self._places, "person": self._rows, "crowded": self._crowded}
            np.savez(file, unread=np.array(self._unread, np.int64), **known, **self._scales())
        (self._folder / _UNFINISHED).unlink()

    def _next(self) -> Annotated:
        """The next person whose picture can be read, among neighbours, mirrored and in other light at random."""
        while True:
            if not self._order:
                left = np.setdiff1d(self._people.rows, self._unread)
                if len(left) < LEAST_PEOPLE:
                    raise InputError(
                        f"{self._people.path}: pictures of only {len(left)} of {len(self._people.rows):,} people can "
                        f"be read, {self._people.name(min(self._unread))} cannot; at least {LEAST_PEOPLE} are needed"
                    )
                self._order = self._rng.permutation(left)[::-1].tolist()
            row = self._order.pop()
            pixels = self._people.pixels(row)
            if pixels is not None:
                person = Annotated(row, pixels, self._people.points[row])
                return body_head_looks.varied(self._among_neighbours(person), self._rng)
            self._unread.append(row)

    def _among_neighbours(self, person: Annotated) -> Annotated:
        """The person with neighbours, in the share of cases that is asked for, where they can be cut out."""
        if self._cut_outs is None or self._rng.random() >= self._neighbours.share:
            return person
        alone = self._cut_outs.of(person.row)
        if alone is None:
            return person
        rows = self._people.rows
        first = len(rows) - self._neighbours.held
        like = rows[first:] if person.row >= rows[first] else rows[:first]
        cut_outs = self._cut_outs
        among, others = body_head_neighbours.crowd(alone, lambda: cut_outs.of(int(self._rng.choice(like))), self._rng)
        return Annotated(person.row, among.pixels, among.points, others)

    def _flush(self) -> None:
        for tensor in self._tensors:
            tensor.flush()
        with atomic.write_file(self._folder / _UNFINISHED) as temporary:
            self._save(temporary)

    def _save(self, path: pathlib.Path) -> None:
        with open(path, "wb") as file:
            np.savez(
                file,
                done=self._done,
                places=self._places,
                person=self._rows,
                crowded=self._crowded,
                order=np.array(self._order, np.int64),
                unread=np.array(self._unread, np.int64),
                rng=json.dumps(self._rng.bit_generator.state),
                **self._scales(),
            )

    def _scales(self) -> dict[str, np.ndarray]:
        return {f"scale{i}": values for i, values in enumerate(self._scale)}


def load(folder: pathlib.Path) -> Crops:
    """Crops that `make` finished; raises `InputError` where they are missing or damaged."""
    if not (folder / _FINISHED).is_file():
        raise InputError(f"{folder}: no {_FINISHED}; expected the folder of a finished extraction")
    try:
        fine, middle, coarse = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in NAMES)
        with np.load(folder / _FINISHED) as others:
            scale = [others[f"scale{i}"] for i in range(len(body_head.INNER) - 1)]
            crowded = others["crowded"] if "crowded" in others else np.zeros(len(others["person"]), bool)
            crops = Crops(fine, middle, coarse, others["places"], others["person"], scale, crowded)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: damaged; --overwrite makes the crops anew") from error
    if [tensor.shape for tensor in crops[:3]] != [(len(crops.places), *shape) for shape in _SHAPES]:
        raise InputError(f"{folder}: damaged; --overwrite makes the crops anew")
    return crops


def as_bytes(inner: Sequence[np.ndarray], scale: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tensors `body_head.INNER` as `fine`, `middle`, `coarse` of one crop."""
    maps, *others = inner
    scaled = [
        np.clip(np.rint((values - mean) / deviation * _STEP + _MIDDLE), 0, 255).astype(np.uint8)
        for values, (mean, deviation) in zip(others, scale)
    ]
    half = maps.shape[0] // 2
    chosen = maps[..., body_head.MAPS].reshape(half, 2, half, 2, -1).max((1, 3)).astype(np.float64)
    heights = np.rint(255 / (1 + np.exp(-np.clip(chosen, -50, 50)))).astype(np.uint8)
    return np.concatenate([scaled[0], scaled[1], heights], -1), scaled[2], scaled[3]


def as_inputs(fine: Any, middle: Any, coarse: Any) -> list[Any]:
    """Tensors of bytes [B, ...] as the float inputs of the network."""
    import tensorflow as tf

    maps = len(body_head.MAPS)

    def scaled(values: Any) -> Any:
        return (tf.cast(values, tf.float32) - _MIDDLE) / _STEP

    heights = tf.cast(fine[..., -maps:], tf.float32) * (2 / 255) - 0.2
    return [tf.concat([scaled(fine[..., :-maps]), heights], -1), scaled(middle), scaled(coarse)]


def _scale(tensors: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate([tensor.reshape(-1, tensor.shape[-1]) for tensor in tensors]).astype(np.float64)
    return np.stack([values.mean(0), values.std(0) + 1e-6]).astype(np.float32)
