"""A conversion under way: the folder `.partial` inside the output, with a journal of the shards that are whole.

The journal's first line states what is converted and how; each further line is one whole shard with size and
SHA-256. A conversion that was killed goes on from there, after each shard was checked against its line. Workers of an
engine, and conversions to an object store, which can't append, note each shard in a file of its own (`note_shard`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from tfrecords.storage import manifest
from tfrecords.storage.shards import Plan
from tools.cli.errors import InputError
from tools.files import atomic, checksums, remote

FOLDER = ".partial"
_JOURNAL, _NOTE = "journal.jsonl", ".json"


@contextlib.contextmanager
def locked(output: pathlib.Path) -> Iterator[None]:
    """Holds the folder `output`, making it when needed; `InputError` when another process holds it.

    The lock is the kernel's on the folder itself: it ends with the process, however that ends, and leaves no file.
    Object stores have none: there nothing keeps two conversions from one folder.
    """
    if remote.is_remote(output):
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{output}: can't be used as an output folder: {error.strerror}") from error
        yield
        return
    created = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        handle = os.open(output, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"{output}: can't be used as an output folder: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{output}: another conversion is writing here") from None
        try:
            yield
        finally:
            if created:
                with contextlib.suppress(OSError):
                    output.rmdir()  # only when nothing came of it
    finally:
        os.close(handle)


def _is_result(line: Any, num_shards: int) -> bool:
    """Whether a line of the journal is what `Partial.add` wrote."""
    result = line.get("result") if isinstance(line, dict) else None
    return (
        isinstance(result, dict)
        and type(line.get("shard")) is int
        and 0 <= line["shard"] < num_shards
        and all(type(result.get(name)) is int for name in ("records", "bytes"))
        and isinstance(result.get("sha256"), str)
        and isinstance(result.get("skipped"), dict)
    )


def check_output(output: pathlib.Path, overwrite: bool) -> None:
    """Raises `InputError` when a finished conversion, or shards without a manifest, may not be replaced in `output`.

    Changes nothing; an unfinished conversion is `Partial`'s to judge.
    """
    if overwrite or not output.is_dir():
        return
    if (output / manifest.NAME).exists():
        raise InputError(f"{output}: holds a finished conversion; --overwrite replaces it")
    if (output / FOLDER).exists():
        return  # some of its shards may lie there already
    unknown = sorted(path.name for path in output.iterdir() if manifest.parse_shard_name(path.name))
    if unknown:
        raise InputError(f"{output}: holds {unknown[0]}, which is in no manifest; --overwrite replaces it")


def note_shard(folder: pathlib.Path, file: str, shard: int, result: dict, key: str) -> None:
    """Says in a file beside a shard that it is whole, as a line of the journal would; for workers of an engine.

    key: `Partial.key` of the conversion, so that what another one left is not taken for this one's.
    """
    atomic.write_text(folder / f"{file}{_NOTE}", json.dumps({"shard": shard, "result": result, "key": key}))


class Partial:
    """The whole shards of a conversion that is not finished.

    Attributes:
      results: shard -> what `shards.write_group` returned of it.
      key: the same text for the same conversion.
    """

    def __init__(self, output: pathlib.Path, plan: Plan, header: dict[str, Any], overwrite: bool):
        """Goes on with the conversion that lies in `output`, or begins one.

        Args:
          header: what is converted and how; only a conversion with the same header is gone on with.
          overwrite: whether a finished conversion, or an unfinished one with another header, may be replaced.

        Raises:
          InputError: something lies there that may not be replaced.
        """
        self.folder = output / FOLDER
        self.results: dict[int, dict] = {}
        self._output, self._plan = output, plan
        self._placed: set[str] = set()
        header = json.loads(json.dumps(header))
        self.key = checksums.of_text(json.dumps(header, sort_keys=True))[: checksums.SHORT]
        lines = self._read()
        if lines and not isinstance(lines[0], dict):
            lines = []
        # With a journal of this conversion only the tidying up is missing.
        if not overwrite and (output / manifest.NAME).exists() and (not lines or lines[0] != header):
            if not lines and self.folder.exists():
                remote.remove_folder(self.folder)
            raise InputError(f"{output}: holds a finished conversion; --overwrite replaces it")
        if lines and lines[0] != header:
            if not overwrite:
                other = ", ".join(key for key in header if lines[0].get(key) != header[key]) or "its version"
                raise InputError(
                    f"{output}: holds an unfinished conversion that differs in {other}; go on with that one, or "
                    "--overwrite starts anew"
                )
            lines = []
        if lines:
            self._take_over(lines[1:])
            # Written anew, so that nothing is appended to a line that was cut short.
            lines[1:] = [{"shard": shard, "result": result} for shard, result in self.results.items()]
            atomic.write_text(self.folder / _JOURNAL, "".join(json.dumps(line) + "\n" for line in lines))
        else:
            remote.remove_folder(self.folder)
        unknown = sorted(set(self._shards_in_output()) - self._placed)
        if unknown and not overwrite:
            raise InputError(f"{output}: holds {unknown[0]}, which is in no manifest; --overwrite replaces it")
        if not lines:
            try:
                self.folder.mkdir()
            except OSError as error:
                raise InputError(f"{self.folder}: can't be created: {error.strerror}") from error
            self._append(header)
        self.remove_temporaries()

    def _read(self) -> list[dict]:
        try:
            text = (self.folder / _JOURNAL).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        lines = []
        for line in text.splitlines():
            try:
                lines.append(json.loads(line))
            except (ValueError, RecursionError):
                break  # the line that was being written when the process was killed
        return lines + self._notes() if lines else []

    def _notes(self) -> list[dict]:
        """The lines that `note_shard` wrote."""
        lines = []
        for path in sorted(self.folder.glob(f"*{_NOTE}")):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                lines.append(json.loads(path.read_text(encoding="utf-8")))
        return [line for line in lines if isinstance(line, dict) and line.get("key") == self.key]

    def absorb(self) -> None:
        """Takes in the shards that workers of an engine have put into the folder since."""
        self._take_over([line for line in self._notes() if line.get("shard") not in self.results])

    def _take_over(self, lines: list[dict]) -> None:
        for line in lines:
            if not _is_result(line, self._plan.num_shards):
                continue  # that shard is written again
            shard, result = line["shard"], line["result"]
            name = self._plan.file(shard)
            for path in (self.folder / name, self._output / name):
                if (
                    path.is_file()
                    and path.stat().st_size == result["bytes"]
                    and checksums.of_file(path) == result["sha256"]
                ):
                    self.results[shard] = result
                    if path.parent == self._output:
                        self._placed.add(name)
                    break

    def _append(self, line: dict) -> None:
        path = self.folder / _JOURNAL
        if remote.is_remote(path):
            if "shard" in line:
                note_shard(self.folder, self._plan.file(line["shard"]), line["shard"], line["result"], self.key)
            else:
                atomic.write_text(path, json.dumps(line) + "\n")
            return
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(f"{path}: can't be written: {error.strerror}") from error

    def add(self, shard: int, path: pathlib.Path, result: dict) -> None:
        """Takes in a whole shard that lies at `path`."""
        remote.replace(path, self.folder / self._plan.file(shard))
        self._append({"shard": shard, "result": result})
        self.results[shard] = result

    def missing(self) -> list[int]:
        """The shards that are not whole yet."""
        return [shard for shard in range(self._plan.num_shards) if shard not in self.results]

    def remove_temporaries(self) -> None:
        """Removes what was being written when a process was ended."""
        for path in self.folder.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forgets the conversion; what is finished in the output folder stays."""
        remote.remove_folder(self.folder)

    def finish(self, content: manifest.Manifest) -> None:
        """Moves every shard into place and writes the manifest last, so that a folder with a manifest is whole.

        An old conversion goes manifest first. A process killed anywhere between leaves a folder without a manifest, and
        a journal from which the same command finishes.
        """
        (self._output / manifest.NAME).unlink(missing_ok=True)
        for name in self._shards_in_output():
            if name not in self._placed:
                (self._output / name).unlink()
        for shard in range(self._plan.num_shards):
            name = self._plan.file(shard)
            if name not in self._placed:
                remote.replace(self.folder / name, self._output / name)
        content.write(self._output)
        self.discard()

    def _shards_in_output(self) -> list[str]:
        return [path.name for path in self._output.iterdir() if manifest.parse_shard_name(path.name)]
