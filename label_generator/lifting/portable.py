"""The whole chain in formats for programs without TensorFlow: TFLite and ONNX, from pixels to millimetres.

Both hold the chain for one pose: camera rules, both networks, geometric search, refinement of bones and quality, with
inputs and outputs of `INPUTS` and `OUTPUTS`. What XLA compiles in `lifter` is written out here as one flat graph.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from label_generator.lifting.lifter import Lifter
from tools.cli import quiet
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

OUTPUTS = (
    "pose_3d",
    "root_3d",
    "quality",
    "joint_quality",
    "expected_error_mm",
    "residual_mm",
    "at_range_end",
    "nominal",
    "reason",
)
_INPUTS = (
    tf.TensorSpec([1, POSE17.size, 2], tf.float32, "poses_2d"),
    tf.TensorSpec([1, 4], tf.float32, "intrinsics"),
    tf.TensorSpec([1, POSE17.size], tf.bool, "joint_mask"),
)
# The oldest set of ONNX operations that has all that the chain needs.
ONNX_OPSET = 17

# From inputs by name to outputs by name, for one pose.
Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def chain_of_one(lifter: Lifter) -> Any:
    """The chain for one pose as a `tf.function` of one flat graph, with the networks' numbers in it.

    Raises:
      ValueError: the lifter is not a portable one.
    """
    if not lifter.portable:
        raise ValueError("only a lifter made with portable=True has operations that TFLite and ONNX know")

    def one(poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        lifted = lifter.lift_one(poses_2d, intrinsics, joint_mask)
        return {name: getattr(lifted, name) for name in OUTPUTS}

    with _functions_written_out():
        traced = tf.function(one, input_signature=_INPUTS, autograph=False).get_concrete_function()
    graph = traced.graph.as_graph_def()
    names = {name: traced.structured_outputs[name].name for name in OUTPUTS}
    # Converters take large tensors that a function captures for further inputs of it.
    captured = {inside.name: outside.numpy() for outside, inside in traced.graph.captures}
    inputs = [tensor.name for tensor in traced.inputs[: len(_INPUTS)]]

    def flat(poses_2d: tf.Tensor, intrinsics: tf.Tensor, joint_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        given = dict(zip(inputs, (poses_2d, intrinsics, joint_mask)))
        constants = {name: tf.constant(values) for name, values in captured.items()}
        outputs = tf.import_graph_def(graph, {**given, **constants}, list(names.values()), name="lift")
        return dict(zip(names, outputs))

    return tf.function(flat, input_signature=_INPUTS, autograph=False)


@contextlib.contextmanager
def _functions_written_out() -> Iterator[None]:
    """Inside, a traced `tf.function` becomes part of the graph that is being traced, not a call in it: converters do
    not look into functions that XLA is to compile."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def to_tflite(lifter: Lifter, half: bool) -> bytes:
    """The chain as a TFLite file of built-in operations. half: store matrices in float16, and compute in float32."""
    module = tf.Module()
    module.lift = chain_of_one(lifter)  # without an object that holds it, the file would have no signature
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.lift.get_concrete_function()], module)
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with quiet.only_on_failure():
        return bytes(converter.convert())


def to_onnx(lifter: Lifter) -> bytes:
    """The chain as an ONNX model; raises `InputError` where the packages that make and run it are not installed."""
    try:
        import onnxruntime  # noqa: F401 - which will be asked to run it
        import tf2onnx
    except ImportError as error:
        raise InputError(f"--format=onnx needs tf2onnx and onnxruntime (pip install -e '.[onnx]'): {error}") from None
    with quiet.only_on_failure():
        model, _ = tf2onnx.convert.from_function(
            chain_of_one(lifter),
            input_signature=_INPUTS,
            opset=ONNX_OPSET,
            custom_op_handlers={"SelectV2": (_as_where, [])},
        )
    return bytes(model.SerializeToString())


def _as_where(context: Any, node: Any, name: str, arguments: Any) -> None:
    """tf2onnx writes a choice as a sum of products with 0 and 1, in which the NaN that is not chosen stays NaN."""
    node.type, node.domain = "Where", ""


def tflite_runner(path: str | os.PathLike) -> Runner:
    """Runs a file of `to_tflite` with `tf.lite` alone."""
    interpreter = tf.lite.Interpreter(model_path=os.fspath(path))
    run = interpreter.get_signature_runner()
    return lambda inputs: dict(run(**inputs))


def onnx_runner(path: str | os.PathLike) -> Runner:
    """Runs a file of `to_onnx` with ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs))))
