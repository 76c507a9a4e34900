"""evaluate: the whole command on a few made-up people, and how it refuses."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from label_generator import evaluate
from label_generator.lifting import lifter, quality
from tfrecords import reader


@pytest.fixture
def run(run_command, published_weights, synthetic_records):
    """run(*flags): the exit status of evaluate of the test records, in this process."""

    def start(*flags):
        records = synthetic_records / "test"
        return run_command(evaluate, f"--weights={published_weights}", f"--test_data={records}", *flags)

    return start


def test_the_command(repository, tmp_path, published_weights, synthetic_records):
    out = tmp_path / "report"
    program = [sys.executable, str(repository / "label_generator" / "evaluate.py"), f"--weights={published_weights}"]
    flags = [f"--test_data={synthetic_records / 'test'}", f"--output={out}", "--actions"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run([*program, *flags], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "70 poses lifted" in ended.stdout
    assert "by action" in ended.stdout
    report = json.loads((out / "figures.json").read_text())
    figures = report["figures"]["test"]
    fields = ("pose_2d", "intrinsics", "pose_3d")
    arrays = reader.load_arrays(str(synthetic_records / "test"), fields)
    lifted = lifter.load_lifter([published_weights]).lift(arrays["pose_2d"], arrays["intrinsics"])
    good = lifted.reason.numpy() == 0
    for name, poses in (("mpjpe_before", lifted.coarse_3d), ("mpjpe", lifted.pose_3d)):
        error = np.linalg.norm(poses.numpy()[good] - arrays["pose_3d"][good], axis=-1).mean()
        assert figures[name] == pytest.approx(error, rel=1e-3)
    assert figures["poses"] == 70
    assert report["recipe"] == "published"
    assert f"{figures['mpjpe']:.1f}" in (out / "table.md").read_text()
    assert sorted(os.listdir(out)) == ["errors.png", "figures.json", "quality_test.png", "reliability.png", "table.md"]


def test_limit_and_figures_on_standard_output(run, capsys):
    assert run("--limit=9", "--one_person") == 0
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert figures["test"]["poses"] == figures["test one person"]["poses"] == 9
    # Nobody has five of these nine records: their labels stay as they are.
    assert figures["test"]["mpjpe"] == figures["test one person"]["mpjpe"]


def test_calibration(run_command, tmp_path, published_weights, synthetic_records, capsys):
    weights = tmp_path / "weights"
    shutil.copytree(published_weights, weights)
    flags = (f"--weights={weights}", f"--test_data={synthetic_records / 'level'}", f"--calibrate={weights}")
    assert run_command(evaluate, *flags, "--widen=1.25") == 0
    fitted = quality.load_calibration(weights / lifter.CALIBRATION)
    assert (fitted.facts["poses"], fitted.facts["widened"]) == (150, 1.25)
    assert run_command(evaluate, *flags) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--protocol=c"], "one of --test_data, --protocol, --h36m and --photos"),
        (["--test_data="], "one of --test_data, --protocol, --h36m and --photos"),
        (["--test_data=", "--protocol=c"], "--protocol needs --motion"),
        (["--test_data=", "--protocol=zz", "--motion=x.npz"], "--protocol=zz"),
        (["--test_data=", "--protocol=c", "--motion=no.npz"], "no.npz"),
        (["--test_data=", "--protocol=c", "--motion=no.npz", "--limit=3"], "--limit: goes with --test_data"),
        (["--test_data=", "--protocol=c,a", "--motion=no.npz"], "--protocol=a: needs Human3.6M's cameras"),
        (["--frame_step=5"], "--frame_step: goes with --protocol"),
        (["--test_data=no_records"], "no_records"),
        (["--calibrate=no_weights"], "no_weights"),
        (["--widen=1.2"], "--widen=1.2: goes with --calibrate"),
        (["--widen=0"], "--widen=0"),
        (["--flip", "--right_view=true"], "turn flip off"),
    ],
)
def test_bad_input(run, capsys, flags, message):
    assert run(*flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_output(run, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert run(f"--output={tmp_path / 'file'}") == 2
    assert "not a folder" in capsys.readouterr().err
    (tmp_path / "figures.json").write_text("mine")
    assert run(f"--output={tmp_path}") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "figures.json").read_text() == "mine"
