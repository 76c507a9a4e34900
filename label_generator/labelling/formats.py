"""Which format the user's input has: by its name, and by its first bytes."""

from __future__ import annotations

import glob
import gzip
import itertools
import pathlib
import re
import zlib

from label_generator.labelling import array_inputs, people_file, picture_files
from tfrecords.sources import predictions
from tools.cli.errors import InputError
from tools.files import archives, inputs

# Formats of --format, besides 'auto', and what a user sees of them.
FORMATS = {
    "array": "plain .npy, .npz or .csv, with --joints",
    "videopose3d": "VideoPose3D's data_2d_*.npz",
    "coco": "COCO key points, the JSON with images and annotations",
    "coco_results": "detections: the JSON list of image_id, keypoints, score (COCO, Detectron2, AlphaPose)",
    "mmpose": "MMPose's predictions JSON, or a folder of them",
    "mediapipe": "MediaPipe's pose landmarks as JSON, or one JSON a line",
    "yolo": "Ultralytics' YOLO-pose: a folder of .txt, or its JSON",
    "deeplabcut": "DeepLabCut's CSV",
    "predictions": "predictions.json or .npz of baseline_network/predict.py",
    "openpose": "folder or .tar.gz of OpenPose's JSON files",
    "mpii": "MPII's .mat, .json or .h5",
    "lsp": "LSP's joints.mat",
    "aichallenger": "AIChallenger's key point JSON",
    "mpii_lsp": "the released wild.npy (its 2D)",
    "npy_tree": "the original's trees of arrays",
    "tfrecords": "this project's records",
    "photographs": "pictures, videos, or the people.npz made of them",
}
_TRIED = 20  # texts that are looked into for YOLO's lines


def guess_format(text: str) -> str:
    """The format of what the user named, by its name and its first bytes.

    Raises:
      InputError: nothing there, or the format can't be recognised.
    """
    path = pathlib.Path(text)
    name = path.name.lower()
    if ".tfrecord" in name or name == "manifest.json":
        return "tfrecords"
    if not path.exists():
        if picture_files.is_pictures(text) and glob.has_magic(text):
            return "photographs"
        raise InputError(f"{text}: no such file or folder")
    if path.is_dir():
        return _guess_folder(path)
    if picture_files.is_pictures(text):
        return "photographs"
    if name.endswith((".tar", ".tar.gz", ".tgz")):
        return "openpose"
    if name.endswith((".json", ".json.gz", ".jsonl", ".ndjson")):
        return _guess_json(path)
    if name == "wild.npy":
        return "mpii_lsp"
    if name.endswith(".mat"):
        return "lsp" if "joints" in name else "mpii"
    if name.endswith((".h5", ".hdf5")):
        return "mpii"
    if name.endswith(".npz"):
        if people_file.is_people_file(path):
            return "photographs"
        if predictions.is_predictions(_arrays_of(path)):
            return "predictions"
        return "videopose3d" if array_inputs.is_videopose3d(path) else "array"
    if name.endswith(".csv") and _starts_with(path, b"scorer,"):
        return "deeplabcut"
    if name.endswith((".npy", ".csv", ".tsv")):
        return "array"
    raise InputError(f"{text}: format not known by its name; --format is one of {', '.join(FORMATS)}")


def _arrays_of(path: pathlib.Path) -> list[str]:
    """Names of an archive's arrays; none where it is damaged, of which its reader says more."""
    try:
        with archives.open_zip(path) as content:
            return [name.removesuffix(".npy") for name in content.namelist()]
    except InputError:
        return []


def _starts_with(path: pathlib.Path, sign: bytes) -> bool:
    try:
        with inputs.open_file(path) as file:
            return file.read(len(sign) + 3).removeprefix(b"\xef\xbb\xbf").startswith(sign)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _guess_folder(path: pathlib.Path) -> str:
    names = [entry.name for entry in path.iterdir()]
    if "manifest.json" in names or any(".tfrecord" in name for name in names):
        return "tfrecords"
    for name, kind in (("wild.npy", "mpii_lsp"), ("joints.mat", "lsp")):
        if name in names:
            return kind
    lower_names = [name.lower() for name in names]
    pictures = sum(name.endswith(picture_files.SUFFIXES) for name in lower_names)
    if pictures > sum(name.endswith((".json", ".npy", ".txt")) for name in lower_names):
        return "photographs"  # whatever else is there, such as an annotation, or labels made before in a folder below
    first = next(path.rglob("*.json"), None)
    if first is not None:
        return "openpose" if "_keypoints" in first.name else _guess_folder_of_json(first)
    if next(path.rglob("*.npy"), None) is not None:
        return "npy_tree"
    if any(_is_yolo(file) for file in itertools.islice(path.rglob("*.txt"), _TRIED)):
        return "yolo"
    if picture_files.is_pictures(str(path)):
        return "photographs"
    raise InputError(
        f"{path}: no pictures, videos, records, OpenPose JSON, arrays, joints.mat or wild.npy in it; what is it "
        "(--format)?"
    )


def _is_yolo(file: pathlib.Path) -> bool:
    """Whether the first line of a text has the numbers of a class, of a box in shares and of key points."""
    with inputs.open_file(file) as opened:
        words = opened.readline(1 << 14).split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return len(numbers) > 20 and all(-1 <= number <= 2 for number in numbers[1:5])


def _guess_folder_of_json(file: pathlib.Path) -> str:
    """By one of its files; what is no other format is OpenPose's, whose reader says what is wrong."""
    try:
        kind = _guess_json(file)
    except InputError:
        return "openpose"
    return kind if kind in ("mmpose", "mediapipe", "yolo") else "openpose"


def _guess_json(path: pathlib.Path) -> str:
    """By the keys that the first part of the text shows."""
    try:
        with inputs.open_file(path) as plain, gzip.open(plain) if path.suffix == ".gz" else plain as file:
            content = file.read(1 << 16)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if content.startswith(b"\x1f\x8b"):
        raise InputError(f"{path}: is compressed with gzip; expected such a name to end in .gz, once")
    if b"\0" in content[:4]:
        raise InputError(f"{path}: is no text in UTF-8 (UTF-16?), which JSON files are")
    start = content.decode("utf-8-sig", "replace").lstrip()
    if not start:
        raise InputError(f"{path}: is empty")
    if start[0] not in "[{":
        raise InputError(f"{path}: not JSON, which begins with [ or {{")
    keys = set(re.findall(r'"(\w+)"\s*:', start))
    if keys & {"pose_keypoints_2d", "pose_keypoints"}:
        raise InputError(f"{path}: one frame of OpenPose; name the folder of the frames")
    if "keypoint_annotations" in keys:
        return "aichallenger"
    if keys & {"instance_info", "keypoint_scores"}:
        return "mmpose"
    if keys & {"landmarks", "pose_landmarks", "poseLandmarks"}:
        return "mediapipe"
    if start.startswith("[") and {"keypoints", "confidence", "box"} <= keys and "image_id" not in keys:
        return "yolo"
    if {"box_source", "pose_3d_mm"} <= keys:
        return "predictions"
    if keys & {"joint_self", "joints_vis"}:
        return "mpii"
    if start.startswith("[") and "keypoints" in keys:
        return "coco_results"
    if start.startswith("{"):
        return "coco"
    raise InputError(f"{path}: no key of this JSON is known; --format is one of {', '.join(FORMATS)}")
