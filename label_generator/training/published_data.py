"""Poses of TFRecords as the published recipe trains on them: whole poses, root-centred, as normalised rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from label_generator.networks import linear_model, network_files, normalization
from label_generator.networks.normalization import Statistics
from label_generator.stages import left2right, pose_rows, published
from tfrecords import reader
from tools.cli.errors import InputError

_PREDICTED_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class PublishedPoses:
    """Root-centred poses of N records.

    Attributes:
      left: [N, 17, 2] px.
      right: [N, 17, 2] px, the true right view; None where the stage does without.
      pose_3d: [N, 17, 3] mm; None likewise.
      actions: [N] texts; None where they were not asked for.
      left_out: records that lack a joint and so cannot be used.
    """

    left: np.ndarray
    right: np.ndarray | None
    pose_3d: np.ndarray | None
    actions: np.ndarray | None
    left_out: int

    def __len__(self) -> int:
        return len(self.left)

    @property
    def named_actions(self) -> np.ndarray:
        """[N] texts; they must have been asked for."""
        assert self.actions is not None, "the actions were not read"
        return self.actions

    def field(self, name: str) -> np.ndarray:
        """The poses of a field of the records: 'pose_2d' (left), 'right_2d' or 'pose_3d'."""
        poses = {"pose_2d": self.left, "right_2d": self.right, "pose_3d": self.pose_3d}[name]
        assert poses is not None, f"{name} was not read"
        return poses


def load_poses(where: str, stage: str, flag: str, actions: bool = False, needs_right: bool = True) -> PublishedPoses:
    """The poses of all records that have every joint that the stage needs.

    Args:
      where: folder, manifest or glob of TFRecords.
      flag: the flag that named them, for messages.
      actions: load the actions' names too.
      needs_right: False: the stage does without true right views.

    Raises:
      InputError: no records, or none with all joints.
    """
    fields = [field for field in published.STAGES[stage].fields if needs_right or field != "right_2d"]
    arrays = reader.load_arrays(where, [*fields, *(["action"] if actions else [])])
    whole = np.ones(len(arrays["pose_2d"]), bool)
    for field in fields:
        complete = np.isfinite(arrays[field]).all((1, 2))
        if not complete.any():
            raise InputError(f"--{flag}={where}: no record has a whole {field}, which stage {stage} needs")
        whole &= complete
    if not whole.any():
        raise InputError(f"--{flag}={where}: no record has all of {', '.join(fields)}")
    left_out = int(np.count_nonzero(~whole))
    if left_out:
        arrays = {field: values[whole] for field, values in arrays.items()}
    centred = {field: pose_rows.root_centred(arrays[field]) for field in fields}
    return PublishedPoses(
        centred["pose_2d"], centred.get("right_2d"), centred.get("pose_3d"), arrays.get("action"), left_out
    )


def predict_right_views(network: network_files.Network, left: np.ndarray) -> np.ndarray:
    """The right views [N, 17, 2] px, root-centred, that a trained left2right network predicts of left views.

    Raises:
      InputError: the network is of another stage or recipe.
    """
    stage = left2right.STAGE
    if (network.stage, network.recipe) != (stage.name, "published"):
        raise InputError(
            f"--left2right={network.directory}: a {network.recipe} network of stage {network.stage}, "
            f"expected a published one of stage {stage.name}"
        )
    source, target = network.statistics["input"], network.statistics["output"]
    config = linear_model.LinearModelConfig(**network.config)
    run = linear_model.folded(config, network.variables, source, target)
    rows = stage.input_rows(left, layout=source.layout)
    predicted = np.empty_like(rows)
    for start in range(0, len(rows), _PREDICTED_AT_ONCE):
        part = slice(start, start + _PREDICTED_AT_ONCE)
        predicted[part] = run(tf.constant(rows[part])).numpy()
    return pose_rows.root_centred(stage.output_poses(predicted, target.layout))


def statistics_of(stage: str, inputs: np.ndarray, outputs: np.ndarray) -> dict[str, Statistics]:
    """The normalisation statistics of a stage's rows, by 'input' and 'output'."""
    layout = published.STAGES[stage].layout
    return {
        "input": normalization.statistics_of(inputs, layout, centred=True),
        "output": normalization.statistics_of(outputs, layout, centred=True),
    }


def column_weights(stage: str, counted_joints: np.ndarray) -> np.ndarray:
    """[D] float32 weights of the output's columns in the loss: 0 for joints left out, mean 1.

    Args:
      counted_joints: [17] bool.
    """
    described = published.STAGES[stage]
    per_joint = np.repeat(np.asarray(counted_joints, np.float32)[:, None], described.output_coordinates, axis=1)
    columns = described.output_rows(per_joint[None])[0]
    return columns / columns.mean()
