"""The linear network against NumPy loops written from the published formulas."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from label_generator.networks import linear_model, normalization
from label_generator.networks.linear_model import LinearModelConfig
from tools.cli.errors import InputError

WIDTH, BATCH = 24, 9
FLAGS = ("residual", "batch_norm", "max_norm", "dropout")
COMBINATIONS = list(itertools.product([False, True], repeat=4))


@pytest.fixture(autouse=True)
def _float32_policy():
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


def config_of(combination, **options):
    residual, batch_norm, max_norm, dropout = combination
    return LinearModelConfig(
        6, 4, WIDTH, 2, residual, batch_norm, max_norm, dropout=0.6 if dropout else 1.0, seed=3, **options
    )


def small_model(combination, policy="float64"):
    """A model with random batch norm variables, its config, and its values by released names, scope left out."""
    tf.keras.mixed_precision.set_global_policy(policy)
    config = config_of(combination)
    model = linear_model.build(config)
    rng = np.random.default_rng(5)
    for name, variable in linear_model.released_variables(model, config).items():
        if "batch_normalization" in name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model, config, values_of(model, config)


def values_of(model, config):
    variables = linear_model.released_variables(model, config)
    return {name.split("/", 1)[1]: v.numpy().astype(np.float64) for name, v in variables.items()}


def linear_loop(x, w, b, max_norm):
    """One linear layer, multiplication by multiplication."""
    norm = 0.0
    for row in w:
        for value in row:
            norm += value * value
    factor = 1 / max(norm**0.5, 1.0) if max_norm else 1.0
    y = np.zeros((len(x), w.shape[1]))
    for n in range(len(x)):
        for j in range(w.shape[1]):
            total = b[j]
            for i in range(w.shape[0]):
                total += x[n, i] * w[i, j] * factor
            y[n, j] = total
    return y


def forward_loop(x, values, combination, training, step=0):
    """The network's output, from the published description."""
    residual, batch_norm, max_norm, dropout = combination

    def hidden(x, index, weight, bias, norm):
        y = linear_loop(x, values[weight], values[bias], max_norm)
        if batch_norm:
            gamma, beta = values[f"{norm}/gamma"], values[f"{norm}/beta"]
            mean, variance = values[f"{norm}/moving_mean"], values[f"{norm}/moving_variance"]
            if training:
                mean, variance = y.mean(axis=0), y.var(axis=0)
            y = gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta
        y = np.maximum(y, 0)
        if dropout and training:
            y = y * linear_model.dropout_mask(y.shape, 0.6, 3, index, step).numpy() / 0.6
        return y

    y = hidden(x, 0, "w1", "b1", "batch_normalization")
    for block in range(2):
        scope, start = f"two_linear_{block}", y
        for k in (2, 3):
            norm = f"{scope}/batch_normalization{k - 1}{block}"
            y = hidden(y, 2 * block + k - 1, f"{scope}/w{k}_{block}", f"{scope}/b{k}_{block}", norm)
        if residual:
            y = start + y
    return linear_loop(y, values["w4"], values["b4"], max_norm)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda c: "-".join(f for f, on in zip(FLAGS, c) if on) or "-")
def test_forward_pass_is_the_published_one(combination):
    x = np.random.default_rng(0).normal(size=(BATCH, 6))
    for policy, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        model, _, values = small_model(combination, policy)
        rows = x.astype(policy)
        expected = forward_loop(x, values, combination, training=False)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(model(rows, training=False), expected, atol=tolerance * scale)
        for step in range(2):
            expected = forward_loop(x, values, combination, True, step)
            np.testing.assert_allclose(model(rows, training=True), expected, atol=tolerance * scale)


class NumpyTraining:
    """Training by hand: backpropagation through every piece, the clip's own gradient included, and Adam."""

    def __init__(self, values, combination, learning_rate):
        self.values = {k: v.copy() for k, v in values.items()}
        self.residual, self.batch_norm, self.max_norm, self.dropout = combination
        self.learning_rate, self.step = learning_rate, 0
        self.moments = {k: (np.zeros_like(v), np.zeros_like(v)) for k, v in values.items()}

    def linear(self, x, weight, bias):
        w = self.values[weight]
        norm = np.sqrt((w**2).sum())
        clipped = w / norm if self.max_norm and norm > 1 else w

        def backward(dy):
            dw = x.T @ dy
            if clipped is not w:
                dw = (dw - clipped * (clipped * dw).sum()) / norm
            self.gradients[weight], self.gradients[bias] = dw, dy.sum(axis=0)
            return dy @ clipped.T

        return x @ clipped + self.values[bias], backward

    def normed(self, x, norm):
        if not self.batch_norm:
            return x, lambda dy: dy
        mean, variance = x.mean(axis=0), x.var(axis=0)
        for part, now in (("moving_mean", mean), ("moving_variance", variance)):
            self.values[f"{norm}/{part}"] = 0.99 * self.values[f"{norm}/{part}"] + 0.01 * now
        std = np.sqrt(variance + 1e-3)
        unit = (x - mean) / std
        gamma = self.values[f"{norm}/gamma"]

        def backward(dy):
            self.gradients[f"{norm}/gamma"], self.gradients[f"{norm}/beta"] = (dy * unit).sum(axis=0), dy.sum(axis=0)
            du = dy * gamma
            return (du - du.mean(axis=0) - unit * (du * unit).mean(axis=0)) / std

        return gamma * unit + self.values[f"{norm}/beta"], backward

    def hidden(self, x, index, weight, bias, norm):
        y, through_linear = self.linear(x, weight, bias)
        y, through_norm = self.normed(y, norm)
        passed = (y > 0).astype(float)
        if self.dropout:
            passed *= linear_model.dropout_mask(y.shape, 0.6, 3, index, self.step).numpy() / 0.6
        return y * passed, lambda dy: through_linear(through_norm(dy * passed))

    def train(self, x, target):
        """One step; returns the loss before it."""
        self.gradients, backwards = {}, []
        y, back = self.hidden(x, 0, "w1", "b1", "batch_normalization")
        backwards.append(back)
        for block in range(2):
            scope, start = f"two_linear_{block}", y
            pair = []
            for k in (2, 3):
                norm = f"{scope}/batch_normalization{k - 1}{block}"
                y, back = self.hidden(y, 2 * block + k - 1, f"{scope}/w{k}_{block}", f"{scope}/b{k}_{block}", norm)
                pair.append(back)
            y = start + y if self.residual else y
            backwards.append(lambda dy, p=pair: p[0](p[1](dy)) + (dy if self.residual else 0))
        y, back = self.linear(y, "w4", "b4")
        backwards.append(back)
        gradient = 2 * (y - target) / y.size
        for back in reversed(backwards):
            gradient = back(gradient)
        self.adam()
        return ((y - target) ** 2).mean()

    def adam(self):
        rate = self.learning_rate * 0.96 ** (self.step / 100000)
        self.step += 1
        for name, g in self.gradients.items():
            m, v = self.moments[name]
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g**2
            rate_now = rate * np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step)
            self.values[name] -= rate_now * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda c: "-".join(f for f, on in zip(FLAGS, c) if on) or "-")
def test_first_steps_of_training_are_adams(combination):
    model, config, values = small_model(combination)
    by_hand = NumpyTraining(values, combination, 1e-2)
    optimizer = linear_model.adam(1e-2)

    @tf.function
    def step(x, target):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - target))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    rng = np.random.default_rng(1)
    for _ in range(5):
        x, target = rng.normal(size=(BATCH, 6)), rng.normal(size=(BATCH, 4))
        np.testing.assert_allclose(step(x, target), by_hand.train(x, target), rtol=1e-7)
    after = values_of(model, config)
    for name, expected in by_hand.values.items():
        np.testing.assert_allclose(after[name], expected, atol=1e-7, err_msg=name)
    assert np.abs(after["w1"] - values["w1"]).max() > 1e-2


@pytest.mark.parametrize("norm", [0.0, 0.3, 1.7, 40.0])
def test_clip_factor_is_clip_by_norm(norm):
    w = np.random.default_rng(2).normal(size=(7, 5))
    w = tf.constant(w * norm / np.linalg.norm(w))
    weight = tf.constant(np.random.default_rng(3).normal(size=(7, 5)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(w)
        ours, theirs = w * linear_model.clip_factor(w), tf.clip_by_norm(w, 1.0)
        ours_sum, theirs_sum = tf.reduce_sum(ours * weight), tf.reduce_sum(theirs * weight)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(ours_sum, w), tape.gradient(theirs_sum, w), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "combination", COMBINATIONS[::2], ids=lambda c: "-".join(f for f, on in zip(FLAGS, c) if on) or "-"
)
@pytest.mark.parametrize("with_statistics", [False, True])
def test_folded_network_is_the_model(combination, with_statistics):
    model, config, _ = small_model(combination, "float32")
    rng = np.random.default_rng(4)
    stats = [None, None]
    x = rng.normal(size=(50, 6)).astype(np.float32)
    expected = model(x, training=False).numpy()
    if with_statistics:
        stats = []
        for width in (6, 4):
            std = rng.uniform(20, 90, width)
            std[1] = 0
            stats.append(normalization.Statistics(rng.normal(0, 30, width), std, "planar", True, 9))
        x = stats[0].unnormalize(x)
        expected = stats[1].unnormalize(model(stats[0].normalize(x), training=False).numpy())
    found = linear_model.folded(config, model, *stats)(x)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_folded_network_full_size_saved_and_in_bfloat16(tmp_path):
    config = LinearModelConfig.of_stage("pose3d", residual=True, batch_norm=True, max_norm=True, dropout=0.5)
    model = linear_model.build(config)
    x = np.random.default_rng(6).normal(size=(40, 68)).astype(np.float32)
    for _ in range(3):
        model(x, training=True)
    expected = model(x, training=False).numpy()
    scale = np.abs(expected).max()
    folded = linear_model.folded(config, model)
    np.testing.assert_allclose(folded(x), expected, atol=1e-5 * scale)
    tf.saved_model.save(folded, str(tmp_path / "saved"), signatures=folded._run)
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"](tf.constant(x))
    np.testing.assert_allclose(next(iter(served.values())), folded(x), atol=1e-6 * scale)
    rough = linear_model.folded(config, model, compute_dtype=tf.bfloat16)(x)
    assert rough.dtype == tf.float32
    np.testing.assert_allclose(rough, expected, atol=0.03 * scale)


def test_initial_weights_and_biases_are_truncated_normal():
    config = LinearModelConfig.of_stage("left2right", seed=1)
    values = values_of(linear_model.build(config), config)
    for name, value in values.items():
        unit = value / np.sqrt(2 / value.shape[0])
        assert np.abs(unit).max() <= 2
        if value.size > 500:
            # A unit normal cut at two sigma has standard deviation 0.8796.
            assert np.abs(unit).max() > 1.9
            assert abs(unit.std() - 0.8796) < 4 / np.sqrt(value.size), name
            assert abs(unit.mean()) < 4 / np.sqrt(value.size), name
    again = values_of(linear_model.build(config), config)
    other = LinearModelConfig.of_stage("left2right", seed=2)
    others = values_of(linear_model.build(other), other)
    for name in values:
        np.testing.assert_array_equal(again[name], values[name])
        assert (others[name] != values[name]).all()
    assert not np.isin(values["b1"], values["two_linear_0/b2_0"]).any()


def test_variables_have_the_released_names():
    config = LinearModelConfig.of_stage("pose3d", batch_norm=True, dropout=0.5, linear_size=16)
    model = linear_model.build(config)
    found = {name: tuple(v.shape) for name, v in linear_model.released_variables(model, config).items()}
    norms = ["gamma", "beta", "moving_mean", "moving_variance"]
    expected = {"w1": (68, 16), "b1": (16,), "w4": (16, 51), "b4": (51,)}
    expected.update({f"batch_normalization/{part}": (16,) for part in norms})
    for i in "01":
        for k, n in (("2", "1"), ("3", "2")):
            expected[f"two_linear_{i}/w{k}_{i}"] = (16, 16)
            expected[f"two_linear_{i}/b{k}_{i}"] = (16,)
            expected.update({f"two_linear_{i}/batch_normalization{n}{i}/{part}": (16,) for part in norms})
    assert found == {f"linear_model/{name}": shape for name, shape in expected.items()}
    named = {id(v) for v in linear_model.released_variables(model, config).values()}
    assert {id(v) for v in model.trainable_variables} <= named
    for stage, sizes in (("left2right", (34, 34)), ("pose3d", (68, 51)), ("direct", (34, 51))):
        model = linear_model.build(LinearModelConfig.of_stage(stage, linear_size=4))
        assert (model.input_shape[1], model.output_shape[1]) == sizes


def test_dropout_goes_on_after_saving_as_if_nothing_had_happened(tmp_path):
    combination = (True, True, True, True)
    x = np.random.default_rng(7).normal(size=(BATCH, 6))
    whole, _, _ = small_model(combination)
    results = [whole(x, training=True).numpy() for _ in range(4)]
    assert not np.allclose(results[0], results[1])
    first, _, _ = small_model(combination)
    for _ in range(2):
        first(x, training=True)
        first(x, training=False)
    first.save_weights(str(tmp_path / "model.h5"))
    second, _, _ = small_model(combination)
    second.load_weights(str(tmp_path / "model.h5"))
    for expected in results[2:]:
        np.testing.assert_array_equal(second(x, training=True), expected)


def test_dropout_keeps_the_share_it_is_told_to():
    drawn = {}
    for key in itertools.product((1, 2), (0, 1), (0, 1), (0, 1)):
        seed, index, step, replica = key
        drawn[key] = linear_model.dropout_mask((200, 300), 0.3, seed, index, step, replica).numpy()
        assert abs(drawn[key].mean() - 0.3) < 4 * np.sqrt(0.21 / 60000)
    for one, other in itertools.combinations(drawn.values(), 2):
        # Independent masks agree where both keep or both drop: 0.09 + 0.49.
        assert abs((one == other).mean() - 0.58) < 0.02
    layer = linear_model.StatelessDropout(0.3, 1, 0)
    kept = layer(np.ones((200, 300), np.float32), training=True).numpy()
    np.testing.assert_allclose(kept, drawn[1, 0, 0, 0] / 0.3, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    """Variables, result and the clip's norm stay float32: the sum of 256 x 256 squares overflows float16."""
    config = LinearModelConfig.of_stage("pose3d", linear_size=256, residual=True, batch_norm=True, max_norm=True)
    x = np.random.default_rng(8).normal(size=(64, 68)).astype(np.float32)
    plain = linear_model.build(config)
    tf.keras.mixed_precision.set_global_policy(policy)
    mixed = linear_model.build(config)
    assert {v.dtype for v in mixed.trainable_variables} == {tf.float32}
    big = mixed.get_layer("linear_two_linear_0_w2_0").w
    big.assign(tf.ones_like(big))
    plain.get_layer("linear_two_linear_0_w2_0").w.assign(big)
    for training in (True, False):
        expected, found = plain(x, training=training), mixed(x, training=training)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    mixed.compile("adam", "mse")
    history = mixed.fit(x, np.zeros((64, 51), np.float32), epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_learning_rate_decays_continuously():
    schedule = linear_model.learning_rate_schedule(1e-3)
    for step in (0, 1, 50_000, 100_000, 250_000):
        np.testing.assert_allclose(schedule(step), 1e-3 * 0.96 ** (step / 100_000), rtol=1e-5)


def test_bad_configurations_are_input_errors():
    with pytest.raises(InputError, match="keep"):
        LinearModelConfig.of_stage("pose3d", dropout=0.0)
    with pytest.raises(InputError, match="left2right, pose3d, direct"):
        LinearModelConfig.of_stage("pose2d")
    with pytest.raises(InputError, match="positive"):
        LinearModelConfig(34, 34, linear_size=0)


REPLICAS = """
import numpy as np, tensorflow as tf
from label_generator.networks import linear_model
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
tf.keras.mixed_precision.set_global_policy("float64")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(48, 34)), rng.normal(size=(48, 51))

def trained(strategy, keep):
    with strategy.scope():
        config = linear_model.LinearModelConfig.of_stage(
            "direct", linear_size=16, num_layers=1, residual=True, batch_norm=True, max_norm=True, dropout=keep)
        model = linear_model.build(config, synchronized=True)
        model.compile(linear_model.adam(1e-2), "mse")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    model.fit(data.with_options(options), epochs=2, verbose=0)
    return model

mirrored, one = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.OneDeviceStrategy("CPU:0")
assert mirrored.num_replicas_in_sync == 2
pair = [trained(strategy, 1.0).get_weights() for strategy in (mirrored, one)]
for a, b in zip(*pair):
    np.testing.assert_allclose(a, b, atol=1e-8)
model = trained(mirrored, 0.5)
steps = [v.numpy() for v in model.variables if "step" in v.name]
assert steps == [6] * 3, steps
layer = model.get_layer("dropout_0")
ones = tf.ones([8, 16], tf.float64)
masks = mirrored.experimental_local_results(mirrored.run(lambda: layer(ones, training=True)))
for replica, mask in enumerate(masks):
    expected = linear_model.dropout_mask((8, 16), 0.5, 0, 0, 6, replica)
    np.testing.assert_array_equal(mask.numpy() > 0, expected.numpy())
assert (masks[0].numpy() != masks[1].numpy()).any()
print("replicas agree")
"""


def test_two_replicas_train_as_one_device_and_drop_differently(repository):
    environment = {**os.environ, "PYTHONPATH": str(repository), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], env=environment, capture_output=True, text=True, timeout=240
    )
    assert "replicas agree" in done.stdout, done.stderr[-2000:]
