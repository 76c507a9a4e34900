"""Input files of unknown origin: regular files only, no more of them than the limits say, errors in one line."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pathlib
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from tools.cli.errors import InputError
from tools.files import limits, remote

if TYPE_CHECKING:
    import numpy as np

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}
_PIECE = 1 << 20
_MOST_EMPTY = 1 << 20
_GZIP = 31  # zlib's window bits for gzip


def check_regular(path: str | os.PathLike) -> None:
    """Raises `InputError` that says what `path` is when it is no regular file; opening a pipe would wait for ever."""
    if remote.is_remote(path):
        _check_remote(remote.place(path))
        return
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, expected a file")


def _check_remote(path: pathlib.Path) -> None:
    local = remote.local_path(path)
    if local is not None:
        check_regular(local)
        return
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected a file")
        if not path.exists():
            raise InputError(f"{path}: no such file")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def open_file(path: str | os.PathLike) -> IO[bytes]:
    """A regular file, opened for reading bytes. Raises `InputError` that names it."""
    check_regular(path)
    try:
        return remote.open_binary(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


class DamagedStream(InputError):
    """A gzip stream that is cut short, or none after its first bytes."""


def read_bytes(path: str | os.PathLike, limit: int = 0) -> bytes:
    """The bytes of a regular file, decompressed when it is a gzip stream.

    Args:
      limit: at most so many bytes; 0: `Limits.text_bytes`.

    Raises:
      InputError: no regular file, cannot be read, damaged gzip stream, or larger than the limit.
    """
    limit = limit or limits.current().text_bytes
    with open_file(path) as file:
        try:
            size = remote.place(path).stat().st_size
            # Reading so many bytes asks for the memory first: no more than there is to read.
            data = b"" if size > limit else file.read(size + 1)
            while size < len(data) <= limit and (more := file.read(_PIECE)):  # it grows meanwhile
                data += more
            if max(size, len(data)) > limit:
                raise too_large(path, limit)
            return decompressed(data, str(path), limit) if data[:2] == b"\x1f\x8b" else data
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def decompressed(data: bytes, place: str, limit: int) -> bytes:
    """The content of a gzip stream, of one or several members; `DamagedStream` or `InputError` that names `place`."""
    out = io.BytesIO()
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof:
                piece = member.decompress(data, _PIECE)
                out.write(piece)
                if out.tell() > limit:
                    raise too_large(place, limit)
                data = member.unconsumed_tail or member.unused_data if not member.eof else member.unused_data
                if not piece and not member.eof and not data:
                    raise DamagedStream(f"{place}: the gzip stream is cut short")
        except zlib.error as error:
            raise DamagedStream(f"{place}: the gzip stream is damaged ({error})") from None
        data = data.lstrip(b"\0")  # padding, as gzip allows it
    return out.getvalue()


def too_large(place: str | os.PathLike, limit: float) -> InputError:
    """The error of a file beyond a limit."""
    return InputError(f"{place}: more than {limits.text(limit)} to read; {limits.HINT}")


def read_json(path: str | os.PathLike, limit: int = 0) -> Any:
    """The value of a JSON file (UTF-8, gzip or not); `InputError` as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path, limit), str(path))


def parse_json(data: bytes, place: str, **options: Any) -> Any:
    """The value of a JSON text, all of whose texts can be written as UTF-8.

    Args:
      data: UTF-8. place: names it in messages. options: of `json.loads`.

    Raises:
      InputError: not JSON, nested too deeply, a whole number of thousands of digits, or a text with half a surrogate
        pair; the message says where.
    """
    try:
        content = json.loads(data, **options)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise InputError(f"{place}: not JSON ({reason})") from None
    # Only an escape can bring in half a surrogate pair, since the bytes were decoded as UTF-8.
    if b"\\ud" in data or b"\\uD" in data:
        where = _not_unicode(content)
        if where is not None:
            raise InputError(f"{place}: {where or 'the text'} is not Unicode text (half a surrogate pair)")
    return content


def _not_unicode(content: Any) -> str | None:
    """Where a text is that cannot be written as UTF-8, such as 'images[3].file_name'; None when there is none."""
    waiting: list[tuple[Any, str]] = [(content, "")]
    while waiting:
        value, where = waiting.pop()
        if isinstance(value, str):
            if not is_unicode(value):
                return where
        elif isinstance(value, dict):
            for key, entry in value.items():
                if not is_unicode(key):
                    return f"a key of {where or 'the object'}"
                waiting.append((entry, f"{where}.{key}".lstrip(".")))
        elif isinstance(value, list):
            waiting += [(entry, f"{where}[{i}]") for i, entry in enumerate(value)]
    return None


def shown_name(name: str) -> str:
    r"""The name of a file as Unicode text: its bytes that are no UTF-8 as ``\xff``, all else as it is."""
    if is_unicode(name):
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no name of a file: half of another surrogate pair
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8. NumPy makes texts of numbers that are no letters; Python writes them."""
    if text.isascii():
        return True
    try:
        return text.encode("utf-8").decode("utf-8") == text
    except UnicodeError:
        return False


def text_of(value: Any, place: str) -> str:
    """A text of an array, bytes being UTF-8; raises `InputError` naming `place` when it is no Unicode text."""
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        text = None
    if text is None or not is_unicode(text):
        raise InputError(f"{place} is not Unicode text (UTF-8)")
    return text


def holds_texts(array: np.ndarray) -> bool:
    """Whether an array, if it is of texts, holds letters of Unicode alone; NumPy fails when it reads other numbers."""
    import numpy as np

    if array.dtype.kind != "U" or not array.dtype.itemsize or not array.size:
        return True
    numbers = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
    return int(numbers.max()) <= sys.maxunicode


def check_texts(array: np.ndarray, place: str) -> None:
    """Raises `InputError` naming `place` unless `holds_texts`."""
    if not holds_texts(array):
        raise InputError(f"{place} is not Unicode text")


def is_of_nothing(shape: Sequence[int], itemsize: int) -> bool:
    """Whether an array has more than a million items of no bytes: empty texts, or rows without columns. A file of a few
    bytes can announce any number of them, and a list of them takes all memory."""
    return (not itemsize or 0 in shape) and math.prod(side for side in shape if side) > _MOST_EMPTY


def check_items(shape: Sequence[int], itemsize: int, place: str) -> None:
    """Raises `InputError` naming `place` for an array that `is_of_nothing`."""
    if is_of_nothing(shape, itemsize):
        raise InputError(f"{place}: shape {str(list(shape))[:100]} of items of no bytes, expected numbers or texts")


def check_name(path: str | os.PathLike) -> None:
    """Raises `InputError` for a path that is not UTF-8, whose name could not be written into labels and records."""
    if not is_unicode(os.fspath(path)):
        raise InputError(f"{os.fspath(path)}: a name that is not UTF-8; rename it")


@contextlib.contextmanager
def reading(place: str | os.PathLike, expected: str) -> Iterator[None]:
    """`with reading(path, "a MATLAB file"):` turns what a damaged file makes the code inside raise into one line.

    For code that walks content of unknown shape, where a wrong type can fail anywhere. `InputError` passes; so do
    faults that no input causes (Ctrl-C, a missing module).
    """
    try:
        yield
    except (InputError, ImportError, BrokenPipeError):
        raise
    except MemoryError:
        raise InputError(f"{place}: needs more memory than there is; expected {expected}") from None
    except OSError as error:
        name = error.filename if error.filename is not None else place
        raise InputError(f"{os.fsdecode(name) if isinstance(name, bytes) else name}: cannot be read: "
                         f"{error.strerror or error}") from error  # fmt: skip
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{place}: damaged ({type(error).__name__}: {reason}); expected {expected}") from error


def regular_files(folder: pathlib.Path, pattern: str = "*") -> Iterator[pathlib.Path]:
    """The regular files below `folder` whose names fit, without following links to folders."""
    for path in folder.rglob(pattern):
        if path.is_file():
            yield path
