"""What comes between the camera and a rendered person."""

from __future__ import annotations

import numpy as np

from tfrecords.rendering import looks as render_looks
from tfrecords.rendering import textures as render_textures


def in_front(rng: np.random.Generator, picture: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Puts something between the camera and the person now and then, in place, that hides at most a third of them.

    Args:
      person: bool [size, size], where the person is.

    Returns:
      bool [size, size], what is hidden.
    """
    import cv2

    size = picture.shape[0]
    hidden = np.zeros((size, size), bool)
    if rng.random() < 0.62:
        return hidden
    rows, columns = np.nonzero(person)
    if not len(rows):
        return hidden
    for _ in range(int(rng.integers(1, 3))):
        mask = np.zeros((size, size), np.uint8)
        chosen = int(rng.integers(len(rows)))
        x, y = int(columns[chosen]), int(rows[chosen])
        kind = rng.choice(4, p=(0.35, 0.25, 0.2, 0.2))
        if kind == 0:  # a box, a table, a car: from somewhere on the person to the lower edge
            left, right = x - int(rng.integers(5, 110)), x + int(rng.integers(5, 110))
            lean = int(rng.integers(-12, 13))
            edge = max(y, int(np.quantile(rows, 0.6)))
            cv2.fillConvexPoly(
                mask,
                np.array([[left, edge], [right, edge + lean], [right, size + 9], [left, size + 9]]),
                255,
                cv2.LINE_AA,
            )
        elif kind == 1:  # a pole, a door post
            half, lean = int(rng.integers(2, 14)), int(rng.integers(-25, 26))
            cv2.fillConvexPoly(
                mask,
                np.array([[x - half, -5], [x + half, -5], [x + half + lean, size + 5], [x - half + lean, size + 5]]),
                255,
                cv2.LINE_AA,
            )
        elif kind == 2:  # leaves, somebody's head
            axes = tuple(int(v) for v in rng.integers(6, 38, 2))
            cv2.ellipse(mask, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        else:  # something held up or flying by
            corners = (np.array([x, y]) + rng.normal(0, 20, (6, 2))).round().astype(np.int32)
            cv2.fillConvexPoly(mask, cv2.convexHull(corners), 255, cv2.LINE_AA)
        if (person & ((mask > 127) | hidden)).sum() > 0.33 * len(rows):
            continue
        covered, sigma = np.flatnonzero(mask.any(1)), rng.uniform(0.5, 2.0)
        part = slice(max(int(covered[0]) - 6, 0), min(int(covered[-1]) + 7, size))
        textures = render_textures.surfaces()
        texture = textures[rng.integers(len(textures))][part, :size, None]
        shade = 0.75 + texture * np.float32(0.5 * rng.random() / 255)
        colour = np.minimum(render_looks.colour(rng).astype(np.float32) * shade, 1)
        alpha = cv2.GaussianBlur(mask[part], (0, 0), sigma)[..., None] * np.float32(1 / 255)
        picture[part] += alpha * (colour - picture[part])
        hidden |= mask > 127
    return hidden
