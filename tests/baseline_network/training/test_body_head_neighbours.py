"""Neighbours around an annotated person: pixels, masks and joints stay together."""

import cv2
import numpy as np
import pytest

from baseline_network.training import body_head_neighbours as neighbours
from baseline_network.training.body_head_neighbours import CutOut
from tools.pose import joints

BODY = joints.joint_set("lsp14")
# Standing, seen from the front: the person's right is on the left.
STANDING = np.array(
    [
        *[(42, 150), (42, 120), (42, 90), (58, 90), (58, 120), (58, 150)],
        *[(25, 80), (30, 65), (38, 50), (62, 50), (70, 65), (75, 80)],
        *[(50, 46), (50, 28)],
    ],
    float,
)


def person(left, right):
    """A grey picture with a person whose left half has one colour and whose right half has another."""
    pixels, mask = np.full((170, 100, 3), 120, np.uint8), np.zeros((170, 100), np.float32)
    for joint, (x, y) in zip(BODY.joints, STANDING.astype(int)):
        cv2.circle(mask, (x, y), 6, 1.0, -1)
        cv2.circle(pixels, (x, y), 6, right if joint.startswith("R") else left, -1)
    return CutOut(pixels, mask, STANDING.copy())


def colours(pixels, points):
    columns, rows = np.rint(points).astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < pixels.shape[1]) & (rows < pixels.shape[0])
    return {
        BODY.joints[k]: pixels[rows[k], columns[k]].astype(int)
        for k in np.flatnonzero(inside)
        if BODY.joints[k] not in ("Neck", "HeadTop")
    }


def test_neighbours_stand_where_their_joints_are_said_to_be(monkeypatch):
    monkeypatch.setattr(neighbours, "_CUT", 0.0)
    rng, seen = np.random.default_rng(0), {"mirrored": 0, "as they are": 0}
    target = person((0, 0, 250), (0, 0, 150))
    for _ in range(24):
        picture, others = neighbours.crowd(target, lambda: person((250, 0, 0), (0, 250, 0)), rng)
        assert 1 <= len(others) <= 3
        # What is said to be left of the person is theirs, and is where their joints are.
        height, width = target.mask.shape
        moved = np.rint(picture.points[0] - target.points[0]).astype(int)
        part = picture.pixels[moved[1] : moved[1] + height, moved[0] : moved[0] + width]
        own = picture.mask[moved[1] : moved[1] + height, moved[0] : moved[0] + width] == 1.0
        np.testing.assert_array_equal(part[own], target.pixels[own])
        assert own.sum() > 0.4 * target.mask.sum()
        if len(others) > 1:
            continue
        found = colours(picture.pixels, others[0])
        for joint, colour in found.items():
            blue, green, red = colour
            if red > 130 or max(blue, green) < 100 or abs(blue - green) < 60:
                continue  # hidden by the person, or an edge
            # Mirrored, the half that was the left one is the right one.
            is_left_half = blue > green
            seen["as they are" if is_left_half == joint.startswith("L") else "mirrored"] += 1
        mirrored = np.sign(others[0][BODY.index("LHip")] - others[0][BODY.index("RHip")])[0]
        assert mirrored > 0  # both ways seen from the front
    assert min(seen.values()) > 12


def test_who_cannot_be_cut_out_is_left_out_and_a_cut_picture_keeps_most_joints(monkeypatch):
    rng, target = np.random.default_rng(1), person((0, 0, 250), (0, 0, 150))
    monkeypatch.setattr(neighbours, "_CUT", 1.0)
    monkeypatch.setattr(neighbours, "_UNPADDED", 1.0)
    smaller = 0
    for _ in range(20):
        picture, others = neighbours.crowd(target, lambda: None, rng)
        assert others.shape == (0, 14, 2)
        assert picture.mask.shape == picture.pixels.shape[:2]
        smaller += picture.pixels.shape != target.pixels.shape
        found = colours(picture.pixels, picture.points)
        assert len(found) >= 0.6 * 12
        for joint, (blue, green, red) in found.items():
            assert (blue, green) == (0, 0)
            assert red == (150 if joint.startswith("R") else 250)
    assert smaller == 20


@pytest.mark.parametrize(("share", "useful"), [(1.0, True), (0.2, False)])
def test_a_mask_is_taken_where_it_covers_the_joints(monkeypatch, share, useful):
    class Mask:
        def of(self, picture, region):
            return np.where(np.arange(100)[None] < share * 100, 1.0, 0.0) * np.ones((170, 1))

    monkeypatch.setattr(neighbours, "PersonMask", Mask)
    cut_outs = neighbours.CutOuts(lambda row: person((1, 2, 3), (4, 5, 6)).pixels, STANDING[None], lambda points: None)
    assert (cut_outs.of(0) is not None) == useful
    assert (cut_outs.of(0) is not None) == useful  # as kept


def test_the_size_is_that_of_long_bones():
    assert neighbours.size(STANDING) == pytest.approx(np.quantile([17.0, 15.8, 40.2, 30.0, 30.0] * 2, 0.8), abs=0.2)
    assert np.isnan(neighbours.size(np.full((14, 2), np.nan)))
