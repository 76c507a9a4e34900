"""What a published stage is made of; each of `left2right`, `pose3d` and `direct` fills it in."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import numpy as np

from label_generator.stages import pose_rows
from tools.pose.joints import POSE17

# Coordinates of each joint in the fields of the records that a network reads or answers.
COORDINATES = {"pose_2d": 2, "right_2d": 2, "pose_3d": 3}


@dataclasses.dataclass(frozen=True)
class Stage:
    """One network of the label generator.

    Attributes:
      name: of the stage, of its flagfile label_generator/flags/<name>.cfg and of its weights folder.
      inputs: fields of the records whose rows it reads, side by side in this order.
      output: field of the records that it predicts.
      layout: order of the columns in all its rows, 'planar' or 'interleaved' (`pose_rows.to_rows`).
      unit: of the output, 'px' or 'mm'.
      errors: (predicted, truth, joint_mask, exact_truth), poses [N, 17, C] and [N, 17] bool -> what is reported of the
        stage, errors [N] by metric. `exact_truth` is the truth as it was read; `truth` may have been normalised by
        one set's statistics and back by another's, as the release does it.

    Poses are root-centred before they become rows, and rows are normalised with the training poses' statistics, which
    lie beside the weights (`networks.normalization`).
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    layout: str
    unit: str
    errors: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the records that training needs."""
        return (*self.inputs, self.output)

    @property
    def input_size(self) -> int:
        """Numbers that the network reads for one pose."""
        return sum(POSE17.size * COORDINATES[field] for field in self.inputs)

    @property
    def output_coordinates(self) -> int:
        """2 or 3, coordinates of each predicted joint."""
        return COORDINATES[self.output]

    @property
    def output_size(self) -> int:
        """Numbers that the network answers for one pose."""
        return POSE17.size * self.output_coordinates

    @property
    def sizes(self) -> dict[str, int]:
        """Columns by the names of the statistics, 'input' and 'output'."""
        return {"input": self.input_size, "output": self.output_size}

    @property
    def reads_right_view(self) -> bool:
        """Whether the right view is one of the inputs."""
        return "right_2d" in self.inputs

    def input_rows(self, *poses: Any, layout: str = "") -> Any:
        """What the network reads, not yet normalised: [N, input_size].

        Args:
          poses: root-centred, [N, 17, 2] for each of `inputs`. layout: another than the stage's.
        """
        return pose_rows.side_by_side([pose_rows.to_rows(view, layout or self.layout) for view in poses])

    def output_rows(self, poses: Any) -> Any:
        """What the network should answer, not yet normalised: [N, output_size] of root-centred poses [N, 17, C]."""
        return pose_rows.to_rows(poses, self.layout)

    def output_poses(self, answers: Any, layout: str = "") -> Any:
        """Poses [N, 17, C] of un-normalised answers [N, output_size]; the inverse of `output_rows`."""
        return pose_rows.from_rows(answers, self.output_coordinates, layout or self.layout)
