"""make_tfrecords as a user runs it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tfrecords import reader, sources
from tools import make_tfrecords
from tools.cli import command


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(make_tfrecords.main, make_tfrecords.declare, ["make_tfrecords", *map(str, arguments)])
    return ended.value.code


def test_as_a_command(tmp_path, repository):
    out = tmp_path / "out"
    line = [sys.executable, "tools/make_tfrecords.py", "--source=synthetic", "--count=300", "--num_shards=3"]
    line += ["--shuffle", "--seed=5", "--split=val", "--workers=2", f"--output={out}"]
    done = subprocess.run(line, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0
    # Nothing but progress, which a busy machine is slow enough to see.
    assert all(" of 300 records, " in line for line in done.stderr.splitlines()), done.stderr
    assert done.stdout.startswith("300 records in 3 shards")
    assert done.stdout.endswith(f"written to {out}\n")
    assert len(os.listdir(out)) == 4
    arrays = reader.load_arrays(out, ["pose_3d", "split", "frame"])
    order = np.argsort(arrays["frame"])
    expected = list(
        sources.open_source("synthetic", "", sources.Options(count=300, seed=5, split="val")).records(range(300))
    )
    np.testing.assert_array_equal(arrays["pose_3d"][order], [record.pose_3d for record in expected])
    assert set(arrays["split"]) == {"val"}
    again = subprocess.run(line, cwd=repository, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"error: {out}: holds a finished conversion; --overwrite replaces it\n"
    assert subprocess.run([*line, "--overwrite"], cwd=repository, capture_output=True).returncode == 0


def test_table_of_sources(capsys):
    assert run("--source=list") == 0
    text = capsys.readouterr().out
    for name in sources.SOURCES:
        info = sources.source_class(name).info
        assert f"{name}: {info.description}\n" in text
    assert text.count("    licence ") == len(sources.SOURCES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--source must be given (see --help)"),
        (["--source=synthetic"], "--output must be given"),
        (["--source=coco", "--output=out"], "--input must be given"),
        (["--source=synthetic", "--output=out", "--baseline_mm=1e6"], "--baseline_mm=1e+06: expected 1 to 10,000 mm"),
        (["--source=cocoa", "--input=x", "--output=out"], "--source=cocoa: no such source; there are h36m,"),
        (["--source=nowhere:Source", "--output=out"], "No module named 'nowhere'"),
        (["--source=:Source", "--output=out"], "--source=:Source: Empty module name"),
        (["--source=.nowhere:Source", "--output=out"], "--source=.nowhere:Source: "),
        (["--source=synthetic", "--input=x", "--output=out"], "--input=x: source synthetic makes its poses itself"),
        (["--source=json:dumps", "--output=out"], "not a subclass of tfrecords.source.Source"),
        (["--source=synthetic", "--output=out", "--split=x"], "--split=x: source synthetic has train, val, test"),
        (["--source=synthetic", "--output=out", "--intrinsics=1,2"], "4 numbers expected, 2 given"),
        (["--source=synthetic", "--output=out", "--intrinsics=nan,1,1,1"], "expected focal lengths of 1 to"),
        (["--source=synthetic", "--output=out", "--intrinsics=1e30,1e30,1,1"], "expected focal lengths of 1 to"),
        (["--source=synthetic", "--output=out", "--intrinsics=1,2,3,f"], "--intrinsics=1,2,3,f: not 4 numbers"),
        (
            ["--source=npy_tree", "--input=x", "--output=out", "--permutation=0,0"],
            "17 numbers, each of 0 to 16 once",
        ),
        (["--source=coco", "--input=/none/x.json", "--output=out"], "/none/x.json"),
    ],
)
def test_bad_flags(tmp_path, monkeypatch, capsys, flags, message):
    assert_refused(tmp_path, monkeypatch, capsys, flags, message)


@pytest.mark.parametrize(
    ("content", "message"), [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(0)", "SystemExit: 0")]
)
def test_a_source_of_ones_own_that_cannot_be_imported(tmp_path, monkeypatch, capsys, content, message):
    name = f"source_{len(content)}"  # another one each time: modules are imported once
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    flags = [f"--source={name}:Source", "--output=out"]
    assert_refused(
        tmp_path, monkeypatch, capsys, flags, f"--source={name}:Source: importing {name} ended with {message}"
    )


def assert_refused(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert run(*flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("--source=npy_tree", f"--input={tmp_path / 'empty'}", f"--output={tmp_path / 'out'}") == 2
    assert str(tmp_path / "empty") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_is_singular(tmp_path, capsys):
    assert run("--source=synthetic", "--count=1", f"--output={tmp_path / 'out'}") == 0
    assert capsys.readouterr().out.startswith("1 record in 1 shard, 0.0 MB, ")


@pytest.mark.parametrize("source", ["mpii", "coco", "aichallenger"])
def test_a_folder_instead_of_a_file_is_called_so(tmp_path, capsys, source):
    assert run(f"--source={source}", f"--input={tmp_path}", f"--output={tmp_path / 'out'}") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}: a folder; expected the ")
    assert error.count("\n") == 1


def test_decisions_of_another_input_are_refused(tmp_path, capsys):
    """Before anything is converted, and by --dry_run too."""
    entry = {"file": "nope.jpg", "sequence": "", "frame": -1, "person": 0, "decision": "drop"}
    head = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    keep, out = tmp_path / "decisions.json", tmp_path / "out"
    keep.write_text(json.dumps({**head, "decisions": [entry]}))
    for more in ((), ("--dry_run",)):
        assert run("--source=synthetic", "--count=20", f"--keep={keep}", f"--output={out}", *more) == 2
        assert f"error: {keep}: no decision fits any of the 20 records of " in capsys.readouterr().err
        assert not out.exists()
