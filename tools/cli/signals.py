"""Ends by signals: SIGTERM and SIGHUP leave a command as Ctrl-C does, by an exception that lets it clean up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Ended(BaseException):
    """The process was asked to end. number: of the signal."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that a shell reports for that signal."""
        return 128 + self.number


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise `Ended` in the main thread; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Ended(number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored by the parent (nohup) stays ignored.
        if signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
