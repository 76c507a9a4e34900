"""HDF5 files that would read other files, run in circles, or declare what they do not hold."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.files import hdf5, limits


def opened(path):
    with hdf5.open_file(path, "a test file") as file:
        return hdf5.read(file["a"], f"{path}: a")


def test_what_is_stored_is_read(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(6.0).reshape(2, 3)
        file["g/link"] = h5py.SoftLink("/a")
    np.testing.assert_array_equal(opened(path), np.arange(6.0).reshape(2, 3))


def write_external_storage(file, secret):
    file.create_dataset("a", (4,), "u1", external=[(str(secret), 0, 4)])


def write_external_link(file, secret):
    file["b/c"] = h5py.ExternalLink(str(secret), "/a")


def write_virtual(file, secret):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "a", (4,), "u1")
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize("write", [write_external_storage, write_external_link, write_virtual])
def test_nothing_outside_the_file_is_read(tmp_path, write):
    secret = tmp_path / "secret"
    secret.write_bytes(b"abcd")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, secret)
    with pytest.raises(InputError, match=r"another file|other files"):
        opened(tmp_path / "a.h5")


def test_soft_links_in_a_circle_are_an_input_error(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    with pytest.raises(InputError, match="a test file"):
        opened(tmp_path / "a.h5")


def test_groups_in_a_circle_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(3)
        group = file.create_group("g")
        group["again"] = group
    np.testing.assert_array_equal(opened(tmp_path / "a.h5"), np.zeros(3))


def test_data_that_was_never_written_is_refused(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 20, 1 << 10), "f8", chunks=(1024, 1024))
    with pytest.raises(InputError, match=r"declares 8 GiB, holds 0 bytes; --input_limits"):
        opened(tmp_path / "a.h5")
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(array_bytes=1 << 20))
    with pytest.raises(InputError, match=r"declares 8 GiB, more than 1 MiB; --input_limits"):
        opened(tmp_path / "a.h5")


def test_pipes_groups_and_other_content_are_input_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(InputError, match="a named pipe"):
        opened(tmp_path / "pipe.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(InputError, match="no HDF5 file"):
        opened(tmp_path / "text.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("a")
    with pytest.raises(InputError, match="a group, expected a data set"):
        opened(tmp_path / "a.h5")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is bounded on Linux alone")
def test_a_tree_of_names_without_an_end_takes_bounded_memory(tmp_path, repository):
    """A file of 5 kB, on which the HDF5 library fills all memory. In a process of its own, with no memory to reuse."""
    program = """
import resource, sys
from tests.fuzz import runner
from tools.cli.errors import InputError
from tools.files import hdf5
open(sys.argv[1], "wb").write(runner.corpus("mpii_h5")[0]["annot.h5"])
before = resource.getrlimit(resource.RLIMIT_AS)
runner.peak_megabytes()
started = runner.peak_megabytes()
try:
    with hdf5.open_file(sys.argv[1], "a test file") as file:
        hdf5.read(file["a"], "a")
except InputError as error:
    print(error)
print(runner.peak_megabytes() - started < 300, resource.getrlimit(resource.RLIMIT_AS) == before)
"""
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    words = [sys.executable, "-c", program, str(tmp_path / "a.h5")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    first, last = done.stdout.splitlines()
    assert "a.h5: damaged" in first
    assert last == "True True"
