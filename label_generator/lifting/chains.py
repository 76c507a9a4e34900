"""From 2D poses to coarse 3D poses: the two subnetworks, in the published recipe and in the canonical one.

Both classes have the same three steps, which `lifter` takes: `see` brings a picture's joints into the view that the
networks know, `reconstruct` runs the networks, and what comes out is what the geometric search needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.lifting.canonical_view import CanonicalView
from label_generator.networks import linear_model, network_files, normalization, prenorm_model
from label_generator.networks.network_files import Network
from tools.cli.errors import InputError
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics
from tools.pose.joints import POSE17

ROOT = POSE17.root
RIGHT_BASELINE_MM = 500.0


class View(NamedTuple):
    """Joints as the networks and the search see them, for B poses.

    Attributes:
      points: [B, 17, 2] joints in the search's camera; finite.
      intrinsics: [4] of the search's camera.
      weights: [B, 17] 1 for joints that take part in the search, 0 for others; the root always does.
      rotation: [B, 3, 3] from the user's camera to the search's.
      usable: [B] bool, the networks have what they need.
      canonical: the view of the canonical recipe, None otherwise.
    """

    points: tf.Tensor
    intrinsics: tf.Tensor
    weights: tf.Tensor
    rotation: tf.Tensor
    usable: tf.Tensor
    canonical: CanonicalView | None


class Coarse(NamedTuple):
    """What the networks say, for B poses.

    Attributes:
      pose_3d: [B, 17, 3] mm, root-relative, in the search's camera.
      right_2d: [B, 17, 2] predicted right view relative to its root, in the search camera's units; NaN where the stage
        has none.
      joint_error_mm: [B, 17] what the network expects to be wrong by; NaN where it expects nothing.
      ray_trust: [B, 17] how far to move from the coarse pose to the ray; 1 where the network has no opinion.
    """

    pose_3d: tf.Tensor
    right_2d: tf.Tensor
    joint_error_mm: tf.Tensor
    ray_trust: tf.Tensor


def stages_of(networks: Mapping[str, Network]) -> list[str]:
    """The stages that a chain of these networks runs, in order."""
    return ["left2right", "pose3d"] if "pose3d" in networks or "direct" not in networks else ["direct"]


def chain_of(networks: dict[str, Network], compute_dtype: tf.DType = tf.float32) -> PublishedChain | CanonicalChain:
    """The chain that these networks make: left2right and pose3d, or direct alone.

    Raises:
      InputError: a stage is missing, or the networks are of two recipes.
    """
    stages = stages_of(networks)
    missing = [stage for stage in stages if stage not in networks]
    if missing:
        raise InputError(f"weights: no network of stage {' and '.join(missing)} among {', '.join(networks) or 'none'}")
    recipes = {networks[stage].recipe for stage in stages}
    if len(recipes) > 1:
        raise InputError(f"weights: {' and '.join(stages)} are of different recipes")
    kind = {"published": PublishedChain, "canonical": CanonicalChain}[recipes.pop()]
    return kind({stage: networks[stage] for stage in stages}, compute_dtype)


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
    if (config.input_size, config.output_size) != linear_model.SIZES[network.stage]:
        wanted = " -> ".join(map(str, linear_model.SIZES[network.stage]))
        raise InputError(
            f"{network.directory}: {network.stage} is {wanted}, not {config.input_size} -> {config.output_size}"
        )
    _check_shapes(network, config)
    return config, network.variables


def _check_shapes(network: Network, config: linear_model.LinearModelConfig) -> None:
    """Raises `InputError` when the variables are not those of the configuration."""
    shapes = {}
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


def build_canonical(network: Network) -> tf.keras.Model:
    """The canonical network with its weights, as Keras has it; raises `InputError` when they don't fit."""
    try:
        model = prenorm_model.prenorm_model(**network.config, name=network.stage)
    except (TypeError, ValueError) as error:
        raise InputError(f"{network.directory}: configuration does not build a network ({error})") from error
    network_files.assign(prenorm_model.variables_by_name(model), network.variables, network.directory)
    return model


class PublishedChain(tf.Module):
    """Root-centred pixels of one assumed camera, normalised; left -> right, left ++ right -> 3D (Wang et al. 2019)."""

    def __init__(self, networks: dict[str, Network], compute_dtype: tf.DType):
        super().__init__()
        self._camera = tf.constant(SEARCH_INTRINSICS, tf.float32)
        self._networks, self._statistics = {}, {}
        for stage, network in networks.items():
            config, variables = build_published(network)
            if not {"input", "output"} <= set(network.statistics):
                raise InputError(f"{network.directory}: has no normalisation statistics, which this recipe needs")
            for name, size in zip(("input", "output"), linear_model.SIZES[stage]):
                found = len(network.statistics[name].mean)
                if found != size:
                    raise InputError(f"{network.directory}: {name} statistics have {found} columns, expected {size}")
            self._statistics[stage] = network.statistics
            self._networks[stage] = linear_model.folded(
                config, variables, network.statistics["input"], network.statistics["output"], compute_dtype
            )

    def see(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> View:
        """Rays through the user's camera seen again through the assumed one; or scaled, where intrinsics are NaN.

        Args: see `lifter.Lifter.lift`. Joints that are not labelled must be made, or the pose gets no label.
        """
        known = tf.reduce_all(tf.math.is_finite(intrinsics), -1)
        finite = tf.reduce_all(tf.math.is_finite(poses_2d), -1)
        safe_2d = tf.where(finite[..., None], poses_2d, 0.0)
        camera = tf.where(known[:, None], intrinsics, 1.0)
        seen = change_intrinsics(safe_2d, camera[:, None], self._camera)
        # Unknown: the size that the assumed camera sees on average at the nominal distance, the root on its axis.
        weights = tf.cast(joint_mask & finite, tf.float32)
        count = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
        middle = tf.reduce_sum(safe_2d * weights[..., None], 1) / count[:, None]
        spread = tf.reduce_sum(tf.square(safe_2d - middle[:, None]) * weights[..., None], [1, 2]) / count
        nominal_px = canonical_view.BODY_MM / canonical_view.NOMINAL_MM * self._camera[0]
        scale = nominal_px * tf.math.rsqrt(tf.maximum(spread, 1e-6))
        moved = (safe_2d - safe_2d[:, ROOT, None]) * scale[:, None, None] + self._camera[2:]
        points = tf.where(known[:, None, None], seen, moved)
        return View(
            points=points,
            intrinsics=self._camera,
            weights=tf.maximum(weights, tf.one_hot(ROOT, POSE17.size)),
            rotation=tf.eye(3, batch_shape=[tf.shape(poses_2d)[0]]),
            usable=tf.reduce_all(finite, 1),
            canonical=None,
        )

    def reconstruct(self, view: View, right_2d: tf.Tensor | None = None, mirror: bool = False) -> Coarse:
        """Runs the networks.

        Args:
          right_2d: [B, 17, 2] the true right view in pixels of the assumed camera, instead of the predicted one.
          mirror: reconstruct the mirror image, and mirror the result back.
        """
        if not mirror:
            return self._reconstructed(view.points, right_2d)
        found = self._reconstructed(_mirrored_2d(view.points), None if right_2d is None else _mirrored_2d(right_2d))
        return mirrored_back(found)._replace(right_2d=_mirrored_2d(found.right_2d))

    def reconstruct_both(self, view: View) -> tuple[Coarse, Coarse]:
        """`reconstruct` of the picture and of its mirror image, in one run of the networks."""
        both = self._reconstructed(tf.concat([view.points, _mirrored_2d(view.points)], 0))
        straight, mirror = _halves(both)
        return straight, mirrored_back(mirror)._replace(right_2d=_mirrored_2d(mirror.right_2d))

    def _reconstructed(self, points: tf.Tensor, right_2d: tf.Tensor | None = None) -> Coarse:
        left = normalization.root_centred(points)
        rows = self._rows("direct" if "direct" in self._networks else "left2right", left)
        right = tf.fill(tf.shape(points), float("nan"))
        if "direct" in self._networks:
            answer, stage = self._networks["direct"](rows), "direct"
        else:
            layout = self._statistics["left2right"]["output"].layout
            right = right_2d
            if right_2d is None:
                right = normalization.from_rows(self._networks["left2right"](rows), 2, layout)
            right = normalization.root_centred(right)
            stage = "pose3d"
            answer = self._networks["pose3d"](tf.concat([self._rows("pose3d", left), self._rows("pose3d", right)], -1))
        pose = normalization.from_rows(answer, 3, self._statistics[stage]["output"].layout)
        unknown = tf.fill(tf.shape(points)[:2], float("nan"))
        return Coarse(normalization.root_centred(pose), right, unknown, tf.ones_like(unknown))

    def _rows(self, stage: str, poses: tf.Tensor) -> tf.Tensor:
        return normalization.to_rows(poses, self._statistics[stage]["input"].layout)


class CanonicalChain(tf.Module):
    """Rays turned until the root is on the axis, with a mask; see `canonical_view`."""

    def __init__(self, networks: dict[str, Network], compute_dtype: tf.DType):
        super().__init__()
        self._networks = {}
        for stage, network in networks.items():
            values = prenorm_model.variables_by_name(build_canonical(network))
            values = {name: variable.numpy() for name, variable in values.items()}
            self._networks[stage] = prenorm_model.PrenormInference(values, compute_dtype)
        self._inputs = _compiled(canonical_view.network_inputs)
        self._decode = _compiled(self._decoded)

    def see(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> View:
        """The canonical view. Joints that are not labelled are not looked at.

        Args: see `lifter.Lifter.lift`.
        """
        known = tf.reduce_all(tf.math.is_finite(intrinsics), -1)
        labelled = joint_mask & tf.reduce_all(tf.math.is_finite(poses_2d), -1)
        camera = tf.where(known[:, None], intrinsics, [[1.0, 1.0, 0.0, 0.0]])
        rays = (tf.where(labelled[..., None], poses_2d, 0.0) - camera[:, None, 2:]) / camera[:, None, :2]
        view = canonical_view.canonical_view(rays, labelled, ~known)
        hips = labelled[:, POSE17.index("RHip")] & labelled[:, POSE17.index("LHip")]
        return View(
            points=view.points,
            intrinsics=tf.constant([1.0, 1.0, 0.0, 0.0]),
            weights=tf.maximum(view.joint_mask, tf.one_hot(ROOT, POSE17.size)),
            rotation=view.rotation,
            usable=labelled[:, ROOT] | hips,
            canonical=view,
        )

    def reconstruct(self, view: View, right_2d: tf.Tensor | None = None, mirror: bool = False) -> Coarse:
        """Runs the networks; see `PublishedChain.reconstruct`. This recipe has no use for a true right view."""
        if right_2d is not None:
            raise InputError(
                "the canonical recipe takes no true right view: its second network reads predictions alone"
            )
        if not mirror:
            return self._reconstructed(view.canonical)
        found = mirrored_back(self._reconstructed(canonical_view.mirrored(view.canonical)))
        return found._replace(right_2d=tf.fill(tf.shape(view.points), float("nan")))

    def reconstruct_both(self, view: View) -> tuple[Coarse, Coarse]:
        """`reconstruct` of the picture and of its mirror image, in one run of the networks."""
        pairs = zip(view.canonical, canonical_view.mirrored(view.canonical))
        straight, mirror = _halves(self._reconstructed(CanonicalView(*(tf.concat(pair, 0) for pair in pairs))))
        return straight, mirrored_back(mirror)._replace(right_2d=tf.fill(tf.shape(view.points), float("nan")))

    def _reconstructed(self, seen: CanonicalView) -> Coarse:
        inputs = self._inputs(seen)
        if "direct" in self._networks:
            return self._decode(self._networks["direct"](inputs), None, seen)
        answer = self._networks["left2right"](inputs)
        return self._decode(self._networks["pose3d"](tf.concat([inputs, answer], -1)), answer, seen)

    def _decoded(self, outputs: tf.Tensor, answer: tf.Tensor | None, seen: CanonicalView) -> Coarse:
        right = tf.fill(tf.shape(seen.points), float("nan"))
        if answer is not None:
            right = canonical_view.decode_right(answer, seen, RIGHT_BASELINE_MM)
        pose, _ = canonical_view.decode(outputs, seen)
        errors = 100.0 * tf.exp(canonical_view.log_expected_error(outputs))
        return Coarse(pose, right, errors, canonical_view.ray_trust(outputs))


def _compiled(function):
    """The function compiled by XLA, which makes one step of many small ones; anew for every batch size."""
    return tf.function(function, autograph=False, jit_compile=True)


def mirrored_back(coarse: Coarse) -> Coarse:
    """What the networks say of a mirror image, in the unmirrored view; `right_2d` is left as it is."""
    order = POSE17.mirror
    return coarse._replace(
        pose_3d=canonical_view.mirrored_pose(coarse.pose_3d),
        joint_error_mm=tf.gather(coarse.joint_error_mm, order, axis=1),
        ray_trust=tf.gather(coarse.ray_trust, order, axis=1),
    )


def _mirrored_2d(points: tf.Tensor) -> tf.Tensor:
    """Root-centred points or whole views [B, 17, 2] in a mirror at x = 0."""
    return tf.gather(points * [-1.0, 1.0], POSE17.mirror, axis=1)


def _halves(both: Coarse) -> tuple[Coarse, Coarse]:
    first, second = zip(*(tf.split(value, 2) for value in both))
    return Coarse(*first), Coarse(*second)
