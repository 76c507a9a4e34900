"""lg.detect: the finder's people as arrays, from files and arrays alike; and what a dry run of generate.py says."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import label_generator as lg
from label_generator import generate
from label_generator.labelling import pictures
from tools.cli.errors import InputError

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


@pytest.fixture
def given(monkeypatch):
    """The pictures that the finder was given; it finds two people in each."""
    seen = []

    def person(shift):
        points = np.arange(66, dtype=np.float32).reshape(33, 2) / 2 + shift
        inside = np.ones(33, np.float32)
        inside[5] = 0.2
        visibility = np.linspace(0, 1, 33, dtype=np.float32)
        box = np.array([1, 2, 30, 20], np.float32) + shift
        numbers = {"presence": 0.9, "sureness": 0.8, "score": 0.7, "world": np.zeros((33, 3), np.float32)}
        return SimpleNamespace(points=points, inside=inside, visibility=visibility, box=box, **numbers)

    def find(pixels):
        seen.append(pixels)
        return [person(0.0), person(100.0)]

    monkeypatch.setattr(pictures, "_finder", lambda detector, body_head: SimpleNamespace(find=find))
    return seen


def test_people_of_an_array_and_of_a_file(given, tmp_path):
    people = lg.detect(PICTURE)
    np.testing.assert_array_equal(given[0], PICTURE[..., ::-1])
    assert (len(people), people.joints, people.image_size) == (2, "mediapipe33", (60, 40))
    np.testing.assert_array_equal(people.poses_2d[1], people.poses_2d[0] + 100)
    np.testing.assert_array_equal(people.boxes, [[1, 2, 30, 20], [101, 102, 130, 120]])
    assert people.confidences[0, 5] == 0  # outside of what the network looked at
    assert people.confidences[0, 32] == 1
    assert (people.confidences[1] == 0).all()  # outside of the picture
    cv2.imwrite(str(tmp_path / "photo.png"), PICTURE[..., ::-1])
    lg.detect(tmp_path / "photo.png")
    np.testing.assert_array_equal(given[1], given[0])


@pytest.mark.parametrize("picture", [PICTURE[0], PICTURE.astype(float), PICTURE[..., :2], PICTURE[:0]])
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError, match="expected"):
        lg.detect(picture)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="a\\.jpg"):
        lg.detect(tmp_path / "a.jpg")


def test_a_dry_run_reads_and_writes_nothing(run_command, tmp_path, capsys):
    np.save(tmp_path / "poses.npy", np.random.default_rng(0).uniform(300, 700, (7, 17, 2)))
    flags = f"--input={tmp_path / 'poses.npy'}", "--joints=pose17", f"--output={tmp_path / 'labels'}"
    assert run_command(generate, *flags, "--dry_run", "--json", "--formats=csv") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dry_run"]
    assert "7 poses" in report["reads"][0]
    names = {entry["path"].rsplit("/", 1)[1] for entry in report["writes"]}
    assert {"labels.npz", "summary.json", "labels_wide.csv"} <= names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["poses.npy"]


def test_a_dry_run_refuses_what_has_no_picture(run_command, tmp_path, assert_error):
    (tmp_path / "a.jpg").write_text("no picture")
    for given in (tmp_path / "a.jpg", tmp_path):
        assert run_command(generate, f"--input={given}", f"--output={tmp_path / 'labels'}", "--dry_run") == 2
        assert_error(str(given), "a.jpg", "not a picture")


def test_pictures_that_are_missing_are_noticed_before_lifting(run_command, tmp_path, assert_error):
    points = np.random.default_rng(0).uniform(60, 340, (17, 2)).round(1)
    flat = [number for point in points.tolist() for number in (*point, 2)]
    person = {"image_id": 1, "id": 1, "category_id": 1, "num_keypoints": 17, "keypoints": flat}
    content = {
        "images": [{"id": 1, "file_name": "gone.jpg", "width": 640, "height": 480}],
        "annotations": [{**person, "bbox": [50, 50, 300, 300], "iscrowd": 0, "area": 9e4}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    (tmp_path / "photos").mkdir()
    flags = f"--input={tmp_path / 'coco.json'}", f"--images={tmp_path / 'photos'}", "--formats=tfrecord"
    assert run_command(generate, *flags, f"--output={tmp_path / 'labels'}") == 2
    assert_error("--images=")
    assert not (tmp_path / "labels").exists()
