"""The network against a count made by hand, against its description's shapes, and against a PyTorch twin."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.importing.pytorch_hg3d import set_weights
from baseline_network.network import hourglass
from tools.cli.errors import InputError

TINY = hourglass.Sizes(stacks=1, modules=1, features=16, resolution=64, joints=16)
SMALL = hourglass.Sizes(stacks=2, modules=1, features=16, resolution=64, joints=16)


def parameters_by_hand(sizes):
    """The count, term by term from docs/reference.md: a convolution has weights and biases, a batch norm two
    numbers.
    """

    def convolution(inside, out, kernel=1):
        return inside * out * kernel**2 + out

    def residual(inside, out):
        half = out // 2
        count = 2 * inside + convolution(inside, half) + 2 * half + convolution(half, half, 3)
        count += 2 * half + convolution(half, out)
        return count + (convolution(inside, out) if inside != out else 0)

    f, one = sizes.features, residual(sizes.features, sizes.features) * sizes.modules
    stem = convolution(3, 64, 7) + 2 * 64 + residual(64, 128) + residual(128, 128) + residual(128, f)
    # Four levels with three positions each, and the innermost's fourth.
    per_stack = (4 * 3 + 1) * one + one + convolution(f, f) + 2 * f
    per_stack += convolution(f, sizes.joints) + convolution(f, f) + convolution(sizes.joints, f)
    cells = (sizes.resolution // 64) ** 2
    return stem + sizes.stacks * per_stack + 4 * one + cells * f * sizes.joints + sizes.joints


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.fixture(scope="module")
def published():
    return hourglass.build()


@pytest.fixture(scope="module")
def tiny():
    return hourglass.build(TINY, dtype="float32")


def test_published_size_has_the_published_number_of_parameters(published):
    assert trainable(published) == parameters_by_hand(hourglass.Sizes()) == 14_429_104
    assert hourglass.sizes_of(published) == hourglass.Sizes()


def test_every_tensor_of_the_published_size(published):
    def shape(name):
        return published.get_layer(name).output.shape[1:].as_list()

    assert published.input_shape == (None, 256, 256, 3)
    assert shape("conv1_") == [128, 128, 64]
    assert shape("r1.add") == [128, 128, 128]
    assert shape("r4.add") == [64, 64, 128]
    assert shape("r5.add") == [64, 64, 256]
    for stack in range(2):
        path = f"hourglass.{stack}"
        for side in (64, 32, 16, 8):
            for number in range(2):
                assert shape(f"{path}.up1_.{number}.conv2") == [side, side, 128]
                assert shape(f"{path}.up1_.{number}.add") == [side, side, 256]
                assert shape(f"{path}.low1_.{number}.add") == [side // 2, side // 2, 256]
                assert shape(f"{path}.low3_.{number}.add") == [side // 2, side // 2, 256]
            assert shape(f"{path}.up2") == [side, side, 256]
            innermost = path
            path += ".low2"
        assert shape(f"{innermost}.low2_.1.add") == [4, 4, 256]
        assert shape(f"lin_.{stack}.0") == shape(f"ll_.{stack}") == shape(f"tmpOut_.{stack}") == [64, 64, 256]
        assert shape(f"tmpOut.{stack}") == [64, 64, 16]
        assert shape(f"Residual.{2 * stack + 1}.add") == [64, 64, 256]
    for pool, side in enumerate((32, 16, 8, 4)):
        assert shape(f"reg_.{2 * pool + 1}.add") == [2 * side, 2 * side, 256]
        assert shape(f"reg_.pool{pool}") == [side, side, 256]
    assert shape("reg.flatten") == [4 * 4 * 256]
    shapes = {name: output.shape.as_list() for name, output in published.output.items()}
    assert shapes == {"heatmaps": [None, 2, 64, 64, 16], "depths": [None, 16]}


def test_other_sizes():
    sizes = hourglass.Sizes(3, 1, 128, 128, 5)
    model = hourglass.build(sizes)
    assert trainable(model) == parameters_by_hand(sizes)
    assert hourglass.sizes_of(model) == sizes
    outputs = model(np.zeros([1, sizes.resolution, sizes.resolution, 3], np.float32))
    quarter = sizes.resolution // 4
    assert outputs["heatmaps"].shape == (1, sizes.stacks, quarter, quarter, sizes.joints)
    assert outputs["depths"].shape == (1, sizes.joints)


@pytest.mark.parametrize("wrong", [{"stacks": 0}, {"features": 31}, {"resolution": 100}, {"modules": 1.5}])
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        hourglass.Sizes(**wrong)


def test_addition_of_the_enlarged_map_is_kerass():
    rng = np.random.default_rng(0)
    fine = tf.constant(rng.normal(size=[2, 8, 12, 5]), tf.float32)
    coarse = tf.constant(rng.normal(size=[2, 4, 6, 5]), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([fine, coarse])
        ours = hourglass.AddUpsampled()([fine, coarse])
        theirs = fine + tf.keras.layers.UpSampling2D(2, interpolation="nearest")(coarse)
        losses = [tf.reduce_sum(tf.sin(value)) for value in (ours, theirs)]
    np.testing.assert_array_equal(ours, theirs)
    for tensor in (fine, coarse):
        gradients = [tape.gradient(loss, tensor) for loss in losses]
        np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [
        hourglass.Sizes(2, 2, 16, 128, 16),
        hourglass.Sizes(1, 1, 128, 64, 16),
    ],
)
def test_equals_its_pytorch_twin(torch, twin, sizes):
    network, model = twin(sizes), hourglass.build(sizes)
    set_weights(model, {k: v.numpy() for k, v in network.state_dict().items() if "num_batches" not in k})
    images = np.random.default_rng(1).uniform(0, 1, [2, sizes.resolution, sizes.resolution, 3]).astype(np.float32)
    with torch.no_grad():
        heatmaps, depths = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    ours = model(images, training=False)
    expected = np.stack([maps.numpy().transpose(0, 2, 3, 1) for maps in heatmaps], 1)
    # As close as float32 allows, however large the random weights make the outputs.
    np.testing.assert_allclose(ours["heatmaps"], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(ours["depths"], depths.numpy(), rtol=1e-4, atol=1e-4 * depths.abs().max().item())


def test_trains_as_its_pytorch_twin(torch, twin):
    """With batch statistics: loss, gradients, running statistics. In float64, since batch norm over the few pixels of
    the innermost maps makes much of every rounding."""
    network = twin(SMALL).double().train()
    model = hourglass.build(SMALL, dtype="float64")
    set_weights(model, {k: v.numpy() for k, v in network.state_dict().items() if "num_batches" not in k})
    images = np.random.default_rng(2).uniform(0, 1, [4, 64, 64, 3]).astype(np.float32)
    heatmaps, depths = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).double())
    loss = sum((maps**2).mean() for maps in heatmaps) + (depths**2).mean()
    loss.backward()
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        ours = 2 * tf.reduce_mean(outputs["heatmaps"] ** 2) + tf.reduce_mean(outputs["depths"] ** 2)
    layers = [model.get_layer(name) for name in ("tmpOut.1", "lin_.0.0", "hourglass.0.low2.up1_.0.conv1", "conv1_")]
    gradients = tape.gradient(ours, [layer.kernel for layer in layers])
    assert float(ours) == pytest.approx(loss.item(), rel=1e-5)
    modules = dict(network.named_modules())
    for layer, gradient in zip(layers, gradients):
        expected = modules[layer.name].weight.grad.numpy().transpose(2, 3, 1, 0)
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())
    # PyTorch's running variance is Bessel's; Keras' own loop over float64 is not, which many pixels make the same.
    norm = modules["bn1"]
    np.testing.assert_allclose(model.get_layer("bn1").moving_mean, norm.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(model.get_layer("bn1").moving_variance, norm.running_var.numpy(), rtol=1e-3)


def test_starts_as_pytorch_does(tiny):
    for name, inputs in (("conv1_", 3 * 49), ("r1.conv2", 64 * 9), ("reg", 16)):
        for weights in tiny.get_layer(name).get_weights():
            limit = inputs**-0.5
            assert np.abs(weights).max() <= limit
            if weights.size > 100:
                assert weights.std() == pytest.approx(limit / 3**0.5, rel=0.1)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_answers_in_float32(tiny, policy):
    model = hourglass.build(TINY, dtype=policy)
    model.set_weights(tiny.get_weights())
    assert all(variable.dtype == tf.float32 for variable in model.variables)
    assert model.get_layer("conv1_").output.dtype == policy.split("_")[1]
    images = np.random.default_rng(0).uniform(0, 1, [2, 64, 64, 3]).astype(np.float32)
    outputs, truth = model(images), tiny(images)
    for name, output in outputs.items():
        assert output.dtype == tf.float32
        np.testing.assert_allclose(output, truth[name], atol=0.05)


def test_xla_and_saving_change_nothing(tiny, tmp_path):
    images = np.random.default_rng(0).uniform(0, 1, [2, 64, 64, 3]).astype(np.float32)
    expected = tiny(images)
    compiled = tf.function(lambda x: tiny(x, training=False), jit_compile=True)(tf.constant(images))
    tiny.save(tmp_path / "model.keras")
    saved = tf.keras.models.load_model(tmp_path / "model.keras")(images)
    for name, output in expected.items():
        np.testing.assert_allclose(compiled[name], output, atol=1e-5)
        np.testing.assert_allclose(saved[name], output, atol=1e-6)


def test_synchronized_batch_norm_by_argument(tiny):
    norms = [
        [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
        for model in (tiny, hourglass.build(TINY, synchronized=True))
    ]
    assert len(norms[0]) == len(norms[1]) > 50
    assert not any(layer.synchronized for layer in norms[0])
    assert all(layer.synchronized for layer in norms[1])
