"""Rows of a long measurement, written to a file as they are measured, within a time that was set."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, Callable

from tools.benchmarks.common import Rate, Row

_SECONDS = 1.5  # of one measurement, about


class Recorder:
    """Measures candidates one after the other; each leaves rows, or a line that says why it left none."""

    def __init__(self, output: str = "", profile: str = "", seconds: float = 0.0):
        """output: file that a line of JSON is added to for each row. profile: folder for TensorFlow's profiles.

        seconds: no candidate is begun when this has passed; 0: all are.
        """
        self.rows: list[Row] = []
        self.missing: dict[str, str] = {}
        self._output = pathlib.Path(output) if output else None
        self._profile = pathlib.Path(profile) if profile else None
        self._end = time.monotonic() + seconds if seconds else float("inf")
        if self._output:
            self._output.parent.mkdir(parents=True, exist_ok=True)

    def add(self, row: Row) -> Row:
        """Keeps a row and writes it."""
        self.rows.append(row)
        self._write(vars(row))
        return row

    def _write(self, content: dict[str, Any]) -> None:
        if self._output:
            with open(self._output, "a", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """What is measured inside may fail, by lack of memory for instance: that is written, and the next begins."""
        try:
            yield
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.missing[name] = reason
            self._write({"name": name, "missing": reason})

    def measure(
        self,
        name: str,
        make: Callable[[], Callable[[], Any]],
        amount: float,
        unit: str,
        *,
        repeats: int,
        calls: int,
        wait: Callable[[], None],
        against: str = "",
        than: Rate | None = None,
        goal: float | None = None,
    ) -> Rate | None:
        """The rate of one candidate, and before it the time until its first call had ended.

        Args:
          make: builds it and returns the call. amount: work of a call, in `unit` a second.
          repeats: measurements. calls: calls in each, at most, and at least one.
          wait: returns when the device has done what it was given.
          against, than, goal: see `Row`; a candidate that falls short of the goal is profiled.

        Returns:
          None where it failed or there was no time.
        """
        rate = None
        with self.attempt(name):
            if time.monotonic() > self._end:
                raise TimeoutError("the time that was set had passed")
            start = time.perf_counter()
            call = make()
            call()
            wait()
            self.add(Row(f"{name}: made and first call", time.perf_counter() - start, "s"))
            start = time.perf_counter()
            call()
            wait()
            calls = min(calls, max(1, int(_SECONDS / (time.perf_counter() - start))))
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                for _ in range(calls):
                    call()
                wait()
                seconds.append((time.perf_counter() - start) / calls)
            rate = Rate(tuple(amount / each for each in seconds))
            row = self.add(rate.row(name, unit, against, than, goal))
            if self._profile and (than is None or (goal is not None and row.ratio is not None and row.ratio < goal)):
                self._profiled(name, call, wait)
        return rate

    def _profiled(self, name: str, call: Callable[[], Any], wait: Callable[[], None]) -> None:
        import tensorflow as tf

        assert self._profile is not None
        place = self._profile / re.sub(r"\W+", "_", name).strip("_")
        tf.profiler.experimental.start(str(place))
        try:
            call()
            wait()
        finally:
            tf.profiler.experimental.stop()
