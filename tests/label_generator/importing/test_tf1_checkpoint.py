"""Imported checkpoints against the released network, built and saved by TensorFlow 1 itself."""

import dataclasses
import functools
import importlib.util
import itertools
import pathlib
import random
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from label_generator.importing import statistics as import_statistics
from label_generator.importing import tf1_checkpoint
from label_generator.networks import linear_model, network_files, normalization
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

_SPEC = importlib.util.spec_from_file_location(
    "released_network", pathlib.Path(__file__).with_name("released_network.py")
)
released_network = sys.modules["released_network"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(released_network)

CHOICES = list(itertools.product((False, True), repeat=2))
ORDER = np.array([3, 1, 0, 2, 5, 4, 8, 7, 6, 9, 10, 16, 15, 14, 13, 12, 11])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """saved(stage, num_layers, batch_norm) -> Released; the published recipe of pose3d has its published size."""

    @functools.lru_cache(None)
    def save(stage, num_layers, batch_norm):
        width = 1024 if (stage, num_layers, batch_norm) == ("pose3d", 2, True) else 16
        prefix = tmp_path_factory.mktemp("released") / "checkpoint"
        trained = CHOICES[num_layers]
        return released_network.save(
            prefix, stage, width=width, num_layers=num_layers, batch_norm=batch_norm, trained=trained
        )

    return save


@pytest.fixture(scope="module")
def released(saved):
    """A small left2right checkpoint with batch norm."""
    return saved("left2right", 2, True)


@pytest.fixture(scope="module")
def released_3d(saved):
    """A small pose3d checkpoint without batch norm."""
    return saved("pose3d", 1, False)


def answer(checkpoint, choice, rows, variables=None):
    variables = checkpoint.variables if variables is None else variables
    return linear_model.folded(checkpoint.config(*choice), variables)(rows).numpy()


def assert_equal_answers(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_answers_are_the_released_networks(stage, num_layers, batch_norm, saved):
    released = saved(stage, num_layers, batch_norm)
    checkpoint = tf1_checkpoint.read_checkpoint(pathlib.Path(released.prefix).parent)
    width = len(released.variables["linear_model/b1"])
    assert (checkpoint.stage, checkpoint.num_layers, checkpoint.linear_size) == (stage, num_layers, width)
    assert checkpoint.batch_norm == batch_norm
    assert checkpoint.facts == {"global_step": 3, "learning_rate": pytest.approx(1e-3)}
    if batch_norm:
        moved = released.variables["linear_model/batch_normalization/moving_mean"]
        assert np.abs(moved).max() > 1e-3  # or the test would not see moving averages that were mixed up
    for choice in CHOICES:
        assert_equal_answers(answer(checkpoint, choice, released.rows), released.answers[choice])
    assert len({released.answers[choice].tobytes() for choice in CHOICES}) == 4


@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
def test_answers_of_the_keras_model_that_a_weights_folder_gives(stage, saved, tmp_path):
    released = saved(stage, 2, True)
    checkpoint = tf1_checkpoint.read_checkpoint(released.prefix)
    config = checkpoint.config(True, True, dropout=0.5)
    network_files.save_network(tmp_path / "w", stage, "published", dataclasses.asdict(config), checkpoint.variables)
    network = network_files.load_network(tmp_path / "w")
    config = linear_model.LinearModelConfig(**network.config)
    model = linear_model.build(config)
    network_files.assign(linear_model.released_variables(model, config), network.variables, "test")
    assert_equal_answers(model(released.rows).numpy(), released.answers[True, True])


def test_variables_are_taken_over_bit_for_bit_without_the_optimizers(released):
    checkpoint = tf1_checkpoint.read_checkpoint(released.prefix)
    network = {n: v for n, v in released.variables.items() if n.startswith("linear_model/") and "/Adam" not in n}
    assert set(checkpoint.variables) == set(network)
    for name, value in network.items():
        assert checkpoint.variables[name].tobytes() == value.tobytes()
    assert any("/Adam_1" in name for name in released.variables)


def test_single_file_format_of_older_releases(tmp_path):
    saved = released_network.save(tmp_path / "checkpoint", num_layers=1, v1_format=True)
    assert pathlib.Path(saved.prefix).is_file()
    for place in (saved.prefix, tmp_path):
        checkpoint = tf1_checkpoint.read_checkpoint(place)
        assert_equal_answers(answer(checkpoint, (True, True), saved.rows), saved.answers[True, True])
    whole = pathlib.Path(saved.prefix).read_bytes()
    pathlib.Path(saved.prefix).write_bytes(whole[:-100])
    with pytest.raises(InputError, match="checkpoint-3: not a TensorFlow checkpoint, or damaged"):
        tf1_checkpoint.read_checkpoint(saved.prefix)


@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
def test_permutation_feeds_the_network_its_own_order(stage, released, released_3d):
    saved = {"left2right": released, "pose3d": released_3d}[stage]
    checkpoint = tf1_checkpoint.read_checkpoint(saved.prefix)
    variables = tf1_checkpoint.permuted(checkpoint.variables, stage, ORDER)
    # Rows in this project's order, number by number: our joint i is their joint ORDER[i].
    ours = np.zeros_like(saved.rows)
    views, out = (1, 2) if stage == "left2right" else (2, 3)

    def place(joint, axis, axes):
        return axis * 17 + joint if stage == "left2right" else joint * axes + axis

    for view, joint, axis in itertools.product(range(views), range(17), range(2)):
        ours[:, 34 * view + place(joint, axis, 2)] = saved.rows[:, 34 * view + place(ORDER[joint], axis, 2)]
    answered = answer(checkpoint, (True, True), ours, variables)
    for joint, axis in itertools.product(range(17), range(out)):
        expected = saved.answers[True, True][:, place(ORDER[joint], axis, out)]
        assert_equal_answers(answered[:, place(joint, axis, out)], expected)


def test_permutation_must_keep_the_root(released):
    order = np.roll(np.arange(17), 1)
    with pytest.raises(InputError, match="makes joint 9 the root; the released code's is 10"):
        tf1_checkpoint.permuted(tf1_checkpoint.read_checkpoint(released.prefix).variables, "left2right", order)


def save_variables(prefix, variables, dtype=np.float32):
    """A checkpoint of just these variables."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in variables.items():
            kind = dtype if np.asarray(value).dtype == np.float32 else None
            tf.compat.v1.get_variable(name, initializer=np.asarray(value, kind))
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver().save(session, str(prefix))


def only_network(released):
    return {name: value for name, value in released.variables.items() if "Adam" not in name and "/" in name}


def test_half_precision_and_bare_networks(released_3d, tmp_path):
    prefix = save_variables(tmp_path / "model", only_network(released_3d), np.float16)
    checkpoint = tf1_checkpoint.read_checkpoint(prefix)
    assert checkpoint.facts == {}
    weight = checkpoint.variables["linear_model/w1"]
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, released_3d.variables["linear_model/w1"], rtol=1e-3, atol=1e-6)


def _without(name):
    return lambda variables: variables.pop(name)


def _with(name, shape, value=1.0):
    return lambda variables: variables.update({name: np.full(shape, value, np.float32)})


W2, NORM = "linear_model/two_linear_0/w2_0", "linear_model/two_linear_1/batch_normalization21/moving_mean"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without(NORM), f"1 variable missing: {NORM}$"),
        (_without("linear_model/w1"), "linear_model/w1 is missing"),
        (_with("linear_model/w5", [4]), "1 variable unexpected: linear_model/w5$"),
        (_with("linear_model/two_linear_3/w2_3", [16, 16]), "missing: linear_model/two_linear_2/w2_2, .* and 20 more$"),
        (_with("other/Adam", [4]), "1 variable unexpected: other/Adam$"),
        (_with(W2, [16, 15]), rf"{W2} is \[16, 15\], expected \[16, 16\]"),
        (_with("linear_model/b4", [51]), r"linear_model/b4 is \[51\], expected \[34\]"),
        (_with("linear_model/w1", [32, 16]), r"32 -> 34 numbers; the released ones are 34 -> 34 \(left2right\)"),
        (_with("linear_model/w4", [34]), r"w4 is \[34\], expected a matrix"),
        (_with(NORM, [16], np.nan), f"{NORM} holds numbers that are not finite"),
    ],
)
def test_other_networks_are_refused_by_name(released, tmp_path, change, message):
    variables = only_network(released)
    change(variables)
    prefix = save_variables(tmp_path / "model", variables)
    with pytest.raises(InputError, match=message) as error:
        tf1_checkpoint.read_checkpoint(prefix)
    assert prefix in str(error.value)
    assert "\n" not in str(error.value)


def test_checkpoint_of_something_else(tmp_path):
    tf.train.Checkpoint(weight=tf.Variable([1.0])).write(str(tmp_path / "keras"))
    with pytest.raises(InputError, match="not of the released code: no linear_model/w1 among its 2 variables"):
        tf1_checkpoint.read_checkpoint(tmp_path / "keras")


def copy_of(released, folder):
    for file in pathlib.Path(released.prefix).parent.iterdir():
        shutil.copy(file, folder)
    return folder / pathlib.Path(released.prefix).name


def read_or_error(prefix):
    try:
        return "", tf1_checkpoint.read_checkpoint(prefix).variables
    except InputError as error:
        return str(error), {}


def test_damaged_files_are_one_line_or_the_same_network(released, tmp_path):
    prefix = copy_of(released, tmp_path)
    expected = tf1_checkpoint.read_checkpoint(prefix).variables
    rng, refused = random.Random(4), 0
    for name in (f"{prefix.name}.index", f"{prefix.name}.data-00000-of-00001"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            at = rng.randrange(len(whole))
            if rng.random() < 0.3:
                del damaged[at:]
            else:
                damaged[at] ^= 1 << rng.randrange(8)
            (tmp_path / name).write_bytes(damaged)
            error, found = read_or_error(prefix)
            if error:
                refused += 1
                assert error.startswith(str(prefix))
                assert "\n" not in error
            else:  # damage in padding or in the optimizer's variables
                assert {n: v.tobytes() for n, v in found.items()} == {n: v.tobytes() for n, v in expected.items()}
        (tmp_path / name).write_bytes(whole)
    assert refused > 30


@pytest.mark.parametrize(
    ("remove", "place", "message"),
    [
        ("*.data*", "checkpoint-3", "damaged"),
        ("*.index", "checkpoint-3", "index: is missing, and checkpoint-3.data-00000-of-00001"),
        ("*.index", "", "names checkpoint-3, which is not there; there is no checkpoint"),
        ("checkpoint*", "", r"no checkpoint \(no .index file\)"),
        ("", "checkpoint-4", "no checkpoint; expected a folder, or a prefix"),
        ("", "elsewhere/checkpoint-4", "no checkpoint; expected a folder, or a prefix"),
    ],
)
def test_incomplete_checkpoints(released, tmp_path, remove, place, message):
    copy_of(released, tmp_path)
    for file in tmp_path.glob(remove) if remove else []:
        file.unlink()
    with pytest.raises(InputError, match=message):
        tf1_checkpoint.read_checkpoint(tmp_path / place)


def test_places_that_name_a_checkpoint(released, tmp_path):
    prefix = str(copy_of(released, tmp_path))
    for name in ("checkpoint-3", "checkpoint-3.index", "checkpoint-3.data-00000-of-00001", "checkpoint-3.meta"):
        assert tf1_checkpoint.find_checkpoint(tmp_path / name) == prefix
    # The state file was written on another machine.
    for written in ("/home/author/experiments/checkpoint-3", r"C:\\data\\checkpoint-3", "checkpoint-3"):
        (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{written}"\n')
        assert tf1_checkpoint.find_checkpoint(tmp_path) == prefix
        assert tf1_checkpoint.find_checkpoint(tmp_path / "checkpoint") == prefix
    (tmp_path / "checkpoint").unlink()
    assert tf1_checkpoint.find_checkpoint(tmp_path) == prefix
    shutil.copy(prefix + ".index", tmp_path / "checkpoint-9.index")
    with pytest.raises(InputError, match=r"2 checkpoints \(checkpoint-3, checkpoint-9\), name one"):
        tf1_checkpoint.find_checkpoint(tmp_path)


def test_choices_of_the_experiment_directory():
    published = (
        "experiments/dropout_0.5/epochs_200/lr_0.001/residual/depth_2/linear_size1024/batch_size_64/"
        "maxnorm/batch_normalization/predict_17/checkpoint-100"
    )
    assert tf1_checkpoint.choices_of_directory(published) == {"residual": True, "max_norm": True, "dropout": 0.5}
    plain = published.replace("/residual", "/not_residual").replace("/maxnorm", "/no_maxnorm").replace("_0.5", "_1")
    assert tf1_checkpoint.choices_of_directory(plain) == {"residual": False, "max_norm": False, "dropout": 1.0}
    assert tf1_checkpoint.choices_of_directory("my/residual/maxnorm/checkpoint-1") == {}


def poses_for(stage, count, seed=0):
    """field -> poses far from the origin, and the same as rows by a loop."""
    rng = np.random.default_rng(seed)
    sizes = {"pose_2d": 2, "right_2d": 2, "pose_3d": 3}
    return {field: rng.normal(500, 90, [count, 17, size]).astype(np.float32) for field, size in sizes.items()}


def rows_by_loop(poses, stage):
    root = POSE17.root
    rows = []
    for pose in np.float64(poses):
        centred = [[pose[j][a] - pose[root][a] for a in range(len(pose[0]))] for j in range(17)]
        if stage == "left2right":
            rows.append([centred[j][a] for a in range(len(pose[0])) for j in range(17)])
        else:
            rows.append([centred[j][a] for j in range(17) for a in range(len(pose[0]))])
    return np.array(rows)


@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
def test_statistics_are_of_root_centred_rows_of_whole_poses(stage):
    data = poses_for(stage, 60)
    data["pose_2d"][7, 3] = np.nan
    whole = np.delete(np.arange(60), 7)
    batches = [{name: values[i : i + 25] for name, values in data.items()} for i in range(0, 60, 25)]
    told = []
    found = import_statistics.read_training_data(iter(batches), 60, stage, "data", told.append)
    left, right, truth = (rows_by_loop(data[name][whole], stage) for name in ("pose_2d", "right_2d", "pose_3d"))
    inputs, outputs = (left, right) if stage == "left2right" else (np.concatenate([left, right], 1), truth)
    for name, rows in (("input", inputs), ("output", outputs)):
        statistics = found.statistics[name]
        np.testing.assert_allclose(statistics.mean, rows.mean(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(statistics.std, rows.std(0), rtol=1e-9, atol=1e-9)
        assert (statistics.layout, statistics.count) == ({"left2right": "planar", "pose3d": "interleaved"}[stage], 59)
        assert statistics.centred
        assert (statistics.std == 0).sum() == len(rows[0]) // 17
    import_statistics.check_statistics(found.statistics, stage, "test")
    assert (found.unusable, told) == (1, [25, 50, 60])
    std = np.where(outputs.std(0) > 0, outputs.std(0), 1)
    np.testing.assert_allclose(found.outputs, (outputs - outputs.mean(0)) / std, atol=1e-6)


def test_poses_to_try_are_spread_evenly(monkeypatch):
    monkeypatch.setattr(import_statistics, "_TRIED", 12)
    data = poses_for("left2right", 60)
    batches = [{name: values[i : i + 7] for name, values in data.items()} for i in range(0, 60, 7)]
    found = import_statistics.read_training_data(iter(batches), 60, "left2right", "data")
    rows = found.statistics["output"].normalize(rows_by_loop(data["right_2d"], "left2right"))
    np.testing.assert_allclose(found.outputs, rows[::5], atol=1e-6)


def test_statistics_that_cannot_be_taken():
    data = poses_for("pose3d", 5)
    missing = {**data, "right_2d": np.full_like(data["right_2d"], np.nan)}
    with pytest.raises(InputError, match="none of 5 records has all joints of pose_2d, right_2d, pose_3d"):
        import_statistics.read_training_data(iter([missing]), 5, "pose3d", "data")
    same = {name: values[[0] * 5] for name, values in data.items()}
    with pytest.raises(InputError, match="data: its poses are all the same"):
        import_statistics.read_training_data(iter([same]), 5, "pose3d", "data")


def test_statistics_of_another_network_are_refused():
    def statistics(size, layout="planar", centred=True):
        return normalization.Statistics(np.zeros(size), np.ones(size), layout, centred, 9)

    good = {"input": statistics(34), "output": statistics(34)}
    import_statistics.check_statistics(good, "left2right", "s.json")
    for change, message in (
        ({"output": statistics(51)}, "s.json: statistics 'output' are of 51 planar columns, left2right needs 34"),
        ({"input": statistics(34, "interleaved")}, "are of 34 interleaved columns"),
        ({"input": statistics(34, centred=False)}, "were not root-centred"),
    ):
        with pytest.raises(InputError, match=message):
            import_statistics.check_statistics({**good, **change}, "left2right", "s.json")
    with pytest.raises(InputError, match="no statistics 'output'; there are input"):
        import_statistics.check_statistics({"input": good["input"]}, "left2right", "s.json")


def test_errors_on_training_poses_tell_wrong_flags_and_orders(tmp_path):
    """A network that learned to copy is right with its own flags and order, and wrong with others."""
    rng = np.random.default_rng(2)
    # Two hidden directions, so that a few hundred steps teach it.
    poses = (rng.normal(size=[640, 2]) @ rng.normal(size=[2, 34])).reshape(640, 17, 2) * 50
    data = {"pose_2d": np.float32(poses), "right_2d": np.float32(poses)}
    found = import_statistics.read_training_data(iter([data]), 640, "left2right", "data")
    saved = released_network.save(
        tmp_path / "checkpoint",
        num_layers=1,
        batch_norm=False,
        trained=(True, False),
        dropout=1.0,
        steps=300,
        batch=64,
        learning_rate=1e-2,
        data=(found.inputs, found.outputs),
    )
    checkpoint = tf1_checkpoint.read_checkpoint(saved.prefix)
    errors = import_statistics.errors_by_choice(checkpoint, checkpoint.variables, found)
    varying = np.delete(np.arange(34), [10, 27])
    for choice in CHOICES:
        expected = np.square(saved.answers[choice] - found.outputs[:32])[:, varying].mean()
        found_32 = import_statistics.TrainingData(found.statistics, found.inputs[:32], found.outputs[:32], 0)
        assert import_statistics.errors_by_choice(checkpoint, checkpoint.variables, found_32)[choice] == pytest.approx(
            expected, rel=1e-4
        )
    assert errors[True, False] < 0.1
    assert import_statistics.doubts(errors, (True, False)) == []
    (doubt,) = import_statistics.doubts(errors, (False, True))
    assert doubt.startswith("with --residual --nomax_norm the error is")
    scrambled = tf1_checkpoint.permuted(checkpoint.variables, "left2right", ORDER)
    errors = import_statistics.errors_by_choice(checkpoint, scrambled, found)
    (doubt,) = import_statistics.doubts(errors, (True, False))
    assert "--permutation" in doubt
