"""--json, --dry_run, colours and completion: what every command does for programs and shells."""

import dataclasses
import importlib
import io
import json
import os
import pathlib
import pty
import subprocess
import sys

import numpy as np
import pytest

from tools.cli import command, completion, console, plans, reports, terminal
from tools.cli.errors import InputError, first_line
from tools.cli.words import counted

SCRIPTS = [
    path.relative_to(pathlib.Path(__file__).parents[3])
    for folder in ("label_generator", "baseline_network", "tools")
    for path in sorted((pathlib.Path(__file__).parents[3] / folder).glob("*.py"))
    if path.name != "__init__.py"
]


def declare():
    return command.Flags("What it does.", positional="WORD", dry_run=True)


def run(main, *arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(main, declare, ["tool", *arguments])
    return ended.value.code


def test_a_report_is_alone_on_standard_output(capsys):
    def main(flags):
        print("progress")
        flags.report.update(count=np.int64(3), mean=np.float32("nan"), place=pathlib.Path("a/b"), rows=np.eye(2))
        return 0

    assert run(main, "--json", "word") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report.pop("seconds") >= 0
    assert report == {
        "command": "tool",
        "status": 0,
        "count": 3,
        "mean": None,
        "place": os.path.join("a", "b"),
        "rows": [[1.0, 0.0], [0.0, 1.0]],
    }
    assert captured.err == "progress\n"
    assert run(main, "word") == 0
    assert capsys.readouterr().out == "progress\n"


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "--nonsense"]])
def test_errors_are_reported_too(capsys, arguments):
    def main(flags):
        flags.report["until_then"] = 1
        raise InputError("a.json: not JSON")

    assert run(main, *arguments) == 2
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["status"] == 2
    assert captured.err == f"error: {report['error']}\n"
    assert ("until_then" in report) == (arguments == ["--json"])


def test_names_in_reports_and_progress_reach_no_terminal(capsys):
    def main(flags):
        print("a\x1b[2J")
        flags.report["name"] = "a\x1b[2J"
        return 3

    assert run(main, "--json") == 3
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert json.loads(captured.out)["name"] == "a\x1b[2J"


def test_values_of_every_kind_become_plain():
    @dataclasses.dataclass
    class Point:
        x: float
        name: tuple

    assert reports.plain({1: [Point(float("inf"), ("a", 2))], "b": {True}, "c": None, "d": range}) == {
        "1": [{"x": None, "name": ["a", 2]}],
        "b": [True],
        "c": None,
        "d": "<class 'range'>",
    }


def test_a_plan_says_what_would_be_replaced(tmp_path, capsys):
    (tmp_path / "old").touch()

    def main(flags):
        assert flags.dry_run
        return plans.show(flags, ["in.npz: 3 poses"], ["two of them"], [tmp_path / "old", tmp_path / "new"])

    assert run(main, "--dry_run", "--json") == 0
    captured = capsys.readouterr()
    assert "would read    in.npz: 3 poses\nwould select  two of them\n" in captured.err
    assert f"would write   {tmp_path / 'new'}\n--dry_run: nothing was written\n" in captured.err
    assert [entry["exists"] for entry in json.loads(captured.out)["writes"]] == [True, False]


def test_errors_are_red_on_a_terminal_that_wants_colours():
    code = (
        "from tools.cli import command; from tools.cli.errors import InputError\n"
        "def main(flags): raise InputError('bad')\n"
        "command.run(main, lambda: command.Flags('x'), ['tool'])"
    )

    def shown(**variables):
        reading, writing = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        subprocess.run([sys.executable, "-c", code], stderr=writing, env={**environment, **variables}, check=False)
        os.close(writing)
        with os.fdopen(reading, "rb") as terminal_end:
            return os.read(terminal_end.fileno(), 1000)

    assert shown(TERM="xterm") == b"\x1b[1;31merror:\x1b[0m bad\r\n"
    assert shown(TERM="xterm", NO_COLOR="1") == b"error: bad\r\n"
    assert shown(TERM="dumb") == b"error: bad\r\n"
    assert terminal.coloured("error:", terminal.RED, io.StringIO()) == "error:"


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_every_help_begins_with_examples_and_ends_with_the_exit_status(script):
    module = importlib.import_module(".".join(script.with_suffix("").parts))
    text = module.declare().help(f"python {script}")
    before = text[: text.index("\nusage: ")]
    assert f"    python {script.as_posix()}" in before or "<(python" in before
    assert "exit status: 0 done" in text.splitlines()[-2] + text.splitlines()[-1]
    writes = any(f"\n  {name}=" in text for name in ("--output", "--train_dir", "--save_dir", "--sheet"))
    # A benchmark writes each row as it is measured: without measuring there is nothing to say.
    assert ("--[no]dry_run" in text) == (writes and script.name != "benchmark.py")


def test_every_console_command_is_installed(repository):
    named = {
        line.strip().strip('",')
        for line in (repository / "setup.py").read_text(encoding="utf-8").splitlines()
        if "=tools.cli.console:" in line
    }
    assert named == {f"{name}=tools.cli.console:{name[7:].replace('-', '_')}" for name in console.COMMANDS}
    assert all(callable(getattr(console, name[7:].replace("-", "_"))) for name in console.COMMANDS)


def completed(words, tmp_path):
    """What bash offers for the last of these words; bash gives the equals sign as a word of its own."""
    path = tmp_path / "completion.bash"
    if not path.exists():
        path.write_text(completion.script("bash"), encoding="utf-8")
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pose3d "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    line = ["bash", "-c", code, "bash", str(path), *words]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_flags_values_and_files(tmp_path):
    (tmp_path / "keypoints.json").touch()
    assert completed(["pose3d-labels", "--forma"], tmp_path) == ["--format=", "--formats="]
    assert completed(["pose3d-labels", "--format", "=", "dee"], tmp_path) == ["deeplabcut"]
    assert completed(["/some/where/pose3d-labels", "--dry"], tmp_path) == ["--dry_run"]
    assert completed(["pose3d-labels", "--input", "=", "key"], tmp_path) == ["keypoints.json"]
    assert completed(["pose3d-train", "--nores"], tmp_path) == ["--noresidual"]
    assert completed(["pose3d-train", "--stage", "="], tmp_path) == ["left2right", "pose3d", "direct", "chain"]


def test_zsh_gets_an_argument_for_every_flag():
    text = completion.script("zsh")
    for name, module in console.COMMANDS.items():
        block = text.split(f"    {name})\n", 1)[1].split(";;", 1)[0]
        for flag in importlib.import_module(module).declare().described():
            assert f"'--{flag.name}" in block, f"{name} {flag.name}"
    assert text.count("'") % 2 == 0


def test_counted_nouns():
    assert [counted(n, "clip") for n in (0, 1, 1234)] == ["0 clips", "1 clip", "1,234 clips"]
    assert [counted(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]


def test_first_lines_of_exceptions_end_between_words():
    assert first_line(ValueError("bad magic\nat 0x12")) == "bad magic"
    assert first_line(ValueError("one two three"), 12) == "one two ..."
    assert first_line(KeyError()) == "KeyError"


def test_help_says_each_default_once():
    for script in SCRIPTS:
        module = importlib.import_module(".".join(script.with_suffix("").parts))
        if not hasattr(module, "declare"):
            continue
        text = module.declare().help("tool")
        assert "(default: )" not in text, script
        assert "=|" not in text, script
        for entry in text.split("\n  --"):
            assert entry.split("\n\n")[0].count("(default: ") <= 1, f"{script}: {entry}"


def test_plans_of_many_files_name_the_first_and_last(capsys):
    flags = command.Flags(__doc__, dry_run=True)
    plans.show(flags, [], [], [f"none/{i}" for i in range(1000)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[19:22] == [
        "would write   none/19",
        "would write   ... and 978 more (--json names all)",
        "would write   none/998",
    ]
    assert len(flags.report["writes"]) == 1000


def test_input_given_as_a_flag_where_it_is_none(capsys):
    assert run(lambda flags: 0, "--input=rec") == 2
    assert "--input: no flag of this command, which takes its input without one: WORD" in capsys.readouterr().err
