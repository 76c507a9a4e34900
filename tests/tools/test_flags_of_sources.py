"""Which source takes which flag of make_tfrecords: the table, the sources' code, the command and the pages agree."""

import dataclasses
import inspect
import re
import shlex

import pytest

from tfrecords import sources
from tfrecords.source import Options, Source
from tfrecords.sources import rendered
from tools import make_tfrecords
from tools.cli import command

# Functions outside the classes that read fields of the options.
_READ_BY = {"open_pictures(": {"images", "verify"}, "check_frame_step(": {"frame_step"}}
# Read only to be refused, or of arrays that the source never has.
_READ_IN_VAIN = {"synthetic": {"distort"}, "rendered": {"distort"}, "leftright2d": {"baseline_mm"}}
# Fields that are no flags of make_tfrecords.py, and the one that every source has.
_NO_FLAGS = {"joints", "min_confidence", "image_size", "split"}
_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(make_tfrecords.main, make_tfrecords.declare, ["make_tfrecords", *map(str, arguments)])
    return ended.value.code


def read_by(name):
    """The fields of the options that the classes of a source read, by their code."""
    kinds = [kind for kind in sources.source_class(name).__mro__ if kind not in (Source, object)]
    # Of motion capture, rendered chooses the cameras itself and draws its own views.
    kinds += [rendered._Synthetic, rendered._Captured] if name == "rendered" else []
    code = "".join(inspect.getsource(kind) for kind in kinds if kind.__module__.startswith("tfrecords."))
    if name == "rendered":
        code += "".join(map(inspect.getsource, (rendered.mocap.Mocap._index_archive, rendered.mocap.Mocap._load)))
        code += "check_frame_step("
    found = set(re.findall(r"\b_?options\.(\w+)", code))
    for function, fields in _READ_BY.items():
        found |= fields if function in code else set()
    return found


@pytest.mark.parametrize("name", sources.SOURCES)
def test_the_table_is_what_the_sources_read(name):
    expected = read_by(name) - _NO_FLAGS - _READ_IN_VAIN.get(name, set())
    assert set(sources.taken_by(name)) == expected


def test_every_field_of_the_options_that_is_a_flag_is_in_the_table():
    fields = {field.name for field in dataclasses.fields(Options)}
    assert set(sources.TAKEN) == fields - _NO_FLAGS
    described = {flag.name for flag in make_tfrecords.declare().described()}
    assert set(sources.TAKEN) <= described
    assert {name for takers in sources.TAKEN.values() for name in takers} <= set(sources.SOURCES)


@pytest.mark.parametrize(
    "flag",
    ["cameras=x", "intrinsics=1,2,3,4", "unit_mm=2", "body_model=x", "layout=planar", "cameras_style=wild", "distort",
     "nodistort", "count=5", "frame_step=2", "baseline_mm=400", "seed=1"],
)  # fmt: skip
def test_a_flag_of_other_sources_is_refused(tmp_path, monkeypatch, capsys, flag):
    monkeypatch.chdir(tmp_path)
    name = flag.partition("=")[0].removeprefix("no")
    (tmp_path / "flags").write_text(f"--{flag}\n")
    for given in (f"--{flag}", "--flagfile=flags"):
        assert run("--source=coco", "--input=x.json", "--output=out", given) == 2
        error = capsys.readouterr().err
        takers = ", ".join(sources.TAKEN[name])
        assert error == f"error: --{name}: source coco does not take it; those that do: {takers}\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source=rendered", "--unit_mm=10"], "--unit_mm: source rendered takes it only with motion capture"),
        (["--source=rendered", "--images=photos"], "--images=photos: source rendered draws its pictures"),
        (["--source=h36m", "--input=x", "--cameras=c.h5", "--cameras_style=wild"], "--cameras: sampled cameras are"),
        (["--source=mocap", "--input=x", "--distort", "--cameras_style=level"], "--distort: sampled cameras are"),
        (["--source=tfrecords", "--input=x", "--images=none"], "--images: source tfrecords does not take it"),
        (["--source=coco", "--input=/none/x.json", "--shuffle", "--seed=1"], "/none/x.json"),  # the input is read
    ],
)
def test_flags_that_depend_on_others(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert run(*flags, "--output=out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_list_and_the_page_show_the_table(repository, capsys):
    assert run("--source=list") == 0
    shown = {}
    for block in re.split(r"\n(?=\S)", capsys.readouterr().out):
        flags = re.search(r"\n    flags    (.*?)\n    licence", block, re.DOTALL)
        shown[block.partition(":")[0]] = re.findall(r"--(\w+)", flags[1])
    assert shown == {name: sources.taken_by(name) for name in sources.SOURCES}
    page = (repository / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `--(\w+)` \| (`.*`) \|$", page, re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", row)) for name, row in rows.items()} == sources.TAKEN


def test_commands_of_the_pages_give_no_flag_that_their_source_ignores(repository):
    pages = [repository / "README.md", *repository.glob("docs/*.md"), *repository.glob("*/weights/README.md")]
    commands = [
        line
        for page in pages
        for block in _FENCE.findall(page.read_text(encoding="utf-8"))
        for line in block.replace("\\\n", " ").splitlines()
        if "make_tfrecords.py" in line
    ]
    assert len(commands) > 15
    for line in commands:
        words = shlex.split(line.partition("make_tfrecords.py")[2].partition("  #")[0].partition(";")[0])
        given = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
        if given["source"] != "list":
            sources.check_taken(given["source"], set(given) & set(sources.TAKEN), "input" in given)
