"""Load on a server with TensorFlow Serving's REST interface, and the latencies that its clients see."""

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


def run(address: str, body: Callable[[int], bytes], requests: int, clients: int, timeout_s: float = 60.0) -> Load:
    """Sends requests from several clients side by side, each the next one as soon as its last was answered.

    Args:
      address: http://host:port/v1/models/NAME:predict.
      body: number of a request -> its JSON.

    Raises:
      InputError: the address is none, or no server answers there.
    """
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "http" or not parts.hostname or not parts.path:
        raise InputError(f"{address}: expected http://HOST:PORT/v1/models/NAME:predict")
    host, port, path = parts.hostname, parts.port or 80, parts.path
    _ask(http.client.HTTPConnection(host, port, timeout=timeout_s), path, body(0), address)
    lock, numbers = threading.Lock(), iter(range(requests))
    latencies: list[float] = []
    failures: dict[str, int] = {}

    def client() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            data, start = body(number), time.perf_counter()
            try:
                connection.request("POST", path, data, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                problem = "" if answer.status == 200 else f"status {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                problem = type(error).__name__
                connection.close()
            taken = 1e3 * (time.perf_counter() - start)
            with lock:
                if problem:
                    failures[problem] = failures.get(problem, 0) + 1
                else:
                    latencies.append(taken)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(time.perf_counter() - start, np.array(latencies), failures)


def _ask(connection: http.client.HTTPConnection, path: str, data: bytes, address: str) -> None:
    """One request that is not measured, and says what is wrong with all of them."""
    try:
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{address}: no answer ({error})") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise InputError(f"{address}: status {answer.status}: {text[:200]}")
