"""Zip archives and compressed streams of unknown origin."""

from __future__ import annotations

import contextlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator

from tools.cli.errors import InputError, first_line
from tools.files import inputs, limits

# What reading a damaged or foreign archive raises. NotImplementedError: a compression method or version that zipfile
# lacks. RuntimeError: an encrypted member. ValueError: a damaged array in it. MemoryError: a size that damage made up.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    MemoryError,
)


@contextlib.contextmanager
def open_zip(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """A zip archive, open for reading; `InputError` naming it when it is none, damaged, or a member cannot be read."""
    inputs.check_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except DAMAGED as error:
        reason = first_line(error)
        raise InputError(f"{path}: no .npz archive, or damaged ({reason})") from None


def check_member(member: zipfile.ZipInfo, place: str) -> None:
    """Raises `InputError` for a member that would expand beyond the limits."""
    largest = limits.current()
    if member.file_size > largest.small_bytes and member.file_size > largest.expansion * max(member.compress_size, 1):
        raise InputError(
            f"{place}: {limits.text(member.compress_size)} that expand to {limits.text(member.file_size)}; "
            f"{limits.HINT}"
        )
