"""How good a generated label is: what can be measured without the truth, and one calibrated number made of it.

`signals` are lengths and ratios that grow when a label is bad. `Calibration` turns them into the mean joint error to be
expected, in mm, by a linear model of its logarithm that `evaluate.py --calibrate` fits on poses that were not used for
training. Quality is exp(-expected error / 100 mm): 1 is perfect, 0.61 is 50 mm, 0.5 is 69 mm, 0.37 is 100 mm.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrecords.schema import QUALITY_SCALE_MM
from tools.cli.errors import InputError
from tools.files import atomic, inputs
from tools.pose.joints import POSE17

# No more is expected: of a person's size a pose that has nothing to do with theirs is hardly worse.
MOST_MM = 300.0
# What an uncalibrated label is taken to be wrong by: the coarse pose's error of the published chain, of this order.
_TYPICAL_MM = 80.0

_PAIRED_BONES = [
    [(POSE17.index(side + end), POSE17.index(side + start)) for side in "LR"]
    for start, end in (("Hip", "Knee"), ("Knee", "Foot"), ("Shoulder", "Elbow"), ("Elbow", "Wrist"))
]
# Shortest and longest adult bones in mm, by pairs as above: the range of the motion capture's skeletons, rounded away.
BONE_RANGE_MM = ((320.0, 540.0), (320.0, 540.0), (220.0, 370.0), (190.0, 320.0))

SIGNALS = (
    "residual",  # log of the search's mean distance between rays and coarse pose, over the body's scale
    "worst_residual",  # log of the same for the worst joint
    "disagreement",  # log of the distance between the poses of the picture and of its mirror image
    "stereo",  # log of the difference between the predicted right view and that of the final pose
    "asymmetry",  # mean |log(left / right)| of the limbs' bones
    "bone_range",  # mean |log| by which the limbs' bones are outside the human range
    "range_end",  # 1 when the depth is the first or last of the range
    "missing",  # share of joints without a label
    "unknown",  # 1 when the intrinsics are unknown
    "expected",  # log of the error that the network itself expects, 0 for networks that expect none
)


_EXPECTED = SIGNALS.index("expected")
# What `fit` holds its coefficients to where the network expects something of itself: that was learnt on many people,
# what the few people of a calibration say besides does not carry over to others. Chosen among eleven on held-out people
# of the CMU data base (docs/results.md); so firmly that a calibration sets little but the level. Labels with
# joints missing are better than the network expects.
HELD_TO = {"expected": 1.0, "disagreement": 0.15, "asymmetry": 1.0, "missing": -0.3}
RIDGE, _LITTLE = 1e3, 1e-3


class Measured(NamedTuple):
    """What the quality is made of, for B poses; every field [B] but the last.

    residual_mm, worst_residual_mm, disagreement_mm, stereo_mm: see `SIGNALS`.
    asymmetry, bone_range: logarithms of ratios.
    range_end, missing, unknown: shares.
    expected_mm: what the network expects of itself, NaN when it expects nothing.
    joint_expected_mm: [B, 17] the same by joint; NaN likewise.
    """

    residual_mm: tf.Tensor
    worst_residual_mm: tf.Tensor
    disagreement_mm: tf.Tensor
    stereo_mm: tf.Tensor
    asymmetry: tf.Tensor
    bone_range: tf.Tensor
    range_end: tf.Tensor
    missing: tf.Tensor
    unknown: tf.Tensor
    expected_mm: tf.Tensor
    joint_expected_mm: tf.Tensor


def bone_signals(poses_3d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Asymmetry and excess over the human range of the limbs' bones, both [B], of poses [B, 17, 3] mm."""
    asymmetry, outside = [], []
    for pair, (shortest, longest) in zip(_PAIRED_BONES, BONE_RANGE_MM):
        left, right = (
            tf.math.log(tf.maximum(tf.norm(poses_3d[:, end] - poses_3d[:, start], axis=-1), 1.0)) for end, start in pair
        )
        asymmetry.append(tf.abs(left - right))
        for length in (left, right):
            outside.append(tf.nn.relu(math.log(shortest) - length) + tf.nn.relu(length - math.log(longest)))
    return tf.add_n(asymmetry) / len(asymmetry), tf.add_n(outside) / len(outside)


def signals(measured: Measured) -> tf.Tensor:
    """[B, len(SIGNALS)] numbers that grow as labels get worse; finite for every valid label."""

    def log_mm(value: tf.Tensor) -> tf.Tensor:
        return tf.math.log(tf.maximum(value, 1.0) / 10.0)

    expected = tf.where(tf.math.is_finite(measured.expected_mm), log_mm(measured.expected_mm), 0.0)
    columns = [
        log_mm(measured.residual_mm),
        log_mm(measured.worst_residual_mm),
        log_mm(measured.disagreement_mm),
        log_mm(measured.stereo_mm),
        measured.asymmetry,
        measured.bone_range,
        measured.range_end,
        measured.missing,
        measured.unknown,
        expected,
    ]
    return tf.stack(columns, -1)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """log(expected error in mm) = intercept + coefficients . signals.

    Attributes:
      intercept, coefficients: of the linear model; one coefficient for each of `SIGNALS`.
      facts: on what it was fitted.
    """

    intercept: float
    coefficients: tuple[float, ...]
    facts: dict = dataclasses.field(default_factory=dict)

    def expected_error_mm(self, measured: Measured) -> tf.Tensor:
        """[B] the mean joint error to be expected, mm, at most `MOST_MM`."""
        logarithm = self.intercept + tf.linalg.matvec(signals(measured), tf.constant(self.coefficients, tf.float32))
        return tf.exp(tf.clip_by_value(logarithm, 0.0, math.log(MOST_MM)))


# For weights without a calibration of their own: residual, mirror image and stereo in equal parts. It ranks labels; its
# millimetres are a guess.
UNCALIBRATED = Calibration(math.log(_TYPICAL_MM) - 0.5, (0.15, 0.1, 0.15, 0.15, 0.5, 0.5, 0.3, 0.5, 0.3, 0.0))


def fit(
    columns: np.ndarray,
    errors_mm: np.ndarray,
    facts: dict | None = None,
    ridge: float | None = None,
    widen: float = 1.0,
) -> Calibration:
    """The calibration that fits the logarithm of measured errors best in the least-squares sense.

    The coefficients are held to `HELD_TO` where the network expects something of itself. The level is then set so that
    the expected errors are on average the measured ones, times `widen`.

    Args:
      columns: [N, len(SIGNALS)] as `signals` gives them. errors_mm: [N] mean joint errors.
      ridge: how firmly they are held. None: `RIDGE`, and hardly at all for networks that expect nothing of themselves.
      widen: how much larger errors are to be expected elsewhere than on these poses.

    Raises:
      InputError: fewer poses than it takes.
    """
    usable = np.isfinite(columns).all(1) & np.isfinite(errors_mm) & (errors_mm > 0)
    if usable.sum() < 10 * len(SIGNALS):
        raise InputError(f"calibration needs {10 * len(SIGNALS)} poses with known 3D, got {usable.sum()}")
    x, y = columns[usable].astype(np.float64), np.log(errors_mm[usable].astype(np.float64))
    middle = x.mean(0)
    centred = x - middle
    own = bool(np.ptp(x[:, _EXPECTED]) > 0)
    held_to = np.array([HELD_TO.get(name, 0.0) for name in SIGNALS]) * own
    if ridge is None:
        ridge = RIDGE if own else _LITTLE
    gram = centred.T @ centred / len(x) + ridge * np.eye(x.shape[1])
    slope = np.linalg.solve(gram, centred.T @ (y - y.mean()) / len(x) + ridge * held_to)
    # The exponential of a mean logarithm is below the mean.
    level = np.log(widen * np.exp(y).mean() / np.exp(centred @ slope).mean())
    return Calibration(float(level - slope @ middle), tuple(map(float, slope)), dict(facts or {}))


def quality(expected_error_mm: tf.Tensor) -> tf.Tensor:
    """Expected errors in mm as qualities in (0, 1]."""
    return tf.exp(-expected_error_mm / QUALITY_SCALE_MM)


def save_calibration(path: str | os.PathLike, calibration: Calibration) -> None:
    """Writes a calibration as JSON, whole or not at all."""
    content = {
        "signals": list(SIGNALS),
        "intercept": calibration.intercept,
        "coefficients": list(calibration.coefficients),
        "facts": calibration.facts,
    }
    atomic.write_text(path, json.dumps(content, indent=1) + "\n")


def load_calibration(path: str | os.PathLike) -> Calibration:
    """Reads what `save_calibration` wrote; raises `InputError` when it is damaged or of other signals."""
    content = inputs.read_json(path)
    try:
        if content["signals"] != list(SIGNALS):
            raise InputError(f"{path}: made for the signals {', '.join(content['signals'])}")
        numbers = [content["intercept"], *content["coefficients"]]
        if len(numbers) != 1 + len(SIGNALS) or not np.isfinite(np.array(numbers, np.float64)).all():
            raise InputError(
                f"{path}: expected {1 + len(SIGNALS)} finite numbers, the intercept and one for each signal"
            )
        return Calibration(float(numbers[0]), tuple(map(float, numbers[1:])), content.get("facts", {}))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a calibration of label quality ({error})") from error
