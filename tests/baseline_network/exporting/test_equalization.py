"""Evening out channels: the same answers, from channels of more even sizes."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.exporting import equalization
from baseline_network.images import crop
from baseline_network.network import hourglass

CROPS = np.random.default_rng(0).uniform(0, 255, [3, 64, 64, 3]).astype(np.float32)


@pytest.fixture(scope="module", params=[(1, 16), (2, 128)], ids=str)
def model(request):
    """One and two stacks; with 128 features the stem's stream is the hourglasses' too."""
    stacks, features = request.param
    made = hourglass.build(hourglass.Sizes(stacks, 1, features, 64), dtype="float32")
    rng = np.random.default_rng(1)
    for variable in made.variables:
        if "moving_variance" in variable.name or "gamma" in variable.name:
            variable.assign(rng.uniform(0.7, 1.4, variable.shape))
        elif "moving_mean" in variable.name or "beta" in variable.name:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    # A few channels that dwarf the others, as training makes them.
    for layer in made.layers:
        if layer.name.endswith("conv3") and layer.filters == features:
            large = np.where(np.arange(features) % 7 == 3, 12.0, 1.0)
            layer.set_weights([values * large for values in layer.get_weights()])
    return made


def test_the_same_answers_from_more_even_channels(model):
    before = [variable.numpy() for variable in model.variables]
    even = equalization.equalized(model, CROPS)
    inputs = crop.to_network(tf.constant(CROPS))
    expected, found = model(inputs), even(inputs)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4 * np.abs(values).max())
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value)
    largest = [
        min(equalization.channel_sizes(one, stream, CROPS).min() for stream in equalization.streams(one))
        for one in (model, even)
    ]
    assert largest[0] < 0.15
    assert largest[1] > 2 * largest[0]


def test_streams(model):
    features = hourglass.sizes_of(model).features
    streams = equalization.streams(model)
    # 64 -> 128 -> features: one stream each, the same one when they are as wide.
    assert len(streams) == (1 if features == 128 else 2)
    writers = [layer.name for stream in streams for layer in stream["writers"]]
    convolutions = [layer.name for layer in model.layers if layer.name.endswith((".conv3", ".conv4"))]
    around = [f"{name}.{stack}" for stack in range(hourglass.sizes_of(model).stacks) for name in ("ll_", "tmpOut_")]
    assert sorted(writers) == sorted([*convolutions, *around])
    for stream in streams:
        assert len({layer.output.shape[-1] for layer in stream["writers"] + stream["sums"]}) == 1
    readers = {type(layer).__name__ for stream in streams for layer in stream["readers"]}
    assert readers == {"BatchNormalization", "Conv2D", "Flatten"}
