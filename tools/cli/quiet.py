"""Keeps libraries' own notices off the user's terminal; what goes wrong still reaches it.

TensorFlow's C++ code writes some lines to descriptor 2 whatever its log level is: that a cluster was compiled, that
CUDA's plug-ins were registered twice, that a delegate was made. `quiet_notices` puts a small process between that
descriptor and the terminal, which drops these lines and passes on every other one. It is a process of its own, so
that the last words of a crash are not lost with the one that crashed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tools.cli import signals

# Beginnings of lines (regular expressions) that say nothing to the user of a command.
NOTICES = (
    r"WARNING: All log messages before absl::InitializeLog",
    r"I\d{4} \d\d:\d\d:",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I ",
    r"INFO: (Created|Initialized) TensorFlow Lite",
    r".*Unable to register cu(DNN|FFT|BLAS) factory",
    r".*TF-TRT Warning: Could not find TensorRT",
    r".*Constant folding an instruction is taking > ",
    r".*computation_placer already registered",
    r".*SetPriority unimplemented for this stream",
    r".*failed call to cuInit: CUDA_ERROR_NO_DEVICE",
    # Decoders of damaged pictures and films, which the commands name themselves.
    r"(Corrupt|Premature end of) JPEG|libpng (warning|error): |\[\S+ @ 0x[0-9a-f]+\] ",
)
_AUTOGRAPH = "AutoGraph could not transform"
_FILTER = """
import re, sys
notice = re.compile(sys.argv[1].encode())
for line in iter(sys.stdin.buffer.readline, b""):
    if not notice.match(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


_running: list[subprocess.Popen] = []  # the filter outlives its maker: it ends when its input is closed


def quiet_notices() -> None:
    """Drops `NOTICES` from what this process and its children write to descriptor 2 from now on.

    So are AutoGraph's warnings that a function is run as it is, which come where temporary files can't be written.
    Python's own `sys.stderr` goes on writing to where it did, so that progress still sees a terminal. Does nothing
    where standard error is closed or no process can be started.
    """
    logging.getLogger("tensorflow").addFilter(lambda record: not str(record.msg).startswith(_AUTOGRAPH))
    try:
        terminal = os.dup(2)
        reading, writing = os.pipe()
    except OSError:
        return
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _FILTER, "|".join(NOTICES)],
            stdin=reading,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is meant for the command, not for the filter
        )
    except OSError:
        os.close(terminal)
        return
    finally:
        os.close(reading)
    _running.append(process)
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(terminal, "w", buffering=1, errors="backslashreplace")


@contextlib.contextmanager
def only_on_failure() -> Iterator[None]:
    """Keeps what is written to descriptor 2 inside, such as a converter's page of statistics, and shows it where an
    exception leaves the block; not after a signal, which is no failure of what wrote it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        usual = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(usual, 2)
            if signals.arrived() is None:  # which TensorFlow turns into errors of its own
                kept.seek(0)
                print(kept.read().decode("utf-8", "replace"), file=sys.stderr)
            raise
        finally:
            os.dup2(usual, 2)
            os.close(usual)
