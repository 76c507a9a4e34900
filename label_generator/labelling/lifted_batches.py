"""One batch through the lifter: from 2D poses to the rows of the labels, with a reason where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from label_generator.labelling import inputs
from label_generator.labelling.batch import Batch
from label_generator.labelling.options import LabellingOptions
from label_generator.lifting import joint_places
from tfrecords import schema
from tools.files.decisions import Decisions
from tools.pose import joints
from tools.pose.joints import POSE17

if TYPE_CHECKING:  # it imports TensorFlow, and bad flags are reported before that
    from label_generator.lifting.lifter import Lifter

BELOW_QUALITY = "quality below --min_quality"
NOT_FINITE = "label is not finite"
_ASSUMED = schema.CAMERA_KINDS.index(schema.ASSUMED)
_JOINTS_OF_FORMATS = {"lsp": "lsp14", "aichallenger": "aichallenger14", "npy_tree": "pose17", "mpii": "mpii16"}
_LIFTED = ("coarse_3d", "quality", "expected_error_mm", "joint_quality", "residual_mm", "at_range_end")


def joint_set(spec: inputs.Spec) -> str:
    """The joint set that an input is of; '' where it is not known."""
    return spec.joints or _JOINTS_OF_FORMATS.get(spec.format, "")


class Rows(Protocol):
    """What takes the rows: `columns.LabelFiles`, or a piece of them."""

    def reason(self, text: str) -> int: ...

    def append(self, values: Mapping[str, Any]) -> None: ...


def label_batch(options: LabellingOptions, lifter: Lifter, rows: Rows, batch: Batch, first: int, size: int) -> None:
    """Lifts one batch, padded to `size` poses, and appends its rows.

    Args:
      rows: takes them. first: the number of the batch's first pose.
    """
    dropped = {} if options.decisions is None else _review(options.decisions, batch, first)
    # The published networks know one camera: a person scaled to its nominal distance suits them better.
    views, intrinsics, kinds = options.camera.pinhole_views(batch, first, by_size=lifter.recipe == "canonical")
    labelled = batch.provenance == joints.LABELLED
    if options.correct_joints and lifter.recipe == "canonical":
        views = joint_places.corrected(views, labelled, joint_set(options.spec))
    # One size for all batches, so that the graph is compiled once.
    lifted = lifter.lift(filled(views, size, np.nan), filled(intrinsics, size, np.nan), filled(labelled, size, False))
    count = len(batch)
    values = {name: getattr(lifted, name).numpy()[:count] for name in _LIFTED}
    values["poses_3d"], values["roots"] = lifted.pose_3d.numpy()[:count], lifted.root_3d.numpy()[:count]
    reason = lifted.reason.numpy()[:count].copy()
    for i, text in batch.skipped.items():
        reason[i], kinds[i] = rows.reason(text), 0
    broken = (reason == 0) & ~np.isfinite(values["poses_3d"]).all((1, 2))
    low = (reason == 0) & ~broken & (values["quality"] < options.min_quality)
    blanked = [(broken, NOT_FINITE), (low, BELOW_QUALITY)]
    for text in sorted(set(dropped.values())):
        blanked.append(((reason == 0) & np.array([dropped.get(i) == text for i in range(count)]), text))
    for chosen, text in blanked:
        if chosen.any():
            reason[chosen] = rows.reason(text)
            # Nothing of a label remains, so that it is not counted as one.
            values["at_range_end"] = values["at_range_end"] & ~chosen
            for name in ("poses_3d", "roots", *_LIFTED[:-1]):
                values[name] = np.where(_like(chosen, values[name]), np.nan, values[name])
    rows.append(
        {
            **values,
            "poses_2d": batch.poses_2d,
            "provenance": batch.provenance,
            # A distance in a camera that was assumed without the user's word is no measurement.
            "depth_nominal": lifted.nominal.numpy()[:count] | ((options.camera.name == "auto") & (kinds == _ASSUMED)),
            "reason": reason,
            "intrinsics": intrinsics,
            "camera_kind": kinds,
            "frame": batch.frame,
            "person": batch.person,
            "file": batch.file,
            "sequence": batch.sequence,
            "action": batch.action,
            "track": np.full(count, -1),
            "interpolated": np.zeros((count, 17), bool),
            "nominal_camera": np.full((count, 4), np.nan),
            "image_size": batch.image_size,
            "own_numbers": np.full((count, 2), -1) if batch.own_numbers is None else batch.own_numbers,
            "_points": views,
        }
    )


def labels_of(
    lifter: Lifter, size: int, points: np.ndarray, labelled: np.ndarray, intrinsics: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of labels that depend on the key points alone, of any number of rows, lifted `size` at a time.

    Args:
      points: [n, 17, 2] px. labelled: [n, 17] bool. intrinsics: [n, 4] px, NaN where unknown.
    """
    names = {"poses_3d": "pose_3d", "roots": "root_3d", **{name: name for name in _LIFTED}}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for start in range(0, len(points), size):
        rows = slice(start, start + size)
        lifted = lifter.lift(
            filled(points[rows], size, np.nan),
            filled(intrinsics[rows], size, np.nan),
            filled(labelled[rows], size, False),
        )
        for name, field in names.items():
            parts[name].append(getattr(lifted, field).numpy()[: len(points[rows])])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _review(decisions: Decisions, batch: Batch, first: int) -> dict[int, str]:
    """Swaps left and right in the batch where a review says so; returns place in the batch -> why it is dropped."""
    dropped, poses, provenance = {}, batch.poses_2d.copy(), batch.provenance.copy()
    for i in range(len(batch)):
        if i in batch.skipped:
            continue
        fate = decisions.fate(batch.file[i], batch.sequence[i], batch.frame[i], batch.person[i], first + i)
        if fate.reason:
            dropped[i] = fate.reason
        if fate.swap:
            poses[i], provenance[i] = poses[i, POSE17.mirror], provenance[i, POSE17.mirror]
    batch.poses_2d, batch.provenance = poses, provenance
    return dropped


def filled(values: np.ndarray, size: int, filler: float | bool) -> np.ndarray:
    """The array with rows of `filler` behind it, so that it has `size` of them."""
    if len(values) == size:
        return values
    full = np.full((size, *values.shape[1:]), filler, values.dtype)
    full[: len(values)] = values
    return full


def _like(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, *[1] * (values.ndim - 1))
