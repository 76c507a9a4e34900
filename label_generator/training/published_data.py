"""Poses of TFRecords as the published recipe trains on them: whole poses, root-centred, as normalised rows.

Training poses are read in blocks (`pose_blocks`) and become the rows of a `TrainingRows`, which lie in memory or, when
they are many, in a temporary file; statistics and batches are the same either way. Test poses are held in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from label_generator.networks import linear_model, network_files, normalization
from label_generator.networks.normalization import Statistics
from label_generator.stages import left2right, pose_rows, published
from tfrecords import reader
from tools.cli.errors import InputError
from tools.files.row_store import RowStore

_PREDICTED_AT_ONCE = 4096
_BLOCK = 16 * _PREDICTED_AT_ONCE  # poses that become rows at once


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
    fields = _fields(stage, needs_right)
    arrays = reader.load_arrays(where, [*fields, *(["action"] if actions else [])])
    found = _Whole(where, fields, stage, flag)
    whole = found.among(arrays)
    found.check()
    if found.left_out:
        arrays = {field: values[whole] for field, values in arrays.items()}
    return _centred(fields, arrays, found.left_out)


def pose_blocks(where: str, stage: str, flag: str, needs_right: bool = True) -> Iterator[PublishedPoses]:
    """The same poses without their actions, in blocks of equal length but for the last.

    Raises:
      InputError: as `load_poses`, and for a damaged record once it is reached.
    """
    fields = _fields(stage, needs_right)
    found = _Whole(where, fields, stage, flag)
    parts: list[dict[str, np.ndarray]] = []
    waiting = counted = 0
    for batch in reader.array_batches(where, fields):
        whole = found.among(batch)
        parts.append({field: batch[field][whole] for field in fields})
        waiting += int(np.count_nonzero(whole))
        if waiting >= _BLOCK:
            joined = {field: np.concatenate([part[field] for part in parts]) for field in fields}
            yield _centred(fields, {field: v[:_BLOCK] for field, v in joined.items()}, found.left_out - counted)
            parts, waiting, counted = (
                [{field: v[_BLOCK:] for field, v in joined.items()}],
                waiting - _BLOCK,
                found.left_out,
            )
    found.check()
    joined = {field: np.concatenate([part[field] for part in parts]) for field in fields}
    yield _centred(fields, joined, found.left_out - counted)


def _fields(stage: str, needs_right: bool) -> list[str]:
    return [field for field in published.STAGES[stage].fields if needs_right or field != "right_2d"]


def _centred(fields: list[str], arrays: dict[str, np.ndarray], left_out: int) -> PublishedPoses:
    centred = {field: pose_rows.root_centred(arrays[field]) for field in fields}
    return PublishedPoses(
        centred["pose_2d"], centred.get("right_2d"), centred.get("pose_3d"), arrays.get("action"), left_out
    )


class _Whole:
    """Which records have every joint, and what is wrong when none has."""

    def __init__(self, where: str, fields: list[str], stage: str, flag: str):
        self._where, self._fields, self._stage, self._flag = where, fields, stage, flag
        self._complete = dict.fromkeys(fields, 0)
        self._whole = self.left_out = 0

    def among(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """[n] bool of these records."""
        whole = np.ones(len(arrays["pose_2d"]), bool)
        for field in self._fields:
            complete = np.isfinite(arrays[field]).all((1, 2))
            self._complete[field] += int(np.count_nonzero(complete))
            whole &= complete
        self._whole += int(np.count_nonzero(whole))
        self.left_out += int(np.count_nonzero(~whole))
        return whole

    def check(self) -> None:
        """Raises `InputError` when no record was whole."""
        for field, count in self._complete.items():
            if not count:
                raise InputError(
                    f"--{self._flag}={self._where}: no record has a whole {field}, which stage {self._stage} needs"
                )
        if not self._whole:
            raise InputError(f"--{self._flag}={self._where}: no record has all of {', '.join(self._fields)}")


class TrainingRows:
    """What a stage reads and answers for N training poses, and the normalised batches that are made of it.

    Attributes:
      statistics: of the rows, by 'input' and 'output'.
      left_out: records that lack a joint.
    """

    def __init__(
        self,
        stage: str,
        blocks: Iterable[PublishedPoses],
        capacity: int,
        memory_bytes: int,
        right_of: Callable[[PublishedPoses], np.ndarray | None] = lambda poses: poses.right,
    ):
        """
        Args:
          blocks: the poses; all of the same length but the last. capacity: no fewer than there are of them.
          memory_bytes: what the rows may take; more of them lie in a temporary file (`RowStore`).
          right_of: which right views are read, [n, 17, 2] px; None for a stage without.
        """
        described = published.STAGES[stage]
        self._inputs = described.input_size
        self._store = RowStore(described.input_size + described.output_size, capacity, memory_bytes)
        self.left_out = 0
        for poses in blocks:
            views = (poses.left, right_of(poses)) if described.reads_right_view else (poses.left,)
            inputs, outputs = described.input_rows(*views), described.output_rows(poses.field(described.output))
            self._store.append(np.concatenate([inputs, outputs], axis=1))
            self.left_out += poses.left_out
        self.statistics = self._statistics(described.layout)
        if not self.is_on_disk:  # once, and in place: they are what takes the memory
            for rows, normal in zip(self._parts(self._store.array), self._normalized(self._store.array)):
                rows[:] = normal

    @classmethod
    def of_records(
        cls,
        where: str,
        stage: str,
        memory_bytes: int,
        right_of: Callable[[PublishedPoses], np.ndarray | None] | None = None,
    ) -> TrainingRows:
        """The rows of the training records; `right_of` takes the place of their own right views.

        Raises:
          InputError: as `load_poses`, or there is no room for the temporary file.
        """
        blocks = pose_blocks(where, stage, "train_data", needs_right=right_of is None)
        others = {} if right_of is None else {"right_of": right_of}
        return cls(stage, blocks, len(reader.find(where)), memory_bytes, **others)

    @classmethod
    def of_poses(cls, stage: str, poses: PublishedPoses, right: np.ndarray | None = None) -> TrainingRows:
        """The rows of poses at hand, in memory. right: takes the place of their own right views."""
        size = 4 * len(poses) * (published.STAGES[stage].input_size + published.STAGES[stage].output_size)
        return cls(stage, [poses], len(poses), size, lambda own: own.right if right is None else right)

    def __len__(self) -> int:
        return len(self._store)

    @property
    def is_on_disk(self) -> bool:
        """Whether the rows lie in a temporary file."""
        return self._store.is_on_disk

    def _statistics(self, layout: str) -> dict[str, Statistics]:
        gathered = [normalization.Accumulator(layout, centred=True) for _ in range(2)]
        for block in self._store.blocks(_BLOCK):
            for accumulator, rows in zip(gathered, self._parts(block)):
                accumulator.update(rows)
        return {name: accumulator.result() for name, accumulator in zip(("input", "output"), gathered)}

    def _parts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rows[:, : self._inputs], rows[:, self._inputs :]

    def _normalized(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs, outputs = self._parts(rows)
        return self.statistics["input"].normalize(inputs), self.statistics["output"].normalize(outputs)

    def batches(self, batch_size: int, seed: int, start_step: int) -> tf.data.Dataset:
        """Endless normalised batches (inputs [B, in], outputs [B, out]) from a step on, an epoch each a permutation of
        all rows without the remainder; their order is a function of seed and step."""
        options: dict[str, Any] = {
            "shuffle_seed": seed,
            "start_step": start_step,
            "epochs": None,
            "drop_remainder": True,
        }
        if not self.is_on_disk:
            inputs, outputs = self._parts(self._store.array)
            data = reader.from_arrays({"inputs": inputs, "outputs": outputs}, batch_size, **options)
            return data.map(lambda batch: (batch["inputs"], batch["outputs"]))
        widths = self._inputs, self._store.width - self._inputs

        def take(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            made = tf.numpy_function(
                lambda chosen: self._normalized(self._store.take(chosen)), [numbers], [tf.float32] * 2, stateful=False
            )
            inputs, outputs = (tf.ensure_shape(part, [batch_size, width]) for part, width in zip(made, widths))
            return inputs, outputs

        numbers = reader.row_numbers(len(self), batch_size, **options)
        return numbers.map(take, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


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
