"""Labels as records: the records of the input with their 3D poses, quality and provenance."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from label_generator.labelling import array_rows, inputs
from tfrecords import schema
from tfrecords.conversion.reviewed import swap_sides
from tfrecords.exports.rows import ROWS
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tools.cli.errors import InputError
from tools.files import remote
from tools.files.decisions import Decisions
from tools.pose import joints

_NOMINAL = schema.CAMERA_KINDS.index(schema.NOMINAL)


class LabelledSource(Source):
    """The records of an input with the labels that were made of them; records without a label are skipped."""

    def __init__(
        self,
        spec: inputs.Spec,
        labels: pathlib.Path,
        unlabelled: bool = False,
        decisions: Decisions | None = None,
    ):
        """Opens both.

        Args:
          labels: the .npz of `LabelFiles.write_npz`.
          unlabelled: keep records without a label, without any 3D pose.
          decisions: those that the labels were made with; what they drop is left out.

        Raises:
          InputError: the two don't belong together.
        """
        self._input, self._decisions = inputs.open_input(spec), decisions
        info = self._input.source_info
        self.info = Info(
            name=f"{info.name}-labels",
            description=f"{info.description}; 3D labels generated",
            input=info.input,
            licence=info.licence,
            citation=info.citation,
            images=info.images,
        )
        super().__init__(remote.place(spec.path), Options(split=spec.split, images=spec.images))
        self._unlabelled = unlabelled
        self._labels, self._npz = array_rows.open_npz(labels), labels
        if len(self._labels["reason"]) != len(self._input):
            raise InputError(f"{labels}: {len(self._labels['reason'])} rows, its input has {len(self._input)}")
        self._reasons = self._labels["reasons"].read(0, len(self._labels["reasons"]))
        self._weights = str(self._labels["weights"].read(0, 1)[0])

    def __len__(self) -> int:
        return len(self._input)

    def files(self) -> Sequence[pathlib.Path]:
        return [*self._input.files(), self._npz]

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        numbers = np.asarray(numbers, np.int64)
        at = 0
        columns: dict[str, np.ndarray] = {}
        for i, item in enumerate(self._input.records(numbers)):
            number = int(numbers[i])
            if not columns or not at <= number < at + ROWS:
                at, columns = number, self._piece(number)
            item = item if isinstance(item, Skip) else self._reviewed(item, number)
            yield item if isinstance(item, Skip) else self._labelled(item, columns, number - at)

    def _reviewed(self, record: PoseRecord, number: int) -> PoseRecord | Skip:
        """The record as the decisions leave it; what they drop is not kept as unlabelled either."""
        if self._decisions is None:
            return record
        fate = self._decisions.fate(record.file, record.sequence, record.frame, record.person, number)
        if fate.reason:
            return Skip(fate.reason, record.where())
        return swap_sides(record) if fate.swap else record

    def _piece(self, start: int) -> dict[str, np.ndarray]:
        names = ("reason", "poses_3d", "roots", "quality", "joint_quality", "intrinsics", "camera_kind", "provenance")
        return {name: self._labels[name].read(start, start + ROWS) for name in names}

    def _labelled(self, record: PoseRecord, columns: dict, i: int) -> PoseRecord | Skip:
        reason = columns["reason"][i]
        if reason and not self._unlabelled:
            return Skip(str(self._reasons[reason]), record.where())
        if reason:
            # A pose that the input brought along is no label of this run.
            nothing: dict[str, Any] = dict.fromkeys(("pose_3d", "provenance_3d", "root_3d"))
            return dataclasses.replace(record, **nothing)
        record.pose_3d = columns["poses_3d"][i].copy()
        # The 3D position of a joint without a 2D label is made.
        labelled = columns["provenance"][i] == joints.LABELLED
        record.provenance_3d = np.where(labelled, joints.LABELLED, joints.MADE).astype(np.uint8)
        nominal = columns["camera_kind"][i] == _NOMINAL
        # A nominal depth is no place in the picture's own camera.
        record.root_3d = np.full(3, np.nan, np.float32) if nominal else columns["roots"][i].copy()
        record.intrinsics = columns["intrinsics"][i].copy()
        record.camera_kind = schema.CAMERA_KINDS[columns["camera_kind"][i]]
        record.quality = float(columns["quality"][i])
        record.joint_quality = columns["joint_quality"][i].copy()
        record.weights = self._weights
        return record
