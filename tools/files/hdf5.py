"""HDF5 files of unknown origin: what such a file can make its reader do beyond itself is refused.

External links, external storage and virtual data sets read other files under the reader's rights; soft links can run
in circles; a data set can declare terabytes that were never written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from tools.cli.errors import InputError, first_line
from tools.files import inputs, limits

_MOST_OBJECTS = 100_000


@contextlib.contextmanager
def open_file(path: str | os.PathLike, expected: str) -> Iterator[Any]:
    """`with open_file(path, "cameras.h5 of Human3.6M") as file:` gives an `h5py.File` for reading.

    Raises:
      InputError: no regular file, no HDF5, something in it that reads other files, or whatever the code inside raises
        because the content is another than `expected`.
    """
    import h5py

    inputs.check_regular(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: no HDF5 file, or damaged; expected {expected} ({first_line(error)})") from None
    with file, inputs.reading(path, expected):
        with limits.bounded_memory(limits.current().names_bytes):
            _check_group(file, str(path))
        yield file


def read(dataset: Any, place: str) -> np.ndarray:
    """A data set's values; `InputError` as `check`."""
    check(dataset, place)
    return np.asarray(dataset[()])


def check(dataset: Any, place: str) -> None:
    """Raises `InputError` when `dataset` is none, or larger than the limits or than what was written."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{place}: a group, expected a data set")
    largest = limits.current()
    inputs.check_items(dataset.shape or (), dataset.dtype.itemsize, place)
    size = int(np.prod(dataset.shape or (), dtype=object)) * dataset.dtype.itemsize
    if size > largest.array_bytes:
        raise InputError(
            f"{place}: declares {limits.text(size)}, more than {limits.text(largest.array_bytes)}; {limits.HINT}"
        )
    stored = dataset.id.get_storage_size()
    if size > largest.small_bytes and size > stored * largest.expansion:
        raise InputError(f"{place}: declares {limits.text(size)}, holds {limits.text(stored)}; {limits.HINT}")


def _check_group(file: Any, place: str) -> None:
    """Raises `InputError` for links and data sets that lead out of the file. Soft links are not followed here: they
    lead to objects of the same file, which are reached by their own names; h5py refuses circles when it opens one."""
    import h5py

    waiting, visited = [(file, "")], 0
    while waiting:
        group, name = waiting.pop()
        for key in group:
            visited += 1
            if visited > _MOST_OBJECTS:
                raise InputError(f"{place}: more than {_MOST_OBJECTS:,} objects in it")
            where, link = f"{name}/{key}", group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError(f"{place}: {where} is a link to another file ({link.filename}), which is not read")
            if isinstance(link, h5py.SoftLink):
                continue
            item = group[key]
            if isinstance(item, h5py.Dataset):
                if item.external:
                    raise InputError(f"{place}: {where} is stored in another file ({item.external[0][0]})")
                if item.is_virtual:
                    raise InputError(f"{place}: {where} is a virtual data set, which reads other files")
            elif isinstance(item, h5py.Group) and where.count("/") < 64:
                waiting.append((item, where))
