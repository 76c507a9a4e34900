"""Columns of labels that are changed on disk: as an array in memory, and one line when the disk refuses."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from tools.files.columns import LabelFiles

COLUMNS = {"pose": ("<f4", (17, 3)), "number": ("<i4", ()), "flags": ("|b1", (17,))}


@pytest.fixture
def files(tmp_path):
    files = LabelFiles(tmp_path, COLUMNS, [], {"of": "a test"}, [])
    rng = np.random.default_rng(0)
    files.append(
        {"pose": rng.normal(size=(50, 17, 3)), "number": np.arange(50), "flags": rng.random((50, 17)) < 0.5},
    )
    files.checkpoint()
    yield files
    files.close()


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_are_written_as_into_an_array(files, name):
    rng = np.random.default_rng(1)
    before = np.array(files.mapped(name))
    expected = before.copy()
    changed = files.overlay(name)
    for rows in (np.arange(3, 9), np.array([0]), np.array([1, 2, 20, 21, 22, 49]), np.array([40, 5])):
        values = rng.normal(0, 100, (len(rows), *COLUMNS[name][1])).astype(COLUMNS[name][0])
        changed.write(rows, values)
        expected[rows] = values
    changed.write(np.array([30, 32]), 7)
    expected[[30, 32]] = 7
    changed.close()
    np.testing.assert_array_equal(files.mapped(name), before)
    files.use_overlays()
    np.testing.assert_array_equal(files.mapped(name), expected)
    np.testing.assert_array_equal(files.read(name, 20, 31), expected[20:31])


_LIMITED = """
import pathlib, resource, sys
import numpy as np
from tools.cli import command
from tools.files.columns import LabelFiles

def main(flags):
    files = LabelFiles(pathlib.Path(sys.argv[1]), {"pose": ("<f4", (17, 3))}, [], {}, [])
    files.append({"pose": np.zeros((50, 17, 3))})
    if sys.argv[2] == "write":
        changed = files.overlay("pose")
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    if sys.argv[2] == "write":
        changed.write(np.arange(50), 1.0)
    else:
        files.overlay("pose")
    return 0

command.run(main, lambda: command.Flags("test"), ["tool"])
"""


@pytest.mark.parametrize("step", ["copy", "write"])
def test_a_disk_that_refuses_is_one_line(tmp_path, repository, step):
    command = [sys.executable, "-c", _LIMITED, str(tmp_path), step]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}/.partial: can't be written: File too large\n"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
