"""Finished labels of two people in a video, made from a motion that is known, as a run has them before it writes."""

import numpy as np

from tfrecords.exports import rows as label_rows
from tools.files.columns import LabelFiles
from tools.pose import bones
from tools.pose.joints import LABELLED, MISSING, POSE17

FPS = 25.0
CAMERA = np.array([1100.0, 1100.0, 500.0, 400.0])
LENGTHS = {"Spine": 230, "Thorax": 250, "Neck/Nose": 110, "Head": 120, "Hip": 130, "Knee": 440, "Foot": 420}
LENGTHS |= {"Shoulder": 170, "Elbow": 280, "Wrist": 250}


def motion(frames, seed=0):
    """A person of constant bones who waves and turns round: poses [T, 17, 3] and roots [T, 3] mm, camera axes."""
    rng = np.random.default_rng(seed)
    rest = {"Spine": (0, -1, 0), "Thorax": (0, -1, 0), "Neck/Nose": (0, -1, -0.2), "Head": (0, -1, 0)}
    time = np.arange(frames) / FPS
    poses = np.zeros((frames, POSE17.size, 3))
    hips = np.array([1.0, 0.0, 0.1 * seed]) / np.hypot(1.0, 0.1 * seed)
    for joint in bones.ORDER[1:]:
        name = POSE17.joints[joint]
        part, side = (name[1:], {"R": -1, "L": 1}[name[0]]) if name not in rest else (name, 0)
        start = np.array(rest.get(name, (side, 0, 0) if part == "Shoulder" else (0.1 * side, 1, 0)), float)
        swing, phase = rng.uniform(0.1, 0.5, 3), rng.uniform(0, 6, 3)
        bone = start + swing * np.sin(2 * np.pi * 0.7 * time[:, None] + phase)
        if part == "Hip":
            bone = np.broadcast_to(side * hips, (frames, 3))
        bone = bone / np.linalg.norm(bone, axis=-1, keepdims=True) * LENGTHS[part]
        poses[:, joint] = poses[:, POSE17.parents[joint]] + bone
    angle = 1.2 * time  # once round in five seconds
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(poses, -1, 0)
    poses = np.stack([x * cos + z * sin, y, z * cos - x * sin], -1)
    roots = np.stack([600 * np.sin(0.6 * time) + 900 * seed, 30 * np.sin(5 * time), 4500 + 500 * np.sin(0.4 * time)], 1)
    return poses, roots


def label_files(folder, frames=60, people=2, wrong_mm=0.0, sequence="walk/one", known=True, seed=0):
    """`LabelFiles` with a row for each person of each frame, people of a frame in any order.

    Row 7 has no label, the left wrist is missing in frames 20 to 22. wrong_mm: errors along the rays.
    """
    rng = np.random.default_rng(seed)
    files = LabelFiles(folder, label_rows.COLUMNS, ("file", "sequence", "action"), {}, ["", "nobody"])
    both = [motion(frames, person) for person in range(people)]
    wrist = POSE17.index("LWrist")
    rows = []
    for frame in range(frames):
        for place, person in enumerate(rng.permutation(people)):
            rows.append((frame, place, person))
    frame, place, person = np.array(rows).T
    poses = np.array([both[p][0][f] for f, _, p in rows])
    roots = np.array([both[p][1][f] for f, _, p in rows])
    absolute = poses + roots[:, None]
    points = absolute[..., :2] / absolute[..., 2:] * CAMERA[:2] + CAMERA[2:]
    rays = bones.ray_directions((points - CAMERA[2:]) / CAMERA[:2])
    off = rng.normal(0, wrong_mm, poses.shape[:2]) * (np.arange(17) != POSE17.root)
    poses = poses + rays * off[..., None]
    hidden = (frame >= 20) & (frame < 23)
    points[hidden, wrist] = np.nan
    provenance = np.full((len(rows), 17), LABELLED, np.uint8)
    provenance[hidden, wrist] = MISSING
    reason = np.zeros(len(rows), int)
    reason[7] = 1
    poses[7] = roots[7] = np.nan
    quality = np.exp(-np.full(len(rows), 0.3) - 0.01 * frame)
    joint_quality = np.repeat(quality[:, None], 17, 1)
    joint_quality[7] = quality[7] = np.nan
    files.append(
        {
            "poses_3d": poses, "roots": roots, "coarse_3d": poses, "poses_2d": points, "provenance": provenance,
            "quality": quality, "expected_error_mm": -100 * np.log(quality), "joint_quality": joint_quality,
            "residual_mm": quality, "at_range_end": np.zeros(len(rows), bool),
            "depth_nominal": np.full(len(rows), not known), "reason": reason,
            "intrinsics": np.tile(CAMERA if known else CAMERA * np.nan, (len(rows), 1)),
            "camera_kind": np.full(len(rows), 1 if known else 4), "frame": frame, "person": place,
            "file": [f"walk/{f:04d}.jpg" for f in frame], "sequence": [sequence] * len(rows),
            "action": [""] * len(rows),
            "track": np.full(len(rows), -1), "interpolated": np.zeros((len(rows), 17), bool),
            "nominal_camera": np.full((len(rows), 4), np.nan), "image_size": np.tile([1000, 800], (len(rows), 1)),
            "own_numbers": np.stack([7000 + frame, 50_000 + np.arange(len(rows))], 1), "_points": points,
        }
    )  # fmt: skip
    files.checkpoint()
    return files, both, person
