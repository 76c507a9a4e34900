"""Evens out the channels of the network before its layers' outputs are rounded to eight bits.

Residuals add to one stream through the whole network, whose channels come to differ in size by ten times and more. An
int8 tensor has one scale for all its channels, so the small ones would be left with a few steps. A stream's channels
can be scaled at will, though, if what is written into it is scaled and what reads from it takes that back (Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019): in float nothing changes.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import scaling

# Channels that are smaller than this share of the largest are scaled as if they were not.
_SMALLEST = 1.0 / 64.0
_AT_ONCE = 16
_layers = tf.keras.layers
# What these put out is of the stream that they take in, channel by channel.
_POOLS = (_layers.MaxPool2D, scaling.BlockMax)
_PASSING = (_layers.Add, scaling.AddUpsampled, *_POOLS)


def streams(model: tf.keras.Model) -> list[dict[str, list]]:
    """The streams of a model of `hourglass.build`, as dicts of layers: 'sums' in it, its 'writers' and 'readers'."""
    above: dict = {}

    def stream_of(tensor: tf.Tensor) -> tuple:
        key = tensor.ref()
        while above.setdefault(key, key) != key:
            key = above[key]
        return key

    layers = [layer for layer in model.layers if not isinstance(layer, _layers.InputLayer)]
    for layer in layers:
        if isinstance(layer, _PASSING):
            for tensor in tf.nest.flatten(layer.input):
                above[stream_of(tensor)] = stream_of(layer.output)
    streams_by_key: dict[tuple, dict[str, list]] = {
        stream_of(layer.output): {"sums": [], "writers": [], "readers": []}
        for layer in layers
        if isinstance(layer, _layers.Add)
    }
    for layer in layers:
        stream = streams_by_key.get(stream_of(layer.output))
        if stream:
            if not isinstance(layer, _PASSING):
                stream["writers"].append(layer)
            elif not isinstance(layer, _POOLS):
                stream["sums"].append(layer)
        if not isinstance(layer, _PASSING):
            for key in {stream_of(tensor) for tensor in tf.nest.flatten(layer.input)}:
                if key in streams_by_key:
                    streams_by_key[key]["readers"].append(layer)
    return list(streams_by_key.values())


def channel_sizes(model: tf.keras.Model, stream: dict[str, list], crops: np.ndarray) -> np.ndarray:
    """How large each channel of a stream gets on crops [N, r, r, 3] RGB, 0 to 255, over the largest; [C], at most 1.

    The geometric mean over the stream's sums, each of which has a scale of its own.
    """
    run = tf.function(tf.keras.Model(model.input, [layer.output for layer in stream["sums"]]))
    largest = np.zeros(())
    for start in range(0, len(crops), _AT_ONCE):
        outputs = tf.nest.flatten(run(crop.to_network(tf.constant(crops[start : start + _AT_ONCE]))))
        largest = np.maximum(largest, [tf.reduce_max(tf.abs(output), [0, 1, 2]).numpy() for output in outputs])
    shares = largest / np.maximum(largest.max(1, keepdims=True), 1e-12)
    sizes = np.exp(np.log(np.maximum(shares, _SMALLEST)).mean(0))
    return sizes / sizes.max()


def equalized(model: tf.keras.Model, crops: np.ndarray) -> tf.keras.Model:
    """A copy of a model of `hourglass.build` with the same outputs and channels of more even sizes.

    Args:
      model: float32. crops: [N, r, r, 3] RGB, 0 to 255, on which the channels are measured.
    """
    copied = tf.keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    for stream in streams(copied):
        sizes = channel_sizes(copied, stream, crops)
        for layer in stream["writers"]:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel / sizes, bias / sizes])
        for layer in stream["readers"]:
            _read_scaled(copied, layer, sizes)
    return copied


def _read_scaled(model: tf.keras.Model, layer: tf.keras.layers.Layer, sizes: np.ndarray) -> None:
    """Makes a layer take back that the channels of its input were divided by `sizes`."""
    if isinstance(layer, _layers.BatchNormalization):
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma * sizes, beta, mean / sizes, variance])
    elif isinstance(layer, _layers.Conv2D):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * sizes[:, None], bias])
    else:
        # The depths' pixels of all channels in a row.
        dense = model.get_layer("reg")
        kernel, bias = dense.get_weights()
        dense.set_weights([kernel * np.tile(sizes, len(kernel) // len(sizes))[:, None], bias])
