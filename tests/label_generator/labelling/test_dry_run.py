"""generate.py --dry_run: what the run would refuse is refused, and what it says of the poses is true."""

import json
import shutil

import numpy as np
import pytest

from label_generator import generate


@pytest.fixture
def plan(run_command, tmp_path, capsys):
    """plan(poses [N, 17, 2], *flags): exit status, output and errors of a dry run on them."""

    def run(poses, *flags):
        np.save(tmp_path / "poses.npy", poses)
        given = f"--input={tmp_path / 'poses.npy'}", "--joints=pose17", f"--output={tmp_path / 'out'}", "--dry_run"
        status = run_command(generate, *given, *flags)
        assert not (tmp_path / "out").exists()
        return (status, *capsys.readouterr())

    return run


def people():
    return np.random.default_rng(0).uniform(100, 900, (6, 17, 2))


def test_poses_without_a_label(plan):
    poses = people()
    poses[0] = np.nan
    poses[1] *= 1e30
    poses[2, 7:] = np.nan
    text = plan(poses)[1]
    assert "of the first 6: 3 usable, 74% of 17 joints" in text
    assert "; 2 without a label: too few labelled joints; 1 without a label: 2D joint beyond 100,000 px" in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--step_mm=0"], "--step_mm=0: expected min < max"),
        (["--step_mm=1e-9"], "more than 1,000,000 depths to search"),
        (["--step_mm=1e14"], "a step longer than the range, which leaves one depth to search"),
        (["--min_depth_mm=5000", "--max_depth_mm=100"], "--min_depth_mm=5000 --max_depth_mm=100 --step_mm=1: expected"),
        (["--min_depth_mm=-100"], "--min_depth_mm=-100 "),
        (["--min_joints=99"], "--min_joints=99: expected a whole number of 3 to 17"),
        (["--batch_size=99999999999999"], "--batch_size=99999999999999: "),
        (["--fps=1e-9"], "--fps=1e-09: expected 0.1 to 10,000 frames a second"),
        (["--formats=bvh"], "has no sequence of five frames or more"),
    ],
)
def test_flags_that_the_run_refuses(plan, flags, message):
    status, _, error = plan(people(), *flags)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


def test_sequences_are_looked_for_as_clips_are_made(plan):
    assert plan(people(), "--formats=bvh", "--sequence")[0] == 0
    assert plan(people()[:4], "--formats=bvh", "--sequence")[0] == 2


def test_decisions_of_another_input(plan, tmp_path):
    head = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    for file, status in (("nope.jpg", 2), ("poses.npy", 0)):
        entry = {"file": file, "sequence": "", "frame": 3, "person": -1, "decision": "drop"}
        (tmp_path / "d.json").write_text(json.dumps({**head, "decisions": [entry]}))
        assert plan(people(), f"--keep={tmp_path / 'd.json'}")[0] == status


def test_weights_of_another_network_are_refused_as_by_the_run(plan, run_command, tmp_path, published_weights, capsys):
    weights = tmp_path / "weights"
    shutil.copytree(published_weights, weights)
    broken = next(iter(sorted(weights.rglob("weights.npz"))))
    np.savez(broken, other=np.zeros((3, 3), np.float32))
    status, output, error = plan(people(), f"--weights={weights}")
    assert (status, output) == (2, "")
    assert error.startswith(f"error: {broken.parent}: variable ")
    assert error.count("\n") == 1
    given = f"--input={tmp_path / 'poses.npy'}", "--joints=pose17", f"--output={tmp_path / 'out'}"
    assert run_command(generate, *given, f"--weights={weights}") == 2
    assert capsys.readouterr().err == error
