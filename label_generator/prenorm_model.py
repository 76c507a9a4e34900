"""The canonical recipe's network: linear blocks with layer normalisation before each layer instead of batch norm after.

Not in the paper. The blocks are the published ones (two linear layers of equal width around which the input is added),
with the order turned: normalise, activate, multiply. Such a network needs no dropout and learns the endless views of
virtual cameras about twice as fast; layer normalisation also makes a pose's result independent of its batch.
"""

from __future__ import annotations

import tensorflow as tf

EPSILON = 1e-5


def prenorm_model(
    inputs: int, outputs: int, linear_size: int = 1024, num_layers: int = 2, seed: int = 0, name="prenorm"
):
    """A Keras model [B, inputs] -> [B, outputs] float32.

    Args:
      linear_size: width of the hidden layers.
      num_layers: number of residual blocks of two linear layers.
      seed: of the initial weights.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be 1 or more, is {num_layers}")
    seeds = iter(range(seed * 1000, seed * 1000 + 1000))

    def linear(size, layer_name, kernel):
        return tf.keras.layers.Dense(size, kernel_initializer=kernel, name=layer_name)

    def he():
        return tf.keras.initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=next(seeds))

    def activated(x, layer_name):
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
    found = {}
    for layer in model.layers:
        for variable in layer.variables:
            found[f"{layer.name}/{variable.name.split('/')[-1].split(':')[0]}"] = variable
    return found
