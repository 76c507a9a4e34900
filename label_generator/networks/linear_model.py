"""The network of both subnetworks (Wang et al. 2019; Martinez et al. 2017): linear layers with residual blocks.

Linear(in -> 1024) [BN] ReLU dropout, `num_layers` blocks of 2 x (Linear [BN] ReLU dropout) with an optional residual
add around each, Linear(1024 -> out). What is unusual is kept as released: initial biases are drawn like weights,
`max_norm` clips whole weight matrices in the forward pass, and dropout is given as the probability to keep.

`folded` turns a trained network into plain matrices for inference: `FoldedNetwork`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from label_generator.networks.normalization import Statistics
from label_generator.stages import published
from tools.cli.errors import InputError

BATCH_NORM_MOMENTUM = 0.99
BATCH_NORM_EPSILON = 1e-3
MAX_NORM = 1.0
DECAY_RATE = 0.96
DECAY_STEPS = 100_000

# The scope that the released checkpoints put before every name.
RELEASED_SCOPE = "linear_model"


@dataclasses.dataclass(frozen=True)
class LinearModelConfig:
    """What defines a network; the defaults are the released flags' defaults.

    Attributes:
      input_size, output_size: numbers per pose in and out.
      linear_size: width of the hidden layers.
      num_layers: residual blocks, of two linear layers each.
      residual, batch_norm, max_norm: as the flags of those names.
      dropout: probability to KEEP an activation in training, 1 for none.
      seed: of the initial weights and of dropout.
    """

    input_size: int
    output_size: int
    linear_size: int = 1024
    num_layers: int = 2
    residual: bool = False
    batch_norm: bool = False
    max_norm: bool = False
    dropout: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.input_size, self.output_size, self.linear_size) < 1 or self.num_layers < 0:
            raise InputError(f"linear model: sizes must be positive, got {self}")
        if not 0 < self.dropout <= 1:
            raise InputError(f"dropout is the probability to keep, above 0 and at most 1, got {self.dropout}")

    @classmethod
    def of_stage(cls, stage: str, **options: Any) -> LinearModelConfig:
        """The configuration for a stage of `stages.published`, by its name."""
        described = published.stage_named(stage)
        return cls(described.input_size, described.output_size, **options)

    def layers(self) -> list[tuple[str, str, str | None, int, int]]:
        """(weight, bias, batch norm, inputs, outputs) of every linear layer, names as released, in order."""
        width = self.linear_size
        described = [("w1", "b1", "batch_normalization", self.input_size, width)]
        for i in range(self.num_layers):
            scope = f"two_linear_{i}"
            for k in (2, 3):
                norm = f"{scope}/batch_normalization{k - 1}{i}"
                described.append((f"{scope}/w{k}_{i}", f"{scope}/b{k}_{i}", norm, width, width))
        return [*described, ("w4", "b4", None, width, self.output_size)]


@tf.keras.utils.register_keras_serializable("label_generator")
class ClippedLinear(tf.keras.layers.Layer):
    """x w + b, with w clipped to Frobenius norm 1 in the forward pass when `max_norm` is set; the variable stays.

    [B, in] -> [B, units]. Both variables start as a unit normal cut at two sigma, times sqrt(2 / their own first
    dimension), drawn from `seed` alone.
    """

    def __init__(
        self,
        units: int,
        max_norm: bool,
        seed: tuple[int, int],
        weight_name: str = "w",
        bias_name: str = "b",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units, self.max_norm, self.seed = units, max_norm, tuple(seed)
        self.weight_name, self.bias_name = weight_name, bias_name

    def build(self, input_shape: tf.TensorShape) -> None:
        self.w = self._variable(self.weight_name, (int(input_shape[-1]), self.units), 0)
        self.b = self._variable(self.bias_name, (self.units,), 1)

    def _variable(self, name: str, shape: tuple[int, ...], which: int) -> tf.Variable:
        def initial(shape: Any, dtype: tf.DType = tf.float32, **_: Any) -> tf.Tensor:
            seed = (self.seed[0], 2 * self.seed[1] + which)
            return tf.random.stateless_truncated_normal(shape, seed, dtype=dtype) * math.sqrt(2.0 / shape[0])

        # Not cast to a lower precision when read: the norm of a million numbers needs float32.
        return self.add_weight(name, shape, self.variable_dtype, initial, experimental_autocast=False)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        w, b = (tf.cast(v, self.compute_dtype) for v in (self.w, self.b))
        y = tf.matmul(x, w)
        if self.max_norm:
            # The matrix clipped and the product scaled are the same; scaling the product touches fewer numbers.
            y *= tf.cast(clip_factor(self.w), self.compute_dtype)
        return tf.nn.bias_add(y, b)

    def get_config(self) -> dict[str, Any]:
        options = {"units": self.units, "max_norm": self.max_norm, "seed": self.seed}
        return {**super().get_config(), **options, "weight_name": self.weight_name, "bias_name": self.bias_name}


def clip_factor(w: tf.Tensor) -> tf.Tensor:
    """The scalar by which clip_by_norm(w, 1) multiplies: 1 / max(Frobenius norm, 1), differentiable."""
    return MAX_NORM * tf.math.rsqrt(tf.maximum(2.0 * tf.nn.l2_loss(w), MAX_NORM**2))


@tf.keras.utils.register_keras_serializable("label_generator")
class StatelessDropout(tf.keras.layers.Layer):
    """Keeps each activation with probability `keep` in training and scales it by 1 / keep.

    The mask is `dropout_mask` of the seed, the layer, the step and the replica, and of nothing else. The step is the
    layer's own count of training calls, saved with the weights, so a run that is resumed goes on with the masks that
    the uninterrupted one would have drawn.
    """

    def __init__(self, keep: float, seed: int, index: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep, self.seed, self.index = keep, seed, index

    def build(self, input_shape: tf.TensorShape) -> None:
        self.step = self.add_weight(
            "step",
            (),
            tf.int64,
            "zeros",
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def call(self, x: tf.Tensor, training: bool | tf.Tensor | None = None) -> tf.Tensor:
        if training is None:
            training = False
        if not tf.is_tensor(training):
            return self._dropped(x) if training else tf.identity(x)
        return tf.cond(tf.cast(training, tf.bool), lambda: self._dropped(x), lambda: tf.identity(x))

    def _dropped(self, x: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context is not None else 0
        mask = dropout_mask(tf.shape(x), self.keep, self.seed, self.index, self.step, replica)
        with tf.control_dependencies([mask]):
            self.step.assign_add(1)
        return tf.where(mask, x / self.keep, tf.zeros([], x.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keep": self.keep, "seed": self.seed, "index": self.index}


def dropout_mask(
    shape: Any, keep: float, seed: int, index: int, step: tf.Tensor, replica: int | tf.Tensor = 0
) -> tf.Tensor:
    """Bool tensor of `shape`, True with probability `keep`: what layer `index` keeps at `step` on `replica`.

    The generator is fixed, and its key is made of the arguments one to one, so devices agree. A step that XLA compiles
    was seen to draw other numbers than one that it does not; train.py refuses to go on from one with the other.
    """
    place = (tf.cast(step, tf.int64) * 1024 + index) * 65536 + tf.cast(replica, tf.int64)
    key = tf.stack([tf.constant(seed, tf.int64), place])
    drawn = tf.random.stateless_uniform(shape, key, dtype=tf.float32, alg="philox")
    return drawn < keep


def build(config: LinearModelConfig, synchronized: bool = False, name: str = RELEASED_SCOPE) -> tf.keras.Model:
    """The Keras model, [B, input_size] -> float32 [B, output_size], both normalised.

    Args:
      config: what the network is.
      synchronized: batch norm takes its statistics over all replicas of a tf.distribute strategy.
      name: the model's.

    Under a mixed precision policy the hidden layers compute in it; the result and the clip's norm are float32.
    """
    # float32, also where hidden layers compute in a lower precision; float64 under that policy.
    precision = tf.keras.mixed_precision.global_policy().variable_dtype
    inputs = tf.keras.Input([config.input_size], dtype=precision, name="normalized_input")
    described = config.layers()

    def activated(x: tf.Tensor, index: int) -> tf.Tensor:
        weight, bias, norm, _, units = described[index]
        scope = weight.rsplit("/", 1)[0] + "_" if "/" in weight else ""
        x = _linear(config, index, units, weight, bias)(x)
        if config.batch_norm and norm is not None:
            x = tf.keras.layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM,
                epsilon=BATCH_NORM_EPSILON,
                synchronized=synchronized,
                name=norm.replace("/", "_"),
            )(x)
        x = tf.keras.layers.ReLU(name=f"{scope}relu_{index}")(x)
        if config.dropout < 1:
            x = StatelessDropout(config.dropout, config.seed, index, name=f"{scope}dropout_{index}")(x)
        return x

    x = activated(inputs, 0)
    for block in range(config.num_layers):
        y = activated(activated(x, 2 * block + 1), 2 * block + 2)
        x = tf.keras.layers.Add(name=f"two_linear_{block}_residual")([x, y]) if config.residual else y
    last = len(described) - 1
    x = _linear(config, last, config.output_size, *described[last][:2])(x)
    outputs = tf.keras.layers.Activation("linear", dtype=precision, name="normalized_output")(x)
    return tf.keras.Model(inputs, outputs, name=name)


def _linear(config: LinearModelConfig, index: int, units: int, weight: str, bias: str) -> ClippedLinear:
    return ClippedLinear(
        units,
        config.max_norm,
        (config.seed, index),
        weight.rsplit("/", 1)[-1],
        bias.rsplit("/", 1)[-1],
        name="linear_" + weight.replace("/", "_"),
    )


def released_variables(model: tf.keras.Model, config: LinearModelConfig) -> dict[str, tf.Variable]:
    """The model's variables by their names in a released checkpoint, in order, `linear_model/` included.

    Dropout's step counters have no counterpart there and are left out.
    """
    variables = {}
    for weight, bias, norm, _, _ in config.layers():
        linear = model.get_layer("linear_" + weight.replace("/", "_"))
        variables[weight], variables[bias] = linear.w, linear.b
        if config.batch_norm and norm is not None:
            layer = model.get_layer(norm.replace("/", "_"))
            for part in ("gamma", "beta", "moving_mean", "moving_variance"):
                variables[f"{norm}/{part}"] = getattr(layer, part)
    return {f"{RELEASED_SCOPE}/{name}": variable for name, variable in variables.items()}


def learning_rate_schedule(learning_rate: float) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """The released schedule: `learning_rate` * 0.96^(step / 100000), continuous."""
    return tf.keras.optimizers.schedules.ExponentialDecay(learning_rate, DECAY_STEPS, DECAY_RATE)


def adam(learning_rate: float) -> tf.keras.optimizers.Optimizer:
    """The released optimizer: Adam, beta 0.9 and 0.999, epsilon 1e-8, with `learning_rate_schedule`.

    Keras' legacy class has the same arithmetic as its newer one in a single kernel per variable, which at batch 64
    makes the whole training step more than twice as fast on a CPU.
    """
    schedule = learning_rate_schedule(learning_rate)
    return tf.keras.optimizers.legacy.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-8)


class FoldedNetwork(tf.Module):
    """A trained network for inference: plain matrices, [B, in] -> float32 [B, out].

    Batch norm, the clip and (where `folded` was given statistics) the normalisation are inside the matrices. They are
    tensors that the graph takes in, not constants of it, of which TensorFlow keeps a dozen copies.

    Attributes:
      layers: (kernel [in, out], bias [out]) float32 NumPy arrays, in order; ReLU after all but the last.
      residual: whether layers 2k+1 and 2k+2 have the block's input added to their output.
    """

    def __init__(
        self,
        layers: Iterable[tuple[np.ndarray, np.ndarray]],
        residual: bool,
        compute_dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        # Held as a tuple of arrays: tf.Module would turn nothing here into variables.
        self.layers = tuple((np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers)
        self.residual = residual
        self.compute_dtype = tf.as_dtype(compute_dtype)
        narrow = (0, len(self.layers) - 1)
        self._tensors = tuple(
            tuple(tf.constant(a, tf.float32 if index in narrow else self.compute_dtype) for a in layer)
            for index, layer in enumerate(self.layers)
        )
        signature = [tf.TensorSpec([None, self.layers[0][0].shape[0]], tf.float32)]
        self._run = tf.function(self._forward, input_signature=signature, autograph=False)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The network's output for rows x [B, in]."""
        return self._run(x)

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        def linear(x: tf.Tensor, index: int) -> tf.Tensor:
            w, b = self._tensors[index]
            return tf.nn.bias_add(tf.matmul(x, w), b)

        # Pixels and millimetres need more digits than the layers between them: the narrow first and last layer, a
        # twentieth of the work, are float32.
        x = tf.cast(tf.nn.relu(linear(x, 0)), self.compute_dtype)
        for first in range(1, len(self.layers) - 1, 2):
            y = tf.nn.relu(linear(tf.nn.relu(linear(x, first)), first + 1))
            x = x + y if self.residual else y
        return linear(tf.cast(x, tf.float32), len(self.layers) - 1)


def folded(
    config: LinearModelConfig,
    values: tf.keras.Model | Mapping[str, np.ndarray],
    input_statistics: Statistics | None = None,
    output_statistics: Statistics | None = None,
    compute_dtype: tf.DType = tf.float32,
) -> FoldedNetwork:
    """The `FoldedNetwork` that equals the model in inference.

    Args:
      config: what the network is.
      values: the model, or arrays by released names (`released_variables`).
      input_statistics: a `normalization.Statistics` to normalise the rows that come in with, or None if they are.
      output_statistics: one to un-normalise the result with, or None to return it normalised.
      compute_dtype: tf.bfloat16 where the processor multiplies it faster.
    """
    if isinstance(values, tf.keras.Model):
        values = {name: v.numpy() for name, v in released_variables(values, config).items()}
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    for weight, bias, norm, _, _ in config.layers():
        w, b = (np.asarray(values[f"{RELEASED_SCOPE}/{name}"], np.float64) for name in (weight, bias))
        if config.max_norm:
            w = w / max(float(np.linalg.norm(w)), MAX_NORM)
        if config.batch_norm and norm is not None:
            parts = ("gamma", "beta", "moving_mean", "moving_variance")
            gamma, beta, mean, variance = (
                np.asarray(values[f"{RELEASED_SCOPE}/{norm}/{part}"], np.float64) for part in parts
            )
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            w, b = w * scale, (b - mean) * scale + beta
        layers.append((w, b))
    if input_statistics is not None:
        w, b = layers[0]
        w = w * input_statistics.inverse_std[:, None]
        layers[0] = w, b - input_statistics.mean @ w
    if output_statistics is not None:
        w, b = layers[-1]
        layers[-1] = w * output_statistics.std, b * output_statistics.std + output_statistics.mean
    return FoldedNetwork(layers, config.residual, compute_dtype)
