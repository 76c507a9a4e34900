"""Decisions of a review page (tools/review.py): which records are kept, dropped, or have left and right swapped.

A decision names its record by file, sequence, frame and person, and by the number of its row only where several records
share all four. What is done with records that are unsure or were not decided stands in the file, chosen at its export.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from tools.cli.errors import InputError
from tools.files import inputs

NAME = "decisions.json"  # beside the labels that were made with them
FORMAT, VERSION = "pose label decisions", 1
KEEP, DROP, UNSURE = "keep", "drop", "unsure"
DROPPED, UNSURE_DROPPED, UNDECIDED_DROPPED = "dropped in review", "unsure in review", "not decided in review"
_EXPECTED = "expected decisions.json as tools/review.py's page exports it"

Identity = tuple[str, str, int, int]


@dataclasses.dataclass(frozen=True)
class Fate:
    """What becomes of a record. reason: why it is dropped, '' when it is kept; swap: its left is its right.

    decision: 'keep', 'drop', 'unsure', or '' where there is none.
    """

    reason: str = ""
    swap: bool = False
    decision: str = ""


class Decisions:
    """The decisions of one file.

    Attributes:
      path: of the file. data: its bytes. sha256: of them.
      matched: decisions whose record was met by `fate`, as numbers in the file.
    """

    def __init__(self, path: str | pathlib.Path):
        """Raises `InputError` naming file and decision when it is no such file."""
        self.path = pathlib.Path(path)
        data = inputs.read_bytes(self.path)
        self.data, self.sha256 = data, hashlib.sha256(data).hexdigest()
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: not JSON ({str(error)[:100]}); {_EXPECTED}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{self.path}: {_EXPECTED}")
        if content.get("version") != VERSION:
            raise InputError(f"{self.path}: version {str(content.get('version'))[:20]}, expected {VERSION}")
        for name in ("undecided", "unsure"):
            if content.get(name) not in (KEEP, DROP):
                raise InputError(f"{self.path}: '{name}' is {str(content.get(name))[:20]!r}, expected keep or drop")
        entries = content.get("decisions")
        if not isinstance(entries, list):
            raise InputError(f"{self.path}: no list 'decisions'; {_EXPECTED}")
        self._otherwise = Fate(UNDECIDED_DROPPED if content["undecided"] == DROP else "")
        unsure = UNSURE_DROPPED if content["unsure"] == DROP else ""
        self._reasons = {KEEP: "", DROP: DROPPED, UNSURE: unsure, "": self._otherwise.reason}
        self._fates: dict[Identity, dict[int, tuple[int, Fate]]] = {}
        for number, entry in enumerate(entries):
            self._add(number, entry)
        self._count = len(entries)
        self.matched: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def _add(self, number: int, entry: Any) -> None:
        place = f"{self.path}: decision {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{place}: expected an object")
        kinds = {"file": str, "sequence": str, "frame": int, "person": int}
        for name, kind in kinds.items():
            if not isinstance(entry.get(name), kind) or isinstance(entry.get(name), bool):
                raise InputError(f"{place}: '{name}' must be a {'text' if kind is str else 'whole number'}")
        row = entry.get("row", -1)
        if isinstance(row, bool) or not isinstance(row, int):
            raise InputError(f"{place}: 'row' must be a whole number")
        if not isinstance(entry.get("decision"), str) or entry["decision"] not in self._reasons:
            raise InputError(f"{place}: 'decision' is {str(entry.get('decision'))[:20]!r}, expected keep, drop, unsure")
        if not isinstance(entry.get("swap", False), bool):
            raise InputError(f"{place}: 'swap' must be true or false")
        identity = entry["file"], entry["sequence"], entry["frame"], entry["person"]
        fates = self._fates.setdefault(identity, {})
        if row in fates or (fates and -1 in {row, *fates}):
            raise InputError(f"{place}: its record was decided before, by decision {next(iter(fates.values()))[0]}")
        fates[row] = number, Fate(self._reasons[entry["decision"]], entry.get("swap", False), entry["decision"])

    @property
    def by_row(self) -> int:
        """How many decisions name the number of a row, since several records share all the rest."""
        return sum(-1 not in fates and len(fates) for fates in self._fates.values())

    def fits_nothing(self, what: str) -> InputError:
        """The error for decisions of which none fits. what: was decided on, such as '60 records of set/'."""
        return InputError(f"{self.path}: no decision fits any of the {what}; it was made for another input")

    def fate(self, file: str, sequence: str, frame: int, person: int, row: int = -1) -> Fate:
        """What becomes of a record. row: its number in its source, -1 where it is not known."""
        fates = self._fates.get((file, sequence, int(frame), int(person)))
        if fates is None:
            return self._otherwise
        number, fate = fates.get(-1) or fates.get(int(row)) or (-1, self._otherwise)
        if number >= 0:
            self.matched.add(number)
        return fate
