"""The lifter that a command's flags describe (`flags` declares them)."""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from label_generator.lifting import chains
from label_generator.lifting.lifter import RECIPE_SETTINGS, SHIPPED, Lifter, LifterSettings, load_lifter
from label_generator.lifting.lifter_flags import given_settings
from label_generator.networks import network_files
from tools.cli import command
from tools.cli.errors import InputError
from tools.files import checksums


def settings_of_flags(flags: command.Flags, recipe: str) -> LifterSettings:
    """The recipe's settings, replaced by those that were given."""
    return dataclasses.replace(RECIPE_SETTINGS[recipe], **given_settings(flags))


def make_lifter(flags: command.Flags, portable: bool = False) -> tuple[Lifter, str]:
    """The lifter of the flags, and the SHA-256 of the weights that it runs on, hexadecimal.

    Args:
      portable: only operations that TFLite and ONNX have.

    Raises:
      InputError: no weights, weights that don't fit together, or an empty search range.
    """
    folders = flags.weights or [SHIPPED]
    if not flags.weights and not any(SHIPPED.glob("**/model.json")):
        raise InputError(
            f"no weights: {SHIPPED} holds none; give a folder that label_generator/train.py made with --weights"
        )
    networks = network_files.find_networks(folders)
    used = [networks[stage] for stage in chains.stages_of(networks) if stage in networks]
    settings = settings_of_flags(flags, used[0].recipe if used else "published")
    if not (settings.step_mm > 0 and settings.min_depth_mm < settings.max_depth_mm):
        raise InputError(
            f"--min_depth_mm={settings.min_depth_mm:g} --max_depth_mm={settings.max_depth_mm:g} "
            f"--step_mm={settings.step_mm:g}: expected min < max and a step above 0"
        )
    return load(folders, settings, flags.precision, portable)


def load(
    folders: list[str | os.PathLike], settings: LifterSettings, precision: str = "float32", portable: bool = False
) -> tuple[Lifter, str]:
    """The lifter of these weights folders, and the SHA-256 of the weights that it runs on, hexadecimal.

    Raises:
      InputError: as `lifter.load_lifter`.
    """
    networks = network_files.find_networks(folders)
    used = [networks[stage] for stage in chains.stages_of(networks) if stage in networks]
    lifter = load_lifter(folders, settings, tf.as_dtype(precision), portable)
    return lifter, checksums.of_folders([network.directory for network in used])
