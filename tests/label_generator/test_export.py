"""export: a SavedModel that needs TensorFlow alone, weights of half the size, and nobody's folder destroyed."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from label_generator import export
from label_generator.lifting import lifter, quality
from label_generator.networks import network_files

COUNT = 20
BARE = """
import sys
import numpy as np
import tensorflow as tf
given = np.load(sys.argv[2])
model = tf.saved_model.load(sys.argv[1])
inputs = {name: tf.constant(given[name]) for name in given.files}
found = {
    "signature": model.signatures["serving_default"](**inputs),
    "lift": model.lift(*inputs.values()),
    "one": model.lift(*(values[:1] for values in inputs.values())),
}
np.savez(sys.argv[3], **{f"{way}/{name}": value.numpy() for way, some in found.items() for name, value in some.items()})
assert not any(name.split(".")[0] in ("label_generator", "tools") for name in sys.modules)
"""


def test_saved_model_is_the_lifter(run_command, tmp_path, canonical_weights, people, capsys):
    model = tmp_path / "new" / "chain"
    assert run_command(export, f"--weights={canonical_weights}", f"--output={model}", "--min_joints=6", "--noflip") == 0
    assert str(model) in capsys.readouterr().out
    poses, intrinsics = people.pose_2d[:COUNT].copy(), people.intrinsics[:COUNT].copy()
    poses[3, :4], intrinsics[4], poses[5] = np.nan, np.nan, np.nan
    mask = np.isfinite(poses).all(-1)
    given, found = tmp_path / "given.npz", tmp_path / "found.npz"
    np.savez(given, poses_2d=poses, intrinsics=intrinsics, joint_mask=mask)
    # A process in a folder of its own, which this project can't be imported from.
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", BARE, str(model), str(given), str(found)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    settings = dataclasses.replace(lifter.RECIPE_SETTINGS["canonical"], min_joints=6, flip=False)
    expected = lifter.load_lifter([canonical_weights], settings).lift(poses, intrinsics, mask)
    assert expected.reason[5] == 1
    assert (expected.reason.numpy() == 0).sum() > COUNT / 2
    with np.load(found) as archive:
        # As a signature, as a function, and of one pose, which goes another way than several.
        for way, rows in (("signature", COUNT), ("lift", COUNT), ("one", 1)):
            answers = {name.split("/")[1]: archive[name] for name in archive.files if name.startswith(way)}
            assert set(answers) == set(expected._fields)
            for name, values in answers.items():
                # A depth hit the end of the range or it did not; the rest are numbers.
                np.testing.assert_allclose(values, getattr(expected, name)[:rows], rtol=1e-3, atol=0.1, err_msg=name)
            np.testing.assert_array_equal(answers["reason"], expected.reason[:rows])
            np.testing.assert_allclose(answers["quality"], expected.quality[:rows], rtol=1e-3)


def test_float16_weights(run_command, tmp_path, published_weights, people, capsys):
    out = tmp_path / "packed"
    source = tmp_path / "source"
    shutil.copytree(published_weights, source)
    calibration = quality.Calibration(np.log(42.0), (0.0,) * len(quality.SIGNALS))
    quality.save_calibration(source / lifter.CALIBRATION, calibration)
    assert run_command(export, f"--weights={source}", "--format=weights", "--name=mine", f"--output={out}") == 0
    with np.load(out / "pose3d" / "weights.npz") as archive:
        assert {archive[name].dtype for name in archive.files} == {np.dtype(np.float16)}
    before, after = network_files.find_networks([source]), network_files.find_networks([out])
    for stage in ("left2right", "pose3d"):
        assert after[stage].facts["name"] == "mine"
        for name, value in before[stage].variables.items():
            np.testing.assert_array_equal(after[stage].variables[name], value.astype(np.float16).astype(np.float32))
    poses, intrinsics = people.pose_2d[:COUNT], people.intrinsics[:COUNT]
    full, half = (lifter.load_lifter([folder]).lift(poses, intrinsics) for folder in (source, out))
    assert np.linalg.norm(full.coarse_3d - half.coarse_3d, axis=-1).mean() < 5
    # The calibration goes with the networks, so the quality means the same.
    np.testing.assert_allclose(half.quality, np.exp(-0.42), rtol=1e-5)
    assert sorted(os.listdir(out)) == ["left2right", "pose3d", "quality.json"]


def test_replacing_takes_everything_old_away(run_command, tmp_path, published_weights, save_canonical, capsys):
    out = tmp_path / "packed"
    save_canonical(out, stages=("direct",))
    flags = (f"--weights={published_weights}", "--format=weights", f"--output={out}")
    assert run_command(export, *flags) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert os.listdir(out) == ["direct"]
    assert run_command(export, *flags, "--overwrite", "--dtype=float32") == 0
    assert sorted(os.listdir(out)) == ["left2right", "pose3d"]
    assert os.listdir(tmp_path) == ["packed"]


def test_only_its_own_folders_are_replaced(run_command, tmp_path, published_weights, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    assert run_command(export, f"--weights={published_weights}", f"--output={photos}", "--overwrite") == 2
    assert "does not replace" in capsys.readouterr().err
    assert os.listdir(photos) == ["a.jpg"]
    source = tmp_path / "source"
    shutil.copytree(published_weights, source)
    for output in (source, source / "pose3d", tmp_path):
        assert run_command(export, f"--weights={source}", f"--output={output}", "--overwrite") == 2
        assert "the weights that are packed" in capsys.readouterr().err
    assert sorted(os.listdir(source)) == ["left2right", "pose3d"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name=mine"], "--name: goes with --format=weights"),
        (["--format=weights", "--step_mm=2"], "--step_mm: goes with --format=saved_model"),
        (["--min_depth_mm=9000"], "min < max"),
        (["--weights=nothing"], "nothing: no weights folder"),
    ],
)
def test_bad_input(run_command, tmp_path, published_weights, capsys, flags, message):
    assert run_command(export, f"--weights={published_weights}", f"--output={tmp_path / 'out'}", *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_output_that_is_a_file(run_command, tmp_path, published_weights, capsys):
    (tmp_path / "file").write_text("x")
    for name in ("file", "file/inside"):
        flags = (f"--weights={published_weights}", f"--output={tmp_path / name}", "--overwrite")
        assert run_command(export, *flags) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert (tmp_path / "file").read_text() == "x"


def test_what_fails_leaves_nothing(run_command, tmp_path, published_weights, monkeypatch, capsys):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    assert run_command(export, f"--weights={published_weights}", f"--output={tmp_path / 'out'}") == 2
    assert "No space left" in capsys.readouterr().err
    assert not os.listdir(tmp_path)
