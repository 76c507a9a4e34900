"""People of a video who come in small or are lost for a moment: where they are looked for."""

import numpy as np
import pytest

from label_generator.labelling.picture_files import Picture
from label_generator.labelling.video_people import Follower
from tests.label_generator.labelling.spots import BODY
from tfrecords.formats.photographs import Photo
from tools.detection import tiles
from tools.detection.person import Person
from tools.detection.regions import Region

WIDTH, HEIGHT = 640, 360


class Squares:
    """A finder that sees people in squares of up to five times their size; frame by frame, (x, y) of each."""

    def __init__(self, places, size=60.0):
        self.places, self.size, self.frame, self.looked = places, size, -1, []

    def person(self, x, y):
        points = BODY / np.ptp(BODY, axis=0).max() * self.size + [x, y]
        there = np.ones(33)
        return Person(points, there, there, np.zeros((33, 3)), 0.9, 0.8, 0.7, Region(x, y, self.size * 1.5))

    def find(self, picture):
        self.frame += 1
        self.looked.append(None)
        return [self.person(*place) for place in self.places[self.frame]]

    def follow(self, picture, known, detect, squares):
        self.frame += 1
        self.looked.append((detect, list(squares)))
        found = []
        for x, y in self.places[self.frame]:
            followed = any(np.hypot(region.x - x, region.y - y) < 15 for region in known)
            inside = any(
                max(abs(square.x - x), abs(square.y - y)) < square.side / 2 and square.side <= 5 * self.size
                for square in squares
            )
            if followed or inside:
                found.append(self.person(x, y))
        return found


def numbers(finder, fps=30.0):
    follower, of_frames = Follower("film", finder), []
    for frame in range(len(finder.places)):
        photo = Photo(**dict.fromkeys(Photo._fields))
        photo = photo._replace(pixels=np.zeros((HEIGHT, WIDTH, 3), np.uint8), frame=frame, seconds=frame / fps)
        of_frames.append(follower.find(Picture(frame, "film", photo, True)).person.tolist())
    return of_frames


def test_who_moves_on_while_hidden_keeps_their_number():
    jump = [[(100, 150)]] * 3 + [[(100 + 8 * k, 150)] for k in range(8)]
    jump += [[]] * 5 + [[(156 + 40, 150 - 30)]] + [[(200 + 4 * k, 120)] for k in range(5)]
    staying = (500, 250)
    found = numbers(Squares([[*place, staying] for place in jump]))
    assert found[:11] == [[0, 1]] * 11
    assert found[11:16] == [[1]] * 5
    assert found[16:] == [[0, 1]] * 6


@pytest.mark.parametrize("place", [(600, 320), (30, 30), (320, 180)])
def test_who_comes_in_small_is_seen_within_two_seconds(place):
    finder = Squares([[(300, 300)]] + [[(300, 300), place]] * 60)
    found = numbers(finder)
    assert found[1] == [0]
    assert found[-1] == [0, 1]
    detecting = [squares for detect, squares in finder.looked[1:] if detect]
    assert all(not squares for detect, squares in finder.looked[1:] if not detect)
    seen = {square for squares in detecting for square in squares}
    assert seen == {*tiles.across(WIDTH, HEIGHT), *next(tiles.levels(WIDTH, HEIGHT))}
    assert all(len(squares) == 2 for squares in detecting)


def test_beside_somebody_who_fills_the_picture_smaller_tiles_are_not_looked_at():
    finder = Squares([[(320, 180)]] * 40, size=300.0)
    numbers(finder)
    assert {square for detect, squares in finder.looked[1:] for square in squares} <= set(tiles.across(WIDTH, HEIGHT))
