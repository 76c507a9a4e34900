"""The exported files: the core against the network, TFLite's operations, bounds that refuse, times and differences."""

import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.exporting import formats
from baseline_network.images import crop
from baseline_network.network import decoding, hourglass
from tools.cli import quiet, signals
from tools.cli.errors import InputError

CROPS = np.random.default_rng(0).uniform(0, 255, [3, 64, 64, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """Two stacks, so that the last one is not the only one; normalisations with values of their own."""
    tf.keras.utils.set_random_seed(1)  # how much int8 costs depends on the values
    made = hourglass.build(hourglass.Sizes(2, 1, 16, 64), dtype="float32")
    rng = np.random.default_rng(1)
    for variable in made.variables:
        if "moving_variance" in variable.name or "gamma" in variable.name:
            variable.assign(rng.uniform(0.7, 1.4, variable.shape))
        elif "moving_mean" in variable.name or "beta" in variable.name:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return made


@pytest.fixture(scope="module")
def core(model):
    return formats.core(model)


@pytest.fixture(scope="module")
def expected(model):
    return formats.heatmaps_and_depths(model, CROPS)


def test_the_core_is_the_network(model, core, expected):
    before = [variable.numpy() for variable in model.variables]
    found = core(CROPS)
    outputs = model(crop.to_network(tf.constant(CROPS)))
    np.testing.assert_array_equal(expected["heatmaps"], outputs["heatmaps"][:, 1])
    for name, values in expected.items():
        assert np.abs(values).max() > 0.1
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)
    core.trainable_variables[0].assign_add(tf.ones_like(core.trainable_variables[0]))
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value)
    core.trainable_variables[0].assign_sub(tf.ones_like(core.trainable_variables[0]))


@pytest.fixture(scope="module")
def converted(core):
    return {precision: formats.convert(core, precision, CROPS) for precision in formats.PRECISIONS}


@pytest.mark.parametrize(("precision", "bound"), [("float16", formats.FLOAT16_BOUND / 4), ("int8", 0.1)])
def test_tflite_says_what_the_network_says(precision, bound, converted, expected):
    found = formats.TFLiteCore(converted[precision], threads=1)(CROPS)
    for name, values in expected.items():
        assert found[name].shape == values.shape
    between = formats.output_differences(expected, found)
    assert 0 < max(between.values()) < bound
    # Also without the library of quick operations that desktop builds of TFLite have.
    plain = tf.lite.Interpreter(
        model_content=converted[precision],
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    slow = plain.get_signature_runner()(image=CROPS[:1])
    for name in expected:
        assert np.abs(slow[name] - expected[name][:1]).max() < bound
    assert max(len(tensor["shape"]) for tensor in plain.get_tensor_details()) <= 4


def test_tflite_sizes(converted, model):
    values = sum(int(np.prod(variable.shape)) for variable in model.variables)
    # Two bytes and one for each value, and the graph.
    assert 2 * values < len(converted["float16"]) < 2 * values + 200_000
    assert values < len(converted["int8"]) < values + 250_000


def test_float16_bounds_refuse():
    formats.check_float16({"max_heatmaps": 0.019, "max_depths": 0.0}, "core")
    for far in ({"max_heatmaps": 0.021, "max_depths": 0.0}, {"max_heatmaps": 0.0, "max_depths": float("nan")}):
        with pytest.raises(InputError, match=r"core: .*differ from the Keras model's"):
            formats.check_float16(far, "core")


@pytest.mark.parametrize("far", [{"max_px": 0.2, "max_mm": 0.0}, {"max_px": 0.0, "max_mm": 2.0}, {"max_px": np.nan}])
def test_saved_bounds_refuse(far):
    near = {"max_px": 0.01, "max_mm": 0.1}
    formats.check_saved(near, "saved")
    with pytest.raises(InputError, match="saved: joints differ"):
        formats.check_saved({**near, **far}, "saved")


def test_differences_by_hand():
    poses = np.zeros([1, 16, 3])
    points = np.zeros([1, 16, 2])
    moved = {"points": points + [3, 4], "pose_3d": poses.copy()}
    moved["pose_3d"][0, 5] = [2, 3, 6]
    found = formats.differences({"points": points, "pose_3d": poses}, moved)
    assert found == {"median_px": 5.0, "max_px": 5.0, "median_mm": 0.0, "max_mm": 7.0}


def test_decode_is_decoding(expected):
    transforms = crop.crop_transforms(tf.constant([[30.0, 40.0]] * 3), tf.constant([90.0, 64.0, 20.0]), 64).numpy()
    for refine in (decoding.QUARTER, decoding.FIT):
        found = formats.decode(expected, transforms, 64, refine)
        places, confidence = decoding.peaks(tf.constant(expected["heatmaps"]), refine)
        back = crop.move(places * 4.0, crop.invert(tf.constant(transforms)))
        np.testing.assert_allclose(found["points"], back, rtol=1e-5)
        np.testing.assert_array_equal(found["confidence"], confidence)


def test_the_converters_words_are_kept_for_failures(capfd):
    with quiet.only_on_failure():
        os.write(2, b"a page of notices")
    assert "notices" not in capfd.readouterr().err

    def fail(error):
        with quiet.only_on_failure():
            os.write(2, b"what went wrong")
            raise error

    for signal in (KeyboardInterrupt(), signals.Ended(15)):
        with pytest.raises(type(signal)):
            fail(signal)
        assert "wrong" not in capfd.readouterr().err
    with pytest.raises(RuntimeError):
        fail(RuntimeError())
    print("still there", file=sys.stderr)
    told = capfd.readouterr().err
    assert "what went wrong" in told
    assert "still there" in told


def test_milliseconds():
    calls = []

    def call():
        calls.append(1)

    assert 0 <= formats.milliseconds(lambda: call() or sum(range(200_000))) < 1000
    assert len(calls) >= 4
