"""RMSprop as the baseline network was trained with it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from baseline_network.training.grouped_variables import VariableGroup


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class PublishedRMSprop(tf.keras.optimizers.Optimizer):
    """PyTorch's RMSprop: the mean square's root is taken first, and epsilon is added to the root.

    Keras 2.15 adds epsilon under the root, where 1e-8 acts like 1e-4 here. docs/reference.md: learning rate 2.5e-4,
    alpha 0.99,
    epsilon 1e-8.

    `apply_gradients` also takes pairs (gradient [n], `VariableGroup`) once `build` has had the variables one by one;
    give it `skip_gradients_aggregation=True` then, since groups are for one replica.
    """

    def __init__(
        self,
        learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule = 2.5e-4,
        alpha: float = 0.99,
        epsilon: float = 1e-8,
        name: str = "PublishedRMSprop",
        **options: Any,
    ) -> None:
        """learning_rate: number or schedule. alpha: share that the mean of squares keeps. options: of any Keras
        optimizer, such as `clipnorm`."""
        # Keras' own default, a decay of 0, would read and write every variable once a step.
        super().__init__(name=name, **{"weight_decay": None, **options})
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.alpha = alpha
        self._share = (1.0 - alpha) ** 0.5
        self.epsilon = epsilon

    def build(self, var_list: list[tf.Variable]) -> None:
        """Makes the mean of squares of every variable."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True
        self._squares = [self.add_variable_from_reference(variable, "square_avg") for variable in var_list]

    def _internal_apply_gradients(self, grads_and_vars: list[tuple[tf.Tensor, Any]]) -> tf.Tensor:
        # Keras' hook between the clipping of gradients and the updates.
        if not any(isinstance(variable, VariableGroup) for _, variable in grads_and_vars):
            return super()._internal_apply_gradients(grads_and_vars)
        if self.clipnorm:
            raise ValueError("clipnorm is of single variables; groups of variables have none")
        for gradient, group in grads_and_vars:
            self._move(gradient, group)
        return self.iterations.assign_add(1)

    def _move(self, gradient: tf.Tensor, group: VariableGroup) -> None:
        """`update_step` of all variables of a group at once, by the operations of Adagrad's kernel."""
        squares = VariableGroup([self._squares_of(variable) for variable in group.variables])
        scaled = self._share * gradient
        total = self.alpha * squares.values + scaled * scaled
        squares.assign(total)
        rate = tf.cast(self._rate, gradient.dtype)
        group.assign(group.values - scaled * rate / (tf.sqrt(total) + self.epsilon))

    def _squares_of(self, variable: tf.Variable) -> tf.Variable:
        return self._squares[self._index_dict[self._var_key(variable)]]

    def _compute_current_learning_rate(self) -> None:
        # Keras' hook, called once a step before the updates.
        super()._compute_current_learning_rate()
        self._rate = self.learning_rate / self._share

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves one variable; gradients are dense, as all of the network's are.

        Adagrad's kernel adds the gradient's square to its sum and moves the variable in one pass over memory. Between
        steps that sum decays here, and the gradient goes in as sqrt(1 - alpha) of itself, which the rate takes back.
        """
        squares = self._squares_of(variable)
        squares.assign(self.alpha * squares)
        tf.raw_ops.ResourceApplyAdagradV2(
            var=variable.handle,
            accum=squares.handle,
            lr=tf.cast(self._rate, variable.dtype),
            epsilon=tf.constant(self.epsilon, variable.dtype),
            grad=self._share * gradient,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        rate = self._serialize_hyperparameter(self._learning_rate)
        return {**super().get_config(), "learning_rate": rate, "alpha": self.alpha, "epsilon": self.epsilon}
