"""Reports for programs: ``--json`` prints one JSON object on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tools.cli import terminal


@contextlib.contextmanager
def prints_on_standard_error(wanted: bool = True) -> Iterator[None]:
    """Inside, what is printed goes to standard error, so that standard output is free for the report."""
    if not wanted:
        yield
        return
    before = sys.stdout
    sys.stdout = terminal.Escaping(sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = before


def json_text(report: Mapping[str, Any]) -> str:
    """The report as one JSON object.

    Arrays become lists, paths texts, data classes objects; numbers that are not finite become null, which JSON has no
    other word for. Everything beyond ASCII is escaped, so control characters of names reach no terminal.
    """
    return json.dumps(plain(report), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` made of dicts, lists, texts, numbers, truth values and None alone."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy, which --help does not import
        value = value.tolist()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
