"""Predictions of the baseline network, as other programs and damaged files have them."""

import json

import numpy as np
import pytest

from tfrecords.conversion import people
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli.errors import InputError

COUNT = 3


def columns(**changes):
    rng = np.random.default_rng(0)
    return {
        "files": np.array(["walk.mp4"] * COUNT),
        "frames": np.arange(COUNT),
        "person": np.zeros(COUNT, int),
        "boxes": np.ones((COUNT, 4)),
        "points": rng.uniform(50, 500, (COUNT, 16, 2)),
        "confidence": np.full((COUNT, 16), 0.9),
        "poses_3d": rng.normal(0, 300, (COUNT, 16, 3)),
        "image_sizes": np.full((COUNT, 2), 640),
        "fps": 25.0,
        **changes,
    }


def pictures(**changes):
    table = columns()
    numbers = {"box": "boxes", "points": "points", "confidence": "confidence", "pose_3d_mm": "poses_3d"}
    return [
        {
            "file": "walk.mp4",
            "frame": i,
            "width": 640,
            "height": 480,
            "people": [{key: table[name][i].tolist() for key, name in numbers.items()}],
            **changes,
        }
        for i in range(COUNT)
    ]


def items(path):
    source = open_source("predictions", path, Options(images="none"))
    return source, list(source.records(np.arange(len(source))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": np.array([b"walk.mp4"] * COUNT)}, "files is .* of texts"),
        ({"files": np.arange(COUNT)}, "files is .* of texts"),
        ({"files": np.array("walk.mp4")}, "no person in it"),
        ({"frames": np.arange(COUNT) + 0.7}, "frames is .* of whole numbers"),
        ({"frames": np.arange(COUNT - 1)}, r"frames is \[2\] of int64, expected \[3\] of whole numbers"),
        ({"person": np.array(["a"] * COUNT)}, "person is .* of whole numbers"),
        ({"confidence": np.full((COUNT, 16), 0.9 + 1j)}, "confidence is .* of complex128, expected .* of numbers"),
        ({"points": np.ones((COUNT, 16, 2), bool)}, "points is .* of bool"),
        ({"image_sizes": np.full((COUNT, 2), np.nan)}, "image_sizes is .* of whole numbers"),
        ({"image_sizes": np.full((1, 2), 640)}, "image_sizes is"),
    ],
)
def test_columns_of_other_kinds_are_named(tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **columns(**changes))
    with pytest.raises(InputError, match=rf"a\.npz: {message}"):
        items(tmp_path / "a.npz")


@pytest.mark.parametrize("changes", [{"file": None}, {"file": ["a.jpg"]}, {"frame": True}])
def test_pictures_that_are_not_named_by_a_text_are_refused(tmp_path, changes):
    (tmp_path / "a.json").write_text(json.dumps({"images": pictures(**changes)}))
    with pytest.raises(InputError, match="image 0: its file is no text, or its frame no number"):
        items(tmp_path / "a.json")


def test_a_picture_of_no_size_has_a_reason(tmp_path):
    np.savez(tmp_path / "a.npz", **columns(image_sizes=np.array([[0, 0], [640, -7], [640, 480]])))
    (tmp_path / "a.json").write_text(json.dumps({"images": pictures(width=0)}))
    found = items(tmp_path / "a.npz")[1]
    assert [item.reason if isinstance(item, Skip) else "" for item in found] == [people.BAD_SIZE, people.BAD_SIZE, ""]
    assert {item.reason for item in items(tmp_path / "a.json")[1]} == {people.BAD_SIZE}


@pytest.mark.parametrize("fps", [-3.0, 1e308, 1e-300, np.nan, 25.0])
def test_frames_a_second_that_no_film_has_are_not_known(tmp_path, fps):
    np.savez(tmp_path / "a.npz", **columns(fps=fps))
    (tmp_path / "a.json").write_text(json.dumps({"fps": fps, "images": pictures()}))
    for name in ("a.npz", "a.json"):
        assert items(tmp_path / name)[0].fps == (25.0 if fps == 25.0 else 0.0)
