"""The one exception that means: the user's input is at fault, not the program."""

from __future__ import annotations

import re
import textwrap

_LINE_ENDS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")


_ADDRESSES: dict[str, str] = {}


def called(copy: str, address: str) -> None:
    """From now on messages name a local copy of a file or folder by the address that the user gave."""
    _ADDRESSES[copy] = address


class InputError(ValueError):
    """Bad input: its message is one line that names the file, the record and what was expected.

    Line ends in it, which names and texts of a damaged file may have, become spaces.
    Commands print it as ``error: <message>`` and leave with exit status 2.
    """

    def __init__(self, message: object = ""):
        text = str(message)
        for copy, address in _ADDRESSES.items():
            text = text.replace(copy, address)
        super().__init__(_LINE_ENDS.sub(" ", text))


def first_line(error: BaseException, letters: int = 200) -> str:
    """The first line of what another library's exception says, cut between words; its type where it says nothing."""
    line = next(iter(str(error).splitlines()), "")
    return textwrap.shorten(line[: 4 * letters], letters, placeholder=" ...") or type(error).__name__
