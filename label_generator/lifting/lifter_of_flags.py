"""The lifter that a command's flags describe (`flags` declares them)."""

from __future__ import annotations

import os

import tensorflow as tf

from label_generator.lifting.lifter import SHIPPED, Lifter, load_lifter
from label_generator.lifting.settings import LifterSettings, settings_of_flags, used_networks
from label_generator.networks import network_files
from tools.cli import command
from tools.cli.errors import InputError
from tools.files import checksums


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
    settings = settings_of_flags(flags, used_networks(networks)[0].recipe)
    return load(folders, settings, flags.precision, portable)


def load(
    folders: list[str | os.PathLike], settings: LifterSettings, precision: str = "float32", portable: bool = False
) -> tuple[Lifter, str]:
    """The lifter of these weights folders, and the SHA-256 of the weights that it runs on, hexadecimal.

    Raises:
      InputError: as `lifter.load_lifter`.
    """
    networks = network_files.find_networks(folders)
    used = used_networks(networks)
    lifter = load_lifter(folders, settings, tf.as_dtype(precision), portable)
    return lifter, checksums.of_folders([network.directory for network in used])
