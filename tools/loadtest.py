"""Measure latencies of a server of the label generator's SavedModel with TensorFlow Serving's REST interface.

    python tools/loadtest.py --server=http://localhost:8501/v1/models/pose3d:predict --clients=16 --requests=2000

Every client sends its next request as soon as its last is answered. Prints requests and poses a second, and the
latencies that 50, 90, 95 and 99 % of requests did not exceed. Servers: tensorflow_model_server, tools/serve.py.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tools.cli import command
from tools.cli.errors import InputError

_BODIES = 64


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    flags.string("server", None, "address: http://HOST:PORT/v1/models/NAME:predict")
    flags.integer("requests", 1000, "how many", lower_bound=1)
    flags.integer("clients", 8, "how many at once", lower_bound=1)
    flags.integer("poses", 1, "poses in a request", lower_bound=1)
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
    records = source.records(np.arange(number * flags.poses, (number + 1) * flags.poses))
    instances = [
        {
            "poses_2d": np.round(record.pose_2d, 2).tolist(),
            "intrinsics": np.asarray(record.intrinsics).tolist(),
            "joint_mask": [True] * len(record.pose_2d),
        }
        for record in records
    ]
    return json.dumps({"instances": instances}).encode()


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
