"""Directories of trainings: gone on with, or discarded when told so, but never mixed up."""

import json

import pytest

from tools.cli.errors import InputError
from tools.training import checkpoints, experiments

SETTINGS = {"stage": "left2right", "seed": 0, "train_dir": "x", "view": [1.0, 2.0]}
DECISIVE = ["stage", "seed", "view"]


def with_checkpoints(folder, *steps, settings=SETTINGS):
    """A directory as a training leaves it."""
    experiments.prepare(str(folder), experiments.Plan(0, False, ""), settings)
    for step in steps:
        (folder / f"checkpoint-{step}.index").write_text("index")
        (folder / f"checkpoint-{step}.data-00000-of-00001").write_text("data")
    return str(folder)


def test_a_new_directory_is_made_with_its_settings(tmp_path):
    folder = tmp_path / "a" / "b"
    chosen = experiments.plan(str(folder), SETTINGS, DECISIVE)
    assert (chosen.start_step, chosen.discard) == (0, False)
    assert not folder.exists()
    experiments.prepare(str(folder), chosen, SETTINGS)
    content = json.loads((folder / "train.json").read_text())
    assert content["settings"] == SETTINGS
    assert [path.name for path in folder.iterdir()] == ["train.json"]


def test_the_same_training_goes_on_from_its_last_checkpoint(tmp_path):
    folder = with_checkpoints(tmp_path, 90, 180, 1000)
    chosen = experiments.plan(folder, {**SETTINGS, "train_dir": "another name"}, DECISIVE)
    assert (chosen.start_step, chosen.discard) == (1000, False)
    assert "resuming" in chosen.message


@pytest.mark.parametrize("changed", [{"seed": 1}, {"stage": "pose3d"}, {"view": [1.0, 3.0]}])
def test_another_training_is_not_gone_on_with(tmp_path, changed):
    folder = with_checkpoints(tmp_path, 90)
    (name,) = changed
    with pytest.raises(InputError, match=f"holds another training \\({name} was"):
        experiments.plan(folder, {**SETTINGS, **changed}, DECISIVE)
    with pytest.raises(InputError, match="holds another"):
        experiments.plan(folder, {**SETTINGS, **changed}, DECISIVE, load=90, overwrite=True)
    assert experiments.plan(folder, {**SETTINGS, **changed}, DECISIVE, overwrite=True).discard


def test_one_that_was_refused_before_its_first_step_is_not_in_the_way(tmp_path):
    folder = with_checkpoints(tmp_path)
    changed = {**SETTINGS, "seed": 1}
    chosen = experiments.plan(folder, changed, DECISIVE)
    assert (chosen.start_step, chosen.discard, chosen.message) == (0, False, "starting a new training")
    experiments.prepare(folder, chosen, changed)
    assert json.loads((tmp_path / "train.json").read_text())["settings"]["seed"] == 1
    (tmp_path / "log").mkdir()  # has begun
    with pytest.raises(InputError, match="holds another training"):
        experiments.plan(folder, SETTINGS, DECISIVE)


def test_load_takes_exactly_that_checkpoint(tmp_path):
    folder = with_checkpoints(tmp_path, 90, 180)
    assert experiments.plan(folder, SETTINGS, DECISIVE, load=180).start_step == 180
    with pytest.raises(InputError, match="no checkpoint-100; there are 90, 180"):
        experiments.plan(folder, SETTINGS, DECISIVE, load=100)
    with pytest.raises(InputError, match=r"later checkpoints \(180\)"):
        experiments.plan(folder, SETTINGS, DECISIVE, load=90)
    chosen = experiments.plan(folder, SETTINGS, DECISIVE, load=90, overwrite=True)
    assert checkpoints.saved_steps(folder) == [90, 180]
    experiments.prepare(folder, chosen, SETTINGS)
    assert checkpoints.saved_steps(folder) == [90]
    with pytest.raises(InputError, match="there are none"):
        experiments.plan(str(tmp_path / "nowhere"), SETTINGS, DECISIVE, load=90)


def test_overwrite_discards_checkpoints_logs_and_weights_and_nothing_else(tmp_path):
    folder = with_checkpoints(tmp_path, 90)
    for name in ("log", "export"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "notes.txt").write_text("mine")
    chosen = experiments.plan(folder, {**SETTINGS, "seed": 4}, DECISIVE, overwrite=True)
    assert "discarding" in chosen.message
    experiments.prepare(folder, chosen, {**SETTINGS, "seed": 4})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "train.json"]
    assert json.loads((tmp_path / "train.json").read_text())["settings"]["seed"] == 4


def test_directories_of_unknown_origin_are_refused(tmp_path):
    folder = with_checkpoints(tmp_path, 90)
    (tmp_path / "train.json").unlink()
    with pytest.raises(InputError, match=r"checkpoints without train\.json"):
        experiments.plan(folder, SETTINGS, DECISIVE)
    for damaged in ("{", '{"settings": {}}', "[]", '{"format": 99, "settings": {}}'):
        (tmp_path / "train.json").write_text(damaged)
        with pytest.raises(InputError, match="not the settings of a training"):
            experiments.plan(folder, SETTINGS, DECISIVE)


def named_by_epochs(folder, epochs, *steps, **changed):
    place = folder / "stage" / f"epochs_{epochs}" / "lr_1"
    return with_checkpoints(place, *steps, settings={**SETTINGS, "epochs": epochs, **changed})


def test_more_epochs_go_on_from_the_same_training_with_fewer(tmp_path):
    """Not from one with other settings, more epochs, or without a whole checkpoint."""
    named_by_epochs(tmp_path, 2, 90, 180)
    shorter = named_by_epochs(tmp_path, 3, 90, 180, 270)
    (tmp_path / "stage" / "epochs_3" / "lr_1" / "log").mkdir()
    (tmp_path / "stage" / "epochs_3" / "lr_1" / "log" / "curve").write_text("points")
    named_by_epochs(tmp_path, 4, 90, 180, 270, 360, seed=1)
    named_by_epochs(tmp_path, 5)
    named_by_epochs(tmp_path, 9, 1000)
    wanted = tmp_path / "stage" / "epochs_6" / "lr_1"
    settings, decisive = {**SETTINGS, "epochs": 6}, [*DECISIVE, "epochs"]
    assert experiments.plan(str(wanted), settings, decisive).start_step == 0
    chosen = experiments.plan(str(wanted), settings, decisive, extendable=True)
    assert (chosen.start_step, chosen.discard, chosen.source) == (270, False, shorter)
    assert chosen.message == f"going on from step 270 of the same training in {shorter}"
    experiments.prepare(str(wanted), chosen, settings)
    assert checkpoints.saved_steps(str(wanted)) == [270]
    assert (wanted / "log" / "curve").read_text() == "points"
    assert checkpoints.saved_steps(shorter) == [90, 180, 270]
    # From now on it is a training of its own.
    assert experiments.plan(str(wanted), settings, decisive, extendable=True).message.startswith("resuming")
    assert experiments.plan(str(wanted), settings, decisive, overwrite=True, extendable=True).start_step == 0
