"""Commands as processes: signals, closed streams, full disks behind them."""

import pathlib
import signal
import subprocess
import sys

import pytest

_WAITING = """
import sys, time
from tools.cli import command
def main(flags):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
command.run(main, lambda: command.Flags("x"), ["tool"])
"""


def _heed_signals():
    """A shell starts what runs in its background with SIGINT ignored, nohup with SIGHUP; children inherit that."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def signalled(repository, script, ready, number):
    """Runs a script, sends it a signal once it printed `ready`; its exit status and what else it printed."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=pipe, stderr=pipe, text=True, cwd=repository, preexec_fn=_heed_signals
    )
    assert process.stdout.readline() == f"{ready}\n"
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    return process.returncode, out, error


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_clean_up_and_have_their_status(repository, number, status):
    returned, out, error = signalled(repository, _WAITING, "ready", number)
    assert (returned, out) == (status, "cleaned up\n")
    assert error.count("\n") == 1


_IN_NATIVE_CODE = """
import sys, time
from tools.cli import command

class Lost:
    def __del__(self):
        # What is raised in a finalizer is lost.
        print("ready", flush=True)
        time.sleep(5)

def main(flags):
    try:
        {body}
    except BaseException as error:
        # As TensorFlow does with what its callbacks raise.
        raise RuntimeError("of native code") from error
    time.sleep(60)
    return 0

command.run(main, lambda: command.Flags("test"), ["tool"])
"""


@pytest.mark.parametrize("body", ["Lost()", "print('ready', flush=True); time.sleep(60)"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_not_lost_in_finalizers_and_native_code(repository, body, number, status):
    returned, _, error = signalled(repository, _IN_NATIVE_CODE.format(body=body), "ready", number)
    assert returned == status, error
    assert error.count("\n") == 1


_TIDYING_UP = """
import atexit, sys, time
from tools.cli import command
atexit.register(lambda: (print("ready", flush=True), time.sleep(2), print("tidied up", flush=True)))
sys.argv = ["tool"]
command.run(lambda flags: 0, lambda: command.Flags("test"))
"""


def test_a_signal_after_the_work_is_done_changes_nothing(repository):
    assert signalled(repository, _TIDYING_UP, "ready", signal.SIGTERM) == (0, "tidied up\n", "")


_WITH_A_THREAD = """
import queue, sys, threading, time
from tools.cli import command

def main(flags):
    threading.Thread(target=queue.SimpleQueue().get).start()
    print("ready", flush=True)
    time.sleep(60)
    return 0

sys.argv = ["tool"]
command.run(main, lambda: command.Flags("test"))
"""


def test_a_thread_that_waits_for_ever_does_not_keep_a_command_from_ending(repository):
    returned, _, error = signalled(repository, _WITH_A_THREAD, "ready", signal.SIGTERM)
    assert returned == 143
    assert error.count("\n") == 1


def test_an_interrupt_while_a_command_is_imported_is_one_line(repository):
    script = (
        f"__file__ = {str(repository / 'tools' / 'review.py')!r}\n"
        "import tools.cli, time\n"
        "print('importing', flush=True)\n"
        "time.sleep(60)\n"
    )
    assert signalled(repository, script, "importing", signal.SIGINT) == (130, "", "interrupted\n")


_OPENS_FILES = """
import os, sys
from tools.cli import command
from tools.cli.errors import InputError

def main(flags):
    with open({path!r}, "w") as file:
        print("to the user")
        print("to the user", file=sys.stderr)
        file.write("to the file")
    if {fails}:
        raise InputError("bad")
    return 0

sys.argv = ["tool"]
command.run(main, lambda: command.Flags("test"))
"""


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("fails", [False, True])
def test_closed_streams_change_neither_the_status_nor_files(repository, tmp_path, closed, fails):
    script = _OPENS_FILES.format(path=str(tmp_path / "out"), fails=fails)
    words = ["bash", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, script]
    ended = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=100)
    assert ended.returncode == (2 if fails else 0)
    assert (tmp_path / "out").read_text() == "to the file"
    assert "Traceback" not in ended.stderr


def test_a_current_folder_that_was_removed_is_one_line(repository, tmp_path):
    words = ["bash", "-c", f'cd "$1" && rmdir "$1" && exec "$0" {repository}/tools/completion.py bash', sys.executable]
    ended = subprocess.run([*words, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2
    assert ended.stderr == "error: the current folder does not exist any more; change to one that does\n"


@pytest.mark.parametrize("flag", [[], ["--json"], ["--help"]])
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no /dev/full here")
def test_standard_output_on_a_full_disk_is_one_line(repository, flag):
    script = "import sys; from tools.cli import command; sys.argv = ['tool', *sys.argv[1:]]\n"
    script += "command.run(lambda flags: print('x'), lambda: command.Flags('test'))"
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-c", script, *flag]
        ended = subprocess.run(words, cwd=repository, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if line != "x"] == [
        "error: input/output: No space left on device"
    ]
