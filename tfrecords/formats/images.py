"""Image files as they are: found, checked by their markers, and passed on byte for byte.

A check reads the structure of the file and not its pixels: a JPEG must have its start, frame and end markers, which are
walked here because Pillow only finds their absence by decoding; a PNG its chunks with right checksums (Pillow's
``verify``). That finds empty, cut and foreign files at the speed of reading them. What only decoding finds
(``--verify``) is left to OpenCV. EXIF blocks are read by Pillow.

Labels of the data sets refer to the pixels as stored. Decoders disagree about the EXIF orientation (OpenCV turns the
picture, TensorFlow and MATLAB don't), so sizes here are those of the stored pixels and the orientation is only noted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import re
import struct
import tarfile
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
from PIL import ExifTags, PngImagePlugin

from tfrecords.formats import exif_chunks
from tfrecords.source import Options, Skip
from tools.cli.errors import InputError
from tools.files import inputs, limits

LARGEST_SIDE = 1 << 30  # stands for a side that no decoder takes
NO_IMAGES = "none"  # the value of --images that leaves pictures out
SUFFIXES = (".jpg", ".jpeg", ".png")

MISSING = "image missing"
UNREADABLE = "image unreadable"
EMPTY = "image empty"
FOREIGN = "image neither JPEG nor PNG"
TRUNCATED = "image truncated"
DAMAGED = "image damaged"
UNSUPPORTED = "image of an unusual JPEG kind"
OTHER_SIZE = "image size differs from its annotation"
TOO_LARGE = "picture too large"
TOO_MANY_SCANS = "picture of too many scans"
_SCAN = b"\xff\xda"  # marker of the start of a scan

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # a last chunk without content, with its checksum
# In the compressed data of a scan 0xff is followed by 0x00 or by a restart marker; anything else is a marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
# Baseline, extended and progressive Huffman coding are what decoders in use read; 0xc4, 0xc8, 0xcc are no frames.
_FRAMES = {0xC0, 0xC1, 0xC2}
_ODD_FRAMES = set(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_EXIF = b"Exif\0\0"


@dataclasses.dataclass(frozen=True)
class Image:
    """An image file in memory.

    Attributes:
      data: the bytes of the file.
      format: 'jpeg' or 'png'.
      width, height: of the stored pixels.
      orientation: EXIF orientation 1 to 8; 1 (as stored) when the file says nothing.
      film_mm: focal length in mm, equivalent on 35 mm film, as EXIF says; 0 when it says nothing, or of a picture of
        another shape (a cropped one).
    """

    data: bytes
    format: str
    width: int
    height: int
    orientation: int = 1
    film_mm: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        return self.width, self.height


class _Bad(Exception):
    """Carries the reason of a `Skip` out of the parsers."""


def inspect(data: bytes, name: str = "", verify: bool = False) -> Image | Skip:
    """What the bytes of an image file are.

    Args:
      data: the whole file.
      name: what the file is called, for the detail of a skip.
      verify: decode the pixels too.

    Returns:
      An `Image`, or a `Skip` with one of this module's reasons; any bytes give one or the other.
    """
    try:
        if not data:
            raise _Bad(EMPTY)
        if data[:2] == b"\xff\xd8":
            image = _inspect_jpeg(data)
        elif data[:8] == _PNG_START:
            image = _inspect_png(data)
        else:
            raise _Bad(FOREIGN)
        if is_too_large(image.size):
            return too_large(name, image.size)
        if has_too_many_scans(data):
            return Skip(TOO_MANY_SCANS, f"{name} ({len(data)} bytes); {limits.HINT}")
        if verify:
            _decode(image)
    except _Bad as bad:
        return Skip(str(bad), f"{name} ({len(data)} bytes)")
    return image


def is_too_large(size: tuple[int, int]) -> bool:
    """Whether a picture of this width and height has more pixels than the limits allow to decode."""
    return size[0] * size[1] > limits.current().picture_pixels


def has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG passes over its pixels more often than the limits allow; a kilobyte can ask for ten scans more."""
    # No pixel is coded as a marker, and only a preview in the EXIF data has one of its own.
    return data[:2] == b"\xff\xd8" and data.count(_SCAN) > limits.current().picture_scans


def too_large(name: str, size: tuple[int, int]) -> Skip:
    """The skip of a picture of a size that `is_too_large`."""
    return Skip(TOO_LARGE, f"{name} ({size[0]} x {size[1]}); {limits.HINT}")


def stored_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that the head of a picture of any format tells, without decoding; None where it tells none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own opinion on large pictures
        try:
            with PIL.Image.open(io.BytesIO(data)) as image:
                return image.size
        except PIL.Image.DecompressionBombError:
            return LARGEST_SIDE, LARGEST_SIDE
        except Exception:  # a damaged file fails in as many ways as Pillow's parsers have steps
            return None


def pixels(data: bytes, flags: int | None = None) -> np.ndarray | None:
    """A picture decoded by OpenCV: [H, W, 3] uint8 BGR; None when it can't be, or has too many pixels.

    Args:
      flags: of `cv2.imdecode`; by default colour, as stored whatever the EXIF orientation.
    """
    # OpenCV's own limit is a gigapixel; it is read when OpenCV is loaded, and matters where no head is understood here.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(limits.current().picture_pixels))
    import cv2

    size = stored_size(data) if data else None
    if not data or (size is not None and is_too_large(size)) or has_too_many_scans(data):
        return None
    try:
        usual = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, np.uint8), usual if flags is None else flags)
    except cv2.error:  # for instance more pixels than OpenCV agrees to decode
        return None


def _inspect_jpeg(data: bytes) -> Image:
    """Walks the segments up to the end marker."""
    position, size, exif, scanned = 2, None, _Exif(), False
    while True:
        if position + 2 > len(data):
            raise _Bad(TRUNCATED)
        if data[position] != 0xFF:
            # Decoders skip stray bytes after a scan; before the first one they mean that a length is wrong.
            found = _NEXT_MARKER.search(data, position) if scanned else None
            if found is None:
                raise _Bad(TRUNCATED if scanned else DAMAGED)
            position = found.start()
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        position += 2
        if marker == 0xD9:
            break
        if marker in _STANDALONE:
            continue
        if position + 2 > len(data):
            raise _Bad(TRUNCATED)
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            raise _Bad(DAMAGED)
        if position + length > len(data):
            raise _Bad(TRUNCATED)
        segment = data[position + 2 : position + length]
        position += length
        if marker in _FRAMES:
            size = _jpeg_frame(segment)
        elif marker in _ODD_FRAMES:
            raise _Bad(UNSUPPORTED)
        elif marker == 0xE1 and segment.startswith(_EXIF):
            exif = read_exif(segment)
        elif marker == 0xDA:
            scanned = True
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise _Bad(TRUNCATED)
            position = found.start()
    if size is None or not scanned:
        raise _Bad(DAMAGED)
    return Image(data, "jpeg", *size, exif.orientation, exif.film_mm if _same_shape(exif.size, size) else 0.0)


def _jpeg_frame(segment: bytes) -> tuple[int, int]:
    """(width, height) from a frame header: precision, height, width, components."""
    if len(segment) < 6:
        raise _Bad(DAMAGED)
    precision, height, width, components = struct.unpack(">BHHB", segment[:6])
    if precision != 8:
        raise _Bad(UNSUPPORTED)
    if not (width and height and components) or len(segment) < 6 + 3 * components:
        raise _Bad(DAMAGED)
    return width, height


class _Exif(NamedTuple):
    """What an EXIF block says, where it makes sense: see `Image`; `size` of the picture when it was taken, px."""

    orientation: int = 1
    film_mm: float = 0.0
    size: tuple[int, int] = (0, 0)


# Sides of sensors, long to short. A picture of another shape was cut, if its EXIF data does not say how large it was.
_SENSOR_SHAPES = (4 / 3, 3 / 2, 16 / 9)


def _same_shape(taken: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a picture is whole, as far as its proportions say: those of when it was taken, or a sensor's, to 2 %."""
    shape = max(size) / min(size)
    shapes = (max(taken) / min(taken),) if min(taken) > 0 else _SENSOR_SHAPES
    return any(abs(shape / other - 1.0) < 0.02 for other in shapes)


def read_exif(block: bytes) -> _Exif:
    """What is read of an EXIF block; of a damaged one what is still readable."""
    exif, orientation, details = PIL.Image.Exif(), None, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's notes on damaged entries, which it passes over
        # A damaged block fails in as many ways as Pillow's parser has steps.
        with contextlib.suppress(Exception):
            exif.load(block)
            orientation = exif.get(ExifTags.Base.Orientation)
            details = exif.get_ifd(ExifTags.IFD.Exif)
    names = (ExifTags.Base.FocalLengthIn35mmFilm, ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    numbers = (details.get(name) for name in names)
    film_mm, width, height = (n if isinstance(n, int) and 0 < n < 1 << 20 else 0 for n in numbers)
    return _Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        float(film_mm) if 4 <= film_mm <= 2000 else 0.0,
        (width, height),
    )


def _inspect_png(data: bytes) -> Image:
    """Has Pillow walk the chunks and compare their checksums."""
    if _PNG_END not in data:
        raise _Bad(TRUNCATED)
    try:
        # Not PIL.Image.open, which refuses sizes that `photographs` has its own limit for.
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            (width, height), has_pixels = image.size, bool(image.tile)
            if has_pixels:
                image.verify()
    except Exception as error:  # a damaged file fails in as many ways as Pillow's parser has steps
        raise _Bad(DAMAGED) from error
    if not (has_pixels and width and height):
        raise _Bad(DAMAGED)
    exif = read_exif(exif_chunks.of_png(data))
    film_mm = exif.film_mm if _same_shape(exif.size, (width, height)) else 0.0
    return Image(data, "png", width, height, exif.orientation, film_mm)


def _decode(image: Image) -> None:
    """Decodes the pixels as stored and compares their size with the header's."""
    decoded = pixels(image.data)
    if decoded is None or decoded.shape[:2] != (image.height, image.width):
        raise _Bad(DAMAGED)


class Pictures:
    """The pictures of a data set: a folder, or a tar archive that is read in place.

    Names that lead out of the folder are looked up by their last part only, so that annotations can't reach other
    files, and annotations with the paths of another machine still find their pictures.
    """

    def __init__(self, path: str | os.PathLike, verify: bool = False):
        """Raises `InputError` when `path` is neither a folder with something in it nor an uncompressed tar."""
        self.path = pathlib.Path(path)
        self._verify = verify
        self._last: tuple[str, Image | Skip] | None = None
        if self.path.is_dir():
            with os.scandir(self.path) as entries:
                if next(entries, None) is None:
                    raise InputError(f"--images: folder {self.path} is empty; --images=none leaves pictures out")
        elif not self.path.exists():
            raise InputError(f"--images: no folder or tar {self.path}; --images=none leaves pictures out")
        else:
            inputs.check_regular(self.path)
            try:
                with tarfile.open(self.path, "r:"):
                    pass
            except (tarfile.TarError, OSError, EOFError) as error:
                raise InputError(
                    f"--images: {self.path} is neither a folder nor an uncompressed tar ({error}); "
                    "--images=none leaves pictures out"
                ) from None

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def read(self, name: str) -> Image | Skip:
        """The picture of that name, checked. The last one is kept: people of one picture follow each other."""
        if self._last is None or self._last[0] != name:
            self._last = name, self._read(name)
        return self._last[1]

    def _read(self, name: str) -> Image | Skip:
        place = self._find(name)
        if place is None:
            return Skip(MISSING, f"{name} not in {self.path}")
        path, offset, size = place
        try:
            with open(path, "rb") as file:
                most = os.fstat(file.fileno()).st_size - offset  # a tar's header may tell any size
                file.seek(offset)
                data = file.read(most if size < 0 else min(size, most))
        except OSError as error:
            return Skip(UNREADABLE, f"{path}: {error.strerror}")
        return inspect(data, name, self._verify)

    def _find(self, name: str) -> tuple[pathlib.Path, int, int] | None:
        """(file, offset, bytes) of a picture; -1 bytes: to the end of the file."""
        parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
        if not parts or "\0" in name:
            return None
        within = parts[0][0] != "/" and ".." not in parts and not any(":" in part for part in parts)
        for candidate in dict.fromkeys(("/".join(parts) if within else parts[-1], parts[-1])):
            if candidate in ("..", "/"):
                continue
            if self._members is not None:
                if candidate in self._members:
                    return (self.path, *self._members[candidate])
                continue
            try:
                if (self.path / candidate).is_file():
                    return self.path / candidate, 0, -1
            except OSError:  # a name that the file system does not take
                continue
        return None

    @functools.cached_property
    def _members(self) -> dict[str, tuple[int, int]] | None:
        """name and last part of the name -> (offset, bytes) in the tar; None for a folder."""
        if self.path.is_dir():
            return None
        members: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(self.path, "r:") as archive:
                for member in archive:
                    if member.isreg() and not member.issparse():
                        parts = pathlib.PurePosixPath(member.name).parts
                        place = member.offset_data, member.size
                        members["/".join(parts)] = place
                        members.setdefault(parts[-1], place)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise InputError(f"--images: {self.path}: damaged tar ({error})") from None
        return members


def is_image_name(name: str) -> bool:
    """Whether a file of that name should be an image."""
    return name.lower().endswith(SUFFIXES)


def open_pictures(
    options: Options, implied: Sequence[pathlib.Path], sign: Callable[[str], bool] = is_image_name
) -> Pictures | None:
    """The pictures that go with an annotation.

    Args:
      options: its ``images`` names the folder, is 'none', or is '' for the usual places.
      implied: the usual places, tried in order: folders or tar files.
      sign: whether something of that name in a folder shows that the pictures are there.

    Returns:
      `Pictures`, or None for ``--images=none``.

    Raises:
      InputError: there are no pictures at the place named, or at none of the usual ones.
    """
    if options.images == NO_IMAGES:
        return None
    if options.images:
        return Pictures(options.images, options.verify)
    for place in implied:
        if place.is_file() or (place.is_dir() and _holds(place, sign)):
            return Pictures(place, options.verify)
    looked = ", ".join(str(place) for place in dict.fromkeys(implied))
    raise InputError(f"no images at {looked}; name their folder by --images=FOLDER or leave them out by --images=none")


def _holds(folder: pathlib.Path, sign: Callable[[str], bool]) -> bool:
    """Whether something in a folder has a name with that sign; stops at the first."""
    with os.scandir(folder) as entries:
        return any(sign(entry.name) for entry in entries)
