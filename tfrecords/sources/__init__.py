"""One source per data set or file format; `open_source` opens one by name without importing the others.

May import every module of this package, and tools.
"""

from __future__ import annotations

import importlib
import pathlib
from collections.abc import Iterable

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

_WITH_PICTURE_FILES = (
    "h36m_images", "mpii_lsp", "mpii", "lsp", "photos", "aichallenger", "coco", "coco_results", "mmpose", "yolo",
)  # fmt: skip
# Of motion capture, which source rendered has only with an --input.
_OF_CAPTURED = ("frame_step", "permutation", "unit_mm", "body_model")
# field of `Options`, a flag of the same name -> the sources whose records it changes or checks. split, which every
# source has, is checked by `open_source`. Fields that are not here are no flags of make_tfrecords.py.
TAKEN = {
    "images": (*_WITH_PICTURE_FILES, "predictions", "rendered"),
    "verify": _WITH_PICTURE_FILES,
    "cameras": ("h36m", "mocap"),
    "frame_step": ("h36m", "unity", "leftright2d", "npy_tree", "openpose", "videopose3d", "mocap", "rendered"),
    "layout": ("unity", "leftright2d", "npy_tree", "mpii_lsp"),
    "permutation": ("unity", "leftright2d", "npy_tree", "mpii_lsp", "mocap", "rendered"),
    "intrinsics": ("unity", "leftright2d", "npy_tree", "synthetic"),
    "unit_mm": ("h36m", "mpii_lsp", "mocap", "rendered"),
    "body_model": ("mocap", "rendered"),
    "baseline_mm": ("h36m", "unity", "npy_tree", "mocap", "synthetic", "rendered"),
    "distort": ("h36m", "mocap"),
    "cameras_style": ("h36m", "mocap", "synthetic"),
    "count": ("synthetic", "rendered"),
    "seed": ("h36m", "mocap", "synthetic", "rendered"),
}


def taken_by(name: str) -> list[str]:
    """The fields of `Options` that a source of `SOURCES` takes besides ``split``, in the order of `TAKEN`."""
    return [field for field, takers in TAKEN.items() if name in takers]


def check_taken(name: str, given: Iterable[str], has_input: bool) -> None:
    """Raises `InputError` for a field of `Options` that the user gave and that the source has no use for.

    Args:
      name: of the source. One of the user's own may take any.
      given: the fields that were given. has_input: whether the source was given an input.
    """
    if ":" in name:
        return
    for field in given:
        takers = TAKEN.get(field)
        if takers is None:
            continue
        if name not in takers:
            raise InputError(f"--{field}: source {name} does not take it; those that do: {', '.join(takers)}")
        if name == "rendered" and field in _OF_CAPTURED and not has_input:
            raise InputError(f"--{field}: source rendered takes it only with motion capture as its --input")


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
    except (Exception, SystemExit) as error:  # what the user's own file does when it is imported
        raise InputError(f"--source={name}: importing {module} ended with {type(error).__name__}: {error}") from error
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
