"""Training of the body head: refusals before the work, and work that was ended goes on to the same crops and weights.

The landmark network is replaced by numbers that depend on picture and region: what is held is what is kept.
"""

import os
import signal

import cv2
import numpy as np
import pytest

from baseline_network import train_body_head
from baseline_network.training import body_head, body_head_crops, body_head_neighbours
from baseline_network.training.body_head_people import AnnotatedPeople, Neighbours
from tools.cli import command
from tools.cli.errors import InputError
from tools.detection import mediapipe_models

PEOPLE = 12


class Network:
    """Inner tensors by a generator seeded by the region; after `ends_at` calls the process is asked to end."""

    calls, ends_at, number = 0, 0, signal.SIGTERM

    def __init__(self, threads=1, head=False):
        pass

    def inner(self, picture, region, within=None):
        Network.calls += 1
        if Network.calls == Network.ends_at:
            os.kill(os.getpid(), Network.number)
        rng = np.random.default_rng([int(abs(value) * 1000) for value in region] + [int(picture[::9, ::9].sum())])
        shapes = ((64, 64, 39), (32, 32, 48), (32, 32, 32), (16, 16, 88), (8, 8, 144))
        return [rng.random(shape, np.float32) * (1 + place) for place, shape in enumerate(shapes)]

    def look(self, picture, region):
        self.latest_inner = self.inner(picture, region)
        points = np.full((33, 2), region.x)
        return mediapipe_models.Landmarks(
            1.0, 1.0, points, points[:, 0], points[:, 0], np.zeros((33, 3)), region, points[:, 0], None
        )


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """An .npz of a dozen people in as many pictures, and the network in place of MediaPipe's."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [f"{i:02}.png" for i in range(PEOPLE)]
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (90, 80, 3)).astype(np.uint8))
    joints = np.concatenate([rng.uniform(10, 75, (PEOPLE, 14, 2)), np.ones((PEOPLE, 14, 1))], -1)
    np.savez(tmp_path / "photos.npz", files=np.array(names), joints=joints)
    model = tmp_path / "model"
    model.write_bytes(b"model")
    monkeypatch.setattr(mediapipe_models, "LandmarkNetwork", Network)
    monkeypatch.setattr(mediapipe_models, "model_file", lambda name: model)
    monkeypatch.setattr(body_head_crops, "_SCALED_ON", 3)
    Network.calls, Network.ends_at, Network.number = 0, 0, signal.SIGTERM
    return tmp_path / "photos.npz"


def run(photos, *arguments):
    """Exit status of the command with crops and batches that are small."""
    standard = [f"--input={photos}", f"--output={photos.parent / 'head'}", "--crops=64", "--batch_size=8"]
    with pytest.raises(SystemExit) as ended:
        command.run(train_body_head.main, train_body_head.declare, ["train", *standard, "--epochs=0.5", *arguments])
    return ended.value.code or 0


def changed(photos, **arrays):
    with np.load(photos) as before:
        np.savez(photos, **{**before, **arrays})


def first_joint(photos, value):
    joints = np.load(photos)["joints"]
    joints[0, 0, 0] = value
    return joints


CASES = {
    "gone": (lambda photos: photos.unlink(), [], "photos.npz"),
    "columns": (lambda photos: changed(photos, joints=np.zeros((PEOPLE, 14, 5))), [], "joints must be numbers"),
    "count": (lambda photos: changed(photos, joints=np.zeros((PEOPLE, 9, 3))), [], "9 joints"),
    "nan": (
        lambda photos: changed(photos, joints=np.full((PEOPLE, 14, 3), np.nan)),
        [],
        "0 of 12 people with 7 joints",
    ),
    "far": (lambda photos: changed(photos, joints=first_joint(photos, 1e9)), [], "row 0 (00.png): 2D joint beyond"),
    "one": (
        lambda photos: changed(photos, files=np.load(photos)["files"][:1], joints=np.load(photos)["joints"][:1]),
        [],
        "at least 2 are needed",
    ),
    "batch": (lambda photos: None, ["--batch_size=64"], "12 people, 1 of them held out"),
    "no folder": (lambda photos: (photos.parent / "photos").rename(photos.parent / "other"), [], "by --images=FOLDER"),
    "start": (lambda photos: None, ["--start_from=nowhere"], "nowhere: no such file; expected a folder with"),
    "none": (lambda photos: None, ["--images=none"], "the head is trained on pictures"),
    "broken": (
        lambda photos: [path.write_bytes(b"no") for path in (photos.parent / "photos").iterdir()],
        [],
        "none of its pictures can be read; the first is 00.png",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dry", [[], ["--dry_run"]], ids=["run", "dry"])
def test_what_cannot_succeed_is_refused_before_the_work(photos, capsys, case, dry):
    spoil, arguments, message = CASES[case]
    spoil(photos)
    assert run(photos, *arguments, *dry) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "leave them out" not in error
    assert Network.calls == 0
    assert not (photos.parent / "head").exists()


def test_crops_that_were_ended_go_on_to_the_same_bytes(photos, tmp_path, capsys):
    people = AnnotatedPeople(photos)
    whole = body_head_crops.make(people, tmp_path / "whole", 64)
    pictures = photos.parent / "photos"
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
        Network.ends_at, Network.number = Network.calls + 20, number
        assert run(photos) == status
        error = capsys.readouterr().err
        assert "64 crops are kept; the same command goes on from there" in error
        assert run(photos, "--dry_run") == 0
        assert "of 64 crops of an earlier run" in capsys.readouterr().out
    assert run(photos, "--seed=1") == 2
    assert "crops of another seed; --overwrite replaces them" in capsys.readouterr().err
    parts = body_head_crops.make(people, photos.parent / "head" / "crops", 64)
    for one, other in zip(parts[:5], whole[:5]):
        np.testing.assert_array_equal(one, other)
    calls = Network.calls
    body_head_crops.make(people, photos.parent / "head" / "crops", 64)
    assert Network.calls == calls
    # A picture that cannot be read is counted and left out; crops of other pictures are made anew.
    (pictures / "03.png").write_bytes(b"no")
    (pictures / "05.png").unlink()
    capsys.readouterr()
    other = body_head_crops.make(people, photos.parent / "head" / "crops", 64, seed=1, overwrite=True)
    assert "2 of 12 people are left out, since their pictures are missing or cannot be read" in capsys.readouterr().err
    assert set(other.person.tolist()) == set(range(PEOPLE)) - {3, 5}


def test_crops_with_neighbours_go_on_to_the_same_bytes_too(photos, tmp_path, monkeypatch, capsys):
    class Mask:
        def of(self, picture, region):
            return np.ones(picture.shape[:2])

    chosen, pairs, cut_out, crowd = [], [], body_head_neighbours.CutOuts.of, body_head_neighbours.crowd

    def recorded(alone, choose, rng):
        person, before = chosen[-1], len(chosen)
        result = crowd(alone, choose, rng)
        pairs.extend((person, other) for other in chosen[before:])
        return result

    monkeypatch.setattr(body_head_neighbours, "crowd", recorded)
    monkeypatch.setattr(
        body_head_neighbours.CutOuts, "of", lambda self, row: (chosen.append(row), cut_out(self, row))[1]
    )
    monkeypatch.setattr(body_head_neighbours, "PersonMask", Mask)
    people, neighbours = AnnotatedPeople(photos), Neighbours(0.5, 4)
    whole = body_head_crops.make(people, tmp_path / "whole", 64, neighbours=neighbours)
    assert 10 < whole.crowded.sum() < 54
    # People held out have neighbours who are held out, and others have others.
    assert len(pairs) > 20
    assert {one >= PEOPLE - 4 for one, _ in pairs} == {True, False}
    assert all((one >= PEOPLE - 4) == (other >= PEOPLE - 4) for one, other in pairs)
    Network.ends_at = Network.calls + 30
    flags = ("--neighbours=0.5", "--held_out=0.3333")
    assert run(photos, *flags) == 143
    assert run(photos, "--neighbours=0.4", "--held_out=0.3333") == 2
    assert "crops of another neighbours; --overwrite replaces them" in capsys.readouterr().err
    parts = body_head_crops.make(people, photos.parent / "head" / "crops", 64, neighbours=neighbours)
    for one, other in zip((*parts[:5], parts.crowded), (*whole[:5], whole.crowded)):
        np.testing.assert_array_equal(one, other)


def test_what_is_in_the_output_is_replaced_only_when_asked(photos, capsys):
    output = photos.parent / "head"
    people = AnnotatedPeople(photos)
    body_head_crops.make(people, output / "crops", 64)
    assert run(photos, "--dry_run") == 0
    (output / "training").mkdir()
    for content, words in (
        ({"settings": "{}"}, "a training with other flags"),
        ({}, "damaged; --overwrite trains anew"),
    ):
        np.savez(output / "training" / "state.npz", **content)
        capsys.readouterr()
        assert run(photos) == 2
        assert words in capsys.readouterr().err
        assert run(photos, "--overwrite", "--dry_run") == 0
    (output / "crops" / "fine.npy").write_bytes(b"damaged")
    with pytest.raises(InputError, match="crops: damaged; --overwrite makes the crops anew"):
        body_head_crops.make(people, output / "crops", 64)
    assert len(body_head_crops.make(people, output / "crops", 64, overwrite=True).places) == 64
    (output / "body_head.sha256").write_text("finished")
    assert run(photos) == 2
    assert "head: exists already; --overwrite replaces it" in capsys.readouterr().err


def test_crops_that_do_not_fit_on_the_disk_are_not_begun(photos, tmp_path):
    people = AnnotatedPeople(photos)
    with pytest.raises(InputError, match=r"crops take 131,?\d*\.\d GB, .* GB are free"):
        body_head_crops.make(people, tmp_path / "crops", 10**9)
    assert not (tmp_path / "crops").exists()


def test_a_training_that_was_ended_goes_on_to_the_same_weights(photos, tmp_path, monkeypatch):
    from tools.cli.signals import Ended

    monkeypatch.setattr(body_head, "_CHANNELS", (4, 4, 4))
    monkeypatch.setattr(body_head, "_BLOCKS", (1, 1, 1))
    crops = body_head_crops.make(AnnotatedPeople(photos), tmp_path / "crops", 64)
    plan, folder = body_head.Plan(epochs=0.75, batch_size=8), tmp_path / "training"
    whole, figures = body_head.train(crops, plan, lambda line: None)
    lines = []
    real = body_head_crops.as_inputs
    # The first step's tracing asks the process to end: that step is finished and saved.
    monkeypatch.setattr(
        body_head_crops, "as_inputs", lambda *tensors: (os.kill(os.getpid(), signal.SIGTERM), real(*tensors))[1]
    )
    with pytest.raises(Ended, match="SIGTERM") as ended:
        body_head.train(crops, plan, lines.append, folder, "settings")
    assert ended.value.note.startswith("1 of ")
    assert body_head.kept_settings(folder) == "settings"
    assert not lines
    monkeypatch.setattr(body_head_crops, "as_inputs", real)
    parts, again = body_head.train(crops, plan, lines.append, folder, "settings")
    assert lines[0].startswith("goes on after step 1 of ")
    for one, other in zip(parts.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert again == pytest.approx(figures, nan_ok=True)
