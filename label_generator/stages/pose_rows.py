"""Poses as rows of numbers, which is what the networks read and answer: order of the columns and root-centring.

All functions take NumPy arrays or TensorFlow tensors and return what they were given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecords.formats.arrays import INTERLEAVED, PLANAR
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

LAYOUTS = (PLANAR, INTERLEAVED)


def root_centred(poses: Any) -> Any:
    """Poses [..., 17, C] relative to their root joint."""
    return poses - poses[..., POSE17.root : POSE17.root + 1, :]


def to_rows(poses: Any, layout: str) -> Any:
    """Rows [..., 17 C] of poses [..., 17, C].

    'planar' rows hold all x, then all y (then all z), as the released left2right and search have them; 'interleaved'
    ones x0 y0 (z0) x1 y1 (z1) ..., as the released 3D regression.
    """
    check_layout(layout)
    if layout == PLANAR:
        poses = _swapped(poses)
    return _reshaped(poses, [poses.shape[-2] * poses.shape[-1]], 2)


def from_rows(rows: Any, coordinates: int, layout: str) -> Any:
    """Poses [..., 17, C] of rows [..., 17 C], C = `coordinates`; raises InputError when the width is another."""
    check_layout(layout)
    joints = POSE17.size
    if rows.shape[-1] != joints * coordinates:
        raise InputError(f"rows of {rows.shape[-1]} numbers, expected {joints} joints x {coordinates} coordinates")
    if layout == PLANAR:
        return _swapped(_reshaped(rows, [coordinates, joints], 1))
    return _reshaped(rows, [joints, coordinates], 1)


def side_by_side(parts: Sequence[Any]) -> Any:
    """Rows [..., D1 + D2 + ...] of rows [..., D1], [..., D2], ..., such as left ++ right; one part as it is."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=-1)
    import tensorflow as tf

    return tf.concat(parts, -1)


def check_layout(layout: str) -> None:
    """Raises `InputError` unless this is one of `LAYOUTS`."""
    if layout not in LAYOUTS:
        raise InputError(f"unknown row layout {layout!r}: expected one of {', '.join(LAYOUTS)}")


def _swapped(x: Any) -> Any:
    """x with its last two axes swapped."""
    if isinstance(x, np.ndarray):
        return np.swapaxes(x, -1, -2)
    import tensorflow as tf

    return tf.linalg.matrix_transpose(x)


def _reshaped(x: Any, tail: list[int], replaced: int) -> Any:
    """x with its last `replaced` axes reshaped to `tail`."""
    if isinstance(x, np.ndarray):
        return x.reshape([*x.shape[: x.ndim - replaced], *tail])
    import tensorflow as tf

    static = x.shape[: x.shape.rank - replaced].as_list()
    unknown = sum(size is None for size in static)
    leading = [-1 if size is None else size for size in static]
    if unknown > 1:
        return tf.reshape(x, tf.concat([tf.shape(x)[: len(static)], tail], 0))
    return tf.reshape(x, [*leading, *tail])
