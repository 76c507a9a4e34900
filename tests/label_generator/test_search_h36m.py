"""search_h36m: its report against the published loop, from trees and from records."""

import functools
import json
import os
import sys

import numpy as np
import pytest

from label_generator import search_h36m
from label_generator.evaluation import search_inputs, search_report
from label_generator.lifting import lifter
from label_generator.stages import pose_rows
from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics

ACTIONS = {"9/Walking/a": slice(0, 30), "9/Walking/b": slice(30, 75), "11/Photo/a": slice(75, 110)}


@pytest.fixture
def run(run_command, capsys):
    """run(*flags) -> (exit status, the table as --json prints it)."""

    def both(*flags):
        status = run_command(search_h36m, *flags, "--json")
        printed = capsys.readouterr()
        print(printed.err, end="", file=sys.stderr)  # what a user sees, for the tests to read
        return status, json.loads(printed.out) if not status else None

    return both


@pytest.fixture(scope="module")
def trees(tmp_path_factory, people):
    """The original's three folders: noisy predictions, the truth, and its pixels in the published camera."""
    root = tmp_path_factory.mktemp("trees")
    truth = people.pose_3d.astype(np.float64)
    predicted = truth + np.random.default_rng(1).normal(0, 40, truth.shape)
    predicted -= predicted[:, [10]]
    seen = change_intrinsics(people.pose_2d.astype(np.float64), people.intrinsics[:, None], SEARCH_INTRINSICS)
    for name, rows in ACTIONS.items():
        for tree, values in (("predict", predicted), ("3dCam", truth), ("2dCam", seen)):
            path = root / tree / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, pose_rows.to_rows(values[rows], "planar"))
    return root


def published_loop(coarse, seen, depths, before, cap=np.inf, root_centred=False):
    """The released search of one pose, joint by joint and depth by depth: the pose, its depth.

    The second script never resets the depth, so that it starts as the last pose's, `before`.
    """
    fx, fy, cx, cy = SEARCH_INTRINSICS
    u, v = seen.T
    if root_centred:
        u, v, cx, cy = u - u[10], v - v[10], 0.0, 0.0
    best, least = before if root_centred else 0.0, cap
    for depth in depths:
        x = (u - cx) / fx * (coarse[:, 2] + depth)
        y = (v - cy) / fy * (coarse[:, 2] + depth)
        cost = np.sqrt((x - x[10] - coarse[:, 0]) ** 2 + (y - y[10] - coarse[:, 1]) ** 2).sum()
        if cost < least:
            best, least = depth, cost
    z = coarse[:, 2] + best
    placed = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], -1)
    return placed - placed[10], best


def by_hand(trees, step, depths, wanted=("Walking", "Photo"), **options):
    """action -> mean errors before and after over its frames."""
    errors = {action: [] for action in wanted}
    depth = 0.0
    for name in sorted(ACTIONS, key=lambda name: (name.split("/")[1], name)):
        action = name.split("/")[1]
        if action not in wanted:
            continue
        read = (np.load(trees / tree / f"{name}.npy")[::step] for tree in ("predict", "3dCam", "2dCam"))
        coarse, truth, seen = (rows.reshape(len(rows), -1, 17).transpose(0, 2, 1) for rows in read)
        for i in range(len(coarse)):
            after, depth = published_loop(coarse[i], seen[i], depths, depth, **options)
            errors[action].append([np.linalg.norm(pose - truth[i], axis=-1).mean() for pose in (coarse[i], after)])
    return {action: np.mean(values, 0) for action, values in errors.items()}


def check(table, expected, tolerance=0.3):
    assert [row["action"] for row in table["actions"]] == sorted(expected)
    for row in table["actions"]:
        for metric, value in zip(("before (mm)", "after (mm)"), expected[row["action"]]):
            assert row["errors"][metric]["mean"] == pytest.approx(value, abs=tolerance)


def test_trees_against_the_published_loop(run, trees, capsys):
    depths = np.arange(2800, 7200, 20.0)
    status, table = run(f"--input={trees}", "--frame_step=10", "--step_mm=20", "--method=exhaustive")
    assert status == 0
    expected = by_hand(trees, 10, depths)
    check(table, expected)
    poses = {"Photo": 4, "Walking": 8}
    assert {row["action"]: row["poses"] for row in table["actions"]} == poses
    for metric, place in (("before (mm)", 0), ("after (mm)", 1)):
        means = {action: values[place] for action, values in expected.items()}
        frame_wise = sum(poses[action] * mean for action, mean in means.items()) / 12
        assert table["frame_wise"][metric]["mean"] == pytest.approx(frame_wise, abs=0.3)
        assert table["action_wise"][metric]["mean"] == pytest.approx(np.mean(list(means.values())), abs=0.3)
    text = capsys.readouterr().err
    assert "12 poses, 3 sequences" in text
    # The last running mean is the mean over poses.
    last = [line for line in text.splitlines() if "running" in line][-1]
    assert last.endswith(
        f"running {table['frame_wise']['before (mm)']['mean']:.1f} -> {table['frame_wise']['after (mm)']['mean']:.1f}"
    )
    assert "mean over actions" in text


def test_one_action_and_every_25th_frame(run, trees, capsys):
    status, table = run(f"--input={trees}", "--action=photo", "--step_mm=20", "--per_frame")
    assert status == 0
    check(table, by_hand(trees, 25, np.arange(2800, 7200, 20.0), ["Photo"]))
    assert table["actions"][0]["poses"] == 2
    text = capsys.readouterr().err
    assert "11/Photo/a frame 0:" in text
    assert "11/Photo/a frame 25:" in text


def test_the_cruder_script_and_its_cap(run, trees, capsys):
    flags = [f"--input={trees}", "--frame_step=10", "--step_mm=20", "--search=root_centred"]
    status, table = run(*flags)
    assert status == 0
    check(table, by_hand(trees, 10, np.arange(2800, 7200, 20.0), root_centred=True))
    status, capped = run(*flags, "--released_cap")
    check(capped, by_hand(trees, 10, np.arange(2800, 7200, 20.0), root_centred=True, cap=2000.0))
    assert "no depth found: 0\nno cost below the released cap: " in capsys.readouterr().err


def test_a_pose_above_the_second_scripts_cap_keeps_the_last_depth(run, trees, monkeypatch, capsys):
    depths, cap = np.arange(2800, 7200, 20.0), 750.0  # which some of these poses are above
    monkeypatch.setitem(search_report._CAPS, "root_centred", cap)
    monkeypatch.setattr(search_report, "_POSES_AT_ONCE", 5)  # the depth goes on from batch to batch
    flags = [f"--input={trees}", "--frame_step=10", "--step_mm=20", "--search=root_centred", "--released_cap"]
    status, table = run(*flags)
    assert status == 0
    check(table, by_hand(trees, 10, depths, root_centred=True, cap=cap))
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("no cost below"))
    assert line.endswith("which kept the previous pose's depth")
    assert 2 <= int(line.split(":")[1].split()[0]) <= 10


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """300 records, shuffled among three shards."""
    folder = tmp_path_factory.mktemp("records") / "set"
    source = functools.partial(open_source, "synthetic", "", Options(count=300))
    writer.convert(source, folder, num_shards=3, shuffle=True, quiet=True)
    return folder


@pytest.mark.parametrize("right_view", ["predicted", "true"])
def test_records(run, records, published_weights, people, right_view, capsys):
    """Errors by action are those of lifting the same people at once."""
    flags = [f"--input={records}", f"--weights={published_weights}", f"--right_view={right_view}", "--frame_step=1"]
    status, table = run(*flags)
    assert status == 0
    made = lifter.load_lifter([published_weights])
    right = change_intrinsics(people.right_2d, people.intrinsics[:, None], SEARCH_INTRINSICS)
    lifted = made.lift(people.pose_2d, people.intrinsics, right_2d=right if right_view == "true" else None)
    errors = [np.linalg.norm(pose - people.pose_3d, axis=-1).mean(1) for pose in (lifted.coarse_3d, lifted.pose_3d)]
    expected = {
        action: [error[people.action == action].mean() for error in errors] for action in sorted(set(people.action))
    }
    check(table, expected, 0.05)
    assert f"published recipe, {right_view} right view" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--input must be given"),
        (["--input=nowhere"], "nowhere: no such file"),
        (["--input=TREES", "--action=Flying"], "--action=Flying: no such action; there are Photo, Walking"),
        (["--input=TREES", "--right_view=true"], "are for TFRecords: the trees hold predictions already"),
        (["--input=TREES", "--permutation=1"], "17 numbers, each of 0 to 16 once"),
        (["--input=TREES", "--intrinsics=1,2"], "expected fx,fy,cx,cy"),
        (["--input=TREES", "--min_depth_mm=8000"], "expected min < max"),
        (["--input=half"], "half: has predict, 3dCam but no 2dCam"),
        (["--input=odd"], "a.npy: no such file, the partner of"),
        (["--input=RECORDS", "--weights=none"], "none: no weights folder"),
        (["--input=RECORDS", "--permutation=1"], "--permutation: is for the trees' arrays"),
    ],
)
def test_bad_input(run_command, tmp_path, monkeypatch, capsys, trees, records, flags, message):
    monkeypatch.chdir(tmp_path)
    for tree in ("predict", "3dCam"):
        (tmp_path / "half" / tree).mkdir(parents=True)
    for tree in search_inputs.TREES:
        (tmp_path / "odd" / tree / "9" / "x").mkdir(parents=True)
    np.save("odd/predict/9/x/a.npy", np.ones((2, 51)))
    flags = [flag.replace("TREES", str(trees)).replace("RECORDS", str(records)) for flag in flags]
    assert run_command(search_h36m, *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not os.path.exists("report.json")
