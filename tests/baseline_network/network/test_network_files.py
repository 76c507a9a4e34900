"""Weights folders of the baseline network: round trips, damage that is named, nothing half-written."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import hourglass, network_files
from tools.cli.errors import InputError

SIZES = hourglass.Sizes(stacks=1, modules=1, features=8, resolution=64)


@pytest.fixture(scope="module")
def model():
    """A small network whose every variable, moving statistics included, has values of its own."""
    tf.keras.utils.set_random_seed(3)
    model = hourglass.build(SIZES, dtype="float32")
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "deep" / "net"
    return network_files.save(folder, model, {"crop_margin": 1.4, "pck": np.float32(0.5)})


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "net")


def images(count=2):
    return np.random.default_rng(1).random((count, 64, 64, 3), np.float32)


def test_round_trip_gives_the_same_answers(model, saved):
    network = network_files.load(saved)
    assert network.sizes == SIZES
    assert network.facts == {"crop_margin": 1.4, "pck": 0.5}
    assert network.directory == str(saved)
    assert len(network.values) == len(model.variables)
    assert all(value.dtype == np.float32 for value in network.values.values())
    again = network.build(dtype="float32")
    for name, answer in model(images(), training=False).items():
        assert np.isfinite(answer).all()
        np.testing.assert_array_equal(again(images(), training=False)[name], answer)
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "weights.npz"]
    assert [path.name for path in saved.parent.iterdir()] == ["net"]


def test_another_resolution_shares_the_depths_weights_out_by_area(saved):
    rng, network = np.random.default_rng(5), network_files.load(saved)
    joints, features = network.sizes.joints, network.sizes.features
    kernel = rng.normal(size=[4 * features, joints]).astype(np.float32)  # of 2 x 2 cells, as at 128 px
    sizes = hourglass.Sizes(**{**dataclasses.asdict(network.sizes), "resolution": 128})
    network = dataclasses.replace(network, sizes=sizes, values={**network.values, "reg/kernel": kernel})
    cells = rng.normal(size=[2, 2, features])
    expected = cells.reshape(-1) @ kernel
    for resolution in (64, 192, 256):
        other = network.at_resolution(resolution)
        assert other.sizes == dataclasses.replace(sizes, resolution=resolution)
        size = resolution // 64
        # Features that are constant over each of the four cells; a cell of 3 x 3 in the middle sees their mean.
        fine = cells.repeat(6, 0).repeat(6, 1).reshape(size, 12 // size, size, 12 // size, features).mean((1, 3))
        if resolution != 192:
            given = fine if resolution > 64 else np.ones_like(fine)
            wanted = expected if resolution > 64 else kernel.reshape(4, features, joints).sum((0, 1))
            np.testing.assert_allclose(given.reshape(-1) @ other.values["reg/kernel"], wanted, rtol=1e-4)
        ones = np.ones([size * size * features])
        np.testing.assert_allclose(ones @ other.values["reg/kernel"], kernel.sum(0), rtol=1e-4, atol=1e-4)
    built = network.at_resolution(192).build(dtype="float32")
    assert built(np.zeros([1, 192, 192, 3], np.float32))["depths"].shape == (1, joints)
    assert network.at_resolution(128) is network
    with pytest.raises(InputError, match="resolution=100: must be a multiple of 64"):
        network.at_resolution(100)


def test_variables_have_the_names_of_the_published_modules(folder):
    names = set(np.load(folder / "weights.npz").files)
    assert {"conv1_/kernel", "hourglass.0.low2.up1_.0.bn1/moving_variance", "lin_.0.1/gamma", "reg/bias"} <= names


def test_mixed_precision_keeps_float32_values(folder):
    model = network_files.load(folder).build(dtype=tf.keras.mixed_precision.Policy("mixed_bfloat16"))
    assert all(variable.dtype == tf.float32 for variable in model.variables)
    assert np.isfinite(model(images(), training=False)["depths"]).all()


def test_half_precision_halves_the_file_and_refuses_what_overflows(model, folder, tmp_path):
    half = network_files.save(tmp_path / "half", model, half=True)
    assert (half / "weights.npz").stat().st_size < 0.7 * (folder / "weights.npz").stat().st_size
    for name, value in network_files.load(half).values.items():
        np.testing.assert_array_equal(value, network_files.load(folder).values[name].astype(np.float16))
    variable = model.get_layer("reg").bias
    before = variable.numpy()
    try:
        variable.assign(tf.fill(variable.shape, 1e5))
        with pytest.raises(InputError, match="reg/bias is not finite in float16; nothing was written"):
            network_files.save(tmp_path / "over", model, half=True)
    finally:
        variable.assign(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "net"]


def test_saving_again_replaces_all_but_the_card(model, folder):
    (folder / "README.md").write_text("a card")
    (folder / "left-over").write_text("x")
    network_files.save(folder, model, {"steps": 2})
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.json", "weights.npz"]
    assert (folder / "README.md").read_text() == "a card"
    assert network_files.load(folder).facts == {"steps": 2}


def rewrite(folder, change):
    """Changes the arrays of a folder."""
    with np.load(folder / "weights.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    np.savez(folder / "weights.npz", **arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("reg/bias"), "weights.npz: variable reg/bias is missing"),
        (lambda arrays: arrays.update({"x/y": np.zeros(2)}), "weights.npz: variable x/y is not of this network"),
        (
            lambda arrays: arrays.update({"reg/bias": np.zeros(3, np.float32)}),
            r"weights.npz: reg/bias is \[3\], expected \[16\]",
        ),
        (
            lambda arrays: arrays.update({"reg/bias": np.full(16, np.nan)}),
            "weights.npz: variable reg/bias is not finite",
        ),
        (
            lambda arrays: arrays.update({"reg/bias": np.array(["a"] * 16)}),
            "reg/bias is of type <U1, expected floating",
        ),
        (
            lambda arrays: arrays.update({"reg/bias": np.ones(16) * 1j}),
            "reg/bias is of type complex128",
        ),
        (
            lambda arrays: arrays.update({"bn1/moving_variance": -arrays["bn1/moving_variance"]}),
            "weights.npz: variable bn1/moving_variance holds negative variances",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, words, folder):
    rewrite(folder, change)
    with pytest.raises(InputError, match=words):
        network_files.load(folder).build()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 9}, "model.json: expected a network description of format 1"),
        ({"network": "linear"}, "model.json: describes no baseline network"),
        ({"input": "RGB"}, "model.json: the network's input is 'RGB', expected 'BGR / 256'"),
        ({"sizes": {"stacks": 1}}, "model.json: expected sizes with the whole numbers"),
        ({"sizes": {"stacks": True}}, "model.json: expected sizes with the whole numbers"),
        ({"facts": 3}, "model.json: expected sizes .* and facts"),
        (
            {"sizes": {"stacks": 1, "modules": 1, "features": 8, "resolution": 65, "joints": 16}},
            "model.json: resolution=65: must be a multiple of 64",
        ),
    ],
)
def test_descriptions_that_do_not_fit_are_named(change, words, folder):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=words):
        network_files.load(folder)


@pytest.mark.parametrize(
    "change", [{"stacks": 100_000}, {"modules": 2}, {"features": 10**6}, {"resolution": 128}, {"joints": 17}]
)
def test_sizes_are_compared_with_the_arrays_before_a_network_of_them_is_built(change, folder):
    path = folder / "model.json"
    content = json.loads(path.read_text())
    content["sizes"].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"weights.npz: .* in the arrays, .* by model.json"):
        network_files.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"joints": ["LWrist"] * 16}, "model.json: joints are"),
        ({"facts": {"peaks": [1]}}, r"model.json: peaks \[1\]: expected 'quarter' or 'fit'"),
    ],
)
def test_joints_and_peaks_that_nobody_knows_are_named(change, words, folder):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=words):
        network_files.load(folder)


def test_damage_is_named(folder, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: not a weights folder \(model.json: No such file"):
        network_files.load(tmp_path / "nowhere")
    data = (folder / "weights.npz").read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 5):
        (folder / "weights.npz").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"weights.npz: no .npz archive, or damaged"):
            network_files.load(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(InputError, match=r"model.json: not JSON"):
        network_files.load(folder)


def test_a_file_in_the_way_is_named(model, tmp_path):
    (tmp_path / "net").write_text("mine")
    with pytest.raises(InputError, match="net: is not a folder"):
        network_files.save(tmp_path / "net", model)
    assert (tmp_path / "net").read_text() == "mine"


def test_without_shipped_weights_it_says_what_to_do(monkeypatch, model, tmp_path):
    monkeypatch.setattr(network_files, "SHIPPED", tmp_path / "weights")
    with pytest.raises(InputError, match=r"train some .* name their folder with --weights"):
        network_files.default_weights()
    network_files.save(tmp_path / "weights", model)
    assert network_files.default_weights().sizes == SIZES


def test_weights_of_the_label_generator_are_said_to_be_such(tmp_path):
    (tmp_path / "pose3d").mkdir()
    (tmp_path / "pose3d" / "model.json").write_text('{"format": 1, "stage": "pose3d", "recipe": "canonical"}')
    for folder in (tmp_path, tmp_path / "pose3d"):
        with pytest.raises(InputError, match="weights of the label generator, expected those of the baseline network"):
            network_files.load(folder)
