"""Regions: coordinates there and back, and what is cut out, against OpenCV and against functions of the place."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.detection import regions, tiles
from tools.detection.regions import Region

NUMBERS = st.floats(-500, 500)


@given(NUMBERS, NUMBERS, st.floats(1, 2000), st.floats(-7, 7), NUMBERS, NUMBERS)
def test_there_and_back(x, y, side, angle, px, py):
    region = Region(x, y, side, angle)
    back = region.to_picture(region.from_picture(np.array([px, py])))
    np.testing.assert_allclose(back, [px, py], atol=1e-6)


def test_letter_boxing_keeps_the_picture_in_the_middle():
    region = regions.whole(640, 480)
    # The outer edges of the first and the last pixel.
    np.testing.assert_allclose(region.from_picture(np.array([[-0.5, -0.5], [639.5, 479.5]])), [[0, 1 / 8], [1, 7 / 8]])


def test_region_of_a_person_stands_upright():
    # A person lying with the head to the right: hips at (100, 50), rim 40 px to the right of them.
    region = regions.upright_person(np.array([100.0, 50.0]), np.array([140.0, 50.0]), 1.25)
    assert region.side == pytest.approx(100)
    # Their head is at the top of the region.
    np.testing.assert_allclose(region.from_picture(np.array([140.0, 50.0])), [0.5, 0.1], atol=1e-9)
    upright = regions.upright_person(np.array([100.0, 50.0]), np.array([100.0, 10.0]), 1.25)
    assert upright.angle == pytest.approx(0)


@pytest.mark.parametrize(
    "region", [Region(60.2, 41.7, 64.0, 0.3), Region(10, 90, 50, -2.0), Region(64, 48, 128.0, 0.0)]
)
def test_cut_is_what_opencv_samples(region):
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 2)
    side = 64
    # Three corners of the square -> its cells' corners, whose centres are half a cell away.
    corners = region.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).astype(np.float32)
    cells = np.array([[-0.5, -0.5], [side - 0.5, -0.5], [-0.5, side - 0.5]], np.float32)
    expected = cv2.warpAffine(picture, cv2.getAffineTransform(corners, cells), (side, side))
    found = regions.cut(picture, region, side)
    assert np.abs(found.astype(int) - expected).mean() < 0.2


@pytest.mark.parametrize("size", [(480, 640), (1501, 1003), (200, 90), (1920, 1080), (1600, 2400)])
@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
def test_cells_show_what_lies_at_their_middle(size, angle):
    """A picture whose value is its place says to a fraction of a pixel where each cell was sampled, shrunk or not."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([x, y, x * 0], -1)
    region = Region(0.45 * width, 0.5 * height, 0.8 * min(size), angle)
    side = 224 if min(size) > 100 else 64
    found = regions.cut(picture, region, side)
    middles = (np.arange(side) + 0.5) / side
    places = region.to_picture(np.stack(np.meshgrid(middles, middles), -1))
    inside = ((places > 4) & (places < [width - 5, height - 5])).all(-1)
    assert inside.mean() > 0.5
    step = region.side / side
    assert np.abs(found[..., :2] - places)[inside].max() < max(0.05, 0.08 * step)


def test_outside_of_the_picture_is_the_border():
    found = regions.cut(np.full((10, 10, 3), 200, np.uint8), Region(-100, -100, 20), 16, border=7)
    assert (found == 7).all()


@given(st.integers(20, 3000), st.integers(20, 3000), st.integers(1, 4))
def test_tiles_cover_the_picture_and_stay_in_it(width, height, along):
    squares = tiles.squares(width, height, along)
    side = squares[0].side
    for size, axis in ((width, "x"), (height, "y")):
        centres = np.unique([getattr(square, axis) for square in squares])
        assert centres[0] - side / 2 == pytest.approx(-0.5, abs=1e-6)
        assert centres[-1] + side / 2 == pytest.approx(size - 0.5, abs=1e-6)
        # Neighbours share what the room promises, so that a person of that size is whole in one of them.
        assert (np.diff(centres) <= side * (1 - tiles.OVERLAP) + 1e-6).all()


@pytest.mark.parametrize(
    ("person", "shown"),
    [
        (Region(300, 200, 100), True),
        (Region(300 + 64, 200, 100, 2.0), True),
        (Region(300 + 66, 200, 100), False),
        (Region(300, 200 - 66, 100), False),
        (Region(300, 200, 249), True),
        (Region(300, 200, 251), False),
    ],
)
def test_tiles_show_people_whose_hips_are_near_and_who_are_not_much_larger(person, shown):
    assert tiles.shows(Region(300, 200, 100), person) == shown


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(1280, 720, 2), (720, 1280, 2), (640, 480, 2), (500, 450, 0), (1280, 480, 4), (200, 90, 0)],
)
def test_squares_across_cover_a_wide_picture(width, height, count):
    squares = tiles.across(width, height)
    assert len(squares) == count
    short, long = min(width, height), max(width, height)
    centres = [square.x if width > height else square.y for square in squares]
    assert all(square.side == short for square in squares)
    if squares:
        assert centres[0] - short / 2 == pytest.approx(-0.5)
        assert centres[-1] + short / 2 == pytest.approx(long - 0.5)
        assert np.diff(centres).max() < short


@pytest.mark.parametrize("size", [(720, 1280), (1600, 2400)])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_pictures_are_averaged_by_fours_first_where_their_sides_allow_it(size, angle):
    """The same part of a picture one pixel narrower, whose sides are odd, is averaged at once; both look alike."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    region = Region(0.45 * width, 0.5 * height, 0.9 * height, angle)
    found = regions.cut(picture, region, 128)
    at_once = regions.cut(np.ascontiguousarray(picture[:, :-1]), region, 128)
    contrast = found.astype(float).std()
    assert contrast > 30
    assert np.abs(found.astype(float) - at_once).mean() < 0.05 * contrast
