"""From photographs and videos to labels and what is drawn of them, and what ends in one line before."""

import hashlib
import importlib.util
import json
import os

import cv2
import numpy as np
import pytest

from label_generator import generate
from label_generator.gallery import page
from label_generator.labelling import (
    overlays,
    photographs,
)
from tests.label_generator.labelling.spots import RedSpots, find, picture
from tfrecords import reader
from tfrecords.formats import photographs as photograph_files
from tools.cli.errors import InputError
from tools.drawing import drawing
from tools.pose import joints
from tools.review_page import pictures as review_pictures
from tools.review_page.label_columns import LabelColumns


def labels_of(output):
    with np.load(output / "labels.npz") as content:
        return {name: content[name] for name in content.files}


def test_the_first_pictures_and_poses_alone(red_spots, folder, tmp_path, run_command, canonical_weights, capsys):
    weights = f"--weights={canonical_weights / 'left2right'},{canonical_weights / 'pose3d'}"
    call = [f"--input={folder}", f"--output={tmp_path / 'two'}", weights, "--nooverlays"]
    assert run_command(generate, *call, "--limit=2") == 0
    assert "2 people in 2 pictures" in capsys.readouterr().out
    assert labels_of(tmp_path / "two")["person"].tolist() == [0, 1, -1]
    # Labels of fewer people than people.npz has would count its pictures wrong.
    call[:2] = [f"--input={tmp_path / 'two' / 'people.npz'}", f"--output={tmp_path / 'again'}"]
    assert run_command(generate, *call, "--limit=1") == 2
    assert "--limit: is for the photographs themselves" in capsys.readouterr().err
    np.save(tmp_path / "p.npy", np.arange(5 * 34, dtype=np.float32).reshape(5, 17, 2) ** 1.1)
    call = [f"--input={tmp_path / 'p.npy'}", f"--output={tmp_path / 'three'}", weights]
    assert run_command(generate, *call, "--joints=pose17", "--limit=3", "--dry_run") == 0
    assert "the first 3 of 5, 3 poses" in capsys.readouterr().out


def test_generate_labels_and_draws_photographs(red_spots, folder, tmp_path, run_command, canonical_weights, capsys):
    output = tmp_path / "labels"
    weights = f"--weights={canonical_weights / 'left2right'},{canonical_weights / 'pose3d'}"
    assert run_command(generate, f"--input={folder}", f"--output={output}", weights, "--tfrecords") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"input: {folder}, 3 people in 4 pictures, in {output / 'people.npz'}\n")
    assert "3 labels for 3 people in 4 pictures" in told
    assert "\n1 picture could not be read: c.jpg (image damaged)\n1 picture without people\n" in told
    assert "without label" not in told
    assert "\ncameras: 3 assumed\n" in told
    pictures = json.loads((output / "summary.json").read_text())["pictures"]
    assert pictures["unreadable_files"] == {"c.jpg": "image damaged"}
    assert (pictures["pictures"], pictures["people"], pictures["without_people"], pictures["unreadable"]) == (
        4,
        3,
        1,
        1,
    )
    labels = labels_of(output)
    assert labels["person"].tolist() == [0, 1, -1, -1, 0]
    assert np.isfinite(labels["poses_3d"][[0, 1, 4]]).all()
    drawn = {path.relative_to(output).as_posix() for path in (output / "overlays").rglob("*.png")}
    assert drawn == {"overlays/a.png", "overlays/b.png", "overlays/more/d.png"}
    # Nobody is labelled in b: the picture as it is, and words instead of 3D.
    nobody = cv2.imread(str(output / "overlays" / "b.png"))
    assert (nobody[:, :1080] == 120).all()
    assert 0.002 < (nobody[:, 1080:] < 100).mean() < 0.1
    shown = cv2.imread(str(output / "overlays" / "a.png"))
    # The photograph, three wide to two high, and a square of its height beside it.
    assert shown.shape == (720, 1080 + 720, 3)
    left, right = shown[:, :1080], shown[:, 1080:]
    # The grey of the photograph is still there, and limbs have been drawn around both spots and in the room.
    assert (np.abs(left.astype(int) - 120).max(-1) < 4).mean() > 0.5
    for x in (30, 90):
        part = left[:, 9 * x - 150 : 9 * x + 150]
        assert (np.ptp(part, axis=-1) > 60).mean() > 0.02
    assert (np.ptp(right, axis=-1) > 60).mean() > 0.002
    records = reader.find(str(output / "tfrecords"))
    assert len(records) == 3
    captions = [shown.caption for shown in page.labelled(output, 4)]
    assert [caption.split(": ")[:2] for caption in captions[:3]] == [
        ["a.png", f"quality {labels['quality'][0]:.2f}"],
        ["a.png", f"quality {labels['quality'][1]:.2f}"],
        ["b.png", "no label"],
    ]
    # A reviewer sees the picture in which nobody was found, too.
    reviewed = review_pictures.Photographs(LabelColumns(output), "")
    assert reviewed.message == f"pictures: those of {folder}"
    seen = list(reviewed)
    assert [data is not None for data in seen] == [True, True, True, False, True]
    assert seen[0] is seen[1]
    shown_to_reviewer = cv2.imdecode(np.frombuffer(seen[2], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown_to_reviewer.astype(int) - cv2.imread(str(folder / "b.png"))).max() < 8
    cell = page.sheet(page.labelled(output, 4), columns=1)
    assert cell.shape[0] > 4 * 300


def test_people_without_a_label_are_drawn_in_grey_and_say_so():
    pose = np.stack([np.linspace(20, 90, 17), np.linspace(10, 70, 17)], -1)[None]
    others = overlays.WithoutLabel(
        pose, np.full((1, 17), joints.LABELLED), ["4: no label"], ["person 4: no depth fits"]
    )
    photo = photograph_files.Photo("a.jpg", picture())
    nothing = np.zeros((0, 17, 3))
    drawn = overlays.Drawn("a.png", photo, nothing[..., :2], nothing[..., 0], nothing, [], others)
    shown = overlays.panel(drawn, 240)[:, :360]
    spots = np.rint((pose[0] + 0.5) * 3 - 0.5).astype(int)
    colours = shown[spots[:, 1], spots[:, 0]].astype(int)
    assert (np.abs(colours - drawing.GHOST_COLOUR) <= 2).all()


def test_generate_films_a_video(red_spots, film, tmp_path, run_command, canonical_weights):
    output = tmp_path / "labels"
    weights = f"--weights={canonical_weights / 'left2right'},{canonical_weights / 'pose3d'}"
    assert run_command(generate, f"--input={film}", f"--output={output}", weights) == 0
    labels = labels_of(output)
    assert set(labels["person"]) == {0, 1}
    assert labels["files"][labels["file"]].tolist() == ["walk.mp4"] * 37
    video = photograph_files.Video(output / "overlays" / "walk.mp4")
    assert video.count == 20
    assert video.fps == pytest.approx(10, abs=0.01)
    assert (video.height, video.width) == (480, 780 + 480)
    # Lifted again from the people alone, to the same labels.
    again = tmp_path / "again"
    people = output / photographs.NAME
    assert run_command(generate, f"--input={people}", f"--output={again}", weights, "--nooverlays") == 0
    np.testing.assert_array_equal(labels_of(again)["poses_3d"], labels["poses_3d"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place: (place / "a.jpg").write_bytes(b"\xff\xd8\xff no picture"), ["a.jpg", "can be read"]),
        (lambda place: (place / "a.jpg").write_bytes(b""), ["a.jpg", "can be read"]),
        (lambda place: (place / "a.mp4").write_bytes(b""), ["a.mp4: not a video"]),
        (lambda place: os.mkfifo(place / "a.jpg"), ["a.jpg", "can be read"]),
        (lambda place: os.mkfifo(place / "a.mp4"), ["a.mp4: is a named pipe, expected a file"]),
        (lambda place: (place / "a.jpg").mkdir(), ["no pictures"]),
    ],
)
def test_bad_pictures_are_one_line_and_leave_nothing(
    red_spots, make, words, tmp_path, run_command, assert_error, capsys
):
    place = tmp_path / "in"
    place.mkdir()
    make(place)
    source = next(place.iterdir())
    assert run_command(generate, f"--input={source}", f"--output={tmp_path / 'out'}") == 2
    assert_error(*words)
    assert not (tmp_path / "out").exists()


def test_without_models_one_line_says_how_to_get_them(folder, tmp_path, run_command, assert_error, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run_command(generate, f"--input={folder}", f"--output={tmp_path / 'out'}") == 2
    assert_error("pip install --no-deps mediapipe==")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry", [[], ["--dry_run"]], ids=["run", "dry"])
def test_a_head_that_is_damaged_or_missing_is_one_line_before_the_work(
    red_spots, folder, tmp_path, run_command, assert_error, monkeypatch, dry
):
    arguments = [f"--input={folder}", f"--output={tmp_path / 'out'}", *dry]
    assert run_command(generate, *arguments, f"--body_head={tmp_path / 'none'}") == 2
    assert_error("none: no such file", "expected a folder with body_head.tflite")
    assert run_command(generate, *arguments, "--detector=mediapipe_only", "--body_head=own") == 2
    assert_error("--body_head=own: goes with --detector=mediapipe")
    (tmp_path / "body_head.tflite").write_bytes(b"damaged")
    monkeypatch.setattr("tools.detection.body_head.WEIGHTS", tmp_path / "body_head.tflite")
    assert run_command(generate, *arguments) == 2
    assert_error(
        "missing, damaged, or not the file that body_head.sha256 names; --detector=mediapipe_only does without"
    )
    assert not (tmp_path / "out").exists()
    if dry:
        assert run_command(generate, *arguments, "--detector=mediapipe_only") == 0


def test_people_of_another_head_are_not_taken(red_spots, folder, tmp_path, monkeypatch):
    from tools.detection import body_head

    own = tmp_path / "own" / "body_head.tflite"
    own.parent.mkdir()
    own.write_bytes(b"another head")
    own.with_suffix(".sha256").write_text(hashlib.sha256(b"another head").hexdigest())
    monkeypatch.setattr(body_head, "_runs", lambda path, actual: True)
    output = tmp_path / "out"
    find(folder, output)
    with pytest.raises(InputError, match="people of another input, --detector, --every_seconds or --limit"):
        find(folder, output, body_head=str(own.parent))
    # The place of a head is no matter.
    (tmp_path / "copy").mkdir()
    for path in (body_head.WEIGHTS, body_head.CHECKSUM):
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    before = RedSpots.calls
    find(folder, output, body_head=str(tmp_path / "copy"))
    assert RedSpots.calls == before
