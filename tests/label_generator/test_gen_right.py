"""gen_right: against the formula in a loop, the records' own right views, and all-or-nothing writing."""

import functools
import os

import numpy as np
import pytest

from label_generator import gen_right
from label_generator.stages import pose_rows
from tfrecords import reader, writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.pose.cameras import RELEASED_RIGHT_VIEW_INTRINSICS, SEARCH_INTRINSICS


@pytest.fixture
def run(run_command):
    return functools.partial(run_command, gen_right)


@pytest.fixture(scope="module")
def absolute(people):
    """40 poses in camera coordinates, mm."""
    return (people.pose_3d + people.root_3d[:, None])[:40].astype(np.float64)


def loop(poses, intrinsics, baseline):
    """The right view, joint by joint."""
    fx, fy, cx, cy = intrinsics
    views = np.empty((len(poses), 17, 2))
    for i, pose in enumerate(poses):
        for j, (x, y, z) in enumerate(pose):
            views[i, j] = fx * (x + baseline) / z + cx, fy * y / z + cy
    return views


@pytest.mark.parametrize(
    ("flags", "intrinsics", "baseline"),
    [
        ([], SEARCH_INTRINSICS, 500),
        (["--intrinsics=released"], RELEASED_RIGHT_VIEW_INTRINSICS, 500),
        (["--intrinsics=900,910,320,240", "--baseline_mm=-250"], (900, 910, 320, 240), -250),
    ],
)
def test_one_array(run, tmp_path, absolute, flags, intrinsics, baseline, capsys):
    np.save(tmp_path / "poses.npy", absolute)
    out = tmp_path / "deep" / "right.npy"
    assert run(f"--input={tmp_path / 'poses.npy'}", f"--output={out}", *flags) == 0
    np.testing.assert_allclose(np.load(out), loop(absolute, intrinsics, baseline), rtol=1e-9)
    assert capsys.readouterr().out.endswith(f"written to {out}\n")


@pytest.mark.parametrize("layout", ["planar", "interleaved"])
def test_tree_with_another_order_of_joints(run, tmp_path, absolute, layout):
    """Every file keeps its place, name, type and layout; joints come out in this project's order."""
    order = np.random.default_rng(3).permutation(17)
    theirs = np.empty_like(absolute)
    theirs[:, order] = absolute
    files = {"9/Walking/a.npy": slice(0, 10), "9/Sitting 1/b.npy": slice(10, 13), "S11/Walking/a.npy": slice(13, 40)}
    for name, rows in files.items():
        path = tmp_path / "3d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, pose_rows.to_rows(theirs[rows], layout).astype(np.float32))
    permutation = f"--permutation={','.join(map(str, order))}"
    out = tmp_path / "right"
    assert run(f"--input={tmp_path / '3d'}", f"--output={out}", f"--layout={layout}", permutation) == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npy")) == sorted(files)
    for name, rows in files.items():
        written = np.load(out / name)
        assert written.dtype == np.float32
        views = pose_rows.from_rows(written, 2, layout)
        np.testing.assert_allclose(views, loop(absolute[rows], SEARCH_INTRINSICS, 500), atol=1e-2)


def test_a_joint_behind_the_camera(run, tmp_path, absolute, capsys):
    folder = tmp_path / "3d" / "9" / "Walking"
    folder.mkdir(parents=True)
    np.save(folder / "a.npy", absolute[:5])
    broken = absolute[5:12].copy()
    broken[3, 16, 2] = -20.0
    broken[5, 2, 0] = np.nan
    np.save(folder / "b.npy", broken)
    arguments = f"--input={tmp_path / '3d'}", f"--output={tmp_path / 'right'}"
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert f"{folder / 'b.npy'}: row 3: joint 16 (LFoot) is at or behind the camera, z = -20.0 mm" in error
    assert os.listdir(tmp_path) == ["3d"]
    assert run(*arguments, "--skip") == 0
    assert "left out 2 poses" in capsys.readouterr().out
    views = np.load(tmp_path / "right" / "9" / "Walking" / "b.npy")
    assert np.isnan(views[[3, 5]]).all()
    assert np.isfinite(np.delete(views, [3, 5], 0)).all()


def test_replaces_only_when_told(run, tmp_path, absolute, capsys):
    np.save(tmp_path / "poses.npy", absolute)
    out = tmp_path / "right.npy"
    out.write_text("mine")
    assert run(f"--input={tmp_path / 'poses.npy'}", f"--output={out}") == 2
    assert "exists already; --overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(f"--input={tmp_path / 'poses.npy'}", f"--output={out}", "--overwrite") == 0
    assert np.load(out).shape == (40, 17, 2)
    tree = tmp_path / "tree" / "1" / "x"
    tree.mkdir(parents=True)
    np.save(tree / "a.npy", absolute)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    arguments = f"--input={tmp_path / 'tree'}", f"--output={tmp_path / 'out'}"
    assert run(*arguments) == 2
    assert run(*arguments, "--overwrite") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1"]
    assert sorted(os.listdir(tmp_path)) == ["out", "poses.npy", "right.npy", "tree"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A set of 60 records without their right view."""
    folder = tmp_path_factory.mktemp("records")
    writer.convert(
        lambda: open_source("synthetic", "", Options(count=60, baseline_mm=0.0)), folder, num_shards=3, quiet=True
    )
    return folder


def test_records(run, tmp_path, records, people, capsys):
    """With each record's own camera the new field is what the source itself makes of the same people."""
    out = tmp_path / "out"
    assert run(f"--input={records}", f"--output={out}", "--intrinsics=own") == 0
    assert "right view of 60 poses" in capsys.readouterr().out
    before, after = reader.load_arrays(records), reader.load_arrays(out)
    np.testing.assert_allclose(after["right_2d"], people.right_2d[:60], atol=2e-2)
    for field, values in before.items():
        if field != "right_2d":
            np.testing.assert_array_equal(values, after[field], err_msg=field)
    assert run(f"--input={records}", f"--output={out}", "--overwrite") == 0
    views = reader.load_arrays(out, ["right_2d"])["right_2d"]
    absolute = (before["pose_3d"] + before["root_3d"][:, None]).astype(np.float64)
    np.testing.assert_allclose(views, loop(absolute, SEARCH_INTRINSICS, 500), atol=2e-2)


def test_records_without_a_place(run, tmp_path, capsys):
    def without_root():
        source = open_source("synthetic", "", Options(count=12))
        given = source.records

        def records(numbers):
            for record in given(numbers):
                record.root_3d[:] = [np.nan if record.frame == 4 else 0.0, 0.0, -900.0 if record.frame == 7 else 5000.0]
                yield record

        source.records = records
        return source

    folder = tmp_path / "in"
    writer.convert(without_root, folder, quiet=True)
    arguments = f"--input={folder}", f"--output={tmp_path / 'out'}"
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert "frame 4: no 3D pose in camera coordinates; --skip leaves such records out" in error
    assert error.count("\n") == 1
    assert run(*arguments, "--skip") == 0
    assert "left out 2 poses" in capsys.readouterr().out
    assert sorted(reader.load_arrays(tmp_path / "out", ["frame"])["frame"]) == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output=x.npy"], "--input must be given"),
        (["--input=IN"], "--output must be given"),
        (["--input=IN", "--output=x"], "the view of one array is a file *.npy"),
        (["--input=IN", "--output=x.npy", "--baseline_mm=-1e9"], "--baseline_mm=-1e+09: expected 1 to 10,000 mm"),
        (["--input=IN", "--output=x.npy", "--intrinsics=own"], "--intrinsics=own: arrays have none"),
        (["--input=IN", "--output=x.npy", "--intrinsics=1,2,3"], "expected fx,fy,cx,cy"),
        (["--input=IN", "--output=x.npy", "--permutation=1,2"], "17 numbers, each of 0 to 16 once"),
        (["--input=IN", "--output=x.npy", "--layout=interleaved"], "rows are planar, not interleaved"),
        (["--input=none.npy", "--output=x.npy"], "none.npy: no such file"),
        (["--input=nowhere", "--output=x"], "nowhere: no such file or folder"),
        (["--input=2d.npy", "--output=x.npy"], "holds 2D poses, expected 3D"),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, capsys, absolute, flags, message):
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", pose_rows.to_rows(absolute, "planar"))
    np.save("2d.npy", np.ones((3, 34)))
    assert run(*(flag.replace("IN", "in.npy") for flag in flags)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["2d.npy", "in.npy"]


def test_poses_in_metres_are_refused(run, tmp_path, absolute, capsys):
    """500 mm aside would be 500 m beside them."""
    np.save(tmp_path / "poses.npy", absolute / 1000)
    assert run(f"--input={tmp_path / 'poses.npy'}", f"--output={tmp_path / 'right.npy'}") == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'poses.npy'}: row 0: all joints within 0." in error
    assert "not in mm; multiply metres by 1,000" in error
    assert os.listdir(tmp_path) == ["poses.npy"]


@pytest.mark.parametrize("tree", [False, True])
def test_nothing_is_written_when_all_poses_are_left_out(run, tmp_path, absolute, tree, capsys):
    source = tmp_path / "3d" / "9" / "Walking" / "a.npy" if tree else tmp_path / "3d"
    source.parent.mkdir(parents=True, exist_ok=True)
    np.save(source if tree else tmp_path / "3d.npy", -absolute)
    source, output = (tmp_path / "3d", tmp_path / "right") if tree else (tmp_path / "3d.npy", tmp_path / "right.npy")
    assert run(f"--input={source}", f"--output={output}", "--skip") == 2
    assert capsys.readouterr().err == f"error: {source}: none of its 40 poses is in front of the camera\n"
    assert os.listdir(tmp_path) == [source.name]
