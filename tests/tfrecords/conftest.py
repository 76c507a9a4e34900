"""What the tests of the data layer share: pictures, bodies and cameras made by code, and the records of a source."""

import json
import pathlib
import sys

import cv2
import numpy as np
import pytest

from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.pose.joints import POSE17

# Worker processes import sources_for_tests.py by its name; they get this process's search path.
sys.path.append(str(pathlib.Path(__file__).parent))


def _encode(width, height, suffix=".jpg", seed=0):
    """An image file of smooth random content, as OpenCV writes it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    done, data = cv2.imencode(suffix, cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    assert done
    return data.tobytes()


@pytest.fixture(scope="session")
def encode():
    """encode(width, height, suffix='.jpg', seed=0): the bytes of an image file."""
    return _encode


@pytest.fixture
def read_all():
    """read_all(source name, path, **options): every item of the source."""

    def read(name, path, **options):
        source = open_source(name, path, Options(**options))
        items = list(source.records(np.arange(len(source))))
        assert len(items) == len(source)
        return items

    return read


# A standing person, mm, z up, facing -y.
STANDING = {
    "Head": (0, -60, 1700),
    "Neck/Nose": (0, -90, 1590),
    "Thorax": (0, 0, 1460),
    "RShoulder": (-150, 0, 1430),
    "RElbow": (-190, 30, 1150),
    "RWrist": (-200, -40, 910),
    "LShoulder": (150, 0, 1430),
    "LElbow": (190, 30, 1150),
    "LWrist": (200, -40, 910),
    "Spine": (0, 10, 1200),
    "Hip": (0, 0, 950),
    "RHip": (-130, 0, 950),
    "RKnee": (-140, -10, 510),
    "RFoot": (-140, 20, 90),
    "LHip": (130, 0, 950),
    "LKnee": (140, -10, 510),
    "LFoot": (140, 20, 90),
}


@pytest.fixture(scope="session")
def bodies():
    """bodies(frames, seed): float32 [frames, 17, 3] mm in the world, people near the middle of a room."""

    def make(frames, seed=0):
        rng = np.random.default_rng(seed)
        standing = np.array([STANDING[joint] for joint in POSE17.joints], np.float64)
        poses = standing + rng.normal(0, 20, (frames, 17, 3))
        angles = rng.uniform(0, 2 * np.pi, frames)
        turn = np.zeros((frames, 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angles)
        turn[:, 1, 0] = np.sin(angles)
        turn[:, 0, 1] = -turn[:, 1, 0]
        turn[:, 2, 2] = 1.0
        poses = np.einsum("fij,fkj->fki", turn, poses)
        poses[..., :2] += rng.uniform(-800, 800, (frames, 1, 2))
        return poses.astype(np.float32)

    return make


@pytest.fixture(scope="session")
def camera_values():
    """(subject number, camera name) -> (R, t, intrinsics, distortion): four cameras around a room for each subject."""
    values = {}
    for subject in range(1, 12):
        for number, name in enumerate(("54138969", "55011271", "58860488", "60457274")):
            rng = np.random.default_rng([subject, number])
            angle = np.pi / 4 + np.pi / 2 * number + rng.uniform(-0.1, 0.1)
            eye = np.array([5000 * np.cos(angle), 5000 * np.sin(angle), 1600 + rng.uniform(-50, 50)])
            forward = np.array([0, 0, 1000.0]) - eye
            forward /= np.linalg.norm(forward)
            right = np.cross(forward, [0, 0, 1])
            right /= np.linalg.norm(right)
            rotation = np.stack([right, np.cross(forward, right), forward])
            values[subject, name] = (
                rotation,
                -rotation @ eye,
                np.array([1145.0 + number, 1144.0 + number, 512.0 + 2 * number, 515.0 - number]),
                np.array([-0.2, 0.24, -0.001 - 0.0005 * number, -0.001, 0.002]),
            )
    return values


@pytest.fixture(scope="session")
def camera_json(camera_values, tmp_path_factory):
    """The same cameras as a file in the form of the public JSON."""
    content = {"intrinsics": {}, "extrinsics": {}}
    for (subject, name), (rotation, translation, (fx, fy, cx, cy), distortion) in camera_values.items():
        matrix = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
        content["intrinsics"][name] = {"calibration_matrix": matrix, "distortion": distortion.tolist()}
        place = {"R": rotation.tolist(), "t": translation[:, None].tolist()}
        content["extrinsics"].setdefault(f"S{subject}", {})[name] = place
    path = tmp_path_factory.mktemp("cameras") / "camera-parameters.json"
    path.write_text(json.dumps(content))
    return path
