"""Experiment directories: one training each with its settings, resumed or discarded, never mixed with another."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tools.cli.errors import InputError
from tools.files import atomic, inputs, remote
from tools.training import checkpoints

SETTINGS_FILE = "train.json"
LOG_FOLDER, EXPORT_FOLDER = "log", "export"
_FORMAT = 1
_EPOCHS = "epochs_"  # how the part of a directory's name begins that says how many


class _AnotherTraining(InputError):
    """The directory holds a training with other settings."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training does with its directory.

    Attributes:
      start_step: the checkpoint to go on from, 0 for none.
      discard: checkpoints, logs and weights of a former training are removed first; later than `start_step` only where
        that is above 0.
      message: one line for the user.
      source: directory of the same training with fewer epochs, whose checkpoint is taken over; '' for none.
    """

    start_step: int
    discard: bool
    message: str
    source: str = ""


def plan(
    directory: str,
    settings: Mapping,
    decisive: Sequence[str],
    load: int = 0,
    overwrite: bool = False,
    extendable: bool = False,
) -> Plan:
    """Decides from where a training in `directory` starts; changes nothing.

    Args:
      settings: flag values and what else describes the training.
      decisive: names of the settings that decide the weights; a training is resumed only where they are equal.
      load: go on from the checkpoint of exactly this step; 0: from the last one, if there is any.
      overwrite: with `load`, later checkpoints may be discarded; without, the whole former training.
      extendable: what is learnt does not depend on the number of epochs to come, so that a new training goes on from
        the same one with fewer epochs, whose directory lies beside this one.

    Raises:
      InputError: the directory holds another training, or there is no such checkpoint, or there are later ones.
    """
    path, place = os.path.join(directory, SETTINGS_FILE), remote.place(directory)
    steps = checkpoints.saved_steps(directory) if place.is_dir() else []
    has_settings = (place / SETTINGS_FILE).exists()
    if overwrite and not load:
        if steps or has_settings:
            return Plan(0, True, f"discarding the training in {directory}, starting anew")
        return Plan(0, False, "starting a new training")
    if has_settings:
        try:
            _check_same(path, settings, decisive)
        except _AnotherTraining:
            # One that ended before its first step, its records being refused, is not in the way of the right one.
            began = any((place / name).is_dir() for name in (LOG_FOLDER, EXPORT_FOLDER))
            if steps or began or load:
                raise
    elif steps:
        raise InputError(
            f"{directory}: checkpoints without {SETTINGS_FILE}, so their settings are unknown; move them away"
        )
    if not load:
        if steps:
            return Plan(steps[-1], False, f"resuming from the last checkpoint, step {steps[-1]:,}")
        if extendable and not has_settings:
            shorter, step = _shorter(directory, settings, decisive)
            if shorter:
                return Plan(step, False, f"going on from step {step:,} of the same training in {shorter}", shorter)
        return Plan(0, False, "starting a new training")
    if load not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise InputError(f"--load={load}: {directory} has no checkpoint-{load}; there are {there}")
    later = [step for step in steps if step > load]
    if later and not overwrite:
        raise InputError(
            f"--load={load}: {directory} has later checkpoints ({', '.join(map(str, later))}), which training from "
            f"{load} would replace; give --overwrite to discard them"
        )
    discarded = f", discarding {len(later)} later" if later else ""
    return Plan(load, bool(later), f"resuming from the checkpoint of step {load:,}{discarded}")


def _shorter(directory: str, settings: Mapping, decisive: Sequence[str]) -> tuple[str, int]:
    """The directory of the longest training beside this one that differs from it in a lower number of epochs alone, and
    its last step; '' and 0 when there is none."""
    scheme, mark, rest = directory.partition("://") if remote.is_remote(directory) else ("", "", directory)
    parts = pathlib.PurePath(rest).parts
    places = [i for i, part in enumerate(parts) if part == f"{_EPOCHS}{settings['epochs']}"]
    if not places:
        return "", 0
    above = remote.place(f"{scheme}{mark}{pathlib.PurePath(*parts[: places[-1]])}")
    below = pathlib.PurePath(*parts[places[-1] + 1 :])
    candidates = []
    for folder in above.glob(f"{_EPOCHS}*"):
        epochs = folder.name[len(_EPOCHS) :]
        other = str(folder / below)
        if not epochs.isdigit() or int(epochs) >= settings["epochs"] or not remote.place(other).is_dir():
            continue
        steps = checkpoints.saved_steps(other)
        with contextlib.suppress(InputError, OSError):
            _check_same(os.path.join(other, SETTINGS_FILE), settings, [n for n in decisive if n != "epochs"])
            candidates += [(steps[-1], other)] if steps else []
    step, found = max(candidates, default=(0, ""))
    return found, step


def _read_settings(path: str) -> Any:
    try:
        return inputs.read_json(path)
    except InputError as error:
        raise InputError(f"{error}: not the settings of a training; move the directory away") from None


def _check_same(path: str, settings: Mapping, decisive: Sequence[str]) -> None:
    try:
        content = _read_settings(path)
        former = dict(content["settings"])
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the settings of a training ({error}); move the directory away") from None
    now = json.loads(json.dumps(dict(settings)))
    differing = [name for name in decisive if former.get(name) != now.get(name)]
    if differing:
        changes = "; ".join(f"{name} was {former.get(name)}, is {now.get(name)}" for name in differing)
        raise _AnotherTraining(
            f"{os.path.dirname(path)} holds another training ({changes}); give another --train_dir, or --overwrite to "
            "discard it"
        )


def prepare(directory: str, chosen: Plan, settings: Mapping) -> None:
    """Carries out a plan: makes the directory, discards what is to be discarded, writes the settings."""
    place = remote.place(directory)
    place.mkdir(parents=True, exist_ok=True)
    if chosen.discard:
        checkpoints.discard_after(directory, chosen.start_step)
        if not chosen.start_step:
            for folder in (LOG_FOLDER, EXPORT_FOLDER):
                remote.remove_folder(place / folder)
    if chosen.source:
        source = remote.place(chosen.source)
        for path in sorted(source.glob(f"checkpoint-{chosen.start_step}.*")):  # the index last
            remote.copy(path, place / path.name)
        if (source / LOG_FOLDER).is_dir():
            remote.copy(source / LOG_FOLDER, place / LOG_FOLDER)
    content = {
        "format": _FORMAT,
        "command": sys.argv,
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "start_step": chosen.start_step,
        "settings": dict(settings),
    }
    atomic.write_text(os.path.join(directory, SETTINGS_FILE), json.dumps(content, indent=1) + "\n")
