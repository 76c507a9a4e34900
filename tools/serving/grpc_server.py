"""TensorFlow Serving's gRPC interface in front of a `server.Model`: PredictionService and ModelService, as far as used.

Predict, GetModelMetadata (signature_def) and GetModelStatus; other calls answer UNIMPLEMENTED. The messages are those
of the package tensorflow-serving-api (extra: serving), which this module needs to be imported.
"""

from __future__ import annotations

import concurrent.futures
import math
import queue
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tools.cli.errors import InputError
from tools.serving.server import Model

_LARGEST = 256 << 20
# Each request that waits for its batch holds one.
_THREADS = 128
_MOST_DIMENSIONS = 32


def make_server(model: Model, host: str, port: int) -> tuple[Any, int]:
    """(a `grpc.Server` that serves already, its port).

    Args:
      port: 0: any that is free.

    Raises:
      InputError: the port can't be had.
    """
    sizes = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(_THREADS), options=[*sizes, ("grpc.so_reuseport", 0)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictions(model), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(model), server)
    try:
        got = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        got = 0
    if not got:
        raise InputError(f"--grpc_port={port}: cannot be used at {host}")
    server.start()
    return server, got


def _check_spec(model: Model, spec: Any, context: Any) -> None:
    """Ends the call when another model or version is asked for."""
    if spec.name != model.name:
        context.abort(grpc.StatusCode.NOT_FOUND, f"there is model {model.name}, not {spec.name!r}")
    if spec.WhichOneof("version_choice") == "version_label":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "versions have no labels here")
    if spec.HasField("version") and spec.version.value != model.version:
        context.abort(grpc.StatusCode.NOT_FOUND, f"version {spec.version.value} is not served, {model.version} is")


def _arrays(model: Model, request: Any) -> dict[str, np.ndarray]:
    """The request's inputs; raises `InputError` when they are others than the model's."""
    if set(request.inputs) != set(model.inputs):
        raise InputError(f"inputs {', '.join(sorted(request.inputs))}; the model has {', '.join(sorted(model.inputs))}")
    arrays = {}
    for name, (dtype, shape) in model.inputs.items():
        _check_tensor(name, request.inputs[name], dtype)
        try:
            array = tf.make_ndarray(request.inputs[name])
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"{name}: {' '.join(str(error).split())[:100]}") from error
        fits = array.ndim == len(shape) and all(size in (None, real) for size, real in zip(shape, array.shape))
        if array.dtype != dtype or not fits:
            wanted = f"{dtype} {[-1 if n is None else n for n in shape]}"
            raise InputError(f"{name}: {array.dtype} {list(array.shape)}, the model's is {wanted}")
        arrays[name] = array
    if len({len(array) for array in arrays.values()}) != 1 or not len(next(iter(arrays.values()))):
        raise InputError("inputs of different lengths, or empty ones")
    return arrays


def _check_tensor(name: str, tensor: Any, dtype: np.dtype) -> None:
    """Raises `InputError` for a shape that no message holds: one of a few bytes may announce any, and one value fills
    it."""
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim[: _MOST_DIMENSIONS + 1]]
    if len(sizes) > _MOST_DIMENSIONS or min(sizes, default=0) < 0:
        raise InputError(f"{name}: more than {_MOST_DIMENSIONS} dimensions, or a negative one")
    if math.prod(sizes) * dtype.itemsize > _LARGEST:
        raise InputError(f"{name}: shape {sizes} takes more than {_LARGEST >> 20} MiB")


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request: Any, context: Any) -> Any:
        """Runs the rows of the request, together with those of others that wait."""
        model = self._model
        _check_spec(model, request.model_spec, context)
        if request.model_spec.signature_name not in ("", "serving_default"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the signature that is served is serving_default")
        try:
            outputs = model.run(_arrays(model, request))
            wanted = list(request.output_filter) or list(outputs)
            unknown = [name for name in wanted if name not in outputs]
            if unknown:
                raise InputError(f"output_filter: no output {unknown[0]}; there are {', '.join(outputs)}")
        except InputError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except queue.Full:
            context.abort(grpc.StatusCode.UNAVAILABLE, "too many requests wait (max_enqueued_batches)")
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {text}")
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = model.name, "serving_default"
        response.model_spec.version.value = model.version
        for name in wanted:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """The signatures of the SavedModel."""
        model = self._model
        _check_spec(model, request.model_spec, context)
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field: expected signature_def")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = model.name, model.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.signature_definitions().items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        """The version that is served is available."""
        _check_spec(self._model, request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add()
        status.version, status.state = self._model.version, get_model_status_pb2.ModelVersionStatus.AVAILABLE
        return response
