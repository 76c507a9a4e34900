"""Training the canonical recipe: virtual views in, losses in millimetres, an average of the weights out."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.lifting.canonical_view import CanonicalView
from label_generator.stages import names
from label_generator.training.recipe_settings import LossWeights
from tools.pose.joints import POSE17

ROOT = POSE17.root
_SCALE_MM = 100.0  # losses are of the order of one


def right_view_target(points: tf.Tensor, view: CanonicalView) -> tf.Tensor:
    """What the first network learns to predict.

    Args:
      points: [B, 17, 3] mm, joints in the turned camera.

    Returns:
      [B, 34] (x0 y0 x1 y1 ...): how far each joint moves relative to the root when the camera moves along -x by
      `BASELINE_SHARE` of the apparent distance; and its y without noise, relative to what was seen. Units: size * 0.12
      and size.
    """
    depth = points[..., 2]
    baseline = canonical_view.BASELINE_SHARE * canonical_view.BODY_MM / view.size
    disparity = baseline[:, None] * (1.0 / depth - 1.0 / depth[:, ROOT, None]) / view.size[:, None]
    exact = points[..., 1] / depth
    across = (exact - view.points[..., 1]) / view.size[:, None]
    across -= across[:, ROOT, None]
    return tf.reshape(tf.stack([disparity / canonical_view.DISPARITY_UNIT, across], -1), [-1, 2 * POSE17.size])


def squared_search(pose: tf.Tensor, view: CanonicalView) -> tuple[tf.Tensor, tf.Tensor]:
    """The geometric search with the squared objective and no grid, which training differentiates through.

    Args:
      pose: [B, 17, 3] mm, root-relative, in the turned camera.

    Returns:
      refined pose [B, 17, 3] mm, depth [B] mm. Masked joints keep their coarse x and y.
    """
    slope = view.points * view.joint_mask[..., None]
    offset = (view.points * pose[..., 2:] - pose[..., :2]) * view.joint_mask[..., None]
    depth = -tf.reduce_sum(slope * offset, [1, 2]) / tf.maximum(tf.reduce_sum(tf.square(slope), [1, 2]), 1e-6)
    depth = tf.clip_by_value(depth, 1000.0, 15000.0)
    across = view.points * (pose[..., 2:] + depth[:, None, None])
    across = tf.where(view.joint_mask[..., None] > 0, across, pose[..., :2])
    return tf.concat([across, pose[..., 2:]], -1), depth


def _lengths(vectors: tf.Tensor) -> tf.Tensor:
    """[..., 3] -> [...], with a gradient at zero, which the root's error always is."""
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), -1) + 1e-6)


def _weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The scalar mean of values by weights of the same shape; 0 without weights.

    On several replicas each divides by the weights of all, so that the mean over replicas is that of the whole batch.
    """
    total = tf.reduce_sum(weights)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, total) / context.num_replicas_in_sync
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)


class CanonicalTrainer(tf.keras.Model):
    """Trains one or both networks on batches of virtual views (`virtual_camera.draw_views`).

    'left2right' trains the first network alone. 'pose3d' trains the second on the first one's predictions, the first
    being left as it is. 'chain' trains both at once, each by its own loss. 'direct' trains the rival, one network from
    the left view to 3D.

    Attributes:
      draw: step -> batch; what is trained on are then numbers of steps. None: it is batches.
    """

    def __init__(
        self,
        stage: str,
        left2right: tf.keras.Model | None,
        pose3d: tf.keras.Model | None,
        loss_weights: LossWeights | None = None,
    ):
        """left2right, pose3d: Keras models, None where the stage has none."""
        super().__init__(name=stage)
        self.stage, self.left2right, self.pose3d = stage, left2right, pose3d
        self._loss_weights = loss_weights or LossWeights()
        self.draw: Callable[[tf.Tensor], dict[str, tf.Tensor]] | None = None
        if stage == names.POSE3D and left2right is not None:
            left2right.trainable = False
        self._means = {name: tf.keras.metrics.Mean(name=name) for name in self._figures()}

    def _figures(self) -> list[str]:
        right = ["right_view_loss"] if self.stage in (names.LEFT2RIGHT, names.CHAIN) else []
        return ["loss", *right] + (["coarse_mm", "refined_mm", "blended_mm"] if self.pose3d is not None else [])

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Keras resets these at the start of an epoch."""
        return list(self._means.values())

    def losses_of(self, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
        """'loss' and the figures that are shown beside it, each a scalar."""
        view = canonical_view.canonical_view(batch["rays"], batch["joint_mask"], batch["unknown"])
        points = canonical_view.rotated(view.rotation, batch["points"])
        weights, known = self._loss_weights, 1.0 - view.unknown
        inputs = canonical_view.network_inputs(view)
        figures, loss = {}, 0.0
        if self.left2right is not None:
            right = self.left2right(inputs, training=training)
            if "right_view_loss" in self._means:
                target = right_view_target(points, view)
                figures["right_view_loss"] = tf.reduce_mean(tf.abs(right - target))
                loss += weights.right_view * figures["right_view_loss"]
            inputs = tf.concat([inputs, tf.stop_gradient(right)], -1)
        if self.pose3d is not None:
            truth = points - points[:, ROOT, None]
            outputs = self.pose3d(inputs, training=training)
            coarse, distance = canonical_view.decode(outputs, view)
            errors = _lengths(coarse - truth)
            figures["coarse_mm"] = tf.reduce_mean(errors)
            loss += figures["coarse_mm"] / _SCALE_MM

            refined, _ = squared_search(coarse, view)
            exact = known * tf.cast(batch["noise"] == 0.0, tf.float32)
            mean_error = tf.minimum(tf.reduce_mean(_lengths(refined - truth), 1), 5.0 * _SCALE_MM)
            figures["refined_mm"] = _weighted_mean(mean_error, exact)
            loss += weights.refined * figures["refined_mm"] / _SCALE_MM

            fixed, rays = tf.stop_gradient(coarse), tf.stop_gradient(refined)
            blended = fixed + canonical_view.ray_trust(outputs)[..., None] * (rays - fixed)
            usable = known[:, None] * view.joint_mask
            missed = tf.minimum(_lengths(blended - truth), 5.0 * _SCALE_MM)
            figures["blended_mm"] = _weighted_mean(missed, usable)
            loss += weights.trust * figures["blended_mm"] / _SCALE_MM

            off = tf.abs(tf.math.log(distance / tf.maximum(points[:, ROOT, 2], 1.0)))
            loss += weights.distance * _weighted_mean(off, known)

            # The likelihood of exponentially distributed errors; the poses are left out of it by stop_gradient, so that
            # being sure of a bad pose never pays.
            log_error = canonical_view.log_expected_error(outputs)
            surprise = tf.stop_gradient(errors) / _SCALE_MM * tf.exp(-log_error) + log_error
            loss += weights.expected_error * tf.reduce_mean(surprise)
        figures["loss"] = loss
        return figures

    def train_step(self, batch: dict[str, tf.Tensor] | tf.Tensor) -> dict[str, tf.Tensor]:
        """Keras' hook: one step of the optimizer."""
        if self.draw is not None:
            batch = self.draw(batch)
        with tf.GradientTape() as tape:
            figures = self.losses_of(batch, training=True)
            # Gradients of the replicas are added up.
            loss = figures["loss"] / tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.get_scaled_loss(loss) if hasattr(self.optimizer, "get_scaled_loss") else loss
        gradients = tape.gradient(scaled, self.trainable_variables)
        if hasattr(self.optimizer, "get_unscaled_gradients"):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._update(figures)

    def test_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Keras' hook: the same figures without learning."""
        return self._update(self.losses_of(batch, training=False))

    def _update(self, figures: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for name, mean in self._means.items():
            mean.update_state(figures[name])
        return {name: mean.result() for name, mean in self._means.items()}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The right view [B, 34] or the 3D outputs [B, 86] of network inputs [B, 53]."""
        if self.left2right is not None:
            right = self.left2right(inputs)
            inputs = right if self.pose3d is None else tf.concat([inputs, right], -1)
        return inputs if self.pose3d is None else self.pose3d(inputs)
