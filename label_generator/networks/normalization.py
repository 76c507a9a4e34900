"""Normalisation of the rows that the published networks read and answer (`stages.pose_rows`).

A `Statistics` belongs to a trained network: it is stored beside its weights and says in which layout its columns are.
`normalizers` names the three ways in which the release used statistics. `Statistics.normalize` and `unnormalize` take
NumPy arrays or TensorFlow tensors and return what they were given.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from label_generator.stages import pose_rows
from tools.cli.errors import InputError
from tools.files import atomic, inputs
from tools.pose.joints import POSE17

MODES = ("train", "test", "input")

_VERSION = 1
_FIELDS = {"mean", "std", "layout", "centred", "count"}

# A column whose standard deviation is this small beside its mean varies by rounding only.
_CONSTANT = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and standard deviation of every column of a set of rows.

    Attributes:
      mean, std: [D] float64; std is 0 for columns that do not vary, the root's own among them.
      layout: the rows' layout.
      centred: whether the poses were root-centred first.
      count: rows that went in.
    """

    mean: np.ndarray
    std: np.ndarray
    layout: str
    centred: bool
    count: int

    def __post_init__(self) -> None:
        pose_rows.check_layout(self.layout)
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        if mean.ndim != 1 or mean.shape != std.shape:
            raise InputError(f"statistics: mean and std must be one row each, got {mean.shape} and {std.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
            raise InputError("statistics: mean and std must be finite and std not negative")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    @property
    def inverse_std(self) -> np.ndarray:
        """[D] 1 / std, 0 where std is 0, so that those columns become 0."""
        return np.where(self.std > 0, 1 / np.where(self.std > 0, self.std, 1), 0)

    def normalize(self, rows: Any) -> Any:
        """Rows [..., D] with mean 0 and standard deviation 1; columns that do not vary become 0."""
        dtype = _numpy_dtype(rows)
        return (rows - self.mean.astype(dtype)) * self.inverse_std.astype(dtype)

    def unnormalize(self, rows: Any) -> Any:
        """The inverse of `normalize`; columns that do not vary become their mean."""
        dtype = _numpy_dtype(rows)
        return rows * self.std.astype(dtype) + self.mean.astype(dtype)


def _numpy_dtype(x: Any) -> np.dtype:
    return x.dtype if isinstance(x, np.ndarray) else x.dtype.as_numpy_dtype


def concatenated(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of rows side by side, such as left ++ right; all of one layout, centred alike, equally many."""
    first = parts[0]
    for part in parts[1:]:
        if (part.layout, part.centred, part.count) != (first.layout, first.centred, first.count):
            raise InputError("statistics of rows side by side must have the same layout, centring and number of rows")
    mean, std = (np.concatenate([getattr(p, name) for p in parts]) for name in ("mean", "std"))
    return Statistics(mean, std, first.layout, first.centred, first.count)


class Accumulator:
    """Gathers `Statistics` over batches of rows, in one pass and float64 (Chan et al.'s update of Welford's sums)."""

    def __init__(self, layout: str, centred: bool):
        pose_rows.check_layout(layout)
        self._layout, self._centred = layout, centred
        self._count = 0
        self._mean = self._squares = np.zeros(1)

    def update(self, rows: Any) -> None:
        """Takes in rows [N, D]; raises InputError when one is not finite."""
        rows = np.asarray(rows, np.float64)
        if not len(rows):
            return
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise InputError(
                f"statistics: row {self._count + int(np.argmin(finite))} holds numbers that are not finite"
            )
        count = len(rows)
        # Taking the first row off keeps columns that do not vary exact.
        offset = rows - rows[0]
        mean = offset.mean(axis=0)
        squares = np.square(offset - mean).sum(axis=0)
        total = self._count + count
        apart = mean + rows[0] - self._mean
        self._squares = self._squares + squares + np.square(apart) * (self._count * count / total)
        self._mean = self._mean + apart * (count / total)
        self._count = total

    def result(self) -> Statistics:
        """The statistics of all rows so far; raises InputError when there were none."""
        if not self._count:
            raise InputError("statistics: no rows to take them from")
        std = np.sqrt(self._squares / self._count)
        std = np.where(std <= _CONSTANT * np.maximum(1, np.abs(self._mean)), 0.0, std)
        return Statistics(self._mean, std, self._layout, self._centred, self._count)


def statistics_of(rows: Any, layout: str, centred: bool) -> Statistics:
    """The statistics of rows [N, D] that are all at hand."""
    gathered = Accumulator(layout, centred)
    gathered.update(rows)
    return gathered.result()


def blind_to_root(statistics: Statistics) -> Statistics:
    """The same statistics, but normalised rows are 0 in the root's columns."""
    root = np.zeros((POSE17.size, len(statistics.mean) // POSE17.size))
    root[POSE17.root] = 1
    columns = pose_rows.to_rows(root, statistics.layout) > 0
    return dataclasses.replace(statistics, std=np.where(columns, 0.0, statistics.std))


@dataclasses.dataclass(frozen=True)
class Normalizers:
    """Which statistics go where.

    Attributes:
      input: normalises what the network reads. Its `centred` says whether poses are root-centred first.
      truth: normalises what the network should answer.
      back: un-normalises answers, and normalised truth where the release compares the two.
    """

    input: Statistics
    truth: Statistics
    back: Statistics


def normalizers(
    mode: str,
    train_input: Statistics | None = None,
    train_output: Statistics | None = None,
    test_input: Statistics | None = None,
    test_output: Statistics | None = None,
    file_rows: np.ndarray | None = None,
) -> Normalizers:
    """How test data is normalised.

    Args:
      mode:
        'train': everything with the training poses' statistics (the released left2right and second 3D script; the
          default everywhere).
        'test': input and truth with the test set's own, then both back with training statistics, as the released first
          3D script does. What is compared then has no unit: its "mm" are not mm.
        'input': with the file's own statistics of raw pixels, never root-centred, input and answer alike, as the
          released left -> right inference does. The answer must have the input's columns. The network reads 0 in the
          root's columns, which the released `normalizeData` sets whatever the statistics.
      train_input, train_output: needed by 'train'; 'test' needs train_output.
      test_input, test_output: needed by 'test'.
      file_rows: [N, D] the file's raw rows, in train_input's layout; needed by 'input'.

    Raises:
      InputError: an unknown mode, or something it needs is missing.
    """
    needs: dict[str, dict[str, Any]] = {
        "train": {"train_input": train_input, "train_output": train_output},
        "test": {"test_input": test_input, "test_output": test_output, "train_output": train_output},
        "input": {"train_input": train_input, "file_rows": file_rows},
    }
    if mode not in needs:
        raise InputError(f"statistics are one of {', '.join(MODES)}, got {mode!r}")
    missing = [name for name, value in needs[mode].items() if value is None]
    if missing:
        raise InputError(f"statistics '{mode}' need {', '.join(missing)}")
    if mode == "train":
        return Normalizers(_given(train_input), _given(train_output), _given(train_output))
    if mode == "test":
        return Normalizers(_given(test_input), _given(test_output), _given(train_output))
    train_input = _given(train_input)
    width = len(train_input.mean)
    if train_output is not None and len(train_output.mean) != width:
        raise InputError(
            f"statistics 'input' un-normalise answers as they normalise input, {width} columns: "
            f"not for a network with {len(train_output.mean)} columns out"
        )
    of_file = statistics_of(file_rows, train_input.layout, centred=False)
    if len(of_file.mean) != width:
        raise InputError(f"rows of {len(of_file.mean)} numbers, the network reads {width}")
    return Normalizers(blind_to_root(of_file), of_file, of_file)


def _given(statistics: Statistics | None) -> Statistics:
    assert statistics is not None, "checked before"
    return statistics


def save_statistics(path: str | os.PathLike, statistics: Mapping[str, Statistics]) -> None:
    """Writes named statistics as JSON, whole or not at all; every number is read back as it was."""
    path = pathlib.Path(path)
    content = {
        name: {
            "layout": s.layout,
            "centred": s.centred,
            "count": s.count,
            "mean": s.mean.tolist(),
            "std": s.std.tolist(),
        }
        for name, s in statistics.items()
    }
    atomic.write_text(path, json.dumps({"version": _VERSION, "statistics": content}, indent=1) + "\n")


def load_statistics(path: str | os.PathLike) -> dict[str, Statistics]:
    """Reads what `save_statistics` wrote; raises InputError naming the file when it is missing or damaged."""
    content = inputs.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("statistics"), dict):
        raise InputError(f"{path}: not a file of normalisation statistics")
    if content.get("version") != _VERSION:
        raise InputError(f"{path}: statistics of version {content.get('version')}, this program reads {_VERSION}")
    statistics = {}
    for name, entry in content["statistics"].items():
        if not isinstance(entry, dict) or set(entry) != _FIELDS:
            raise InputError(f"{path}: statistics '{name}' must have exactly {', '.join(sorted(_FIELDS))}")
        try:
            statistics[name] = Statistics(**entry)
        except (InputError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: statistics '{name}': {error}") from error
    return statistics
