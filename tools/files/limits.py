"""How much readers take from one file, in one place: small files must not ask for unbounded memory or time.

``--input_limits=FACTOR`` of every command multiplies all of them, by an environment variable, which worker processes
inherit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
from collections.abc import Iterator

from tools.cli.errors import InputError

_VARIABLE = "POSE3D_INPUT_LIMITS"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bytes and counts that one file may ask for.

    Attributes:
      text_bytes: a JSON file, decompressed.
      member_bytes: one file within a tar or zip archive of annotations.
      array_bytes: one array that is held in memory: a member of an .npz, an HDF5 data set, a MATLAB variable.
      expansion: decompressed bytes for each compressed byte of a member beyond `small_bytes`; zeros reach 1030.
      small_bytes: what may expand as it likes.
      record_bytes: one TFRecord.
      pickle_bytes: an array of objects on disk; pickle_values: values in it when every shared part is written out.
      name_length: characters of a file name or another text that ends up in an array.
      picture_pixels: width times height of a picture; 100 million take 300 MB decoded.
      picture_scans: passes over its pixels that a progressive JPEG makes; encoders make about ten.
      frame_pixels: of a video's or GIF's frames, of which decoders hold several; 8192 x 4320 are below.
      names_bytes: memory for the names of an HDF5 file's objects; damaged trees of names have no end.
    """

    text_bytes: int = 2 << 30
    member_bytes: int = 256 << 20
    array_bytes: int = 8 << 30
    expansion: int = 250
    small_bytes: int = 256 << 20
    record_bytes: int = 256 << 20
    pickle_bytes: int = 2 << 30
    pickle_values: int = 200_000_000
    name_length: int = 4096
    picture_pixels: int = 100_000_000
    picture_scans: int = 100
    frame_pixels: int = 36_000_000
    names_bytes: int = 256 << 20


LARGEST_FACTOR = 1e6  # as good as no limits


def current() -> Limits:
    """The limits that hold in this process. Raises `InputError` when the variable that multiplies them is no factor."""
    said = os.environ.get(_VARIABLE, "1")
    try:
        factor = float(said)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= LARGEST_FACTOR:
        raise InputError(f"{_VARIABLE}={said[:40]}: expected a factor above 0 and of at most {LARGEST_FACTOR:,.0f}")
    if factor == 1.0:
        return Limits()
    return Limits(**{name: int(value * factor) for name, value in dataclasses.asdict(Limits()).items()})


@contextlib.contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Inside, this process gets at most so many bytes of memory beyond what it has; on Linux, elsewhere without bound.

    For native code that small damaged files lead to take all there is. Threads that want memory meanwhile are bounded
    too, so what is inside must be short.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        usual, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = taken + more if usual == resource.RLIM_INFINITY else min(taken + more, usual)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (usual, hard))


def text(size: float) -> str:
    """A number of bytes for messages: '2 GiB'."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.3g} {unit}"
        size /= 1024
    return ""


HINT = "--input_limits=FACTOR raises the limits of readers"
