"""Training the published networks: mean squared error of normalised rows, evaluated in pixels and millimetres."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from label_generator.networks import linear_model, network_files, normalization
from label_generator.networks.linear_model import LinearModelConfig
from label_generator.stages import published
from label_generator.training import published_data
from label_generator.training.published_data import PublishedPoses, TrainingRows
from tfrecords import reader
from tools.pose import metric_tables, metrics
from tools.pose.joints import POSE17
from tools.training.division import ALL, Division, Rows

# What --predict_14 leaves out of loss and figures: the joints that LSP does not label (docs/joints.md). The flag comes
# from 3d-pose-baseline, which leaves out three joints of its own.
NOT_IN_14 = ("Neck/Nose", "Spine", "Hip")
_EVALUATED_AT_ONCE = 1024
_PICTURED = 6


@dataclasses.dataclass(frozen=True)
class PublishedSetup:
    """What decides a published training beside its data.

    Attributes:
      config: the network.
      stage: of `stages.published`.
      batch_size, learning_rate, seed: as the flags.
      predict_14: leave `NOT_IN_14` out of loss and figures.
      statistics: 'train' or 'test', how test data is normalised (`normalization.normalizers`).
    """

    config: LinearModelConfig
    stage: str
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0
    predict_14: bool = False
    statistics: str = "train"


class PublishedTraining:
    """The parts of a published training; `make_model` builds the network, under the caller's strategy."""

    def __init__(
        self,
        setup: PublishedSetup,
        train: TrainingRows,
        test: PublishedPoses,
        rights: Mapping[str, np.ndarray | None] | None = None,
    ):
        """
        Args:
          train: rows of the training poses. test: the poses that are evaluated.
          rights: for pose3d, which right views of the test poses are evaluated, [N, 17, 2] px by name; figures of those
            with a name have it in theirs. None: their own.
        """
        stage = published.stage_named(setup.stage)
        self._setup, self._stage, self._train, self._test = setup, stage, train, test
        self.train_poses, self.test_poses, self.left_out = len(train), len(test), train.left_out + test.left_out
        self.is_on_disk = train.is_on_disk
        self._counted = np.ones(POSE17.size, bool)
        if setup.predict_14:
            self._counted[[POSE17.index(name) for name in NOT_IN_14]] = False
        self.statistics = train.statistics
        self._truth = test.field(stage.output)
        rows = {name: self._input_rows(test.left, right) for name, right in (rights or {"": test.right}).items()}
        truth_rows = stage.output_rows(self._truth)
        self._normalizers = {name: self._normalizers_of(values, truth_rows) for name, values in rows.items()}
        self._rows = {name: self._normalizers[name].input.normalize(values) for name, values in rows.items()}
        self._twin = linear_model.build(setup.config)
        self._predict = tf.function(lambda x: self._twin(x, training=False), reduce_retracing=True)

    def _input_rows(self, left: np.ndarray, right: np.ndarray | None) -> np.ndarray:
        return self._stage.input_rows(left, right) if self._stage.reads_right_view else self._stage.input_rows(left)

    def _normalizers_of(self, inputs: np.ndarray, outputs: np.ndarray) -> normalization.Normalizers:
        mode, train = self._setup.statistics, self.statistics
        test = published_data.statistics_of(self._stage.name, inputs, outputs) if mode == "test" else {}
        return normalization.normalizers(mode, train["input"], train["output"], test.get("input"), test.get("output"))

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training poses; the remainder is dropped, as released."""
        return reader.steps_per_epoch(len(self._train), self._setup.batch_size, drop_remainder=True)

    def make_batches(self, start_step: int) -> tf.data.Dataset:
        """Endless normalised batches (inputs [B, in], outputs [B, out]); their order is a function of seed and step."""
        return self._train.batches(self._setup.batch_size, self._setup.seed, start_step)

    def make_model(self, replicas: int = 1, jit_compile: bool = False, steps_per_execution: int = 1) -> tf.keras.Model:
        """The compiled network; to be called in the strategy's scope.

        Args:
          replicas: of the strategy; batch norm is synchronised where there are several.
        """
        model = linear_model.build(self._setup.config, synchronized=replicas > 1)
        columns = tf.constant(published_data.column_weights(self._stage.name, self._counted))

        def squared_error(truth: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.square(predicted - truth) * columns, -1)

        model.compile(
            optimizer=linear_model.adam(self._setup.learning_rate),
            loss=squared_error,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        return model

    def take_weights(self, model: tf.keras.Model) -> None:
        """Copies the trained network's weights, which figures, pictures and `export` are of. Every worker must call it
        together, since reading batch norm's averages is a collective operation."""
        for copy, trained in zip(self._twin.weights, model.weights):
            copy.assign(trained.numpy())

    def predicted(self, name: str, rows: Rows = ALL) -> np.ndarray:
        """Predicted test poses [n, 17, 2] px or [n, 17, 3] mm, root-centred, from the inputs of that name."""
        inputs = self._rows[name][rows]
        parts = [
            self._predict(tf.constant(inputs[start : start + _EVALUATED_AT_ONCE])).numpy()
            for start in range(0, len(inputs), _EVALUATED_AT_ONCE)
        ]
        return self._stage.output_poses(self._normalizers[name].back.unnormalize(np.concatenate(parts)))

    def _compared_truth(self, name: str) -> np.ndarray:
        if self._setup.statistics == "train":
            return self._truth
        # The release's own comparison: truth through the test set's statistics and back through training's.
        normal = self._normalizers[name]
        rows = normal.truth.normalize(self._stage.output_rows(self._truth))
        return self._stage.output_poses(normal.back.unnormalize(rows))

    def errors(self, name: str, rows: Rows = ALL) -> dict[str, np.ndarray]:
        """Errors [n] of the test poses by metric, from the inputs of that name."""
        predicted, truth = self.predicted(name, rows), self._compared_truth(name)[rows]
        mask = np.broadcast_to(self._counted, truth.shape[:-1])
        return self._stage.errors(predicted, truth, mask, self._truth[rows])

    def figures(self, division: Division | None = None) -> dict[str, float]:
        """Mean errors over the whole test set, by the names under which TensorBoard shows them.

        division: of the test set among workers, all of which call this together; None: this process measures all.
        """
        figures, division = {}, division or Division()
        for name in self._rows:
            measure = functools.partial(self.errors, name)
            for metric, errors in division.measured(measure, self.test_poses, _EVALUATED_AT_ONCE).items():
                figures[f"val_{metric}_{name}" if name else f"val_{metric}"] = metrics.mean_error(errors).mean
        return figures

    def table(self) -> str:
        """The errors by action."""
        columns = {
            f"{metric}, {name} right view" if name else metric: errors
            for name in self._rows
            for metric, errors in self.errors(name).items()
        }
        return metric_tables.action_table(columns, self._test.named_actions).render()

    def draw(self, epoch: int) -> dict[str, Any]:
        """Pictures of some test poses, predicted over the truth in grey, and the errors of all."""
        from tools.drawing import drawing, figures, meshes, plots, sheets

        chosen = np.unique(np.linspace(0, len(self._truth) - 1, _PICTURED).astype(int))
        name = next(iter(self._rows))
        predicted, truth = self.predicted(name, chosen), self._truth[chosen]
        size = (320, 320)
        draw = drawing.pose_canvas if self._stage.output_coordinates == 2 else figures.figure_3d
        panels = [draw(p, size=size, ghost=t) for p, t in zip(predicted, truth)]
        errors = metrics.mpjpe(predicted, truth)
        captions = [f"test pose {number}: {error:.1f} {self._stage.unit}" for number, error in zip(chosen, errors)]
        shown: dict[str, Any] = {f"{self._stage.name}, truth in grey": sheets.contact_sheet(panels, 3, captions)}
        solid = self._stage.output_coordinates == 3
        if solid:
            shown["3D skeletons, truth in grey"] = meshes.skeletons(predicted, truth)
        others = self._counted & (np.arange(POSE17.size) != POSE17.root)  # the root is where it is by definition
        distances = np.linalg.norm(self.predicted(name) - self._truth, axis=-1)[:, others]
        thresholds = np.linspace(0, 150 if solid else 20, 61)
        unit = self._stage.unit
        curve = plots.shares_within(
            thresholds, {"all joints but the root": distances}, "PCK of the test set", f"distance ({unit})"
        )
        return {**shown, **({} if curve is None else {"PCK over its threshold": curve})}

    def export(self, directory: str, facts: Mapping) -> None:
        """Writes the weights folder of the weights that were taken last."""
        config = self._setup.config
        variables = {n: v.numpy() for n, v in linear_model.released_variables(self._twin, config).items()}
        network_files.save_network(
            directory,
            self._stage.name,
            "published",
            dataclasses.asdict(config),
            variables,
            self.statistics,
            facts,
        )
