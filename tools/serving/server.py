"""A stand-in for tensorflow_model_server where there is none: a SavedModel behind the same JSON, with batching."""

from __future__ import annotations

import http.server
import json
import pathlib
import queue
import re
import sys
import threading
from typing import Any

import numpy as np

from tools.cli.errors import InputError
from tools.files import inputs
from tools.serving import bodies, json_forms
from tools.serving.batching import Arrays, Batcher, Batching

_PATH = re.compile(r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<what>/metadata|:predict)?")
_LARGEST = 256 << 20
_LARGEST_TOGETHER = 512 << 20  # of all requests that are read or wait for an answer
# Seconds after which a connection is closed whose client sends or takes nothing; it would keep a thread for ever.
SILENCE_S = 60.0


class Model:
    """A SavedModel's serving signature, as a function of arrays.

    Attributes:
      name, version: as addresses name it. inputs: name -> NumPy type and shape with None for free sizes.
    """

    def __init__(self, folder: str, name: str, batching: Batching):
        """folder: a SavedModel, or versions of one in folders 1, 2, ..., of which the last is served.

        Raises:
          InputError: there is none.
        """
        import tensorflow as tf

        place, self.version = _last_version(pathlib.Path(folder))
        try:
            self._loaded = tf.saved_model.load(str(place))
            signature = self._loaded.signatures["serving_default"]
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise InputError(f"{place}: not a SavedModel with a signature serving_default ({error})") from error
        self.name, self._signature, self._place = name, signature, place
        self.inputs = {
            key: (np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape))
            for key, spec in signature.structured_input_signature[1].items()
        }
        self.run = Batcher(self._run, batching)

    def _run(self, arrays: Arrays) -> Arrays:
        import tensorflow as tf

        outputs = self._signature(**{name: tf.constant(values) for name, values in arrays.items()})
        return {name: values.numpy() for name, values in outputs.items()}

    def signature_definitions(self) -> dict[str, Any]:
        """The `SignatureDef` messages of the SavedModel by name."""
        from tensorflow.core.protobuf import saved_model_pb2

        saved = saved_model_pb2.SavedModel.FromString(inputs.read_bytes(self._place / "saved_model.pb"))
        return dict(saved.meta_graphs[0].signature_def)

    def status(self) -> dict[str, Any]:
        """As GET of the model answers."""
        good = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(self.version), "state": "AVAILABLE", "status": good}]}


def _last_version(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    if (folder / "saved_model.pb").is_file():
        return folder, 1
    versions = [int(path.name) for path in folder.glob("*") if path.name.isdigit()] if folder.is_dir() else []
    if not versions:
        raise InputError(f"{folder}: no SavedModel, and no folders 1, 2, ... with one")
    return folder / str(max(versions)), max(versions)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256

    def __init__(self, address: tuple[str, int], model: Model):
        self.model, self.budget = model, bodies.Budget(_LARGEST_TOGETHER)
        self.parsing = threading.Lock()  # values of one request at a time, which take more memory than their text
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves before its answer is nobody's fault, and no lines on this server's terminal."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SILENCE_S
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Nothing for each request."""

    def do_GET(self) -> None:
        """State and signature of the model."""
        if bodies.announced(self.headers):  # which is not read; what follows is no request
            self.close_connection = True
        what = self._found()
        if what is None:
            return
        model = self.server.model
        if what == "/metadata":
            inputs = {
                name: {"dtype": str(dtype), "shape": [-1 if n is None else n for n in shape]}
                for name, (dtype, shape) in model.inputs.items()
            }
            self._send(200, {"model_spec": {"name": model.name, "version": str(model.version)}, "inputs": inputs})
        elif what == "":
            self._send(200, model.status())
        else:
            self._send(405, {"error": "predict is a POST"})

    def do_POST(self) -> None:
        """Predictions."""
        try:
            body = bodies.read(self.rfile, self.headers, _LARGEST, self.server.budget)
        except bodies.BodyError as error:
            self.close_connection = True
            self._send(error.status, {"error": str(error)})
            return
        try:
            self._answer(body)
        finally:
            self.server.budget.give_back(len(body))

    def _answer(self, body: bytes) -> None:
        what = self._found()
        if what is None:
            return
        if what != ":predict":
            self._send(405, {"error": "expected /v1/models/NAME:predict"})
            return
        try:
            with self.server.parsing:
                arrays, by_row = json_forms.parse(body, self.server.model.inputs)
            answer = json_forms.answer(self.server.model.run(arrays), by_row)
        except InputError as error:
            self._send(400, {"error": str(error)})
        except queue.Full:
            self._send(503, {"error": "too many requests wait (max_enqueued_batches)"})
        except Exception as error:
            self._send(500, {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"})
        else:
            self._write(200, answer)

    def _found(self) -> str | None:
        match, model = _PATH.fullmatch(self.path), self.server.model
        if match is None or match["model"] != model.name:
            self._send(
                404, {"error": f"there is /v1/models/{model.name}[/versions/{model.version}][/metadata|:predict]"}
            )
            return None
        if match["version"] not in (None, str(model.version)):
            self._send(404, {"error": f"version {match['version']} is not served, {model.version} is"})
            return None
        return match["what"] or ""

    def _send(self, code: int, content: dict[str, Any]) -> None:
        self._write(code, json.dumps(content).encode())

    def _write(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def make_server(model: Model, host: str, port: int) -> http.server.HTTPServer:
    """A server that listens; `serve_forever` serves. Raises `InputError` when the port can't be had."""
    try:
        return _Server((host, port), model)
    except OSError as error:
        raise InputError(f"--port={port}: cannot be used: {error.strerror}") from error
