"""One source per data set or file format; `open_source` opens one by name without importing the others.

May import every module of this package, and tools.
"""

from __future__ import annotations

import importlib
import pathlib

from tfrecords.source import Options, Source
from tools.cli.errors import InputError
from tools.files import inputs, remote

# name of the source -> module and class, in the order in which --source=list shows them
SOURCES = {
    "h36m": ("h36m", "Human36M"),
    "h36m_images": ("h36m_images", "Human36MImages"),
    "unity": ("unity", "Unity"),
    "leftright2d": ("leftright2d", "LeftRight2D"),
    "npy_tree": ("npy_tree", "NpyTree"),
    "mpii_lsp": ("mpii_lsp", "MpiiLsp3D"),
    "mpii": ("mpii", "Mpii"),
    "lsp": ("lsp", "Lsp"),
    "photos": ("photos", "Photos"),
    "aichallenger": ("aichallenger", "AIChallenger"),
    "coco": ("coco", "Coco"),
    "coco_results": ("detections", "Detections"),
    "openpose": ("openpose", "OpenPose"),
    "videopose3d": ("detections", "VideoPose3D"),
    "mmpose": ("mmpose", "MMPose"),
    "mediapipe": ("mediapipe", "MediaPipe"),
    "yolo": ("yolo", "Yolo"),
    "deeplabcut": ("deeplabcut", "DeepLabCut"),
    "predictions": ("predictions", "Predictions"),
    "mocap": ("mocap", "Mocap"),
    "synthetic": ("synthetic", "Synthetic"),
    "rendered": ("rendered", "Rendered"),
    "tfrecords": ("records", "RecordSource"),
}


def source_class(name: str) -> type[Source]:
    """The class of a source by its name, or by ``package.module:Class`` for one of the user's own.

    Raises `InputError` that lists the names there are.
    """
    if ":" in name:
        return _own_class(name)
    if name not in SOURCES:
        raise InputError(f"--source={name}: no such source; there are {', '.join(SOURCES)}")
    module, attribute = SOURCES[name]
    return getattr(importlib.import_module(f"tfrecords.sources.{module}"), attribute)


def _own_class(name: str) -> type[Source]:
    module, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: no name, or a relative one
        raise InputError(f"--source={name}: {error} (is its folder in PYTHONPATH?)") from error
    if not (isinstance(kind, type) and issubclass(kind, Source)):
        raise InputError(f"--source={name}: not a subclass of tfrecords.source.Source")
    return kind


def open_source(name: str, path: str | pathlib.Path, options: Options | None = None) -> Source:
    """Opens a source. Raises `InputError` when name, split or input don't fit."""
    kind = source_class(name)
    options = options or Options()
    if options.split and options.split not in kind.info.splits:
        raise InputError(f"--split={options.split}: source {name} has {', '.join(kind.info.splits)}")
    inputs.check_name(path)
    if name == "tfrecords":
        return kind(remote.place(path), options)
    path = remote.fetched(path)  # files of other formats are read where they lie on this machine
    if ":" in name:  # the user's own class: its faults keep their traceback
        return kind(pathlib.Path(path), options)
    with inputs.reading(path, kind.info.input):
        return kind(pathlib.Path(path), options)
