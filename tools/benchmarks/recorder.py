"""Rows of a long measurement, written to a file as they are measured, within a time that was set."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from tools.benchmarks.common import Rate, Row

_SECONDS = 1.5  # of one measurement, about


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What is measured: `make` builds it and returns the call, which does `amount` of work, in `unit` a second."""

    name: str
    make: Callable[[], Callable[[], Any]]
    amount: float
    unit: str


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

    @property
    def left_seconds(self) -> float:
        """What is left of the time that was set."""
        return self._end - time.monotonic()

    def measure_in_turns(
        self,
        candidates: Sequence[Candidate],
        *,
        repeats: int,
        calls: int,
        wait: Callable[[], None],
        at_once: int = 1,
        between: Callable[[], None] = lambda: None,
    ) -> dict[str, Rate]:
        """The rates of candidates whose first calls take long: those are made side by side, then all is measured alone.

        Args:
          repeats, calls, wait: see `measure`. at_once: first calls at a time; one that fails is made again alone.
          between: called after the first calls, before anything is measured.

        Returns:
          Of those that did not fail, by name. Where time runs out they have fewer repeats, or are missing.
        """
        ready: dict[str, tuple[Candidate, Callable[[], Any]]] = {}
        for candidate in candidates:
            with self.attempt(candidate.name):
                self._in_time()
                ready[candidate.name] = candidate, candidate.make()

        def first(call: Callable[[], Any]) -> float:
            start = time.perf_counter()
            call()
            wait()
            return time.perf_counter() - start

        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            begun = {name: pool.submit(first, call) for name, (_, call) in ready.items()}
        for name, one in begun.items():
            if one.exception() is None:
                self.add(Row(f"{name}: first call, {min(at_once, len(begun))} at once", one.result(), "s"))
        between()
        count: dict[str, int] = {}
        for name, (_, call) in ready.items():
            with self.attempt(name):
                if begun[name].exception() is not None:
                    self._in_time()
                    first(call)
                count[name] = min(calls, max(1, int(_SECONDS / first(call))))
        each: dict[str, list[float]] = {name: [] for name in count}
        for _ in range(repeats):
            for name in count:
                with self.attempt(name):
                    self._in_time()
                    start = time.perf_counter()
                    for _ in range(count[name]):
                        ready[name][1]()
                    wait()
                    each[name].append(ready[name][0].amount * count[name] / (time.perf_counter() - start))
        rates = {name: Rate(tuple(found)) for name, found in each.items() if found}
        for name, rate in rates.items():
            self.missing.pop(name, None)  # it has some of its repeats
            self.add(rate.row(name, ready[name][0].unit))
            if self._profile:
                self._profiled(name, ready[name][1], wait)
        return rates

    def _in_time(self) -> None:
        if self.left_seconds < 0:
            raise TimeoutError("the time that was set had passed")

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
            self._in_time()
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
