"""The baseline network on disk: what leaves a training directory, what is imported, and what the repository ships.

A weights folder holds one network:
  model.json   its sizes, its input, its joints, and the facts of its making (data, command, figures, crop margin)
  weights.npz  its variables by name, batch norms' moving statistics among them; float16 or float32
  README.md    a model card, optional; saving again keeps it
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from baseline_network.network import decoding, hourglass, kinds, landmark_encoder, targets
from tools.cli.errors import InputError
from tools.detection import mediapipe_models
from tools.files import inputs, remote, weights_folder
from tools.training import op_forms

FORMAT = 1
# The network's input; docs/reference.md: imported checkpoints need it, and this project's own weights are trained
# with it.
INPUT = "BGR / 256"
CARD = "README.md"
_OF_THE_LABEL_GENERATOR = "weights of the label generator, expected those of the baseline network"
SHIPPED = pathlib.Path(__file__).resolve().parents[1] / "weights"
# Shipped too, by name; it needs no other files.
WITHOUT_MEDIAPIPE = "photographs-128-2"


@dataclasses.dataclass(frozen=True)
class HourglassWeights:
    """One network as it lies on disk.

    Attributes:
      sizes: of the network.
      values: float32 arrays by the variables' names.
      facts: figures and origin, and what `predictor.Predictor` needs: 'crop_margin', side of the crop over the longer
        side of the person's box in training.
      directory: where it was read from.
    """

    sizes: hourglass.Sizes
    values: dict[str, np.ndarray]
    facts: dict[str, Any]
    directory: str = ""

    def at_resolution(self, resolution: int) -> HourglassWeights:
        """These weights for input crops of another side, px; the same object where it is theirs already.

        Convolutions do not depend on it. The depths' last layer has a weight for each cell of a grid over the crop:
        those are shared out among the cells of the other grid by the areas that they cover, so that features which are
        constant over each cell of the former grid give the same depths.

        Raises:
          InputError: no such resolution is possible (`hourglass.Sizes`).
        """
        if resolution == self.sizes.resolution:
            return self
        if isinstance(self.sizes, landmark_encoder.Sizes):
            dataclasses.replace(self.sizes, resolution=resolution)  # refuses
        sizes = dataclasses.replace(self.sizes, resolution=resolution)
        old, new = (one.heatmap_resolution // 2**hourglass.REGRESSION_POOLS for one in (self.sizes, sizes))
        edges = np.arange(new + 1)[:, None] / new, np.arange(old + 1)[None] / old
        overlap = np.minimum(edges[0][1:], edges[1][:, 1:]) - np.maximum(edges[0][:-1], edges[1][:, :-1])
        shares = np.maximum(overlap, 0.0) * old  # [new, old]
        grid = self.values["reg/kernel"].reshape(old, old, sizes.features, sizes.joints)
        kernel = np.einsum("yi,xj,ijco->yxco", shares, shares, grid).reshape(-1, sizes.joints)
        values = {**self.values, "reg/kernel": kernel.astype(np.float32)}
        return dataclasses.replace(self, sizes=sizes, values=values)

    def of_kind(self, sizes: hourglass.Sizes) -> HourglassWeights:
        """These weights for a network of another kind; the same object where it is theirs already.

        Of a head on the landmark network that does not lift (`landmark_encoder.Sizes`) for one that does: what the two
        have in common, the rest as random as in a new network but for the last layer, which begins at zero.
        """
        if type(sizes) is type(self.sizes):
            return self
        values = {
            name: np.asarray(variable) for name, variable in variables_of(kinds.build(sizes, dtype="float32")).items()
        }
        values["lifting.whole/kernel"] = np.zeros_like(values["lifting.whole/kernel"])
        values |= {name: value for name, value in self.values.items() if name in values}
        return dataclasses.replace(self, sizes=sizes, values=values)

    def build(
        self, dtype: hourglass.DType = None, synchronized: bool = False, form: str = op_forms.AUTO
    ) -> tf.keras.Model:
        """The Keras model with these values; arguments as of `hourglass.build`.

        Raises:
          InputError: the values are not those of a network of these sizes; names the file.
        """
        model = kinds.build(self.sizes, synchronized=synchronized, dtype=dtype, form=form)
        weights_folder.assign(variables_of(model), self.values, os.path.join(self.directory, weights_folder.WEIGHTS))
        return model


def variables_of(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The variables of a model of `hourglass.build` by 'layer/kind', such as 'hourglass.0.up1_.0.bn/gamma'."""
    return {
        f"{layer.name}/{variable.name.rsplit('/', 1)[-1].split(':')[0]}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def save(
    directory: str | os.PathLike, model: tf.keras.Model, facts: Mapping[str, Any] | None = None, half: bool = False
) -> pathlib.Path:
    """Writes a model of `hourglass.build` as a weights folder, whole or not at all; a folder of that name is replaced.

    Args:
      directory: the folder; a card (README.md) in it is kept.
      model: under a tf.distribute strategy call this in the chief alone.
      facts: for model.json, see `HourglassWeights`.
      half: store float16, which halves the file.

    Returns:
      The folder.

    Raises:
      InputError: a variable that is not finite in that precision; nothing is written then.
    """
    description = {
        "format": FORMAT,
        "network": kinds.kind_of(kinds.sizes_of(model)),
        "input": INPUT,
        "joints": list(targets.MPII16.joints),
        "sizes": dataclasses.asdict(kinds.sizes_of(model)),
        "facts": dict(facts or {}),
    }
    values = {name: variable.numpy() for name, variable in variables_of(model).items()}
    return weights_folder.write(directory, description, values, "float16" if half else "float32", keep=(CARD,))


def load(directory: str | os.PathLike) -> HourglassWeights:
    """Reads a weights folder; names and shapes of all its values are compared by `Network.build`.

    Args:
      directory: a folder, an address, or the name of weights that the repository ships beside the default ones.

    Raises:
      InputError: there is none, or it is damaged, of another format or another network, or a value is not finite.
    """
    directory = remote.fetched(_named(directory))
    content = weights_folder.read_description(_checked_folder(directory), FORMAT)
    where = pathlib.Path(directory, weights_folder.MODEL)
    kind = content.get("network")
    if kind is None and "stage" in content:
        raise InputError(f"{where}: {_OF_THE_LABEL_GENERATOR}")
    if kind not in kinds.SIZES:
        expected = " or ".join(map(repr, kinds.SIZES))
        raise InputError(f"{where}: describes no baseline network (network: {kind!r}, not {expected})")
    if content.get("input") != INPUT:
        raise InputError(f"{where}: the network's input is {content.get('input')!r}, expected {INPUT!r}")
    names = {field.name for field in dataclasses.fields(hourglass.Sizes)}
    listed, facts = content.get("sizes"), content.get("facts", {})
    if (
        not isinstance(listed, dict)
        or set(listed) != names
        or not all(type(value) is int for value in listed.values())
        or not isinstance(facts, dict)
    ):
        raise InputError(f"{where}: expected sizes with the whole numbers {', '.join(sorted(names))}, and facts")
    try:
        sizes = kinds.SIZES[kind](**listed)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if content.get("joints", list(targets.MPII16.joints)) != list(targets.MPII16.joints) and sizes.joints == 16:
        raise InputError(f"{where}: joints are {content['joints']}, expected MPII's {', '.join(targets.MPII16.joints)}")
    if facts.get("peaks", decoding.QUARTER) not in (decoding.QUARTER, decoding.FIT):
        raise InputError(f"{where}: peaks {facts['peaks']!r}: expected '{decoding.QUARTER}' or '{decoding.FIT}'")
    values = weights_folder.read_variables(directory)
    _check_values(values, sizes, os.path.join(directory, weights_folder.WEIGHTS))
    return HourglassWeights(sizes, values, facts, str(directory))


def _checked_folder(directory: str | os.PathLike) -> pathlib.Path:
    """The folder; raises `InputError` when it holds the label generator's networks in folders of their own."""
    folder = pathlib.Path(directory)
    if not (folder / weights_folder.MODEL).exists():
        for path in sorted(folder.glob(f"*/{weights_folder.MODEL}")):
            content = inputs.read_json(path)
            if isinstance(content, dict) and "stage" in content:
                raise InputError(f"{folder}: {_OF_THE_LABEL_GENERATOR}")
    return folder


def _check_values(values: dict[str, np.ndarray], sizes: hourglass.Sizes, where: str) -> None:
    """Raises `InputError` when arrays are not those of a network of these sizes, before one is built of any size."""

    if isinstance(sizes, landmark_encoder.Sizes):
        _check_head(values, sizes, where)
        return

    def dimension(name: str, axis: int) -> int | None:
        return values[name].shape[axis] if name in values and values[name].ndim > axis else None

    def count(pattern: str) -> int:
        return sum(pattern.format(number) in values for number in range(len(values)))

    regressed = sizes.features * (sizes.resolution // 64) ** 2
    for what, found, expected in (
        ("stacks", count("lin_.{}.0/kernel"), sizes.stacks),
        ("modules", count("hourglass.0.up1_.{}.conv1/kernel"), sizes.modules),
        ("features", dimension("lin_.0.0/kernel", 3), sizes.features),
        ("joints", dimension("tmpOut.0/kernel", 3), sizes.joints),
        ("inputs of reg, which follow from features and resolution", dimension("reg/kernel", 0), regressed),
    ):
        if found != expected:
            raise InputError(f"{where}: {what}: {found or 'none'} in the arrays, {expected} by {weights_folder.MODEL}")
    _check_variances(values, where)


def _check_head(values: dict[str, np.ndarray], sizes: hourglass.Sizes, where: str) -> None:
    """The same for a head on the landmark network."""
    kernel = values["logits/kernel"].shape[2:] if "logits/kernel" in values else ()
    modules = sum(f"level0.{number}.dw/depthwise_kernel" in values for number in range(len(values)))
    if (*kernel, modules) != (sizes.features, sizes.joints, sizes.modules):
        raise InputError(
            f"{where}: features, joints and modules are {(*kernel, modules)} in the arrays, "
            f"{(sizes.features, sizes.joints, sizes.modules)} by {weights_folder.MODEL}"
        )
    _check_variances(values, where)


def _check_variances(values: dict[str, np.ndarray], where: str) -> None:
    for name, value in values.items():
        if name.endswith("/moving_variance") and value.min() < 0:
            raise InputError(f"{where}: variable {name} holds negative variances")


def described(folder: str | os.PathLike | None, fall_back: bool = False) -> str:
    """Weights in words, those shipped where `folder` is empty; raises `InputError` for damaged ones, builds nothing.

    fall_back: see `default_weights`.
    """
    network = weights_of(folder, fall_back)
    numbers = sum(value.size for value in network.values.values())
    return f"{network.directory}: {network.sizes.stacks} stacks, {network.sizes.resolution} px, {numbers:,} numbers"


def _named(directory: str | os.PathLike) -> str | os.PathLike:
    """The folder of shipped weights, where it is their name and no folder's here."""
    name = os.fspath(directory)
    there = name == os.path.basename(name) and not os.path.exists(name)
    return SHIPPED / name if there and (SHIPPED / name / weights_folder.MODEL).is_file() else directory


def weights_of(folder: str | os.PathLike | None, fall_back: bool = False) -> HourglassWeights:
    """The weights of `load`, or those shipped where `folder` is empty; see `default_weights`."""
    return load(folder) if folder else default_weights(fall_back)


def default_weights(fall_back: bool = False) -> HourglassWeights:
    """The network that the repository ships.

    Args:
      fall_back: where it needs MediaPipe's wheel, which is not installed, take `WITHOUT_MEDIAPIPE` and say so.

    Raises:
      InputError: there is none, or it needs the wheel.
    """
    if not (SHIPPED / weights_folder.MODEL).exists():
        raise InputError(
            f"{SHIPPED}: no weights are shipped here; train some (baseline_network/train.py) or import some "
            "(tools/import_checkpoint.py), and name their folder with --weights"
        )
    network = load(SHIPPED)
    if isinstance(network.sizes, landmark_encoder.Sizes) and not mediapipe_models.available():
        note = f"MediaPipe's wheel is not installed ({mediapipe_models.HOW_TO_GET_IT})"
        if not fall_back:
            raise InputError(
                f"{note}, whose landmark network the shipped weights need; --weights={WITHOUT_MEDIAPIPE} do not"
            )
        print(f"{note}: the network {WITHOUT_MEDIAPIPE}, which is less accurate, is used", flush=True)
        network = load(WITHOUT_MEDIAPIPE)
    return network
