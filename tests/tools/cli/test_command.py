"""How commands run: help, flags, exit status."""

import io
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from tools.cli import command
from tools.cli.errors import InputError
from tools.files import limits


def declare():
    flags = command.Flags("""What it does.

    More about it.
    """)
    with flags.group("Second stage first"):
        flags.string("zebra", None, "a text")
        flags.enum("animal", "cat", ["cat", "dog"], "one of two")
    with flags.group("Then this"):
        flags.integer("alpha", 3, "a number", lower_bound=0)
        flags.boolean("loud", True, "on or off")
        flags.strings("parts", ["a", "b"], "several texts")
        flags.multi_string("more", None, "may be repeated")
    flags.float("rate", 0.5, "a share")
    flags.float("step", 0.0, "mm (default: by the recipe)", lower_bound=0, upper_bound=1000)
    flags.enum("mode", "", ["", "fast"], "may be nothing")
    flags.strings("nothing", [], "an empty list")
    return flags


def run(*arguments, main=lambda flags: None, capsys=None):
    with pytest.raises(SystemExit) as ended:
        command.run(main, declare, ["tool", *arguments])
    return ended.value.code


def test_help_shows_groups_and_flags_in_declared_order(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    words = ("What it does.", "More about it.", "usage: tool [flags]", "Second stage first:", "--zebra=STRING")
    words += ("--animal=cat|dog", "one of two (default: cat)", "Then this:", "--alpha=INT", "--[no]loud")
    words += (
        "on or off (default: on)",
        "--parts=A,B,...",
        "(default: a,b)",
        "--more=STRING",
        "More flags:",
        "--rate=FLOAT",
    )
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert "a text\n" in text  # no default, so none is shown
    assert "mm (default: by the recipe)\n" in text
    assert "--mode=fast\n      may be nothing\n" in text
    assert "an empty list\n" in text
    assert "cat|dog>" not in text


def test_values_and_defaults():
    seen = {}

    def main(flags):
        seen.update(flags.as_dict(), given=flags.given("alpha"), not_given=flags.given("zebra"))
        return 0

    assert run("--alpha=5", "--noloud", "--parts=x,y", "--more=1", "--more=2", main=main) == 0
    assert seen == {
        "zebra": None,
        "animal": "cat",
        "alpha": 5,
        "loud": False,
        "parts": ["x", "y"],
        "more": ["1", "2"],
        "rate": 0.5,
        "step": 0.0,
        "mode": "",
        "nothing": [],
        "given": True,
        "not_given": False,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alhpa=5"], "Unknown command line flag 'alhpa'"),
        (["--alpha=five"], "--alpha=five: expected a whole number of at least 0"),
        (["--alpha=-1"], "--alpha=-1: expected a whole number of at least 0"),
        (["--alpha=1.5"], "--alpha=1.5: expected a whole number of at least 0"),
        (["--alpha=a: b"], "--alpha=a: b: expected a whole number of at least 0"),
        (["--rate=half"], "--rate=half: expected a number (see"),
        (["--step=-1"], "--step=-1: expected a number of 0 to 1,000"),
        (["--loud=maybe"], "--loud=maybe: expected true or false (--loud, --noloud)"),
        (["--noloud=3"], "--noloud=3 does not take an argument"),
        (["--animal=cow"], "--animal=cow: expected one of cat, dog"),
        (["--mode=slow"], "--mode=slow: expected one of fast"),
        (["--alpha=" + "9" * 30], "expected a number of at most"),
        (["word"], "unexpected argument 'word'"),
        (["--flagfile=/none/there.cfg"], "--flagfile=/none/there.cfg: no such file"),
        (["--flagfile", "/none/there.cfg"], "the file's name goes behind the equals sign"),
        (["--flagfile=/"], "--flagfile=/: is a folder"),
        (["--rate=nan"], "--rate=nan: expected a number that is finite"),
        (["--rate=-inf"], "--rate=-inf: expected a number that is finite"),
    ],
)
def test_bad_flags_are_one_line_and_status_2(capsys, arguments, message):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def failing(error):
    def main(flags):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.json: not\nJSON"), 2, "error: a.json: not JSON\n"),
        (FileNotFoundError(2, "No such file or directory", "b.npz"), 2, "error: b.npz: No such file or directory\n"),
        (OSError(28, "No space left on device"), 2, "error: input/output: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_one_line(capsys, error, status, line):
    assert run(main=failing(error)) == status
    assert capsys.readouterr().err == line


def test_unforeseen_errors_are_one_line_that_names_the_place(capsys):
    assert run(main=lambda flags: textwrap.wrap("a", width=-1)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ValueError: invalid width -1")
    assert "POSE3D_TRACEBACK=1 shows the traceback" in error
    assert error.count("\n") == 1


def test_faults_of_the_program_keep_their_traceback(monkeypatch):
    monkeypatch.setenv("POSE3D_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        command.run(failing(ZeroDivisionError()), declare, ["tool"])
    monkeypatch.setenv("POSE3D_TRACEBACK", "0")
    assert run(main=failing(ZeroDivisionError())) == 2


def test_control_characters_of_names_are_shown(capsys):
    name = "a\x1b[2J\x07b\udcff\u202e.jpg"

    def main(flags):
        print(f"{name}\tand\nÄ")
        raise InputError(f"{name}: bad")

    assert run(main=main) == 2
    shown = r"a\x1b[2J\x07b\udcff\u202e.jpg"
    captured = capsys.readouterr()
    assert captured.out == f"{shown}\tand\nÄ\n"
    assert captured.err == f"error: {shown}: bad\n"


def test_line_ends_of_names_are_spaces_of_the_message():
    assert str(InputError("a\nb.json: column 'c\r\n d\u2028' is unknown")) == "a b.json: column 'c d ' is unknown"


def test_warnings_of_libraries_do_not_precede_an_error(capfd):
    def main(flags):
        np.float32(1) / np.float32(0)
        raise InputError("a.json: bad")

    assert run(main=main) == 2
    assert capfd.readouterr().err == "error: a.json: bad\n"


@pytest.mark.parametrize("given", [None, "1000"])
def test_kernels_compiled_for_a_gpu_are_all_kept_unless_the_user_says_otherwise(monkeypatch, given):
    monkeypatch.setenv("CUDA_CACHE_MAXSIZE", given or "")
    if given is None:
        monkeypatch.delenv("CUDA_CACHE_MAXSIZE")
    seen = []
    run(main=lambda flags: seen.append(os.environ["CUDA_CACHE_MAXSIZE"]))
    assert seen == [given or "4294967296"]


def test_input_limits_reach_readers_and_workers(monkeypatch):
    monkeypatch.setenv("POSE3D_INPUT_LIMITS", "1")
    before = limits.current().text_bytes
    assert run("--input_limits=3", main=lambda flags: 0) == 0
    assert limits.current().text_bytes == 3 * before
    for factor in ("-1", "1e300"):
        assert run(f"--input_limits={factor}", main=lambda flags: 0) == 2


def test_status_of_main_is_the_exit_status():
    assert run(main=lambda flags: 7) == 7


def test_required_flags():
    assert run(main=lambda flags: flags.require("alpha", "animal") or 0) == 0
    with pytest.raises(InputError, match=r"--zebra, --more must be given"):
        declare().parse(["tool"]).require("zebra", "alpha", "more")


def test_flagfile(tmp_path):
    path = tmp_path / "recipe.cfg"
    path.write_text("# a comment\n--alpha=9\n--noloud\n")
    flags = declare().parse(["tool", f"--flagfile={path}", "--rate=0.25"])
    assert (flags.alpha, flags.loud, flags.rate) == (9, False, 0.25)


def test_a_flagfile_that_is_no_text_is_one_line(tmp_path, capsys):
    (tmp_path / "noise.cfg").write_bytes(bytes(range(128, 256)))
    assert run(f"--flagfile={tmp_path / 'noise.cfg'}") == 2
    assert (
        capsys.readouterr().err
        == f"error: --flagfile={tmp_path / 'noise.cfg'}: is not text, expected flags, one a line\n"
    )
    for text, words in (("\ufeff--rate=1\n", "a byte order mark"), ("--rate=1\0\n", "is not text")):
        (tmp_path / "marked.cfg").write_text(text, encoding="utf-8")
        assert run(f"--flagfile={tmp_path / 'marked.cfg'}") == 2
        assert words in capsys.readouterr().err


def test_flagfiles_within_flagfiles_are_checked_alike(tmp_path, capsys):
    """A named pipe was waited for, and of the others no line told which file is meant."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)))
    (tmp_path / "marked").write_text("\ufeff--rate=1\n", encoding="utf-8")
    cases = {
        "pipe": "is a pipe or a device",
        "noise": "is not text",
        "marked": "byte order mark",
        "gone": "no such file",
    }
    for name, words in cases.items():
        (tmp_path / "outer.cfg").write_text(f"# a comment\n  --flagfile={tmp_path / name}\n")
        (tmp_path / "first.cfg").write_text(f"--flagfile={tmp_path}/outer.cfg\n")
        for flag in ("outer.cfg", "first.cfg"):
            assert run(f"--flagfile={tmp_path / flag}") == 2
            error = capsys.readouterr().err
            assert error.startswith(f"error: --flagfile={tmp_path / name}: ")
            assert words in error
    (tmp_path / "first.cfg").write_text(f"# --flagfile={tmp_path}/gone\n//--flagfile={tmp_path}/gone\n--alpha=8\n")
    assert declare().parse(["tool", f"--flagfile={tmp_path / 'first.cfg'}"]).alpha == 8


def test_names_below_the_home_folder(tmp_path, monkeypatch):
    """A shell leaves ~ as it is behind an equals sign; commands wrote into a folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = declare().parse(["tool", "--zebra=~/a", "--parts=~,x~/b", "--more=~/c", "--more=~d"])
    assert flags.zebra == f"{tmp_path}/a"
    assert flags.parts == [str(tmp_path), "x~/b"]
    assert flags.more == [f"{tmp_path}/c", "~d"]


def test_a_nul_in_a_flag_is_one_line(capsys):
    assert run("--zebra=a\0b") == 2
    assert capsys.readouterr().err == "error: --zebra: has a NUL character\n"


def test_a_flagfile_of_itself_is_one_line(tmp_path, capsys):
    (tmp_path / "a.cfg").write_text(f"--flagfile={tmp_path}/a.cfg\n--alpha=4\n")
    assert run(f"--flagfile={tmp_path}/a.cfg") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: a flagfile names itself, directly or through others: {tmp_path}/a.cfg"


def test_positional_arguments():
    flags = command.Flags("x", positional="FILE...")
    flags.integer("n", 1, "n")
    flags.parse(["tool", "a", "--n=2", "b"])
    assert (flags.arguments, flags.n) == (["a", "b"], 2)
    assert "usage: tool [flags] FILE..." in flags.help("tool")


def test_commands_of_one_process_do_not_collide():
    first, second = declare().parse(["tool", "--alpha=1"]), declare().parse(["tool", "--alpha=2"])
    assert (first.alpha, second.alpha) == (1, 2)
    with pytest.raises(AttributeError, match="beta"):
        _ = first.beta


def test_the_reader_of_the_output_may_leave(tmp_path):
    script = tmp_path / "talk.py"
    script.write_text(
        "from tools.cli import command\n"
        "def main(flags):\n"
        "    for number in range(100000):\n"
        "        print(number)\n"
        "command.run(main, lambda: command.Flags('x'))\n"
    )
    done = subprocess.run(f"{sys.executable} {script} | head -1", shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("name", ["make_tfrecords", "inspect_tfrecords", "benchmark"])
def test_help_imports_nothing_heavy(repository, name):
    """Measured by what is imported; by the clock only roughly, since others may use the machine."""
    code = (
        f"import runpy, sys; sys.argv = ['tools/{name}.py', '--help']\n"
        f"try: runpy.run_path('tools/{name}.py', run_name='__main__')\n"
        "except SystemExit as ended: status = ended.code\n"
        "heavy = {'numpy', 'tensorflow', 'cv2', 'matplotlib', 'scipy', 'h5py', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage:" in done.stdout
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("factor", ["abc", "nan", "-1", "0", "1e400", ""])
def test_a_factor_of_the_environment_that_is_none_is_named(monkeypatch, factor):
    monkeypatch.setenv("POSE3D_INPUT_LIMITS", factor)
    with pytest.raises(InputError, match=f"POSE3D_INPUT_LIMITS={factor}: expected a factor above 0"):
        limits.current()


def completed(words, **given):
    return subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60, check=False, **given)


def test_too_little_memory_to_load_numpy_is_said_at_once(repository):
    """With 100 MB of address space NumPy's import never ended, whatever signal it got."""
    words = f"ulimit -v 100000; {sys.executable} tools/make_tfrecords.py --source=synthetic --output=/dev/null/x"
    ended = completed(words, cwd=repository)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: memory is limited to 97 MiB (ulimit -v, -d); expected 256 MiB or more\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_errors_that_nobody_can_read_leave_the_exit_status(repository):
    assert completed(f"{sys.executable} tools/trainings.py --port=x 2> /dev/full", cwd=repository).returncode == 2


def test_letters_that_standard_output_has_not_are_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    run(main=lambda flags: print("größe"))
    assert sys.stdout.buffer.getvalue() == b"gr\\xf6\\xdfe\n"
