"""Pictures with skeletons: their names, and how they are written."""

import cv2
import numpy as np
import pytest

from label_generator.labelling import overlays
from tools.cli.errors import InputError


def test_an_ending_is_there_once_and_no_picture_replaces_another(tmp_path):
    names = {
        "a.jpg": ".png",
        "b.png": ".png",
        "a.jpg.png": ".png",
        "w.mp4": ".mp4",
        "V.MP4": ".mp4",
        "w.avi.mp4": ".mp4",
    }
    names["w.avi"] = ".mp4"
    drawn = []
    for name, ending in names.items():
        target = overlays._free(tmp_path / name, ending)
        assert not target.exists()
        target.touch()
        drawn.append(target.name)
    first = ["a.jpg.png", "b.png", "a.jpg.png.png", "w.mp4", "V.MP4", "w.avi.mp4"]
    assert drawn == [*first, "w.avi.mp4.mp4"]


def test_names_of_files_that_wait_to_be_written_are_taken(tmp_path):
    waiting = {tmp_path / "a.jpg.png", tmp_path / "w.mp4"}
    assert overlays._free(tmp_path / "a.jpg.png", ".png", waiting).name == "a.jpg.png.png"
    assert overlays._free(tmp_path / "b.png", ".png", waiting).name == "b.png"


def test_all_pictures_are_written_and_what_fails_is_raised(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
    with overlays._Writer() as writer:
        for number, image in enumerate(images):
            writer.write(tmp_path / f"{number}.png", image)
    for number, image in enumerate(images):
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / f"{number}.png")), image)
    with pytest.raises(InputError, match=r"missing/a\.png"), overlays._Writer() as writer:
        writer.write(tmp_path / "missing" / "a.png", images[0])
