"""Settings of the canonical recipe, each stated once: a field that has a help text is also a flag of `train.py`."""

from __future__ import annotations

import dataclasses
from typing import Any

SHARE, SPREAD, DEGREES, PIXELS, WEIGHT = (0.0, 1.0), (0.0, 2.0), (0.0, 180.0), (0.0, 1000.0), (0.0, 1e6)


def _flag(default: Any, text: str, bounds: tuple[float, float] = (0.0, 1e6)) -> Any:
    """A field that is a flag with this help, and what its value may be."""
    return dataclasses.field(default=default, metadata={"help": text, "bounds": bounds})


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """How virtual views are drawn (`virtual_camera`), flags --view_<name>; pairs are ranges.

    Attributes:
      studio_share: share of views by cameras placed as Human3.6M's are: 4-5.7 m from the middle of a room, 1.5 m up.
      distance_mm, height_mm: where the other cameras stand, measured from the person and from the floor.
      max_pitch_deg, off_axis_deg, roll_deg: how they are held: up or down, past the person, standard deviation of roll.
      fov_deg: their field of view over 1000 px, which matters to the noise alone.
      size_spread, bone_spread: standard deviation of a person's size and of each pair of bones.
      recombined: probability that a pose takes over the legs, and that it takes over the arms, of another pose.
      noise_px, noise_share: the largest standard deviation of the noise on 2D joints, and how many views have any.
      detected_share: how many have a detector's errors instead (`detector_noise`).
      skeleton_captured, skeleton_stated, skeleton_borrowed, skeleton_displaced, skeleton_spread: see
        `drawn_skeletons.SkeletonSettings`.
      part_spread: standard deviation of the size of legs, trunk and arms, each by itself.
      tilt_share, tilt_deg, tilt_any: how many people are turned about a horizontal axis (`drawn_skeletons.tilted`).
      masked: share of views with joints missing.
      unknown: share of views whose intrinsics are hidden from the network.
      min_depth_mm: a view with a joint nearer than that is replaced by another of the batch.
    """

    studio_share: float = _flag(
        0.4, "fraction of views from cameras placed like Human3.6M's; the following flags describe the others", SHARE
    )
    distance_mm: tuple[float, float] = _flag(
        (1900.0, 10500.0), "range of the distance of the other cameras from the person, in mm"
    )
    height_mm: tuple[float, float] = _flag((200.0, 4200.0), "range of their height above the floor, in mm")
    max_pitch_deg: float = _flag(42.0, "largest pitch of the other cameras, up or down, in degrees", (0.0, 90.0))
    off_axis_deg: float = _flag(
        10.0, "largest angle between their optical axis and the person, in degrees", (0.0, 80.0)
    )
    roll_deg: float = _flag(3.0, "standard deviation of their roll, in degrees", DEGREES)
    fov_deg: tuple[float, float] = (25.0, 95.0)
    size_spread: float = _flag(0.03, "relative standard deviation of a person's size", SPREAD)
    bone_spread: float = _flag(
        0.05, "relative standard deviation of the length of each left-right pair of bones", SPREAD
    )
    recombined: float = _flag(
        0.3, "probability of replacing the legs, and independently the arms, by those of another pose", SHARE
    )
    noise_px: float = _flag(8.0, "largest standard deviation of the noise on 2D joints, in px", PIXELS)
    noise_share: float = _flag(0.6, "fraction of views with noise", SHARE)
    detected_share: float = _flag(0.0, "fraction of views with simulated detection errors instead", SHARE)
    skeleton_captured: float = _flag(1.0, "fraction of people with the skeleton of the motion capture", SHARE)
    skeleton_stated: float = _flag(0.0, "fraction of people with the reference skeleton (docs/joints.md)", SHARE)
    skeleton_borrowed: float = _flag(0.0, "fraction of people with the skeleton of another data set", SHARE)
    skeleton_displaced: float = _flag(0.0, "fraction of people whose joints are displaced in addition", SHARE)
    skeleton_spread: float = _flag(
        0.6, "mean size of that displacement, in units of the spread between data sets", (0.0, 10.0)
    )
    part_spread: float = _flag(
        0.0, "relative standard deviation of the size of legs, of arms and of the trunk, independently", SPREAD
    )
    tilt_share: float = _flag(0.0, "fraction of people rotated about a horizontal axis", SHARE)
    tilt_deg: float = _flag(15.0, "standard deviation of that rotation, in degrees", DEGREES)
    tilt_any: float = _flag(0.0, "fraction of people rotated by an arbitrary angle", SHARE)
    masked: float = _flag(0.4, "fraction of views with missing joints", SHARE)
    unknown: float = _flag(0.15, "fraction of views whose intrinsics are hidden from the network", SHARE)
    min_depth_mm: float = 700.0


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms beside the coarse pose's mean joint error (`canonical_losses`), flags --loss_<name>.

    Attributes:
      right_view: error of the predicted right view, for the first network.
      refined: error of the pose after a search in closed form (the squared objective), on views without noise.
      distance: error of the predicted logarithm of the distance.
      expected_error: fit of the predicted error of each joint, from which label quality is computed.
      trust: error of the pose part of the way to the rays, by which the network learns how far to trust them.
    """

    right_view: float = _flag(1.0, "weight of the error of the predicted right view", WEIGHT)
    refined: float = _flag(0.5, "weight of the pose error after a geometric search in closed form", WEIGHT)
    distance: float = _flag(0.2, "weight of the error of the predicted log distance", WEIGHT)
    expected_error: float = _flag(0.05, "weight of the loss that fits each joint's expected error", WEIGHT)
    trust: float = _flag(0.2, "weight of the loss that learns each ray's trust", WEIGHT)


def flag_fields(settings: type) -> list[dataclasses.Field[Any]]:
    """The fields of `ViewSettings` or `LossWeights` that are flags, in order."""
    return [field for field in dataclasses.fields(settings) if "help" in field.metadata]
