"""Weights of the published PyTorch network ("hg3d") for this project's model.

The files pickle the whole network, classes and all, and a pickle is a program. They are read by torch's weights-only
loader where that does, and otherwise by a pickle machine that runs nothing of the file: tensors are rebuilt by torch,
every module of the network becomes an inert holder of its attributes, and any other name is refused.
"""

from __future__ import annotations

import collections
import os
import pickle
import types
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import tensorflow as tf

from baseline_network.network import hourglass
from tools.cli.errors import InputError, first_line

# What a file may ask torch itself for: the makers of tensors, in its versions since 0.1.
_TENSOR_MAKERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
# Packages whose classes may be the network's own: torch's modules and those of the published code.
_NETWORK_PACKAGES = ("torch.nn", "torch.autograd", "models", "__main__")
_PARALLEL = "module."


class _Refused(Exception):
    """The file asks for something that no network's weights need."""


class _Maker:
    """One of torch's makers of tensors, without attributes that a pickle could set."""

    __slots__ = ("_make",)

    def __init__(self, name: str):
        import torch

        self._make = getattr(torch._utils, name)

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("changes what makes its tensors")


class _Inert:
    """Stands for a class of the network: takes any arguments and state, and does nothing with them."""

    # torch reads this attribute of classes whose source was pickled: whether to write the differences to a file.
    dump_patches = False

    def __init__(self, *arguments: Any, **_: Any):
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """The machine, with a short list instead of imports."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) in (("builtins", "set"), ("__builtin__", "set")):
            return set
        if module == "torch._utils" and name in _TENSOR_MAKERS:
            return _Maker(name)
        if any(module == package or module.startswith(package + ".") for package in _NETWORK_PACKAGES):
            return _Inert
        raise _Refused(f"{module}.{name}")


def _load(file: IO[bytes], **options: Any) -> Any:
    return _Unpickler(file, **options).load()


def _safe_pickle() -> types.ModuleType:
    """What torch.load takes for the module pickle."""
    module = types.ModuleType("restricted_pickle")
    vars(module).update(Unpickler=_Unpickler, load=_load)
    return module


def read_state(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The weights of a published file by their PyTorch names.

    Args:
      path: a file of torch.save: the state, a checkpoint with the state as 'state_dict', or the whole network, of a
        single device or of DataParallel. Nothing of the file is run.

    Returns:
      name -> float32 array in PyTorch's layout; batch norms' counters left out.

    Raises:
      InputError: no such file, no such format, damaged, not an hg3d network, refused, or PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading PyTorch checkpoints needs PyTorch: pip install -e '.[torch]' in the project's folder"
        ) from None
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    with warnings.catch_warnings():
        # Warnings of changed class sources and of unusual protocols, neither of which matters here.
        warnings.simplefilter("ignore")
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # not weights alone, or damaged: the second reader distinguishes
            loaded = _load_network(torch, path)
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict", loaded.get("model")), (dict, _Inert)):
        loaded = loaded.get("state_dict", loaded.get("model"))
    named = dict(_tensors_of(loaded)) if isinstance(loaded, _Inert) else loaded
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named):
        raise InputError(f"{path}: holds neither a network nor its weights")
    state = {}
    for name, value in named.items():
        if isinstance(value, torch.Tensor) and not name.endswith("num_batches_tracked"):
            short = name[len(_PARALLEL) :] if name.startswith(_PARALLEL) else name
            state[short] = value.detach().to(torch.float32).numpy().copy()
    if "conv1_.weight" not in state or "reg.weight" not in state:
        raise InputError(f"{path}: not an hg3d network; it has no conv1_ and reg ({len(state)} tensors)")
    return state


def _load_network(torch: types.ModuleType, path: str | os.PathLike) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_safe_pickle())
    except _Refused as refused:
        raise InputError(f"{path}: refused, weights of a network do not need this: {refused}") from None
    except Exception as error:  # a damaged pickle can fail in any of the ways of the machine's instructions
        kind = "a damaged PyTorch file" if zipfile.is_zipfile(path) else "not a PyTorch file, or a damaged one"
        what = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{path}: {kind} ({what})") from None


def _tensors_of(module: _Inert, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, tensor) of everything a network held when it was pickled."""
    for group in ("_parameters", "_buffers"):
        for name, value in (getattr(module, group, None) or {}).items():
            # PyTorch 0.1 wrote parameters as objects around their tensor.
            yield prefix + name, value.arguments[0] if isinstance(value, _Inert) and value.arguments else value
    for name, child in (getattr(module, "_modules", None) or {}).items():
        if isinstance(child, _Inert):
            yield from _tensors_of(child, f"{prefix}{name}.")


def sizes_of_state(state: dict[str, np.ndarray], name: str = "checkpoint") -> hourglass.Sizes:
    """The sizes of the network that these weights are of; raises `InputError` when they are of none."""
    stacks = sum(f"lin_.{number}.0.weight" in state for number in range(len(state)))
    modules = sum(f"hourglass.0.up1_.{number}.conv1.weight" in state for number in range(len(state)))
    if not stacks or not modules:
        raise InputError(f"{name}: not an hg3d network; it has no lin_.0.0 or hourglass.0.up1_.0")
    features, joints = state["lin_.0.0.weight"].shape[0], state["tmpOut.0.weight"].shape[0]
    cells = state["reg.weight"].shape[-1] / features
    return hourglass.Sizes(stacks, modules, features, round(cells**0.5 * 64), joints)


def set_weights(model: tf.keras.Model, state: dict[str, np.ndarray], name: str = "checkpoint") -> None:
    """Gives a model of `hourglass.build` the weights of a PyTorch state.

    Raises:
      InputError: a tensor is missing, left over or of another shape than the model's.
    """
    left = set(state)
    for layer in model.layers:
        if not layer.weights:
            continue
        values = []
        for variable in layer.weights:
            kind = variable.name.rsplit("/", 1)[-1].split(":")[0]
            key = f"{layer.name}.{_KINDS[kind]}"
            if key not in state:
                raise InputError(f"{name}: no tensor {key}, which this network has")
            left.discard(key)
            value = _as_keras(state[key], model, layer) if kind == "kernel" else state[key]
            if value.shape != tuple(variable.shape):
                raise InputError(
                    f"{name}: {key} is {list(state[key].shape)}, expected {list(variable.shape)} in Keras' order"
                )
            values.append(value)
        layer.set_weights(values)
    if left:
        raise InputError(f"{name}: {len(left)} tensors that this network has not, first {min(left)}")


# Keras' name of a variable -> PyTorch's.
_KINDS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _as_keras(value: np.ndarray, model: tf.keras.Model, layer: tf.keras.layers.Layer) -> np.ndarray:
    """Convolutions from [out, in, y, x] to [y, x, in, out]; the last layer's inputs from channels first to last."""
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    _, height, width, channels = model.get_layer(f"{layer.name}.flatten").input.shape
    if value.ndim != 2 or value.shape[1] != channels * height * width:
        return value.T
    return value.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, value.shape[0])


def import_hg3d(path: str | os.PathLike) -> tf.keras.Model:
    """The model of a published PyTorch file, of the sizes that the file's tensors have.

    Returns:
      A model of `hourglass.build` in float32; its input is BGR / 256.

    Raises:
      InputError: see `read_state`, `sizes_of_state` and `set_weights`.
    """
    state = read_state(path)
    model = hourglass.build(sizes_of_state(state, str(path)), dtype="float32")
    set_weights(model, state, str(path))
    return model
