"""Bodies of HTTP requests, of a stated length or in chunks (RFC 9112, section 7.1)."""

from __future__ import annotations

import threading
import time
from typing import Any

_LARGEST_LINE = 4096  # of a chunk's size with its extensions, and of a field behind the last chunk
_MOST_FIELDS = 100  # behind the last chunk
_AT_ONCE = 1 << 20
_LONGEST_S = 300.0  # for one body, however it drips


class BodyError(Exception):
    """A body that can't be read; where it ends is not known then, so the connection has to be closed.

    Attributes:
      status: of the answer.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Budget:
    """How many bytes the bodies of all connections hold together."""

    def __init__(self, largest: int):
        self._left, self._lock = largest, threading.Lock()

    def take(self, size: int) -> None:
        """Takes bytes; raises `BodyError` when there are not so many left."""
        with self._lock:
            if size > self._left:
                raise BodyError(503, "too many bytes of other requests wait")
            self._left -= size

    def give_back(self, size: int) -> None:
        """Gives back what was taken."""
        with self._lock:
            self._left += size


class _Reader:
    """Reads a body, and counts what it holds."""

    def __init__(self, stream: Any, budget: Budget | None):
        self._stream, self._budget, self.held = stream, budget, 0
        self._end = time.monotonic() + _LONGEST_S

    def line(self) -> bytes:
        """A line without its end."""
        line: bytes = self._stream.readline(_LARGEST_LINE)
        if not line.endswith(b"\n"):
            raise BodyError(400, "the body ended too early, or a chunk's size takes a line too long")
        return line.rstrip(b"\r\n")

    def exactly(self, length: int) -> bytes:
        """So many bytes; held from when they are there, since a length is announced soon."""
        parts, left = [], length
        while left:
            part = self._stream.read1(min(left, _AT_ONCE))
            if not part:
                raise BodyError(400, "the body ended too early")
            if time.monotonic() > self._end:
                raise BodyError(408, f"a body of more than {_LONGEST_S:g} seconds")
            if self._budget is not None:
                self._budget.take(len(part))
                self.held += len(part)
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def read(stream: Any, headers: Any, largest: int, budget: Budget | None = None) -> bytes:
    """The body of a request.

    Args:
      stream: a buffered binary file, behind the request's head. headers: of the request, as `email.message.Message` has
        them. largest: bytes taken. budget: what is held of all bodies; the caller gives the length of the body back.

    Raises:
      BodyError: it is larger, its length is no number, it ends too early, or it is coded in another way.
    """
    reader = _Reader(stream, budget)
    try:
        return _read(reader, headers, largest)
    except BaseException:
        if budget is not None:
            budget.give_back(reader.held)
        raise


def announced(headers: Any) -> bool:
    """Whether a request says that it has a body."""
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0").strip() != "0"


def _read(reader: _Reader, headers: Any, largest: int) -> bytes:
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise BodyError(415, f"Content-Encoding: {coding} is not read, send it as it is")
    transfer = headers.get("Transfer-Encoding", "").strip().lower()
    lengths = set(headers.get_all("Content-Length", ["0"]))
    if len(lengths) > 1:
        raise BodyError(400, "several lengths")
    if not transfer:
        return _of_stated_length(reader, lengths.pop().strip(), largest)
    if transfer != "chunked":
        raise BodyError(501, f"Transfer-Encoding: {transfer} is not read, only chunked")
    if "Content-Length" in headers:  # proxies that go by the other of the two would see another request behind it
        raise BodyError(400, "Content-Length and Transfer-Encoding exclude each other")
    return _of_chunks(reader, largest)


def _of_stated_length(reader: _Reader, stated: str, largest: int) -> bytes:
    if not (stated.isascii() and stated.isdigit()):
        raise BodyError(400, "Content-Length is no whole number")
    length = int(stated[:20])
    if length > largest:
        raise BodyError(413, f"more than {largest >> 20} MiB")
    return reader.exactly(length)


def _of_chunks(reader: _Reader, largest: int) -> bytes:
    parts, total = [], 0
    while True:
        digits = reader.line().partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF") or len(digits) > 16:
            raise BodyError(400, "a chunk's size is no hexadecimal number")
        size = int(digits, 16)
        if not size:
            break
        total += size
        if total > largest:
            raise BodyError(413, f"more than {largest >> 20} MiB")
        parts.append(reader.exactly(size))
        if reader.line():
            raise BodyError(400, "a chunk is longer than its size")
    for _ in range(_MOST_FIELDS):
        if not reader.line():
            return b"".join(parts)
    raise BodyError(400, "too many fields behind the last chunk")
