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
    flags.strings("weights", None, "weights folders of trained networks (default: those in label_generator/weights)")
    flags.enum(
        "precision",
        "float32",
        PRECISIONS,
        "number format of the networks' matrix products; the geometric search is always float32",
    )


def declare_search(flags: command.Flags) -> None:
    """Declares the search's range and options. Flags that are not given leave the weights' recipe its own."""
    flags.float("min_depth_mm", None, "smallest root depth of the search, in mm (published recipe: 2800)")
    flags.float("max_depth_mm", None, "end of the root depths, exclusive, in mm (published recipe: 7200)")
    flags.float("step_mm", None, "step between root depths, in mm (published recipe: 1)")
    flags.enum(
        "objective",
        None,
        ["distance", "squared"],
        "cost of a depth: sum of distances, as in the released code, or of squared distances, as in the paper",
    )
    flags.enum(
        "method",
        None,
        ["convex", "exhaustive"],
        "algorithm; both return the same depth: convex is faster, exhaustive tries every depth (default: convex)",
    )


def declare_refinement(flags: command.Flags) -> None:
    """Declares what is done around the search. Flags that are not given leave the weights' recipe its own."""
    flags.boolean(
        "flip", None, "average the predictions for the picture and its mirror image (default: by the weights' recipe)"
    )
    flags.enum(
        "refinement",
        None,
        ["rays", "trust"],
        "final joints. rays: on their rays at the depth found, as published; trust: moved towards the rays by a weight "
        "that the network predicts (default: by the weights' recipe)",
    )
    flags.boolean("symmetry", None, "then make left and right bones equally long (default: by the recipe)")
    flags.boolean(
        "weighted", None, "weight each joint in the search by its predicted error and trust (default: by the recipe)"
    )
    flags.boolean("subgrid", None, "refine the depth between the steps of the grid (default: by the weights' recipe)")
    flags.integer(
        "min_joints", None, "poses with fewer labelled joints get no label (default: 8)", lower_bound=3, upper_bound=17
    )


def given_settings(flags: command.Flags) -> dict[str, Any]:
    """The settings (`lifter.LifterSettings`) that the user gave, by name."""
    values = flags.as_dict()
    return {name: values[name] for name in SETTINGS if values.get(name) is not None}
