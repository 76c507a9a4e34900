"""Weights folders: round trips, whole or nothing, and damage that is named."""

import json

import numpy as np
import pytest

from label_generator.networks import network_files, normalization
from tools.cli.errors import InputError

VARIABLES = {"a/w": np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4), "a/b": np.array([1e-3, 2.0], np.float32)}


def save(folder, **changes):
    options = {"stage": "pose3d", "recipe": "published", "config": {"x": 1}, "variables": VARIABLES} | changes
    return network_files.save_network(folder, **options)


def test_round_trip(tmp_path):
    statistics = {"input": normalization.statistics_of(np.random.default_rng(0).normal(size=(9, 4)), "planar", True)}
    folder = save(tmp_path / "deep" / "net", statistics=statistics, facts={"name": "one", "mm": 12.5})
    network = network_files.load_network(folder)
    assert (network.stage, network.recipe, network.config) == ("pose3d", "published", {"x": 1})
    assert network.facts == {"name": "one", "mm": 12.5}
    assert network.directory == str(folder)
    for name, value in VARIABLES.items():
        np.testing.assert_array_equal(network.variables[name], value)
        assert network.variables[name].dtype == np.float32
    np.testing.assert_array_equal(network.statistics["input"].mean, statistics["input"].mean)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["net"]


def test_half_precision_rounds_and_refuses_what_overflows(tmp_path):
    network = network_files.load_network(save(tmp_path / "half", dtype="float16"))
    np.testing.assert_array_equal(network.variables["a/w"], VARIABLES["a/w"].astype(np.float16).astype(np.float32))
    with pytest.raises(InputError, match="variable a is not finite in float16"):
        save(tmp_path / "big", variables={"a": np.array([1e5])}, dtype="float16")
    with pytest.raises(InputError, match="not finite in float32"):
        save(tmp_path / "nan", variables={"a": np.array([np.nan])})
    assert [path.name for path in tmp_path.iterdir()] == ["half"]


def test_replaces_a_folder_whole(tmp_path):
    save(tmp_path / "net")
    (tmp_path / "net" / "left-over.txt").write_text("x")
    save(tmp_path / "net", variables={"only": np.zeros(2)})
    assert list(network_files.load_network(tmp_path / "net").variables) == ["only"]
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["model.json", "weights.npz"]
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_nothing_stays_of_a_failed_save(tmp_path):
    with pytest.raises(InputError, match="of stage left2right, pose3d, direct and recipe"):
        save(tmp_path / "net", stage="middle2right")
    with pytest.raises(TypeError):
        save(tmp_path / "net", config={"x": object()})
    assert list(tmp_path.iterdir()) == []


def test_finds_networks_here_and_inside(tmp_path):
    for stage in ("left2right", "pose3d"):
        save(tmp_path / "all" / stage, stage=stage)
    save(tmp_path / "better", stage="pose3d", facts={"name": "better"})
    # What a killed save leaves behind is no network.
    save(tmp_path / "all" / ".pose3d.x", stage="direct")
    found = network_files.find_networks([tmp_path / "all"])
    assert sorted(found) == ["left2right", "pose3d"]
    found = network_files.find_networks([tmp_path / "all", tmp_path / "better"])
    assert found["pose3d"].facts == {"name": "better"}
    with pytest.raises(InputError, match="no weights folder"):
        network_files.find_networks([tmp_path / "none"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "format 1"),
        ('{"format": 9}', "format 1"),
        ('{"format": 1, "stage": "pose3d", "recipe": "published"}', "expected stage"),
        ('{"format": 1, "stage": "pose3d", "recipe": "published", "config": []}', "expected stage"),
        ('{"format": 1, "network": "hourglass3d", "sizes": {}}', "weights of the baseline network, expected those of"),
        ('{"format": 1, "stage": "x", "recipe": "published", "config": {}}', "expected stage"),
        ('{"format": 1, "stage": "pose3d", "recipe": "published", "config": {}, "facts": 3}', "expected stage"),
    ],
)
def test_bad_descriptions(tmp_path, content, message):
    save(tmp_path / "net")
    (tmp_path / "net" / "model.json").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        network_files.load_network(tmp_path / "net")
    assert "model.json" in str(error.value)


def test_damaged_weights_are_refused_or_read_as_they_were(tmp_path):
    folder = save(tmp_path / "net")
    whole = (folder / "weights.npz").read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[rng.integers(len(data)) :]
        for place in rng.integers(0, max(len(data), 1), rng.integers(1, 4)):
            if place < len(data):
                data[place] ^= 1 << rng.integers(8)
        (folder / "weights.npz").write_bytes(data)
        try:
            variables = network_files.load_network(folder).variables
        except InputError:
            refused += 1
            continue
        for name in set(variables) & set(VARIABLES):
            np.testing.assert_array_equal(variables[name], VARIABLES[name])
    assert refused > 100


def test_weights_that_are_no_archive(tmp_path):
    folder = save(tmp_path / "net")
    np.save(folder / "other.npy", np.zeros(3))
    (folder / "other.npy").rename(folder / "weights.npz")
    with pytest.raises(InputError, match=r"no \.npz archive, or damaged"):
        network_files.load_network(folder)
    (folder / "weights.npz").unlink()
    with pytest.raises(InputError, match=r"weights\.npz: "):
        network_files.load_network(folder)
    (folder / "model.json").unlink()
    with pytest.raises(InputError, match="not a weights folder"):
        network_files.load_network(folder)


def test_assign():
    import tensorflow as tf

    variables = {name: tf.Variable(np.zeros_like(value)) for name, value in VARIABLES.items()}
    network_files.assign(variables, VARIABLES, "here")
    for name, value in VARIABLES.items():
        np.testing.assert_array_equal(variables[name], value)
    with pytest.raises(InputError, match="here: variable a/b is missing"):
        network_files.assign(variables, {"a/w": VARIABLES["a/w"]}, "here")
    with pytest.raises(InputError, match="variable new is not of this network"):
        network_files.assign(variables, {**VARIABLES, "new": np.zeros(1)}, "here")
    with pytest.raises(InputError, match=r"a/b is \[3\], expected \[2\]"):
        network_files.assign(variables, {**VARIABLES, "a/b": np.zeros(3)}, "here")


def test_description_is_readable(tmp_path):
    content = json.loads((save(tmp_path / "net") / "model.json").read_text())
    assert content == {"format": 1, "stage": "pose3d", "recipe": "published", "config": {"x": 1}, "facts": {}}
