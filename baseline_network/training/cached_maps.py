"""Inner maps of MediaPipe's landmark network for varied crops, computed once, kept on disk, and trained on many times.

The landmark network stays as it is, and with reading and varying the pictures it takes two thirds of a training step.
A crop's maps are kept as 153,600 bytes beside its targets. A shard holds the crops of a row of consecutive batches of
`training_data.make_batches`, so that shards can be made in any order, by several processes, and again after a stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import landmark_encoder
from tfrecords import reader
from tools.cli.errors import InputError, first_line
from tools.files import archives, atomic

# Batches of a shard.
SHARD_STEPS = 50
# Of a batch, what the loss compares with.
_TARGETS = ("points", "joint_mask", "depths", "depth_mask", "depth_weights")
_DESCRIPTION, _RANGES = "maps.json", "ranges.npz"
_LEVELS = 127.0
_SAMPLED_STEPS = 3


class Codes:
    """Maps as bytes: each channel's distance from its median, the square root of it being what is rounded.

    So a value is off by a 127th of its distance at most, and less where most values are.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], medians: np.ndarray, ranges: np.ndarray) -> None:
        """shapes: [h, w, C] of each map. medians, ranges: [sum of C], of all maps' channels one after the other."""
        self.shapes, self.medians, self.ranges = [tuple(shape) for shape in shapes], medians, ranges
        self.size = sum(int(np.prod(shape)) for shape in self.shapes)
        self._ends = np.cumsum([0] + [shape[-1] for shape in self.shapes])

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> Codes:
        """Those for maps [n, h, w, C] like these."""
        flat = [one.reshape(-1, one.shape[-1]) for one in maps]
        medians = [np.median(one, 0) for one in flat]
        ranges = [np.maximum(np.abs(one - middle).max(0), 1e-6) for one, middle in zip(flat, medians)]
        return cls([one.shape[1:] for one in maps], np.concatenate(medians), np.concatenate(ranges))

    def _of_map(self, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        part = slice(self._ends[number], self._ends[number + 1])
        return tf.constant(self.medians[part], tf.float32), tf.constant(self.ranges[part], tf.float32)

    def encode(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        """Maps [B, h, w, C] -> [B, size] int8."""
        parts = []
        for number, values in enumerate(maps):
            median, span = self._of_map(number)
            apart = tf.clip_by_value((values - median) / span, -1.0, 1.0)
            codes = tf.cast(tf.round(tf.sign(apart) * tf.sqrt(tf.abs(apart)) * _LEVELS), tf.int8)
            parts.append(tf.reshape(codes, [-1, int(np.prod(self.shapes[number]))]))
        return tf.concat(parts, 1)

    def decode(self, codes: tf.Tensor) -> list[tf.Tensor]:
        """The maps again, float32."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        maps = []
        for number, part in enumerate(tf.split(codes, sizes, 1)):
            median, span = self._of_map(number)
            roots = tf.reshape(tf.cast(part, tf.float32), [-1, *self.shapes[number]])
            maps.append(roots * tf.abs(roots) * (span / _LEVELS**2) + median)
        return maps


class KeptMaps:
    """A folder of maps: `make` fills it, `make_batches` reads it."""

    def __init__(
        self, folder: str | os.PathLike, description: dict[str, Any], batches: Callable[[int], tf.data.Dataset]
    ) -> None:
        """Makes the folder, or takes what is there of the same crops.

        Args:
          description: of everything that decides the crops, as JSON takes it.
          batches: gives `training_data.make_batches` from a step on.

        Raises:
          InputError: the folder holds maps of other crops.
        """
        self._folder, self._batches = pathlib.Path(folder), batches
        path, text = self._folder / _DESCRIPTION, json.dumps(description, indent=1, sort_keys=True)
        if path.exists() and path.read_bytes() != text.encode():
            raise InputError(f"{path}: maps of other pictures, or varied otherwise; name another folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._see = landmark_encoder.LandmarkMaps()
        ranges = self._folder / _RANGES
        if not (path.exists() and ranges.exists()):
            seen = [self._see(crop.to_network(batch["images"]))[:-1] for batch in batches(0).take(_SAMPLED_STEPS)]
            codes = Codes.of([np.concatenate([one.numpy() for one in several]) for several in zip(*seen)])
            with atomic.write_file(ranges) as unfinished, open(unfinished, "wb") as file:
                np.savez(file, medians=codes.medians, ranges=codes.ranges)
            atomic.write_text(path, text)
        values = _loaded(ranges)
        self.codes = Codes(landmark_encoder.MAP_SHAPES, values["medians"], values["ranges"])

    def _files(self, shard: int) -> tuple[pathlib.Path, pathlib.Path]:
        return self._folder / f"maps-{shard:05d}.npy", self._folder / f"targets-{shard:05d}.npz"

    def make(self, shards: Iterable[int]) -> None:
        """Makes those of the shards that are not whole yet."""

        def look(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            *maps, numbers = self._see(crop.to_network(batch["images"]))
            kept = {name: batch[name] for name in _TARGETS}
            return {"codes": self.codes.encode(maps), "numbers": tf.cast(numbers, tf.float16), **kept}

        run = tf.function(look)
        for shard in shards:
            maps, targets = self._files(shard)
            if targets.exists():
                continue
            began = time.monotonic()
            parts = [run(batch) for batch in self._batches(shard * SHARD_STEPS).take(SHARD_STEPS)]
            values = {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}
            with atomic.write_file(maps) as unfinished, open(unfinished, "wb") as file:
                np.save(file, values.pop("codes"))
            with atomic.write_file(targets) as unfinished, open(unfinished, "wb") as file:
                np.savez(file, **values)
            rate = len(values["numbers"]) / (time.monotonic() - began)
            print(f"{self._folder}: maps of shard {shard}, {rate:.0f} crops a second", flush=True)

    def in_order(self, shards: int, rows: int) -> Iterator[dict[str, tf.Tensor]]:
        """The crops of the first `shards` shards once, at most so many `rows` at a time, as of `make_batches`."""
        for shard in range(shards):
            maps, targets = self._files(shard)
            codes, values = _mapped(maps), _loaded(targets)
            for first in range(0, len(codes), rows):
                part = slice(first, first + rows)
                batch = {name: tf.constant(value[part]) for name, value in values.items()}
                yield {**batch, "codes": tf.constant(codes[part]), "numbers": tf.cast(batch["numbers"], tf.float32)}

    def make_batches(self, shards: int, batch_size: int, seed: int, start_step: int = 0) -> tf.data.Dataset:
        """Endless batches of the crops of the first `shards` shards, each epoch in another order, from a step on.

        Returns:
          a dataset of dicts: codes [B, size] int8, numbers [B, 312], and the targets of `training_data.make_batches`
          that `landmark_encoder`'s losses need.
        """
        maps = [_mapped(self._files(shard)[0]) for shard in range(shards)]
        several = [_loaded(self._files(shard)[1]) for shard in range(shards)]
        targets = {name: np.concatenate([one[name] for one in several]) for name in several[0]}
        ends = np.cumsum([len(one) for one in maps])

        def rows(numbers: np.ndarray) -> np.ndarray:
            places = np.searchsorted(ends, numbers, side="right")
            before = np.concatenate([[0], ends])[places]
            return np.stack([maps[place][row] for place, row in zip(places, numbers - before)])

        def take(numbers: tf.Tensor) -> dict[str, tf.Tensor]:
            codes = tf.numpy_function(rows, [numbers], tf.int8)
            batch = {name: tf.gather(tf.constant(values), numbers) for name, values in targets.items()}
            batch["codes"] = tf.ensure_shape(codes, [batch_size, self.codes.size])
            batch["numbers"] = tf.cast(batch["numbers"], tf.float32)
            return {name: tf.ensure_shape(value, [batch_size, *value.shape[1:]]) for name, value in batch.items()}

        chosen = reader.row_numbers(
            int(ends[-1]), batch_size, shuffle_seed=seed, start_step=start_step, epochs=None, drop_remainder=True
        )
        return chosen.map(take, 2, deterministic=True).prefetch(4)


def _loaded(path: pathlib.Path) -> dict[str, np.ndarray]:
    with _whole(path), np.load(path) as values:
        return dict(values)


def _mapped(path: pathlib.Path) -> np.ndarray:
    with _whole(path):
        return np.asarray(np.load(path, mmap_mode="r"))


@contextlib.contextmanager
def _whole(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (*archives.DAMAGED, KeyError) as error:
        raise InputError(
            f"{path}: kept maps are missing or damaged ({first_line(error)}); remove the folder"
        ) from error
