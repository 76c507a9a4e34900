"""The guides, followed word by word: a page's commands, in a folder that holds what the page starts from."""

import json
import os
import re
import shlex
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tools.pose import joints

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{part}" for part in PARTS for side in ("left", "right"))]
# A standing person, px, in the joints of body25; COCO's 17 are among them.
STANDING = {
    "Nose": (320, 118),
    "Neck": (320, 160),
    "MidHip": (320, 270),
    "LEye": (326, 112),
    "REye": (314, 112),
    "LEar": (334, 116),
    "REar": (306, 116),
    "LShoulder": (352, 162),
    "RShoulder": (288, 162),
    "LElbow": (362, 215),
    "RElbow": (278, 215),
    "LWrist": (366, 262),
    "RWrist": (274, 262),
    "LHip": (338, 270),
    "RHip": (302, 270),
    "LKnee": (340, 350),
    "RKnee": (300, 350),
    "LAnkle": (342, 425),
    "RAnkle": (298, 425),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: keypoints.json with pictures/ beside it, and openpose_json/ of a walk."""
    place = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(0)
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(4)],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES}],
        "annotations": [],
    }
    (place / "pictures").mkdir()
    coco = np.array([STANDING[name] for name in joints.JOINT_SETS["coco17"].joints], float)
    for number in range(4):
        picture = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
        cv2.imwrite(str(place / "pictures" / f"{number}.jpg"), picture)
        points = np.concatenate([coco + rng.normal(0, 3, (17, 2)), np.full((17, 1), 2)], 1).round(1)
        content["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "keypoints": points.reshape(-1).tolist()}
        )
    (place / "keypoints.json").write_text(json.dumps(content))
    (place / "openpose_json").mkdir()
    names = joints.JOINT_SETS["body25"].joints
    for frame in range(24):
        points = np.array([(*STANDING.get(name, (0, 0)), 0.9 if name in STANDING else 0.0) for name in names])
        points[:, 0] += 2.0 * frame * (points[:, 2] > 0)
        people = [{"pose_keypoints_2d": points.reshape(-1).round(2).tolist()}]
        (place / "openpose_json" / f"walk_{frame:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    return place


@pytest.fixture(scope="module")
def follow(repository, folder):
    """follow(page, contains): runs the command line of a page that contains a text, as it stands there."""
    lines = {}
    for page in (repository / "docs").glob("*.md"):
        for block in re.findall(r"```(?:bash)?\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            lines.setdefault(page.name, []).extend(block.replace("\\\n", " ").splitlines())

    def run(page, contains, change=("", "")):
        (line,) = [line for line in lines[page] if contains in line]
        words = shlex.split(line.replace(*change), comments=True)
        assert words[0] == "python"
        command = [sys.executable, str(repository / words[1]), *words[2:]]
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert result.returncode == 0, f"{line}\n{result.stderr[-2000:]}"
        return result.stdout

    return run


def test_label_look_and_label_again(follow, folder):
    follow("label_your_data.md", "generate.py --input=keypoints.json")
    labels = np.load(folder / "labels" / "labels.npz")
    assert labels["poses_3d"].shape == (4, 17, 3)
    assert np.isfinite(labels["quality"]).all()
    follow("review.md", "tools/review.py labels")
    page = (folder / "review.html").read_text(encoding="utf-8")
    assert "<script" in page
    # As the page exports it when one pose was dropped and the others were left alone.
    dropped = {"file": "2.jpg", "sequence": "", "frame": -1, "person": 0, "decision": "drop"}
    content = {
        "format": "pose label decisions",
        "version": 1,
        "undecided": "keep",
        "unsure": "keep",
        "decisions": [dropped],
    }
    (folder / "decisions.json").write_text(json.dumps(content))
    follow("review.md", "input=keypoints.json --keep=decisions.json --output=kept")
    labelled = np.isfinite(np.load(folder / "kept" / "labels.npz")["poses_3d"]).all((1, 2))
    assert labelled.tolist() == [True, True, False, True]


def test_a_clip_becomes_an_animation(follow, folder):
    try:
        import ezc3d  # noqa: F401
    except ImportError:
        change = ("bvh,c3d,mp4", "bvh,mp4")
    else:
        change = ("", "")
    follow("video_to_animation.md", "--input=openpose_json/", change)
    (file,) = (folder / "walk").rglob("*.bvh")
    text = file.read_text()
    assert "Frames: 24" in text
    assert re.search(r"Frame Time: 0\.0333", text)
    (motion,) = json.loads((folder / "walk" / "summary.json").read_text())["motions"]
    assert (motion["name"], motion["frames"], motion["fps"]) == (file.stem, 24, 30)
    (film,) = (folder / "walk").rglob("*.mp4")
    capture = cv2.VideoCapture(str(film))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 24
