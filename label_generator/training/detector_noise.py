"""What detectors and annotators do to 2D key points: errors that differ by joint, run along limbs and have heavy tails.

Not in the paper. `DetectorNoise` gives the sizes. Gaussian noise of one size, which protocols b2 to b10 add, is what
`virtual_camera` draws beside this one.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from label_generator.training.draws import Draws, rows_of
from tools.pose.joints import POSE17

# A joint's own standard deviation in each direction, mm at the person's distance, of a person of average difficulty.
# The ratios follow COCO's published constants for key points (annotators' deviations: hips 0.107, ankles 0.089, knees
# 0.087, shoulders 0.079, elbows 0.072, wrists 0.062 of the root of the person's area), but hips less, most of whose
# deviation is where a hip is taken to lie (`drawn_skeletons`), and wrists more, which networks find worst.
JOINT_MM = {
    "Head": 18.0,
    "Neck/Nose": 13.0,
    "Thorax": 14.0,
    "Shoulder": 16.0,
    "Elbow": 18.0,
    "Wrist": 21.0,
    "Spine": 14.0,
    "Hip": 14.0,
    "RHip": 16.0,
    "LHip": 16.0,
    "Knee": 18.0,
    "Foot": 20.0,
}
_SWAPPED = {"legs": ("Hip", "Knee", "Foot"), "arms": ("Shoulder", "Elbow", "Wrist")}


@dataclasses.dataclass(frozen=True)
class DetectorNoise:
    """How bad detections are.

    Attributes:
      people_spread: standard deviation of the logarithm of how difficult a person is.
      along_limb: how much of its parent's error a joint takes over.
      freedom: degrees of freedom of Student's t, whose tails the errors have.
      swapped: probability that a person's legs change sides, and that the arms do. outlier: that a joint is elsewhere.
      outlier_mm: standard deviation of how far.
    """

    people_spread: float = 0.6
    along_limb: float = 0.4
    freedom: int = 4
    swapped: float = 0.012
    outlier: float = 0.008
    outlier_mm: float = 250.0


def _joint_mm() -> list[float]:
    return [JOINT_MM[name] if name in JOINT_MM else JOINT_MM[name[1:]] for name in POSE17.joints]


def detected(rays: tf.Tensor, mm: tf.Tensor, draws: Draws, settings: DetectorNoise) -> tuple[tf.Tensor, tf.Tensor]:
    """2D joints as a detector would give them.

    Args:
      rays: [B, 17, 2] exact. mm: [B] a millimetre at the person's distance, in the units of the rays.
      draws: a `virtual_camera.Draws`.

    Returns:
      rays [B, 17, 2]; the standard deviation of the errors [B] in the units of the rays, swaps and outliers apart.
    """
    count = rows_of(rays)
    for names in _SWAPPED.values():
        order = list(range(POSE17.size))
        for name in names:
            left, right = POSE17.index("L" + name), POSE17.index("R" + name)
            order[left], order[right] = right, left
        rays = tf.where(draws.happens([count, 1, 1], settings.swapped), tf.gather(rays, order, axis=1), rays)
    difficulty = tf.exp(settings.people_spread * draws.normal([count, 1, 1], cut=2.5))
    independent = draws.normal([count, POSE17.size, 2])
    squares = tf.square(draws.normal([count, settings.freedom, POSE17.size, 1]))
    independent *= tf.math.rsqrt(tf.maximum(tf.reduce_mean(squares, 1), 0.04))
    independent *= tf.constant(_joint_mm())[None, :, None]
    errors: dict[int, tf.Tensor] = {}
    pending = list(range(POSE17.size))
    while pending:
        joint = pending.pop(0)
        parent = POSE17.parents[joint]
        if parent >= 0 and parent not in errors:
            pending.append(joint)
            continue
        errors[joint] = independent[:, joint] + (settings.along_limb * errors[parent] if parent >= 0 else 0.0)
    error = tf.stack([errors[joint] for joint in range(POSE17.size)], 1) * difficulty
    far = tf.cast(draws.happens([count, POSE17.size, 1], settings.outlier), tf.float32)
    error += far * settings.outlier_mm * draws.normal([count, POSE17.size, 2])
    typical = difficulty[:, 0, 0] * (sum(_joint_mm()) / POSE17.size)
    return rays + error * mm[:, None, None], typical * mm
