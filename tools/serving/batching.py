"""Requests that wait are run together: the batching of TensorFlow Serving, by its own configuration file."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from tools.cli.errors import InputError

Arrays = Mapping[str, np.ndarray]
_FIELD = re.compile(r"(\w+)\s*(?:\{\s*value\s*:\s*(\d+)\s*\}|:\s*(\d+))")


@dataclasses.dataclass(frozen=True)
class Batching:
    """What of TensorFlow Serving's BatchingParameters is used.

    Attributes:
      max_batch_size: rows that are run together at most.
      batch_timeout_micros: how long the first of them waits for others.
      max_enqueued_batches: more requests than this many batches wait are refused.
      allowed_batch_sizes: batches are padded to one of these; empty: none is.
    """

    max_batch_size: int = 256
    batch_timeout_micros: int = 2000
    max_enqueued_batches: int = 100
    allowed_batch_sizes: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: str) -> Batching:
        """The parameters in a file such as `--batching_parameters_file` of tensorflow_model_server takes.

        Raises:
          InputError: it can't be read, or its sizes contradict each other as TensorFlow Serving would say.
        """
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        text = "\n".join(line.split("#")[0] for line in text.splitlines())
        values: dict[str, list[int]] = {}
        for name, wrapped, plain in _FIELD.findall(text):
            values.setdefault(name, []).append(int(wrapped or plain))
        known = {name: values[name][-1] for name in ("max_batch_size", "batch_timeout_micros") if name in values}
        sizes = tuple(values.get("allowed_batch_sizes", ()))
        batching = cls(**known, allowed_batch_sizes=sizes)  # type: ignore[arg-type]
        if "max_enqueued_batches" in values:
            batching = dataclasses.replace(batching, max_enqueued_batches=values["max_enqueued_batches"][-1])
        if batching.max_batch_size < 1:
            raise InputError(f"{path}: max_batch_size must be 1 or more")
        if sizes and (list(sizes) != sorted(sizes) or sizes[-1] != batching.max_batch_size):
            raise InputError(f"{path}: allowed_batch_sizes must ascend and end with max_batch_size")
        return batching

    def padded(self, rows: int) -> int:
        """The size of the batch that is run for so many rows."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


class Batcher:
    """Runs a function of arrays with equal first dimensions on the rows of several callers together."""

    def __init__(self, run: Callable[[Arrays], Arrays], batching: Batching):
        """run: called by one thread only."""
        self._run, self._batching = run, batching
        self._waiting: queue.Queue = queue.Queue(batching.max_enqueued_batches * batching.max_batch_size)
        self.batches = self.rows = 0
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, arrays: Arrays) -> Arrays:
        """The function's answer for these rows.

        Raises:
          InputError: more rows than a batch may have. queue.Full: too many requests wait.
        """
        rows = len(next(iter(arrays.values())))
        if rows > self._batching.max_batch_size:
            raise InputError(f"{rows} instances in a request; at most {self._batching.max_batch_size} (max_batch_size)")
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._waiting.put_nowait((arrays, rows, future))
        return future.result()  # type: ignore[no-any-return]

    def _work(self) -> None:
        kept = None
        while True:
            first = kept or self._waiting.get()
            kept, together, rows = None, [first], first[1]
            end = time.monotonic() + self._batching.batch_timeout_micros / 1e6
            while rows < self._batching.max_batch_size and (left := end - time.monotonic()) > 0:
                try:
                    item = self._waiting.get(timeout=left)
                except queue.Empty:
                    break
                if rows + item[1] > self._batching.max_batch_size:
                    kept = item
                    break
                together.append(item)
                rows += item[1]
            self._answer(together, rows)

    def _answer(self, together: list, rows: int) -> None:
        self.batches, self.rows = self.batches + 1, self.rows + rows
        try:
            size = self._batching.padded(rows)
            batch = {name: np.concatenate([arrays[name] for arrays, _, _ in together]) for name in together[0][0]}
            if size > rows:  # with copies of the last row, as TensorFlow Serving does
                batch = {name: np.concatenate([v, np.repeat(v[-1:], size - rows, 0)]) for name, v in batch.items()}
            answer, at = self._run(batch), 0
            for _, count, future in together:
                future.set_result({name: values[at : at + count] for name, values in answer.items()})
                at += count
        except Exception as error:
            for _, _, future in together:
                if not future.done():
                    future.set_exception(error)
