"""What the landmark network computes inside for crops of annotated people, kept on disk to train the body head on.

Each person is cropped at a region around their true joints, jittered, or turned at random, and again at the region that
the landmark network or the shipped head then names, as in use. Tensors are kept as bytes: 129 KB a crop.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfrecords.source import Options
from tfrecords.sources.photos import Photos
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.detection import body_head, mediapipe_models
from tools.detection.regions import Region
from tools.files import atomic
from tools.pose import joints

_BODY = joints.joint_set(body_head.JOINT_SET)
_HIPS = [_BODY.index("RHip"), _BODY.index("LHip")]
_TOP = [_BODY.index(name) for name in ("RShoulder", "LShoulder", "Neck")]
# Bytes for a standard deviation, and for a channel's mean.
_STEP, _MIDDLE = 25.4, 127.0
_SCALED_ON = 300  # crops
_LARGER = mediapipe_models.LARGER
# Of crops turned at random; of second crops named by the head; least share of joints in a second crop.
_TURNED, _BY_HEAD, _INSIDE = 0.4, 0.55, 0.75
NAMES = ("fine", "middle", "coarse")  # 32 x 32 cells, 16 x 16, 8 x 8


class Annotated(NamedTuple):
    """A picture [H, W, 3] uint8 BGR and the joints [14, 2] px of one person, NaN where unknown."""

    row: int
    pixels: np.ndarray
    points: np.ndarray


class Crops(NamedTuple):
    """Crops by number.

    Attributes:
      fine, middle, coarse: [n, 32, 32, 97], [n, 16, 16, 88], [n, 8, 8, 144] uint8: the head's inputs.
      places: [n, 14, 2] x, y in 0..1 of the crop, NaN where unknown. person: [n] row of the annotation.
      scale: per tensor of `body_head.INNER` but the first, [2, C] mean and standard deviation of its channels.
    """

    fine: np.ndarray
    middle: np.ndarray
    coarse: np.ndarray
    places: np.ndarray
    person: np.ndarray
    scale: list[np.ndarray]


def make(path: pathlib.Path, images: str, folder: pathlib.Path, count: int, seed: int = 0) -> Crops:
    """Crops of the people of an .npz of `--source=photos`, written to a folder.

    Raises:
      InputError: no such people, no pictures, or no models.
    """
    source = Photos(path, Options(images=images))
    rng = np.random.default_rng(seed)
    names, table, _, joint_set = source.arrays()
    known = np.isfinite(table).all(-1) & (table[..., 2] > 0)
    points = joints.convert(np.where(known[..., None], table[..., :2], np.nan), joint_set, body_head.JOINT_SET)[0]
    usable = np.flatnonzero((np.isfinite(points).all(-1).sum(-1) >= _BODY.size // 2) & (np.array(names) != ""))
    if not len(usable):
        raise InputError(f"{path}: nobody with {_BODY.size // 2} joints of {body_head.JOINT_SET} or more")
    network = mediapipe_models.LandmarkNetwork(head=True)

    def people() -> Iterator[Annotated]:
        while True:
            read = 0
            for row in rng.permutation(usable):
                pixels = source.picture(names[row])
                if pixels is not None:
                    read += 1
                    yield _varied(Annotated(int(row), pixels, points[row]), rng)
            if not read:
                raise InputError(f"{path}: none of its pictures can be read")

    first = [
        network.inner(person.pixels, _start(person.points, rng, 0.0)) for person, _ in zip(people(), range(_SCALED_ON))
    ]
    scale = [_scale([one[place] for one in first]) for place in range(1, len(body_head.INNER))]
    shapes = ((body_head.CELLS, body_head.CELLS, 97), (16, 16, 88), (8, 8, 144))
    folder.mkdir(parents=True, exist_ok=True)
    kept = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, (count, *shape))
        for name, shape in zip(NAMES, shapes)
    ]
    places, rows, done = np.full((count, _BODY.size, 2), np.nan, np.float32), np.zeros(count, np.int64), 0
    with Progress(count, "crops") as progress:
        for person in people():
            for region, inner in _looks(person, network, rng):
                if done < count:
                    for array, values in zip(kept, as_bytes(inner, scale)):
                        array[done] = values
                    places[done], rows[done] = region.from_picture(person.points), person.row
                    done += 1
            progress.update(done)
            if done == count:
                break
    with atomic.write_file(folder / "crops.npz") as temporary:
        np.savez(temporary, places=places, person=rows, **{f"scale{i}": values for i, values in enumerate(scale)})
    return load(folder)


def load(folder: pathlib.Path) -> Crops:
    """Crops that `make` wrote; raises `InputError` without them."""
    if not (folder / "crops.npz").is_file():
        raise InputError(f"{folder}: no crops.npz; expected the folder of a finished extraction")
    fine, middle, coarse = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in NAMES)
    with np.load(folder / "crops.npz") as others:
        scale = [others[f"scale{i}"] for i in range(len(body_head.INNER) - 1)]
        return Crops(fine, middle, coarse, others["places"], others["person"], scale)


def as_bytes(inner: Sequence[np.ndarray], scale: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tensors `body_head.INNER` as `fine`, `middle`, `coarse` of one crop."""
    maps, *others = inner
    scaled = [
        np.clip(np.rint((values - mean) / deviation * _STEP + _MIDDLE), 0, 255).astype(np.uint8)
        for values, (mean, deviation) in zip(others, scale)
    ]
    half = maps.shape[0] // 2
    chosen = maps[..., body_head.MAPS].reshape(half, 2, half, 2, -1).max((1, 3)).astype(np.float64)
    heights = np.rint(255 / (1 + np.exp(-np.clip(chosen, -50, 50)))).astype(np.uint8)
    return np.concatenate([scaled[0], scaled[1], heights], -1), scaled[2], scaled[3]


def as_inputs(fine: Any, middle: Any, coarse: Any) -> list[Any]:
    """Tensors of bytes [B, ...] as the float inputs of the network."""
    import tensorflow as tf

    maps = len(body_head.MAPS)

    def scaled(values: Any) -> Any:
        return (tf.cast(values, tf.float32) - _MIDDLE) / _STEP

    heights = tf.cast(fine[..., -maps:], tf.float32) * (2 / 255) - 0.2
    return [tf.concat([scaled(fine[..., :-maps]), heights], -1), scaled(middle), scaled(coarse)]


def _scale(tensors: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate([tensor.reshape(-1, tensor.shape[-1]) for tensor in tensors]).astype(np.float64)
    return np.stack([values.mean(0), values.std(0) + 1e-6]).astype(np.float32)


def _looks(
    person: Annotated, network: mediapipe_models.LandmarkNetwork, rng: np.random.Generator
) -> Iterator[tuple[Region, list[np.ndarray]]]:
    """One region or two of a person, with the landmark network's inner tensors there."""
    region = _start(person.points, rng, _TURNED)
    yield region, network.inner(person.pixels, region)
    reading = network.look(person.pixels, region)
    following = reading.following
    if reading.body is not None and rng.random() < _BY_HEAD:
        following = body_head.region_of(reading.body.points)
        following = following._replace(side=following.side * rng.uniform(0.87, 1.2))
    if following.side > 8.0:
        there = following.from_picture(person.points[np.isfinite(person.points).all(-1)])
        if ((there > 0) & (there < 1)).all(-1).mean() > _INSIDE:
            yield following, network.inner(person.pixels, following)


def _start(points: np.ndarray, rng: np.random.Generator, turned: float) -> Region:
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


def _varied(person: Annotated, rng: np.random.Generator) -> Annotated:
    """The person mirrored or not, in other light, and sometimes less sharp."""
    import cv2

    pixels, points = person.pixels, person.points
    if rng.random() < 0.5:
        pixels, points = pixels[:, ::-1], points[_BODY.mirror].copy()
        points[:, 0] = pixels.shape[1] - 1 - points[:, 0]
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
    return Annotated(person.row, pixels, points)
