"""generate --keep: decisions of a review reach labels, records and the next review."""

import functools
import json

import numpy as np
import pytest

from label_generator import generate
from tfrecords import reader
from tools.pose.joints import POSE17

HEAD = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}


@pytest.fixture
def run(run_command, published_weights):
    """run(*flags): the exit status of generate with the published weights and small batches."""
    return functools.partial(run_command, generate, f"--weights={published_weights}", "--batch_size=16")


@pytest.fixture
def poses(tmp_path, people):
    """(path, [80, 17, 2]) of poses with their cameras."""
    path = tmp_path / "poses.npz"
    np.savez(path, poses_2d=people.pose_2d[:80], intrinsics=people.intrinsics[:80])
    return path, people.pose_2d[:80]


def write(path, *entries, **head):
    path.write_text(json.dumps({**HEAD, **head, "decisions": list(entries)}))
    return path


def entry(row, decision, **more):
    return {"file": "poses.npz", "sequence": "", "frame": row, "person": -1, "decision": decision, **more}


def load(folder):
    with np.load(folder / "labels.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_labels_obey(run, tmp_path, poses, people, capsys):
    """Dropped poses have no label; the label of a swapped pose is that of the pose with its sides exchanged."""
    path, given = poses
    flags = f"--input={path}", "--joints=pose17"
    assert run(*flags, f"--output={tmp_path / 'all'}") == 0
    swapped = given.copy()
    swapped[40] = given[40][POSE17.mirror]
    np.savez(tmp_path / "right.npz", poses_2d=swapped, intrinsics=people.intrinsics[:80])
    assert run(f"--input={tmp_path / 'right.npz'}", "--joints=pose17", f"--output={tmp_path / 'right'}") == 0
    entries = [entry(3, "drop"), entry(17, "unsure"), entry(40, "keep", swap=True), entry(900, "drop")]
    decisions = write(tmp_path / "d.json", *entries)
    assert run(*flags, f"--keep={decisions}", f"--output={tmp_path / 'kept'}", "--formats=json", "--wild_npy") == 0
    assert "review: 1 decisions fit no pose of this input" in capsys.readouterr().out
    plain, right, kept = (load(tmp_path / name) for name in ("all", "right", "kept"))
    reasons = kept["reasons"][kept["reason"]]
    assert {i: text for i, text in enumerate(reasons) if text} == {3: "dropped in review", 17: "unsure in review"}
    assert np.isnan(kept["poses_3d"][[3, 17]]).all()
    rest = np.setdiff1d(np.arange(80), [3, 17, 40])
    np.testing.assert_array_equal(kept["poses_3d"][rest], plain["poses_3d"][rest])
    np.testing.assert_array_equal(kept["poses_3d"][40], right["poses_3d"][40])
    np.testing.assert_array_equal(kept["poses_2d"][40], swapped[40])
    assert len(json.loads((tmp_path / "kept" / "labels.json").read_text())["labels"]) == 78
    assert (tmp_path / "kept" / "decisions.json").read_bytes() == decisions.read_bytes()


def test_records_that_are_written_obey(run, tmp_path, synthetic_records):
    arrays = reader.load_arrays(
        synthetic_records / "test", ["pose_2d", "file", "sequence", "frame", "person", "action"]
    )
    entries = []
    for row, decision, swap in ((5, "drop", False), (20, "", True)):
        identity = {name: arrays[name][row] for name in ("file", "sequence", "frame", "person")}
        identity |= {"frame": int(identity["frame"]), "person": int(identity["person"])}
        entries.append({**identity, "decision": decision, "swap": swap})
    flags = f"--input={synthetic_records / 'test'}", f"--keep={write(tmp_path / 'd.json', *entries)}", "--tfrecords"
    assert run(*flags, f"--output={tmp_path / 'out'}") == 0
    written = reader.load_arrays(tmp_path / "out" / "tfrecords", ["pose_2d", "pose_3d", "frame"])
    labels = load(tmp_path / "out")
    assert labels["reasons"][labels["reason"][5]] == "dropped in review"
    assert labels["actions"][labels["action"]].tolist() == arrays["action"].tolist()
    rows = np.flatnonzero(labels["reason"] == 0)
    expected = arrays["pose_2d"][rows].copy()
    expected[rows.tolist().index(20)] = arrays["pose_2d"][20][POSE17.mirror]
    np.testing.assert_array_equal(written["pose_2d"], expected)
    np.testing.assert_array_equal(written["pose_3d"], labels["poses_3d"][rows])


def test_decisions_about_other_poses_are_refused(run, tmp_path, poses, assert_error, capsys):
    path, _ = poses
    decisions = write(tmp_path / "d.json", entry(500, "drop"))
    flags = f"--input={path}", "--joints=pose17", f"--keep={decisions}", f"--output={tmp_path / 'out'}"
    assert run(*flags) == 2
    # Before it may stand lines of progress, which a busy machine is slow enough to see.
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {decisions}: no decision fits any of the 80 poses of ")
    assert not (tmp_path / "out" / "labels.npz").exists()
    (tmp_path / "d.json").write_text("[]")
    assert run(*flags) == 2
    assert_error(str(decisions), "expected decisions.json")
