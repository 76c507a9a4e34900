"""Load on a server with TensorFlow Serving's REST or gRPC interface, and the latencies that its clients see."""

from __future__ import annotations

import dataclasses
import http.client
import threading
import time
import urllib.parse
from collections.abc import Callable

import numpy as np

from tools.cli.errors import InputError

SHARES = (50, 90, 95, 99)


@dataclasses.dataclass(frozen=True)
class Load:
    """What was measured.

    Attributes:
      seconds: of all requests together. latencies_ms: of each request that was answered, in the order of their ends.
      failures: answer or error -> how many.
    """

    seconds: float
    latencies_ms: np.ndarray
    failures: dict[str, int]

    def percentiles(self) -> dict[int, float]:
        """Share in percent -> latency in ms that so many requests did not exceed."""
        return {share: float(np.percentile(self.latencies_ms, share)) for share in SHARES}


# Sends a request of these bytes, and says what was wrong with it, or ''.
Ask = Callable[[bytes], str]
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def run(address: str, body: Callable[[int], bytes], requests: int, clients: int, timeout_s: float = 60.0) -> Load:
    """Sends requests from several clients side by side, each the next one as soon as its last was answered.

    Args:
      address: http://host:port/v1/models/NAME:predict, or grpc://host:port.
      body: number of a request -> its JSON, or its serialized PredictRequest.

    Raises:
      InputError: the address is none, or no server answers there, or with an error.
    """
    open_client = _clients_of(address, timeout_s)
    ask, close = open_client()
    problem = ask(body(0))
    close()
    if problem:
        raise InputError(f"{address}: {problem}")
    lock, numbers = threading.Lock(), iter(range(requests))
    latencies: list[float] = []
    failures: dict[str, int] = {}

    def client() -> None:
        ask, close = open_client()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            data, start = body(number), time.perf_counter()
            problem = ask(data).partition(":")[0]
            taken = 1e3 * (time.perf_counter() - start)
            with lock:
                if problem:
                    failures[problem] = failures.get(problem, 0) + 1
                else:
                    latencies.append(taken)
        close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(time.perf_counter() - start, np.array(latencies), failures)


def _clients_of(address: str, timeout_s: float) -> Callable[[], tuple[Ask, Callable[[], None]]]:
    """Opens a client's connection: (function that asks, function that closes it)."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "grpc" and parts.hostname and parts.port and not parts.path:
        return lambda: _open_grpc(parts.netloc, timeout_s)
    if parts.scheme != "http" or not parts.hostname or not parts.path:
        raise InputError(f"{address}: expected http://HOST:PORT/v1/models/NAME:predict or grpc://HOST:PORT")
    return lambda: _open_http(str(parts.hostname), parts.port or 80, parts.path, timeout_s)


def _open_http(host: str, port: int, path: str, timeout_s: float) -> tuple[Ask, Callable[[], None]]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def ask(data: bytes) -> str:
        try:
            connection.request("POST", path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"no answer: {type(error).__name__} {error}"
        return "" if answer.status == 200 else f"status {answer.status}: {text[:200].decode('utf-8', 'replace')}"

    return ask, connection.close


def _open_grpc(target: str, timeout_s: float) -> tuple[Ask, Callable[[], None]]:
    import grpc

    # A connection of its own for each client, as other machines have.
    channel = grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])
    predict = channel.unary_unary(_PREDICT)

    def ask(data: bytes) -> str:
        try:
            predict(data, timeout=timeout_s)
        except grpc.RpcError as error:
            return f"status {error.code().name}: {error.details()}"
        return ""

    return ask, channel.close
