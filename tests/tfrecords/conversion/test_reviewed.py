"""Records as a review left them, through the source and through make_tfrecords."""

import json

import numpy as np
import pytest

from tfrecords import reader, sources
from tfrecords.conversion.reviewed import swap_sides
from tfrecords.schema import PoseRecord
from tools.pose.joints import POSE17

NAMES = POSE17.joints


def other_side(name):
    return {"L": "R", "R": "L"}[name[0]] + name[1:] if name[1].isupper() else name


def test_swapped_sides_by_the_joints_names():
    rng = np.random.default_rng(0)
    fields = {"pose_2d": rng.normal(size=(17, 2)), "pose_3d": rng.normal(size=(17, 3)), "joint_quality": rng.random(17)}
    fields["visibility"] = np.arange(17) % 3
    record = swap_sides(PoseRecord(**{name: value.copy() for name, value in fields.items()}))
    for joint, name in enumerate(NAMES):
        there = NAMES.index(other_side(name))
        for field, value in fields.items():
            np.testing.assert_array_equal(
                getattr(record, field)[joint], value[there].astype(getattr(record, field).dtype)
            )


def test_a_generated_label_of_swapped_sides_is_taken_away():
    pose = 10.0 * np.arange(51.0).reshape(17, 3)
    record = swap_sides(PoseRecord(pose_2d=pose[:, :2], pose_3d=pose, root_3d=[0, 0, 5000], quality=0.5, weights="w"))
    assert np.isnan(record.pose_3d).all()
    assert np.isnan(record.root_3d).all()
    assert not record.provenance_3d.any()
    assert (record.weights, np.isnan(record.quality)) == ("", True)
    assert record.provenance_2d.all()
    assert record.problem() == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_make_tfrecords_obeys(tmp_path, start_command, workers):
    """Records of a set, some dropped and one swapped; what is left is in the order of the source."""
    first = tmp_path / "first"
    start = lambda *flags: start_command("tools/make_tfrecords.py", *flags)  # noqa: E731
    assert start("--source=synthetic", "--count=60", f"--output={first}").wait() == 0
    arrays = reader.load_arrays(first, ["pose_2d", "file", "sequence", "frame", "person"])
    entries = []
    for row, decision in ((3, "drop"), (8, "unsure"), (20, "keep"), (59, "drop")):
        names = {name: arrays[name][row] for name in ("file", "sequence", "frame", "person")}
        names["frame"], names["person"] = int(names["frame"]), int(names["person"])
        entries.append({**names, "decision": decision, "swap": row == 20})
    head = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    (tmp_path / "decisions.json").write_text(json.dumps({**head, "decisions": entries}))
    flags = "--source=tfrecords", f"--input={first}", f"--keep={tmp_path / 'decisions.json'}", f"--workers={workers}"
    made = start(*flags, f"--output={tmp_path / 'second'}", "--num_shards=3")
    text, error = made.communicate()
    assert made.returncode == 0, error
    assert "skipped 2: dropped in review" in text
    assert "skipped 1: unsure in review" in text
    rest = [row for row in range(60) if row not in (3, 8, 59)]
    expected = arrays["pose_2d"][rest].copy()
    expected[rest.index(20)] = expected[rest.index(20)][POSE17.mirror]
    np.testing.assert_array_equal(reader.load_arrays(tmp_path / "second", ["pose_2d"])["pose_2d"], expected)
    assert sources.open_source("tfrecords", tmp_path / "second").info.name == "synthetic"
