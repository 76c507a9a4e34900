"""Files of flags and names of folders as people give them, checked before absl reads or a command uses them."""

from __future__ import annotations

import os

from tools.cli.errors import InputError

_COMMENTS = ("#", "//")
_EXPECTED = "expected flags, one a line"


def check(path: str, within: tuple[str, ...] = ()) -> None:
    """Raises `InputError` unless a flagfile, and each that it names, is there and is text; absl reports neither in one
    line, and waits for named pipes. A file that names itself is left to absl, which passes over it.

    within: the flagfiles that name this one.
    """
    if not path:
        raise InputError("--flagfile=FILE: the file's name goes behind the equals sign")
    head = f"--flagfile={path}"
    place = os.path.expanduser(path)
    if os.path.realpath(place) in within:
        return
    if os.path.isdir(place):
        raise InputError(f"{head}: is a folder")
    if not os.path.exists(place):
        raise InputError(f"{head}: no such file")
    if not os.path.isfile(place):
        raise InputError(f"{head}: is a pipe or a device; {_EXPECTED} of a file")
    with open(place, "rb") as file:
        try:
            text = file.read().decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{head}: is not text, {_EXPECTED}") from None
    if text.startswith("\ufeff"):
        raise InputError(f"{head}: begins with a byte order mark; save it as UTF-8 without one")
    if "\0" in text:
        raise InputError(f"{head}: is not text, {_EXPECTED}")
    for line in map(str.strip, text.splitlines()):
        name, equals, inner = line.lstrip("-").partition("=")
        if line.startswith("-") and name == "flagfile" and equals and not line.startswith(_COMMENTS):
            check(inner, (*within, os.path.realpath(place)))


def at_home(value: str) -> str:
    """A name below the home folder with that in the place of its ``~``, which a shell leaves as it is behind an equals
    sign; other texts as they are."""
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value
