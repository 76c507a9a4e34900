"""The commands of the pages for users of other projects, of the questions and of the gallery, as they stand there."""

import importlib
import json
import re
import shlex

import cv2
import numpy as np
import pytest

from tools.cli import command
from tools.pose import joints

FRAMES = 12
COCO = joints.JOINT_SETS["coco17"].joints
# A standing person, px, by COCO's names.
PLACES = {
    "Nose": (320, 118), "LEye": (326, 112), "REye": (314, 112), "LEar": (334, 116), "REar": (306, 116),
    "LShoulder": (352, 162), "RShoulder": (288, 162), "LElbow": (362, 215), "RElbow": (278, 215),
    "LWrist": (366, 262), "RWrist": (274, 262), "LHip": (338, 270), "RHip": (302, 270), "LKnee": (340, 350),
    "RKnee": (300, 350), "LAnkle": (342, 425), "RAnkle": (298, 425),
}  # fmt: skip
STANDING = np.array([PLACES[name] for name in COCO], float)


@pytest.fixture
def run(repository, tmp_path, monkeypatch):
    """run(page, contains): a command line of a page, in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def one(page, contains, change=("", "")):
        text = (repository / "docs" / page).read_text(encoding="utf-8")
        lines = [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]
        (line,) = [line for line in lines if contains in line]
        words = shlex.split(line.replace(*change))
        assert words[0] == "python"
        module = importlib.import_module(words[1].removesuffix(".py").replace("/", "."))
        with pytest.raises(SystemExit) as left:
            command.run(module.main, module.declare, [words[1], *words[2:]])
        assert left.value.code == 0, line
        return tmp_path

    return one


def test_mmpose(run, tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    for number in range(3):
        instance = {
            "keypoints": (STANDING + 5 * number).tolist(),
            "keypoint_scores": [0.9] * 17,
            "bbox": [[0, 0, 9, 9]],
        }
        (folder / f"{number}.json").write_text(json.dumps([instance]))
    run("coming_from.md", "--input=predictions/")
    content = json.loads((tmp_path / "from_mmpose" / "labels_coco.json").read_text())
    assert len(content["annotations"]) == 3
    assert len(content["annotations"][0]["keypoints_3d"]) == 17 * 4


@pytest.mark.slow
def test_videopose3d(run, tmp_path):
    clip = np.stack([STANDING + [2.0 * frame, 0] for frame in range(FRAMES)]).astype(np.float32)
    positions = np.array({"S1": {"Walking": [clip]}}, object)
    metadata = np.array({"num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]]}, object)
    np.savez(tmp_path / "data_2d_custom.npz", positions_2d=positions, metadata=metadata)
    run("coming_from.md", "--input=data_2d_custom.npz")
    (motion,) = (tmp_path / "from_videopose3d").rglob("*.bvh")
    assert f"Frames: {FRAMES}" in motion.read_text()
    (film,) = (tmp_path / "from_videopose3d").rglob("*.mp4")
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FPS) == pytest.approx(25)


def test_mediapipe(run, tmp_path):
    names = joints.JOINT_SETS["mediapipe33"].joints
    points = [PLACES.get(name, PLACES["Nose"]) for name in names]
    with open(tmp_path / "landmarks.jsonl", "w") as file:
        for frame in range(3):
            landmarks = [{"x": x / 1280, "y": y / 720, "visibility": 0.9} for x, y in points]
            file.write(json.dumps({"frame": frame, "pose_landmarks": landmarks}) + "\n")
    run("coming_from.md", "--input=landmarks.jsonl")
    labels = json.loads((tmp_path / "from_mediapipe" / "labels.json").read_text())["labels"]
    assert len(labels) == 3
    np.testing.assert_allclose(labels[0]["pose_2d"][joints.POSE17.index("LWrist")], PLACES["LWrist"], atol=0.01)


@pytest.mark.slow
def test_questions(run, tmp_path, capsys):
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": np.c_[STANDING + i, np.full(17, 2)].ravel().tolist()}
        for i in range(3)
    ]
    names = [re.sub("^([LR])(?=[A-Z])", lambda m: {"L": "left_", "R": "right_"}[m[1]], name).lower() for name in COCO]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(3)]
    categories = [{"id": 1, "name": "person", "keypoints": names}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "keypoints.json").write_text(json.dumps(content))
    run("faq.md", "--source=list")
    assert "aichallenger" in capsys.readouterr().out
    run("faq.md", "--camera=fov:60")
    assert (np.load(tmp_path / "labels_fov" / "labels.npz")["roots"][:, 2] > 500).all()
    # This standing person is a drawing: the limit of the page would drop them.
    run("faq.md", "--min_quality=0.3", ("--min_quality=0.3", "--min_quality=0.01"))
    run("faq.md", "tools/review.py labels_good")
    assert "<script" in (tmp_path / "review_good.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_gallery(run, tmp_path):
    run("gallery.md", "--output=gallery.png", ("tools/gallery.py", "tools/gallery.py --count=1 --columns=1"))
    picture = cv2.imread(str(tmp_path / "gallery.png"))
    assert picture.shape[1] == 3 * (300 + 8) + 8
