"""Temporary files of commands: a folder for each, removed when it ends, and by the next one when it was killed."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tools.cli import scratch

PROGRAM = """
import atexit, os, pathlib, subprocess, sys, tempfile
from tools.cli import scratch
before = tempfile.gettempdir()
scratch.begin()
folder = pathlib.Path(tempfile.gettempdir())
assert folder.parent == scratch.own_folder() and str(scratch.own_folder().parent) == before
handle, name = tempfile.mkstemp(prefix="__autograph_generated_file", suffix=".py")
os.close(handle)
atexit.register(os.remove, name)  # as libraries do
(folder / "left").mkdir()
(folder / "left" / "a").write_text("a")
print(folder, flush=True)
what = sys.stdin.readline().strip()
if what == "child":
    subprocess.run([sys.executable, "-c", sys.argv[1], *sys.argv[1:]], input="", text=True, check=True)
    assert folder.is_dir()
if what == "fork":
    if not os.fork():
        sys.exit()
    os.wait()
    assert folder.is_dir()
"""
CHILD = """
import os, pathlib, tempfile
from tools.cli import scratch
before = tempfile.gettempdir()
scratch.begin()
assert tempfile.gettempdir() == before == os.environ["TMPDIR"]
"""


def start(tmp_path, *arguments):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    return process, pathlib.Path(process.stdout.readline().strip())


def end(process, words=""):
    process.communicate(words + "\n")
    return process.returncode


def test_nothing_is_left_and_living_ones_are_let_alone(tmp_path):
    first, mine = start(tmp_path)
    second, other = start(tmp_path)
    assert mine != other
    assert end(second) == 0
    assert not other.exists()
    assert (mine / "left" / "a").exists()
    assert end(first, "fork") == 0
    assert list(tmp_path.iterdir()) == []


def test_the_next_one_removes_what_a_killed_one_left(tmp_path):
    killed, left = start(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (left / "left" / "a").exists()
    kept = tmp_path / f"pose3d-{os.getuid()}" / "fetched-0123"
    kept.mkdir()
    following, _ = start(tmp_path)
    assert not left.exists()
    assert end(following) == 0
    assert list(kept.parent.iterdir()) == [kept]


def test_a_command_within_a_command_shares_the_folder(tmp_path):
    process, _ = start(tmp_path, CHILD)
    assert end(process, "child") == 0
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"pose3d-{os.getuid()}").mkdir()
    (tmp_path / f"pose3d-{os.getuid()}").chmod(0o777)
    with pytest.raises(scratch.InputError, match="this user alone can write"):
        scratch.own_folder()
    scratch.begin()
    assert scratch.tempfile.gettempdir() == str(tmp_path)


FULL = """
import logging, resource, sys, tempfile
from tools.cli import command
def main(flags):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:  # as AutoGraph does
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("a" * 1000)
    except OSError as error:
        logging.getLogger("tensorflow").warning("AutoGraph could not transform %s and will run it as-is.", main)
        logging.getLogger("tensorflow").warning("another warning")
    raise TypeError("iterating over a symbolic tensor is not allowed")
command.run(main, lambda: command.Flags("."))
"""


def test_no_room_for_temporary_files_is_one_line(tmp_path, repository):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, env=environment, text=True)
    warning, error = done.stderr.splitlines()
    assert warning == "another warning"
    assert error == f"error: {tmp_path}: temporary files can't be written: File too large; set TMPDIR to another folder"
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
