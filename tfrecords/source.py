"""What every source of poses is: a numbered list of records that can be read from any place on.

A source tells how many records it has and reads any ascending run of their numbers, so that the writer can give each
shard its own numbers, in any process, and a conversion that was killed goes on with the shards that are missing.
A number whose record can't be used yields a `Skip` with a short reason; the writer counts them by reason.
"""

from __future__ import annotations

import abc
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords.schema import PoseRecord
from tools.files import inputs, remote


@dataclasses.dataclass(frozen=True)
class Info:
    """What a user must know of a data set before they use it; goes into the manifest.

    Attributes:
      name: the value of ``--source``.
      description: one line, what it is.
      input: one line, what ``--input`` must point to.
      licence, citation: one line each.
      splits: what ``--split`` takes; the first is the default.
      images: whether records carry pictures.
    """

    name: str
    description: str
    input: str
    licence: str
    citation: str
    splits: tuple[str, ...] = ("all",)
    images: bool = False


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of sources besides the input; each source reads those that concern it.

    Attributes:
      split: one of the source's splits.
      images: folder of the pictures where it is not implied by the input; '' for that, 'none' to leave pictures out.
      cameras: file with camera parameters.
      layout: 'planar' (x..., y..., z...) or 'interleaved' (x0 y0 x1 y1 ...) rows of plain arrays; '': as the original
        has them in folders of that name, planar otherwise.
      permutation: joint i of this project's order is found at place permutation[i] of the source; None: same order.
      intrinsics: fx, fy, cx, cy in px where the data has none.
      baseline_mm: how far the right view lies along +x.
      verify: decode every image instead of only checking its markers.
      frame_step: take every n-th frame of sequences.
      count, seed: how many poses a source that makes them makes, and from which seed.
      cameras_style: which cameras see poses that have none of their own: 'h36m', 'wild', or 'level' (one, held
        level on the floor), for training that draws its own views.
      distort: project through the lens distortion of the cameras instead of through pinholes.
      unit_mm: millimetres in the unit of the source's 3D; 0: as its format says, or guessed from the body's size.
      joints: joint set of detected key points whose file names none; '': by their number.
      min_confidence: detected joints with a confidence not above it are missing.
      body_model: .npz of SMPL's family, for motion capture that has rotations alone.
      image_size: width, height in px of all pictures, for key points that are shares of it and a file that doesn't say.
    """

    split: str = ""
    images: str = ""
    cameras: str = ""
    layout: str = ""
    permutation: tuple[int, ...] | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    baseline_mm: float = 500.0
    verify: bool = False
    frame_step: int = 1
    count: int = 100_000
    seed: int = 0
    cameras_style: str = "h36m"
    distort: bool = False
    unit_mm: float = 0.0
    joints: str = ""
    min_confidence: float = 0.0
    image_size: tuple[int, int] | None = None
    body_model: str = ""


@dataclasses.dataclass(frozen=True)
class Skip:
    """A record that is not written. reason: short, from a small set; detail: which one and what was found."""

    reason: str
    detail: str


def read_records(source: Source, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
    """`source.records(numbers)`, in which whatever damage of the input raises is an `InputError` that names it.

    Classes of users (``--source=package.module:Class``) keep the traceback of their faults.
    """
    if not type(source).__module__.startswith("tfrecords."):
        yield from source.records(numbers)
        return
    with inputs.reading(source.path, source.info.input):
        yield from source.records(numbers)


class Source(abc.ABC):
    """A data set or file format. Made in the main process and again in every worker, so making one must be cheap
    (an index, not the data) and deterministic.

    Subclasses raise `InputError` from ``__init__`` when the input is not what `info.input` says.
    """

    info: Info
    fps: float = 0.0  # frames per second of its sequences, 0 where it does not say

    def __init__(self, path: pathlib.Path, options: Options):
        self.path = remote.place(path)
        self.options = options
        self.split = options.split or self.info.splits[0]

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many records the chosen split has, skipped ones included."""

    @abc.abstractmethod
    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order.

        Memory must not grow with the length of `numbers`.
        """

    def files(self) -> Sequence[pathlib.Path]:
        """The files that decide what the records are; their sizes and times tell a resumed conversion that the input
        is still the same. Image files are left out, there are too many."""
        return [self.path] if self.path.is_file() else []
