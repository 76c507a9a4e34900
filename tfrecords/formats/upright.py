"""Pictures and frames of videos by their file's name and frame number, upright."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from tfrecords.formats import images, photographs
from tfrecords.formats.photographs import Photo
from tfrecords.source import Skip
from tools.cli.errors import InputError


def is_video(path: str | os.PathLike) -> bool:
    """Whether a file is a video by its name."""
    return str(path).lower().endswith(photographs.VIDEO_SUFFIXES)


class UprightPictures:
    """The pictures of a folder, the frames of the videos in it, or the frames of one video.

    Frames are decoded one after the other, so ask for ascending ones; an earlier one starts the video anew. Names that
    lead out of the folder are looked up by their last part only.
    """

    def __init__(self, root: str | os.PathLike):
        """Raises `InputError` when `root` is neither a folder nor a video."""
        self.root = pathlib.Path(root)
        if not self.root.is_dir() and not (self.root.is_file() and is_video(self.root)):
            raise InputError(f"{self.root}: neither a folder of pictures nor a video")
        self._video = self.root if self.root.is_file() else None
        self._open: tuple[pathlib.Path, Iterator[Photo]] | None = None
        self._last: Photo | None = None

    def read(self, file: str, frame: int = -1) -> Photo | Skip:
        """The picture of a file; frame: its number in a video, from 0."""
        path = self._video or self._path(file)
        if path is None:
            return Skip(images.MISSING, f"{file} not in {self.root}")
        if self._video is None and not is_video(path):
            return photographs.read(path, file)
        return self._frame(path, frame)

    def _path(self, file: str) -> pathlib.Path | None:
        parts = pathlib.PurePosixPath(file.replace("\\", "/")).parts
        if not parts or "\0" in file:
            return None
        inside = parts[0][0] != "/" and ".." not in parts and not any(":" in part for part in parts)
        for candidate in ("/".join(parts) if inside else parts[-1], parts[-1]):
            try:
                if (self.root / candidate).is_file():
                    return self.root / candidate
            except OSError:  # a name that the file system does not take
                continue
        return None

    def _frame(self, path: pathlib.Path, frame: int) -> Photo | Skip:
        if self._open is None or self._open[0] != path or (self._last is not None and self._last.frame > frame):
            try:
                self._open = path, photographs.Video(path).photos()
            except InputError as error:
                return Skip(images.UNREADABLE, str(error))
            self._last = None
        while self._last is None or self._last.frame < frame:
            self._last = next(self._open[1], None)
            if self._last is None:
                self._open = None
                return Skip(images.MISSING, f"{path.name}: no frame {frame}")
        if self._last.frame != frame:
            return Skip(images.MISSING, f"{path.name}: no frame {frame}")
        return self._last
