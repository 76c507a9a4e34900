"""Bodies of HTTP requests, of a stated length or in chunks (RFC 9112, section 7.1)."""

from __future__ import annotations

from typing import Any

_LARGEST_LINE = 4096  # of a chunk's size with its extensions, and of a field behind the last chunk
_MOST_FIELDS = 100  # behind the last chunk


class BodyError(Exception):
    """A body that can't be read; where it ends is not known then, so the connection has to be closed.

    Attributes:
      status: of the answer.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def read(stream: Any, headers: Any, largest: int) -> bytes:
    """The body of a request.

    Args:
      stream: a binary file, behind the request's head. headers: a mapping of names in any case. largest: bytes taken.

    Raises:
      BodyError: it is larger, its length is no number, it ends too early, or it is coded in another way.
    """
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise BodyError(415, f"Content-Encoding: {coding} is not read, send it as it is")
    transfer = headers.get("Transfer-Encoding", "").strip().lower()
    if not transfer:
        return _of_stated_length(stream, headers.get("Content-Length", "0").strip(), largest)
    if transfer != "chunked":
        raise BodyError(501, f"Transfer-Encoding: {transfer} is not read, only chunked")
    if "Content-Length" in headers:  # proxies that go by the other of the two would see another request behind it
        raise BodyError(400, "Content-Length and Transfer-Encoding exclude each other")
    return _of_chunks(stream, largest)


def _of_stated_length(stream: Any, stated: str, largest: int) -> bytes:
    if not (stated.isascii() and stated.isdigit()):
        raise BodyError(400, "Content-Length is no whole number")
    length = int(stated[:20])
    if length > largest:
        raise BodyError(413, f"more than {largest >> 20} MiB")
    return _exactly(stream, length)


def _exactly(stream: Any, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise BodyError(400, "the body ended too early")
    return data


def _line(stream: Any) -> bytes:
    line = stream.readline(_LARGEST_LINE)
    if not line.endswith(b"\n"):
        raise BodyError(400, "the body ended too early, or a chunk's size takes a line too long")
    return line.rstrip(b"\r\n")


def _of_chunks(stream: Any, largest: int) -> bytes:
    parts, total = [], 0
    while True:
        digits = _line(stream).partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF") or len(digits) > 16:
            raise BodyError(400, "a chunk's size is no hexadecimal number")
        size = int(digits, 16)
        if not size:
            break
        total += size
        if total > largest:
            raise BodyError(413, f"more than {largest >> 20} MiB")
        parts.append(_exactly(stream, size))
        if _line(stream):
            raise BodyError(400, "a chunk is longer than its size")
    for _ in range(_MOST_FIELDS):
        if not _line(stream):
            return b"".join(parts)
    raise BodyError(400, "too many fields behind the last chunk")
