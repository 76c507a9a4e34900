"""2D poses that are labelled together, and what is known of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfrecords import schema


@dataclasses.dataclass
class Batch:
    """B poses and what is known of them.

    Attributes:
      poses_2d: [B, 17, 2] float32 px, NaN at missing joints.
      provenance: [B, 17] uint8.
      intrinsics: [B, 4], distortion: [B, 5] float32 of the records' own cameras, NaN where they have none.
      camera_kind: [B] uint8 index into `schema.CAMERA_KINDS`.
      image_size: [B, 2] int64 px, -1 where unknown.
      frame, person: [B] int64, -1 where unknown.
      file, sequence, action: [B] texts.
      own_numbers: [B, 2] int64, what the input itself calls the picture and the person; -1 where it doesn't.
      skipped: place in the batch -> short reason why there is no pose.
    """

    poses_2d: np.ndarray
    provenance: np.ndarray
    intrinsics: np.ndarray
    distortion: np.ndarray
    camera_kind: np.ndarray
    image_size: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    file: list[str]
    sequence: list[str]
    action: list[str]
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)
    own_numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.poses_2d)

    def first(self, count: int) -> Batch:
        """Its first `count` poses."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("skipped", "own_numbers")]
        cut: dict[str, Any] = {name: getattr(self, name)[:count] for name in names}
        if self.own_numbers is not None:
            cut["own_numbers"] = self.own_numbers[:count]
        return Batch(**cut, skipped={i: reason for i, reason in self.skipped.items() if i < count})


def empty_batch(size: int) -> Batch:
    """A batch of which nothing is known."""
    return Batch(
        poses_2d=np.full((size, schema.JOINTS, 2), np.nan, np.float32),
        provenance=np.zeros((size, schema.JOINTS), np.uint8),
        intrinsics=np.full((size, 4), np.nan, np.float32),
        distortion=np.full((size, 5), np.nan, np.float32),
        camera_kind=np.zeros(size, np.uint8),
        image_size=np.full((size, 2), -1, np.int64),
        frame=np.full(size, -1, np.int64),
        person=np.full(size, -1, np.int64),
        file=[""] * size,
        sequence=[""] * size,
        action=[""] * size,
    )
