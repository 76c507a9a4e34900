"""Labelling in pieces for an engine: workers lift runs of poses and leave their columns; the caller joins them.

A piece is `BATCHES` batches. What is written of it lies beside the labels that are made, in a folder named for exactly
this run; pieces that lie there are whole, so a run that was ended goes on with those that are missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from label_generator.labelling import inputs, lifted_batches
from label_generator.labelling.options import LabellingOptions
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.engines.engine import Engine
from tools.engines.jobs import Outcome
from tools.files import checksums, remote
from tools.files.columns import LabelFiles

if TYPE_CHECKING:  # it imports TensorFlow, and bad flags are reported before that
    from label_generator.lifting.lifter import Lifter, LifterSettings

BATCHES = 8


@dataclasses.dataclass(frozen=True)
class LabelEngine:
    """The engine of a run, and what its workers need of the flags.

    Attributes:
      weights: folders as given, empty for those that are shipped.
      output: as given; pieces are left there, since all workers must reach it.
    """

    engine: Engine
    weights: tuple[str, ...]
    output: str

    @classmethod
    def of_flags(cls, flags: Flags) -> LabelEngine | None:
        """The engine of the flags, None for the local path."""
        engine = Engine.of_flags(flags)
        return None if engine is None else cls(engine, tuple(flags.weights or ()), flags.output)


def lift_all(
    chosen: LabelEngine,
    options: LabellingOptions,
    poses: inputs.Input,
    lifter: Lifter,
    files: LabelFiles,
    header: Mapping[str, Any],
) -> float:
    """Lifts what `files` lacks by workers of an engine; returns the seconds that it took.

    Args:
      header: of the run, which names the folder of its pieces.

    Raises:
      InputError: as `Engine.run`.
    """
    start, engine = time.monotonic(), chosen.engine
    if options.spec.format == "photographs" and remote.is_remote(chosen.output):
        raise InputError(
            f"--output={chosen.output}: the people of photographs are found on this machine, so workers need an output "
            "folder that they reach as a folder"
        )
    next(inputs.read_batches(poses, 0, 1), None)  # some inputs know more of themselves once they were read
    size = min(options.batch_size, 1 << max(len(poses) - 1, 0).bit_length())
    place = remote.place(chosen.output)
    place = place if remote.is_remote(place) else place.resolve()
    # Several processes of this machine share its cores.
    shares = engine.name in ("direct", "spark") and engine.processes > 1
    job = LabelJob(
        dataclasses.replace(options, spec=inputs.absolute(options.spec)),
        size,
        len(poses),
        tuple(path if remote.is_remote(path) else os.path.abspath(path) for path in chosen.weights),
        lifter.settings,
        str(header["weights"]),
        str(place / folder_name(header)),
        max(1, engine.cores // engine.processes) if shares else 0,
    )
    missing = job.missing(files.rows // (size * BATCHES))
    if len(missing) < job.pieces:
        print(f"{job.pieces - len(missing):,} of {job.pieces:,} pieces are there from an earlier run", flush=True)
    counters = engine.run(job, missing, f"Label {pathlib.PurePath(options.spec.path).name}")
    print(f"{engine.name}: {', '.join(f'{name} {count:,}' for name, count in sorted(counters.items()))}", flush=True)
    for _ in job.join(files):
        files.checkpoint()
    remote.remove_folder(job.folder)
    return time.monotonic() - start


class PieceColumns:
    """Stands in for `LabelFiles` while a piece is labelled: takes rows and reasons, and keeps them in memory.

    Attributes:
      reasons: as of `LabelFiles`; those of the lifter first.
    """

    def __init__(self, reasons: Sequence[str]):
        self.reasons = list(reasons)
        self._parts: dict[str, list] = {}

    def reason(self, text: str) -> int:
        """The number of a reason, which is taken up when it is new."""
        if text not in self.reasons:
            self.reasons.append(text)
        return self.reasons.index(text)

    def append(self, values: Mapping[str, Any]) -> None:
        """Adds rows, as `LabelFiles.append`."""
        for name, rows in values.items():
            self._parts.setdefault(name, []).append(rows)

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows by column; texts are unicode arrays."""
        return {name: np.concatenate([np.asarray(part) for part in parts]) for name, parts in self._parts.items()}


@dataclasses.dataclass(frozen=True)
class LabelJob:
    """A `tools.engines.jobs.Job`.

    Attributes:
      options: of the run. size: poses in a batch. total: poses of the input.
      weights: weights folders, empty for those that are shipped with the worker's own installation.
      settings: of the lifter. fingerprint: of the weights that the caller has loaded.
      folder: where pieces are left.
      threads: of TensorFlow in a worker; 0: all cores.
    """

    options: LabellingOptions
    size: int
    total: int
    weights: tuple[str, ...]
    settings: LifterSettings
    fingerprint: str
    folder: str
    threads: int = 0

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.total // (self.size * BATCHES))

    def missing(self, first: int = 0) -> list[int]:
        """The pieces from `first` on that are not there."""
        place = remote.place(self.folder)
        there = {path.name for path in place.iterdir()} if place.is_dir() else set()
        return [piece for piece in range(first, self.pieces) if _name(piece) not in there]

    def setup(self) -> tuple[Lifter, inputs.Input]:
        """Loads the networks and opens the input."""
        import tensorflow as tf

        from label_generator.lifting import lifter, lifter_of_flags

        with contextlib.suppress(RuntimeError):  # a process that has used TensorFlow before stays as it is
            tf.config.threading.set_intra_op_parallelism_threads(self.threads)
            tf.config.threading.set_inter_op_parallelism_threads(self.threads)
        folders: list[str | os.PathLike] = [remote.fetched(folder) for folder in self.weights] or [lifter.SHIPPED]
        loaded, fingerprint = lifter_of_flags.load(folders, self.settings, self.options.precision)
        if fingerprint != self.fingerprint:
            raise InputError(f"{folders[0]}: other weights on this worker than where the run was started")
        return loaded, inputs.open_input(self.options.spec)

    def process(self, state: tuple[Lifter, inputs.Input], piece: int) -> Outcome:
        """Lifts the poses of a piece and leaves their columns."""
        from label_generator.lifting.settings import REASONS

        lifter, poses = state
        if len(poses) != self.total:
            raise InputError(f"{self.options.spec.path}: {len(poses):,} poses on this worker, {self.total:,} announced")
        columns = PieceColumns(REASONS)
        first, end = piece * self.size * BATCHES, min((piece + 1) * self.size * BATCHES, self.total)
        at, batches = first, inputs.read_batches(poses, first, self.size)
        while at < end:
            batch = next(batches)
            lifted_batches.label_batch(self.options, lifter, columns, batch, at, self.size)
            at += len(batch)
        arrays = columns.arrays()
        matched = sorted(self.options.decisions.matched) if self.options.decisions else []
        facts = {"reasons": columns.reasons, "matched": matched}
        _write(remote.place(self.folder) / _name(piece), arrays, facts)
        reasons = arrays["reason"]
        counters = {"poses": len(reasons), "labels": int((reasons == 0).sum())}
        skipped = [(columns.reasons[reasons[i]], f"pose {first + i:,}") for i in np.flatnonzero(reasons).tolist()]
        return Outcome(counters, skipped)

    def join(self, files: LabelFiles) -> Iterator[int]:
        """Appends what `files` lacks, piece by piece; yields the rows that are there."""
        rows = self.size * BATCHES
        for piece in range(files.rows // rows, self.pieces):
            arrays, facts = _read(remote.place(self.folder) / _name(piece))
            done = files.rows - piece * rows
            values: dict[str, Any] = {name: array[done:] for name, array in arrays.items()}
            reasons = values["reason"]
            # In the order in which the local path would have met them.
            numbers = {int(code): files.reason(facts["reasons"][code]) for code in dict.fromkeys(reasons.tolist())}
            values["reason"] = np.array([numbers[int(code)] for code in reasons.tolist()], np.int32)
            for name, array in values.items():
                if array.dtype.kind == "U":
                    values[name] = array.tolist()
            if self.options.decisions is not None:
                self.options.decisions.matched.update(facts["matched"])
            files.append(values)
            yield files.rows


def _name(piece: int) -> str:
    return f"piece-{piece:06d}.npz"


def folder_name(header: Mapping[str, Any]) -> str:
    """The name of the folder of pieces of a run with this header."""
    return f".pieces-{checksums.of_text(json.dumps(header, sort_keys=True))[: checksums.SHORT]}"


def _write(path: Any, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    columns = {f"column:{name}": array for name, array in arrays.items()}
    np.savez(content, facts=np.array(json.dumps(facts)), **columns)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_bytes(content.getvalue())
        remote.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror or error}") from error


def _read(path: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
            facts = json.loads(str(content["facts"]))
            arrays = {name[7:]: content[name] for name in content.files if name.startswith("column:")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: this piece of the labels is missing or damaged ({error}); do all workers reach "
            f"{os.path.dirname(str(path))} under this name?"
        ) from error
    return arrays, facts
