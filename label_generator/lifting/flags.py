"""The flags by which commands choose weights and settings of the lifter, and the lifter that they make."""

from __future__ import annotations

import dataclasses
from typing import Any

from tools.cli import command
from tools.cli.errors import InputError
from tools.files import checksums

PRECISIONS = ("float32", "bfloat16", "float16")


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


def settings_given(flags: command.Flags) -> dict[str, Any]:
    """The `LifterSettings` that the user gave, by name."""
    names = (
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
    return {name: flags.as_dict()[name] for name in names if flags.as_dict().get(name) is not None}


def make_lifter(flags: command.Flags):
    """The `Lifter` of the flags, and a hexadecimal fingerprint of the weights that it runs on.

    Raises:
      InputError: no weights, weights that don't fit together, or an empty search range.
    """
    import tensorflow as tf

    from label_generator.lifting import chains, lifter
    from label_generator.networks import network_files

    folders = flags.weights or [lifter.SHIPPED]
    if not flags.weights and not any(lifter.SHIPPED.glob("**/model.json")):
        raise InputError(
            f"no weights: {lifter.SHIPPED} holds none; give a folder that label_generator/train.py made with --weights"
        )
    networks = network_files.find_networks(folders)
    used = [networks[stage] for stage in chains.stages_of(networks) if stage in networks]
    recipe = used[0].recipe if used else "published"
    settings = dataclasses.replace(lifter.RECIPE_SETTINGS[recipe], **settings_given(flags))
    if not (settings.step_mm > 0 and settings.min_depth_mm < settings.max_depth_mm):
        raise InputError(
            f"--min_depth_mm={settings.min_depth_mm:g} --max_depth_mm={settings.max_depth_mm:g} "
            f"--step_mm={settings.step_mm:g}: expected min < max and a step above 0"
        )
    made = lifter.load_lifter(folders, settings, tf.as_dtype(flags.precision))
    return made, fingerprint([network.directory for network in used])


def fingerprint(folders: list[str]) -> str:
    """SHA-256 of everything in these weights folders, hexadecimal."""
    return checksums.of_folders(folders)
