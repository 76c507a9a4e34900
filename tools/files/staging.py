"""Files of a tree that a run writes one after the other and puts in place together; a run that was ended goes on.

They are written into `.partial` of the output, whose journal says what they are results of.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from tools.cli import outputs
from tools.cli.errors import InputError
from tools.files import atomic

FOLDER = ".partial"
_JOURNAL = "journal.json"


class StagedFiles:
    """The files of these names below an output folder, of which this process must hold the lock."""

    def __init__(self, output: pathlib.Path, names: Sequence[str], header: Mapping[str, Any], overwrite: bool):
        """Goes on with what an ended run left, or begins.

        Args:
          names: paths inside the output. header: what decides the files' content, as JSON has it.

        Raises:
          InputError: a file would be replaced without `overwrite`, or a run with another header is unfinished there.
        """
        self._output, self._names, self._stage = output, list(names), output / FOLDER
        self._header = json.loads(json.dumps(dict(header)))
        journal = self._read()
        goes_on = journal.get("header") == self._header
        if journal and not goes_on and not overwrite:
            raise InputError(f"{output}: holds an unfinished run of other input or settings; --overwrite starts anew")
        if not goes_on:
            shutil.rmtree(self._stage, ignore_errors=True)
        # Some of the files are in place already where a run was ended while it put them there.
        self._placing = bool(goes_on and journal.get("placing"))
        if not self._placing:
            outputs.check_all_free((output / name for name in names), overwrite)
        if not goes_on:
            self._stage.mkdir(parents=True)
            self._write()

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads((self._stage / _JOURNAL).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        content = {"header": self._header, "placing": self._placing}
        atomic.write_text(self._stage / _JOURNAL, json.dumps(content))

    def path(self, name: str) -> pathlib.Path:
        """Where a file is written, whole or not at all, or where it is if it is written."""
        staged = self._stage / name
        return self._output / name if self._placing and not staged.exists() else staged

    def is_written(self, name: str) -> bool:
        """Whether an earlier run has written the file."""
        return self.path(name).is_file()

    def finish(self) -> None:
        """Puts all files in place."""
        self._placing = True
        self._write()
        for name in self._names:
            if (self._stage / name).is_file():
                (self._output / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._stage / name, self._output / name)
        shutil.rmtree(self._stage, ignore_errors=True)

    def discard_if_empty(self) -> None:
        """Leaves nothing of a run that has written no file."""
        if not any(map(self.is_written, self._names)):
            shutil.rmtree(self._stage, ignore_errors=True)
