"""Temporary files: those of a command lie in a folder of its own, which it removes when it ends.

Libraries leave files in the folder for temporary files when they are killed, when a disk is full, or when a signal
comes at a bad moment; TensorFlow's AutoGraph does with each function that it compiles. `begin` makes such files lie in
``$TMPDIR/pose3d-UID/run-PID-...``, for Python, for native code and for child processes alike. A command that is killed
can't tidy up, so the next one removes the folders that no living process holds. They are held by locks of the kernel,
not known by their process ids: these may mean other processes in a container, or after a restart.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import tempfile

from tools.cli.errors import InputError

_RUN = "run-"
_ATTEMPTS = 10
_USUAL_BYTES = 1 << 16  # more than the code of a function that AutoGraph has written


def own_folder() -> pathlib.Path:
    """``pose3d-UID`` inside the folder for temporary files, where this user alone can write; made when needed.

    Raises:
      InputError: somebody else has made the folder of that name, or can write into it.
      OSError: it can't be made.
    """
    place = pathlib.Path(tempfile.gettempdir())
    if _is_of_a_run(place):
        place = place.parent.parent
    mine = place / f"pose3d-{os.getuid()}"
    mine.mkdir(mode=0o700, exist_ok=True)
    found = mine.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InputError(f"{mine}: is not a folder that this user alone can write to; remove it, or set TMPDIR")
    return mine


def begin() -> None:
    """From now on temporary files of this process and its children lie in a folder of its own, removed at its end.

    Removes what killed commands have left. Does nothing where no such folder can be made. A command that another one
    has started shares its folder.
    """
    try:
        folder = pathlib.Path(tempfile.gettempdir())
        handle = _hold(folder) if _is_of_a_run(folder) else None
        if handle is None:
            _remove_left_behind(own_folder())
            folder, handle = _made()
    except (OSError, InputError):
        return
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    # Functions registered later are called earlier, so those of libraries come first.
    atexit.register(_end, folder, handle, os.getpid())


def problem() -> str:
    """Why no file of some size can be written among temporary files; '' where one can."""
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            while file.tell() < _USUAL_BYTES:
                file.write(bytes(_USUAL_BYTES - file.tell()))
    except OSError as error:
        place = pathlib.Path(tempfile.gettempdir())
        place = place.parent.parent if _is_of_a_run(place) else place
        return f"{place}: temporary files can't be written: {error.strerror}"
    return ""


def _is_of_a_run(folder: pathlib.Path) -> bool:
    return folder.name.startswith(_RUN) and folder.parent.name == f"pose3d-{os.getuid()}"


def _made() -> tuple[pathlib.Path, int]:
    """A new folder that this process holds. Other commands remove folders that nobody holds, and empty ones."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{_RUN}{os.getpid()}-", dir=own_folder()))
            handle = _hold(folder)
            if handle is not None:
                return folder, handle
    raise OSError("folders vanish as soon as they are made")


def _hold(folder: pathlib.Path) -> int | None:
    """Holds a folder as one of many; None when it has just been removed."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # on a file system without locks nobody can take it for left behind either
        fcntl.flock(handle, fcntl.LOCK_SH)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(folder), os.fstat(handle)):
            return handle
    os.close(handle)
    return None


def _remove(folder: pathlib.Path, handle: int) -> None:
    """Removes a folder that no other process holds."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # unless something else lies there


def _remove_left_behind(mine: pathlib.Path) -> None:
    with os.scandir(mine) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_RUN)]
    for name in names:
        try:
            handle = os.open(mine / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        _remove(mine / name, handle)
        os.close(handle)


def _end(folder: pathlib.Path, handle: int, process: int) -> None:
    if os.getpid() == process:  # not in a forked child
        _remove(folder, handle)
        os.close(handle)
