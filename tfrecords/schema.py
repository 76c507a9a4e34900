"""The pose record: every feature once, with its key, shape, unit, axes and meaning.

A record is one person in one picture (or one pose without a picture). `PoseRecord` is the record in memory, `FEATURES`
the same on disk; readers, writers, statistics and docs are derived from that one table. Features that a record does not
have are left out on disk and read back as NaN, zero or the empty text.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tools.cli.errors import InputError
from tools.pose import bounds, joints

VERSION = 1
JOINTS = joints.POSE17.size

# Codes of `PoseRecord.visibility`.
UNKNOWN, OCCLUDED, VISIBLE = 0, 1, 2
# Values of `PoseRecord.camera_kind`: what the intrinsics of a record are worth.
CALIBRATED, GIVEN, ASSUMED, NOMINAL = "calibrated", "given", "assumed", "nominal"
CAMERA_KINDS = ("", CALIBRATED, GIVEN, ASSUMED, NOMINAL)  # by their number in tables of labels
# Quality of a label: exp(-expected error / this).
QUALITY_SCALE_MM = 100.0


def expected_error_mm(quality: np.ndarray) -> np.ndarray:
    """The errors in mm, float64, that qualities 0..1 of any shape stand for; 1,382 where the quality is 0."""
    return -QUALITY_SCALE_MM * np.log(np.maximum(np.asarray(quality, np.float64), 1e-6))


@dataclasses.dataclass(frozen=True)
class Feature:
    """One feature of the record on disk.

    Attributes:
      field: attribute of `PoseRecord`.
      key: key of the ``tf.train.Example``.
      kind: 'float' (float32 list), 'int' (int64 list), 'codes' (one byte a value), 'text' (UTF-8) or 'bytes'.
      shape: shape of one record's value; () for texts, bytes and single numbers.
      unit, axes, meaning: for the reader of the docs.
    """

    field: str
    key: str
    kind: str
    shape: tuple[int, ...]
    unit: str
    axes: str
    meaning: str

    @property
    def size(self) -> int:
        """How many numbers one record holds under this key."""
        return int(np.prod(self.shape, dtype=int))

    def absent(self) -> Any:
        """The value that stands for 'not in this record'."""
        if self.kind == "float":
            return np.full(self.shape, np.nan, np.float32)
        if self.kind == "codes":
            return np.zeros(self.shape, np.uint8)
        return {"int": -1, "text": "", "bytes": b""}[self.kind] if not self.shape else np.full(self.shape, -1, np.int64)


_J2, _J3 = (JOINTS, 2), (JOINTS, 3)
_PICTURE, _CAMERA = "x right, y down", "camera: x right, y down, z away"
FEATURES: tuple[Feature, ...] = (
    Feature("dataset", "source/dataset", "text", (), "", "", "name of the data set"),
    Feature("split", "source/split", "text", (), "", "", "train, val or test; no subject is in two splits"),
    Feature("subject", "source/subject", "text", (), "", "", "identifier of the person"),
    Feature("action", "source/action", "text", (), "", "", "name of the action"),
    Feature("sequence", "source/sequence", "text", (), "", "", "clip or file the pose belongs to"),
    Feature("frame", "source/frame", "int", (), "", "", "frame in the sequence, from 0"),
    Feature("person", "source/person", "int", (), "", "", "which person of the picture, from 0"),
    Feature("file", "source/file", "text", (), "", "", "image or array file, relative to the data set's folder"),
    Feature("pose_2d", "pose/2d", "float", _J2, "px", _PICTURE, "joints in the (left-view) picture"),
    Feature("provenance_2d", "pose/2d/provenance", "codes", (JOINTS,), "", "", "0 missing, 1 made, 2 labelled"),
    Feature("visibility", "pose/2d/visibility", "codes", (JOINTS,), "", "", "0 unknown, 1 occluded, 2 visible"),
    Feature("right_2d", "pose/right_2d", "float", _J2, "px", _PICTURE, "joints in the synthetic right view"),
    Feature("pose_3d", "pose/3d", "float", _J3, "mm", _CAMERA, "joints relative to the root (Hip)"),
    Feature("provenance_3d", "pose/3d/provenance", "codes", (JOINTS,), "", "", "0 missing, 1 made, 2 labelled"),
    Feature("root_3d", "pose/root", "float", (3,), "mm", _CAMERA, "where the root is"),
    Feature("intrinsics", "camera/intrinsics", "float", (4,), "px", _PICTURE, "fx, fy, cx, cy"),
    Feature("distortion", "camera/distortion", "float", (5,), "", "", "k1, k2, p1, p2, k3 in OpenCV's model"),
    Feature("camera", "camera/name", "text", (), "", "", "name of the camera"),
    Feature(
        "camera_kind",
        "camera/kind",
        "text",
        (),
        "",
        "",
        "calibrated, given (by the user, by EXIF data), assumed, or nominal",
    ),
    Feature("image", "image/encoded", "bytes", (), "", "", "the original image file, byte for byte"),
    Feature("image_format", "image/format", "text", (), "", "", "jpeg or png"),
    Feature("image_size", "image/size", "int", (2,), "px", "", "width, height"),
    Feature("box", "person/box", "float", (4,), "px", _PICTURE, "x, y of the upper left corner, width, height"),
    Feature("head_size", "person/head_size", "float", (), "px", "", "head segment length of the data set, for PCKh"),
    Feature("quality", "label/quality", "float", (), "", "", "quality of a generated 3D label, 0 to 1"),
    Feature("joint_quality", "label/joint_quality", "float", (JOINTS,), "", "", "the same for each joint"),
    Feature("weights", "label/weights", "text", (), "", "", "which weights made a generated label"),
)
BY_FIELD = {feature.field: feature for feature in FEATURES}
# What `PoseRecord` needs of the features that are arrays, made once because records are made by the million.
_ARRAYS = tuple(
    (
        feature.field,
        {"float": np.float32, "codes": np.uint8, "int": np.int64}[feature.kind],
        feature.shape,
        feature.absent(),
    )
    for feature in FEATURES
    if feature.shape
)
_NO_JOINT = bytes(JOINTS)
_NO_POSE = {field: BY_FIELD[field].absent().tobytes() for field in ("pose_2d", "pose_3d")}


# An attribute of a record that is an array: np.ndarray once the record is made; before, all that np.asarray takes, or
# None for 'not in this record'.
Array = Any


@dataclasses.dataclass
class PoseRecord:
    """One person in one picture; what each attribute means stands in `FEATURES`, what is left out is absent."""

    dataset: str = ""
    split: str = ""
    subject: str = ""
    action: str = ""
    sequence: str = ""
    frame: int = -1
    person: int = -1
    file: str = ""
    pose_2d: Array = None
    provenance_2d: Array = None
    visibility: Array = None
    right_2d: Array = None
    pose_3d: Array = None
    provenance_3d: Array = None
    root_3d: Array = None
    intrinsics: Array = None
    distortion: Array = None
    camera: str = ""
    camera_kind: str = ""
    image: bytes = b""
    image_format: str = ""
    image_size: Array = None
    box: Array = None
    head_size: float = float("nan")
    quality: float = float("nan")
    joint_quality: Array = None
    weights: str = ""

    def __post_init__(self) -> None:
        """Gives every array its type; raises `InputError` when one has another shape than the schema says."""
        values = self.__dict__
        for field, dtype, shape, absent in _ARRAYS:
            value = values[field]
            if value is None:
                values[field] = absent.copy()
                continue
            value = values[field] = np.asarray(value, dtype)
            if value.shape != shape:
                raise InputError(f"{self.where()}: {field} must be {list(shape)}, is {list(value.shape)}")
        # Without a provenance, joints are labelled where there are numbers.
        for pose, provenance in (("pose_2d", "provenance_2d"), ("pose_3d", "provenance_3d")):
            if values[provenance].tobytes() == _NO_JOINT and values[pose].tobytes() != _NO_POSE[pose]:
                known = ~np.isnan(values[pose]).any(-1)
                values[provenance] = np.where(known, np.uint8(joints.LABELLED), np.uint8(joints.MISSING))

    def where(self) -> str:
        """Names the record in messages: file or sequence, frame and person."""
        place = self.file or "/".join(part for part in (self.subject, self.action, self.sequence) if part)
        number = f" frame {self.frame}" if self.frame >= 0 else ""
        return f"{self.dataset or 'record'}: {place}{number}" + (f" person {self.person}" if self.person > 0 else "")

    def problem(self) -> str:
        """Why the record must not be written, or '' when it is sound.

        Reasons are short and few, since skipped records are counted by reason.
        """
        nothing = 0
        for field, provenance in (("pose_2d", self.provenance_2d), ("pose_3d", self.provenance_3d)):
            pose, marks = getattr(self, field), provenance.tobytes()
            if marks == _NO_JOINT:
                nothing += 1
                if pose.tobytes() == _NO_POSE[field]:
                    continue
            known = np.logical_and.reduce(np.isfinite(pose), axis=-1)
            if known.tobytes() != (provenance != joints.MISSING).tobytes():
                return "joint neither finite nor marked as missing"
        if nothing == 2:
            return "no joint"
        # One loop over four numbers is quicker than five calls of NumPy.
        given = [number for number in self.intrinsics.tolist() if number == number]
        if len(given) not in (0, 4) or (given and min(given[:2]) <= 0):
            return "intrinsics are not four numbers with positive focal lengths"
        if given and not bounds.good_camera(*given):
            return "intrinsics out of bounds"
        if out := bounds.problem(self.pose_2d) or bounds.problem_3d(self.pose_3d):
            return out
        if bool(self.image) != bool(self.image_format):
            return "image without its format"
        return ""


def table() -> str:
    """The schema as a Markdown table."""
    rows = [["key", "shape", "type", "unit", "axes", "meaning"], ["---"] * 6]
    for feature in FEATURES:
        shape = "x".join(map(str, feature.shape)) or "1"
        rows.append([f"`{feature.key}`", shape, feature.kind, feature.unit, feature.axes, feature.meaning])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
