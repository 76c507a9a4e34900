"""Identities of people whose paths are known."""

import numpy as np
import pytest

from tools.detection.person import Person
from tools.detection.regions import Region
from tools.detection.tracking import Tracker
from tools.pose import joints


def person_at(x, y, size=100.0, seed=0):
    points = np.random.default_rng(seed).uniform(0, size, (33, 2)) + [x, y]
    return Person(points, np.ones(33), np.ones(33), np.zeros((33, 3)), 1.0, 1.0, 1.0, Region(x, y, size))


def test_people_who_pass_each_other_keep_their_numbers():
    tracker, numbers = Tracker(), []
    for frame in range(21):
        # 300 px apart, then side by side at different heights, then apart again; the order of the list changes.
        people = [person_at(15 * frame, 0), person_at(300 - 15 * frame, 60)]
        order = [0, 1] if frame % 2 else [1, 0]
        found = tracker.number([people[i] for i in order], frame / 25, 1 / 25)
        numbers.append([found[order.index(i)] for i in (0, 1)])
    assert (np.array(numbers) == numbers[0]).all()
    assert sorted(numbers[0]) == [0, 1]


@pytest.mark.parametrize(("gap", "same"), [(0.6, True), (2.0, False)])
def test_somebody_hidden_is_remembered_for_a_second(gap, same):
    tracker = Tracker()
    first = tracker.number([person_at(0, 0)], 0.0, 0.04)
    assert tracker.number([], 0.04, 0.04) == []
    later = tracker.number([person_at(10, 0)], gap, 0.04)
    assert (first == later) is same


def test_somebody_elsewhere_is_somebody_else():
    tracker = Tracker()
    tracker.number([person_at(0, 0)], 0.0, 0.04)
    assert tracker.number([person_at(400, 0), person_at(5, 0)], 0.04, 0.04) == [1, 0]


def test_regions_are_those_of_the_last_frame():
    tracker = Tracker()
    tracker.number([person_at(0, 0), person_at(400, 0)], 0.0, 0.04)
    tracker.number([person_at(5, 0)], 0.04, 0.04)
    assert [person.following.x for person in tracker.people] == [5]


def test_left_and_right_may_change_places():
    tracker = Tracker()
    one = person_at(0, 0)
    mirrored = one._replace(points=one.points[joints.joint_set("mediapipe33").mirror])
    assert tracker.number([one, person_at(60, 0, seed=1)], 0.0, 0.04) == [0, 1]
    assert tracker.number([person_at(63, 0, seed=1), mirrored], 0.04, 0.04) == [1, 0]


def test_somebody_lost_is_looked_for_where_they_were_going():
    tracker = Tracker()
    for frame in range(3):  # 60 px a second to the right; somebody else stays
        tracker.number([person_at(6 * frame, 0), person_at(500, 0)], frame / 10, 0.1)
    assert tracker.lost(0.3) == []
    tracker.number([person_at(500, 0)], 0.3, 0.1)
    for seconds, x in ((0.4, 12 + 60 * 0.2), (0.7, 12 + 60 * 0.5), (1.2, 12 + 50)):  # by half a region at most
        (square,) = tracker.lost(seconds)
        np.testing.assert_allclose(square, Region(x, 0, 200), atol=1e-6)
    assert tracker.lost(1.3) == []
    number = tracker.number([person_at(24, 0)], 0.4, 0.1)
    assert number == [0]
    assert tracker.lost(0.5) == [Region(500, 0, 200)]  # who stays has stopped being there


def test_the_last_of_all_is_looked_for_too():
    tracker = Tracker()
    tracker.number([person_at(0, 0)], 0.0, 0.1)
    tracker.number([], 0.1, 0.1)
    assert tracker.lost(0.2) == [Region(0, 0, 200)]
