"""The label generator: 2D poses in pixels in, 3D labels in millimetres with their quality out.

`Lifter` holds both networks (`chains`), the camera rules, the geometric search, the refinement of bones and the label
quality. Generation, evaluation, the published report, the demo, benchmarks and the SavedModel call `Lifter.lift`.
"""

from __future__ import annotations

import functools
import os
import pathlib
from typing import Any, NamedTuple

import tensorflow as tf

from label_generator.lifting import canonical_view, chains, measurements, quality
from label_generator.lifting.bone_refinement import refine_bones
from label_generator.lifting.geometric_search import SearchResult, geometric_search, next_power_of_two
from label_generator.lifting.joint_weights import joint_weights
from label_generator.lifting.settings import RECIPE_SETTINGS, LifterSettings, used_networks
from label_generator.lifting.views import ROOT, Coarse, SearchView
from label_generator.networks import network_files
from tools.cli.errors import InputError
from tools.pose import bounds
from tools.pose.joints import POSE17

CALIBRATION = "quality.json"
SHIPPED = network_files.SHIPPED


class Lifted(NamedTuple):
    """Labels of B poses. Poses without a label have NaN everywhere and a reason.

    pose_3d: [B, 17, 3] mm, relative to the root, axes of the user's camera: after the search and the refinement.
    root_3d: [B, 3] mm, where the root is in the user's camera; nominal where the intrinsics were unknown.
    coarse_3d: [B, 17, 3] mm, before the search.
    right_2d: [B, 17, 2] predicted right view relative to its root, in the units of the search's camera.
    left_2d: [B, 17, 2] the left view in the same units, relative to its root, to compare the right view with.
    cost: [B] of the search, at its minimum.
    at_range_end: [B] bool, the depth is the first or last of the range.
    residual_mm: [B] mean distance between the coarse joints and their rays at that depth.
    expected_error_mm: [B] mean joint error to be expected. quality: [B] the same in (0, 1].
    joint_quality: [B, 17] quality by joint.
    nominal: [B] bool, the intrinsics were unknown, so the absolute depth means nothing.
    reason: [B] int32 index into `REASONS`; 0 where there is a label.
    signals: [B, len(quality.SIGNALS)] what the quality is made of.
    """

    pose_3d: tf.Tensor
    root_3d: tf.Tensor
    coarse_3d: tf.Tensor
    right_2d: tf.Tensor
    left_2d: tf.Tensor
    cost: tf.Tensor
    at_range_end: tf.Tensor
    residual_mm: tf.Tensor
    expected_error_mm: tf.Tensor
    quality: tf.Tensor
    joint_quality: tf.Tensor
    nominal: tf.Tensor
    reason: tf.Tensor
    signals: tf.Tensor


class _InputView(NamedTuple):
    """The view of B poses, which joints are labelled [B, 17], and of which poses [B] the intrinsics are known, the
    intrinsics are unusable, the joints lie within 2 px, and a joint lies too far away (`tools.pose.bounds`)."""

    view: SearchView
    labelled: tf.Tensor
    known: tf.Tensor
    camera_bad: tf.Tensor
    on_one_spot: tf.Tensor
    too_far: tf.Tensor


class Lifter(tf.Module):
    """Both networks, their statistics, the camera rules, the search and the quality."""

    def __init__(
        self,
        networks: dict[str, network_files.Network],
        settings: LifterSettings | None = None,
        calibration: quality.Calibration | None = None,
        compute_dtype: tf.DType = tf.float32,
        portable: bool = False,
    ):
        """networks: by stage, left2right and pose3d or direct. settings: None for what their recipe is run with.
        portable: only operations that TFLite and ONNX have (`portable`)."""
        super().__init__()
        self.chain = chains.chain_of(networks, compute_dtype)
        used = used_networks(networks)
        self.stages = tuple(network.stage for network in used)
        self.recipe = used[0].recipe
        self.settings = settings or RECIPE_SETTINGS[self.recipe]
        self.calibration = calibration or quality.UNCALIBRATED
        self.portable = portable
        self.name_of_weights = "+".join(sorted({network.facts.get("name", network.stage) for network in used}))
        # Many small steps on small tensors: XLA makes one of them, anew for every batch size (see `_lifted`).
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        self._input_view, self._average, self._finish = map(
            compiled, (self._to_search_camera, _averaged, self._finished)
        )
        # One pose is all overhead: the whole chain compiled takes half the time that its steps do. The published
        # networks are quicker once for each image then, see `PrenormInference.of_few` for the others.
        self._lift_one = compiled(functools.partial(self._lift_filled, together=self.recipe != "published"))
        self._lift = tf.function(self._lifted, autograph=False, reduce_retracing=True)

    def lift(self, poses_2d: Any, intrinsics: Any, joint_mask: Any = None, right_2d: Any = None) -> Lifted:
        """Lifts 2D poses.

        Args:
          poses_2d: [B, 17, 2] px, x right, y down, without lens distortion. NaN where missing; the published recipe
            needs made joints there.
          intrinsics: [B, 4] or [4] fx, fy, cx, cy in px; NaN where unknown.
          joint_mask: [B, 17] bool, True for labelled joints, False for made or missing ones. None: those not NaN.
          right_2d: [B, 17, 2] the true right view in px of the assumed camera, which replaces the predicted one
            (published recipe only).

        Returns:
          `Lifted`.

        Raises:
          InputError: shapes that are not these, or a true right view where the mirror image is looked at too.
        """
        poses_2d = tf.convert_to_tensor(poses_2d, tf.float32)
        if not poses_2d.shape.is_compatible_with([None, POSE17.size, 2]):
            raise InputError(f"poses to lift are [B, {POSE17.size}, 2] px, not {poses_2d.shape}")
        intrinsics = tf.convert_to_tensor(intrinsics, tf.float32)
        if not intrinsics.shape.is_compatible_with([4]) and not intrinsics.shape.is_compatible_with([None, 4]):
            raise InputError(f"intrinsics are [4] or [B, 4], not {intrinsics.shape}")
        if right_2d is not None:
            if self.settings.flip:
                raise InputError("a true right view can't be mirrored (it would be a left one): turn flip off")
            right_2d = tf.convert_to_tensor(right_2d, tf.float32)
        if joint_mask is not None:
            joint_mask = tf.cast(joint_mask, tf.bool)
        lift = self._lift_one if poses_2d.shape[0] == 1 else self._lift
        return lift(poses_2d, intrinsics, joint_mask, right_2d)

    def _lifted(
        self,
        poses_2d: tf.Tensor,
        intrinsics: tf.Tensor,
        joint_mask: tf.Tensor | None = None,
        right_2d: tf.Tensor | None = None,
    ) -> Lifted:
        """Fills the batch up to one of few sizes, so that XLA compiles for few, and lifts it."""
        count = tf.shape(poses_2d)[0]
        inputs = [x for x in (*_complete(poses_2d, intrinsics, joint_mask), right_2d) if x is not None]
        filler = filled_size(count) - count
        filled = (tf.pad(x, [[0, filler]] + [[0, 0]] * (x.shape.rank - 1)) for x in inputs)
        return Lifted(*(value[:count] for value in self._lift_filled(*filled)))

    def _lift_filled(
        self,
        poses_2d: tf.Tensor,
        intrinsics: tf.Tensor,
        joint_mask: tf.Tensor | None,
        right_2d: tf.Tensor | None = None,
        together: bool = True,
    ) -> Lifted:
        settings = self.settings
        input_view = self._input_view(*_complete(poses_2d, intrinsics, joint_mask))
        view = input_view.view
        if settings.flip:
            chain = self.chain
            both = (
                chain.reconstruct_both(view) if together else (chain.reconstruct(view, mirror=m) for m in (False, True))
            )
            coarse, disagreement = self._average(*both)
        else:
            coarse = self.chain.reconstruct(view, right_2d)
            disagreement = tf.zeros_like(coarse.pose_3d[:, 0, 0])
        weights = view.weights
        if settings.weighted:
            weights = joint_weights(weights, coarse.ray_trust, coarse.joint_error_mm)
        search = geometric_search(
            coarse.pose_3d,
            view.points,
            view.intrinsics,
            weights,
            settings.min_depth_mm,
            settings.max_depth_mm,
            settings.step_mm,
            settings.objective,
            settings.method,
            settings.subgrid,
        )
        return self._finish(input_view, coarse, disagreement, search)

    def _to_search_camera(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> _InputView:
        known = tf.reduce_all(~tf.math.is_nan(intrinsics), -1)  # infinity is no unknown camera, but none that is usable
        camera_bad = known & ~_good_intrinsics(intrinsics)
        safe = tf.where((known & ~camera_bad)[:, None], intrinsics, float("nan"))
        there = joint_mask & tf.reduce_all(tf.math.is_finite(poses_2d), -1)
        labelled = there & tf.reduce_all(tf.abs(poses_2d) <= bounds.LARGEST_PX, -1)
        view = self.chain.to_search_camera(poses_2d, safe, labelled)
        low = tf.reduce_min(tf.where(labelled[..., None], poses_2d, float("inf")), 1)
        high = tf.reduce_max(tf.where(labelled[..., None], poses_2d, float("-inf")), 1)
        on_one_spot = tf.reduce_max(high - low, -1) <= bounds.SMALLEST_EXTENT_PX
        return _InputView(view, labelled, known, camera_bad, on_one_spot, tf.reduce_any(there & ~labelled, -1))

    def _finished(
        self, input_view: _InputView, coarse: Coarse, disagreement: tf.Tensor, search: SearchResult
    ) -> Lifted:
        settings, view = self.settings, input_view.view
        refined = search.poses_3d
        if settings.refinement == "trust":
            refined = coarse.pose_3d + coarse.ray_trust[..., None] * (refined - coarse.pose_3d)
        # Measured before the bones are made alike: their difference is a sign of the label's quality.
        measured = measurements.measure(
            view, coarse, search, refined, disagreement, input_view.labelled, input_view.known
        )
        expected = self.calibration.expected_error_mm(measured)
        if settings.symmetry:
            trust = coarse.ray_trust * view.weights if settings.refinement == "trust" else view.weights
            rays = (view.points - view.intrinsics[2:]) / view.intrinsics[:2]
            refined = refine_bones(refined, rays, trust, coarse.joint_error_mm, input_view.labelled)

        few = tf.reduce_sum(tf.cast(input_view.labelled, tf.int32), 1) < settings.min_joints
        reason = tf.where(search.valid, 0, 3)
        reason = tf.where(view.usable, reason, 2)
        reason = tf.where(few, 1, reason)
        reason = tf.where(input_view.on_one_spot & ~few, 5, reason)
        reason = tf.where(input_view.too_far, 6, reason)
        reason = tf.where(input_view.camera_bad, 4, reason)
        good = reason == 0

        def only_good(values: tf.Tensor, turn: bool = False) -> tf.Tensor:
            if turn:
                points = tf.reshape(values, [tf.shape(values)[0], -1, 3])
                back = tf.linalg.matrix_transpose(view.rotation)
                values = tf.reshape(canonical_view.rotated(back, points), tf.shape(values))
            keep = tf.reshape(good, tf.concat([tf.shape(good), tf.ones([tf.rank(values) - 1], tf.int32)], 0))
            return tf.where(keep, values, float("nan"))

        return Lifted(
            pose_3d=only_good(refined, turn=True),
            root_3d=only_good(search.root_mm, turn=True),
            coarse_3d=only_good(coarse.pose_3d, turn=True),
            right_2d=only_good(coarse.right_2d),
            left_2d=only_good(view.points - view.points[:, ROOT, None]),
            cost=only_good(search.cost),
            at_range_end=search.at_range_end & good,
            residual_mm=only_good(measured.residual_mm),
            expected_error_mm=only_good(expected),
            quality=only_good(quality.quality(expected)),
            joint_quality=only_good(quality.quality(measurements.by_joint(expected, view, coarse, search))),
            nominal=~input_view.known,
            reason=reason,
            signals=only_good(quality.signals(measured)),
        )

    def lift_one(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> Lifted:
        """As `lift`, for one pose and in plain TensorFlow, for those who trace it into a graph of their own.

        Args:
          poses_2d: [1, 17, 2]. intrinsics: [1, 4]. joint_mask: [1, 17] bool.
        """
        return self._lift_filled(poses_2d, intrinsics, joint_mask, together=False)

    def serving_function(self) -> tf.types.experimental.GenericFunction:
        """The chain as a concrete function of pixels and intrinsics, for a SavedModel.

        Inputs: poses_2d [B, 17, 2] px with NaN at missing joints; intrinsics [B, 4], NaN where unknown; joint_mask
        [B, 17] bool. Outputs: the fields of `Lifted` by name.
        """

        def serve(poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> dict[str, tf.Tensor]:
            arguments = poses_2d, intrinsics, joint_mask
            one = tf.equal(tf.shape(poses_2d)[0], 1)

            def lift_one() -> Lifted:
                # What is compiled knows that it is one. The slice keeps the graph optimiser from moving it out of here.
                return self._lift_one(*(tf.reshape(x[:1], [1, *x.shape[1:]]) for x in arguments))

            return tf.cond(one, lift_one, lambda: self._lifted(*arguments))._asdict()

        return tf.function(
            serve,
            input_signature=[
                tf.TensorSpec([None, POSE17.size, 2], tf.float32, "poses_2d"),
                tf.TensorSpec([None, 4], tf.float32, "intrinsics"),
                tf.TensorSpec([None, POSE17.size], tf.bool, "joint_mask"),
            ],
            autograph=False,
        )


# Batches are filled up to a power of two, and from here on to a multiple of this.
_LARGE = 4096


def _complete(
    poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The same with intrinsics for each pose and a mask; see `Lifter.lift`."""
    intrinsics = tf.broadcast_to(intrinsics, [tf.shape(poses_2d)[0], 4])
    if joint_mask is None:
        joint_mask = tf.reduce_all(tf.math.is_finite(poses_2d), -1)
    return poses_2d, intrinsics, joint_mask


def _good_intrinsics(intrinsics: tf.Tensor) -> tf.Tensor:
    """`bounds.good_intrinsics` of [B, 4] that are finite."""
    focal = intrinsics[:, :2]
    good = tf.reduce_all((focal >= bounds.FOCAL_PX[0]) & (focal <= bounds.FOCAL_PX[1]), -1)
    good &= tf.reduce_max(focal, -1) <= bounds.LARGEST_FOCAL_RATIO * tf.reduce_min(focal, -1)
    return good & tf.reduce_all(tf.abs(intrinsics[:, 2:]) <= bounds.LARGEST_PX, -1)


def filled_size(count: tf.Tensor) -> tf.Tensor:
    """How many poses a batch of `count` is filled up to: few sizes, and few poses beside those asked for."""
    small = next_power_of_two(tf.minimum(count, _LARGE))
    return tf.where(count > _LARGE, -(-count // _LARGE) * _LARGE, small)


def _averaged(straight: Coarse, mirror: Coarse) -> tuple[Coarse, tf.Tensor]:
    """The mean of what the networks say of a picture and of its mirror image, and [B] how far apart the poses are."""
    apart = tf.reduce_mean(tf.norm(straight.pose_3d - mirror.pose_3d, axis=-1), 1)
    mean = straight._replace(
        pose_3d=(straight.pose_3d + mirror.pose_3d) / 2.0,
        joint_error_mm=(straight.joint_error_mm + mirror.joint_error_mm) / 2.0,
        ray_trust=(straight.ray_trust + mirror.ray_trust) / 2.0,
    )
    return mean, apart


def load_lifter(
    directories: list[str | os.PathLike],
    settings: LifterSettings | None = None,
    compute_dtype: tf.DType = tf.float32,
    portable: bool = False,
) -> Lifter:
    """The lifter of the networks in these weights folders, with the calibration beside them if there is one.

    Raises:
      InputError: networks missing, damaged, or of different recipes.
    """
    networks = network_files.find_networks(directories)
    paths = [pathlib.Path(directory) / CALIBRATION for directory in directories]
    calibrations = [quality.load_calibration(path) for path in paths if path.exists()]
    return Lifter(networks, settings, calibrations[0] if calibrations else None, compute_dtype, portable)


def save_lifter(lifter: Lifter, directory: str | os.PathLike) -> None:
    """Exports the lifter as a SavedModel that needs nothing but TensorFlow; see `Lifter.serving_function`."""
    module = tf.Module()
    module.lifter = lifter
    module.lift = lifter.serving_function()
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.lift})
