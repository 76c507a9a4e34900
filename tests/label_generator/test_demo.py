"""demo: the whole command with small random networks, on made-up people and on a user's file."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from label_generator import demo

FILES = ["gallery.png", "labels.npz", "report.txt", "rotation.gif"]


@pytest.fixture
def poses(tmp_path, people):
    """Forty poses as a plain array; one of them is empty."""
    poses = people.pose_2d[:40].copy()
    poses[7] = np.nan
    np.save(tmp_path / "poses.npy", poses)
    return tmp_path / "poses.npy"


def test_without_input(repository, tmp_path, canonical_weights):
    program = [sys.executable, str(repository / "label_generator" / "demo.py"), f"--weights={canonical_weights}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run([*program, "--rows=1"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    out = tmp_path / "demo_output"
    assert sorted(os.listdir(out)) == FILES
    assert "mean joint error after the search" in (out / "report.txt").read_text()
    assert cv2.imread(str(out / "gallery.png")).std() > 1


def test_a_file(run_command, tmp_path, published_weights, poses, people, capsys):
    out = tmp_path / "out"
    flags = (poses, f"--weights={published_weights}", "--joints=pose17", f"--output={out}", "--rows=1", "--limit=30")
    assert run_command(demo, *flags, "--camera=h36m") == 0
    assert "30 poses, 29 labels" in capsys.readouterr().out
    with np.load(out / "labels.npz") as labels:
        np.testing.assert_array_equal(labels["poses_2d"], np.load(poses)[:30])
        assert np.isnan(labels["poses_3d"][7]).all()
        assert labels["reason"][7] == 1
        np.testing.assert_array_equal(np.isnan(labels["poses_3d"]).any((1, 2)), labels["reason"] != 0)
    # What an earlier demo left is replaced without asking, unless asked not to.
    assert run_command(demo, *flags, "--nooverwrite") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run_command(demo, *flags) == 0


def test_labels_of_generate_stay(run_command, tmp_path, published_weights, poses, capsys):
    out = tmp_path / "labels"
    out.mkdir()
    (out / "labels.npz").write_bytes(b"precious")
    flags = (poses, f"--weights={published_weights}", "--joints=pose17", f"--output={out}")
    assert run_command(demo, *flags) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "labels.npz").read_bytes() == b"precious"
    assert os.listdir(out) == ["labels.npz"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nothing.json"], "nothing.json"),
        (["POSES", "other.json"], "one INPUT at a time"),
        (["POSES", "--joints=coco99"], "coco99"),
        (["POSES", "--joints=lsp14"], "14"),
        (["POSES", "--joints=pose17", "--camera=fov:60"], "--image_size"),
        (["POSES", "--joints=pose17", "--camera=wide"], "--camera=wide"),
        (["POSES", "--joints=pose17", "--format=nonsense"], "nonsense"),
        (["POSES", "--joints=pose17", "--image_size=0,0", "--camera=fov:60"], "--image_size"),
    ],
)
def test_bad_input(run_command, tmp_path, published_weights, poses, capsys, flags, message):
    flags = [str(poses) if flag == "POSES" else flag for flag in flags]
    out = tmp_path / "new"
    assert run_command(demo, *flags, f"--weights={published_weights}", f"--output={out}") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_output_that_is_a_file(run_command, tmp_path, published_weights, poses, capsys):
    assert run_command(demo, poses, f"--weights={published_weights}", f"--output={poses}") == 2
    assert "not a folder" in capsys.readouterr().err
