"""Output of a command at an address such as ``gs://bucket/report``: made on this machine, sent when it is whole."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable

from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files import remote


def run(main: Callable[[Flags], int], flags: Flags, name: str = "output") -> int:
    """Runs a command whose flag `name` may be an address, with a temporary path of this machine in its place.

    What the command writes there goes to the address at the end, beside what is there already.

    Raises:
      InputError: as the command; something is at the address and there is no ``--overwrite``; it can't be written.
    """
    address = getattr(flags, name)
    if not address or not remote.is_remote(address):
        return main(flags)
    target = remote.place(address)
    try:
        if _is_taken(target) and not flags.overwrite:
            raise InputError(f"{address}: exists already; --overwrite replaces it")
    except OSError as error:
        raise InputError(f"{address}: can't be read: {error.strerror or error}") from error
    with tempfile.TemporaryDirectory(prefix="pose3d-sent-") as folder:
        local = pathlib.Path(folder) / target.name
        setattr(flags, name, str(local))
        status = main(flags)
        for key, value in flags.report.items():
            if isinstance(value, str) and value.startswith(str(local)):
                flags.report[key] = address + value[len(str(local)) :]
        if status == 0 and local.exists():
            try:
                remote.upload(local, target)
            except OSError as error:
                raise InputError(f"{address}: can't be written: {error.strerror or error}") from error
        if status == 0:
            print(f"sent to {address}" if local.exists() else f"to be sent to {address}")
    return status


def _is_taken(target: pathlib.Path) -> bool:
    return any(target.iterdir()) if target.is_dir() else target.exists()
