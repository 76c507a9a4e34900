"""Labels at an address such as ``gs://bucket/labels``: made on this machine, sent when whole, labels.npz last."""

from __future__ import annotations

import dataclasses
import shutil

from label_generator.labelling.options import LABELS, LabellingOptions
from tools.cli.errors import InputError
from tools.files import remote

_SUMMARY = "summary.json"


def on_this_machine(options: LabellingOptions) -> LabellingOptions:
    """The options with a folder of this machine, always the same for an address, in place of an address."""
    if not remote.is_remote(options.output):
        return options
    folder = remote.local_twin(options.output, "labels")
    print(f"working in {folder} for {options.output}", flush=True)
    # What an earlier run left finished there has not reached its address.
    return dataclasses.replace(options, output=str(folder), overwrite=True)


def send(options: LabellingOptions, target: str) -> None:
    """Copies the finished files to the address that was given, and removes the folder.

    Raises:
      InputError: the address can't be written; the labels stay on this machine.
    """
    if not remote.is_remote(target):
        return
    files = sorted(options.folder.iterdir(), key=lambda path: (path.name == LABELS, path.name == _SUMMARY, path.name))
    try:
        for path in files:
            remote.remove_folder(remote.place(target) / path.name)
            remote.upload(path, remote.place(target) / path.name)
    except OSError as error:
        raise InputError(f"{target}: can't be written: {error.strerror or error}; {options.folder} holds it") from error
    shutil.rmtree(options.folder, ignore_errors=True)
    print(f"sent to {target}")
