"""Zip archives and compressed streams of unknown origin."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib

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
