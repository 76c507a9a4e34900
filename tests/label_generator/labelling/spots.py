"""Pictures of red spots and a finder that sees a person at each, for tests of what comes of found people."""

import cv2
import numpy as np

from label_generator.labelling import people_file, photographs
from tools.detection.person import Person
from tools.detection.regions import Region

BODY = np.random.default_rng(0).uniform(-20, 20, (33, 2))


class RedSpots:
    """Sees a person around the middle of each red spot; what it saw is known from the picture."""

    calls = 0

    def __init__(self, settings=None, threads=1):
        pass

    def find(self, picture):
        RedSpots.calls += 1
        mask = ((picture[..., 2] > 180) & (picture[..., 1] < 90)).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
        found = []
        for x, y in centres[1:][stats[1:, cv2.CC_STAT_AREA] > 20]:  # smaller ones are the codec's
            points = BODY + [x, y]
            visibility = np.where(np.arange(33) == 25, 0.05, 0.9)  # one knee is hidden
            found.append(Person(points, visibility, np.ones(33), np.zeros((33, 3)), 0.9, 0.8, 0.7, Region(x, y, 50)))
        return found

    def follow(self, picture, known, detect, squares=()):
        return self.find(picture)


def picture(*spots, size=(80, 120)):
    pixels = np.full((*size, 3), 120, np.uint8)
    for x, y in spots:
        cv2.circle(pixels, (x, y), 5, (0, 0, 255), -1)
    return pixels


def find(source, output, **options):
    output.mkdir(exist_ok=True)
    return people_file.PeopleFile(photographs.find_people(photographs.Request(str(source), output, **options)))


def column(people, name):
    return people.read(name, 0, len(people))
