"""Measure latencies of a server of the label generator's SavedModel with TensorFlow Serving's REST or gRPC interface.

    python tools/loadtest.py --server=http://localhost:8501/v1/models/pose3d:predict --clients=16 --requests=2000
    python tools/loadtest.py --server=grpc://localhost:8500 --clients=16 --requests=2000

Every client sends its next request as soon as its last is answered. Prints requests and poses a second, and the
latencies that 50, 90, 95 and 99 % of requests did not exceed. Servers: tensorflow_model_server, tools/serve.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from tools.cli import command
from tools.cli.errors import InputError

_BODIES = 64


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    flags.string(
        "server", None, "http://HOST:PORT/v1/models/NAME:predict, or grpc://HOST:PORT, which needs the extra serving"
    )
    flags.string("name", "pose3d", "the model's, over gRPC")
    flags.integer("requests", 1000, "how many", lower_bound=1)
    flags.integer("clients", 8, "how many at once", lower_bound=1, upper_bound=4096)
    flags.integer("poses", 1, "poses in a request", lower_bound=1, upper_bound=1 << 20)
    flags.integer("seed", 0, "of the synthetic people", lower_bound=0)
    return flags


def main(flags: command.Flags) -> int:
    """Sends, and prints what was measured."""
    flags.require("server")
    from tools.serving import load

    bodies = [_body(flags, number) for number in range(min(_BODIES, flags.requests))]
    measured = load.run(flags.server, lambda number: bodies[number % len(bodies)], flags.requests, flags.clients)
    for problem, count in measured.failures.items():
        print(f"failed: {count:,}, {problem}")
    if not len(measured.latencies_ms):
        raise InputError(f"{flags.server}: no request was answered")
    rate = len(measured.latencies_ms) / measured.seconds
    print(
        f"{len(measured.latencies_ms):,} requests by {flags.clients} clients: {rate:,.1f} requests, "
        f"{rate * flags.poses:,.1f} poses a second"
    )
    percentiles = measured.percentiles()
    print("latency: " + ", ".join(f"{share} % within {value:.1f} ms" for share, value in percentiles.items()))
    flags.report.update(requests_a_second=rate, latencies_ms=percentiles, failures=measured.failures)
    return 2 if measured.failures else 0


def _body(flags: command.Flags, number: int) -> bytes:
    """A request: poses of synthetic people in known cameras."""
    import numpy as np

    from tfrecords.source import Options
    from tfrecords.sources import open_source

    source: Any = open_source("synthetic", "", Options(count=flags.poses * _BODIES, seed=flags.seed))
    records = list(source.records(np.arange(number * flags.poses, (number + 1) * flags.poses)))
    inputs = {
        "poses_2d": np.array([np.round(record.pose_2d, 2) for record in records], np.float32),
        "intrinsics": np.array([record.intrinsics for record in records], np.float32),
        "joint_mask": np.ones((flags.poses, len(records[0].pose_2d)), bool),
    }
    if flags.server.startswith("grpc:"):
        return _message(flags.name, inputs)
    # Decimals of two places, as clients write them; float32 would show as more.
    plain = {**inputs, "poses_2d": np.round(inputs["poses_2d"].astype(np.float64), 2)}
    instances = [{name: values[place].tolist() for name, values in plain.items()} for place in range(flags.poses)]
    return json.dumps({"instances": instances}).encode()


def _message(name: str, inputs: Mapping[str, Any]) -> bytes:
    try:
        from tensorflow_serving.apis import predict_pb2
    except ImportError as error:
        raise InputError(f"grpc:// needs TensorFlow Serving's messages (extra: serving; {error})") from error
    import tensorflow as tf

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, values in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return bytes(request.SerializeToString())


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
