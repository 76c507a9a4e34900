"""predict: against the Keras model with statistics applied by hand, over trees and single arrays."""

import functools
import os
import pathlib
import re
import shutil

import numpy as np
import pytest

from label_generator import predict
from label_generator.lifting import right_view_prediction
from label_generator.networks import linear_model, network_files
from label_generator.stages import pose_rows
from label_generator.training import training_flags
from tools.files import staging


@pytest.fixture
def run(run_command):
    return functools.partial(run_command, predict)


@pytest.fixture(scope="module")
def network(published_weights):
    return network_files.load_network(published_weights / "left2right")


@pytest.fixture(scope="module")
def keras(network):
    """The network on normalised rows, as Keras runs it."""
    config = linear_model.LinearModelConfig(**network.config)
    model = linear_model.build(config)
    network_files.assign(linear_model.released_variables(model, config), network.variables, "test")
    return lambda rows: model(rows.astype(np.float32), training=False).numpy()


@pytest.fixture(scope="module")
def rows(people):
    """Raw planar rows [300, 34] px."""
    return pose_rows.to_rows(people.pose_2d, "planar")


def centred(rows):
    return rows - np.repeat(rows[:, [10, 27]], 17, axis=1)


def tree(folder, rows):
    """Three files of two subjects; name -> rows."""
    files = {"9/Walking/a.npy": rows[:50], "9/Photo/a.npy": rows[50:70], "11/Walking/b c.npy": rows[70:200]}
    for name, part in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, part)
    return files


def test_train_statistics_over_a_tree(run, tmp_path, published_weights, network, keras, rows, capsys):
    files = tree(tmp_path / "left", rows)
    out = tmp_path / "right"
    assert run(f"--load_dir={tmp_path / 'left'}", f"--save_dir={out}", f"--weights={published_weights}") == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == sorted(files)
    mean, std = network.statistics["input"].mean, network.statistics["input"].std
    std = np.where(std == 0, np.inf, std)
    for name, part in files.items():
        expected = keras((centred(part) - mean) / std) * network.statistics["output"].std
        expected += network.statistics["output"].mean
        np.testing.assert_allclose(np.load(out / name), expected, atol=2e-2)
    text = capsys.readouterr().out
    assert "right view of 200 poses in 3 files" in text
    assert text.endswith(f"written to {out}\n")


@pytest.mark.parametrize("ended_at", ["second file", "second move"])
def test_an_ended_run_goes_on(run, tmp_path, published_weights, rows, monkeypatch, ended_at):
    files = tree(tmp_path / "left", rows)
    words = [f"--load_dir={tmp_path / 'left'}", f"--weights={published_weights}"]
    out, whole, written = tmp_path / "right", tmp_path / "whole", []
    assert run(*words, f"--save_dir={whole}") == 0
    write, replace = right_view_prediction._write_right_view, os.replace

    def write_some(*arguments):
        written.append(arguments[1])
        if ended_at == "second file" and len(written) == 2:
            raise KeyboardInterrupt
        return write(*arguments)

    def replace_some(old, new):
        if ended_at == "second move" and "9" in pathlib.Path(new).relative_to(tmp_path).parts[1:2]:
            raise KeyboardInterrupt
        replace(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(right_view_prediction, "_write_right_view", write_some)
        patched.setattr(staging.os, "replace", replace_some)
        assert run(*words, f"--save_dir={out}") == 130
    before = len(written)
    assert run(*words, f"--save_dir={out}", "--statistics=test") == 2  # of another run nothing is taken
    monkeypatch.setattr(right_view_prediction, "_write_right_view", write_some)
    ended_at = ""
    assert run(*words, f"--save_dir={out}") == 0
    assert len(written) - before == {2: 2, 3: 0}[before]
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == set(files)
    for name in files:
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_poses_that_are_not_numbers_have_no_right_view(run, tmp_path, published_weights, rows, capsys):
    damaged = rows[:40].copy()
    damaged[[3, 17]], damaged[29, 5] = np.nan, np.inf
    for name, content in (("good.npy", rows[:40]), ("damaged.npy", damaged)):
        np.save(tmp_path / name, content)
        flags = f"--load_dir={tmp_path / name}", f"--save_dir={tmp_path / 'right'}", f"--weights={published_weights}"
        assert run(*flags) == 0
    good, right = (np.load(tmp_path / "right" / name) for name in ("good.npy", "damaged.npy"))
    lost = np.isin(np.arange(40), [3, 17, 29])
    assert np.isnan(right[lost]).all()
    np.testing.assert_allclose(right[~lost], good[~lost], atol=1e-3)
    assert "3 poses with a joint that is not a number have no right view (NaN)" in capsys.readouterr().out


def test_input_statistics_are_each_files_own_raw_ones(run, tmp_path, published_weights, keras, rows):
    files = tree(tmp_path / "left", rows)
    out = tmp_path / "right"
    flags = "--statistics=input", f"--weights={published_weights}"
    assert run(f"--load_dir={tmp_path / 'left'}", f"--save_dir={out}", *flags) == 0
    for name, part in files.items():
        mean, std = part.astype(np.float64).mean(0), part.astype(np.float64).std(0)
        seen = (part - mean) / std
        seen[:, [10, 27]] = 0  # the released normalizeData leaves the root out, whatever the statistics
        np.testing.assert_allclose(np.load(out / name), keras(seen) * std + mean, atol=5e-2)


def test_test_statistics_are_those_of_all_files(run, tmp_path, published_weights, network, keras, rows):
    files = tree(tmp_path / "left", rows)
    out = tmp_path / "right"
    flags = "--statistics=test", f"--weights={published_weights}"
    assert run(f"--load_dir={tmp_path / 'left'}", f"--save_dir={out}", *flags) == 0
    every = centred(np.concatenate([files[name] for name in sorted(files)])).astype(np.float64)
    mean, std = every.mean(0), every.std(0)
    std[[10, 27]] = np.inf
    back = network.statistics["output"]
    for name, part in files.items():
        expected = keras((centred(part) - mean) / std) * back.std + back.mean
        np.testing.assert_allclose(np.load(out / name), expected, atol=2e-2)


def test_one_array_in_another_shape_and_order(run, tmp_path, published_weights, people, rows):
    np.save(tmp_path / "ours.npy", rows)
    order = np.random.default_rng(2).permutation(17)
    theirs = np.empty_like(people.pose_2d)
    theirs[:, order] = people.pose_2d
    np.save(tmp_path / "theirs.npy", theirs)
    weights = f"--weights={published_weights / 'left2right'}"
    assert run(f"--load_dir={tmp_path / 'ours.npy'}", f"--save_dir={tmp_path / 'a.npy'}", weights) == 0
    permutation = f"--permutation={','.join(map(str, order))}"
    assert run(f"--load_dir={tmp_path / 'theirs.npy'}", f"--save_dir={tmp_path / 'b'}", weights, permutation) == 0
    ours, answer = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b" / "theirs.npy")
    assert (ours.shape, answer.shape) == ((300, 34), (300, 17, 2))
    np.testing.assert_allclose(answer[:, order], pose_rows.from_rows(ours, 2, "planar"), atol=1e-3)


def test_weights_of_the_experiment_that_the_flags_name(run, tmp_path, published_weights, rows):
    np.save(tmp_path / "left.npy", rows)
    flags = [
        "--residual",
        "--batch_norm",
        "--max_norm",
        "--dropout=0.5",
        "--epochs=12",
        f"--train_dir={tmp_path / 'e'}",
    ]
    named = training_flags.experiment_directory(training_flags.declare("").parse(["train", *flags]))
    shutil.copytree(published_weights / "left2right", os.path.join(named, "export"))
    places = f"--load_dir={tmp_path / 'left.npy'}", f"--save_dir={tmp_path / 'right.npy'}"
    assert run(*places, *flags) == 0
    assert np.load(tmp_path / "right.npy").shape == (300, 34)


def test_flags_are_the_originals_in_their_order():
    text = predict.declare().help("predict.py")
    names = re.findall(r"^  --(?:\[no\])?(\w+)", text, re.MULTILINE)
    original = """learning_rate dropout batch_size epochs camera_frame max_norm batch_norm linear_size num_layers
        residual evaluateActionWise cameras_path data_dir train_dir save_dir load_dir use_cpu load use_fp16
        predict_14 use_sh"""
    assert names[:21] == re.findall(r"\w+", original)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--load_dir=nowhere"], "nowhere: no such file or folder"),
        (["--load_dir=left.npy", "--weights=none"], "none: no weights folder"),
        (["--load_dir=left.npy", "--weights=POSE3D"], "no network of stage left2right, only pose3d"),
        (["--load_dir=left.npy", "--weights=CANONICAL"], "of the canonical recipe"),
        (["--load_dir=left.npy"], "no such weights of a finished training; name a folder with --weights"),
        (["--load_dir=3d.npy", "--weights=GOOD"], "holds 3D poses, expected left-view 2D"),
        (["--load_dir=left.npy", "--save_dir=there.npy", "--weights=GOOD"], "there.npy: exists already; --overwrite"),
        (["--load_dir=mixed.npy", "--weights=GOOD"], "rows are interleaved, not planar"),
        (["--load_dir=nan.npy", "--weights=GOOD", "--statistics=input"], "nan.npy: statistics: row 3 holds numbers"),
        (["--load_dir=left.npy", "--statistics=mine"], "--statistics"),
    ],
)
def test_bad_input(
    run, tmp_path, monkeypatch, capsys, published_weights, canonical_weights, people, rows, flags, message
):
    monkeypatch.chdir(tmp_path)
    np.save("left.npy", rows)
    np.save("3d.npy", people.pose_3d)
    np.save("mixed.npy", pose_rows.to_rows(people.pose_2d, "interleaved"))
    damaged = rows.copy()
    damaged[3, 4] = np.nan
    np.save("nan.npy", damaged)
    np.save("there.npy", rows)
    before = sorted(os.listdir(tmp_path))
    places = {"GOOD": published_weights, "POSE3D": published_weights / "pose3d", "CANONICAL": canonical_weights}
    for word, place in places.items():
        flags = [flag.replace(word, str(place)) for flag in flags]
    assert run(*flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(name for name in os.listdir(tmp_path) if name != "results") == before
    assert not os.path.isdir("results") or os.listdir("results") == []
