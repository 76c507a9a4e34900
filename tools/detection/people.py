"""The people of a picture: candidates of the detector, looked at by the landmark network until each is there once."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import queue
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from tools.detection import beside, fusion, mediapipe_models, tiles
from tools.detection.mediapipe_models import Candidate, Landmarks
from tools.detection.person import Person, same_person
from tools.detection.regions import Likeness, Region, alike, whole
from tools.detection.settings import WITHOUT_HEAD as WITHOUT_HEAD
from tools.detection.settings import Belief, Settings
from tools.detection.settings import check_models as check_models
from tools.detection.settings import settings_of as settings_of

_T = TypeVar("_T")
_R = TypeVar("_R")
_ANY = Belief(0.0, 0.0)  # where `beside.Limits` has decided
# The landmark network sees nearly the same in the first, and reads the same in the second.
_SAME_REGION, _SETTLED = Likeness(0.12, 0.75, 0.85), Likeness(0.05, 0.9, 0.99)
# A candidate's region is that of a person; it may be, whichever way up, or that of somebody close to them.
_AT, _ONE_PLACE = Likeness(0.15, 0.67, 0.7), Likeness(0.3, 0.5, -2.0)


class _Reading(NamedTuple):
    """Somebody, and whether this reading alone is enough to believe in them."""

    person: Person
    believed: bool


class _Seen(NamedTuple):
    """Where somebody may be, the detector's score, 0 where it was not asked, and which readings there are people."""

    region: Region
    score: float
    belief: Belief


class _Square(NamedTuple):
    """What the detector is shown, its least score there, which readings are people, and whether for small ones only."""

    region: Region
    score: float
    belief: Belief
    small: bool = False


class _Models(NamedTuple):
    """What one thread looks with."""

    detector: mediapipe_models.Detector
    network: mediapipe_models.LandmarkNetwork


@dataclasses.dataclass
class _Search:
    """The search of one picture: [H, W, 3] uint8 BGR, readings so far, region and score of candidates looked at, the
    first looks at regions, by levels of squares (`tiles`) all candidates for people beside others, and the faint
    candidates of the first level, see `Settings.faint`."""

    picture: np.ndarray
    readings: list[_Reading] = dataclasses.field(default_factory=list)
    looked: list[tuple[Region, float]] = dataclasses.field(default_factory=list)
    first_looks: dict[Region, Landmarks] = dataclasses.field(default_factory=dict)
    detected: dict[int, list[Candidate]] = dataclasses.field(default_factory=dict)
    faint: list[Candidate] = dataclasses.field(default_factory=list)


class PeopleFinder:
    """Finds people in pictures. Not to be shared by threads; each makes its own."""

    def __init__(self, settings: Settings | None = None, threads: int = 1):
        """threads: how many regions are looked at side by side; people found are the same for any number.

        Raises:
          InputError: without MediaPipe's wheel.
        """
        self.settings = settings or Settings()

        def load() -> _Models:
            network = mediapipe_models.LandmarkNetwork(1, self.settings.head, self.settings.weights)
            return _Models(mediapipe_models.Detector(1), network)

        # Several regions at a time, by networks on one thread each. A network on several threads has them wait for each
        # other in loops, which takes many times as long where other programs run.
        self._models = [load() for _ in range(max(threads, 1))]
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads > 1 else None

    def find(self, picture: np.ndarray) -> list[Person]:
        """The people of a photograph [H, W, 3] uint8 BGR, the surest first."""
        search = _Search(picture)
        self._search(search)
        return self._judged(search.readings)

    def follow(
        self, picture: np.ndarray, known: Sequence[Region], detect: bool, squares: Sequence[Region] = ()
    ) -> list[Person]:
        """The people of a frame of a video [H, W, 3] uint8 BGR, the surest first.

        Args:
          known: where the people of the frame before are to be looked for.
          detect: look for others too, in the whole picture.
          squares: parts of the picture to look for others in.
        """
        search = _Search(picture)
        followed = Belief(self.settings.followed, self.settings.followed)

        def look(models: _Models, region: Region) -> _Reading | None:
            return self._reading(models.network.look(picture, region), 1.0, followed)

        search.readings += [reading for reading in self._each(look, known) if reading is not None]
        chosen = self.settings
        looked_at = [_Square(square, chosen.score_in_tiles, chosen.in_tiles) for square in squares]
        if detect:
            looked_at.insert(0, _Square(whole(picture.shape[1], picture.shape[0]), chosen.score, chosen.whole))
        if looked_at:
            self._add(search, looked_at)
        return self._judged(search.readings)

    def _each(self, work: Callable[[_Models, _T], _R], items: Sequence[_T]) -> list[_R]:
        """work(models, item) of each item, in the order of the items, by as many threads as there are models."""
        if self._pool is None or len(items) < 2:
            return [work(self._models[0], item) for item in items]
        free: queue.SimpleQueue[_Models] = queue.SimpleQueue()
        for models in self._models:
            free.put(models)

        def one(item: _T) -> _R:
            models = free.get()
            try:
                return work(models, item)
            finally:
                free.put(models)

        return list(self._pool.map(one, items))

    def _search(self, search: _Search) -> None:
        """People of the whole picture, then of its tiles, then of the picture turned, as far as that is of use."""
        height, width = search.picture.shape[:2]
        chosen = self.settings
        # In squares of the whole height someone beside a person who fills the picture is seen, and small people better.
        across = tiles.across(width, height) if chosen.tiles else []
        first = [_Square(whole(width, height), chosen.score, chosen.whole), *self._tiles(across, small=False)]
        self._add(search, first, 0)
        for level, squares in enumerate(self._smaller(search)[: tiles.USUAL], 1):
            before = self._judged(search.readings)
            if level == 1 and self._alone(search, before):
                break
            self._add(search, self._tiles(squares), level)
            # Where larger tiles show no further person, smaller ones hardly ever do.
            if len(self._judged(search.readings)) == len(before):
                break
        if chosen.beside and self._judged(search.readings):
            self._search_beside(search, chosen.beside)
        if chosen.turns and not any(reading.person.sureness >= chosen.sure for reading in search.readings):
            turned = [whole(width, height, quarter * np.pi / 2) for quarter in range(4)]
            self._add(search, [_Square(square, chosen.score, chosen.turned) for square in turned[1:]])
            if chosen.head and not any(reading.person.sureness >= chosen.sure for reading in search.readings):
                # Somebody who fills the picture and whom the detector does not see.
                self._look_at(search, [_Seen(square, 0.0, chosen.filling) for square in turned])

    def _tiles(self, squares: Sequence[Region], small: bool = True) -> list[_Square]:
        return [_Square(square, self.settings.score_in_tiles, self.settings.in_tiles, small) for square in squares]

    def _alone(self, search: _Search, known: Sequence[Person]) -> bool:
        """Whether there is one sure person, and the detector sees nothing elsewhere, however faint."""
        if not self.settings.faint or len(known) != 1 or known[0].sureness < self.settings.sure:
            return False
        return all(alike(one.region, known[0].following, _ONE_PLACE) for one in search.faint)

    def _smaller(self, search: _Search) -> list[list[Region]]:
        """The tiles of each level for the people found so far."""
        height, width = search.picture.shape[:2]
        sizes = [person.size for person in self._judged(search.readings)]
        there = self.settings.tiles and tiles.worthwhile(width, height, sizes)
        return list(tiles.levels(width, height)) if there else []

    def _search_beside(self, search: _Search, limits: beside.Limits) -> None:
        """People beside those who were found, level by level, until two levels show nobody."""

        def detect(models: _Models, square: Region) -> list[Candidate]:
            seen = models.detector.candidates(search.picture, square, [limits.score], self.settings.most_overlap)[0]
            return [one for one in seen if tiles.shows(square, one.region)]

        before, new = 0, self._look_beside(search, search.detected[0], limits)
        for level, squares in enumerate(self._smaller(search), 1):
            if level not in search.detected:
                if not (before or new):
                    break
                search.detected[level] = list(itertools.chain.from_iterable(self._each(detect, squares)))
            before, new = new, self._look_beside(search, search.detected[level], limits)

    def _add(self, search: _Search, squares: Sequence[_Square], level: int | None = None) -> None:
        """Adds readings of whom the detector sees in squares of the picture, and keeps candidates for people beside
        others, by level."""
        chosen = self.settings
        limits = chosen.beside if level is not None else None
        faint = chosen.faint if level == 0 else 0.0

        def detect(models: _Models, square: _Square) -> list[list[Candidate]]:
            thresholds = [square.score, limits.score if limits else square.score]
            lists = models.detector.candidates(search.picture, square.region, thresholds, chosen.most_overlap, faint)
            if square.small:
                lists = [[one for one in seen if tiles.shows(square.region, one.region)] for seen in lists]
            return lists

        detected = self._each(detect, squares)
        waiting = [
            _Seen(candidate.region, candidate.score, square.belief)
            for square, several in zip(squares, detected)
            for candidate in several[0]
        ]
        # Somebody seen in several squares alike is believed as in the one in which least is asked for.
        beliefs = [
            min(other.belief for other in waiting if other is one or alike(one.region, other.region, _SAME_REGION))
            for one in waiting
        ]
        waiting = [one._replace(belief=belief) for one, belief in zip(waiting, beliefs)]
        waiting.sort(key=lambda one: -one.score)
        while waiting:
            now: list[_Seen] = []
            later: list[_Seen] = []
            for one in waiting:
                # Of candidates at one place the surest is looked at first, which often explains the others.
                (later if any(alike(one.region, other.region, _ONE_PLACE) for other in now) else now).append(one)
            now = [one for one in now if not self._settled(search, one)]
            search.looked += [(one.region, one.score) for one in now]
            self._look_at(search, now)
            waiting = [one for one in later if not self._settled(search, one)]
        if level is not None:
            kept = search.detected.setdefault(level, [])
            kept += itertools.chain.from_iterable(several[1] for several in detected)
        if faint:
            search.faint += itertools.chain.from_iterable(several[-1] for several in detected)

    def _settled(self, search: _Search, one: _Seen) -> bool:
        """Whether a candidate needs no look: its region was looked at, or it is a person who was read before.

        Overlapping squares show the same person; again is looked only where a higher score could confirm them.
        """
        score = min(one.score, self.settings.confirming)
        if any(alike(one.region, region, _SAME_REGION) and score <= before for region, before in search.looked):
            return True
        return any(self._explained(one.region, reading.person) for reading in search.readings)

    def _look_beside(self, search: _Search, candidates: Sequence[Candidate], limits: beside.Limits) -> int:
        """Adds readings of people beside those who were found, see `beside`; returns how many."""
        known = self._judged(search.readings)
        new: list[_Seen] = []
        for candidate in _surest_first([candidates]):
            if not any(
                1 / limits.sizes < candidate.region.side / person.following.side < limits.sizes for person in known
            ):
                continue
            seen_before = any(alike(candidate.region, one.region, _SAME_REGION) for one in new)
            if not seen_before and not any(self._is(candidate.region, person) for person in known):
                new.append(_Seen(candidate.region, candidate.score, _ANY))

        def look(models: _Models, one: _Seen) -> _Reading | None:
            before = [region for region, _ in search.looked if alike(one.region, region, _SAME_REGION)]
            first = search.first_looks.get(before[0]) if before else None
            found = beside.look(models.network, search.picture, one.region, first, certain, _SAME_REGION, limits)
            return self._reading(found, one.score, one.belief) if found else None

        certain = [person.following for person in known]
        for reading in sorted(filter(None, self._each(look, new)), key=lambda reading: -reading.person.sureness):
            if not any(same_person(reading.person, person, self.settings) for person in known):
                search.readings.append(reading)
                known.append(reading.person)
        return len(known) - len(certain)

    def _look_at(self, search: _Search, seen: Sequence[_Seen]) -> None:
        """Adds readings of whom the landmark network reads in regions."""

        def look(models: _Models, one: _Seen) -> _Reading | None:
            landmarks = self._look(models.network, search, one.region, certain)
            return self._reading(landmarks, one.score, one.belief) if landmarks else None

        certain = [
            reading.person.following
            for reading in search.readings
            if reading.person.sureness >= self.settings.in_tiles.alone
        ]
        search.readings += [reading for reading in self._each(look, seen) if reading is not None]

    def _explained(self, region: Region, person: Person) -> bool:
        """Whether a candidate's region is that of a person who was read with certainty before."""
        return person.sureness >= self.settings.in_tiles.alone and self._is(region, person)

    def _is(self, region: Region, person: Person) -> bool:
        """Whether a candidate's region is that of a person; of a sure one also another way up."""
        if alike(region, person.following, _AT):
            return True
        turned = np.cos(region.angle - person.following.angle) < _AT.cosine
        return bool(turned and person.sureness >= self.settings.sure and alike(region, person.following, _ONE_PLACE))

    def _look(
        self,
        network: mediapipe_models.LandmarkNetwork,
        search: _Search,
        region: Region,
        certain: Sequence[Region] = (),
    ) -> Landmarks | None:
        """What is in a region, looked at as often as it is worth, each time where the look before says.

        certain: where people are who were read with certainty before; they are not read again.
        """
        chosen, picture = self.settings, search.picture
        first = search.first_looks[region] = network.look(picture, region)
        # The head reads people upside down in a first look to which the landmark network denies their presence.
        absent = not chosen.head and first.presence < chosen.presence / 2
        if absent or first.sureness < chosen.hardly or not first.following.side > 1.0:
            return None
        if any(alike(first.following, known, _SAME_REGION) for known in certain):
            return None
        if first.sureness >= chosen.settled and alike(first.following, region, _SETTLED):
            return first
        second = network.look(picture, first.following)
        if second.presence < chosen.presence or second.sureness < chosen.sureness:
            return None
        if second.sureness >= chosen.settled or not second.following.side > 1.0:
            return second
        looks = [second, network.look(picture, second.following, mirrored=True)]
        if second.sureness < chosen.sure:
            looks.append(network.look(picture, second.following))
        return mediapipe_models.joined(looks)

    def _reading(self, found: Landmarks, score: float, belief: Belief) -> _Reading | None:
        """The reading of the person in a region, if there is one."""
        if found.presence < self.settings.presence or not found.following.side > 1.0:
            return None
        sure = found.sureness >= belief.alone
        confirms = found.sureness >= belief.confirmed and score >= self.settings.confirming
        points = found.points
        if found.body is not None:
            points = fusion.corrected(points, found.visibility, found.body)
        person = Person(
            points,
            found.visibility,
            found.inside,
            found.world,
            found.presence,
            found.sureness,
            score,
            found.following,
        )
        return _Reading(person, sure or confirms)

    def _judged(self, readings: Sequence[_Reading]) -> list[Person]:
        """Each person once, by the surest reading of those that are the same, one of which must be believed."""
        kept: list[_Reading] = []
        for reading in sorted(readings, key=lambda reading: -reading.person.sureness):
            for place, other in enumerate(kept):
                if same_person(reading.person, other.person, self.settings):
                    kept[place] = other._replace(believed=other.believed or reading.believed)
                    break
            else:
                kept.append(reading)
        return [reading.person for reading in kept if reading.believed]


def _surest_first(candidates: Iterable[Sequence[Candidate]]) -> list[Candidate]:
    return sorted(itertools.chain.from_iterable(candidates), key=lambda candidate: -candidate.score)
