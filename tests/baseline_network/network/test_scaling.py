"""The forms of halving and doubling against Keras' layers, and a whole training step in each form of operations."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import hourglass, scaling
from baseline_network.training import losses, trainer
from tools.benchmarks import graphs
from tools.benchmarks.hourglass import targets
from tools.training import op_forms

TINY = hourglass.Sizes(stacks=1, modules=1, features=8, resolution=64)


def gradients_of(function, *tensors):
    """The result, and the gradients of a sum that weighs all its places differently."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        result = function(*tensors)
        total = tf.reduce_sum(tf.sin(result) * tf.reshape(tf.range(tf.size(result), dtype=tf.float32), result.shape))
    return [result, *tape.gradient(total, tensors)]


@pytest.mark.parametrize("form", op_forms.FORMS)
def test_enlarging_is_kerass_in_every_form(form):
    rng = np.random.default_rng(0)
    fine, coarse = (tf.constant(rng.normal(size=[2, 4 * n, 6 * n, 5]), tf.float32) for n in (2, 1))
    enlarge = tf.keras.layers.UpSampling2D(2, interpolation="nearest")
    expected = gradients_of(lambda a, b: a + enlarge(b), fine, coarse)
    layer = scaling.AddUpsampled.from_config(scaling.AddUpsampled(form).get_config())
    found = gradients_of(lambda a, b: layer((a, b)), fine, coarse)
    np.testing.assert_array_equal(found[0], expected[0])
    for ours, theirs in zip(found[1:], expected[1:]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_the_maximum_of_blocks_is_kerass_ties_included():
    # Few values, so that most blocks have several largest.
    values = np.random.default_rng(0).integers(0, 3, [3, 8, 6, 4])
    x = tf.constant(values, tf.float32)
    expected = gradients_of(tf.keras.layers.MaxPool2D(2), x)
    found = gradients_of(scaling.BlockMax(), x)
    for ours, theirs in zip(found, expected):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def steps():
    """{form: (loss, weights before, weights after)} of a step along the gradient from the same weights."""
    batch = {name: tf.constant(value) for name, value in targets(np.random.default_rng(0), TINY, 4).items()}
    found, weights = {}, None
    for form in op_forms.FORMS:
        network = hourglass.build(TINY, dtype="float32", form=form)
        weights = network.get_weights() if weights is None else weights
        network.set_weights(weights)
        model = trainer.Trainer(network, losses.Weights(), 4)
        model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
        found[form] = float(model.train_step(batch)["loss"]), weights, network.get_weights()
    return found


@pytest.mark.parametrize("form", ["gpu", "xla"])
def test_a_training_step_is_the_same_in_every_form(steps, form):
    loss, before, after = steps[form]
    expected_loss, _, expected = steps["cpu"]
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for start, ours, theirs in zip(before, after, expected):
        moved = theirs - start
        np.testing.assert_allclose(ours - start, moved, atol=1e-6 + 2e-4 * np.abs(moved).max())
    assert max(np.abs(ours - start).max() for start, ours in zip(before, after)) > 1e-3


@pytest.mark.slow
def test_no_form_for_gpus_needs_what_is_refused_there():
    """Under deterministic operations TensorFlow refuses the gradient of its nearest resize on GPUs, XLA the gradient of
    max pooling and every scattering."""
    counts = {form: graphs.operations(graphs.training_step(TINY, 2, form=form)) for form in ("gpu", "xla")}
    assert counts["gpu"]["ResizeNearestNeighbor"] == 4
    assert counts["gpu"]["MaxPoolGrad"] == 9
    assert not counts["xla"]["MaxPoolGrad"]
    for found in counts.values():
        assert not found["ResizeNearestNeighborGrad"]
        assert not found["UnsortedSegmentSum"]
        assert found["FusedBatchNormGradV3"] == found["FusedBatchNormV3"] > 50
        assert not found["Transpose"]
    text = graphs.hlo(graphs.training_step(TINY, 2, form="xla"))
    assert "convolution(" in text
    assert "select-and-scatter" not in text
    assert " scatter(" not in text
