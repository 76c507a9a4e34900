"""The canonical chain, not in the paper: rays turned until the root is on the axis, with a mask (`canonical_view`)."""

from __future__ import annotations

import functools

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.lifting.canonical_view import CanonicalView
from label_generator.lifting.views import RIGHT_BASELINE_MM, ROOT, Coarse, SearchView, halves, unmirrored
from label_generator.networks import network_files, prenorm_model
from label_generator.networks.network_files import Network
from label_generator.stages import names
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

# XLA makes one step of many small ones, anew for every batch size.
_compiled = functools.partial(tf.function, autograph=False, jit_compile=True)


def build_canonical(network: Network) -> tf.keras.Model:
    """The canonical network with its weights, as Keras has it; raises `InputError` when they don't fit."""
    try:
        model = prenorm_model.prenorm_model(**network.config, name=network.stage)
    except (TypeError, ValueError) as error:
        raise InputError(f"{network.directory}: configuration does not build a network ({error})") from error
    network_files.assign(prenorm_model.variables_by_name(model), network.variables, network.directory)
    return model


def _canonical(view: SearchView) -> CanonicalView:
    assert view.canonical is not None, "a view of the published recipe"
    return view.canonical


class CanonicalChain(tf.Module):
    """Runs the canonical networks, left2right and pose3d or direct alone, on canonical views."""

    def __init__(self, networks: dict[str, Network], compute_dtype: tf.DType):
        super().__init__()
        self._networks = {}
        for stage, network in networks.items():
            values = prenorm_model.variables_by_name(build_canonical(network))
            values = {name: variable.numpy() for name, variable in values.items()}
            self._networks[stage] = prenorm_model.PrenormInference(values, compute_dtype)
        self._inputs = _compiled(canonical_view.network_inputs)
        self._decode = _compiled(self._decoded)

    def to_search_camera(self, poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> SearchView:
        """The canonical view. Joints that are not labelled are ignored.

        Args: see `lifter.Lifter.lift`.
        """
        known = tf.reduce_all(tf.math.is_finite(intrinsics), -1)
        labelled = joint_mask & tf.reduce_all(tf.math.is_finite(poses_2d), -1)
        camera = tf.where(known[:, None], intrinsics, [[1.0, 1.0, 0.0, 0.0]])
        rays = (tf.where(labelled[..., None], poses_2d, 0.0) - camera[:, None, 2:]) / camera[:, None, :2]
        view = canonical_view.canonical_view(rays, labelled, ~known)
        hips = labelled[:, POSE17.index("RHip")] & labelled[:, POSE17.index("LHip")]
        return SearchView(
            points=view.points,
            intrinsics=tf.constant([1.0, 1.0, 0.0, 0.0]),
            weights=tf.maximum(view.joint_mask, tf.one_hot(ROOT, POSE17.size)),
            rotation=view.rotation,
            usable=labelled[:, ROOT] | hips,
            canonical=view,
        )

    def reconstruct(self, view: SearchView, right_2d: tf.Tensor | None = None, mirror: bool = False) -> Coarse:
        """Runs the networks; see `PublishedChain.reconstruct`. This recipe has no use for a true right view."""
        if right_2d is not None:
            raise InputError(
                "the canonical recipe takes no true right view: its second network reads predictions alone"
            )
        if not mirror:
            return self._reconstructed(_canonical(view))
        coarse = unmirrored(self._reconstructed(canonical_view.mirrored(_canonical(view))))
        return coarse._replace(right_2d=tf.fill(tf.shape(view.points), float("nan")))

    def reconstruct_both(self, view: SearchView) -> tuple[Coarse, Coarse]:
        """`reconstruct` of the picture and of its mirror image, in one run of the networks."""
        pairs = zip(_canonical(view), canonical_view.mirrored(_canonical(view)))
        few = view.points.shape[0] == 1
        straight, mirror = halves(self._reconstructed(CanonicalView(*(tf.concat(pair, 0) for pair in pairs)), few))
        return straight, unmirrored(mirror)._replace(right_2d=tf.fill(tf.shape(view.points), float("nan")))

    def _reconstructed(self, view: CanonicalView, few: bool = False) -> Coarse:
        """few: the number of views is known and small, see `PrenormInference.of_few`."""

        def run(stage: str, rows: tf.Tensor) -> tf.Tensor:
            network = self._networks[stage]
            return network.of_few(rows) if few else network(rows)

        inputs = self._inputs(view)
        if names.DIRECT in self._networks:
            return self._decode(run(names.DIRECT, inputs), None, view)
        answer = run(names.LEFT2RIGHT, inputs)
        return self._decode(run(names.POSE3D, tf.concat([inputs, answer], -1)), answer, view)

    def _decoded(self, outputs: tf.Tensor, answer: tf.Tensor | None, view: CanonicalView) -> Coarse:
        right = tf.fill(tf.shape(view.points), float("nan"))
        if answer is not None:
            right = canonical_view.decode_right(answer, view, RIGHT_BASELINE_MM)
        pose, _ = canonical_view.decode(outputs, view)
        errors = 100.0 * tf.exp(canonical_view.log_expected_error(outputs))
        return Coarse(pose, right, errors, canonical_view.ray_trust(outputs))
