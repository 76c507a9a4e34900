"""Where the landmark network is shown an annotated person, and in what light: what a crop of the body head's is of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baseline_network.training import body_head_neighbours
from baseline_network.training.body_head_people import BODY, Annotated
from tools.detection import beside, body_head, mediapipe_models
from tools.detection.regions import Region

_HIPS = [BODY.index("RHip"), BODY.index("LHip")]
_TOP = [BODY.index(name) for name in ("RShoulder", "LShoulder", "Neck")]
_TRIES = 5
_LARGER = mediapipe_models.LARGER
# Of crops turned at random; of second crops named by the head; least share of joints in a second crop.
_TURNED, _BY_HEAD, _INSIDE = 0.4, 0.55, 0.75
# With neighbours: of crops turned at random, and of second crops in which all is grey but a box around the person,
# which is larger than that of their joints by a share of its size in this range.
_CROWD_TURNED, _COVERED, _MARGIN = 0.2, 0.3, (0.0, 0.3)


def looks(
    person: Annotated, network: mediapipe_models.LandmarkNetwork, rng: np.random.Generator
) -> Iterator[tuple[Region, list[np.ndarray]]]:
    """One region or two of a person, with the landmark network's inner tensors there."""
    turned = _CROWD_TURNED if len(person.others) else _TURNED
    region = start(person.points, rng, turned)
    for _ in range(_TRIES):
        if _shows(region, person):
            break
        region = start(person.points, rng, turned)
    reading = network.look(person.pixels, region)
    yield region, network.latest_inner
    following = reading.following
    if reading.body is not None and rng.random() < _BY_HEAD:
        following = body_head.region_of(reading.body.points)
        following = following._replace(side=following.side * rng.uniform(0.87, 1.2))
    if following.side > 8.0:
        there = following.from_picture(person.points[np.isfinite(person.points).all(-1)])
        if ((there > 0) & (there < 1)).all(-1).mean() > _INSIDE and _shows(following, person):
            if len(person.others) and rng.random() < _COVERED:
                known = person.points[np.isfinite(person.points).all(-1)]
                box = beside.around(known, rng.uniform(*_MARGIN))
                yield following, network.inner(person.pixels, following, box)
            else:
                yield following, network.inner(person.pixels, following)


def plain(points: np.ndarray) -> Region:
    """The region around joints [14, 2] without any jitter to speak of."""
    return start(points, np.random.default_rng(0), 0.0)


def _shows(region: Region, person: Annotated) -> bool:
    """Whether the person is nearer to the region's middle than their neighbours."""
    away = [np.hypot(*(body_head_neighbours.hips(points) - region[:2])) for points in (person.points, *person.others)]
    return bool(np.argmin(away) == 0)


def start(points: np.ndarray, rng: np.random.Generator, turned: float) -> Region:
    """A region around true joints [14, 2], jittered; a share of them turned at random, and jittered more."""
    known = points[np.isfinite(points).all(-1)]
    hips, top = points[_HIPS], points[_TOP]
    centre = np.nanmean(hips, 0) if np.isfinite(hips).any() else known.mean(0)
    reach = np.linalg.norm(known - centre, axis=-1).max() * rng.uniform(0.9, 1.35)
    way = np.nanmean(top, 0) - centre if np.isfinite(top).any() else np.zeros(2)
    wide = rng.random() < turned
    side = max(2 * _LARGER * reach * (np.exp(rng.normal(0, 0.15)) if wide else 1.0), 8.0)
    angle = np.arctan2(way[1], way[0]) + np.pi / 2 + rng.normal(0, np.deg2rad(18))
    if wide or np.hypot(*way) < 1.0:
        angle = rng.uniform(-np.pi, np.pi)
    x, y = centre + rng.normal(0, 0.07 if wide else 0.035, 2) * side
    return Region(float(x), float(y), float(side), float(angle))


def varied(person: Annotated, rng: np.random.Generator) -> Annotated:
    """The person mirrored or not, in other light, and sometimes less sharp."""
    import cv2

    pixels, points, others = person.pixels, person.points, person.others
    if rng.random() < 0.5:
        pixels, points, others = pixels[:, ::-1], points[BODY.mirror].copy(), others[:, BODY.mirror].copy()
        for moved in (points, others):
            moved[..., 0] = pixels.shape[1] - 1 - moved[..., 0]
    values = pixels.astype(np.float32)
    if rng.random() < 0.8:
        values = values * rng.uniform(0.65, 1.3) + rng.uniform(-25, 25)
    if rng.random() < 0.5:
        values = values * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.1:
        values = np.repeat(values.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.3:
        values = 255 * np.clip(values / 255, 0, 1) ** rng.uniform(0.7, 1.5)
    pixels = np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))
    if rng.random() < 0.15:
        share, (height, width) = rng.uniform(0.4, 0.8), pixels.shape[:2]
        small = cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(small, (width, height))
    return Annotated(person.row, pixels, points, others)
