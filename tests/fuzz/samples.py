"""A small sound file, or folder of files, of each format, made by code: by name, their bytes."""

from __future__ import annotations

import functools
import io
import json
import pathlib
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Files = dict[str, bytes]


_rng = np.random.default_rng
_SIDES, _PAIRS = ("left", "right"), ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_NAMES = ["nose", *(f"{side}_{part}" for part in _PAIRS for side in _SIDES)]


def _points(count: int, seed: int = 0) -> np.ndarray:
    return _rng(seed).uniform(20, 460, (count, 2)).round(2)


def _scored(count: int, seed: int = 0, score: float = 0.75) -> list[float]:
    return np.c_[_points(count, seed), np.full(count, score)].ravel().tolist()


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def coco_files() -> Files:
    def person(number: int) -> dict:
        return {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "keypoints": _scored(17, number, 2),
            "bbox": [1, 2, 80, 90],
            "num_keypoints": 17,
            "iscrowd": 0,
        }

    images = [{"id": n, "file_name": f"{n}.jpg", "width": 480, "height": 480} for n in (1, 2)]
    categories = [{"id": 1, "name": "person", "keypoints": COCO_NAMES}]
    return {"a.json": _json({"images": images, "categories": categories, "annotations": [person(1), person(2)]})}


def coco_results_files() -> Files:
    people = [
        {"image_id": f"{n}.jpg", "category_id": 1, "keypoints": _scored(17, n), "score": 0.9, "idx": n}
        for n in range(3)
    ]
    return {"results.json": _json(people)}


def openpose_files() -> Files:
    frame = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": _scored(25)}]}
    return {f"clip_{n:012d}_keypoints.json": _json(frame) for n in range(2)}


def openpose_tar_files() -> Files:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in openpose_files().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return {"a.tar": out.getvalue()}


def mmpose_files() -> Files:
    person = {
        "keypoints": _points(17).tolist(),
        "keypoint_scores": [0.9] * 17,
        "bbox": [[1, 2, 300, 400]],
        "bbox_score": 0.9,
    }
    names = {str(n): name for n, name in enumerate(COCO_NAMES)}
    frames = [{"frame_id": n, "instances": [person, person]} for n in (1, 2)]
    return {"a.json": _json({"meta_info": {"keypoint_id2name": names}, "instance_info": frames})}


def mediapipe_files() -> Files:
    landmarks = [{"x": x / 640, "y": y / 480, "z": 0.1, "visibility": 0.8} for x, y in _points(33).tolist()]
    entries = [{"frame": n, "image_width": 640, "image_height": 480, "pose_landmarks": [landmarks]} for n in range(2)]
    return {"a.json": b"\n".join(map(_json, entries))}


def yolo_files() -> Files:
    points = _points(17) / 480
    line = "0 0.5 0.5 0.4 0.8 " + " ".join(f"{x:.5f} {y:.5f} 0.9" for x, y in points.tolist())
    return {"0.txt": f"{line} 0.8\n{line} 0.7\n".encode(), "1.txt": f"{line} 0.8\n".encode()}


def yolo_json_files() -> Files:
    x, y = _points(17).T.tolist()
    person = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1, "y1": 2, "x2": 300, "y2": 400}}
    return {"a.json": _json([{**person, "keypoints": {"x": x, "y": y, "visible": [0.9] * 17}}] * 2)}


def deeplabcut_files() -> Files:
    head = [["scorer"], ["bodyparts"], ["coords"]]
    for name in COCO_NAMES:
        for row, cell in zip(head, ("net", name, "")):
            row += [cell] * 3
        head[2][-3:] = ["x", "y", "likelihood"]
    lines = [",".join(row) for row in head] + [",".join(map(str, (n, *_scored(17, n)))) for n in range(3)]
    return {"a.csv": "\n".join(lines).encode()}


def aichallenger_files() -> Files:
    entry = {
        "image_id": "a",
        "url": "",
        "keypoint_annotations": {"human1": _scored(14, 0, 1), "human2": _scored(14, 1, 2)},
        "human_annotations": {"human1": [1, 2, 300, 400], "human2": [5, 6, 300, 400]},
    }
    return {"a.json": _json([entry, {**entry, "image_id": "b"}])}


def _saved(save: Callable, *arrays: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def lsp_files() -> Files:
    import scipy.io

    joints = _rng(0).uniform(20, 460, (3, 14, 4))
    joints[2] = 0
    return {"joints.mat": _saved(lambda f, **a: scipy.io.savemat(f, a, do_compression=True), joints=joints)}


def mpii_mat_files() -> Files:
    import scipy.io

    point = np.zeros((1, 16), [("x", "O"), ("y", "O"), ("id", "O"), ("is_visible", "O")])
    for n, (x, y) in enumerate(_points(16).tolist()):
        point[0, n] = x, y, n, 1
    rect = {
        "annopoints": {"point": point},
        "scale": 2.0,
        "objpos": {"x": 200.0, "y": 200.0},
        "x1": 1,
        "y1": 2,
        "x2": 60,
        "y2": 90,
    }
    image = np.zeros((1, 2), [("image", "O"), ("annorect", "O"), ("vidx", "O")])
    for n in range(2):
        image[0, n] = {"name": f"{n}.jpg"}, rect, 1
    release = {"annolist": image, "img_train": np.ones((1, 2)), "video_list": np.array([["v"]], object)}
    return {"annot.mat": _saved(lambda f, **a: scipy.io.savemat(f, a, do_compression=True), RELEASE=release)}


def mpii_json_files() -> Files:
    person = {
        "img_paths": "a.jpg",
        "joint_self": np.reshape(_scored(16, 0, 1), (16, 3)).tolist(),
        "objpos": [200.0, 200.0],
    }
    other = {
        "image": "b.jpg",
        "joints": _points(16).tolist(),
        "joints_vis": [1] * 16,
        "center": [200.0, 200.0],
        "scale": 2.0,
    }
    first = {**person, "scale_provided": 2.0, "isValidation": 0.0, "img_width": 480, "img_height": 480}
    return {"mpii.json": _json([first, {**first, "img_paths": "c.jpg"}, other])}


def _hdf5(**values: Any) -> bytes:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        for name, value in values.items():
            content[name.replace("__", "/")] = value
    return file.getvalue()


def mpii_h5_files() -> Files:
    return {
        "annot.h5": _hdf5(
            imgname=np.array([b"a.jpg"] * 3),
            scale=np.ones(3),
            part=_rng(0).uniform(20, 460, (3, 16, 2)),
            center=np.full((3, 2), 50.0),
            visible=np.ones((3, 16)),
            person=np.arange(3.0),
            normalize=np.ones(3),
        )
    }


def h36m_images_files() -> Files:
    n = 4
    pose = _world(n)[:, [10, 14, 11, 15, 12, 16, 13, 1, 4, 2, 5, 3, 6, 0, 7, 8][:16]].astype(np.float64) + [0, 0, 4000]
    numbers = {name: np.full(n, 1.0) for name in ("subject", "action", "subaction", "camera", "istrain")}
    flat = pose[..., :2] / pose[..., 2:] * 200 + 112
    return {"annot_train.h5": _hdf5(**numbers, id=np.arange(1.0, n + 1), joint_2d=flat, joint_3d_mono=pose)}


def _world(frames: int, seed: int = 0) -> np.ndarray:
    heights = np.array([900, 900, 480, 80, 900, 480, 80, 1150, 1400, 1480, 1600, 1400, 1130, 900, 1400, 1130, 900.0])
    sides = np.array([0, -130, -130, -130, 130, 130, 130, 0, 0, 0, 0, 170, 200, 210, -170, -200, -210.0])
    pose = np.stack([sides, np.zeros(17), heights], -1)
    return pose + _rng(seed).normal(0, 20, (frames, 17, 3))


def mocap_npz_files() -> Files:
    index = {
        "joints": ["x"],
        "unit": "mm",
        "axes": "z up",
        "sequences": {"01_01": {"subject": 1, "description": "walk"}},
    }
    from tools.pose.joints import JOINT_SETS

    index["joints"] = list(JOINT_SETS["h36m17"].joints)
    arrays = {"01_01": _world(3), "b": _world(2, 1)}
    return {"m.npz": _saved(np.savez_compressed, **arrays), "m_index.json": _json(index)}


def h36m_folder_files() -> Files:
    flat = _rng(0).normal(0, 400, (5, 96)) + 900
    return {"S1/MyPoses/3D_positions/Walking.h5": _hdf5(**{"3D_positions": flat.T})}


def h36m_npz_files() -> Files:
    poses = np.array({"S1": {"Walking 1": _rng(0).normal(0, 0.4, (3, 32, 3)) + 0.9}}, dtype=object)
    return {"data_3d_h36m.npz": _saved(np.savez_compressed, positions_3d=poses)}


def videopose3d_files() -> Files:
    poses = np.array({"S1": {"Walking": [_rng(n).uniform(20, 900, (3, 17, 2)) for n in range(2)]}}, dtype=object)
    metadata = np.array({"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4, 5], [1, 2]]}, dtype=object)
    return {"data_2d_h36m_gt.npz": _saved(np.savez_compressed, positions_2d=poses, metadata=metadata)}


def bvh_files() -> Files:
    joints = {
        "Hips": ((0, 0, 0), "Spine", "LeftUpLeg", "RightUpLeg"),
        "Spine": ((0, 12, 0), "Spine1"),
        "Spine1": ((0, 12, 0), "Neck", "LeftArm", "RightArm"),
        "Neck": ((0, 20, 0), "Head"),
        "Head": ((0, 10, 0),),
        "LeftUpLeg": ((10, -4, 0), "LeftLeg"),
        "LeftLeg": ((0, -44, 0), "LeftFoot"),
        "LeftFoot": ((0, -42, 0),),
        "RightUpLeg": ((-10, -4, 0), "RightLeg"),
        "RightLeg": ((0, -44, 0), "RightFoot"),
        "RightFoot": ((0, -42, 0),),
        "LeftArm": ((17, 14, 0), "LeftForeArm"),
        "LeftForeArm": ((28, 0, 0), "LeftHand"),
        "LeftHand": ((26, 0, 0),),
        "RightArm": ((-17, 14, 0), "RightForeArm"),
        "RightForeArm": ((-28, 0, 0), "RightHand"),
        "RightHand": ((-26, 0, 0),),
    }

    def lines(name: str, indent: int) -> list[str]:
        offset, *children = joints[name]
        pad, kind = "\t" * indent, "ROOT" if name == "Hips" else "JOINT"
        channels = "6 Xposition Yposition Zposition " if name == "Hips" else "3 "
        out = [f"{pad}{kind} {name}", pad + "{", f"{pad}\tOFFSET {' '.join(map(str, offset))}"]
        out.append(f"{pad}\tCHANNELS {channels}Zrotation Xrotation Yrotation")
        for child in children:
            out += lines(child, indent + 1)
        if not children:
            out += [f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET 0 8 0", pad + "\t}"]
        return [*out, pad + "}"]

    count = 3 + 3 * len(joints)
    rows = [" ".join(f"{v:.3f}" for v in _rng(n).normal(0, 5, count)) for n in range(3)]
    text = ["HIERARCHY", *lines("Hips", 0), "MOTION", "Frames: 3", "Frame Time: 0.0333333", *rows, ""]
    return {"a.bvh": "\n".join(text).encode()}


def wild_files() -> Files:
    rows = np.empty(3, object)
    for n in range(3):
        rows[n] = (f"a{n}.jpg", _rng(n).normal(0, 300, (17, 3)), _rng(n).uniform(0, 500, (17, 2)))
    return {"wild.npy": _saved(lambda file, array: np.save(file, array, allow_pickle=True), rows)}


def pickle_files() -> Files:
    content = {"a": _points(3), "b": [1, 2.5, "text", None, (True, b"x")], "c": {1, 2}, "d": np.float32(3)}
    return {"a.pkl": pickle.dumps(content, 2)}


def poses_npy_files() -> Files:
    return {"a.npy": _saved(np.save, _rng(0).uniform(20, 900, (5, 17, 2)).astype(np.float32))}


def poses_npz_files() -> Files:
    poses = _rng(0).uniform(20, 900, (5, 17, 2))
    named = {"poses_2d": poses, "intrinsics": np.full((5, 4), 1000.0), "joint_mask": np.ones((5, 17), bool)}
    return {"a.npz": _saved(np.savez_compressed, **named)}


def poses_csv_files() -> Files:
    names = ["file", "frame", "person", *(f"{name}_{axis}" for name in COCO_NAMES for axis in "xy")]
    rows = [["a.jpg", n, 0, *_points(17, n).ravel().tolist()] for n in range(4)]
    return {"a.csv": "\n".join(",".join(map(str, row)) for row in (names, *rows)).encode()}


def trees_files() -> Files:
    poses = _rng(0).uniform(20, 900, (4, 34))
    deep = _rng(0).normal(0, 300, (4, 51))
    files = {"2d_left": poses, "2d_right": poses + 5, "3d": deep}
    return {f"{folder}/9/Walking/a.npy": _saved(np.save, array) for folder, array in files.items()}


def photos_files() -> Files:
    named = {"files": np.array(["a.jpg", "b.jpg"]), "joints": np.ones((2, 14, 3)) * _rng(0).uniform(9, 99, (2, 14, 3))}
    named["boxes"], named["joint_set"] = np.full((2, 4), 50.0), np.array("lsp14")
    return {"a.npz": _saved(np.savez_compressed, **named)}


def _write_npz(out: io.BytesIO, arrays: dict[str, np.ndarray]) -> None:
    """np.savez, which takes no array of the name 'file'."""
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", _saved(np.save, array))


def people_files() -> Files:
    joints = np.concatenate([_rng(0).uniform(20, 400, (3, 33, 2)), np.full((3, 33, 1), 0.9)], -1).astype(np.float32)
    named = {
        "joints": joints,
        "boxes": np.full((3, 4), 50.0, np.float32),
        "picture": np.arange(3),
        "frame": np.arange(3),
        "person": np.zeros(3, np.int64),
        "image_size": np.full((3, 2), 480),
        "reason": np.zeros(3, np.int32),
        "file": np.zeros(3, np.int32),
        "files": np.array(["a.mp4"]),
        "joint_set": np.array(["mediapipe33"]),
        "reasons": np.array(["", "none"]),
        "input": np.array(["a.mp4"]),
        "every_seconds": np.array([0.0]),
        "seconds": np.arange(3) / 25.0,
    }
    out = io.BytesIO()
    _write_npz(out, named)
    return {"people.npz": out.getvalue()}


@functools.cache
def records_files() -> Files:
    import tempfile

    from tfrecords.schema import PoseRecord
    from tfrecords.storage import example, framing
    from tfrecords.storage.manifest import Manifest, Shard

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a-00000-of-00001.tfrecord"
        with framing.RecordFile(path, compressed=False) as file:
            for n in range(3):
                record = PoseRecord(
                    dataset="made",
                    split="train",
                    subject="S1",
                    sequence="walk",
                    frame=n,
                    person=0,
                    file=f"{n}.jpg",
                    pose_2d=_points(17, n),
                    pose_3d=_rng(n).normal(0, 300, (17, 3)),
                    intrinsics=[1000.0, 1000.0, 240.0, 240.0],
                    camera_kind="given",
                    image_size=[480, 480],
                    box=[1, 2, 300, 400],
                    visibility=np.ones(17, np.uint8),
                )
                file.write(example.encode(record))
        facts = dict.fromkeys(("name", "description", "licence", "citation"), "made")
        shard = Shard(path.name, file.records, file.bytes, file.sha256)
        content = Manifest("a", "train", facts, "made", {}, [shard], {"bad": {"count": 1, "first": ["x"]}})
        manifest = content.write(pathlib.Path(folder))
        return {path.name: path.read_bytes(), manifest.name: manifest.read_bytes()}


SHARD = "a-00000-of-00001.tfrecord"


def decisions_files() -> Files:
    entry = {"file": "a.jpg", "sequence": "", "frame": -1, "person": 0, "row": -1, "decision": "keep", "swap": False}
    content = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    return {"decisions.json": _json({**content, "decisions": [entry, {**entry, "file": "b.jpg", "decision": "drop"}]})}


@functools.cache
def camera_values_files() -> tuple[Files, Files]:
    turn = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    name, matrix = "54138969", [[1145.0, 0, 512.0], [0, 1144.0, 515.0], [0, 0, 1]]
    intrinsics = {name: {"calibration_matrix": matrix, "distortion": [-0.2, 0.2, 0, 0, 0.0]}}
    place = {name: {"R": turn.tolist(), "t": [[0.0], [1500.0], [5000.0]]}}
    letters = np.frombuffer(name.encode(), np.uint8).astype(np.uint16)[:, None]
    values = {
        "R": turn.T,
        "T": np.full((3, 1), 900.0),
        "f": np.full((2, 1), 1145.0),
        "c": np.full((2, 1), 512.0),
        "k": np.zeros((3, 1)),
        "p": np.zeros((2, 1)),
        "Name": letters,
    }
    named = {f"subject1__camera1__{key}": value for key, value in values.items()}
    return {"c.json": _json({"intrinsics": intrinsics, "extrinsics": {"S1": place}})}, {"cameras.h5": _hdf5(**named)}


def statistics_files() -> Files:
    entry = {"layout": "planar", "centred": False, "count": 10, "mean": [0.0] * 34, "std": [1.0] * 34}
    return {"statistics.json": _json({"version": 1, "statistics": {"input": entry, "output": entry}})}


@functools.cache
def calibration_files() -> Files:
    from label_generator.lifting import quality

    content = {
        "signals": list(quality.SIGNALS),
        "intercept": 1.0,
        "coefficients": [0.1] * len(quality.SIGNALS),
        "facts": {},
    }
    return {"quality.json": _json(content)}


@functools.cache
def model_files() -> Files:
    """A tiny network of the canonical recipe, as the weights folders hold it."""
    import tempfile

    from label_generator.networks import network_files

    arrays = {"a/kernel": np.zeros((3, 4), np.float32), "b/bias": np.zeros(4, np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = network_files.save_network(f"{folder}/network", "pose3d", "canonical", {"width": 8}, arrays)
        return {file.name: file.read_bytes() for file in path.iterdir()}


def weights_files() -> Files:
    return {"weights.npz": _saved(np.savez_compressed, a=np.zeros((3, 4), np.float32), b=np.ones(4, np.float16))}


def picture_bytes(suffix: str) -> bytes:
    import cv2

    small = _rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.imencode(suffix, cv2.resize(small, (40, 32)))[1].tobytes()


def gif_bytes() -> bytes:
    import PIL.Image

    out = io.BytesIO()
    frames = [PIL.Image.fromarray(_rng(n).integers(0, 255, (12, 16, 3), dtype=np.uint8)) for n in range(2)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def picture_tar_files() -> Files:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.jpg")
        content = picture_bytes(".jpg")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return {"a.tar": out.getvalue()}
