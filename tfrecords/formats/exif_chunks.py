"""Where PNG (eXIf, third edition) and WebP (the container's chunk EXIF) keep their EXIF data."""

from __future__ import annotations

import struct

_PNG_HEAD, _MOST = 8, 1 << 20  # bytes of a signature, and of EXIF data


def of_png(data: bytes) -> bytes:
    """The EXIF block of a PNG file, b"" where it has none."""
    place = _PNG_HEAD
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"eXIf":
            return data[place + 8 : place + 8 + length] if length <= _MOST else b""
        place += 12 + length
    return b""


def of_webp(data: bytes) -> bytes:
    """The EXIF block of a WebP file, b"" where it has none, or of another format."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return b""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[place : place + 8])
        if kind == b"EXIF":
            return data[place + 8 : place + 8 + length] if length <= _MOST else b""
        place += 8 + length + length % 2
    return b""
