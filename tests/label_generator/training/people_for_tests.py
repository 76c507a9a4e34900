"""People whose skeletons are known to the millimetre."""

import numpy as np
from scipy.spatial.transform import Rotation

from tools.pose.joints import POSE17

ROOT = POSE17.root


def person(hip_mm=95.0, thorax_mm=447.0, shoulder=(180.0, 60.0, -10.0), spine=(0.0, 217.0, -24.0), thigh=440.0):
    """Someone upright, z up, facing -y (so their right is -x): a CMU skeleton unless told otherwise. [17, 3]"""
    places = {
        "Hip": (0, 0, 0),
        "Spine": spine,
        "Thorax": (0, thorax_mm, 0),
        "Neck/Nose": (0, thorax_mm + 145, -8),
        "Head": (0, thorax_mm + 290, 22),
    }
    for side, sign in (("R", 1), ("L", -1)):
        x, up, forward = shoulder
        places[side + "Hip"] = (sign * hip_mm, 0, 0)
        places[side + "Knee"] = (sign * hip_mm, -thigh, 0)
        places[side + "Foot"] = (sign * hip_mm, -thigh - 420, 0)
        places[side + "Shoulder"] = (sign * x, thorax_mm + up, forward)
        places[side + "Elbow"] = (sign * x, thorax_mm + up - 290, forward)
        places[side + "Wrist"] = (sign * x, thorax_mm + up - 590, forward)
    right_up_forward = np.array([places[name] for name in POSE17.joints], np.float64)
    return right_up_forward @ np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def in_body(pose):
    """Joints of an upright person who faces -y as (right, up, forward)."""
    return np.stack([-pose[..., 0], pose[..., 2], -pose[..., 1]], -1)


def moving(pose, count=200, seed=0, spread_mm=12.0):
    """The person with limbs, spine and head turned a little each time, then turned about the vertical."""
    rng = np.random.default_rng(seed)
    poses = np.repeat(pose[None], count, 0) + rng.normal(0, spread_mm, (count, 17, 3))
    turn = Rotation.from_euler("z", rng.uniform(0, 360, (count, 1)), degrees=True).as_matrix()
    poses = np.einsum("nij,nkj->nki", turn, poses)
    return poses - poses[:, ROOT, None]
