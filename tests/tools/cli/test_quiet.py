"""The filter between TensorFlow's notices and the terminal, in processes of their own."""

import os
import pty
import signal
import subprocess
import sys

import pytest

HEAD = "import os, sys; from tools.cli.quiet import quiet_notices; quiet_notices(); "


@pytest.fixture
def run(repository):
    def start(code):
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        command = [sys.executable, "-c", HEAD + code]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    return start


def test_notices_are_dropped_and_all_else_passes(run):
    lines = [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795699185.357749   23841 device_compiler.h:186] Compiled cluster using XLA!",
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "2026-11-26 11:37:19.689: E external/x.cc:9261] Unable to register cuDNN factory: already registered",
        "2026-11-26 11:37:19.689801: I external/x.cc:31] Could not find cuda drivers on your machine",
        "2026-11-26 11:37:19.689801: E external/x.h:177] SetPriority unimplemented for this stream.",
        "Corrupt JPEG data: premature end of data segment",
        "libpng error: IDAT: CRC error",
        "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5607c9da0800] moov atom not found",
        "W0000 00:00:1 1 x.cc:1] a warning of the library",
        "2026-11-26 11:37:19.689801: F core.cc:1] Check failed",
        "Segmentation fault",
    ]
    result = run(f"[os.write(2, (line + chr(10)).encode()) for line in {lines!r}]")
    assert result.stderr.splitlines() == lines[9:]
    assert result.stdout == ""


def test_a_last_word_without_a_line_end_is_kept(run):
    assert run("os.write(2, b'half a line')").stderr == "half a line"


def test_the_last_words_of_a_crash_are_kept(run):
    result = run("os.write(2, b'about to die' + bytes([10])); os.kill(os.getpid(), 11)")
    assert result.returncode == -signal.SIGSEGV
    assert result.stderr == "about to die\n"


def test_pythons_own_errors_and_children_are_heard(run):
    code = "import subprocess; print('mine', file=sys.stderr); subprocess.run(['sh', '-c', 'echo child >&2']); 1 / 0"
    result = run(code)
    assert result.returncode == 1
    assert {"mine", "child", "ZeroDivisionError: division by zero"} <= set(result.stderr.splitlines())


def test_progress_still_sees_a_terminal(repository):
    ours, theirs = pty.openpty()
    code = HEAD + "print(sys.stderr.isatty(), os.isatty(2))"
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    result = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True, timeout=60
    )
    os.close(theirs)
    os.close(ours)
    assert result.stdout == "True False\n"
