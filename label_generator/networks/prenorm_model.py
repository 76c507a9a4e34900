"""The canonical recipe's network: linear blocks with layer normalisation before each layer instead of batch norm after.

Not in the paper. The blocks are the published ones (two linear layers of equal width around which the input is added),
with the order turned: normalise, activate, multiply. Such a network needs no dropout and learns the endless views of
virtual cameras about twice as fast; layer normalisation also makes a pose's result independent of its batch.

`PrenormInference` runs a trained network without Keras and several times less work between the matrix products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

import numpy as np
import tensorflow as tf

EPSILON = 1e-5


def prenorm_model(
    inputs: int, outputs: int, linear_size: int = 1024, num_layers: int = 2, seed: int = 0, name: str = "prenorm"
) -> tf.keras.Model:
    """A Keras model [B, inputs] -> [B, outputs] float32.

    Args:
      linear_size: width of the hidden layers.
      num_layers: number of residual blocks of two linear layers.
      seed: of the initial weights.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be 1 or more, is {num_layers}")
    seeds = iter(range(seed * 1000, seed * 1000 + 1000))

    def linear(size: int, layer_name: str, kernel: tf.keras.initializers.Initializer | str) -> tf.keras.layers.Layer:
        return tf.keras.layers.Dense(size, kernel_initializer=kernel, name=layer_name)

    def he() -> tf.keras.initializers.Initializer:
        return tf.keras.initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=next(seeds))

    def activated(x: tf.Tensor, layer_name: str) -> tf.Tensor:
        x = tf.keras.layers.LayerNormalization(epsilon=EPSILON, name=f"{layer_name}_norm")(x)
        return tf.keras.layers.Activation(gelu, name=f"{layer_name}_gelu")(x)

    first = x = tf.keras.Input([inputs], name="inputs")
    x = linear(linear_size, "in", he())(x)
    for block in range(num_layers):
        y = linear(linear_size, f"block{block}_a", he())(activated(x, f"block{block}_a"))
        # Blocks begin as the identity.
        y = linear(linear_size, f"block{block}_b", "zeros")(activated(y, f"block{block}_b"))
        x = tf.keras.layers.Add(name=f"block{block}_add")([x, y])
    small = tf.keras.initializers.RandomNormal(stddev=0.01, seed=next(seeds))
    last = tf.keras.layers.Dense(outputs, kernel_initializer=small, dtype="float32", name="out")
    return tf.keras.Model(first, last(activated(x, "out")), name=name)


def gelu(x: tf.Tensor) -> tf.Tensor:
    """Gaussian error linear unit by its tanh form, which compiles to fewer operations than the error function."""
    cubic = x + 0.044715 * x * x * x
    return 0.5 * x * (1.0 + tf.tanh(0.7978845608 * cubic))


def variables_by_name(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The model's variables as 'layer/variable', such as 'block0_a/kernel'."""
    variables = {}
    for layer in model.layers:
        for variable in layer.variables:
            variables[f"{layer.name}/{variable.name.split('/')[-1].split(':')[0]}"] = variable
    return variables


class PrenormInference(tf.Module):
    """A trained network for inference, [B, inputs] -> float32 [B, outputs]; the same numbers as the Keras model's.

    The matrices are tensors that the graph takes in, not constants of it, of which TensorFlow keeps a dozen copies.
    What lies between two products (bias, residual sum, normalisation, gelu) is one loop over the activations that XLA
    compiles, for every batch size anew; callers see to it that there are few (`lifter.Lifter`).

    In a lower precision the products between hidden layers are in it; sums, normalisation and the narrow first and last
    products are float32.
    """

    def __init__(self, values: Mapping[str, np.ndarray], compute_dtype: tf.DType = tf.float32, name: str | None = None):
        """values: the variables by name (`variables_by_name`)."""
        super().__init__(name=name)
        # A tuple of items: tf.Module would look into a dict for variables.
        self._values = tuple((key, np.asarray(value, np.float32)) for key, value in values.items())
        self._compute_dtype = tf.as_dtype(compute_dtype)
        self._blocks = sum(key.endswith("_a/kernel") for key in values)
        self._matrices = tuple(
            (key, tf.constant(value, tf.float32 if key in ("in/kernel", "out/kernel") else self._compute_dtype))
            for key, value in self._values
            if key.endswith("/kernel")
        )
        self._matrices_of_few: tuple[tuple[str, tf.Tensor], ...] = ()
        signature = [tf.TensorSpec([None, self._value("in/kernel").shape[0]], tf.float32)]
        self._run = tf.function(self._forward, input_signature=signature, autograph=False)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The network's output for rows x [B, inputs]."""
        return self._run(x)

    def of_few(self, x: tf.Tensor) -> tf.Tensor:
        """The same for a few rows x [n, inputs], n known, inside what XLA compiles.

        Few rows take as long as the matrices take to come from memory. XLA multiplies a row by a matrix faster than
        half of two rows, so each row is a product of its own; all rows meet one matrix before the next is read. The
        matrices lie transposed, which is the layout that XLA chooses for constants: as constants of the program they
        were as quick, and took 670 MB.
        Products are float32 whatever `compute_dtype` is: XLA has none of half the width on processors and widens the
        matrices in every call, which made a pose take 25 ms instead of 3.
        """
        return self._forward(x, self._product_of_few)

    def _product_of_few(self, x: tf.Tensor, layer: str) -> tf.Tensor:
        matrix = dict(self._transposed())[layer]
        rows = [
            tf.matmul(tf.cast(x[number : number + 1], tf.float32), matrix, transpose_b=True)
            for number in range(int(x.shape[0]))
        ]
        return tf.concat(rows, 0)

    def _transposed(self) -> tuple[tuple[str, tf.Tensor], ...]:
        """The matrices for `of_few` by layer, made when first asked for: who lifts batches alone does not need them."""
        if not self._matrices_of_few:
            with tf.init_scope():  # tensors that every graph can take in, not those of the one being traced
                self._matrices_of_few = tuple(
                    (key[: -len("/kernel")], tf.constant(np.ascontiguousarray(value.T)))
                    for key, value in self._values
                    if key.endswith("/kernel")
                )
        return self._matrices_of_few

    def _value(self, key: str) -> np.ndarray:
        return dict(self._values)[key]

    def _forward(self, x: tf.Tensor, product: Callable[[tf.Tensor, str], tf.Tensor] | None = None) -> tf.Tensor:
        product = product or self._product
        total, y = 0.0, product(x, "in")
        for block in range(self._blocks):
            first, second = f"block{block}_a", f"block{block}_b"
            total, y = self._between("in" if block == 0 else f"block{block - 1}_b", first)(total, y)
            _, y = self._between(first, second)(0.0, product(y, first))
            y = product(y, second)
        before = f"block{self._blocks - 1}_b"
        _, y = self._between(before, "out", tf.float32)(total, y)
        return tf.nn.bias_add(product(y, "out"), self._value("out/bias"))

    def _product(self, x: tf.Tensor, layer: str) -> tf.Tensor:
        return tf.matmul(x, dict(self._matrices)[f"{layer}/kernel"])

    def _between(
        self, before: str, after: str, dtype: tf.DType | None = None
    ) -> Callable[[tf.Tensor | float, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """(sum of the blocks so far, product of layer `before`) -> (new sum, what layer `after` multiplies)."""
        bias, gain, offset = (
            self._value(key) for key in (f"{before}/bias", f"{after}_norm/gamma", f"{after}_norm/beta")
        )

        def run(total: tf.Tensor | float, product: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            total = total + (tf.cast(product, tf.float32) + bias)
            centred = total - tf.reduce_mean(total, -1, keepdims=True)
            spread = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + EPSILON)
            return total, tf.cast(gelu(centred * spread * gain + offset), dtype or self._compute_dtype)

        return tf.function(run, autograph=False, jit_compile=True)
