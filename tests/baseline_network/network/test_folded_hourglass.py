"""The network without its training's layers answers as the Keras model does."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import hourglass
from baseline_network.network.folded_hourglass import FoldedHourglass


@pytest.fixture(scope="module")
def model():
    """A small network of which no normalisation is the identity."""
    tf.keras.utils.set_random_seed(7)
    model = hourglass.build(hourglass.Sizes(stacks=2, modules=1, features=16, resolution=64), dtype="float32")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            spread, moved = rng.uniform(0.5, 1.5, [2, size]), rng.normal(0, 0.3, [2, size])
            layer.set_weights([spread[0], moved[0], moved[1], spread[1]])
    return model


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(1).uniform(0, 1, [3, 64, 64, 3]), tf.float32)


def same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5 * np.abs(value).max(), rtol=1e-4, err_msg=name)


def test_equals_the_model(model, images):
    folded = FoldedHourglass(model)
    expected = model(images, training=False)
    same(folded(images), expected)
    same(folded(images[:1]), {name: value[:1] for name, value in expected.items()})


def test_computes_in_what_the_model_computes_in(model, images):
    half = hourglass.build(hourglass.sizes_of(model), dtype=tf.keras.mixed_precision.Policy("mixed_bfloat16"))
    half.set_weights(model.get_weights())
    found, exact = FoldedHourglass(half)(images), model(images, training=False)
    for name, value in exact.items():
        assert found[name].dtype == tf.float32
        off = np.abs(found[name] - value).max() / np.abs(value).max()
        assert 1e-4 < off < 0.05, name


def test_holds_its_own_values_and_can_be_saved(model, images, tmp_path):
    copied = tf.keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    folded = FoldedHourglass(copied)
    expected = model(images, training=False)
    copied.get_layer("conv1_").kernel.assign(tf.zeros_like(copied.get_layer("conv1_").kernel))
    same(folded(images), expected)
    holder = tf.Module()
    holder.folded, holder.run = folded, folded._run
    tf.saved_model.save(holder, str(tmp_path / "saved"))
    same(tf.saved_model.load(str(tmp_path / "saved")).run(images), expected)
