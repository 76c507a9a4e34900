"""The optimizer against PyTorch's and against its formula."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.training.rmsprop import PublishedRMSprop

# From gradients that dwarf epsilon to such as it dwarfs, and none at all.
SCALES = np.array([1e3, 1.0, 1e-3, 1e-6, 1e-8, 1e-10, 0.0])


def some_gradients(steps=20):
    return np.random.default_rng(0).normal(size=[steps, 7]) * SCALES


def run(optimizer, gradients, start):
    variable = tf.Variable(start, dtype=tf.float64)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    return variable.numpy()


def test_is_pytorchs(torch):
    gradients, start = some_gradients(), np.linspace(-1, 1, 7)
    parameter = torch.nn.Parameter(torch.tensor(start))
    theirs = torch.optim.RMSprop([parameter], lr=2.5e-4, alpha=0.99, eps=1e-8)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        theirs.step()
    expected = parameter.detach().numpy() - start
    found = run(PublishedRMSprop(), gradients, start) - start
    # Keras keeps the learning rate in float32.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-15)


def test_is_the_formula():
    gradients, squares, value = some_gradients(), 0.0, np.zeros(7)
    for gradient in gradients:
        squares = 0.9 * squares + 0.1 * gradient**2
        value = value - 1e-2 * gradient / (np.sqrt(squares) + 1e-5)
    found = run(PublishedRMSprop(1e-2, alpha=0.9, epsilon=1e-5), gradients, np.zeros(7))
    np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-15)


def test_is_not_kerass():
    """Where the difference lies: gradients of 1e-6 move the weights here, and hardly with epsilon under the root."""
    gradients = np.full([1, 1], 1e-6)
    ours = run(PublishedRMSprop(1.0), gradients, np.zeros(1))
    keras = run(tf.keras.optimizers.RMSprop(1.0, rho=0.99, epsilon=1e-8), gradients, np.zeros(1))
    assert abs(ours[0]) == pytest.approx(1e-6 / (1e-7 + 1e-8), rel=1e-6)
    assert abs(keras[0]) < abs(ours[0]) / 100


def test_saves_and_restores(tmp_path):
    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay([3], [1e-2, 1e-3])
    gradients, start = some_gradients(10), np.zeros(7)
    expected = run(PublishedRMSprop(schedule, clipnorm=5.0), gradients, start)

    first = PublishedRMSprop(schedule, clipnorm=5.0)
    variable = tf.Variable(start, dtype=tf.float64)
    for gradient in gradients[:4]:
        first.apply_gradients([(tf.constant(gradient), variable)])
    path = tf.train.Checkpoint(optimizer=first, variable=variable).save(str(tmp_path / "checkpoint"))
    second = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(first))
    assert isinstance(second, PublishedRMSprop)
    again = tf.Variable(start, dtype=tf.float64)
    second.build([again])
    tf.train.Checkpoint(optimizer=second, variable=again).restore(path).assert_consumed()
    for gradient in gradients[4:]:
        second.apply_gradients([(tf.constant(gradient), again)])
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-9)
