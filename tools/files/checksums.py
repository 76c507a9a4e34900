"""SHA-256 of files, texts and arrays."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from tools.files import remote

SHORT = 16  # hexadecimal digits that tell trainings and weights apart in settings
_BUFFER = 1 << 18


def of_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with remote.open_binary(path, "rb", _BUFFER) as file:
        while data := file.read(_BUFFER):
            digest.update(data)
    return digest.hexdigest()


def of_folders(folders: Iterable[str | os.PathLike]) -> str:
    """The SHA-256 of the names and bytes of all files in these folders, hexadecimal."""
    digest = hashlib.sha256()
    for folder in map(pathlib.Path, folders):
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def of_text(text: str) -> str:
    """The SHA-256 of a text's UTF-8 bytes, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of named arrays: names, types, shapes and values, hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
