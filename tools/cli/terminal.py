"""Text of foreign origin (names of files, people, units) on a terminal: control characters are shown, not obeyed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

_KEPT = "\n\t"
RED = "1;31"


def coloured(text: str, colour: str, stream: Any) -> str:
    """`text` in a colour (numbers of an ANSI sequence) where `stream` is a terminal that shows colours.

    NO_COLOR, set to anything, and TERM=dumb turn colours off (no-color.org).
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def printable(text: str, kept: str = "") -> str:
    r"""`text` with control characters and halves of surrogate pairs written as ``\x1b``, ``\udcff`` and the like.

    Also the marks that reverse the direction of text, which make a name look like another.

    Args:
      kept: control characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter in kept or not _is_control(letter) else _escaped(letter) for letter in text)


def _is_control(letter: str) -> bool:
    code = ord(letter)
    return (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0x200E <= code <= 0x200F
        or 0x2028 <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or 0xD800 <= code < 0xE000
    )


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Escaping:
    """A text stream that escapes what is written to it, also letters that its encoding has not; everything else is the
    stream's own."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        text = printable(text, _KEPT)
        encoding = getattr(self._stream, "encoding", None)
        if encoding and not text.isascii():
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        return int(self._stream.write(text))

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_error(line: str) -> None:
    """Prints a line on standard error, or nothing where that can't be written; the exit status stays the command's."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def open_closed_streams() -> None:
    """Standard streams that the caller has closed (``>&-``) lead nowhere, so that no file that is written gets their
    numbers, and what is printed has a place to go."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (as long as the process)


@contextlib.contextmanager
def escaped_output() -> Iterator[None]:
    """Everything that is printed inside goes to standard output through `printable`."""
    before = sys.stdout
    sys.stdout = Escaping(before)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = before
