"""Photographs and videos as upright pictures, one at a time; what cannot be read is a `Skip` with its reason.

Every picture is turned by its EXIF orientation (JPEG, PNG, WebP; TIFF by OpenCV itself), and all
coordinates in results refer to the upright picture. Grey pictures, transparency and 16 bits become BGR of 8 bits.
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfrecords.formats import exif_chunks, images
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.files import inputs, limits

if TYPE_CHECKING:
    import cv2

SUFFIXES = (*images.SUFFIXES, ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".gif")
# Containers that only estimate their number of frames are wrong by no more than so many, or that share of them.
_ESTIMATE_FRAMES, _ESTIMATE_SHARE = 2, 0.02
# Heads of videos that are letters alone, beside which those of text are looked at.
_LETTERED = (b"RIFF", b"GIF8", b"OggS", b"YUV4")
_PRINTABLE = bytes([*range(32, 127), 9, 10, 13])
_HEAD, _LETTERS = 4096, 16
_TRIED = 32  # pictures, before one that can be read is no longer looked for
UNKNOWN = "not a picture"
NOT_UNICODE = "file name that is not Unicode text"
TOO_LARGE = images.TOO_LARGE


class Photo(NamedTuple):
    """A picture: its name, [H, W, 3] uint8 BGR upright, the EXIF orientation it was stored in, the frame or -1, the
    seconds from a video's start, NaN of a photograph, and the focal length that EXIF states (`images.Image`)."""

    name: str
    pixels: np.ndarray
    orientation: int = 1
    frame: int = -1
    seconds: float = math.nan
    film_mm: float = 0.0


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [H, W, 3] uint8 turned and mirrored as EXIF orientation 1 to 8 asks (Exif 2.3, 4.6.4 A)."""
    if orientation not in range(2, 9):
        return pixels
    import cv2

    # OpenCV needs one copy where Pillow needs three: pictures may have 300 MB.
    if orientation > 4:
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip, dst=pixels if orientation > 4 else None)


def decode(data: bytes, name: str) -> Photo | Skip:
    """The picture in the bytes of a file; any bytes give a picture or a `Skip`."""
    image = images.inspect(data, name)
    if isinstance(image, Skip):
        if image.reason != images.FOREIGN:
            return image
        size = images.stored_size(data)
        if size is not None and images.is_too_large(size):
            return images.too_large(name, size)
    pixels = images.pixels(data)
    if pixels is None:
        return Skip(UNKNOWN if isinstance(image, Skip) else images.DAMAGED, f"{name} ({len(data)} bytes)")
    if isinstance(image, Skip):
        orientation = images.read_exif(exif_chunks.of_webp(data)).orientation
        return Photo(name, upright(pixels, orientation), orientation)
    return Photo(name, upright(pixels, image.orientation), image.orientation, film_mm=image.film_mm)


def read(path: str | os.PathLike, name: str = "") -> Photo | Skip:
    """The picture of a file, called `name` (by default as its path); a `Skip` for a `name` that is not Unicode."""
    if not inputs.is_unicode(name):  # no file of results can name it
        return Skip(NOT_UNICODE, inputs.shown_name(name))
    name = name or str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would wait for ever
            return Skip(images.UNREADABLE, f"{name}: not a file")
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        return Skip(images.UNREADABLE, f"{name}: {error.strerror}")
    return decode(data, name)


def check_one_readable(paths: Sequence[str | os.PathLike], place: str | os.PathLike) -> None:
    """Reads pictures up to the first that can be read, and few at most; raises `InputError` when none of all can."""
    first = ""
    for path in paths[:_TRIED]:
        photo = read(path, pathlib.Path(path).name)
        if not isinstance(photo, Skip):
            return
        first = first or f"{photo.detail}: {photo.reason}"
    if len(paths) == 1:
        raise InputError(f"{paths[0]}: cannot be read: {first}")
    if paths and len(paths) <= _TRIED:
        raise InputError(f"{place}: none of its {len(paths):,} pictures can be read; the first: {first}")


def list_pictures(folder: str | os.PathLike, without: str | os.PathLike | None = None) -> list[str]:
    """Paths, relative to a folder, of all files in it and in its folders that are called like pictures, sorted.

    Args:
      without: a folder inside that is passed over, such as the one that is written to. Hidden folders are too.

    Raises:
      InputError: there are none.
    """
    folder, names = pathlib.Path(folder), []
    excluded = pathlib.Path(without).resolve() if without else None
    for place, folders, files in os.walk(folder):
        here = pathlib.Path(place)
        folders[:] = [name for name in folders if name[0] != "." and (here / name).resolve() != excluded]
        pictures = (name for name in files if name[0] != "." and name.lower().endswith(SUFFIXES))
        names += [(here / name).relative_to(folder).as_posix() for name in pictures]
    if not names:
        raise InputError(f"{folder}: no picture in it ({', '.join(SUFFIXES)})")
    return sorted(names)


def _check_no_list(path: str | os.PathLike) -> None:
    """Raises `InputError` for lists of other files (HLS, ffconcat, DASH), which FFmpeg reads, wherever those lie, under
    any name; they are text."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    first = head[:_LETTERS]
    if first[:4] not in _LETTERED and first and not first.translate(None, _PRINTABLE):
        raise InputError(f"{path}: is text, maybe a list of other files; expected a video")
    if b"<mpd" in head.lower():
        raise InputError(f"{path}: is a list of other files (DASH); expected a video")


class Video:
    """The frames of a video file, one at a time.

    Attributes:
      count: number of frames that the file states, 0 where it does not. fps: frames a second. width, height: px.
      decoded: number of frames that `photos` could decode, known when it has come to the end.
    """

    decoded: int | None = None

    def __init__(self, path: str | os.PathLike):
        """Raises `InputError` when OpenCV cannot read a frame of it."""
        import cv2

        inputs.check_regular(path)
        _check_no_list(path)
        self._path = str(path)
        with self._opened() as video:
            size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
            if size[0] * size[1] > limits.current().frame_pixels:
                raise InputError(f"{path}: frames of {size[0]} x {size[1]} px are too large; {limits.HINT}")
            read, frame = video.read()
            if not read:
                raise InputError(f"{path}: not a video that OpenCV can read, or damaged")
            self.height, self.width = frame.shape[:2]
            count, fps = video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)
        self.count = int(count) if 0 < count < 1e9 else 0
        self.fps = float(fps) if 0 < fps < 1000 else 25.0

    @contextlib.contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        import cv2

        video = cv2.VideoCapture(self._path)
        try:
            yield video
        finally:
            video.release()

    def photos(self, every_seconds: float = 0.0) -> Iterator[Photo]:
        """The frames in order, upright as OpenCV turns them, with the times that the file gives them.

        Args:
          every_seconds: the least time from one frame to the next; those between are passed over. 0: every frame.
        """
        import cv2

        name = os.path.basename(self._path)
        with self._opened() as video:
            number, last, following = 0, -1.0, 0.0
            while video.grab():
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                if not seconds > last:  # formats without times, or with wrong ones
                    seconds = number / self.fps if last < 0 else last + 1.0 / self.fps
                last = seconds
                if seconds >= following - 1e-6:
                    read, frame = video.retrieve()
                    if not read:
                        break
                    yield Photo(name, frame, frame=number, seconds=seconds)
                    following = seconds + every_seconds
                number += 1
            self.decoded = number

    @property
    def ends_early(self) -> bool:
        """Whether clearly fewer frames could be decoded than the file states, as of a file that was cut.

        Containers that only estimate the number are wrong by a few frames.
        """
        missing = self.count - self.decoded if self.count and self.decoded is not None else 0
        return missing > max(_ESTIMATE_FRAMES, _ESTIMATE_SHARE * self.count)
