"""``--dry_run``: what a command would read, select and write, said and not done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.cli.command import Flags

_SHOWN, _LAST = 20, 2  # of many files, so many of the first and last are named


def show(
    flags: Flags,
    reads: Iterable[str],
    selects: Iterable[str] = (),
    writes: Iterable[str | os.PathLike] = (),
) -> int:
    """Prints the plan of a command that has checked its flags and its input, and adds it to the report.

    Args:
      reads: what would be read, one text each. selects: what would be taken of it.
      writes: files and folders that would be written; those that are there already are marked.

    Returns:
      the exit status, 0.
    """
    reads, selects, places = list(reads), list(selects), [os.fspath(place) for place in writes]
    for text in reads:
        print(f"would read    {text}")
    for text in selects:
        print(f"would select  {text}")
    hidden = range(_SHOWN, len(places) - _LAST) if len(places) > _SHOWN + _LAST + 1 else range(0)
    for i, place in enumerate(places):
        if i not in hidden:
            print(f"would write   {place}{' (replaces or adds to what is there)' if os.path.lexists(place) else ''}")
        elif i == hidden[0]:
            print(f"would write   ... and {len(hidden):,} more (--json names all)")
    print("--dry_run: nothing was written")
    flags.report.update(
        dry_run=True,
        reads=reads,
        selects=selects,
        writes=[{"path": place, "exists": os.path.lexists(place)} for place in places],
    )
    return 0
