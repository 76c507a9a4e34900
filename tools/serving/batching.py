"""Requests that wait are run together: the batching of TensorFlow Serving, by its own configuration file."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from tools.cli.errors import InputError
from tools.files import inputs

Arrays = Mapping[str, np.ndarray]
# One field of the text form of TensorFlow Serving's BatchingParameters: name { value: 8 }, name: 8 or name: [4, 8].
_VALUE = r'(-?\d+|true|false|"[^"\n]*")'
_FIELD = re.compile(
    rf"\s*(?P<name>\w+)\s*(?:\{{\s*value\s*:\s*(?P<wrapped>{_VALUE})\s*[,;]?\s*\}}|:\s*(?P<plain>{_VALUE})"
    rf"|:\s*\[\s*(?P<listed>{_VALUE}(?:\s*,\s*{_VALUE})*)\s*\])\s*[,;]?"
)
_NUMBERS = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "allowed_batch_sizes")
# Those of TensorFlow Serving that this server has no use for.
_UNUSED = (
    "num_batch_threads",
    "thread_pool_name",
    "pad_variable_length_inputs",
    "enable_large_batch_splitting",
    "max_execution_batch_size",
)
_MOST_BYTES = 1 << 20  # of the file
_MOST = 1_000_000_000  # no number is larger


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
          InputError: it can't be read, has something else in it, or its sizes contradict each other as TensorFlow
            Serving would say.
        """
        text = inputs.text_of(inputs.read_bytes(path, _MOST_BYTES), str(path))
        values = _fields("\n".join(line.split("#")[0] for line in text.splitlines()), path)
        known = {name: values[name][-1] for name in ("max_batch_size", "batch_timeout_micros") if name in values}
        sizes = tuple(values.get("allowed_batch_sizes", ()))
        batching = cls(**known, allowed_batch_sizes=sizes)  # type: ignore[arg-type]
        if "max_enqueued_batches" in values:
            batching = dataclasses.replace(batching, max_enqueued_batches=values["max_enqueued_batches"][-1])
        if batching.max_batch_size < 1 or batching.max_enqueued_batches < 1:
            raise InputError(f"{path}: max_batch_size and max_enqueued_batches must be 1 or more")
        if sizes and (list(sizes) != sorted(sizes) or sizes[-1] != batching.max_batch_size):
            raise InputError(f"{path}: allowed_batch_sizes must ascend and end with max_batch_size")
        return batching

    def padded(self, rows: int) -> int:
        """The size of the batch that is run for so many rows."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def _fields(text: str, path: str) -> dict[str, list[int]]:
    """The numbers of each field that is used; raises `InputError` for anything that is no field."""
    values: dict[str, list[int]] = {}
    place = 0
    while text[place:].strip():
        field = _FIELD.match(text, place)
        if field is None or field["name"] not in _NUMBERS + _UNUSED:
            line = text.count("\n", 0, place + len(text[place:]) - len(text[place:].lstrip())) + 1
            raise InputError(
                f"{path}: line {line}: no batching parameter; expected such as max_batch_size {{ value: 128 }}"
            )
        if field["name"] in _NUMBERS:
            for value in (field["wrapped"] or field["plain"] or field["listed"]).split(","):
                number = value.strip()
                if not number.isdigit() or len(number) > 10 or int(number) > _MOST:
                    problem = f"{number[:40]} is no whole number of 0 to {_MOST:,}"
                    raise InputError(f"{path}: {field['name']}: {problem}")
                values.setdefault(field["name"], []).append(int(number))
        place = field.end()
    return values


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
