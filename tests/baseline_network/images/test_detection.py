"""Person boxes: the detector on rendered people and real photographs, the user's boxes, and what is said of each."""

import cv2
import numpy as np
import pytest

from baseline_network.images import detection
from tfrecords.source import Skip
from tools.cli import command
from tools.cli.errors import InputError


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(np.add(a[:2], a[2:]), np.add(b[:2], b[2:]))
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:]) + np.prod(b[2:]) - common)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(90, 110, (height, width, 3)).astype(np.uint8)


def figure(picture, x, y, height):
    """Draws an upright person of plain shapes; returns the box."""
    unit = height / 8
    for centre, axes in (
        ((0, 0.6), (0.5, 0.6)),
        ((0, 2.7), (0.95, 1.6)),
        ((-0.45, 5.8), (0.4, 2.2)),
        ((0.45, 5.8), (0.4, 2.2)),
    ):
        place = (round(x + centre[0] * unit), round(y + centre[1] * unit))
        cv2.ellipse(
            picture, place, (round(axes[0] * unit), round(axes[1] * unit)), 0, 0, 360, (25, 20, 30), -1, cv2.LINE_AA
        )
    return x - unit, y, 2 * unit, height


def test_finds_people_of_a_photograph_where_they_are(pose3d_data):
    photographs = {"person.jpg": (194, 99, 80, 276), "sports2d_0130.jpg": (651, 500, 140, 413)}
    for name, truth in photographs.items():
        picture = cv2.imread(str(pose3d_data / "images" / name))
        found = detection.detect_people(picture)
        assert overlap(found[0][:4], truth) > 0.5, name
        assert found[0].source == detection.DETECTED
        assert found == sorted(found, key=lambda box: -box.score)
        assert all(box.x >= 0 and box.x + box.width <= picture.shape[1] + 0.01 for box in found)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 3.0])
def test_boxes_follow_the_pictures_scale(zoom):
    picture = noise(400, 600)
    truth = figure(picture, 300, 60, 290)
    picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    found = detection.detect_people(picture)
    assert len(found) == 1
    assert overlap(np.array(found[0][:4]) / zoom, truth) > 0.5


def test_people_at_the_borders_are_found_and_their_boxes_end_there():
    picture = noise(300, 300)
    truth = figure(picture, 40, 1, 297)
    (box,) = detection.detect_people(picture)
    assert box.y >= 0
    assert box.y + box.height <= 300.01
    assert overlap(box[:4], truth) > 0.6


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2000, 2), (300, 400)])
def test_empty_pictures_hold_nobody(shape):
    assert detection.detect_people(np.full((*shape, 3), 128, np.uint8)) == []


def test_windows_of_one_person_become_one_box():
    windows = np.array([[0, 0, 10, 30], [1, 0, 10, 30], [100, 0, 10, 30], [102, 8, 4, 12]], float)
    people = detection._people_of_windows(windows, np.array([1.0, 3.0, 0.5, 0.4]))
    np.testing.assert_allclose([box for box, _ in people], [[0.75, 0, 10, 30], [100, 0, 10, 30]])
    np.testing.assert_allclose([score for _, score in people], [4.0, 0.5])


def test_given_boxes_are_taken_and_nobody_is_searched(monkeypatch):
    monkeypatch.setattr(detection, "detect_people", lambda *_: pytest.fail("searched"))
    chooser = detection.Chooser(["10,20,30.5,40", "-5,-5,20,20"])
    assert not chooser.detects
    people = chooser.people(noise(100, 100))
    assert [box[:4] for box in people] == [(10, 20, 30.5, 40), (-5, -5, 20, 20)]
    assert {box.source for box in people} == {"given"}
    for text in ("100,0,10,10", "0,100,5,5", "-30,0,30,10", "0,-9,10,9"):
        skip = detection.Chooser([text]).people(noise(100, 100), "a.jpg")
        assert skip == Skip("box outside the picture", f"a.jpg: box {text}, picture 100 x 100")


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,5", "0,0,5,-1", "nan,0,1,1", "0,inf,1,1", "1e9,0,1,1"]
)
def test_what_is_no_box_is_named(text):
    with pytest.raises(InputError, match=r"expected x,y,width,height in px, width and height above 0") as error:
        detection.Chooser([text])
    assert f"--box={text}:" in str(error.value)


def test_nobody_largest_and_whole(monkeypatch):
    picture = noise(50, 80)
    boxes = [detection.Box(0, 0, 5, 5, "detector", 3.0), detection.Box(9, 9, 20, 30, "detector", 1.5)]
    monkeypatch.setattr(
        detection, "detect_people", lambda picture, threshold: [b for b in boxes if b.score >= threshold]
    )
    assert detection.Chooser().people(picture) == boxes
    assert detection.Chooser(largest=True).people(picture) == [boxes[1]]
    assert detection.Chooser(threshold=2.0).people(picture) == boxes[:1]
    assert detection.Chooser(threshold=9.0).people(picture, "b.png") == Skip("nobody found", "b.png")
    whole = [detection.Box(0, 0, 80, 50, "whole picture")]
    assert detection.Chooser(threshold=9.0, nobody_is_whole=True).people(picture) == whole
    assert detection.Chooser(detect=False).people(picture) == whole


def test_flags_make_a_chooser():
    flags = command.Flags("text")
    detection.declare(flags, "whole")
    flags.parse(["x", "--box=1,2,3,4", "--box=5,6,7,8"])
    assert [box.x for box in detection.chooser(flags).people(noise(20, 20))] == [1, 5]
    empty = command.Flags("text")
    detection.declare(empty, "whole")
    assert detection.chooser(empty.parse(["x"])).people(noise(20, 20))[0].source == "whole picture"
