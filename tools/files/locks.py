"""Folders that one process at a time may write."""

from __future__ import annotations

import fcntl
import os
import pathlib

from tools.cli.errors import InputError


class FolderLock:
    """A lock on a folder, held until `release` or the end of the process, however that ends; it leaves no file."""

    def __init__(self, folder: str | os.PathLike, held_by: str):
        """Makes the folder when needed.

        Args:
          held_by: who holds it when it cannot be had, for the message.

        Raises:
          InputError: another process holds it, or it cannot be made.
        """
        folder, self._handle = pathlib.Path(folder), -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError(f"{folder}: can't be used as an output folder: {error.strerror}") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise InputError(f"{folder}: {held_by} is writing here") from None
        except OSError:
            pass

    def release(self) -> None:
        """Gives the folder free."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        self.release()
