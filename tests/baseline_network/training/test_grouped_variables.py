"""Variables treated as a few vectors against the same variables one by one."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import hourglass
from baseline_network.training import losses, run, trainer
from baseline_network.training.grouped_variables import NetworkGroups, VariableGroup, flatten, unflatten
from baseline_network.training.rmsprop import PublishedRMSprop
from tools.benchmarks import graphs
from tools.cli.errors import InputError

SHAPES = [(3, 3, 2, 4), (4,), (), (1, 7)]
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=[4, 8, 8, 3]).astype(np.float32)
TRUTH = RNG.normal(size=[4, 2]).astype(np.float32)


def test_a_vector_and_back():
    tensors = [tf.constant(RNG.normal(size=shape), tf.float32) for shape in SHAPES]
    flat = flatten(tensors)
    np.testing.assert_array_equal(flat, np.concatenate([tensor.numpy().ravel() for tensor in tensors]))
    for tensor, again in zip(tensors, unflatten(flat, [tensor.shape for tensor in tensors])):
        np.testing.assert_array_equal(again, tensor)


def test_the_optimizer_moves_a_group_as_it_moves_its_variables():
    starts = [RNG.normal(size=shape).astype(np.float32) for shape in SHAPES]
    gradients = [[(RNG.normal(size=shape) * 10.0**-step).astype(np.float32) for shape in SHAPES] for step in range(6)]
    found = {}
    for grouped in (False, True):
        optimizer = PublishedRMSprop(1e-2)
        variables = [tf.Variable(start) for start in starts]
        optimizer.build(variables)
        for step in gradients:
            if grouped:
                # Not in the order in which the optimizer knows them.
                group = VariableGroup(variables[::-1])
                pairs = [(flatten([tf.constant(gradient) for gradient in step[::-1]]), group)]
            else:
                pairs = [(tf.constant(gradient), variable) for gradient, variable in zip(step, variables)]
            optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        found[grouped] = [variable.numpy() for variable in [*variables, *optimizer.variables]]
    assert found[True][len(SHAPES)] == 6  # iterations
    for ours, single, start in zip(found[True], found[False], [*starts, *found[False][len(SHAPES) :]]):
        np.testing.assert_allclose(ours, single, rtol=1e-6, atol=1e-7)
        assert ours is not start


def test_norms_of_single_variables_cannot_be_clipped():
    variable = tf.Variable([1.0])
    optimizer = PublishedRMSprop(clipnorm=1.0)
    optimizer.build([variable])
    with pytest.raises(ValueError, match="clipnorm"):
        optimizer.apply_gradients([(tf.ones([1]), VariableGroup([variable]))], skip_gradients_aggregation=True)


def small_network(dtype):
    image = tf.keras.Input([8, 8, 3])
    x = tf.keras.layers.Conv2D(4, 3, dtype=dtype, name="first")(image)
    x = tf.keras.layers.BatchNormalization(dtype=dtype)(x)
    x = tf.keras.layers.Conv2D(4, 1, use_bias=False, dtype=dtype)(tf.nn.relu(x))
    x = tf.keras.layers.Dense(2, dtype=dtype)(tf.keras.layers.Flatten(dtype=dtype)(x))
    return tf.keras.Model(image, tf.keras.layers.Activation("linear", dtype="float32")(x))


class Small(trainer.Trainer):
    """The training step of the baseline network's trainer, of another network and loss."""

    def losses_of(self, batch, training):
        squares = (self.network(batch["images"], training=training) - TRUTH) ** 2
        loss = tf.reduce_mean(squares, -1) * batch.get("factor", 1.0)
        return dict.fromkeys(("loss", "heatmap_loss", "depth_loss"), loss)


@pytest.fixture
def small_trainer(monkeypatch):
    monkeypatch.setattr(hourglass, "sizes_of", lambda network: hourglass.Sizes())

    def make(dtype, grouped, weights=None):
        network = small_network(dtype)
        if weights is not None:
            network.set_weights(weights)
        model = Small(network, losses.Weights(), 4, grouped=grouped)
        model.compile(optimizer=trainer.make_optimizer("rmsprop", trainer.StepDrop(1e-3, 2), dtype))
        return model

    return make


DTYPES = ["float32", "mixed_bfloat16", "mixed_float16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_the_same(dtype):
    """To the bit; the optimizer would make percents of the first steps of one bit."""
    network = small_network(dtype)

    def loss():
        return tf.reduce_mean((network(IMAGES, training=True) - TRUTH) ** 2)

    with tf.GradientTape() as tape:
        value = loss()
    variables = network.trainable_variables
    expected = dict(zip(map(id, variables), tape.gradient(value, variables)))
    groups = NetworkGroups(network)
    with tf.GradientTape() as tape, groups.read_as_copies():
        tape.watch(groups.sources)
        value = loss()
    pairs = groups.flat_gradients(tape.gradient(value, groups.sources))
    assert len(pairs) == (1 if dtype == "float32" else 2)
    assert sum(len(group.variables) for _, group in pairs) == len(variables)
    for flat, group in pairs:
        assert flat.dtype == tf.float32
        np.testing.assert_array_equal(flat, flatten([expected[id(variable)] for variable in group.variables]))
    assert isinstance(network.get_layer("first").kernel, tf.Variable)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_training_step_is_the_same(small_trainer, dtype, tmp_path):
    one = small_trainer(dtype, False)
    start = one.network.get_weights()
    many = small_trainer(dtype, True, start)
    losses_of = [[float(model.train_step({"images": IMAGES})["loss"]) for _ in range(3)] for model in (one, many)]
    np.testing.assert_allclose(*losses_of, rtol=1e-4)
    for before, ours, theirs in zip(start, many.network.get_weights(), one.network.get_weights()):
        np.testing.assert_allclose(ours - before, theirs - before, rtol=2e-3, atol=2e-6)
    assert any((ours != before).any() for ours, before in zip(many.network.get_weights(), start))
    # The checkpoint of one is the other's.
    path = tf.train.Checkpoint(model=many.network, optimizer=many.optimizer).save(str(tmp_path / "checkpoint"))
    reader = tf.train.load_checkpoint(path)
    theirs = tf.train.Checkpoint(model=one.network, optimizer=one.optimizer).save(str(tmp_path / "one by one"))
    assert reader.get_variable_to_shape_map() == tf.train.load_checkpoint(theirs).get_variable_to_shape_map()
    tf.train.Checkpoint(model=one.network, optimizer=one.optimizer).restore(path).assert_consumed()
    for ours, restored in zip(many.network.get_weights(), one.network.get_weights()):
        np.testing.assert_array_equal(restored, ours)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_step_whose_gradients_overflow_is_left_out(small_trainer, grouped):
    model = small_trainer("mixed_float16", grouped)
    before = [variable.numpy() for variable in model.network.trainable_variables]
    scale = float(model.optimizer.loss_scale)
    model.train_step({"images": IMAGES, "factor": 1e6})
    for variable, value in zip(model.network.trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
    assert float(model.optimizer.loss_scale) == scale / 2
    assert int(model.optimizer.iterations) == 1
    model.train_step({"images": IMAGES})
    assert int(model.optimizer.iterations) == 2


def test_a_vector_s_step_starts_few_kernels(small_trainer):
    counts = {}
    for grouped in (False, True):
        model = small_trainer("mixed_float16", grouped)
        batch = {"images": tf.constant(IMAGES)}
        step = tf.function(model.train_step, autograph=False).get_concrete_function(batch)
        counts[grouped] = graphs.origins(step)
        assert sum(counts[grouped].values()) == graphs.kernels(graphs.operations(step))
    cast, moved = "casts of single variables and their gradients", "update of the variables"
    # Of the three kernels and two biases that are read in float16.
    assert counts[False][cast] - counts[True][cast] == 2 * 5
    assert counts[False]["loss scale out of the gradients"] == 7 + 1
    assert counts[True]["loss scale out of the gradients"] == 2 + 1
    assert counts[False][moved] > counts[True][moved] - 20
    for part in ("network and loss", "their gradients"):
        assert counts[True][part] == counts[False][part]


def test_which_trainings_move_groups(declared_flags, one_device):
    assert not run.moves_groups(declared_flags(), one_device("cpu"))
    assert run.moves_groups(declared_flags(), one_device("gpu"))
    assert not run.moves_groups(declared_flags(), one_device("gpu", replicas=2))
    assert not run.moves_groups(declared_flags("--optimizer=adam"), one_device("gpu"))
    assert not run.moves_groups(declared_flags("--nogrouped_updates"), one_device("gpu"))
    assert run.moves_groups(declared_flags("--grouped_updates"), one_device("cpu"))
    with pytest.raises(InputError, match="--grouped_updates"):
        run.moves_groups(declared_flags("--grouped_updates"), one_device("cpu", replicas=2))


@pytest.fixture
def declared_flags():
    from baseline_network.training import training_flags

    return lambda *given: training_flags.declare("").parse(["train.py", *given])


@pytest.fixture
def one_device():
    class Devices:
        """What the choice depends on."""

        def __init__(self, op_form, replicas=1):
            self.op_form, self.replicas, self.strategy = op_form, replicas, tf.distribute.get_strategy()

    return Devices
