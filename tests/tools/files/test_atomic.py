"""Files and folders that are written whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tools.cli.errors import InputError
from tools.files import atomic


def test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path):
    place = tmp_path / "above" / "made"
    for content in ("first", "second"):
        with atomic.write_folder(place) as folder:
            (folder / content).write_text(content)
            assert not (place / content).exists()
        assert [path.name for path in place.iterdir()] == [content]
    assert place.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in place.parent.iterdir()] == ["made"]


def test_a_replaced_folder_is_never_missing(tmp_path, monkeypatch):
    place, renamed = tmp_path / "made", []
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (renamed.append(names), rename(*names)))
    for content in ("first", "second"):
        with atomic.write_folder(place) as folder:
            (folder / content).write_text(content)
    if not atomic._exchanged(tmp_path, tmp_path):
        assert len(renamed) == 3  # where the kernel can't exchange names
    else:
        assert len(renamed) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "second"]


def test_folders_are_replaced_where_names_cannot_be_exchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchanged", lambda *names: False)
    test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path)


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    place = tmp_path / "made"
    with atomic.write_folder(place) as folder:
        (folder / "first").write_text("first")
    with pytest.raises(KeyboardInterrupt), atomic.write_folder(place) as folder:  # noqa: PT012
        (folder / "second").write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "first"]


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    place = tmp_path / "made.npy"
    place.write_text("first")
    with pytest.raises(KeyboardInterrupt), atomic.write_file(place) as temporary:  # noqa: PT012
        assert temporary.suffix == ".npy"
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert place.read_text() == "first"
    atomic.write_text(place, "second")
    assert place.read_text() == "second"
    assert place.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["made.npy"]


_KILLED = """
import os, signal, sys
from tools.cli.errors import InputError
from tools.files import atomic
with atomic.{function}(sys.argv[1]) as place:
    {fill}
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_writing(repository, place, function):
    fill = "(place / 'half').write_text('half')" if function == "write_folder" else "place.write_text('half')"
    process = subprocess.run(
        [sys.executable, "-c", _KILLED.format(function=function, fill=fill), str(place)], cwd=repository
    )
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("function", ["write_file", "write_folder"])
def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path, repository, function):
    place = tmp_path / "made [1]"
    killed_while_writing(repository, place, function)
    assert [path.name[:8] for path in tmp_path.iterdir()] == [".made [1"]
    with getattr(atomic, function)(place) as temporary:
        if function == "write_folder":
            (temporary / "whole").write_text("whole")
        else:
            temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["made [1]"]


def test_what_a_living_process_is_writing_stays(tmp_path):
    place = tmp_path / "made"
    with atomic.write_folder(place) as first:
        (first / "first").write_text("first")
        with atomic.write_folder(place) as second:
            (second / "second").write_text("second")
        assert (first / "first").exists()
    assert [path.name for path in place.iterdir()] == ["first"]


def test_a_folder_that_was_moved_aside_by_a_killed_process_comes_back(tmp_path, monkeypatch):
    place = tmp_path / "made"
    with atomic.write_folder(place) as folder:
        (folder / "old").write_text("old")
    # As after a kill between the two renames: the old folder is aside, the new one is unfinished, the name is free.
    aside = tmp_path / ".made.replaced.abc"
    aside.mkdir()
    place.rename(aside / "made")
    with pytest.raises(ValueError), atomic.write_folder(place) as folder:  # noqa: PT012
        (folder / "new").write_text("new")
        raise ValueError
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["made", "made/old"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none/a\.txt: cannot be written: No such file or directory"):
        atomic.write_text(tmp_path / "none" / "a.txt", "")


def test_a_full_disk_names_the_file(tmp_path):
    with (
        pytest.raises(InputError, match=r"a\.txt: cannot be written: No space left"),
        atomic.write_file(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_another_files_error_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), atomic.write_file(tmp_path / "a.txt"):
        (tmp_path.parent / "other").read_text()


def test_an_error_within_a_folder_names_the_final_place(tmp_path):
    with (
        pytest.raises(InputError) as error,
        atomic.write_folder(tmp_path / "made") as folder,
        atomic.write_file(folder / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == f"{tmp_path}/made/a.txt: cannot be written: No space left on device"
