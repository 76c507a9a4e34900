"""A TensorFlow Lite graph of floats in TensorFlow's own operations: for batches, gradients and SavedModels.

TensorFlow Lite's interpreter is the reference; results are equal to within rounding. Weights that the file keeps as
float16 are computed with in float32, as there.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tools.cli.errors import InputError

_ACTIVATIONS: dict[int, Callable[[tf.Tensor], tf.Tensor]] = {0: lambda x: x, 1: tf.nn.relu, 3: tf.nn.relu6}
_PADDINGS = {0: "SAME", 1: "VALID"}
_STORED = {0: np.float32, 1: np.float16, 2: np.int32}


# Whether weights become constants of the graph that is being made.
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("_inside", default=False)


@contextlib.contextmanager
def constants_inside() -> Iterator[None]:
    """Graphs that are made inside it hold the weights themselves, for converters that know no other tensors."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


class TfliteGraph:
    """The part of a `.tflite` file that some of its tensors need, as a function of its input."""

    def __init__(self, content: bytes, outputs: Sequence[int]) -> None:
        """outputs: numbers of the tensors that calls return.

        Raises:
          InputError: an operator that this does not know.
        """
        from tensorflow.lite.python import schema_py_generated as schema

        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
        graph = model.subgraphs[0]
        names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
        self._input, self._outputs = int(graph.inputs[0]), tuple(map(int, outputs))
        self.input_shape = tuple(int(side) for side in graph.tensors[self._input].shape[1:])
        self.output_shapes = tuple(tuple(map(int, graph.tensors[number].shape[1:])) for number in self._outputs)
        self._constants: dict[int, np.ndarray] = {}
        needed, kept = set(self._outputs), []
        for operator in reversed(graph.operators):
            if needed.intersection(map(int, operator.outputs)):
                code = model.operatorCodes[operator.opcodeIndex]
                name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
                needed.update(map(int, operator.inputs))
                kept.append((name, operator, [int(one) for one in operator.inputs], int(operator.outputs[0])))
        for number in needed:
            tensor = graph.tensors[number]
            data = model.buffers[tensor.buffer].data
            if data is not None:
                stored = np.frombuffer(bytes(data), _STORED[tensor.type])
                self._constants[number] = stored.reshape(tensor.shape)
        self._operators = []
        for name, operator, inputs, output in reversed(kept):
            if name == "DEQUANTIZE":
                self._constants[output] = self._constants[inputs[0]].astype(np.float32)
            elif not hasattr(self, f"_{name.lower()}"):
                raise InputError(f"operator {name} of a TensorFlow Lite model: not one of those that are known here")
            else:
                self._operators.append((name.lower(), operator.builtinOptions, inputs, output))

    def __call__(self, values: tf.Tensor) -> list[tf.Tensor]:
        """values: [B, ...] float32 -> the outputs [B, ...], float32, in the order in which they were named."""
        tensors: dict[int, tf.Tensor] = {self._input: values}
        for name, options, inputs, output in self._operators:
            result = getattr(self, f"_{name}")(tensors, options, inputs)
            activation = getattr(options, "fusedActivationFunction", 0)
            tensors[output] = _ACTIVATIONS[activation](result)
        return [tensors[number] for number in self._outputs]

    def _constant(self, number: int, order: Sequence[int] = ()) -> tf.Tensor:
        value = self._constants[number]
        value = value.transpose(order) if order else value
        if _inside.get():
            return tf.constant(value)
        with tf.init_scope():
            # Tensors that the graph takes in: of its own constants TensorFlow keeps several copies.
            return tf.constant(value)

    def _conv_2d(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        kernel = self._constant(inputs[1], (1, 2, 3, 0))
        strides, padding = [options.strideH, options.strideW], _PADDINGS[options.padding]
        return tf.nn.bias_add(tf.nn.conv2d(tensors[inputs[0]], kernel, strides, padding), self._constant(inputs[2]))

    def _depthwise_conv_2d(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        kernel = self._constant(inputs[1], (1, 2, 3, 0))
        strides, padding = [1, options.strideH, options.strideW, 1], _PADDINGS[options.padding]
        result = tf.nn.depthwise_conv2d(tensors[inputs[0]], kernel, strides, padding)
        return tf.nn.bias_add(result, self._constant(inputs[2]))

    def _pad(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        return tf.pad(tensors[inputs[0]], self._constants[inputs[1]])

    def _add(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        return tensors[inputs[0]] + tensors[inputs[1]]

    def _resize_bilinear(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        return tf.raw_ops.ResizeBilinear(
            images=tensors[inputs[0]],
            size=self._constants[inputs[1]],
            align_corners=bool(options.alignCorners),
            half_pixel_centers=bool(options.halfPixelCenters),
        )

    def _max_pool_2d(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        size, strides = [options.filterHeight, options.filterWidth], [options.strideH, options.strideW]
        return tf.nn.max_pool2d(tensors[inputs[0]], size, strides, _PADDINGS[options.padding])

    def _reshape(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        return tf.reshape(tensors[inputs[0]], [-1, *self._constants[inputs[1]][1:]])

    def _logistic(self, tensors: dict[int, tf.Tensor], options: Any, inputs: Sequence[int]) -> tf.Tensor:
        return tf.sigmoid(tensors[inputs[0]])
