"""The pictures that predict.py's --input names; without TensorFlow, so bad input is reported before it loads."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterator

from tfrecords.formats import photographs
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.files import inputs


class InputPictures:
    """The pictures that --input names.

    Attributes:
      video: the video, None for picture files. total: number of pictures or frames, 0 where a video does not state it.
    """

    def __init__(self, path: str | os.PathLike, output: str | os.PathLike, limit: int = 0):
        """Finds them, and reads none.

        Args:
          path: a folder, a picture or a video. output: a folder that is left out when it lies in `path`.
          limit: largest number of pictures or frames; 0: all.

        Raises:
          InputError: there is no such path, no picture in the folder, or the video cannot be read.
        """
        self._given, self._path, self._names = path, pathlib.Path(path), []
        self._limit = limit or None
        self.video: photographs.Video | None = None
        if not self._path.exists():
            raise InputError(f"{self._path}: no such file or folder")
        if self._path.is_dir():
            self._names = photographs.list_pictures(self._path, output)
        elif self._path.suffix.lower() in photographs.VIDEO_SUFFIXES:
            self.video = photographs.Video(self._path)
        else:
            self._path, self._names = self._path.parent, [self._path.name]
        self._names = self._names[: self._limit]
        self.total = len(self._names)
        if self.video is not None:
            self.total = min(self.video.count, limit or self.video.count)

    def check(self) -> None:
        """Raises `InputError` when there are few pictures, none of which can be read."""
        if self.video is None:
            photographs.check_one_readable([self._path / name for name in self._names], self._given)

    def read(self) -> Iterator[tuple[str, photographs.Photo | Skip]]:
        """(name, picture or why it cannot be read), in order."""
        if self.video is None:
            return ((inputs.shown_name(name), photographs.read(self._path / name, name)) for name in self._names)
        return ((photo.name, photo) for photo in itertools.islice(self.video.photos(), self._limit))
