"""Stage direct: 3D from the left view alone (Martinez et al. 2017), the rival of the two stages; not in the paper.

inputs        pose_2d, the left view: 17 joints in px, root-centred; 34 numbers
output        pose_3d, the coarse pose: 17 joints in mm, root-relative, camera axes; 51 numbers
row order     interleaved, as in 3d-pose-baseline
normalised, loss, reported      as `pose3d`
commands      train.py --flagfile=label_generator/flags/direct.cfg
"""

from __future__ import annotations

from label_generator.stages import names, pose3d
from label_generator.stages.stage import Stage
from tfrecords.formats.arrays import INTERLEAVED

STAGE = Stage(
    name=names.DIRECT,
    inputs=("pose_2d",),
    output="pose_3d",
    layout=INTERLEAVED,
    unit="mm",
    errors=pose3d.errors,
)
