"""The training of the baseline network: the Keras model whose step is trained, its optimisers, its evaluation."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from baseline_network.evaluation import pose_errors
from baseline_network.images import crop
from baseline_network.network import decoding, hourglass, kinds, landmark_encoder, network_files, targets
from baseline_network.training import cached_maps, grouped_variables, losses, rmsprop, training_data
from tfrecords import reader
from tools.training.division import Division, Rows

# Figures of `pose_errors` that are followed during training, and their names there.
_FOLLOWED = {
    "pckh": "pckh@0.5",
    "pck_crop": "pck_crop@0.05",
    "mpjpe_mm": "mpjpe_published",
    "mpjpe_sized_mm": "mpjpe_sized",
    "p_mpjpe_mm": "p_mpjpe",
    "pck_3d": "pck_3d@150",
}
_TEST_FIELDS = (*training_data.FIELDS, "root_3d", "intrinsics", "head_size")
_TEST_BATCH = 32
_PICTURED = 6


# Makes what `training_data.make_batches` yields of what is given to a training step.
Prepare = Optional[Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]]


class Trainer(tf.keras.Model):
    """Trains the network on batches of `training_data.make_batches`; the loss is the mean over the global batch."""

    def __init__(
        self,
        network: tf.keras.Model,
        weights: losses.Weights,
        batch_size: int,
        prepare: Prepare = None,
        grouped: bool = False,
        codes: cached_maps.Codes | None = None,
        sizes: hourglass.Sizes | None = None,
    ) -> None:
        """network: of `hourglass.build`. batch_size: of the global batch. prepare: run first in every training step.

        codes: batches are those of `cached_maps.KeptMaps`, and the network takes maps (`landmark_encoder.head_of`).
        sizes: of the network, where `network` is a part of one that does not tell.
        grouped: cast and move variables as a few vectors (`grouped_variables`), which is for one replica and
          `PublishedRMSprop` alone.
        """
        super().__init__(name="baseline")
        self.network, self._grouped = network, grouped
        self._weights, self._batch_size, self._prepare, self._codes = weights, batch_size, prepare, codes
        sizes = sizes or kinds.sizes_of(network)
        self._resolution, self._cells = sizes.resolution, isinstance(sizes, landmark_encoder.Sizes)
        names = ["loss", "heatmap_loss", "depth_loss"] + (["geometric_loss"] if weights.var_weight else [])
        self._means = {name: tf.keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Keras resets these at the start of an epoch."""
        return list(self._means.values())

    def losses_of(self, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
        """The parts of the loss, each [B]."""
        if self._codes is None:
            outputs = self.network(crop.to_network(batch["images"]), training=training)
        else:
            outputs = self.network([*self._codes.decode(batch["codes"]), batch["numbers"]], training=training)
        return losses.losses(
            outputs, batch, self._resolution, self._weights, batch["depth_weights"], probabilities=self._cells
        )

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Keras' hook: one step of the optimizer."""
        # Profiles and `tools/benchmark.py graphs` tell the parts of a step apart by these names.
        with tf.name_scope("prepare"):
            batch = batch if self._prepare is None else self._prepare(batch)
        parts = self._step_of_groups(batch) if self._grouped else self._step_of_variables(batch)
        with tf.name_scope("metrics"):
            for name, mean in self._means.items():
                mean.update_state(parts[name])
            return {name: mean.result() for name, mean in self._means.items()}

    def _step_of_variables(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Moves every variable by its own gradient; the parts of the loss, each [B]."""
        with tf.GradientTape() as tape:
            parts, scaled = self._scaled_loss(batch)
        with tf.name_scope("backward"):
            gradients = tape.gradient(scaled, self.trainable_variables)
        gradients = self._unscaled(gradients)
        with tf.name_scope("update"):
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return parts

    def _step_of_groups(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same of all variables at once."""
        with tf.init_scope():
            # Checkpoints hold the optimizer's variables in the order of the network's.
            self.optimizer.build(self.trainable_variables)
        with tf.name_scope("group"):
            groups = grouped_variables.NetworkGroups(self.network)
        with tf.GradientTape() as tape, groups.read_as_copies():
            tape.watch(groups.sources)
            parts, scaled = self._scaled_loss(batch)
        with tf.name_scope("backward"):
            gradients = tape.gradient(scaled, groups.sources)
        with tf.name_scope("group"):
            pairs = groups.flat_gradients(gradients)
        gradients = self._unscaled([gradient for gradient, _ in pairs])
        with tf.name_scope("update"):
            pairs = list(zip(gradients, (group for _, group in pairs)))
            self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        return parts

    def _scaled_loss(self, batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """(parts of the loss, what gradients are taken of)."""
        with tf.name_scope("forward"):
            parts = self.losses_of(batch, training=True)
            # Gradients of the replicas are added up, so each divides by the global batch's size.
            loss = tf.reduce_sum(parts["loss"]) / self._batch_size
            return parts, self.optimizer.get_scaled_loss(loss) if hasattr(self.optimizer, "get_scaled_loss") else loss

    def _unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.name_scope("unscale"):
            scaled = hasattr(self.optimizer, "get_unscaled_gradients")
            return self.optimizer.get_unscaled_gradients(gradients) if scaled else gradients

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The network's outputs for images [B, r, r, 3], BGR / 256."""
        return self.network(images)


class StepDrop(tf.keras.optimizers.schedules.LearningRateSchedule):
    """The rate, and a tenth of it from a step on (published: after 25 of 30 epochs)."""

    def __init__(self, rate: float, step: int):
        """step: 0 for never."""
        self._rate, self._step = rate, step

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate at a step."""
        if not self._step:
            return tf.constant(self._rate)
        return tf.where(tf.cast(step, tf.float32) < self._step, self._rate, self._rate / 10.0)

    def get_config(self) -> dict[str, Any]:
        """For Keras' serialisation."""
        return {"rate": self._rate, "step": self._step}


def make_optimizer(
    name: str, schedule: tf.keras.optimizers.schedules.LearningRateSchedule, precision: str
) -> tf.keras.optimizers.Optimizer:
    """'rmsprop' as published or 'adam', with loss scaling where the precision is mixed_float16."""
    # On GPUs Keras would compile the update of each of the 600 variables as a program of its own.
    kind = rmsprop.PublishedRMSprop if name == "rmsprop" else tf.keras.optimizers.Adam
    optimizer = kind(schedule, jit_compile=False)
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer


@dataclasses.dataclass
class TestSet:
    """Records that training is followed on; see `Evaluator`.

    Attributes:
      where: as `reader.find` takes it. limit: only the first so many, 0 for all. margin: of the crops. refine: how
        peaks are found, see `decoding.peaks`.
    """

    where: str
    limit: int
    margin: float
    refine: str = decoding.QUARTER


class Evaluator:
    """Runs a float32 copy of the network that is trained over test records."""

    def __init__(self, sizes: hourglass.Sizes, test: TestSet):
        self._test, self._sizes = test, sizes
        self.network = kinds.build(sizes, dtype="float32")
        self._setup = training_data.BatchOptions(sizes.resolution, test.margin)
        self._run = tf.function(self._predict, reduce_retracing=True)
        self._distances = np.zeros(0)  # of all test joints to the truth, in heads, as last measured

    def _predict(self, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        boxes = crop.person_boxes(record["box"], record["pose_2d"], record["image_size"])
        centres, sides = crop.box_squares(boxes, self._test.margin)
        transforms = crop.crop_transforms(centres, sides, self._sizes.resolution)
        images = crop.crop_files(record["image"], transforms, self._sizes.resolution)
        outputs = self.network(crop.to_network(images), training=False)
        heatmaps, depths = outputs["heatmaps"][:, -1], outputs["depths"]
        refine = self._test.refine
        poses = decoding.predictions_to_pose(heatmaps, depths, transforms, self._sizes.resolution, refine=refine)
        return {**poses, "crop_sides": sides}

    def take_weights(self, network: tf.keras.Model) -> None:
        """Copies the values of the network that is trained."""
        values = {name: variable.numpy() for name, variable in network_files.variables_of(network).items()}
        for name, variable in network_files.variables_of(self.network).items():
            variable.assign(values[name])

    def predict_test_set(
        self, limit: int = 0, share: Division | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[bytes]]:
        """(predictions, truth, records' pictures) of the first `limit` records, as `pose_errors` takes them.

        share: only this worker's batches of `_TEST_BATCH`.
        """
        batches = reader.dataset(self._test.where, _TEST_BATCH, _TEST_FIELDS)
        limit = limit or self._test.limit
        batches = batches.take(-(-limit // _TEST_BATCH)) if limit else batches
        batches = batches.shard(share.count, share.index) if share else batches
        predictions, truths = [], []
        pictures: list[bytes] = []
        with training_data.named_pictures([self._test.where]):
            for batch in batches:
                predictions.append({name: value.numpy() for name, value in self._run(batch).items()})
                truths.append(pose_errors.truth_of({name: value.numpy() for name, value in batch.items()}))
                if len(pictures) < _PICTURED:
                    pictures += batch["image"].numpy().tolist()
        predicted, truth = _joined(predictions), _joined(truths)
        truth["crop_sides"] = predicted.pop("crop_sides")
        if limit:
            limit = limit if share is None else len(share.rows(limit, _TEST_BATCH))
            predicted, truth = ({name: values[:limit] for name, values in some.items()} for some in (predicted, truth))
        return predicted, truth, pictures

    def figures(self, division: Division | None = None) -> dict[str, float]:
        """Figures of the test records by name, 'val_...': those of `pose_errors` that can be measured on them.

        division: of the records among workers, all of which call this together; None: this process measures all.
        """
        division = division or Division()

        def measure(rows: Rows) -> dict[str, np.ndarray]:
            predicted, truth, _ = self.predict_test_set(share=division if isinstance(rows, np.ndarray) else None)
            return pose_errors.errors(predicted, truth)

        count = len(reader.find(self._test.where))
        errors = division.measured(measure, min(count, self._test.limit or count), _TEST_BATCH)
        self._distances = errors["distance_heads"]
        figures = pose_errors.summary(errors, by_joint=False)
        return {f"val_{short}": figures[name] for short, name in _FOLLOWED.items() if name in figures}

    def draw(self, _: int) -> dict[str, Any]:
        """Some test pictures with the prediction, and the 3D beside the truth, for TensorBoard."""
        from tools.drawing import drawing, figures, meshes, plots, sheets

        predicted, truth, pictures = self.predict_test_set(_PICTURED)
        flat, solid = [], []
        for number, encoded in enumerate(itertools.islice(pictures, len(predicted["points"]))):
            image = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()[..., ::-1]
            points, joint_mask = truth["points"][number], truth["joint_mask_2d"][number]
            flat.append(drawing.draw_skeleton_2d(image, points, targets.MPII16, joint_mask=joint_mask))
            flat.append(drawing.draw_skeleton_2d(image, predicted["points"][number], targets.MPII16))
            ghost = truth["pose_3d"][number] if truth["joint_mask_3d"][number].all() else None
            ghost = ghost if ghost is None else ghost - ghost[targets.PELVIS]
            pose = predicted["pose_3d"][number]
            solid.append(figures.figure_3d(pose, joint_set=targets.MPII16, ghost=ghost, size=(320, 320)))
        whole = truth["joint_mask_3d"].all(1)[:, None, None]
        true_poses = np.where(whole, truth["pose_3d"] - truth["pose_3d"][:, targets.PELVIS, None], np.nan)
        shown: dict[str, Any] = {
            "2D, truth then prediction": sheets.contact_sheet(flat, 4),
            "3D, truth in grey": sheets.contact_sheet(solid, 3),
            "3D skeletons, truth in grey": meshes.skeletons(predicted["pose_3d"], true_poses, targets.MPII16),
        }
        heads = {"all joints": self._distances}
        curve = plots.shares_within(np.linspace(0, 1, 51), heads, "PCKh of the test set", "distance (heads)")
        return {**shown, **({} if curve is None else {"PCKh over its threshold": curve})}


def _joined(parts: list[dict]) -> dict:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
