"""Hundreds of variables as one or two vectors, so that a training step treats them in a few kernels on a GPU.

The published network has 834 trainable variables. One by one, casting them to float16 and their gradients back, taking
the loss scale out, looking for values that are not finite and moving the variables are two thirds of the kernels that a
step starts, each with less to do than its start takes. As vectors they are some 50. Every element is computed as
before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

_READ_IN_LOWER_PRECISION = ("kernel", "bias")


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """All elements of tensors of one dtype, one after the other, [n]."""
    return tf.concat([_in_shape(tensor, tf.TensorShape([tensor.shape.num_elements()])) for tensor in tensors], 0)


def unflatten(flat: tf.Tensor, shapes: Sequence[tf.TensorShape]) -> list[tf.Tensor]:
    """What `flatten` made [n] of, in its shapes."""
    parts = tf.split(flat, [shape.num_elements() for shape in shapes])
    return [_in_shape(part, shape) for part, shape in zip(parts, shapes)]


def _in_shape(tensor: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    # Most variables are vectors already, and an operation less is one that is not scheduled.
    return tensor if tensor.shape == shape else tf.reshape(tensor, shape)


class VariableGroup:
    """Variables of one dtype that an optimizer moves as one; to be made anew in every traced step.

    Attributes:
      variables: in a fixed order. values: all their elements when the group was made, [n].
      constraint: Keras' optimizers ask every variable for one; these have none.
    """

    constraint: tf.keras.constraints.Constraint | None = None

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        self.variables = list(variables)
        self.values = flatten([variable.read_value() for variable in self.variables])

    def assign(self, values: tf.Tensor) -> None:
        """values: [n], in the order of `values`."""
        parts = unflatten(values, [variable.shape for variable in self.variables])
        for variable, part in zip(self.variables, parts):
            variable.assign(part, read_value=False)


class NetworkGroups:
    """The trainable variables of a Keras model in two groups: those that its layers read in a lower precision than they
    are kept in, and all others.

    Attributes:
      sources: what gradients are taken of, group by group: copies of the former in that precision, which a tape has to
        watch, and the latter themselves.
    """

    def __init__(self, network: tf.keras.Model) -> None:
        """network: of convolutions, dense layers and norms; under one policy of precision."""
        self._readers: list[tuple[tf.keras.layers.Layer, str]] = []
        lowered, lowest = [], tf.float32
        for layer in network.layers:
            if not layer.trainable or layer.compute_dtype == layer.variable_dtype:
                continue
            for name in _READ_IN_LOWER_PRECISION:
                if isinstance(getattr(layer, name, None), tf.Variable):
                    self._readers.append((layer, name))
                    lowered.append(getattr(layer, name))
                    lowest = tf.as_dtype(layer.compute_dtype)
        known = {id(variable) for variable in lowered}
        kept = [variable for variable in network.trainable_variables if id(variable) not in known]
        self._groups = [VariableGroup(variables) for variables in (lowered, kept) if variables]
        self._copies: list[tf.Tensor] = []
        if lowered:
            copies = tf.cast(self._groups[0].values, lowest)
            self._copies = unflatten(copies, [variable.shape for variable in lowered])
        self.sources: list[tf.Tensor | tf.Variable] = [*self._copies, *kept]

    @contextlib.contextmanager
    def read_as_copies(self) -> Iterator[None]:
        """Inside it the layers read the copies."""
        former = [vars(layer)[name] for layer, name in self._readers]
        try:
            for (layer, name), copy in zip(self._readers, self._copies):
                # Not by setattr, by which Keras would track the copy as a part of the layer.
                vars(layer)[name] = copy
            yield
        finally:
            for (layer, name), variable in zip(self._readers, former):
                vars(layer)[name] = variable

    def flat_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tuple[tf.Tensor, VariableGroup]]:
        """Gradients of `sources` as pairs ([n] in the variables' dtype, group), which `PublishedRMSprop` applies."""
        pairs, start = [], 0
        for group in self._groups:
            end = start + len(group.variables)
            pairs.append((tf.cast(flatten(gradients[start:end]), group.values.dtype), group))
            start = end
        return pairs
