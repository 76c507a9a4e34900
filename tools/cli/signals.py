"""Ends by signals: SIGTERM and SIGHUP leave a command as Ctrl-C does, by an exception that lets it clean up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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
    """The process was asked to end. number: of the signal. note: what is kept and how to go on."""

    def __init__(self, number: int, note: str = "nothing is half-written, and the same command can be given again"):
        super().__init__(signal.Signals(number).name)
        self.number, self.note = number, note

    @property
    def status(self) -> int:
        """The exit status that a shell reports for that signal."""
        return 128 + self.number


class _Arrived:
    """The signal that this process was last asked to end by; 0: none. lost: whether its exception is being lost."""

    number, lost = 0, False


def arrived() -> BaseException | None:
    """What the signal that has come means, for an exception that it may have become on its way through native code."""
    if not _Arrived.number:
        return None
    return KeyboardInterrupt() if _Arrived.number == signal.SIGINT else Ended(_Arrived.number)


def finishing() -> None:
    """What the process was to do is done, and it only tidies up: a first signal is let go, a second one ends it."""

    def once(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, once)


def _send_soon(number: int) -> None:
    """Sends this process a signal once the main thread has left what it is in now."""
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise `Ended`, and SIGINT KeyboardInterrupt, in the main thread.

    A second one ends the process at once. Where the exception is lost, since it arose in a finalizer or a callback of
    native code, it is raised again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        _Arrived.number = number
        if _Arrived.lost:
            _send_soon(number)
            return
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    def lost(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, (Ended, KeyboardInterrupt)) or not _Arrived.number:
            hook(unraisable)
            return
        _Arrived.lost = True
        signal.signal(_Arrived.number, handle)
        _send_soon(_Arrived.number)
        _Arrived.lost = False

    if signal.getsignal(signal.SIGINT) is _end_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _Arrived.number = 0
    before, hook = {}, sys.unraisablehook
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        # Ignored by the parent (nohup) stays ignored.
        if signal.getsignal(number) == usual:
            before[number] = signal.signal(number, handle)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Inside, SIGTERM, SIGHUP and Ctrl-C go to a handler, but for those that the parent ignores (nohup).

    In other threads than the main one, which cannot set handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: former for number, former in before.items() if former not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


class Asked:
    """The signal by which this process was asked to end; 0: none yet."""

    number = 0


@contextlib.contextmanager
def deferred() -> Iterator[Asked]:
    """Inside, a first SIGTERM, SIGHUP or Ctrl-C is noted only, for work that ends after a whole step; a second one
    raises `Ended` at once."""
    asked = Asked()

    def handle(number: int, frame: Any) -> None:
        if asked.number:
            raise Ended(number)
        asked.number = number

    with handled(handle):
        yield asked
