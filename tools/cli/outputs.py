"""The rule of every command for what already lies at its output: nothing is replaced without ``--overwrite``."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

from tools.cli.errors import InputError

# Also of an address that was made a path of, which joins its slashes.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")


def check_is_here(path: str | os.PathLike) -> None:
    """Raises `InputError` for an address, where a command writes to this machine only: it would be a folder's name."""
    if isinstance(path, (str, pathlib.Path)) and _ADDRESS.match(os.fspath(path)):
        raise InputError(f"{path}: this is written to files of this machine only, not to an address")


def check_free(path: str | os.PathLike, overwrite: bool) -> None:
    """Raises `InputError` when something lies at `path` and may not be replaced."""
    check_is_here(path)
    there = os.path.lexists(path) if isinstance(path, (str, pathlib.Path)) else _exists(path)
    if there and not overwrite:
        raise InputError(f"{path}: exists already; --overwrite replaces it")


def _exists(path: Any) -> bool:
    """Of a path on another file system (`tools.files.remote`), which has the method of `pathlib.Path`."""
    return bool(path.exists())


def check_all_free(paths: Iterable[str | os.PathLike], overwrite: bool) -> None:
    """As `check_free` for each of `paths`."""
    for path in paths:
        check_free(path, overwrite)


def check_folder(path: str | os.PathLike) -> None:
    """Raises `InputError` when `path`, a folder to be written, is something else or may not be written."""
    check_is_here(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InputError(f"{path}: is not a folder")
    above = os.path.abspath(path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise InputError(f"{path}: cannot be created, {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written, no permission for {above}")
