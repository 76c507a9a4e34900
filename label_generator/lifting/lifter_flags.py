"""The flags by which commands choose weights and settings of the lifter; `lifter_of_flags` makes it."""

from __future__ import annotations

from typing import Any

from tools.cli import command

PRECISIONS = ("float32", "bfloat16", "float16")
# The fields of `lifter.LifterSettings`, each a flag of the same name.
SETTINGS = (
    "min_depth_mm",
    "max_depth_mm",
    "step_mm",
    "objective",
    "method",
    "subgrid",
    "flip",
    "refinement",
    "symmetry",
    "weighted",
    "min_joints",
)


def declare_weights(flags: command.Flags) -> None:
    """Declares which networks lift, and in which precision."""
    flags.strings("weights", None, "folders of trained networks (default: those in label_generator/weights)")
    flags.enum("precision", "float32", PRECISIONS, "of the networks' matrix products; the search is always float32")


def declare_search(flags: command.Flags) -> None:
    """Declares the search's range and options. Flags that are not given leave the weights' recipe its own."""
    flags.float("min_depth_mm", None, "nearest root depth tried, in mm (published weights: 2800)")
    flags.float("max_depth_mm", None, "root depth before which the search stops, in mm (published weights: 7200)")
    flags.float("step_mm", None, "step between the depths, in mm (published weights: 1)")
    flags.enum("objective", None, ["distance", "squared"], "sum of distances, as released, or of squares, as printed")
    flags.enum("method", None, ["convex", "exhaustive"], "how the depth is found; both find the same (default: convex)")


def declare_refinement(flags: command.Flags) -> None:
    """Declares what is done around the search. Flags that are not given leave the weights' recipe its own."""
    flags.boolean("flip", None, "average over the picture and its mirror image (default: as the weights' recipe says)")
    flags.enum(
        "refinement", None, ["rays", "trust"], "after the search: on the rays, as published, or as far as trusted"
    )
    flags.boolean("symmetry", None, "make bones of left and right alike after that (default: as the recipe says)")
    flags.boolean("weighted", None, "count joints in the search by what is known of each (default: as the recipe says)")
    flags.boolean("subgrid", None, "take the depth between the grid's (default: as the weights' recipe says)")
    flags.integer("min_joints", None, "poses with fewer labelled joints get no label", lower_bound=3)


def given_settings(flags: command.Flags) -> dict[str, Any]:
    """The settings (`lifter.LifterSettings`) that the user gave, by name."""
    values = flags.as_dict()
    return {name: values[name] for name in SETTINGS if values.get(name) is not None}
