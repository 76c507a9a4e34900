"""Folders of labels as generate.py writes them, made of known numbers; the browser."""

import importlib.util
import json
import pathlib
import zipfile

import numpy as np
import pytest

from tools.pose.joints import POSE17

_HERE = pathlib.Path(__file__).resolve().parent
_JOINTS = POSE17.size


def _write_npz(path, arrays):
    # np.savez can't name an array 'file'.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _labels(count, seed=0):
    """Arrays of labels: rows 5, 15, ... have none; two people a picture; ten pictures a clip."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 300, (count, _JOINTS, 3)).astype(np.float32)
    pose -= pose[:, POSE17.root, None]
    flat = (pose[..., :2] / 5 + [320, 240]).astype(np.float32)
    flat[::7, 3] = np.nan
    joint_quality = rng.uniform(0.05, 1, (count, _JOINTS)).astype(np.float32)
    reason = np.zeros(count, np.int32)
    reason[5::10] = 1
    pose[reason > 0], joint_quality[reason > 0] = np.nan, np.nan
    quality = joint_quality.mean(1)
    pictures, clips = -(-count // 2), -(-count // 20)
    return {
        "poses_3d": pose,
        "roots": np.tile(np.float32([0, 0, 5000]), (count, 1)),
        "coarse_3d": pose,
        "poses_2d": flat,
        "provenance": np.where(np.isnan(flat).any(-1), 0, 2).astype(np.uint8),
        "quality": quality,
        "expected_error_mm": -100 * np.log(quality),
        "joint_quality": joint_quality,
        "residual_mm": rng.uniform(5, 90, count).astype(np.float32),
        "at_range_end": np.arange(count) % 9 == 0,
        "depth_nominal": np.ones(count, bool),
        "reason": reason,
        "intrinsics": np.zeros((count, 4), np.float32),
        "camera_kind": np.full(count, 4, np.uint8),
        "frame": np.arange(count, dtype=np.int64),
        "person": (np.arange(count) % 2).astype(np.int64),
        "file": (np.arange(count) // 2).astype(np.int32),
        "sequence": (np.arange(count) // 20).astype(np.int32),
        "files": np.array([f"set/img_{i:05d}.jpg" for i in range(pictures)]),
        "sequences": np.array([f"clip {i}" for i in range(clips)]),
        "reasons": np.array(["", "too few labelled joints"]),
        "camera_kinds": np.array(["", "calibrated", "given", "assumed", "nominal"]),
        "weights": np.array(["test"]),
    }


@pytest.fixture(scope="session")
def labels():
    """labels(count, seed=0) -> name -> array of a labels.npz."""
    return _labels


@pytest.fixture(scope="session")
def write_labels():
    """write_labels(folder, arrays, **summary) -> the folder, as generate.py leaves one."""

    def write(folder, arrays, **summary):
        folder.mkdir(parents=True, exist_ok=True)
        _write_npz(folder / "labels.npz", arrays)
        (folder / "summary.json").write_text(json.dumps({"input": "gone.npz", "format": "array", **summary}))
        return folder

    return write


@pytest.fixture(scope="session")
def browsers():
    """The module that drives a browser."""
    spec = importlib.util.spec_from_file_location("review_browser", _HERE / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
