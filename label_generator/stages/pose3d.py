"""Stage pose3d: 3D pose reconstruction, the second subnetwork of the paper: left ++ right view -> coarse 3D pose.

inputs        pose_2d ++ right_2d, the left and the right view: 2 x 17 joints in px, each view root-centred; 68 numbers.
              In training the true right view, in use the one that `left2right` predicts
output        pose_3d, the coarse pose: 17 joints in mm, root-relative, camera axes; 51 numbers.
              The geometric search (`lifting.geometric_search`) refines it
row order     interleaved: x0 y0 x1 y1 ... of the left view, then of the right; x0 y0 z0 x1 y1 z1 ... of the output, as
              in the released 3DReg/predict_3d_pose.py and predict_3d_pose2.py
normalised    with mean and standard deviation of the training poses' columns. predict_3d_pose.py normalises test poses
              with the test set's own (`train.py --statistics=test`), so that its "mm" are none
loss          mean squared error of normalised rows
reported      MPJPE in mm, the mean over the 17 joints
commands      train.py --flagfile=label_generator/flags/pose3d.cfg
"""

from __future__ import annotations

import numpy as np

from label_generator.stages import names
from label_generator.stages.stage import Stage
from tfrecords.formats.arrays import INTERLEAVED
from tools.pose import metrics


def errors(
    predicted: np.ndarray, truth: np.ndarray, joint_mask: np.ndarray, exact_truth: np.ndarray
) -> dict[str, np.ndarray]:
    """MPJPE [N] in mm; see `stage.Stage.errors`."""
    return {"mpjpe_mm": metrics.mpjpe(predicted, truth, joint_mask)}


STAGE = Stage(
    name=names.POSE3D,
    inputs=("pose_2d", "right_2d"),
    output="pose_3d",
    layout=INTERLEAVED,
    unit="mm",
    errors=errors,
)
