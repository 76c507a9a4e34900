"""Networks on disk: what leaves a training directory, and what the repository ships.

A weights folder holds one network:
  model.json       stage, recipe, sizes, and the facts of its making (data, command, figures)
  weights.npz      its variables by name, float16 or float32
  statistics.json  its normalisation statistics, where the recipe has any

A folder may also hold several such folders, as `label_generator/weights` does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from label_generator import normalization
from tools.errors import InputError

FORMAT = 1
STAGES = ("left2right", "pose3d", "direct")
RECIPES = ("published", "canonical")
# What zipfile raises for a damaged archive, NotImplementedError for a method or version that damage made up.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_MODEL, _WEIGHTS, _STATISTICS = "model.json", "weights.npz", "statistics.json"


@dataclasses.dataclass(frozen=True)
class Network:
    """One network as it lies on disk.

    Attributes:
      stage: 'left2right', 'pose3d' or 'direct'.
      recipe: 'published' (`linear_model`) or 'canonical' (`prenorm_model`).
      config: keyword arguments that build it.
      variables: float32 arrays by name.
      statistics: `normalization.Statistics` by name; {} where the recipe has none.
      facts: what a reader wants to know: data, command, figures.
      directory: where it was read from.
    """

    stage: str
    recipe: str
    config: dict
    variables: dict[str, np.ndarray]
    statistics: dict[str, normalization.Statistics]
    facts: dict
    directory: str = ""


def save_network(
    directory: str | os.PathLike,
    stage: str,
    recipe: str,
    config: Mapping,
    variables: Mapping[str, np.ndarray],
    statistics: Mapping[str, normalization.Statistics] | None = None,
    facts: Mapping | None = None,
    dtype: str = "float32",
) -> pathlib.Path:
    """Writes a weights folder, whole or not at all; a folder of that name is replaced.

    Raises:
      InputError: a variable that is not finite, also after rounding to `dtype`.
    """
    if stage not in STAGES or recipe not in RECIPES:
        raise InputError(f"{directory}: a network is of stage {', '.join(STAGES)} and recipe {', '.join(RECIPES)}")
    with np.errstate(over="ignore"):
        arrays = {name: np.asarray(value).astype(dtype) for name, value in variables.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{directory}: variable {name} is not finite in {dtype}; nothing was written")
    directory = pathlib.Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        content = {"format": FORMAT, "stage": stage, "recipe": recipe, "config": dict(config), "facts": facts or {}}
        (temporary / _MODEL).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        np.savez_compressed(temporary / _WEIGHTS, **arrays)
        if statistics:
            normalization.save_statistics(temporary / _STATISTICS, statistics)
        temporary.chmod(0o755)
        if directory.exists():
            old = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
            os.replace(directory, old / directory.name)
            os.replace(temporary, directory)
            shutil.rmtree(old)
        else:
            os.replace(temporary, directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return directory


def load_network(directory: str | os.PathLike) -> Network:
    """Reads a weights folder.

    Raises:
      InputError: there is none, or it is damaged or of another format.
    """
    directory = pathlib.Path(directory)
    try:
        content = json.loads((directory / _MODEL).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{directory}: not a weights folder ({_MODEL}: {error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{directory / _MODEL}: not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{directory / _MODEL}: expected a network description of format {FORMAT}")
    missing = {"stage", "recipe", "config"} - set(content)
    facts = content.get("facts", {})
    plain = not missing and isinstance(content["config"], dict) and isinstance(facts, dict)
    if not plain or content["stage"] not in STAGES or content["recipe"] not in RECIPES:
        raise InputError(
            f"{directory / _MODEL}: expected stage {', '.join(STAGES)}, recipe {', '.join(RECIPES)}, config"
        )
    try:
        with np.load(directory / _WEIGHTS) as archive:
            variables = {name: archive[name].astype(np.float32) for name in archive.files}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, EOFError, *_DAMAGED) as error:
        raise InputError(f"{directory / _WEIGHTS}: cannot be read as arrays ({error})") from error
    statistics = directory / _STATISTICS
    return Network(
        content["stage"],
        content["recipe"],
        content["config"],
        variables,
        normalization.load_statistics(statistics) if statistics.exists() else {},
        facts,
        str(directory),
    )


def find_networks(directories: list[str | os.PathLike]) -> dict[str, Network]:
    """The networks by stage in these weights folders and in the folders directly inside them; later ones win.

    Raises:
      InputError: a folder with none.
    """
    found = {}
    for directory in map(pathlib.Path, directories):
        candidates = [directory, *sorted(path for path in directory.glob("[!.]*") if path.is_dir())]
        here = [load_network(path) for path in candidates if (path / _MODEL).exists()]
        if not here:
            raise InputError(f"{directory}: no weights folder (one with {_MODEL}) here or directly inside")
        found.update({network.stage: network for network in here})
    return found


def assign(variables: Mapping[str, object], values: Mapping[str, np.ndarray], where: str) -> None:
    """Gives TensorFlow variables their values by name.

    Raises:
      InputError: a name is missing or too much, or a shape is another.
    """
    for name in sorted(set(variables) ^ set(values)):
        raise InputError(f"{where}: variable {name} is {'missing' if name in variables else 'not of this network'}")
    for name, variable in variables.items():
        if tuple(variable.shape) != values[name].shape:
            raise InputError(f"{where}: {name} is {list(values[name].shape)}, expected {list(variable.shape)}")
        variable.assign(values[name])
