"""The network on MediaPipe's landmark network: what it gives, what its files hold, how it does without the wheel."""

import importlib.util
import json

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import decoding, kinds, landmark_encoder, network_files
from baseline_network.prediction.predictor import Predictor
from tools.cli.errors import InputError
from tools.detection import mediapipe_models

SIZES = landmark_encoder.Sizes(modules=1, features=8)


LIFTING = landmark_encoder.LiftingSizes(modules=1, features=8)


@pytest.fixture(scope="module", params=[SIZES, LIFTING], ids=["head", "lifting"])
def model(request):
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    tf.keras.utils.set_random_seed(3)
    model = landmark_encoder.build(request.param, dtype="float32")
    # Batch norms' values as after a training, not those with which nothing is moved.
    rng = np.random.default_rng(5)
    for name, variable in network_files.variables_of(model).items():
        if name.endswith(("/gamma", "/moving_variance")):
            variable.assign(rng.uniform(0.7, 1.4, variable.shape))
        elif name.endswith(("/beta", "/moving_mean")):
            variable.assign(rng.normal(0, 0.2, variable.shape))
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return network_files.save(tmp_path_factory.mktemp("head") / "net", model, {"crop_margin": 1.4, "peaks": "fit"})


def images(count=1):
    return tf.constant(np.random.default_rng(1).random((count, 256, 256, 3), np.float32))


def test_files_hold_the_head_alone_and_give_the_same_answers(model, saved):
    network = network_files.load(saved)
    assert network.sizes == kinds.sizes_of(model)
    assert type(network.sizes) is type(kinds.sizes_of(model)) is kinds.SIZES[model.name]
    assert json.loads((saved / "model.json").read_text())["network"] == model.name
    assert set(network.values) == set(network_files.variables_of(model))
    # The landmark network has millions of numbers.
    assert sum(value.size for value in network.values.values()) == model.count_params() < 1_500_000
    outputs, again = model(images(), training=False), network.build("float32")(images(), training=False)
    assert outputs["heatmaps"].shape == (1, 1, 32, 32, 16)
    assert outputs["depths"].shape == (1, 16)
    for name, values in outputs.items():
        np.testing.assert_allclose(again[name], values, atol=1e-6)
    # Probabilities: a joint's cells sum to one.
    np.testing.assert_allclose(tf.reduce_sum(outputs["heatmaps"], [2, 3]) / landmark_encoder.PEAK, 1.0, rtol=1e-4)
    folded = kinds.answer_of(model)(images())
    for name, values in outputs.items():
        np.testing.assert_allclose(folded[name], values, rtol=1e-3, atol=1e-4)


def test_a_head_goes_on_as_one_that_lifts(model):
    values = {name: variable.numpy() for name, variable in network_files.variables_of(model).items()}
    before = network_files.HourglassWeights(kinds.sizes_of(model), values, {})
    assert before.of_kind(kinds.sizes_of(model)) is before
    if kinds.sizes_of(model) == LIFTING:
        return
    lifting = before.of_kind(LIFTING).build("float32")
    outputs, again = model(images(), training=False), lifting(images(), training=False)
    np.testing.assert_allclose(again["heatmaps"], outputs["heatmaps"], atol=1e-6)
    # What is read where the joints are, without what the former dense layers added.
    there = tf.keras.Model(model.input, model.get_layer("depths.there").output)(images(), training=False)
    np.testing.assert_allclose(again["depths"], there, atol=1e-5)


def test_places_are_those_of_the_probabilities():
    heat = np.zeros((1, 32, 32, 2), np.float32)
    heat[0, 20, 9, 0] = landmark_encoder.PEAK
    heat[0, [4, 8], 31, 1] = landmark_encoder.PEAK / 2
    x, y, spread = np.split(landmark_encoder.places(tf.constant(heat))[0].numpy(), 3)
    np.testing.assert_allclose(x, [9.5 / 16 - 1, 31.5 / 16 - 1], atol=1e-6)
    np.testing.assert_allclose(y, [20.5 / 16 - 1, 6.5 / 16 - 1], atol=1e-6)
    np.testing.assert_allclose(spread, [1e-3, 2 / 16], atol=2e-4)
    features = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    there = landmark_encoder.features_there(tf.constant(features), tf.constant(heat))
    middle = (features[0, 4, 31] + features[0, 8, 31]) / 2
    np.testing.assert_allclose(there[0], [*features[0, 20, 9], *middle], rtol=1e-5)


def test_only_the_head_is_trained(model):
    with tf.GradientTape() as tape:
        outputs = model(images(), training=True)
        loss = tf.reduce_mean(outputs["heatmaps"] ** 2) + tf.reduce_mean(outputs["depths"] ** 2)
    assert all(gradient is not None for gradient in tape.gradient(loss, model.trainable_variables))
    assert not model.get_layer("landmark_maps").weights


def test_a_gaussian_of_probability_is_found_where_it_is():
    middles = np.arange(32) + 0.5
    x, y = 9.3, 20.8
    shape = np.exp(-((middles[None] - x) ** 2 + (middles[:, None] - y) ** 2) / (2 * landmark_encoder.SIGMA**2))
    heat = landmark_encoder.Heat()(tf.constant(np.log(shape + 1e-9)[None, ..., None], tf.float32))
    points, confidence = decoding.peaks(heat, decoding.FIT)
    np.testing.assert_allclose(points[0, 0], [x, y], atol=1e-2)
    assert 0.8 < confidence[0, 0] < 1.01


def test_predictions_are_in_the_picture(saved):
    predictor = Predictor(network_files.load(saved), flip=False)
    assert (predictor.resolution, predictor.margin) == (256, 1.4)
    crops = np.random.default_rng(0).uniform(0, 255, (1, 256, 256, 3)).astype(np.float32)
    # Pixels of the picture to those of the crop: half as large, from (50, 10) on.
    found = predictor.from_crops(crops, np.array([[[2.0, 0.0, -100.0], [0.0, 2.0, -20.0]]], np.float32))
    assert found["pose_3d"].shape == (1, 16, 3)
    assert all(np.isfinite(values).all() for values in found.values())
    assert (np.abs(found["points"] - [114.0, 74.0]) <= 64.5).all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"resolution": 128}, "resolution=128: .* has 256"), ({"stacks": 2}, "stacks=2: .* has 1")],
)
def test_sizes_that_it_cannot_have(sizes, message):
    with pytest.raises(InputError, match=message):
        landmark_encoder.Sizes(**sizes)


def test_files_that_are_not_of_its_sizes(saved, tmp_path):
    content = json.loads((saved / "model.json").read_text())
    content["sizes"]["modules"] = 2
    (tmp_path / "model.json").write_text(json.dumps(content))
    (tmp_path / "weights.npz").write_bytes((saved / "weights.npz").read_bytes())
    with pytest.raises(InputError, match=r"weights\.npz: features, joints and modules are \(8, 16, 1\)"):
        network_files.load(tmp_path)
    with pytest.raises(InputError, match="resolution=128"):
        network_files.load(saved).at_resolution(128)


def test_without_the_wheel(saved, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(landmark_encoder, "_landmark_network", landmark_encoder._landmark_network.__wrapped__)
    with pytest.raises(InputError, match=r"pip install --no-deps mediapipe==0\.10\.21"):
        network_files.load(saved).build("float32")


def test_the_shipped_weights_without_the_wheel(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        network_files.default_weights()
    assert "pip install --no-deps mediapipe==0.10.21" in str(caught.value)
    assert "--weights=photographs-128-2" in str(caught.value)
    network = network_files.default_weights(fall_back=True)
    assert network.sizes.resolution == 128
    assert "photographs-128-2" in capsys.readouterr().out
