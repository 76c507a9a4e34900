"""Progress of anything that takes longer than a second: a bar on a terminal, a line every minute elsewhere."""

from __future__ import annotations

import sys
import time

LINE_EVERY_SECONDS = 60.0  # in logs, which nobody watches


class Progress:
    """Shows how many of `total` things are done, the rate and the remaining time, on standard error.

    Use as a context manager and call `update` with the number done so far.
    """

    def __init__(self, total: int, unit: str, already: int = 0, every: float = LINE_EVERY_SECONDS, quiet: bool = False):
        """unit: plural name of the things. already: done by an earlier run, so not counted in the rate."""
        self._total, self._unit, self._already, self._every = total, unit, already, every
        self._start = self._reported = time.monotonic()
        self._done, self._quiet, self._bar = already, quiet, None
        self._shows_bar = not quiet and sys.stderr.isatty()
        # The first piece waits for what is loaded and compiled, so it says nothing of how long the others take.
        self._first: tuple[float, int] | None = None
        self._show_bar(already)

    def _show_bar(self, done: int) -> None:
        if not self._shows_bar:
            return
        import tqdm

        if self._bar is not None:
            self._bar.leave = False  # the next bar takes its place
            self._bar.close()
        unit = f" {self._unit}"
        self._bar = tqdm.tqdm(total=self._total, initial=done, unit=unit, unit_scale=True, smoothing=0.1)

    def update(self, done: int) -> None:
        """done: how many of all are done now."""
        if self._first is None and done > self._already:
            self._first = time.monotonic(), done
            if done < self._total:
                self._show_bar(done)
                self._done = done
        if self._bar is not None:
            self._bar.update(done - self._done)
        elif not self._quiet and time.monotonic() - self._reported >= self._every:
            self._reported = time.monotonic()
            print(self.line(done), file=sys.stderr, flush=True)
        self._done = done

    def line(self, done: int) -> str:
        """The state as one line."""
        now = time.monotonic()
        since, before = self._first if self._first is not None and done > self._first[1] else (self._start, None)
        rate = (done - (self._already if before is None else before)) / max(now - since, 1e-9)
        if before is None:
            return f"{done:,} of {self._total:,} {self._unit}"
        left = f", {duration((self._total - done) / rate)} left" if rate > 0 else ""
        return f"{done:,} of {self._total:,} {self._unit}, {rate_text(rate)}{left}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def rate_text(rate: float) -> str:
    """'1,234/s' or '2.5/s'; below one a second how long each takes: '4.3 s each'."""
    if rate >= 9.95:
        return f"{rate:,.0f}/s"
    if rate >= 0.995 or rate <= 0:
        return f"{rate:.1f}/s"
    return f"{1 / rate:.1f} s each" if 1 / rate < 59.95 else f"{duration(1 / rate)} each"


def duration(seconds: float) -> str:
    """'42 s', '3 min 5 s' or '2 h 10 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
