"""Grey textures that every rendered picture shares, made once in a process from a fixed seed; all tile seamlessly.

What pictures differ in (colours, scale, place, which one) is drawn per picture, so these cost nothing after the first.
"""

from __future__ import annotations

import functools

import numpy as np

SIZE = 512


def _noise(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Noise [SIZE, SIZE] float32 of mean 0 and deviation 1 whose amplitude falls as frequency ** -slope."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE) * stretch, np.fft.rfftfreq(SIZE), indexing="ij")
    frequency = np.maximum(np.hypot(fx, fy), 1.0 / SIZE)
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * frequency**-slope
    spectrum[0, 0] = 0
    values = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return (values / values.std()).astype(np.float32)


def _grey(values: np.ndarray, contrast: float = 45.0) -> np.ndarray:
    return np.clip(128 + contrast * values, 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def surfaces() -> tuple[np.ndarray, ...]:
    """Textures of walls and floors, uint8 [SIZE, SIZE]: noises, tiles, bricks, planks, stripes and so on."""
    import cv2

    rng = np.random.default_rng(7)
    found = [_grey(_noise(rng, slope)) for slope in (0.3, 0.8, 1.2, 1.6, 2.2)]
    found += [_grey(_noise(rng, 1.1, 6.0)), _grey(np.abs(_noise(rng, 1.5)) - 0.8), _grey(_noise(rng, 0.9, 0.2))]
    fine, coarse = _noise(rng, 0.6), _noise(rng, 1.4)
    y, x = np.mgrid[:SIZE, :SIZE]

    def with_noise(values: np.ndarray) -> np.ndarray:
        return np.clip(values + 9 * fine + 12 * coarse, 0, 255).astype(np.uint8)

    for cell in (64, 128):  # tiles with joints, each its own shade
        shade = np.kron(rng.normal(150, 18, (SIZE // cell, SIZE // cell)), np.ones((cell, cell)))
        shade[(x % cell < 3) | (y % cell < 3)] = 60
        found.append(with_noise(shade))
    found.append(with_noise(np.where((x // 64 + y // 64) % 2, 190.0, 70.0)))
    bricks = np.zeros((SIZE, SIZE))
    for row in range(16):
        for column in range(8):
            left = column * 64 + 32 * (row % 2)
            bricks[row * 32 + 2 : row * 32 + 31, np.arange(left + 2, left + 63) % SIZE] = rng.normal(130, 25)
    found.append(with_noise(bricks + 40))
    planks = np.repeat(rng.normal(140, 25, 8), 64)[None] + np.zeros((SIZE, 1))
    planks[:, np.arange(SIZE) % 64 < 2] = 50
    found.append(np.clip(planks + 25 * _noise(rng, 1.2, 12.0) * 0.6 + 5 * fine, 0, 255).astype(np.uint8))
    found.append(with_noise(128 + 60 * np.sign(np.sin(x * 2 * np.pi * 8 / SIZE))))
    found.append(with_noise(128 + 50 * np.sin(x * 2 * np.pi * 24 / SIZE) * np.sin(y * 2 * np.pi * 24 / SIZE)))
    leaves = np.full((SIZE, SIZE), 70, np.uint8)
    for _ in range(1200):  # foliage, pebbles
        centre = tuple(int(v) for v in rng.integers(0, SIZE, 2))
        axes = tuple(int(v) for v in rng.integers(4, 16, 2))
        cv2.ellipse(leaves, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(30, 230)), -1)
    found.append(leaves)
    blocks = np.full((SIZE, SIZE), 128, np.uint8)
    for _ in range(140):  # shelves, posters, heaps of things
        low = rng.integers(0, SIZE, 2)
        high = low + rng.integers(10, 110, 2)
        cv2.rectangle(blocks, low.tolist(), high.tolist(), int(rng.integers(10, 250)), -1)
    found.append(with_noise(blocks.astype(np.float32)))
    return tuple(found)


@functools.lru_cache(maxsize=1)
def folds() -> np.ndarray:
    """Cloth, float32 [SIZE, SIZE] of mean 0 and deviation about 1: longish creases over a fine weave."""
    rng = np.random.default_rng(8)
    ridges = 1.0 - 1.6 * np.abs(_noise(rng, 1.7, 0.55))
    return (0.75 * (ridges - ridges.mean()) + 0.45 * _noise(rng, 1.1, 0.7)).astype(np.float32)


@functools.lru_cache(maxsize=1)
def spots() -> np.ndarray:
    """Smooth blotches, float32 [SIZE, SIZE] between 0 and 1: camouflage, flowers."""
    values = _noise(np.random.default_rng(9), 1.9)
    return np.clip(0.5 + 0.9 * np.sin(2.2 * values), 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """Sensor noise of unit deviation, float32 [SIZE, SIZE, 3]: white, half of it shared by the channels."""
    rng = np.random.default_rng(10)
    shared = rng.standard_normal((SIZE, SIZE, 1))
    return (0.7 * shared + 0.7 * rng.standard_normal((SIZE, SIZE, 3))).astype(np.float32)


def look_up(texture: np.ndarray, along_mm: np.ndarray, around_mm: np.ndarray, texel_mm: float) -> np.ndarray:
    """A texture at places [n] in mm on a surface, the nearest texel."""
    rows = (along_mm * (1 / texel_mm)).astype(np.int32) & (SIZE - 1)
    columns = (around_mm * (1 / texel_mm)).astype(np.int32) & (SIZE - 1)
    return texture.ravel()[rows * SIZE + columns]
