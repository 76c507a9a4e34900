"""Errors of the baseline network's predictions by person and joint, and figures of them.

NumPy on arrays of MPII's 16 joints. What papers call one name by several rules has its rule here:

* PCKh@0.5 (Andriluka et al., CVPR 2014): share of joints nearer than half a head. The head is the record's own head
  size, where the data set gives one (MPII: 0.6 of the diagonal of its head box), else the truth's UpperNeck to HeadTop.
  The mean is over 14 joints, without Pelvis and Thorax, as in MPII's evaluation.
* PCK@0.2 of the torso (LShoulder to RHip, as on LSP), PCK@0.2 and PCK@0.05 of the person box's longer side, over all
  joints; and the published network's own measure, a twentieth of the crop's side over ten joints of the limbs
  (docs/reference.md: 3.2 px of 64).
* MPJPE relative to the pelvis over 16 joints, of the prediction at three scales: `published`, whose 14 bones sum to
  4296.99 mm for every person (docs/reference.md); `sized`, whose bones sum to the truth's; `metric`, without any
  rescaling: the pixels of the prediction times the truth's millimetres in a pixel at the pelvis.
* N-MPJPE and P-MPJPE: after the best scale, after the best similarity transform. 3DPCK (150 mm) and AUC are of the
  `published` scale, the only one that the network's output has without further information.

Shares of joints are taken over all joints of all people together, MPJPE and its kin are means of each person's mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from baseline_network.network import decoding, targets
from tools.pose import joints, metrics

JOINT_NAMES = targets.MPII16.joints
HEAD = (targets.UPPER_NECK, targets.MPII16.index("HeadTop"))
TORSO = (targets.MPII16.index("LShoulder"), targets.MPII16.index("RHip"))
# MPII's evaluation leaves these two out of its mean; the published network's own measure has the limbs' ends.
_NOT_IN_PCKH = (targets.PELVIS, targets.THORAX)
_IN_PUBLISHED_PCK = (0, 1, 2, 3, 4, 5, 10, 11, 14, 15)
# Errors whose figure is the share of joints, in percent; of the others it is the mean of people's means, in mm.
SHARES = ("pckh@0.5", "pck_torso@0.2", "pck_box@0.2", "pck_box@0.05", "pck_crop@0.05", "pck_3d@150", "auc_3d")
LENGTHS = ("mpjpe_published", "mpjpe_sized", "mpjpe_metric", "n_mpjpe", "p_mpjpe")
# Errors of which there also is a figure for each joint.
BY_JOINT = ("pckh@0.5", "distance_px", "mpjpe_published", "mpjpe_metric", "p_mpjpe")


def truth_of(record: Mapping[str, Any], min_provenance: int = joints.MADE) -> dict[str, np.ndarray]:
    """What `errors` compares with, from a batch of records.

    Args:
      record: fields of `tfrecords.schema`, arrays or tensors [N, ...]: pose_2d, provenance_2d, pose_3d, provenance_3d,
        box, and where there are such: root_3d, intrinsics, head_size.
      min_provenance: which joints count, see `targets.to_mpii16`.

    Returns:
      points [N, 16, 2] px, joint_mask_2d [N, 16] bool; pose_3d [N, 16, 3] mm, joint_mask_3d [N, 16] bool, spine [N, 3]
      mm (relative as pose_3d, NaN where missing); box_sides [N] and head_sizes [N] px; mm_per_pixel [N] at the
      pelvis: its depth over the focal length, where the camera is not known the inverse of `targets.pixels_per_mm`. NaN
      where not known.
    """
    record = {name: np.asarray(values) for name, values in record.items()}
    points, joint_mask_2d = targets.to_mpii16(record["pose_2d"], record["provenance_2d"], min_provenance)
    poses, joint_mask_3d = targets.to_mpii16(record["pose_3d"], record["provenance_3d"], min_provenance)
    scale = targets.pixels_per_mm(points, poses, joint_mask_2d & joint_mask_3d).numpy()
    nothing = np.full(len(scale), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        mm_per_pixel = np.where(scale > 0, 1.0 / scale, np.nan)
        if "root_3d" in record and "intrinsics" in record:
            camera = record["root_3d"][:, 2] / np.sqrt(record["intrinsics"][:, 0] * record["intrinsics"][:, 1])
            mm_per_pixel = np.where(np.isfinite(camera) & (camera > 0), camera, mm_per_pixel)
    box_sides = record["box"][:, 2:].max(-1) if "box" in record else nothing
    return {
        "points": points.numpy(),
        "joint_mask_2d": joint_mask_2d.numpy(),
        "pose_3d": poses.numpy(),
        "joint_mask_3d": joint_mask_3d.numpy(),
        "spine": record["pose_3d"][:, targets.DEPTH_ORIGIN],
        "box_sides": box_sides,
        "head_sizes": record.get("head_size", nothing),
        "mm_per_pixel": mm_per_pixel,
    }


def errors(
    predicted: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], published_thorax: bool = False
) -> dict[str, np.ndarray]:
    """Errors of N people, joint by joint.

    Args:
      predicted: points [N, 16, 2] px of the picture; pose_3d [N, 16, 3], orthographic as `decoding` gives it (x and y
        are the points', to any one scale for each person).
      truth: of `truth_of`, or at least points and joint_mask_2d, pose_3d and joint_mask_3d. The rest is optional, and
        what needs it is NaN without: head_sizes (else the truth's UpperNeck to HeadTop), box_sides, crop_sides [N] px
        of the picture, mm_per_pixel, spine.
      published_thorax: joint 7 as the published evaluation has it: the prediction's halfway from Pelvis to UpperNeck
        (`decoding.with_published_thorax`), the truth's the Spine, where it has one, else halfway too.

    Returns:
      Name -> [N, 16] float64, NaN where a joint or what is measured with is missing: `SHARES` in percent, 0 and 100
      but for auc_3d; `LENGTHS` in mm; distance_px and distance_heads, the 2D distance in pixels and in heads.
    """
    joint_mask_2d, joint_mask_3d = np.asarray(truth["joint_mask_2d"], bool), np.asarray(truth["joint_mask_3d"], bool)
    points, true_points = (np.asarray(values["points"], np.float64) for values in (predicted, truth))
    result = _errors_2d(points, true_points, joint_mask_2d, truth)
    predicted_pose = np.asarray(predicted["pose_3d"], np.float64)
    back = _pixels_per_mm(points, predicted_pose)
    pose, true_pose, usable = _poses(predicted_pose, truth, joint_mask_3d, published_thorax)
    return {**result, **_errors_3d(pose, back, true_pose, usable, joint_mask_3d, truth)}


def _pixels_per_mm(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """[N]: the pixels of the prediction that became one of its own millimetres."""
    in_pixels, in_mm = (
        np.linalg.norm(places - places[:, targets.PELVIS, None], axis=-1).sum(1) for places in (points, pose[..., :2])
    )
    return np.where(in_mm > 0, in_pixels / np.where(in_mm > 0, in_mm, 1.0), 1.0)


def _errors_2d(
    points: np.ndarray, true_points: np.ndarray, joint_mask_2d: np.ndarray, truth: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    count = len(points)

    def given(name: str) -> np.ndarray:
        values = np.asarray(truth.get(name, np.full(count, np.nan)), np.float64)
        return np.where(values > 0, values, np.nan)

    def between(pair: tuple[int, int]) -> np.ndarray:
        size = np.linalg.norm(true_points[:, pair[0]] - true_points[:, pair[1]], axis=-1)
        return np.where(joint_mask_2d[:, pair[0]] & joint_mask_2d[:, pair[1]] & (size > 0), size, np.nan)

    heads = given("head_sizes")
    heads = np.where(np.isfinite(heads), heads, between(HEAD))
    boxes = given("box_sides")
    measures = {
        "pckh@0.5": (heads, 0.5),
        "pck_torso@0.2": (between(TORSO), 0.2),
        "pck_box@0.2": (boxes, 0.2),
        "pck_box@0.05": (boxes, 0.05),
        "pck_crop@0.05": (given("crop_sides"), 0.05),
    }
    result = {
        name: metrics.pckh(points, true_points, joint_mask_2d, sizes, threshold=threshold, per_joint=True)
        for name, (sizes, threshold) in measures.items()
    }
    distance = metrics.mpjpe(points, true_points, joint_mask_2d, per_joint=True)
    return {**result, "distance_px": distance, "distance_heads": distance / heads[:, None]}


def _poses(
    predicted: np.ndarray, truth: Mapping[str, np.ndarray], joint_mask_3d: np.ndarray, published_thorax: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction and truth [N, 16, 3] relative to their pelvis, and which joints of people with a pelvis count."""
    pose, true_pose = predicted.copy(), np.array(truth["pose_3d"], np.float64)
    usable = joint_mask_3d & joint_mask_3d[:, targets.PELVIS, None]
    if published_thorax:
        ends = [targets.PELVIS, targets.UPPER_NECK]
        pose[:, targets.THORAX] = pose[:, ends].mean(1)
        middle = true_pose[:, ends].mean(1)
        spine = np.asarray(truth.get("spine", np.full_like(middle, np.nan)), np.float64)
        known = np.isfinite(spine).all(-1)
        true_pose[:, targets.THORAX] = np.where(known[:, None], spine, middle)
        usable[:, targets.THORAX] = usable[:, targets.PELVIS] & (known | usable[:, targets.UPPER_NECK])
    root = slice(targets.PELVIS, targets.PELVIS + 1)
    pose, true_pose = pose - pose[:, root], true_pose - true_pose[:, root]
    return pose, np.where(usable[..., None], true_pose, np.nan), usable


def _errors_3d(
    pose: np.ndarray,
    back: np.ndarray,
    true_pose: np.ndarray,
    usable: np.ndarray,
    joint_mask_3d: np.ndarray,
    truth: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    count = len(pose)
    every = np.ones([count, len(targets.BONES)], bool)
    counted = joint_mask_3d[:, targets.BONES[:, 0]] & joint_mask_3d[:, targets.BONES[:, 1]]
    length = np.maximum(_bones_sum(pose, every), 1e-9)
    published = pose * (decoding.BONES_SUM_MM / length)[:, None, None]
    true_length = _bones_sum(np.asarray(truth["pose_3d"], np.float64), counted)
    size = np.where(counted.any(1), true_length / np.maximum(_bones_sum(pose, counted), 1e-9), np.nan)
    metric = back * np.asarray(truth.get("mm_per_pixel", np.full(count, np.nan)), np.float64)

    def distances(measure: Callable[..., np.ndarray], poses: np.ndarray) -> np.ndarray:
        return measure(poses, true_pose, usable, per_joint=True)

    return {
        "mpjpe_published": distances(metrics.mpjpe, published),
        "mpjpe_sized": distances(metrics.mpjpe, pose * size[:, None, None]),
        "mpjpe_metric": distances(metrics.mpjpe, pose * metric[:, None, None]),
        "n_mpjpe": distances(metrics.n_mpjpe, published),
        "p_mpjpe": distances(metrics.p_mpjpe, published),
        "pck_3d@150": distances(metrics.pck_3d, published),
        "auc_3d": distances(metrics.auc_3d, published),
    }


def _bones_sum(poses: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """[N]: sum of the lengths of the bones of poses [N, 16, D] that count, [N, 14] bool."""
    bones = poses[:, targets.BONES[:, 0]] - poses[:, targets.BONES[:, 1]]
    return np.sum(np.linalg.norm(bones, axis=-1), 1, where=counted)


def summary(errors: Mapping[str, np.ndarray], by_joint: bool = True) -> dict[str, float]:
    """Figures of errors; those without any ground truth are left out.

    Args:
      errors: of `errors`, or rows of them.
      by_joint: also those of each joint, as 'pckh@0.5/RAnkle'.

    Returns:
      Name -> figure: `SHARES` in percent, `LENGTHS` in mm, distance_px; images, and how many of them have a 2D and a 3D
      truth (images_2d, images_3d), a head (images_head) and a scale (images_metric) to be measured with.
    """
    columns = {"pckh@0.5": [i for i in range(16) if i not in _NOT_IN_PCKH], "pck_crop@0.05": list(_IN_PUBLISHED_PCK)}
    result = {}
    for name in (*SHARES, *LENGTHS, "distance_px"):
        values = errors[name]
        if name in SHARES:
            mean = metrics.mean_error(values[:, columns[name]] if name in columns else values).mean
        else:
            mean = metrics.mean_error(by_person(values)).mean
        if np.isfinite(mean):
            result[name] = mean
    if by_joint:
        for name in BY_JOINT:
            for number, joint in enumerate(JOINT_NAMES):
                mean = metrics.mean_error(errors[name][:, number]).mean
                if np.isfinite(mean):
                    result[f"{name}/{joint}"] = mean
    result["images"] = float(len(errors["distance_px"]))
    for name, source in (
        ("images_2d", "distance_px"),
        ("images_head", "distance_heads"),
        ("images_3d", "n_mpjpe"),
        ("images_metric", "mpjpe_metric"),
    ):
        result[name] = float(np.isfinite(errors[source]).any(1).sum())
    return result


def by_person(values: np.ndarray) -> np.ndarray:
    """[N]: each person's mean over the joints of [N, 16] that are not NaN; NaN without any."""
    counted = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.sum(values, 1, where=counted) / counted.sum(1)


def figures(
    predicted: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    published_thorax: bool = False,
    by_joint: bool = True,
) -> dict[str, float]:
    """The `summary` of the `errors` of these predictions."""
    return summary(errors(predicted, truth, published_thorax), by_joint)
