"""Schedules, and that a step's gradient is that of the mean loss over the global batch."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import hourglass
from baseline_network.training import losses, trainer


def test_the_rate_drops_to_a_tenth_at_its_step_or_never():
    schedule = trainer.StepDrop(2.5e-4, 100)
    assert [float(schedule(step)) for step in (0, 99, 100, 5000)] == pytest.approx([2.5e-4, 2.5e-4, 2.5e-5, 2.5e-5])
    assert float(trainer.StepDrop(2.5e-4, 0)(10**6)) == pytest.approx(2.5e-4)


def test_a_frozen_stem_stays_as_it_is():
    network = hourglass.build(hourglass.Sizes(1, 1, 8, 64))
    hourglass.freeze_stem(network)
    stem = {"conv1_", "bn1", *(f"r1.{part}" for part in ["bn", "conv1", "bn1", "conv2", "bn2", "conv3", "conv4"])}
    before = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    images = tf.constant(np.random.default_rng(0).uniform(0, 1, [2, 64, 64, 3]), tf.float32)
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = tf.reduce_mean(tf.square(outputs["heatmaps"])) + tf.reduce_mean(tf.square(outputs["depths"] - 1.0))
    optimizer = tf.keras.optimizers.SGD(1.0)
    optimizer.apply_gradients(zip(tape.gradient(loss, network.trainable_variables), network.trainable_variables))
    same = {
        name
        for name, values in before.items()
        if all(np.array_equal(one, other) for one, other in zip(values, network.get_layer(name).get_weights()))
    }
    assert same == stem


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_step_goes_along_the_gradient_of_the_mean_loss(precision):
    sizes = hourglass.Sizes(1, 1, 8, 64)
    network = hourglass.build(sizes)
    rng = np.random.default_rng(0)
    batch = {
        "images": tf.constant(rng.uniform(0, 255, [4, 64, 64, 3]), tf.float32),
        "heatmaps": tf.constant(rng.uniform(0, 1, [4, 16, 16, 16]), tf.float32),
        "joint_mask": tf.constant(rng.random([4, 16]) < 0.8),
        "points": tf.constant(rng.uniform(0, 64, [4, 16, 2]), tf.float32),
        "depths": tf.constant(rng.normal(size=[4, 16]), tf.float32),
        "depth_mask": tf.constant(np.array([[True], [True], [False], [True]]) & np.ones([4, 16], bool)),
        "depth_weights": tf.constant([1.0, 0.5, 1.0, 0.2]),
    }
    weights = losses.Weights(0.1)
    with tf.GradientTape() as tape:
        outputs = network(crop.to_network(batch["images"]), training=True)
        squares = tf.reduce_mean(tf.square(outputs["heatmaps"][:, 0] - batch["heatmaps"]), [1, 2])
        by_hand = tf.reduce_mean(squares * tf.cast(batch["joint_mask"], tf.float32), 1)
        wrong = tf.square(outputs["depths"] - batch["depths"]) * tf.cast(batch["depth_mask"], tf.float32)
        by_hand += 0.1 * tf.reduce_sum(wrong, 1) / 16 * batch["depth_weights"]
        loss = tf.reduce_mean(by_hand)
    expected = tape.gradient(loss, network.trainable_variables)

    model = trainer.Trainer(network, weights, 4)
    before = [variable.numpy() for variable in network.trainable_variables]
    optimizer = tf.keras.optimizers.SGD(1.0)
    if precision == "mixed_float16":
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=256)
    model.compile(optimizer=optimizer, run_eagerly=True)
    told = model.fit(tf.data.Dataset.from_tensors(batch), verbose=0).history
    assert told["loss"][0] == pytest.approx(float(loss), rel=1e-5)
    for variable, value, gradient in zip(network.trainable_variables, before, expected):
        np.testing.assert_allclose(value - variable.numpy(), gradient, atol=2e-5, err_msg=variable.name)


def test_half_precision_on_gpus_scales_the_loss():
    assert isinstance(
        trainer.make_optimizer("rmsprop", 1e-3, "mixed_float16"), tf.keras.mixed_precision.LossScaleOptimizer
    )
    plain = trainer.make_optimizer("rmsprop", 1e-3, "mixed_bfloat16")
    assert type(plain).__name__ == "PublishedRMSprop"
    assert type(trainer.make_optimizer("adam", 1e-3, "float32")).__name__ == "Adam"
