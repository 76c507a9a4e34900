"""Inputs in another order of joints than they are said to have, told by the shipped weights."""

import json

import numpy as np
import pytest

from label_generator import generate
from label_generator.labelling import joint_orders
from label_generator.lifting import lifter
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.pose import joints
from tools.pose.joints import POSE17


@pytest.fixture(scope="module")
def people():
    """[n, 17, 2] px of people in everyday activities."""
    source = open_source("synthetic", "", Options(count=128, cameras_style="wild"))
    return np.stack([record.pose_2d for record in source.records(np.arange(128))]).astype(np.float32)


@pytest.fixture(scope="module")
def lift():
    shipped = lifter.load_lifter([lifter.SHIPPED])

    def expected(poses, labelled):
        unknown = np.full((len(poses), 4), np.nan, np.float32)
        return shipped.lift(poses, unknown, labelled).expected_error_mm.numpy()

    return expected


def exchanged(poses, names):
    order = np.arange(17)
    for name in names:
        left, right = POSE17.index("L" + name), POSE17.index("R" + name)
        order[left], order[right] = right, left
    return poses[:, order]


def test_what_is_as_told_gets_no_warning(people, lift):
    every = np.ones((128, 17), bool)
    assert joint_orders.look_at(lift, people, every, "pose17") is None
    lsp, provenance = joints.convert(joints.convert(people, "pose17", "lsp14")[0], "lsp14")
    assert joint_orders.look_at(lift, lsp, provenance == joints.LABELLED, "lsp14") is None


def test_other_orders_are_named(people, lift):
    every = np.ones((128, 17), bool)
    legs = joint_orders.look_at(lift, exchanged(people, ("Hip", "Knee", "Foot")), every, "pose17")
    assert legs.order == "legs with left and right exchanged"
    theirs = joints.convert(people, "pose17", "h36m17")[0]
    found = joint_orders.look_at(lift, theirs, every, "pose17")
    assert found.order == "joint set h36m17"
    assert found.other_mm < 0.5 * found.told_mm
    assert f"instead of {found.told_mm:.0f} mm" in found.message("--joints=pose17")
    assert joint_orders.look_at(lift, people * np.float32([1, -1]), every).order == "a y axis that points up"
    assert joint_orders.look_at(lift, people[..., ::-1], every).order == "x and y exchanged"
    x, y = people[..., 0], people[..., 1]
    turned_left, turned_right = np.stack([y, 1000 - x], -1), np.stack([1000 - y, x], -1)
    assert joint_orders.look_at(lift, turned_left, every).order == "pictures that lie on their left side"
    assert joint_orders.look_at(lift, turned_right, every).order == "pictures that lie on their right side"
    wrong, provenance = joints.convert(joints.convert(people, "pose17", "lsp14")[0], "aichallenger14")
    found = joint_orders.look_at(lift, wrong, provenance == joints.LABELLED, "aichallenger14")
    assert found.order == "joint set lsp14"


def test_few_poses_say_nothing(people, lift):
    every = np.ones((128, 17), bool)
    assert joint_orders.look_at(lift, exchanged(people, ("Hip", "Knee", "Foot"))[:5], every[:5]) is None
    assert joint_orders.look_at(lift, people, np.zeros((128, 17), bool)) is None


def test_generate_warns_once(run_command, tmp_path, people, capsys):
    np.save(tmp_path / "theirs.npy", joints.convert(people, "pose17", "h36m17")[0])
    flags = [f"--input={tmp_path / 'theirs.npy'}", f"--output={tmp_path / 'labels'}"]
    assert run_command(generate, *flags, "--joints=pose17") == 0
    text = capsys.readouterr().err
    assert text.count("warning: the 2D poses look like joint set h36m17, not like --joints=pose17") == 1
    summary = json.loads((tmp_path / "labels" / "summary.json").read_text())
    assert summary["looks_like"] == "joint set h36m17"
    assert run_command(generate, *flags, "--joints=h36m17", "--overwrite") == 0
    assert "warning: the 2D" not in capsys.readouterr().err
