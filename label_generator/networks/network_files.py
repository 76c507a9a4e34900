"""Networks on disk: what leaves a training directory, and what the repository ships.

A weights folder holds one network:
  model.json       stage, recipe, sizes, and the facts of its making (data, command, figures)
  weights.npz      its variables by name, float16 or float32
  statistics.json  its normalisation statistics, where the recipe has any

A folder may also hold several such folders, as `label_generator/weights` does.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from label_generator.networks import normalization
from label_generator.stages import names
from tools.cli.errors import InputError
from tools.files import remote, weights_folder

FORMAT = 1
STAGES = names.NETWORKS
# The weights that the repository ships.
SHIPPED = pathlib.Path(__file__).resolve().parents[1] / "weights"
RECIPES = ("published", "canonical")
_MODEL, _STATISTICS = weights_folder.MODEL, "statistics.json"
# Both networks' variables get their values by name in the same way.
assign = weights_folder.assign


@dataclasses.dataclass(frozen=True)
class Network:
    """One network as it lies on disk.

    Attributes:
      stage: of `stages.names.NETWORKS`.
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
    content = {"format": FORMAT, "stage": stage, "recipe": recipe, "config": dict(config), "facts": facts or {}}

    def add_statistics(folder: pathlib.Path) -> None:
        if statistics:
            normalization.save_statistics(folder / _STATISTICS, statistics)

    return weights_folder.write(directory, content, variables, dtype, add=add_statistics)


def load_network(directory: str | os.PathLike) -> Network:
    """Reads a weights folder.

    Raises:
      InputError: there is none, or it is damaged or of another format.
    """
    directory = remote.fetched(directory)
    content = weights_folder.read_description(directory, FORMAT)
    missing = {"stage", "recipe", "config"} - set(content)
    facts = content.get("facts", {})
    plain = not missing and isinstance(content["config"], dict) and isinstance(facts, dict)
    if "network" in content and "stage" not in content:
        raise InputError(
            f"{directory / _MODEL}: weights of the baseline network, expected those of the label generator (stage "
            f"{', '.join(STAGES)})"
        )
    if not plain or content["stage"] not in STAGES or content["recipe"] not in RECIPES:
        raise InputError(
            f"{directory / _MODEL}: expected stage {', '.join(STAGES)}, recipe {', '.join(RECIPES)}, config"
        )
    variables = weights_folder.read_variables(directory)
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
    networks = {}
    for directory in map(remote.fetched, directories):
        candidates = [directory, *sorted(path for path in directory.glob("[!.]*") if path.is_dir())]
        here = [load_network(path) for path in candidates if (path / _MODEL).exists()]
        if not here:
            raise InputError(f"{directory}: no weights folder (one with {_MODEL}) here or directly inside")
        networks.update({network.stage: network for network in here})
    return networks
