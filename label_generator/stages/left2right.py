"""Stage left2right: stereoscopic view synthesis, the first subnetwork of the paper: left view -> right view.

inputs        pose_2d, the left view: 17 joints in px, root-centred; 34 numbers
output        right_2d, the right view: 17 joints in px, root-centred; 34 numbers
              (its ground truth is made by `gen_right.py`, see `right_view`)
row order     planar: x0 ... x16, y0 ... y16, as in the released Left2Right/predict_right_pose_1.py
normalised    with mean and standard deviation of the training poses' columns; the released inference scripts
              normalise each file with its own pixels instead (`predict.py --statistics=input`)
loss          mean squared error of normalised rows
reported      PCKh@0.5: share of joints nearer than half the head segment (joints 0 and 1 of the true pose); and the
              mean distance in px
commands      train.py --flagfile=label_generator/flags/left2right.cfg, predict.py
"""

from __future__ import annotations

import numpy as np

from label_generator.stages import names
from label_generator.stages.stage import Stage
from tfrecords.formats.arrays import PLANAR
from tools.pose import metrics


def head_sizes(right_views: np.ndarray) -> np.ndarray:
    """[N] lengths of the head segment of poses [N, 17, 2], the unit of PCKh."""
    first, last = metrics.HEAD_SEGMENT
    return np.linalg.norm(right_views[:, first] - right_views[:, last], axis=-1)


def errors(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray, exact_truth: np.ndarray
) -> dict[str, np.ndarray]:
    """PCKh@0.5 in % and the mean distance in px, both [N]; see `stage.Stage.errors`.

    The release's PCKh measures in heads of the truth, whether or not their joints are counted.
    """
    distance = metrics.mpjpe(predicted, truth, joint_mask)
    return {
        "pckh": metrics.pckh(predicted, truth, joint_mask, head_sizes=head_sizes(exact_truth)),
        "right_px": distance,
    }


STAGE = Stage(
    name=names.LEFT2RIGHT,
    inputs=("pose_2d",),
    output="right_2d",
    layout=PLANAR,
    unit="px",
    errors=errors,
)
