"""The published chain: stereoscopic view synthesis, then 3D pose reconstruction (Wang et al. 2019).

Joints are seen through one assumed camera, root-centred and normalised: `left2right` predicts the right view,
`pose3d` the coarse 3D pose of both views, which the geometric search then refines. `direct` is the one-network rival.
"""

from __future__ import annotations

import inspect

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.lifting.views import ROOT, Coarse, SearchView, halves, unmirrored
from label_generator.networks import linear_model
from label_generator.networks.network_files import Network
from label_generator.stages import pose_rows, published
from tools.cli.errors import InputError
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics
from tools.pose.joints import POSE17


def build_published(network: Network) -> tuple[linear_model.LinearModelConfig, dict]:
    """The configuration of a published network and its variables by released names.

    Raises:
      InputError: the folder's configuration is not one.
    """
    known = inspect.signature(linear_model.LinearModelConfig).parameters
    unknown = set(network.config) - set(known)
    if unknown:
        raise InputError(f"{network.directory}: configuration has unknown {', '.join(sorted(unknown))}")
    try:
        config = linear_model.LinearModelConfig(**network.config)
    except TypeError as error:
        raise InputError(f"{network.directory}: configuration does not build a network ({error})") from error
    stage = published.STAGES[network.stage]
    if (config.input_size, config.output_size) != (stage.input_size, stage.output_size):
        raise InputError(
            f"{network.directory}: {stage.name} is {stage.input_size} -> {stage.output_size}, "
            f"not {config.input_size} -> {config.output_size}"
        )
    _check_shapes(network, config)
    return config, network.variables


def _check_shapes(network: Network, config: linear_model.LinearModelConfig) -> None:
    """Raises `InputError` when the variables are not those of the configuration."""
    shapes: dict[str, tuple[int, ...]] = {}
    for weight, bias, norm, inputs, outputs in config.layers():
        shapes |= {weight: (inputs, outputs), bias: (outputs,)}
        if config.batch_norm and norm is not None:
            shapes |= {f"{norm}/{part}": (outputs,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    shapes = {f"{linear_model.RELEASED_SCOPE}/{name}": shape for name, shape in shapes.items()}
    for name in sorted(set(shapes) ^ set(network.variables)):
        problem = "is missing" if name in shapes else "is not of this network"
        raise InputError(f"{network.directory}: variable {name} {problem}")
    for name, shape in shapes.items():
        if network.variables[name].shape != shape:
            raise InputError(
                f"{network.directory}: {name} is {list(network.variables[name].shape)}, expected {list(shape)}"
            )


class PublishedChain(tf.Module):
    """Runs the published networks, left2right and pose3d or direct alone, on pixels of one assumed camera."""

    def __init__(self, networks: dict[str, Network], compute_dtype: tf.DType):
        super().__init__()
        self._camera = tf.constant(SEARCH_INTRINSICS, tf.float32)
        # In the order in which they run.
        self._stages = tuple(stage for name, stage in published.STAGES.items() if name in networks)
        self._networks, self._layouts = {}, {}
        for stage in self._stages:
            network = networks[stage.name]
            config, variables = build_published(network)
            if not {"input", "output"} <= set(network.statistics):
                raise InputError(f"{network.directory}: has no normalisation statistics, which this recipe needs")
            for name, size in stage.sizes.items():
                columns = len(network.statistics[name].mean)
                if columns != size:
                    raise InputError(f"{network.directory}: {name} statistics have {columns} columns, expected {size}")
            self._layouts[stage.name] = {name: network.statistics[name].layout for name in stage.sizes}
            self._networks[stage.name] = linear_model.folded(
                config, variables, network.statistics["input"], network.statistics["output"], compute_dtype
            )

    def to_search_camera(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> SearchView:
        """The joints' rays projected by the assumed camera; or the joints scaled, where intrinsics are NaN.

        Args: see `lifter.Lifter.lift`. Joints that are not labelled must be made, or the pose gets no label.
        """
        known = tf.reduce_all(tf.math.is_finite(intrinsics), -1)
        finite = tf.reduce_all(tf.math.is_finite(poses_2d), -1)
        safe_2d = tf.where(finite[..., None], poses_2d, 0.0)
        camera = tf.where(known[:, None], intrinsics, 1.0)
        projected = change_intrinsics(safe_2d, camera[:, None], self._camera)
        # Unknown: the size that the assumed camera sees on average at the nominal distance, the root on its axis.
        weights = tf.cast(joint_mask & finite, tf.float32)
        count = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
        middle = tf.reduce_sum(safe_2d * weights[..., None], 1) / count[:, None]
        spread = tf.reduce_sum(tf.square(safe_2d - middle[:, None]) * weights[..., None], [1, 2]) / count
        nominal_px = canonical_view.BODY_MM / canonical_view.NOMINAL_MM * self._camera[0]
        scale = nominal_px * tf.math.rsqrt(tf.maximum(spread, 1e-6))
        moved = (safe_2d - safe_2d[:, ROOT, None]) * scale[:, None, None] + self._camera[2:]
        points = tf.where(known[:, None, None], projected, moved)
        return SearchView(
            points=points,
            intrinsics=self._camera,
            weights=tf.maximum(weights, tf.one_hot(ROOT, POSE17.size)),
            rotation=tf.eye(3, batch_shape=[tf.shape(poses_2d)[0]]),
            usable=tf.reduce_all(finite, 1),
            canonical=None,
        )

    def reconstruct(self, view: SearchView, right_2d: tf.Tensor | None = None, mirror: bool = False) -> Coarse:
        """Runs the networks.

        Args:
          right_2d: [B, 17, 2] the true right view in pixels of the assumed camera, instead of the predicted one.
          mirror: reconstruct the mirror image, and mirror the result back.
        """
        if not mirror:
            return self._reconstructed(view.points, right_2d)
        mirrored_right = None if right_2d is None else _mirrored_2d(right_2d)
        coarse = self._reconstructed(_mirrored_2d(view.points), mirrored_right)
        return unmirrored(coarse)._replace(right_2d=_mirrored_2d(coarse.right_2d))

    def reconstruct_both(self, view: SearchView) -> tuple[Coarse, Coarse]:
        """`reconstruct` of the picture and of its mirror image, in one run of the networks."""
        both = self._reconstructed(tf.concat([view.points, _mirrored_2d(view.points)], 0))
        straight, mirror = halves(both)
        return straight, unmirrored(mirror)._replace(right_2d=_mirrored_2d(mirror.right_2d))

    def _reconstructed(self, points: tf.Tensor, right_2d: tf.Tensor | None = None) -> Coarse:
        poses = {"pose_2d": pose_rows.root_centred(points)}
        if right_2d is not None and any(stage.reads_right_view for stage in self._stages):
            poses["right_2d"] = pose_rows.root_centred(right_2d)
        for stage in self._stages:
            if stage.output in poses:
                continue
            layouts = self._layouts[stage.name]
            rows = stage.input_rows(*(poses[field] for field in stage.inputs), layout=layouts["input"])
            answers = self._networks[stage.name](rows)
            poses[stage.output] = pose_rows.root_centred(stage.output_poses(answers, layouts["output"]))
        nothing = tf.fill(tf.shape(points), float("nan"))
        unknown = nothing[..., 0]
        return Coarse(poses["pose_3d"], poses.get("right_2d", nothing), unknown, tf.ones_like(unknown))


def _mirrored_2d(points: tf.Tensor) -> tf.Tensor:
    """Root-centred points or whole views [B, 17, 2] in a mirror at x = 0."""
    return tf.gather(points * [-1.0, 1.0], POSE17.mirror, axis=1)
