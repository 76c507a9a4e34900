"""Weights folders: a network on disk as model.json (what it is) and weights.npz (its variables by name).

What both networks' folders have in common: written whole or not at all, and read with one clear line for any damage.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, Callable

import numpy as np

from tools.cli.errors import InputError
from tools.files import archives, atomic, inputs, remote

MODEL, WEIGHTS = "model.json", "weights.npz"


def write(
    directory: str | os.PathLike,
    description: Mapping[str, Any],
    variables: Mapping[str, np.ndarray],
    dtype: str = "float32",
    keep: tuple[str, ...] = (),
    add: Callable[[pathlib.Path], None] | None = None,
) -> pathlib.Path:
    """Writes a weights folder, whole or not at all; a folder of that name is replaced.

    Args:
      directory: where to, also an address (`files.remote`); folders above it are made.
      description: content of model.json; NumPy's numbers and arrays are allowed.
      variables: arrays by name, stored as `dtype`.
      keep: names of files of the replaced folder that go into the new one, such as a card.
      add: writes further files into the folder it is given.

    Returns:
      The folder.

    Raises:
      InputError: a variable that is not finite, also after rounding to `dtype`, or the folder cannot be written.
    """
    with np.errstate(over="ignore"):
        arrays = {name: np.asarray(value).astype(dtype) for name, value in variables.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{directory}: variable {name} is not finite in {dtype}; nothing was written")
    if remote.is_remote(directory):
        return _send(remote.place(directory), description, arrays, dtype, add)
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is not a folder")
    with atomic.write_folder(directory) as folder:
        text = json.dumps(description, indent=1, default=_plain)
        (folder / MODEL).write_text(text + "\n", encoding="utf-8")
        np.savez_compressed(folder / WEIGHTS, **arrays)
        if add is not None:
            add(folder)
        for name in keep:
            if (directory / name).is_file():
                shutil.copy2(directory / name, folder / name)
    return directory


def _send(
    target: pathlib.Path,
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    dtype: str,
    add: Callable[[pathlib.Path], None] | None,
) -> pathlib.Path:
    """Writes the folder on this machine and sends it; without model.json, which is sent last, it is none."""
    with tempfile.TemporaryDirectory(prefix="pose3d-weights-") as name:
        made = write(pathlib.Path(name, target.name), description, arrays, dtype, add=add)
        try:
            (target / MODEL).unlink(missing_ok=True)
            for path in sorted(made.iterdir(), key=lambda path: path.name == MODEL):
                remote.upload(path, target / path.name)
        except OSError as error:
            raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def read_description(directory: str | os.PathLike, version: int) -> dict[str, Any]:
    """The content of a folder's model.json; raises `InputError` when it is none of this format version."""
    path = pathlib.Path(directory, MODEL)
    if not path.exists():
        raise InputError(f"{directory}: not a weights folder ({MODEL}: No such file or directory)")
    content = inputs.read_json(path)
    if not isinstance(content, dict) or content.get("format") != version:
        raise InputError(f"{path}: expected a network description of format {version}")
    return content


def read_variables(directory: str | os.PathLike) -> dict[str, np.ndarray]:
    """A folder's variables by name, float32; raises `InputError` for damaged files and values that are not finite."""
    path = pathlib.Path(directory, WEIGHTS)
    with archives.open_zip(path) as members:
        for member in members.infolist():
            archives.check_member(member, f"{path}: {member.filename}")
    # NumPy evaluates headers as Python text, which can fail in any way.
    with inputs.reading(path, "arrays of floating numbers"), np.load(path, allow_pickle=False) as archive:
        variables = {name: _real(name, archive[name]) for name in archive.files}
    for name, value in variables.items():
        if not np.isfinite(value).all():
            raise InputError(f"{path}: variable {name} is not finite")
    return variables


def _real(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is of type {array.dtype}, expected floating point")
    return array.astype(np.float32)


def assign(variables: Mapping[str, Any], values: Mapping[str, np.ndarray], where: str) -> None:
    """Gives TensorFlow variables their values by name.

    Raises:
      InputError: a name is missing or too much, or a shape is another; `where` says in which file. Nothing is assigned
        then.
    """
    for name in sorted(set(variables) ^ set(values)):
        raise InputError(f"{where}: variable {name} is {'missing' if name in variables else 'not of this network'}")
    for name, variable in variables.items():
        if tuple(variable.shape) != values[name].shape:
            raise InputError(f"{where}: {name} is {list(values[name].shape)}, expected {list(variable.shape)}")
    for name, variable in variables.items():
        variable.assign(values[name])
