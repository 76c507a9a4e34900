"""predict.py as a user runs it: folders of all kinds of pictures, videos, bad input, nothing half-written."""

import functools
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline_network import predict
from baseline_network.prediction import run as run_of_predict
from baseline_network.prediction.people_in_pictures import predict_people
from tools.drawing import animation

HEAVY = "tensorflow", "cv2", "matplotlib", "scipy", "h5py", "keras"


@pytest.fixture
def run(run_with_small_network):
    """The command in this process with a small network; returns its exit status."""
    return functools.partial(run_with_small_network, predict)


def picture(height=60, width=80, seed=0):
    coarse = np.random.default_rng(seed).uniform(0, 255, (4, 5, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Pictures of every kind, and files that are none."""
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    cv2.imwrite(str(place / "b.jpg"), picture())
    cv2.imwrite(str(place / "grey.png"), picture()[..., 0])
    cv2.imwrite(str(place / "clear.png"), np.dstack([picture(), picture()[..., 0]]))
    cv2.imwrite(str(place / "deep.png"), picture().astype(np.uint16) * 257)
    cv2.imwrite(str(place / "one.png"), picture()[:1, :1])
    cv2.imwrite(str(place / "more" / "a.jpg"), picture(seed=1))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()[..., ::-1].copy()).save(place / "turned.jpg", quality=95, exif=exif)
    (place / "cut.jpg").write_bytes((place / "b.jpg").read_bytes()[:-60])
    (place / "empty.png").write_bytes(b"")
    (place / "text.jpg").write_text("not a picture at all")
    (place / "notes.txt").write_text("nobody asked")
    return place


def load(output):
    return json.loads((output / "predictions.json").read_text())


def test_a_folder_of_everything(run, folder, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(f"--input={folder}", f"--output={output}", "--boxes=whole", "--batch_size=3") == 0
    told = capsys.readouterr().out
    assert "7 people in 10 pictures" in told
    for line in ("skipped: 1 (image truncated)", "skipped: 1 (image empty)", "skipped: 1 (not a picture)"):
        assert line in told
    assert "first: cut.jpg" in told
    assert "boxes: 7 whole picture" in told
    content = load(output)
    images = content["images"]
    names = ["b.jpg", "clear.png", "cut.jpg", "deep.png", "empty.png", "grey.png", "more/a.jpg", "one.png", "text.jpg"]
    assert [image["file"] for image in images] == [*names, "turned.jpg"]
    skipped = {image["file"]: image["skipped"] for image in images if "skipped" in image}
    assert skipped == {"cut.jpg": "image truncated", "empty.png": "image empty", "text.jpg": "not a picture"}
    for image in images:
        assert len(image["people"]) == (image["file"] not in skipped)
    by_name = {image["file"]: image for image in images}
    assert (by_name["turned.jpg"]["width"], by_name["turned.jpg"]["height"]) == (60, 80)
    assert by_name["turned.jpg"]["exif_orientation"] == 6
    assert (by_name["b.jpg"]["width"], by_name["b.jpg"]["height"], by_name["b.jpg"]["exif_orientation"]) == (80, 60, 1)
    # the same pixels, however stored
    same = [by_name[name]["people"][0]["confidence"] for name in ("clear.png", "deep.png")]
    np.testing.assert_allclose(same[0], same[1], atol=2e-4)
    one = by_name["one.png"]["people"][0]
    assert one["box"] == [0.0, 0.0, 1.0, 1.0]
    assert content["joints"][6] == "Pelvis"
    assert content["margin"] == 1.25
    assert sorted(path.name for path in output.iterdir()) == ["overlays", "predictions.json", "predictions.npz"]
    overlays = sorted(path.relative_to(output / "overlays").as_posix() for path in output.rglob("*.overlay.jpg"))
    assert overlays == sorted(f"{name}.overlay.jpg" for name in by_name if name not in skipped)
    assert cv2.imread(str(output / "overlays" / "turned.jpg.overlay.jpg")).shape == (80, 60, 3)


def test_json_and_arrays_say_the_same_as_the_network(run, folder, tmp_path, small_network):
    output = tmp_path / "out"
    flags = [f"--input={folder / 'b.jpg'}", f"--output={output}", "--box=10,5,40,50", "--box=-8,0,30,30"]
    assert run(*flags, "--nooverlays") == 0
    assert not (output / "overlays").exists()
    (image,) = load(output)["images"]
    pixels = cv2.imread(str(folder / "b.jpg"))[..., ::-1]
    boxes = np.float32([[10, 5, 40, 50], [-8, 0, 30, 30]])
    expected = small_network[1].from_pixels(pixels, boxes)
    arrays = np.load(output / "predictions.npz")
    assert arrays["files"].tolist() == ["b.jpg"] * 2
    assert arrays["person"].tolist() == [0, 1]
    assert arrays["frames"].tolist() == [-1, -1]
    assert arrays["box_sources"].tolist() == ["given", "given"]
    np.testing.assert_array_equal(arrays["boxes"], boxes)
    names = {"points": "points", "confidence": "confidence", "poses_3d": "pose_3d", "mm_per_pixel": "mm_per_pixel"}
    for stored, name in names.items():
        np.testing.assert_allclose(arrays[stored], expected[name], rtol=1e-4, atol=1e-2)
        key = {"pose_3d": "pose_3d_mm"}.get(name, name)
        np.testing.assert_allclose([person[key] for person in image["people"]], arrays[stored], atol=0.051)


def test_names_that_are_not_unicode_are_skipped_by_name(folder, tmp_path):
    """No JSON file that others read can name them; the other pictures are predicted."""
    place = tmp_path / "pictures"
    place.mkdir()
    for name in (b"a.jpg", b"\xff.jpg"):
        shutil.copy(folder / "b.jpg", os.path.join(os.fsencode(place), name))
    (good, photo), (bad, skip) = run_of_predict.InputPictures(place, tmp_path / "out").read()
    assert (good, bad) == ("a.jpg", "\\xff.jpg")
    assert photo.pixels.ndim == 3
    assert (skip.reason, skip.detail) == ("file name that is not Unicode text", "\\xff.jpg")


def test_a_dry_run_refuses_what_has_no_picture(folder, tmp_path, run, assert_error):
    place = tmp_path / "pictures"
    place.mkdir()
    (place / "a.jpg").write_text("no picture")
    for given in (place / "a.jpg", place):
        assert run(f"--input={given}", f"--output={tmp_path / 'out'}", "--boxes=whole", "--dry_run") == 2
        assert_error(str(given), "a.jpg", "not a picture")
    shutil.copy(folder / "b.jpg", place)
    assert run(f"--input={place}", f"--output={tmp_path / 'out'}", "--boxes=whole", "--dry_run") == 0
    assert not (tmp_path / "out").exists()


def test_a_video_becomes_a_video(run, tmp_path, capsys):
    frames = [np.roll(picture(96, 128), 4 * number, 1) for number in range(7)]
    film = animation.write_animation(tmp_path / "a.mp4", frames, fps=10)
    output = tmp_path / "out"
    flags = [f"--input={film}", f"--output={output}", "--box=20,10,60,70", "--limit=5", "--batch_size=2"]
    assert run(*flags) == 0
    assert "5 people in 5 frames" in capsys.readouterr().out
    content = load(output)
    assert [image["frame"] for image in content["images"]] == [0, 1, 2, 3, 4]
    assert content["fps"] == 10.0
    assert np.load(output / "predictions.npz")["frames"].tolist() == [0, 1, 2, 3, 4]
    video = cv2.VideoCapture(str(output / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert video.get(cv2.CAP_PROP_FPS) == 10
    read, first = video.read()
    assert read
    assert first.shape == (96, 128, 3)
    assert np.abs(first.astype(int) - frames[0]).max() > 60  # something was drawn


def test_a_video_that_ends_early_is_told(run, tmp_path, capsys):
    film = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, (128, 96))
    for number in range(20):
        writer.write(np.roll(picture(96, 128), 4 * number, 1))
    writer.release()
    data = film.read_bytes()
    film.write_bytes(data[: int(0.6 * len(data))])
    assert run(f"--input={film}", f"--output={tmp_path / 'out'}", "--box=20,10,60,70", "--nooverlays") == 0
    told, content = capsys.readouterr().out, load(tmp_path / "out")
    assert 5 < len(content["images"]) < 20
    assert content["frames_by_file"] == 20
    assert f"a.avi: ended after {len(content['images'])} of 20 frames" in told


def test_pictures_without_people_are_counted(run, pose3d_data, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    photograph = cv2.imread(str(pose3d_data / "images" / "person.jpg"))
    cv2.imwrite(str(folder / "a.png"), np.full((200, 200, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "b.png"), photograph)
    assert run(f"--input={folder}", f"--output={tmp_path / 'out'}", "--largest", "--detector=hog") == 0
    told = capsys.readouterr().out
    assert "1 person in 2 pictures" in told
    assert "skipped: 1 (nobody found)" in told
    assert "boxes: 1 detector" in told
    empty, found = load(tmp_path / "out")["images"]
    assert (empty["skipped"], empty["people"]) == ("nobody found", [])
    assert found["people"][0]["box_source"] == "detector"
    assert found["people"][0]["box_score"] > 1
    flags = "--nobody=whole", "--threshold=1000", "--detector=hog"
    assert run(f"--input={folder}", f"--output={tmp_path / 'out2'}", *flags) == 0
    assert "boxes: 2 whole picture" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input="], ["--input must be given"]),
        (["--input={}/nowhere"], ["nowhere: no such file or folder"]),
        (["--input={}/notes.txt"], ["notes.txt (12 bytes): not a picture"]),
        (["--input={}/text.jpg"], ["text.jpg (20 bytes): not a picture"]),
        (["--input={}/cut.jpg"], ["cut.jpg", "image truncated"]),
        (["--input={}/b.jpg", "--box=1,2,3"], ["--box=1,2,3: expected x,y,width,height"]),
        (["--input={}/b.jpg", "--box=80,0,9,9"], ["b.jpg: box 80,0,9,9, picture 80 x 60: box outside the picture"]),
        (["--input={}", "--box=900,0,9,9"], ["no picture of 10 gave a pose", "box outside the picture: 7"]),
        (["--input={}/none"], ["none: no picture in it"]),
        (["--input={}/film.mp4"], ["film.mp4: is text", "expected a video"]),
        (["--input={}/b.jpg", "--batch_size=0"], ["batch_size"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(flags, words, run, folder, tmp_path, assert_error):
    (folder / "none").mkdir()
    (folder / "film.mp4").write_bytes(b"no film")
    assert run(f"--output={tmp_path / 'out'}", *(flag.format(folder) for flag in flags)) == 2
    assert_error(*words)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unasked_and_nothing_stale_stays(run, folder, tmp_path, capsys, assert_error):
    output = tmp_path / "out"
    assert run(f"--input={folder / 'b.jpg'}", f"--output={output}", "--boxes=whole") == 0
    before = (output / "predictions.json").read_bytes()
    (output / "overlays" / "mine.txt").write_text("mine")
    (output / ".predict.killed").mkdir()
    capsys.readouterr()
    assert run(f"--input={folder / 'more'}", f"--output={output}", "--boxes=whole") == 2
    assert_error("predictions.json: exists already; --overwrite replaces it")
    assert (output / "predictions.json").read_bytes() == before
    assert run(f"--input={folder / 'more'}", f"--output={output}", "--boxes=whole", "--overwrite") == 0
    assert [image["file"] for image in load(output)["images"]] == ["a.jpg"]
    assert sorted(path.name for path in (output / "overlays").iterdir()) == ["a.jpg.overlay.jpg", "mine.txt"]
    assert sorted(path.name for path in output.iterdir()) == ["overlays", "predictions.json", "predictions.npz"]


def test_nothing_stays_of_a_run_that_fails(run, folder, tmp_path, monkeypatch):
    real = predict_people

    def failing(*arguments):
        for number, result in enumerate(real(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(run_of_predict, "predict_people", failing)
    assert run(f"--input={folder}", f"--output={tmp_path / 'out'}", "--boxes=whole") == 130
    assert not (tmp_path / "out").exists()


def test_as_a_program(repository, folder, small_weights, tmp_path):
    program = [sys.executable, str(repository / "baseline_network" / "predict.py")]
    flags = [f"--input={folder / 'b.jpg'}", f"--output={tmp_path / 'out'}", "--boxes=whole"]
    done = subprocess.run([*program, *flags, f"--weights={small_weights}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 x 1 x 16, crops of 64 px, 1.25 times the box, mirrored too" in done.stdout
    assert "1 person in 1 picture\n" in done.stdout
    assert [len(image["people"]) for image in load(tmp_path / "out")["images"]] == [1]


@pytest.mark.parametrize("name", ["predict", "demo"])
def test_help_imports_nothing_heavy(name, repository):
    text = (
        f"import sys; from baseline_network import {name}; from tools.cli import command\n"
        f"try: command.run({name}.main, {name}.declare, ['{name}.py', '--help'])\n"
        f"except SystemExit as left: assert left.code == 0\n"
        f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert "--box=" in done.stdout
