"""The TFRecord file format: length, its checksum, the bytes, their checksum; plain or as one gzip stream.

Written and read here without TensorFlow, so that a conversion starts at once and damage is named by shard and record.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import gzip
import hashlib
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from tfrecords.storage.crc32c import masked_crc32c
from tools.cli.errors import InputError
from tools.files import inputs, limits, remote

_BUFFER = 1 << 18
_GZIP_LEVEL = 6
# First bytes of files that are taken for TFRecords by mistake.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip or npz archive", b"\x93NUMPY": "a NumPy array", b"\x1f\x8b": "gzip, but not .gz by name",
    b"\x89HDF": "HDF5", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"MATLAB ": "a MATLAB file",
}  # fmt: skip
_HASHED_BEHIND = 4  # how many buffers of a file may wait for their hash
_HASHED_HERE = 1 << 16  # bytes whose hash takes less time than to wake another thread
# Hashing takes as long as everything else together and needs no interpreter, so it goes on beside it.
_hashing = concurrent.futures.ThreadPoolExecutor(1, "sha256")
_GZIP_FRAME = 31  # zlib's window bits for a gzip header and trailer, whose time stamp is then zero


@functools.lru_cache(maxsize=4096)
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


def frame(data: bytes) -> bytes:
    """`data` as one TFRecord."""
    return b"".join((_header(len(data)), data, struct.pack("<I", masked_crc32c(data))))


class RecordFile:
    """A TFRecord file being written. As a context manager it is whole at the end, or removed after an error.

    Attributes:
      records, bytes: how many were written, and the size of the file once it is closed.
      sha256: hexadecimal, once it is closed.
    """

    def __init__(self, path: pathlib.Path, compressed: bool, shown_as: str = ""):
        """compressed: as one gzip stream. shown_as: the name in messages. Raises `InputError` if it can't be made."""
        self.path, self.records, self.bytes, self.sha256 = remote.place(path), 0, 0, ""
        self._shown = shown_as or str(path)
        self._hash = hashlib.sha256()
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FRAME) if compressed else None
        self._parts: list[bytes] = []
        self._waiting = 0
        self._hashed: collections.deque[concurrent.futures.Future] = collections.deque()
        try:
            self._file = remote.open_binary(self.path, "wb", buffering=0)  # closed by __exit__
        except OSError as error:
            raise self._failure(error) from error

    def write(self, data: bytes) -> None:
        """Adds one record. Raises `InputError` naming the file when the disk is full or otherwise refuses."""
        self._parts += (_header(len(data)), data, struct.pack("<I", masked_crc32c(data)))
        self._waiting += len(data) + 16
        self.records += 1
        if self._waiting >= _BUFFER:
            self._flush()

    def _flush(self, last: bool = False) -> None:
        data = b"".join(self._parts)
        self._parts, self._waiting = [], 0
        if self._compressor:
            data = self._compressor.compress(data) + (self._compressor.flush() if last else b"")
        if len(data) < _HASHED_HERE and not self._hashed:
            self._hash.update(data)
        else:
            self._hashed.append(_hashing.submit(self._hash.update, data))
        while len(self._hashed) > (0 if last else _HASHED_BEHIND):
            self._hashed.popleft().result()
        self.bytes += len(data)
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> InputError:
        return InputError(f"{self._shown}: can't be written: {error.strerror}")

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                self._flush(last=True)
                self._file.close()
                self.sha256 = self._hash.hexdigest()
        finally:
            self._file.close()
            if not self.sha256:
                self.path.unlink(missing_ok=True)


def read_frames(path: str | pathlib.Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file (gzip by its name), each checked.

    Raises `InputError` that names file and record, from 0, when the file is cut short or a checksum does not fit.
    """
    path = remote.place(path)
    number = 0
    inputs.check_regular(path)
    try:
        with remote.open_binary(path, "rb", _BUFFER) as plain, _decompressed(plain, path) as file:
            while True:
                length = _read_length(file, path, number)
                if length is None:
                    return
                data = file.read(length)
                footer = file.read(4)
                if len(footer) < 4:
                    raise InputError(f"{path}: record {number}: {_cut_or('', True)}")
                if footer != struct.pack("<I", masked_crc32c(data)):
                    raise InputError(f"{path}: record {number}: its checksum does not fit, the data is damaged")
                yield data
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: record {number}: the gzip stream is damaged or cut short ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: record {number}: cannot be read: {error.strerror or error}") from error


def _decompressed(file: IO[bytes], path: pathlib.Path) -> IO[bytes]:
    """The stream of records of an open file, which is a gzip stream by its name or the records themselves."""
    return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file  # type: ignore[return-value]


def _read_length(file: Any, path: pathlib.Path, number: int) -> int | None:
    """The length of the next record, None at the end of the file; `InputError` when it is damaged or beyond limits."""
    header = file.read(12)
    if not header:
        return None
    length = int.from_bytes(header[:8], "little")
    if len(header) < 12 or header != _header(length):
        if number == 0 and (kind := _other_kind(header)):
            raise InputError(f"{path}: not a TFRecord file ({kind})")
        raise InputError(f"{path}: record {number}: {_cut_or('its length is damaged', len(header) < 12)}")
    largest = limits.current().record_bytes
    if length > largest:
        raise InputError(
            f"{path}: record {number}: announces {limits.text(length)}, more than {limits.text(largest)}; {limits.HINT}"
        )
    return length


def _other_kind(start: bytes) -> str:
    """What a file is that begins so and is no TFRecord file; '' where that does not tell."""
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            return kind
    return "JSON" if start.lstrip()[:1] in (b"{", b"[") else ""


def count_records(path: str | pathlib.Path) -> int:
    """How many records a TFRecord file (gzip by its name) holds, by their lengths, without reading their content.

    TensorFlow ends the process on a record whose announced length is beyond the file: this finds it first.

    Raises:
      InputError: naming file and record, from 0, when a length is damaged, beyond the file or beyond the limits.
    """
    path = remote.place(path)
    if path.suffix == ".gz" or remote.is_remote(path):  # many small reads would be as many requests
        return sum(1 for _ in read_frames(path))
    inputs.check_regular(path)
    size, at, number = path.stat().st_size, 0, 0
    with open(path, "rb", buffering=0) as file:
        while at < size:
            file.seek(at)
            length = _read_length(file, path, number)
            if length is None or at + length + 16 > size:
                raise InputError(f"{path}: record {number}: {_cut_or('', True)}")
            at, number = at + length + 16, number + 1
    return number


def _cut_or(other: str, cut: bool) -> str:
    return "the file ends in the middle of it" if cut else other
