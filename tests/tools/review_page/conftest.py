"""Folders of labels as generate.py writes them, made of known numbers; the browser."""

import importlib.util
import json
import pathlib
import zipfile

import cv2
import numpy as np
import pytest

from tools.pose.joints import POSE17
from tools.review_page import run

_HERE = pathlib.Path(__file__).resolve().parent
_JOINTS = POSE17.size
_STRANGE_NAMES = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "\u202egpj.exe",
    "a\x00\x1b[31m",
    "x" * 30_000,
    "Ђ漢字😀 עברית",
    "\udcff.jpg",
)


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


@pytest.fixture(scope="session")
def strange_names():
    """Names of files that would harm a careless page."""
    return _STRANGE_NAMES


@pytest.fixture(scope="session")
def open_browser(browsers, tmp_path_factory):
    """open_browser(profile=None) -> a browser of a new profile, or of that folder; all are closed at the end."""
    program = browsers.find()
    if program is None:
        pytest.skip("no Chromium here (apt-get install chromium, or POSE3D_CHROMIUM=program)")
    opened = []

    def start(profile=None):
        opened.append(browsers.Browser(program, profile or tmp_path_factory.mktemp("profile")))
        opened[-1].size(1400, 900)
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def browser(open_browser):
    """One browser for all tests that need no fresh one."""
    return open_browser()


@pytest.fixture(scope="session")
def arrays(labels):
    """60 labels; file 0 to 6 have the names of strangers."""
    made = labels(60)
    made["files"] = np.array([*_STRANGE_NAMES, *made["files"][len(_STRANGE_NAMES) :]])
    made["actions"], made["action"] = np.array(["Sitting", "<b>Walking</b>"]), (np.arange(60) % 2).astype(np.int32)
    return made


@pytest.fixture(scope="session")
def folder(tmp_path_factory, arrays, write_labels):
    """The page of those labels, with pictures from row 20 on."""
    folder = tmp_path_factory.mktemp("review")
    (folder / "photographs" / "set").mkdir(parents=True)
    for number in range(10, 30):
        picture = np.full((480, 640, 3), (0, 200, 0), np.uint8)
        cv2.imwrite(str(folder / "photographs" / "set" / f"img_{number:05d}.jpg"), picture)
    labels = write_labels(folder / "labels", arrays)
    run.make_page(str(labels), str(folder / "review.html"), images=str(folder / "photographs"))
    return folder


@pytest.fixture
def page(browser, folder):
    """The page opened for the first time."""
    browser.events.clear()
    browser.open(folder / "review.html")
    browser.run("localStorage.clear()")
    browser.run("void (review.decisions.values.fill(0), review.decisions.save = () => 0)")
    browser.open(folder / "review.html")
    return browser
