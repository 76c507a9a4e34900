"""Random numbers of a training that are a function of its seed and step, so that a resumed training draws the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_PHILOX = 1  # TensorFlow's number of the algorithm
_COLUMNS = 128  # numbers for each row that are drawn at once


def rows_of(tensor: tf.Tensor) -> int | tf.Tensor:
    """The first dimension, as a number where the graph knows it."""
    known = tensor.shape[0]
    return tf.shape(tensor)[0] if known is None else int(known)


class Draws:
    """A stream of random tensors that is a function of its seed and of the order in which they are asked for.

    Philox's key is the seed. Tensors of known shapes are cut from few long ones, each with a range of the counter for
    itself: XLA takes a quarter of a second to compile the generator wherever it runs, and a view needs 91 tensors.
    What XLA compiles draws other numbers of the same distributions, since its Philox is not TensorFlow's.
    """

    def __init__(self, seed: tf.Tensor):
        """seed: [2] integers, for example (run seed, step)."""
        seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
        self._key = tf.bitcast((seed[0] * (1 << 32) + seed[1])[None], tf.uint64)
        self._count = 0
        self._left: dict[str, tuple[tf.Tensor, int]] = {}

    def _drawn(self, kind: str, shape: Any) -> tf.Tensor:
        self._count += 1
        draw = tf.raw_ops.StatelessRandomNormalV2 if kind == "normal" else tf.raw_ops.StatelessRandomUniformV2
        counter = tf.constant([0, self._count], tf.uint64)
        return draw(shape=shape, key=self._key, counter=counter, alg=tf.constant(_PHILOX))

    def _numbers(self, kind: str, shape: Any) -> tf.Tensor:
        if not isinstance(shape, Sequence) or not all(isinstance(size, int) for size in shape) or not shape:
            return self._drawn(kind, shape)
        needed = math.prod(shape)
        numbers, used = self._left.get(kind, (None, 0))
        if numbers is None or used + needed > numbers.shape[0]:
            numbers, used = self._drawn(kind, [max(_COLUMNS * shape[0], needed)]), 0
        self._left[kind] = numbers, used + needed
        return tf.reshape(numbers[used : used + needed], shape)

    def uniform(self, shape: Any, low: float | tf.Tensor = 0.0, high: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Uniform in [low, high)."""
        return self._numbers("uniform", shape) * (high - low) + low

    def normal(self, shape: Any, cut: float | None = None) -> tf.Tensor:
        """Standard normal; values beyond +-cut are set to it."""
        values = self._numbers("normal", shape)
        return values if cut is None else tf.clip_by_value(values, -cut, cut)

    def happens(self, shape: Any, probability: float | tf.Tensor) -> tf.Tensor:
        """True with that probability."""
        return self.uniform(shape) < probability

    def permutation(self, size: int | tf.Tensor) -> tf.Tensor:
        """A permutation of 0..size-1."""
        # XLA compiles this, but not `stateless_shuffle`.
        return tf.argsort(self.uniform([size]))
