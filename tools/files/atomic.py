"""Files and folders that are written whole or not at all.

What is being written lies beside its final place under a hidden temporary name that holds a lock of the kernel. A
process that is killed leaves such a name behind, but no lock: the next process that writes the same file or folder
removes it, and puts a folder back that was moved aside and not yet replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from tools.cli.errors import InputError
from tools.files import remote

_MARK = ".unfinished."
_ASIDE = ".replaced."
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h


@contextlib.contextmanager
def write_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """`with write_file(path) as temporary:` gives an empty file to fill, which becomes `path` when the block ends well.

    The temporary name has the suffix of `path`. The folder must exist. A file of that name is replaced; until then it
    stays as it is.

    Raises:
      InputError: naming `path`, when it cannot be written (no permission, a full disk).
    """
    path = pathlib.Path(path)
    with _errors_of(path):
        _remove_unfinished(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}{_MARK}", suffix=path.suffix, dir=path.parent)
        temporary = pathlib.Path(name)
        try:
            _lock(handle)
            yield temporary
            temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a small UTF-8 file, local or remote, whole or not at all. Raises `InputError` naming it."""
    if remote.is_remote(path):
        with _errors_of(remote.place(path)):
            remote.write_whole(path, text.encode("utf-8"))
        return
    with write_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def write_folder(directory: str | os.PathLike) -> Iterator[pathlib.Path]:
    """`with write_folder(path) as folder:` gives a folder to fill, which becomes `path` when the block ends well.

    Folders above are made. A folder of that name is replaced; until the last moment it stays as it is. After an error
    nothing is left of the new one.

    Raises:
      InputError: naming the folder, when it cannot be written.
    """
    directory = pathlib.Path(directory)
    with _errors_of(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        restore(directory)
        _remove_unfinished(directory)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}{_MARK}", dir=directory.parent))
        handle = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(handle)
            yield temporary
            temporary.chmod(0o755)
            _put_in_place(temporary, directory)
        except InputError as error:
            # Of a file inside, under the name that it will have.
            raise InputError(str(error).replace(str(temporary), str(directory))) from error
        finally:
            restore(directory)
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(handle)


def _put_in_place(new: pathlib.Path, directory: pathlib.Path) -> None:
    """Gives a folder its final name; a folder that has it is afterwards under the name of `new`, or gone."""
    if not directory.exists():
        os.replace(new, directory)
    elif not _exchanged(new, directory):
        aside = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}{_ASIDE}", dir=directory.parent))
        os.replace(directory, aside / directory.name)
        os.replace(new, directory)
        shutil.rmtree(aside, ignore_errors=True)


def _exchanged(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Exchanges the names of two folders in one step of the kernel; False where it or the file system can't do that.

    With two renames instead there is a moment without any folder of that name, and a process can end in it.
    """
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # not Linux, or a C library before glibc 2.28
        return False
    return exchange(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def restore(directory: str | os.PathLike) -> None:
    """Puts a folder back that a process moved aside and was ended before it put the new one in place."""
    directory = pathlib.Path(directory)
    for aside in sorted(directory.parent.glob(f".{_escaped(directory.name)}{_ASIDE}*")):
        old = aside / directory.name
        if old.is_dir() and not directory.exists():
            os.replace(old, directory)
        shutil.rmtree(aside, ignore_errors=True)


def _remove_unfinished(path: pathlib.Path) -> None:
    """Removes what killed processes left of `path`; what a living one is writing is locked and stays."""
    for left in path.parent.glob(f".{_escaped(path.name)}{_MARK}*"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            finally:
                os.close(handle)


def _escaped(name: str) -> str:
    """A name in which a glob pattern finds itself only."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _lock(handle: int) -> None:
    # File systems without locks: nothing is removed there either, since the lock cannot be had.
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _errors_of(path: pathlib.Path) -> Iterator[None]:
    """Errors of the operating system while writing, as an `InputError` that names the final path."""
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        if name and _MARK not in name and os.path.dirname(name) != str(path.parent) and error.errno != errno.ENOSPC:
            raise  # of another file, which the error names
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
