"""Ends by signals: SIGTERM and SIGHUP leave a command as Ctrl-C does, by an exception that lets it clean up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_FOLDERS = ("label_generator", "baseline_network", "tools")  # of the commands


def end_quietly_on_interrupt() -> None:
    """Ctrl-C while a command is still being imported ends it with one line and status 130, not with a traceback.

    For processes whose script is a command of this project; `command.run` puts Python's own handling back.
    """
    script = os.path.abspath(getattr(sys.modules.get("__main__"), "__file__", None) or "")
    ours = [os.path.join(_ROOT, folder) for folder in _FOLDERS]
    if os.path.dirname(script) in ours and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _end_quietly)


def _end_quietly(number: int, frame: Any) -> None:
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


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

    if signal.getsignal(signal.SIGINT) is _end_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
