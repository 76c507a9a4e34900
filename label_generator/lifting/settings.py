"""How poses are lifted: the settings, those of each recipe, and what they may be.

Only `check_weights` imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from label_generator.lifting.lifter_flags import given_settings
from label_generator.networks import network_files
from label_generator.stages import names
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.pose import bounds
from tools.pose.joints import POSE17

# A grid of 0.02 mm over the whole range of the canonical recipe.
MOST_DEPTHS = 1_000_000
LEAST_JOINTS = 3

# Why a pose has no label, in the order in which it is looked for.
REASONS = (
    "",
    "too few labelled joints",
    "no root, or a joint is missing",
    "no depth fits",
    "camera unusable",
    bounds.NOT_PIXELS,
    bounds.TOO_FAR,
)


@dataclasses.dataclass(frozen=True)
class LifterSettings:
    """How poses are lifted; a value that is none raises `InputError`.

    Attributes:
      min_depth_mm, max_depth_mm, step_mm: the grid of root depths of the geometric search.
      objective, method, subgrid: of the geometric search.
      min_joints: poses with fewer labelled joints get no label.
      flip: average over the picture and its mirror image.
      refinement: what becomes of the pose after the search: 'rays', the published one, every joint on its ray; 'trust',
        each joint as far towards its ray as the network trusts it ('rays' where it has no opinion).
      symmetry: make the bones of left and right alike after that (`bone_refinement`).
      weighted: let each joint count in the search by what the network knows of it (`joint_weights`).
    """

    min_depth_mm: float = 2800.0
    max_depth_mm: float = 7200.0
    step_mm: float = 1.0
    objective: str = "distance"
    method: str = "convex"
    subgrid: bool = False
    min_joints: int = 8
    flip: bool = False
    refinement: str = "rays"
    symmetry: bool = False
    weighted: bool = False

    def __post_init__(self) -> None:
        check(dataclasses.asdict(self))
        if self.refinement not in ("rays", "trust"):
            raise InputError(f"refinement is 'rays' or 'trust', got '{self.refinement}'")


def check(values: Mapping[str, Any], prefix: str = "") -> None:
    """Raises `InputError` for an empty or endless grid of depths, or a number of joints that no pose has.

    Args:
      values: settings by name. prefix: what messages put before the names, '--' of flags.
    """
    low, high, step = values["min_depth_mm"], values["max_depth_mm"], values["step_mm"]
    grid = " ".join(f"{prefix}{name}={values[name]:g}" for name in ("min_depth_mm", "max_depth_mm", "step_mm"))
    if not (step > 0 and 0 < low < high <= bounds.LARGEST_MM):
        raise InputError(
            f"{grid}: expected min < max, above 0 and of at most {bounds.LARGEST_MM:,.0f} mm, and a step above 0"
        )
    if (high - low) / step > MOST_DEPTHS:
        raise InputError(f"{grid}: more than {MOST_DEPTHS:,} depths to search")
    if step > high - low:
        raise InputError(f"{grid}: a step longer than the range, which leaves one depth to search")
    if not LEAST_JOINTS <= values["min_joints"] <= POSE17.size:
        raise InputError(
            f"{prefix}min_joints={values['min_joints']}: expected {LEAST_JOINTS} to {POSE17.size}, the joints of a pose"
        )


# The default settings of each recipe. The canonical one is used with cameras at any distance.
RECIPE_SETTINGS = {
    "published": LifterSettings(),
    "canonical": LifterSettings(
        min_depth_mm=700.0,
        max_depth_mm=20000.0,
        subgrid=True,
        flip=True,
        refinement="trust",
        symmetry=True,
    ),
}


def settings_of_flags(flags: Flags, recipe: str) -> LifterSettings:
    """The recipe's settings, replaced by those that were given; raises `InputError` for bad ones."""
    given = given_settings(flags)
    check({**dataclasses.asdict(RECIPE_SETTINGS[recipe]), **given}, "--")
    return dataclasses.replace(RECIPE_SETTINGS[recipe], **given)


def named_networks(flags: Flags) -> list[network_files.Network]:
    """The networks that --weights names, after a check that their stages and recipes fit together and the settings to
    them; without TensorFlow, so without a check of their arrays."""
    networks = network_files.find_networks(flags.weights or [network_files.SHIPPED])
    settings_of_flags(flags, used_networks(networks)[0].recipe)
    return list(networks.values())


def check_weights(flags: Flags) -> list[network_files.Network]:
    """The networks that --weights names, for a dry run, after a check that a run can lift with them.

    It makes the lifter as the run does, since only the built networks know which arrays they have. TensorFlow is loaded
    for it, after all else was right.

    Raises:
      InputError: as `lifter_of_flags.make_lifter`.
    """
    networks = named_networks(flags)
    from label_generator.lifting.lifter_of_flags import make_lifter

    make_lifter(flags)
    return networks


def stages_of(networks: Mapping[str, network_files.Network]) -> list[str]:
    """The stages that a chain of these networks runs, in order."""
    alone = names.DIRECT in networks and names.POSE3D not in networks
    return [names.DIRECT] if alone else list(names.PAPER)


def used_networks(networks: Mapping[str, network_files.Network]) -> list[network_files.Network]:
    """Those of a chain, in the order of its stages; raises `InputError` unless they make one.

    That is: none is missing, and all are of one recipe.
    """
    stages = stages_of(networks)
    missing = [stage for stage in stages if stage not in networks]
    if missing:
        raise InputError(f"weights: no network of stage {' and '.join(missing)} among {', '.join(networks) or 'none'}")
    used = [networks[stage] for stage in stages]
    if len({network.recipe for network in used}) > 1:
        raise InputError(f"weights: {' and '.join(stages)} are of different recipes")
    return used
