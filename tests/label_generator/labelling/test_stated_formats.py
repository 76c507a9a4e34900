"""generate.py --format=NAME of every format: the file is read as stated, and not asked what it looks like."""

import json
import zipfile

import numpy as np
import pytest
import scipy.io

from label_generator import generate
from label_generator.labelling import formats, inputs, options
from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.pose import joints

SIZE = (1000, 1000)
COUNT = 3
PERSON = ["Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]
LIMBS = [side + name for side in "RL" for name in PERSON]
PLACES = dict(zip(LIMBS, np.random.default_rng(0).uniform(100, 900, (len(LIMBS), 2)).round(1)))


def pose_of(joint_set):
    """[J, 2] px: limbs where they are in every set, other joints somewhere."""
    rng = np.random.default_rng(1)
    names = joints.joint_set(joint_set).joints
    known = {**PLACES, "RFoot": PLACES["RAnkle"], "LFoot": PLACES["LAnkle"]}
    return np.array([known.get(name, rng.uniform(100, 900, 2).round(1)) for name in names])


def scored(joint_set, score=1):
    pose = pose_of(joint_set)
    return np.c_[pose, np.full(len(pose), score)]


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def array(folder):
    np.save(folder / "wild.npy", np.array([pose_of("coco17")] * COUNT))  # looks like the authors' by its name
    return folder / "wild.npy"


def videopose3d(folder):
    clip = np.array([pose_of("h36m17")] * COUNT, np.float32)
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4], [1]]}
    np.savez(folder / "a.npz", positions_2d={"S1": {"Eating": [clip]}}, metadata=metadata)
    return folder / "a.npz"


def coco(folder):
    points = scored("coco17", 2).ravel().tolist()
    people = [{"id": i, "image_id": i, "category_id": 1, "keypoints": points} for i in range(COUNT)]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": SIZE[0], "height": SIZE[1]} for i in range(COUNT)]
    return save(folder / "a.json", {"annotations": people, "images": images, "categories": []})


def coco_results(folder):
    points = scored("coco17").ravel().tolist()
    return save(folder / "a.json", [{"image_id": i, "keypoints": points, "score": 0.9} for i in range(COUNT)])


def mmpose(folder):
    person = {"keypoints": pose_of("coco17").tolist(), "keypoint_scores": [0.9] * 17, "bbox": [[0, 0, 9, 9]]}
    for i in range(COUNT):
        save(folder / "predictions" / f"{i}.json", [person])
    return folder / "predictions"


def mediapipe(folder):
    landmarks = [{"x": x, "y": y, "visibility": 0.9} for x, y in pose_of("mediapipe33") / SIZE]
    lines = [json.dumps({"frame": i, "pose_landmarks": landmarks}) for i in range(COUNT)]
    return save(folder / "a.jsonl", "\n".join(lines))


def yolo(folder):
    numbers = [0, 0.5, 0.5, 0.4, 0.9, *np.c_[pose_of("coco17") / SIZE, np.full(17, 2)].ravel()]
    for i in range(COUNT):
        save(folder / "a" / f"{i}.txt", " ".join(f"{number:.6f}" for number in numbers))
    return folder / "a"


def deeplabcut(folder):
    names = joints.joint_set("lsp14").joints
    lines = ["scorer" + ",network" * 28, "bodyparts," + ",".join(f"{n},{n}" for n in names), "coords" + ",x,y" * 14]
    lines += [f"{i}," + ",".join(map(str, pose_of("lsp14").ravel())) for i in range(COUNT)]
    return save(folder / "a.csv", "\n".join(lines))


def predictions(folder):
    person = {
        "box": [0, 0, 9, 9],
        "box_source": "given",
        "points": (pose_of("mpii16") + 0.5).tolist(),  # counted from the pixels' edges
        "confidence": [0.9] * 16,
        "pose_3d_mm": np.zeros((16, 3)).tolist(),
        "mm_per_pixel": 1.0,
    }
    return save(folder / "a.json", {"images": [{"file": f"{i}.jpg", "people": [person]} for i in range(COUNT)]})


def openpose(folder):
    people = [{"pose_keypoints_2d": scored("body25", 0.9).ravel().tolist()}]
    for i in range(COUNT):
        save(folder / "frames" / f"a_{i:012d}_keypoints.json", {"people": people})
    return folder / "frames"


def mpii(folder):
    one = {"joint_self": scored("mpii16").tolist(), "objpos": [1, 1], "scale_provided": 2, "isValidation": 0.0}
    return save(folder / "a.json", [{**one, "img_paths": f"{i}.jpg"} for i in range(COUNT)])


def lsp(folder):
    found = np.repeat(scored("lsp14")[..., None], COUNT, 2)
    scipy.io.savemat(folder / "a.mat", {"joints": found})  # guessed to be MPII's
    return folder / "a.mat"


def aichallenger(folder):
    people = {"human1": scored("aichallenger14").ravel().tolist()}
    one = {"keypoint_annotations": people, "human_annotations": {}}
    return save(folder / "a.json", [{**one, "image_id": f"im{i}"} for i in range(COUNT)])


def mpii_lsp(folder):
    table = np.empty((COUNT, 3), object)
    for i in range(COUNT):
        table[i] = f"im{i}.jpg", pose_of("mpii16"), np.random.default_rng(i).normal(0, 400, (16, 3)) + [0, 0, 4000]
    np.save(folder / "a.npy", table, allow_pickle=True)  # guessed to be an array
    return folder / "a.npy"


def npy_tree(folder):
    rows = np.array([pose_of("pose17").T.ravel()] * COUNT)
    (folder / "tree" / "9" / "Walking").mkdir(parents=True)
    np.save(folder / "tree" / "9" / "Walking" / "a.npy", rows)
    return folder / "tree"


def tfrecords(folder):
    path = npy_tree(folder)
    writer.convert(lambda: open_source("npy_tree", path, Options()), folder / "set", num_workers=1, quiet=True)
    return folder / "set"


def photographs(folder):
    """The people.npz that a run of photographs leaves."""
    people = scored("mediapipe33", 0.9)[None].repeat(COUNT, 0)
    numbers = np.arange(COUNT)
    arrays = {
        "joints": people, "boxes": np.zeros((COUNT, 4)), "picture": numbers, "frame": np.full(COUNT, -1),
        "person": np.zeros(COUNT, int), "image_size": np.tile(SIZE, (COUNT, 1)), "reason": np.zeros(COUNT, int),
        "file": numbers, "files": np.array([f"{i}.jpg" for i in range(COUNT)]), "joint_set": np.array(["mediapipe33"]),
        "reasons": np.array([""]), "input": np.array(["photos"]), "every_seconds": np.zeros(1),
        "film_mm": np.zeros(COUNT), "seconds": np.zeros(COUNT),
    }  # fmt: skip
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, values)
    return folder / "a.npz"


WRITERS = {
    function.__name__: function
    for function in (
        *(array, videopose3d, coco, coco_results, mmpose, mediapipe, yolo, deeplabcut, predictions, openpose, mpii),
        *(lsp, aichallenger, mpii_lsp, npy_tree, tfrecords, photographs),
    )
}
MORE_FLAGS = {
    "array": ["--joints=coco17"],
    "mediapipe": [f"--image_size={SIZE[0]},{SIZE[1]}"],
    "yolo": [f"--image_size={SIZE[0]},{SIZE[1]}"],
}
GUESSED_WRONGLY = {"array": "mpii_lsp", "lsp": "mpii", "mpii_lsp": "array"}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_stated_format_is_read(tmp_path, monkeypatch, name):
    path = WRITERS[name](tmp_path)
    assert formats.guess_format(str(path)) == GUESSED_WRONGLY.get(name, name)

    def asked(path):
        raise AssertionError(f"{path} was asked")

    monkeypatch.setattr(options.formats, "guess_format", asked)
    flags = [f"--input={path}", f"--format={name}", f"--output={tmp_path / 'out'}", *MORE_FLAGS.get(name, [])]
    spec = options.LabellingOptions.of_flags(generate.declare().parse(["generate.py", *flags])).spec
    assert spec.format == name
    opened = inputs.open_input(spec)
    assert len(opened) == COUNT
    batch = next(opened.batches(0, 8))
    for limb in LIMBS:
        found = batch.poses_2d[:, joints.POSE17.index(limb.replace("Ankle", "Foot"))]
        np.testing.assert_allclose(found, np.tile(PLACES[limb], (COUNT, 1)), atol=0.01, err_msg=limb)


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name not in ("coco", "photographs")])
def test_another_format_than_stated_is_one_line(tmp_path, name):
    """COCO's file given for another format."""
    path = coco(tmp_path)
    flags = [f"--input={path}", f"--format={name}", f"--output={tmp_path / 'out'}", *MORE_FLAGS.get(name, [])]
    spec = options.LabellingOptions.of_flags(generate.declare().parse(["generate.py", *flags])).spec
    with pytest.raises(InputError, match=r"a\.json") as refused:
        for _ in inputs.read_batches(inputs.open_input(spec), 0, 8):
            pass
    assert "\n" not in str(refused.value)
