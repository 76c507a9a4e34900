"""Weights of a finished body head, to start a training from.

A `.tflite` has the batch normalisation inside its convolutions. It is taken out again: on a few crops the mean and the
variance of what each normalisation sees are measured, and its scale and shift are set so that it does nothing else than
the convolution's bias did. The network computes what the file does, up to its float16 weights.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from baseline_network.training import body_head_crops
from baseline_network.training.body_head_crops import Crops
from baseline_network.training.body_head_people import Scale
from tools.cli.errors import InputError
from tools.detection import body_head
from tools.files import checksums

_MEASURED_ON = 512  # crops
# Channels of the fine, middle and coarse input, and of the heat maps, some of which a convolution picks.
_INPUTS, _MAPS = (80 + len(body_head.MAPS), 88, 144), 39


def file_of(place: str) -> pathlib.Path:
    """The file of a head that is to be started from, checked; raises `InputError`, see `tools.detection.body_head`."""
    body_head.check(place)
    return body_head.weights_file(place)


def check(network: Any, path: pathlib.Path) -> None:
    """Raises `InputError` unless a file has the layers of a network of `body_head.build`."""
    _stored(path, [layer.get_weights()[0].shape for layer in _convolutions(network)])


def _convolutions(network: Any) -> list[Any]:
    from tensorflow import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def set_weights(network: Any, path: pathlib.Path, crops: Crops, rows: np.ndarray) -> None:
    """Gives a network of `body_head.build` the weights of a file, measured on rows of crops.

    Raises:
      InputError: a head of another shape.
    """
    from tensorflow import keras

    layers = keras.layers
    convolutions = _convolutions(network)
    stored = _stored(path, [layer.get_weights()[0].shape for layer in convolutions])
    following = {id(layer.input): layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)}
    norms = []
    for layer, (kernel, bias) in zip(convolutions, stored):
        if layer.use_bias:
            layer.set_weights([kernel, bias])
            continue
        norm = following[id(layer.output)]
        layer.set_weights([kernel])
        norm.set_weights([np.ones_like(bias), bias, np.zeros_like(bias), np.full_like(bias, 1 - norm.epsilon)])
        norms.append((norm, bias))
    # What each normalisation sees, while all of them let it through.
    seen = keras.Model(network.inputs, [norm.input for norm, _ in norms])
    count, sums, squares = 0, [0.0] * len(norms), [0.0] * len(norms)
    chosen = rows[np.linspace(0, len(rows) - 1, min(_MEASURED_ON, len(rows))).astype(int)]
    for start in range(0, len(chosen), 64):
        batch = np.unique(chosen[start : start + 64])
        tensors = body_head_crops.as_inputs(crops.fine[batch], crops.middle[batch], crops.coarse[batch])
        count += len(batch)
        for place, values in enumerate(seen(tensors, training=False)):
            flat = values.numpy().astype(np.float64)
            sums[place] = sums[place] + flat.mean((1, 2)).sum(0)
            squares[place] = squares[place] + (flat**2).mean((1, 2)).sum(0)
    for (norm, bias), total, square in zip(norms, sums, squares):
        mean = total / count
        variance = np.maximum(square / count - mean**2, 0.0)
        norm.set_weights([np.sqrt(variance + norm.epsilon), bias + mean, mean, variance])


def scale_of(path: pathlib.Path) -> Scale:
    """How a file of `body_head.write` scales its inputs; raises `InputError` for a file of another kind."""
    subtracted, multiplied = ({len(values): values for values in _read(path)[kind]} for kind in ("SUB", "MUL"))
    channels = [48, 32, *_INPUTS[1:]]  # of `tools.detection.body_head.INNER` but the first
    if not set(channels) <= set(subtracted) & set(multiplied):
        raise _refused(path)
    return Scale([np.stack([subtracted[count], 1 / multiplied[count]]) for count in channels], checksums.of_file(path))


def _stored(path: pathlib.Path, shapes: Sequence[tuple[int, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels of these shapes and their biases, in a file of `body_head.write`.

    Three convolutions take the inputs, each of a number of channels of its own; all others follow each other.
    """
    pairs = _read(path)["CONV"]
    first = {kernel.shape[2]: (kernel, bias) for kernel, bias in pairs if kernel.shape[2] in _INPUTS}
    others = iter([pair for pair in pairs if pair[0].shape[2] not in (*_INPUTS, _MAPS)])
    found = [first.get(shape[2]) or next(others, None) for shape in shapes]
    if [pair[0].shape if pair else () for pair in found] != list(shapes) or next(others, None):
        raise _refused(path)
    return [pair for pair in found if pair]


def _read(path: pathlib.Path) -> dict[str, list[Any]]:
    """Constants of a file: kernels [h, w, C, D] with their biases ('CONV'), what is subtracted and multiplied with."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(path.read_bytes()), 0))
    graph = model.subgraphs[0]
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    values: dict[int, np.ndarray] = {}
    found: dict[str, list[Any]] = {"CONV": [], "SUB": [], "MUL": []}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        constants = [values[int(number)] for number in operator.inputs if int(number) in values]
        if name == "DEQUANTIZE":
            tensor = graph.tensors[operator.inputs[0]]
            stored = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float16)
            values[int(operator.outputs[0])] = stored.reshape(tensor.shape).astype(np.float32)
        elif name in ("CONV_2D", "DEPTHWISE_CONV_2D") and len(constants) == 2:
            found["CONV"].append((constants[0].transpose(1, 2, 3, 0), constants[1]))
        elif name in ("SUB", "MUL") and len(constants) == 1 and constants[0].ndim == 1:
            found[name].append(constants[0])
    return found


def _refused(path: pathlib.Path) -> InputError:
    return InputError(f"{path}: a head of other layers; a training starts from one of train_body_head.py, or from none")
