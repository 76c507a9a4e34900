"""Random numbers of a training that are a function of its seed and step, so that a resumed training draws the same."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Draws:
    """A stream of random tensors that is a function of its seed and of the order in which they are asked for."""

    def __init__(self, seed: tf.Tensor):
        """seed: [2] integers, for example (run seed, step)."""
        self._seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
        self._count = 0

    def _next(self) -> tf.Tensor:
        self._count += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._count)

    def uniform(self, shape: Any, low: float | tf.Tensor = 0.0, high: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Uniform in [low, high)."""
        return tf.random.stateless_uniform(shape, self._next(), low, high)

    def normal(self, shape: Any, cut: float | None = None) -> tf.Tensor:
        """Standard normal; values beyond +-cut are set to it."""
        values = tf.random.stateless_normal(shape, self._next())
        return values if cut is None else tf.clip_by_value(values, -cut, cut)

    def happens(self, shape: Any, probability: float | tf.Tensor) -> tf.Tensor:
        """True with that probability."""
        return self.uniform(shape) < probability

    def permutation(self, size: int | tf.Tensor) -> tf.Tensor:
        """A permutation of 0..size-1."""
        return tf.random.experimental.stateless_shuffle(tf.range(size), self._next())
