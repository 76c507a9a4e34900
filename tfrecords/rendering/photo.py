"""What a camera does to a picture: focus, motion, exposure, colour cast, noise, compression."""

from __future__ import annotations

import numpy as np

from tfrecords.rendering import textures as render_textures


def defocus(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The background out of focus, mostly a little, sometimes much."""
    import cv2

    sigma = rng.choice([0.0, rng.uniform(0.4, 1.2), rng.uniform(1.2, 5.0)], p=(0.25, 0.45, 0.3))
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture


def streak(rng: np.random.Generator, longest: float) -> np.ndarray:
    """A kernel that smears along a random direction by up to `longest` px."""
    import cv2

    length, angle = rng.uniform(2.0, longest), rng.uniform(0, np.pi)
    reach = int(np.ceil(longest / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    way = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = [tuple(round(v * 16) for v in np.array([reach, reach]) + sign * way) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()


def expose(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A float32 RGB picture 0-1 as a camera records it: uint8 RGB of the same size."""
    import cv2

    size = picture.shape[0]
    if rng.random() < 0.12:  # the camera moved
        picture = cv2.filter2D(picture, -1, streak(rng, 6.0))
    if rng.random() < 0.4:  # out of focus, or the person was small and is shown enlarged
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5))
        else:
            small = int(size * rng.uniform(0.4, 0.9))
            picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
            picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    gain = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.05, 3))
    contrast, offset = np.exp(rng.normal(0, 0.16)), rng.normal(0, 0.025)
    gain, offset = contrast * gain, offset + 0.45 * (1 - contrast)
    # brightness, colours and how far they are from grey are one affine map of the three channels
    saturation = 0.0 if rng.random() < 0.03 else (rng.uniform(0.55, 1.3) if rng.random() < 0.5 else 1.0)
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    picture = cv2.transform(picture, np.concatenate([mix @ np.diag(gain), np.full((3, 1), offset)], 1))
    if rng.random() < 0.3:  # corners darker
        ramp = np.linspace(-1, 1, size, dtype=np.float32) ** 2
        picture *= (1 - np.float32(rng.uniform(0.05, 0.3)) * (ramp[:, None] + ramp[None]))[..., None]
    noise = rng.choice([rng.uniform(0.002, 0.012), rng.uniform(0.012, 0.05)], p=(0.7, 0.3))
    y, x = rng.integers(0, render_textures.SIZE - size, 2)
    grain = render_textures.grain()[y : y + size, x : x + size]
    # rounds, and keeps what is below 0 or above 255 there
    return cv2.convertScaleAbs(np.maximum(cv2.scaleAdd(grain, noise, picture), 0), alpha=255)


def encode(rng: np.random.Generator, picture: np.ndarray) -> bytes:
    """A uint8 RGB picture as JPEG, of good quality or less."""
    import cv2

    quality = int(rng.choice([rng.uniform(85, 97), rng.uniform(60, 85), rng.uniform(28, 60)], p=(0.5, 0.35, 0.15)))
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
