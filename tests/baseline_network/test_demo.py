"""demo.py as a user runs it: a photograph, rendered people, bad input; and what its pictures show."""

import functools
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline_network import demo
from baseline_network.images import detection
from baseline_network.prediction import demo_people, pictures
from baseline_network.prediction.people_in_pictures import PredictedPerson
from tools.drawing import drawing

FILES = ["gallery.png", "overlay.png", "predictions.json", "report.txt", "rotation.gif"]


@pytest.fixture
def run(run_with_small_network):
    """The command in this process with a small network; returns its exit status."""
    return functools.partial(run_with_small_network, demo)


@pytest.fixture
def photograph(tmp_path):
    coarse = np.random.default_rng(0).uniform(0, 255, (4, 5, 3)).astype(np.float32)
    pixels = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), pixels)
    return tmp_path / "photo.png"


def test_a_photograph_with_boxes(run, photograph, tmp_path, capsys, assert_error):
    output = tmp_path / "out"
    assert run(photograph, "--box=20,10,60,90", "--box=90,10,60,90", f"--output={output}") == 0
    told = capsys.readouterr().out
    assert "photo.png: 160 x 120 px" in told
    assert "photo.png, person 1: box 20,10,60,90 from given" in told
    assert "photo.png, person 2: box 90,10,60,90 from given" in told
    assert sorted(path.name for path in output.iterdir()) == FILES
    (image,) = json.loads((output / "predictions.json").read_text())["images"]
    assert [person["box"] for person in image["people"]] == [[20, 10, 60, 90], [90, 10, 60, 90]]
    assert cv2.imread(str(output / "overlay.png")).shape == (360, 480, 3)
    assert (output / "report.txt").read_text().count("\n") == 2
    with Image.open(output / "rotation.gif") as film:
        assert film.n_frames > 10
    # A second demo replaces the first one's files, and nobody else's.
    assert run(photograph, "--box=20,10,60,90", f"--output={output}") == 0
    assert (output / "report.txt").read_text().count("\n") == 1
    (output / "report.txt").unlink()
    capsys.readouterr()
    assert run(photograph, "--box=20,10,60,90", f"--output={output}") == 2
    assert_error("exists already; --overwrite replaces it")
    assert run(photograph, "--box=20,10,60,90", f"--output={output}", "--overwrite") == 0


def test_where_nobody_is_found_the_whole_picture_is_taken_and_that_is_said(run, photograph, tmp_path, capsys):
    assert run(photograph, f"--output={tmp_path / 'out'}", "--threshold=1000", "--detector=hog") == 0
    assert "box 0,0,160,120 from whole picture" in capsys.readouterr().out


def test_turned_photographs_are_told(run, photograph, tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(photograph).save(tmp_path / "turned.jpg", exif=exif)
    assert run(tmp_path / "turned.jpg", f"--output={tmp_path / 'out'}", "--boxes=whole") == 0
    told = capsys.readouterr().out
    assert "turned.jpg: 120 x 160 px, turned upright (EXIF orientation 8)" in told
    assert "box 0,0,120,160 from whole picture" in told


def test_without_a_photograph_it_renders_people_whose_truth_is_known(run, tmp_path, capsys):
    assert run(f"--output={tmp_path / 'out'}", "--count=2", "--rows=1") == 0
    told = capsys.readouterr().out
    assert "no photograph given: 2 rendered people" in told
    assert "mean joint error:" in told
    assert "from rendering" in told
    images = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]
    assert [len(image["people"]) for image in images] == [1, 1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["{}/none.jpg"], ["none.jpg: no such file"]),
        (["{}/photo.png", "{}/photo.png"], ["one PHOTO at a time"]),
        (["{}/text.jpg"], ["text.jpg (4 bytes): not a picture"]),
        (["{}/photo.png", "--box=500,0,10,10"], ["box 500,0,10,10, picture 160 x 120: box outside the picture"]),
        (["{}/photo.png", "--nobody=skip", "--threshold=1000", "--detector=hog"], ["photo.png: nobody found"]),
        (["{}/photo.png", "--output={}/text.jpg"], ["is not a folder"]),
        (["{}"], ["not one photograph; baseline_network/predict.py takes folders and videos"]),
        (["{}/film.mp4"], ["not one photograph"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(flags, words, run, photograph, tmp_path, assert_error):
    (tmp_path / "text.jpg").write_text("text")
    assert run(f"--output={tmp_path / 'out'}", *(flag.format(tmp_path) for flag in flags)) == 2
    assert_error(*words)
    assert not (tmp_path / "out").exists()


def test_a_demo_that_fails_leaves_nothing(run, photograph, tmp_path, assert_error, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "rotation.gif")

    monkeypatch.setattr(demo_people.animation, "write_animation", full)
    assert run(photograph, f"--output={tmp_path / 'out'}", "--box=20,10,60,90") == 2
    assert_error("rotation.gif: No space left on device")
    assert not (tmp_path / "out").exists()


def known_person(picture):
    """The truth of a rendered picture as if the network had told it."""
    return PredictedPerson(
        picture.boxes[0], picture.truth_2d, np.ones(16, np.float32), picture.truth_3d, mm_per_pixel=7.0
    )


@pytest.fixture(scope="module")
def people():
    return demo_people.rendered(3, 5)


def test_rendered_truth_is_where_the_person_is(people):
    for picture in people:
        x, y, width, height = picture.boxes[0][:4]
        inside = (picture.truth_2d >= [x - 2, y - 2]) & (picture.truth_2d <= [x + width + 2, y + height + 2])
        assert inside.all(-1).mean() > 0.6
        np.testing.assert_array_equal(picture.truth_3d[6], 0)
        lengths = np.linalg.norm(picture.truth_3d[[1, 0]] - picture.truth_3d[[2, 1]], axis=-1)
        assert (lengths > 200).all()
        assert (lengths < 600).all()


def test_errors_are_the_mean_distances(people):
    picture = people[0]
    picture.people = [known_person(picture)._replace(
        pose_3d=picture.truth_3d + [30.0, 0.0, 40.0], points=picture.truth_2d + [0.0, 7.0]
    )]  # fmt: skip
    np.testing.assert_allclose(picture.errors(), (50.0, 7.0), rtol=1e-5)
    assert "error 50 mm, 7.0 px" in demo_people.report([picture])


def test_overlays_show_joints_where_they_are(people):
    """Sure joints are filled in the colour of their side, unsure ones hollow, and enlarging moves them along."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    points = np.full((16, 2), np.nan, np.float32)
    points[[0, 5]] = [30.5, 40.5], [70.5, 40.5]  # ankles, in the middle of pixels
    confidence = np.where(np.arange(16) == 5, 0.1, 0.9).astype(np.float32)
    box = detection.Box(10, 10, 80, 80, "given")
    person = PredictedPerson(box, points, confidence, np.zeros((16, 3)), 1.0)
    drawn = pictures.overlay(pixels, [person], labelled=False)
    assert drawn.shape == pixels.shape
    assert tuple(drawn[40, 30]) == drawing.RIGHT_COLOUR
    assert tuple(drawn[40, 70]) != drawing.LEFT_COLOUR
    assert drawn[10, 50].any()  # the box
    larger = pictures.overlay(pixels, [person], min_side=300, labelled=False)
    assert larger.shape == (300, 300, 3)
    assert tuple(larger[121, 91]) == drawing.RIGHT_COLOUR
    assert pictures.overlay(pixels, [person], max_side=50).shape == (50, 50, 3)
    assert not pictures.overlay(pixels, []).any()


def test_the_part_around_a_person_moves_the_person_along(people):
    picture = people[1]
    person = known_person(picture)
    part, moved = pictures.around(picture.photo.pixels, person)
    shift = person.points[0] - moved.points[0]
    left, top = np.rint(shift).astype(int)
    height, width = part.shape[:2]
    np.testing.assert_array_equal(part, picture.photo.pixels[top : top + height, left : left + width])
    np.testing.assert_allclose(moved.points, person.points - shift, atol=1e-3)
    np.testing.assert_allclose(moved.box[:2], np.array(person.box[:2]) - shift, atol=1e-3)


def test_rows_of_the_gallery_have_three_panels(people):
    picture = people[2]
    row = pictures.row(picture.photo.pixels, known_person(picture), "caption", picture.truth_3d, (200, 200))
    assert row.shape[1] == 3 * 200 + 4 * 8
    panels = [row[8:208, 8 + 208 * n : 208 + 208 * n] for n in range(3)]
    assert all(panel.std() > 10 for panel in panels)
