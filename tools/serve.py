"""Serve a SavedModel of this project behind TensorFlow Serving's REST and gRPC interfaces, where there is no
tensorflow_model_server.

    python label_generator/export.py --output=models/pose3d/1
    python tools/serve.py --model=models/pose3d --name=pose3d --port=8501
    curl -d '{"instances": [...]}' http://localhost:8501/v1/models/pose3d:predict
    python tools/serve.py --model=models/pose3d --grpc_port=8500    # PredictionService too

Addresses, requests, answers and the file of batching parameters are those of tensorflow_model_server (docs/scale.md),
which is what to use in production: this server is Python, for trying out and for tests. Serves until interrupted.
"""

from __future__ import annotations

import sys

from tools.cli import command
from tools.cli.errors import InputError


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("Model"):
        flags.string("model", None, "folder of a SavedModel, or of its versions 1, 2, ...; the last is served")
        flags.string("name", "pose3d", "what addresses call it")
        flags.string("batching_parameters_file", "", "as tensorflow_model_server takes it; '': 256 rows, 2 ms")
    with flags.group("Where"):
        flags.string("host", "127.0.0.1", "address to listen at; 0.0.0.0 for other machines")
        flags.integer("port", 8501, "of REST; 0: any that is free", lower_bound=0, upper_bound=65535)
        flags.integer(
            "grpc_port",
            -1,
            "of gRPC, by custom 8500; 0: any that is free; -1: none. Needs the extra serving",
            lower_bound=-1,
            upper_bound=65535,
        )
    return flags


def main(flags: command.Flags) -> int:
    """Serves."""
    flags.require("model")
    from tools.serving import server
    from tools.serving.batching import Batching

    if flags.grpc_port >= 0:
        try:
            from tools.serving import grpc_server
        except ImportError as error:
            raise InputError(
                "--grpc_port needs TensorFlow Serving's messages: pip install --no-deps 'tensorflow-serving-api<2.16' "
                f"(extra: serving; {error})"
            ) from error
    parameters = flags.batching_parameters_file
    batching = Batching.read(parameters) if parameters else Batching()
    model = server.Model(flags.model, flags.name, batching)
    with server.make_server(model, flags.host, flags.port) as serving:
        port = serving.server_address[1]
        print(
            f"serving version {model.version} at http://{flags.host}:{port}/v1/models/{model.name}:predict", flush=True
        )
        if flags.grpc_port >= 0:
            # Kept until the end: it stops when nothing refers to it any more.
            _rpc, rpc_port = grpc_server.make_server(model, flags.host, flags.grpc_port)
            print(f"gRPC: PredictionService of model {model.name} at {flags.host}:{rpc_port}", flush=True)
        serving.serve_forever()
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
