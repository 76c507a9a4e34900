"""Learning rates that both networks are trained with."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


class WarmupCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise over the first steps, then half a cosine down to a thousandth of the peak, or no fall."""

    def __init__(self, peak: float, steps: int, warmup: int = 200, falls: bool = True):
        """steps: until the end of the cosine. warmup: steps of the rise, a tenth of `steps` at most. falls: False for
        a rate that stays at the peak."""
        self._peak, self._steps, self._warmup = peak, steps, min(warmup, max(steps // 10, 1))
        self._falls = falls

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate at a step."""
        step = tf.cast(step, tf.float32)
        share = tf.minimum(step / self._steps, 1.0) if self._falls else 0.0
        fall = 0.5 + 0.5 * tf.cos(math.pi * share)
        return self._peak * tf.minimum((step + 1.0) / self._warmup, 1.0) * tf.maximum(fall, 1e-3)

    def get_config(self) -> dict[str, Any]:
        """For Keras' serialisation."""
        return {"peak": self._peak, "steps": self._steps, "warmup": self._warmup, "falls": self._falls}
