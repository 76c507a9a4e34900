"""Photographs and videos that a user names, picture by picture, and read again in the same order for drawing."""

from __future__ import annotations

import glob
import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from tfrecords.formats import photographs
from tfrecords.formats.photographs import Photo
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.files import inputs

SUFFIXES = (*photographs.SUFFIXES, *photographs.VIDEO_SUFFIXES)


class Picture(NamedTuple):
    """One photograph or frame: `number` counts through all of them; `photo` is a `Skip` where it cannot be read."""

    number: int
    name: str
    photo: Photo | Skip
    video: bool


def is_pictures(text: str) -> bool:
    """Whether what a user named is a photograph, a video, a folder or a pattern of such, by names alone."""
    path = pathlib.Path(text)
    if path.is_dir():
        return any(name.lower().endswith(SUFFIXES) for _, _, names in os.walk(path) for name in names)
    return text.lower().endswith(SUFFIXES)


class CutVideo(NamedTuple):
    """A video of which fewer frames could be decoded than its file announces."""

    file: str
    decoded: int
    announced: int


class PictureFiles:
    r"""What --input names.

    Attributes:
      root: the folder that names are relative to. names: of the files, in order; what is no Unicode text in them is
        written as ``\xff``, and those files are not read, since no label can name them.
      cut_videos: those videos that ended early when `pictures` read them last.
    """

    def __init__(self, text: str, without: str | os.PathLike | None = None):
        """Lists the files and reads none.

        Args:
          text: a photograph, a video, a folder, or a pattern such as 'photos/*.jpg'.
          without: a folder inside that is left out, such as the one that is written to.

        Raises:
          InputError: nothing there.
        """
        path = pathlib.Path(text)
        self.cut_videos: list[CutVideo] = []
        if path.is_dir():
            self.root = path
            self.names = _listed(path, without)
        elif path.exists():
            self.root, self.names = path.parent, [path.name]
        elif glob.has_magic(text):
            found = sorted(name for name in glob.glob(text, recursive=True) if name.lower().endswith(SUFFIXES))
            if not found:
                raise InputError(f"{text}: matches no picture or video ({', '.join(SUFFIXES)})")
            self.root = pathlib.Path(os.path.commonpath([os.path.dirname(name) or "." for name in found]))
            self.names = [os.path.relpath(name, self.root) for name in found]
        else:
            raise InputError(f"{text}: no such file or folder")
        self._unnamed = {inputs.shown_name(name): name for name in self.names if not inputs.is_unicode(name)}
        self.names = [inputs.shown_name(name) for name in self.names]

    @property
    def paths(self) -> list[pathlib.Path]:
        """Of the files."""
        return [self.root / self._unnamed.get(name, name) for name in self.names]

    def is_video(self, name: str) -> bool:
        """Whether a file is a video by its name, and can be read."""
        return name not in self._unnamed and name.lower().endswith(photographs.VIDEO_SUFFIXES)

    def frames(self, every_seconds: float = 0.0, limit: int = 0) -> int:
        """About how many pictures and frames there are, as the files tell it, and at most `limit` (0: all).

        Raises:
          InputError: a bad video.
        """
        total = 0
        for name in self.names:
            if self.is_video(name):
                video = photographs.Video(self.root / name)
                step = max(1.0, every_seconds * video.fps)
                total += max(1, round(video.count / step))
            else:
                total += 1
            if 0 < limit <= total:
                return limit
        return total

    def pictures(self, every_seconds: float = 0.0, start: int = 0, limit: int = 0) -> Iterator[Picture]:
        """Pictures and frames from number `start` on, in order, and only the first `limit` of all (0: all).

        See `photographs.Video.photos`.
        """
        return itertools.islice(self._pictures(every_seconds, start), max(limit - start, 0) if limit else None)

    def _pictures(self, every_seconds: float, start: int) -> Iterator[Picture]:
        number, self.cut_videos = 0, []
        for name in self.names:
            if not self.is_video(name):
                if number >= start:
                    file = self._unnamed.get(name, name)
                    yield Picture(number, name, photographs.read(self.root / file, file), False)
                number += 1
                continue
            video = photographs.Video(self.root / name)
            for frame in video.photos(every_seconds):
                if number >= start:
                    yield Picture(number, name, frame._replace(name=name), True)
                number += 1
            if video.ends_early:
                self.cut_videos.append(CutVideo(name, video.decoded or 0, video.count))


def _listed(folder: pathlib.Path, without: str | os.PathLike | None) -> list[str]:
    """Pictures and videos in a folder and its folders, sorted; raises `InputError` when there are none."""
    excluded = pathlib.Path(without).resolve() if without else None
    names = []
    for place, folders, files in os.walk(folder):
        here = pathlib.Path(place)
        folders[:] = [name for name in folders if name[0] != "." and (here / name).resolve() != excluded]
        chosen = (name for name in files if name[0] != "." and name.lower().endswith(SUFFIXES))
        names += [(here / name).relative_to(folder).as_posix() for name in chosen]
    if not names:
        raise InputError(f"{folder}: no picture or video in it ({', '.join(SUFFIXES)})")
    return sorted(names)
