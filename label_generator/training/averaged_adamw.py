"""The canonical recipe's optimizer: AdamW that also keeps the average of the weights, in one update per variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-8
CLIP_NORM = 5.0
_AVERAGE = "average"
_WARM_STEPS = 10.0


class AveragedAdamW(tf.keras.optimizers.legacy.Adam):
    """AdamW (Loshchilov & Hutter 2019) with gradients clipped to a global norm and an exponential average of weights.

    Matrices decay by learning rate * `weight_decay`; biases and gains don't. The average forgets by `ema`, and faster
    in the first steps (n / (n + 10) at step n), so that initial weights leave no trace. It is saved with the optimizer.
    Built on Keras' older Adam, whose update is one kernel and so twice as fast on CPUs.

    tensorflow-addons' MovingAverage around its AdamW is no replacement. Measured on four dense layers of 512 units for
    200 steps, in turns: the trained weights agree within 2e-7, but the averages, which are what is exported, differ by
    up to 1e-3 where the largest weight is 0.13, because its average starts with a decay of (1 + n) / (10 + n); and the
    wrapper does not pass on which variables decay, so that biases do too. A step takes as long: 3.8 ms of one CPU core.
    """

    def __init__(
        self,
        learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule,
        weight_decay: float = 0.01,
        ema: float = 0.999,
        name: str = "AveragedAdamW",
        **keywords: Any,
    ):
        keywords.setdefault("global_clipnorm", CLIP_NORM)
        super().__init__(learning_rate, BETA_1, BETA_2, EPSILON, name=name, **keywords)
        self._weight_decay, self._ema = weight_decay, ema

    def average_of(self, variable: tf.Variable) -> tf.Variable:
        """The average of a trained variable's values."""
        return self.get_slot(variable, _AVERAGE)

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        super()._create_slots(var_list)
        for variable in var_list:
            self.add_slot(variable, _AVERAGE)

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> tf.Operation:
        if var.shape.rank > 1:
            rate = apply_state[(var.device, var.dtype.base_dtype)]["lr_t"]
            var.assign_sub(var * (rate * self._weight_decay), use_locking=self._use_locking)
        updated = super()._resource_apply_dense(grad, var, apply_state)
        step = tf.cast(self.iterations, var.dtype.base_dtype)
        keep = tf.minimum(tf.constant(self._ema, step.dtype), step / (step + _WARM_STEPS))
        average = self.get_slot(var, _AVERAGE)
        with tf.control_dependencies([updated]):
            return average.assign(average * keep + var * (1.0 - keep), use_locking=self._use_locking)

    def get_config(self) -> dict[str, Any]:
        """For Keras' serialisation."""
        return {**super().get_config(), "weight_decay": self._weight_decay, "ema": self._ema}
