"""People beside others: what is covered, and which readings count."""

import numpy as np
import pytest

from tools.detection import beside, mediapipe_models, people, regions
from tools.detection.beside import Limits
from tools.detection.regions import Region

BODY = np.random.default_rng(0).uniform(-20, 20, (33, 2))
SAME = regions.Likeness(0.12, 0.75, 0.85)


def test_all_but_the_box_is_grey():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    region = Region(39.5, 29.5, 100.0)
    shown = regions.cut_within(picture, region, 100, np.array([20.0, 10.0, 50.0, 45.0]))
    left, top = (100 - 80) // 2, (100 - 60) // 2
    inside = np.zeros((100, 100), bool)
    inside[top + 10 : top + 45, left + 20 : left + 50] = True
    np.testing.assert_array_equal(shown[inside], regions.cut(picture, region, 100)[inside])
    assert (shown[~inside] == 128).all()


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (200, 200, 300, 300), (10, 10, 10, 10)])
def test_boxes_without_pixels_leave_one(box):
    picture = np.zeros((60, 80, 3), np.uint8)
    shown = regions.cut_within(picture, Region(39.5, 29.5, 100.0), 100, np.array(box, float))
    assert (shown != 128).all(-1).sum() <= 4


class Network:
    """Reads somebody at `places`: first, covered, and again without a cover, with these sureness and presence."""

    def __init__(self, places, sureness=(0.5, 0.55, 0.5), presence=(1.0, 1.0, 1.0)):
        self.answers = list(zip(places, sureness, presence))
        self.within = []

    def look(self, picture, region, mirrored=False, within=None):
        place, sureness, presence = self.answers[len(self.within)]
        self.within.append(within)
        ones = np.ones(33)
        following = Region(*map(float, place), 100.0)
        return mediapipe_models.Landmarks(
            presence, sureness, BODY + place, ones, ones, np.zeros((33, 3)), following, ones
        )


def look(network, certain=()):
    picture = np.zeros((200, 300, 3), np.uint8)
    return beside.look(network, picture, Region(100, 100, 100), None, certain, SAME, Limits())


STAYS, MOVES = [(100, 100)] * 3, [(100, 100), (100, 100), (110, 100)]


def test_a_covered_reading_counts_where_the_other_agrees():
    network = Network(STAYS)
    found = look(network)
    np.testing.assert_array_equal(found.points, BODY + [100, 100])
    first, covered, again = network.within
    assert first is None
    assert again is None
    low, high = (BODY + [100, 100]).min(0), (BODY + [100, 100]).max(0)
    np.testing.assert_allclose(covered, np.r_[low - 0.075 * (high - low) - 2, high + 0.075 * (high - low) + 2])


@pytest.mark.parametrize(
    ("network", "looks"),
    [
        (Network(STAYS, sureness=(0.3, 0.9, 0.9)), 1),
        (Network(STAYS, sureness=(0.5, 0.44, 0.9)), 2),
        (Network(STAYS, presence=(1.0, 0.4, 1.0)), 2),
        (Network(MOVES), 3),
    ],
)
def test_unsure_and_unlike_readings_do_not_count(network, looks):
    assert look(network) is None
    assert len(network.within) == looks


def test_readings_agree_within_a_share_of_the_size():
    reach = Limits().apart * np.ptp(BODY[beside.LIMBS], axis=0).max()
    assert look(Network([(100, 100), (100, 100), (100 + 0.95 * reach, 100)])) is not None
    assert look(Network([(100, 100), (100, 100), (100 + 1.05 * reach, 100)])) is None


def test_known_people_are_not_read_again():
    network = Network(STAYS)
    assert look(network, [Region(104, 100, 100)]) is None
    assert len(network.within) == 1


class TwoPeople:
    """A detector that sees two people, the second with a score below what is usual; the network reads who is there."""

    def __init__(self, first_sureness):
        self.first_sureness = first_sureness

    def candidates(self, picture, square, thresholds, most_overlap, faint=0.0):
        def seen(x, score):
            points = np.array([[x, 100.0], [x, 60], [x, 70], [x, 50]])
            return mediapipe_models.Candidate(score, np.zeros(4), points)

        both = [seen(60.0, 0.9), seen(200.0, 0.25)]
        limits = [*thresholds, faint] if faint else thresholds
        return [[one for one in both if one.score >= threshold] for threshold in limits]

    def look(self, picture, region, mirrored=False, within=None):
        first = abs(region.x - 60) < 40
        ones, place = np.ones(33), [60 if first else 200, 100]
        sureness = self.first_sureness if first else 0.47 if within is None else 0.52
        return mediapipe_models.Landmarks(
            1.0, sureness, BODY + place, ones, ones, np.zeros((33, 3)), Region(*map(float, place), 100.0), ones
        )


@pytest.mark.parametrize(("sizes", "count"), [(2.5, 2), (1.5, 1)])
def test_others_are_at_most_so_many_times_as_large_or_small(sizes, count):
    class OneSmaller(TwoPeople):
        def candidates(self, *given, **others):
            def halved(one):
                return one._replace(points=(one.points[:1] + one.points) / 2) if one.score < 0.5 else one

            return [[halved(one) for one in seen] for seen in super().candidates(*given, **others)]

    finder, models = object.__new__(people.PeopleFinder), OneSmaller(0.7)
    finder.settings, finder._pool = people.Settings(beside=Limits(sizes=sizes), turns=False), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((200, 300, 3), np.uint8))) == count


@pytest.mark.parametrize(("first_sureness", "count"), [(0.7, 2), (0.4, 0)])
@pytest.mark.parametrize("limits", [Limits(), None])
def test_others_are_found_only_beside_somebody(first_sureness, count, limits):
    finder, models = object.__new__(people.PeopleFinder), TwoPeople(first_sureness)
    finder.settings, finder._pool = people.Settings(beside=limits, turns=False), None
    finder._models = [people._Models(models, models)]
    found = finder.find(np.zeros((200, 300, 3), np.uint8))
    assert len(found) == (count if limits else min(count, 1))
