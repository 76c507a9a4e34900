"""Who is found: rules with invented people, and the real models on pictures whose people are annotated."""

import importlib.util

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.detection import mediapipe_models, people, regions
from tools.detection.people import Settings
from tools.detection.person import Person, joint_mask, same_person
from tools.detection.regions import Region
from tools.pose import joints

COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


def similarity(points, truth, visible, area):
    """COCO's object key point similarity."""
    distances = ((points - truth) ** 2).sum(-1)
    return np.exp(-distances / (2 * area * (2 * COCO_SIGMAS) ** 2))[visible].mean()


def person(points, sureness=0.9, **others):
    given = {"world": np.zeros((33, 3)), "presence": 1.0, "score": 0.9, "following": Region(0, 0, 100)}
    return Person(points, np.ones(33), np.ones(33), sureness=sureness, **{**given, **others})


def standing(x=0.0, y=0.0, size=100.0):
    """Landmarks of somebody who stands, made of their heights and sides."""
    heights = {"Nose": 0.05, "Eye": 0.03, "Ear": 0.04, "Mouth": 0.07, "Shoulder": 0.2, "Elbow": 0.38, "Wrist": 0.52}
    heights |= {"Pinky": 0.55, "Index": 0.55, "Thumb": 0.54, "Hip": 0.52, "Knee": 0.75, "Ankle": 0.95}
    heights |= {"Heel": 0.98, "FootIndex": 1.0}
    points = []
    for name in joints.joint_set("mediapipe33").joints:
        key = next(key for key in sorted(heights, key=len, reverse=True) if key in name)
        side = 0.12 if name[0] == "L" else -0.12 if name[0] == "R" else 0.0
        points.append([side, heights[key]])
    return np.array(points) * size + [x, y]


def test_without_the_wheel_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not mediapipe_models.available()
    with pytest.raises(InputError, match=r"pip install --no-deps mediapipe==0\.10\.21"):
        mediapipe_models.model_file("detector")


def test_damaged_model_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"TFL3" * 10)
    monkeypatch.setattr(mediapipe_models, "model_file", lambda name: broken)
    with pytest.raises(InputError, match=r"broken\.tflite"):
        mediapipe_models.Detector()


def test_refined_landmarks_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    maps, places = rng.normal(-2, 3, (64, 64, 39)).astype(np.float32), rng.uniform(-0.1, 1.1, (39, 2))
    found, peaks = mediapipe_models.refined(places, maps)
    moved = 0
    for k, (x, y) in enumerate(places):
        column, row = int(np.floor(x * 64)), int(np.floor(y * 64))
        if not (0 <= column < 64 and 0 <= row < 64):
            assert peaks[k] == 0
            np.testing.assert_array_equal(found[k], places[k])
            continue
        total, mean, peak = 0.0, np.zeros(2), 0.0
        for r in range(max(row - 3, 0), min(row + 4, 64)):
            for c in range(max(column - 3, 0), min(column + 4, 64)):
                weight = 1 / (1 + np.exp(-float(maps[r, c, k])))
                total, mean, peak = total + weight, mean + weight * np.array([c, r]), max(peak, weight)
        assert peaks[k] == pytest.approx(peak)
        moved += peak >= 0.5
        np.testing.assert_allclose(found[k], mean / total / 64 if peak >= 0.5 else places[k], atol=1e-6)
    assert moved > 0


def test_a_mirrored_look_is_one_at_the_mirrored_picture(finder, annotated):
    picture = annotated[0][0]
    (person, *_), width = finder.find(picture), picture.shape[1]
    network, region = finder._models[0].network, person.following
    found = network.look(picture, region, mirrored=True)
    other = network.look(
        np.ascontiguousarray(picture[:, ::-1]), region._replace(x=width - 1 - region.x, angle=-region.angle)
    )
    names = joints.joint_set("mediapipe33").joints
    for k, name in enumerate(names):
        across = names.index({"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:])
        expected = [width - 1 - other.points[across, 0], other.points[across, 1]]
        np.testing.assert_allclose(found.points[k], expected, atol=0.02 * person.size)
        assert found.visibility[k] == pytest.approx(other.visibility[across], abs=0.05)
        np.testing.assert_allclose(found.world[k], other.world[across] * [-1, 1, 1], atol=0.05)


def test_of_several_looks_each_landmark_is_the_most_distinct():
    rng = np.random.default_rng(0)
    looks = [
        mediapipe_models.Landmarks(
            presence, sureness, rng.uniform(size=(33, 2)), *rng.uniform(size=(2, 33)), rng.uniform(size=(33, 3)),
            mediapipe_models.Region(0, 0, number), rng.uniform(size=33),
        )
        for number, presence, sureness in ((1, 0.9, 0.5), (2, 0.6, 0.8), (3, 0.9, 0.5))
    ]  # fmt: skip
    found = mediapipe_models.joined(looks)
    assert (found.presence, found.sureness) == (pytest.approx(0.8), pytest.approx(0.6))
    assert found.following.side == 2
    for k in range(33):
        best = max(looks, key=lambda look: look.heights[k])
        np.testing.assert_array_equal(found.points[k], best.points[k])
        assert (found.visibility[k], found.inside[k]) == (best.visibility[k], best.inside[k])


def test_readings_of_one_person_are_one():
    settings = Settings()
    upright = standing()
    upside_down = np.array([0.0, 100.0]) + [1, -1] * upright
    nudged = upright + np.random.default_rng(0).normal(0, 3, upright.shape)
    assert same_person(person(upright), person(nudged), settings)
    assert same_person(person(upright), person(upside_down), settings)


@pytest.mark.parametrize("other", [standing(x=40), standing(y=-5, x=30, size=110), standing(size=40, x=10, y=30)])
def test_neighbours_are_two(other):
    assert not same_person(person(standing()), person(other), Settings())


def test_the_surest_reading_stays():
    finder = object.__new__(people.PeopleFinder)
    finder.settings = Settings()
    found = [(standing(), 0.5, True), (standing(x=2), 0.8, False), (standing(x=300), 0.6, True)]
    found += [(standing(x=600), 0.7, False)]  # in which no reading is believed
    readings = [people._Reading(person(points, sureness), believed) for points, sureness, believed in found]
    assert [kept.sureness for kept in finder._judged(readings)] == [0.8, 0.6]


class OnePerson:
    """A detector that sees the same person in every square, and a network that reads them; both count."""

    def __init__(self, sureness=0.5, drift=0.0):
        self.squares, self.looks, self.sureness, self.drift = [], 0, sureness, drift
        self.candidate = mediapipe_models.Candidate(
            0.9, np.zeros(4), np.array([[320.0, 300], [320, 200], [320, 230], [320, 180]])
        )

    def candidates(self, picture, square, thresholds, most_overlap, faint=0.0):
        self.squares.append(square)
        moved = self.candidate.points + (len(self.squares) % 3)
        lists = len(thresholds) + bool(faint)
        return [[self.candidate._replace(points=moved, score=0.9 - 0.01 * len(self.squares))]] * lists

    def look(self, picture, region, mirrored=False):
        self.looks += 1
        ones = np.ones(33)
        points = standing(300, 260, 80)
        following = self.candidate.region if self.sureness < 0.7 else region._replace(x=region.x + self.drift)
        return mediapipe_models.Landmarks(1.0, self.sureness, points, ones, ones, np.zeros((33, 3)), following, ones)


def test_candidates_of_overlapping_tiles_are_looked_at_once():
    finder, models = object.__new__(people.PeopleFinder), OnePerson()
    finder.settings, finder._pool = people.WITHOUT_HEAD, None
    finder._models = [people._Models(models, models)]
    found = finder.find(np.zeros((480, 640, 3), np.uint8))
    assert len(found) == 1
    assert len(models.squares) > 8
    assert models.looks == 4  # two, and one more of the picture and of its mirror image, since they are not sure


@pytest.mark.parametrize(("drift", "looks"), [(0.0, 1), (4.0, 1), (30.0, 2)])
def test_a_sure_person_is_looked_at_again_only_where_the_region_moves(drift, looks):
    finder, models = object.__new__(people.PeopleFinder), OnePerson(0.9, drift)
    finder.settings, finder._pool = Settings(tiles=False, turns=False, beside=None), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((480, 640, 3), np.uint8))) == 1
    assert models.looks == looks


class SeenLarger(OnePerson):
    """In all squares but the first the person's region is larger; what is read there names the first one again."""

    def candidates(self, picture, square, thresholds, most_overlap, faint=0.0):
        ((found,), *_) = lists = super().candidates(picture, square, thresholds, most_overlap, faint)
        larger = 1.0 if len(self.squares) == 1 else 1.7
        return [[found._replace(points=found.points[0] + larger * (found.points - found.points[0]))]] * len(lists)

    def look(self, picture, region, mirrored=False):
        return super().look(picture, region)._replace(following=self.candidate.region)


def test_who_was_read_with_certainty_is_not_read_again():
    finder, models = object.__new__(people.PeopleFinder), SeenLarger(0.9)
    finder.settings, finder._pool = Settings(), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((480, 640, 3), np.uint8))) == 1
    assert models.looks == 2  # one in the first square, and one that shows that the larger region has the same person


class OneElsewhere(OnePerson):
    """Beside the person, who is read with certainty, the detector sees something faint elsewhere, or another way up."""

    def __init__(self, score, x=320.0, turned=False):
        super().__init__(0.9)
        hips = np.array([x, 300.0])
        ways = [[0.0, 0], [0, 100], [0, 70], [0, 120]] if turned else [[0.0, 0], [0, -100], [0, -70], [0, -120]]
        self.other = mediapipe_models.Candidate(score, np.zeros(4), hips + ways)

    def candidates(self, picture, square, thresholds, most_overlap, faint=0.0):
        self.squares.append(square)
        limits = [*thresholds, faint] if faint else thresholds
        return [[one for one in (self.candidate, self.other) if one.score >= limit] for limit in limits]

    def look(self, picture, region, mirrored=False, within=None):
        found = super().look(picture, region)
        return found._replace(following=region, sureness=0.9 if region == self.candidate.region else 0.1)


@pytest.mark.parametrize(
    ("score", "x", "turned", "faint", "tiles_too"),
    [
        (0.06, 100.0, False, 0.05, True),
        (0.04, 100.0, False, 0.05, False),
        (0.04, 100.0, False, 0.0, True),
        (0.15, 325.0, False, 0.05, False),
        (0.15, 325.0, True, 0.05, False),
    ],
)
def test_beside_one_sure_person_tiles_are_for_what_is_seen_elsewhere(score, x, turned, faint, tiles_too):
    finder, models = object.__new__(people.PeopleFinder), OneElsewhere(score, x, turned)
    finder.settings, finder._pool = Settings(faint=faint), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((480, 640, 3), np.uint8))) == 1
    assert len(models.squares) == (3 + 6 if tiles_too else 3)  # whole, two of the whole height, six tiles
    assert models.looks == 1


@pytest.mark.parametrize(("x", "turned", "looks"), [(325.0, True, 1), (325.0, False, 1), (400.0, False, 2)])
def test_other_candidates_at_the_place_of_a_sure_person_are_not_looked_at(x, turned, looks):
    finder, models = object.__new__(people.PeopleFinder), OneElsewhere(0.8, x, turned)
    finder.settings, finder._pool = Settings(tiles=False, turns=False, beside=None), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((480, 640, 3), np.uint8))) == 1
    assert models.looks == looks


def test_people_do_not_depend_on_the_number_of_threads(finder, annotated):
    several = people.PeopleFinder(threads=2)
    for picture, *_ in annotated[:1]:
        small = np.zeros((2 * picture.shape[0], 2 * picture.shape[1], 3), np.uint8)
        small[: picture.shape[0], : picture.shape[1]] = picture
        for one, other in zip(finder.find(small), several.find(small)):
            np.testing.assert_array_equal(one.points, other.points)
        assert len(finder.find(small)) == len(several.find(small)) > 0


def test_joint_mask_asks_for_inside_and_visible():
    one = person(standing())._replace(visibility=np.r_[0.05, 0.9, np.ones(31)], inside=np.r_[1, 0.4, np.ones(31)])
    mask = joint_mask(one, 0.1)
    assert mask.tolist() == [False, False] + [True] * 31


def test_key_points_of_photographs(finder, annotated):
    for picture, truth, visible, area in annotated:
        found = finder.find(picture)
        best = max((similarity(_coco(one), truth, visible, area) for one in found), default=0.0)
        assert best > 0.6


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_people_are_found_however_the_picture_is_turned(finder, annotated, quarter):
    picture, truth, visible, area = annotated[0]
    height, width = picture.shape[:2]
    turned = np.ascontiguousarray(np.rot90(picture, quarter))
    x, y = truth.T
    x, y = {1: (y, width - 1 - x), 2: (width - 1 - x, height - 1 - y), 3: (height - 1 - y, x)}[quarter]
    found = finder.find(turned)
    best = max((similarity(_coco(one), np.stack([x, y], 1), visible, area) for one in found), default=0.0)
    assert best > 0.6


def test_world_landmarks_turn_with_the_picture(finder, annotated):
    picture, *_ = annotated[0]
    upright, region = finder.find(picture)[0], None
    region = upright.following
    straight = finder._models[0].network.look(picture, region)
    # The same square of the picture turned by a quarter: the network sees the same pixels.
    turned = np.ascontiguousarray(np.rot90(picture))
    other = finder._models[0].network.look(
        turned, Region(region.y, picture.shape[1] - 1 - region.x, region.side, region.angle - np.pi / 2)
    )
    x, y, z = straight.world.T
    np.testing.assert_allclose(other.world, np.stack([y, -x, z], 1), atol=0.02)


def test_nobody_is_found_in_noise_and_flat_pictures(finder):
    rng = np.random.default_rng(0)
    for picture in (
        np.zeros((120, 160, 3), np.uint8),
        np.full((40, 900, 3), 255, np.uint8),
        rng.integers(0, 256, (200, 200, 3), dtype=np.uint8),
        np.zeros((1, 1, 3), np.uint8),
    ):
        assert finder.find(picture) == []


def test_whole_square_of_a_turned_picture_shows_it_turned(annotated):
    picture, *_ = annotated[0]
    side = max(picture.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    plain = regions.cut(square, regions.whole(side, side), 128)
    quarter = regions.cut(square, regions.whole(side, side, np.pi / 2), 128)
    assert np.abs(np.rot90(plain).astype(int) - quarter).mean() < 1.0


def _coco(one):
    return joints.convert(one.points, mediapipe_models.JOINT_SET, "coco17")[0]


class SeenInAll(OnePerson):
    """The whole picture shows the person with a lower score than its squares do."""

    def candidates(self, picture, square, thresholds, most_overlap, faint=0.0):
        self.squares.append(square)
        score = 0.6 if len(self.squares) == 1 else 0.62
        return [[self.candidate._replace(score=score)]] * (len(thresholds) + bool(faint))


@pytest.mark.parametrize(("sureness", "count"), [(0.5, 1), (0.47, 0)])
def test_somebody_in_several_squares_is_believed_as_where_least_is_asked_for(sureness, count):
    finder, models = object.__new__(people.PeopleFinder), SeenInAll(sureness)
    finder.settings, finder._pool = Settings(beside=None, turns=False), None
    finder._models = [people._Models(models, models)]
    assert len(finder.find(np.zeros((480, 640, 3), np.uint8))) == count  # 0.48 in the whole, 0.57 in tiles
