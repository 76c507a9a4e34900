"""Checkpoints of the released TensorFlow 1 code as networks of this project.

Names, shapes and what does not follow from them: docs/reference.md, "Flags and checkpoints". The stage, the sizes and
batch norm follow from the variables. Whether the network has residual adds and clips its weights does not; it is given,
or read from the name of the experiment directory. The normalisation statistics are not in a checkpoint either:
`statistics` takes them from the poses that the network was trained on.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from label_generator.networks.linear_model import RELEASED_SCOPE, LinearModelConfig
from label_generator.stages import pose_rows, published
from label_generator.stages.stage import COORDINATES
from tools.cli.errors import InputError, first_line
from tools.files import inputs
from tools.pose.joints import POSE17

# Which of the released networks a checkpoint is of.
_STAGE_OF_SIZES = {(stage.input_size, stage.output_size): stage.name for stage in published.PAPER}

_OPTIMIZER = {"beta1_power", "beta2_power"}
_SLOTS = ("/Adam", "/Adam_1")
_PARTS_OF_FILES = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_BLOCK = re.compile(rf"{RELEASED_SCOPE}/two_linear_(\d+)/")
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One released network as it was read.

    Attributes:
      path: the checkpoint's prefix.
      stage: 'left2right' or 'pose3d'.
      linear_size, num_layers, batch_norm: what names and shapes tell.
      variables: float32 arrays by released name, in the checkpoint's order of joints.
      facts: global_step and learning_rate, where it has them.
    """

    path: str
    stage: str
    linear_size: int
    num_layers: int
    batch_norm: bool
    variables: dict[str, np.ndarray]
    facts: dict[str, float]

    def config(self, residual: bool, max_norm: bool, dropout: float = 1.0) -> LinearModelConfig:
        """What defines the network, with what the checkpoint doesn't tell; dropout is the probability to keep."""
        return LinearModelConfig.of_stage(
            self.stage,
            linear_size=self.linear_size,
            num_layers=self.num_layers,
            batch_norm=self.batch_norm,
            residual=residual,
            max_norm=max_norm,
            dropout=dropout,
        )


def find_checkpoint(path: str | os.PathLike) -> str:
    """The prefix of the checkpoint that `path` means.

    Args:
      path: a prefix (`checkpoint-1234`), one of its files, a single-file checkpoint of the older format, or a folder,
        whose `checkpoint` file names the latest. Folders are moved, so only the file name of what it says counts.

    Raises:
      InputError: nothing there, or several and no word on which.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return str(path / _latest(path))
    prefix = _PARTS_OF_FILES.sub("", str(path))
    if path.name != "checkpoint" and (os.path.isfile(prefix + ".index") or os.path.isfile(prefix)):
        return prefix
    if path.is_file() and path.name == "checkpoint":
        return find_checkpoint(path.parent)
    parts = sorted(path.parent.glob(pathlib.Path(prefix).name + ".data-*")) if path.parent.is_dir() else []
    if parts:
        raise InputError(f"{prefix}.index: is missing, and {parts[0].name} can't be read without it")
    raise InputError(f"{path}: no checkpoint; expected a folder, or a prefix with {prefix}.index beside it")


def _latest(folder: pathlib.Path) -> str:
    there = sorted(file.name[: -len(".index")] for file in folder.glob("*.index"))
    state = folder / "checkpoint"
    if state.is_file():
        text = inputs.read_bytes(state).decode("utf-8", "replace")
        named = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
        if not named:
            raise InputError(f"{state}: names no model_checkpoint_path")
        # Windows' separator is written twice there.
        name = re.split(r"[/\\]", named[1])[-1]
        if name in there or (folder / name).is_file():
            return name
        raise InputError(f"{state}: names {name}, which is not there; there is {_listed(there) or 'no checkpoint'}")
    if len(there) != 1:
        problem = (
            f"{len(there)} checkpoints ({_listed(there)}), name one" if there else "no checkpoint (no .index file)"
        )
        raise InputError(f"{folder}: {problem}")
    return there[0]


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint of either released network, in the older or newer format of TensorFlow 1.

    Optimizer slots are left out.

    Raises:
      InputError: no checkpoint, damaged, or of another network; names the variables that are missing or too much.
    """
    import tensorflow as tf

    prefix = find_checkpoint(path)
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        stage, described = _described(prefix, shapes)
        # Names and shapes are right, so this is neither much memory nor another program's data.
        variables = {name: np.asarray(reader.get_tensor(name)) for name in described}
        facts = {name: _number(reader.get_tensor(name)) for name in ("global_step", "learning_rate") if name in shapes}
    except InputError:
        raise
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        raise InputError(f"{prefix}: not a TensorFlow checkpoint, or damaged: {first_line(error)}") from None
    for name, value in variables.items():
        if not np.issubdtype(value.dtype, np.floating) or not np.isfinite(value).all():
            raise InputError(f"{prefix}: {name} holds numbers that are not finite, or none ({value.dtype})")
    return Checkpoint(
        prefix,
        stage,
        shapes[f"{RELEASED_SCOPE}/w1"][1],
        _blocks(shapes),
        _has_batch_norm(shapes),
        {name: value.astype(np.float32) for name, value in variables.items()},
        {name: value for name, value in facts.items() if value is not None},
    )


def _described(prefix: str, shapes: Mapping[str, tuple]) -> tuple[str, dict[str, tuple]]:
    """The stage, and the name -> shape of all variables of the network that this is a checkpoint of."""
    first, last = (shapes.get(f"{RELEASED_SCOPE}/{name}") for name in ("w1", "w4"))
    if first is None and last is None:
        raise InputError(
            f"{prefix}: not of the released code: no {RELEASED_SCOPE}/w1 among its {len(shapes)} variables "
            f"({_listed(sorted(shapes))})"
        )
    for name, shape in (("w1", first), ("w4", last)):
        if shape is None or len(shape) != 2 or 0 in shape:
            what = "is missing" if shape is None else f"is {list(shape)}, expected a matrix"
            raise InputError(f"{prefix}: {RELEASED_SCOPE}/{name} {what}")
    assert first is not None
    assert last is not None
    sizes = first[0], last[1]
    if sizes not in _STAGE_OF_SIZES:
        known = " or ".join(f"{i} -> {o} ({stage})" for (i, o), stage in _STAGE_OF_SIZES.items())
        raise InputError(f"{prefix}: a network of {sizes[0]} -> {sizes[1]} numbers; the released ones are {known}")
    stage = _STAGE_OF_SIZES[sizes]
    config = LinearModelConfig.of_stage(
        stage, linear_size=first[1], num_layers=_blocks(shapes), batch_norm=_has_batch_norm(shapes)
    )
    expected = _shapes_of(config)
    _check_names(prefix, expected, shapes)
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise InputError(f"{prefix}: {name} is {list(shapes[name])}, expected {list(shape)}")
    return stage, expected


def _check_names(prefix: str, expected: Mapping, present: Mapping) -> None:
    missing = [name for name in expected if name not in present]
    known = {*expected, *_OPTIMIZER, "global_step", "learning_rate"}
    known |= {name + slot for name in expected for slot in _SLOTS}
    extra = sorted(set(present) - known)
    wrong = [
        f"{len(names)} variable{'s' if len(names) > 1 else ''} {what}: {_listed(names)}"
        for names, what in ((missing, "missing"), (extra, "unexpected"))
        if names
    ]
    if wrong:
        raise InputError(f"{prefix}: not a whole network of the released code: {'; '.join(wrong)}")


def _shapes_of(config: LinearModelConfig) -> dict[str, tuple]:
    shapes: dict[str, tuple[int, ...]] = {}
    for weight, bias, norm, rows, columns in config.layers():
        shapes[weight], shapes[bias] = (rows, columns), (columns,)
        if config.batch_norm and norm is not None:
            shapes.update(
                {f"{norm}/{part}": (columns,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
            )
    return {f"{RELEASED_SCOPE}/{name}": shape for name, shape in shapes.items()}


def _blocks(names: Mapping) -> int:
    """One more than the highest number of a block; a block between that is not there is found missing by its names."""
    numbers = {int(match[1]) for match in map(_BLOCK.match, names) if match and len(match[1]) < 4}
    return max(numbers, default=-1) + 1


def _has_batch_norm(names: Mapping) -> bool:
    return any("/batch_normalization" in name for name in names)


def _number(value: Any) -> float | int | None:
    """A variable that holds one finite number, as Python's, else None."""
    value = np.asarray(value)
    usable = value.shape == () and np.issubdtype(value.dtype, np.number) and np.isfinite(value)
    return value.item() if usable else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")


def choices_of_directory(path: str | os.PathLike) -> dict[str, bool | float]:
    """What the released experiment directory's name says of residual, max_norm and dropout; {} for other folders.

    `.../dropout_0.5/epochs_200/lr_0.001/residual/depth_2/linear_size1024/batch_size_64/maxnorm/batch_normalization/...`
    """
    place = "/" + pathlib.Path(os.path.abspath(path)).as_posix().strip("/") + "/"
    choices: dict[str, bool | float] = {}
    for name, pattern, parse in (
        ("residual", r"/(residual|not_residual)/depth_\d+/", lambda word: word == "residual"),
        ("max_norm", r"/(maxnorm|no_maxnorm)/(?:no_)?batch_normalization/", lambda word: word == "maxnorm"),
        ("dropout", r"/dropout_(1|[01]?\.\d+)/epochs_\d+/", float),
    ):
        matches = re.findall(pattern, place)
        if matches:
            choices[name] = parse(matches[-1])
    return choices


def permuted(variables: Mapping[str, np.ndarray], stage: str, order: Sequence[int]) -> dict[str, np.ndarray]:
    """The same network for rows in this project's order of joints.

    Args:
      variables: by released name.
      stage: 'left2right' (planar rows) or 'pose3d' (interleaved rows, left view ++ right view).
      order: joint i of this project is joint order[i] of the network.

    Raises:
      InputError: the order moves the root, by which the released code centres poses, so that the network would be fed
        poses centred on another joint.
    """
    places = np.asarray(order)
    if places[POSE17.root] != POSE17.root:
        raise InputError(
            f"the permutation makes joint {places[POSE17.root]} the root; the released code's is {POSE17.root}, the hip"
        )
    described = published.STAGES[stage]
    # Where the columns of a row in this project's order are found in a row of the other order.
    numbers = np.arange(described.input_size).reshape(len(described.inputs), -1)
    views = [
        pose_rows.from_rows(view, COORDINATES[field], described.layout)
        for view, field in zip(numbers, described.inputs)
    ]
    inputs = described.input_rows(*(view[places] for view in views))
    outputs = described.output_rows(described.output_poses(np.arange(described.output_size))[places])
    changed = dict(variables)
    changed[f"{RELEASED_SCOPE}/w1"] = variables[f"{RELEASED_SCOPE}/w1"][inputs]
    changed[f"{RELEASED_SCOPE}/w4"] = variables[f"{RELEASED_SCOPE}/w4"][:, outputs]
    changed[f"{RELEASED_SCOPE}/b4"] = variables[f"{RELEASED_SCOPE}/b4"][outputs]
    return changed
