"""Frames and pictures by name and number."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tfrecords.formats.upright import UprightPictures
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.drawing import animation


def grey_of(photo):
    return round(float(photo.pixels.mean()))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "more").mkdir(parents=True)
    frames = [np.full((32, 48, 3), 20 + 20 * number, np.uint8) for number in range(10)]
    animation.write_animation(tmp_path / "in" / "more" / "a.mp4", frames, fps=10)
    cv2.imwrite(str(tmp_path / "in" / "one.png"), np.full((20, 30, 3), 200, np.uint8))
    turned = Image.fromarray(np.full((20, 30, 3), 100, np.uint8))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "in" / "turned.jpg", exif=exif)
    (tmp_path / "secret.png").write_bytes((tmp_path / "in" / "one.png").read_bytes())
    return tmp_path / "in"


def test_frames_by_number_in_any_order(folder):
    pictures = UprightPictures(folder)
    for number in (0, 1, 4, 4, 9, 2, 3):
        photo = pictures.read("more/a.mp4", number)
        assert photo.frame == number
        assert abs(grey_of(photo) - (20 + 20 * number)) <= 8
    for number in (10, -1):
        assert isinstance(pictures.read("more/a.mp4", number), Skip)
    assert abs(grey_of(pictures.read("more/a.mp4", 5)) - 120) <= 8
    video = UprightPictures(folder / "more" / "a.mp4")
    assert abs(grey_of(video.read("frame_000007_keypoints.json", 7)) - 160) <= 8


def test_pictures_are_upright_and_inside_the_folder(folder):
    pictures = UprightPictures(folder)
    assert pictures.read("turned.jpg").pixels.shape == (30, 20, 3)
    assert grey_of(pictures.read("elsewhere/one.png")) == 200
    for name in ("../secret.png", "/" + str(folder.parent / "secret.png"), "", "a\0b", "more"):
        assert isinstance(pictures.read(name), Skip), name
    with pytest.raises(InputError, match="neither a folder of pictures nor a video"):
        UprightPictures(folder / "one.png")
