"""The list of trainings: figures, what is unfinished, and the command that shows their curves."""

import json
import shlex

import pytest

from tools import trainings
from tools.cli import command
from tools.training import experiments


@pytest.fixture
def folder(tmp_path):
    """Two trainings in folders of their settings: a finished one with curves, and one with two checkpoints."""
    place = tmp_path / "my experiments"
    nothing = experiments.Plan(0, False, "")
    finished, unfinished = place / "hourglass" / "lr_1", place / "canonical" / "lr_2"
    for one in (finished, unfinished):
        experiments.prepare(str(one), nothing, {"epochs": 2})
    (finished / "checkpoint-30.index").write_text("")
    (finished / experiments.LOG_FOLDER).mkdir()
    export = finished / experiments.EXPORT_FOLDER
    export.mkdir()
    (export / "model.json").write_text(json.dumps({"facts": {"figures": {"mpjpe_mm": 41.3766, "pckh": 63.7}}}))
    for step in (10, 20):
        (unfinished / f"checkpoint-{step}.index").write_text("")
    return place


@pytest.mark.parametrize("content", ["[]", '{"facts": 5}', '{"facts": {"figures": {"mpjpe_mm": "good"}}}'])
def test_a_model_without_figures_is_listed_without_them(run, folder, content, capsys):
    (export,) = folder.rglob("model.json")
    export.write_text(content)
    assert run(folder) == 0
    assert "step 30, finished\n" in capsys.readouterr().out


def test_a_damaged_model_is_named(run, folder, capsys):
    (export,) = folder.rglob("model.json")
    export.write_text("{")
    assert run(folder) == 2
    assert capsys.readouterr().err.startswith(f"error: {export}: not JSON")


@pytest.fixture
def run(monkeypatch):
    def one(*arguments):
        with pytest.raises(SystemExit) as left:
            command.run(trainings.main, trainings.declare, ["tools/trainings.py", *map(str, arguments)])
        return left.value.code

    return one


def test_every_training_has_its_step_and_figures(run, folder, capsys):
    assert run(folder, "--port=7007") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"{folder}/canonical/lr_2",
        "    step 20, unfinished",
        f"{folder}/hourglass/lr_1",
        "    step 30, finished: mpjpe_mm 41.38, pckh 63.7",
    ]
    assert shlex.split(lines[5]) == ["tensorboard", "--logdir", str(folder), "--port", "7007"]
    assert "http://localhost:7007" in lines[6]


def test_a_report_for_programs(run, folder, capsys):
    assert run(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["finished"] for one in report["trainings"]] == [False, True]
    assert [one["curves"] for one in report["trainings"]] == [False, True]
    assert report["trainings"][1]["figures"] == {"mpjpe_mm": 41.3766, "pckh": 63.7}
    assert report["tensorboard"].startswith("tensorboard --logdir")


def test_where_there_is_none(run, tmp_path, assert_error, monkeypatch):
    assert run(tmp_path / "nowhere") == 2
    assert_error("nowhere: no such folder", "--train_dir")
    assert run(tmp_path) == 2
    assert_error("no training in it", experiments.SETTINGS_FILE)
    monkeypatch.chdir(tmp_path)
    assert run() == 2
    assert_error("experiments: no such folder")
    assert run("a", "b") == 2
    assert_error("one FOLDER at a time, got a and b")
