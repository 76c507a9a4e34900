"""Rows in memory and in a temporary file, against a list of rows."""

import concurrent.futures
import errno
import os
import tempfile

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.files.row_store import RowStore


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_rows_are_those_appended(memory):
    rows = np.random.default_rng(0).normal(size=(101, 7)).astype(np.float32)
    store = RowStore(7, 120, memory)
    for start, end in ((0, 40), (40, 41), (41, 41), (41, 101)):
        store.append(rows[start:end])
    assert len(store) == 101
    assert store.is_on_disk == (memory == 0)
    np.testing.assert_array_equal(np.concatenate(list(store.blocks(33))), rows)
    assert [len(block) for block in store.blocks(33)] == [33, 33, 33, 2]
    chosen = np.random.default_rng(1).integers(0, 101, (20, 64), dtype=np.int32)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for numbers, taken in zip(chosen, threads.map(store.take, chosen)):
            np.testing.assert_array_equal(taken, rows[numbers])


def test_the_file_leaves_no_name_and_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = RowStore(3, 5, 0)
    store.append(np.ones((5, 3), np.float32))
    assert os.listdir(tmp_path) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._file, "write", full, raising=False)
    with pytest.raises(InputError, match=f"{tmp_path}: rows .* No space left on device; .* TMPDIR"):
        store.append(np.ones((1, 3), np.float32))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="No such file or directory"):
        RowStore(3, 5, 0)
