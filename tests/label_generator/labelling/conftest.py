"""Photographs and a film of people who are red spots."""

import cv2
import pytest

from tests.label_generator.labelling.spots import RedSpots, picture
from tools.detection import people as people_module
from tools.drawing import animation


@pytest.fixture
def red_spots(monkeypatch):
    monkeypatch.setattr(people_module, "PeopleFinder", RedSpots)
    monkeypatch.setattr("tools.detection.mediapipe_models.model_file", lambda name: "")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    cv2.imwrite(str(place / "a.png"), picture((30, 40), (90, 30)))
    cv2.imwrite(str(place / "b.png"), picture())
    (place / "c.jpg").write_bytes(b"\xff\xd8 not a picture")
    cv2.imwrite(str(place / "more" / "d.png"), picture((60, 50)))
    return place


@pytest.fixture
def film(tmp_path):
    """Two people who walk past each other in 20 frames; in frames 8 to 10 only one is there."""
    frames = []
    for frame in range(20):
        spots = [(20 + 6 * frame, 30), (180 - 6 * frame, 90)]
        frames.append(picture(*(spots[:1] if 8 <= frame <= 10 else spots), size=(128, 208)))
    return animation.write_animation(tmp_path / "walk.mp4", frames, fps=10)
