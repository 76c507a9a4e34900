"""Plain arrays of 2D poses in any joint set: which array, which layout, and pieces of it as poses of 17 joints."""

from __future__ import annotations

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from label_generator.labelling import array_rows, csv_columns, joint_lines
from label_generator.labelling.array_rows import Rows
from tfrecords.source import Info
from tools.cli.errors import InputError
from tools.files import archives, inputs
from tools.pose import bounds, joints

if TYPE_CHECKING:  # it imports this module
    from label_generator.labelling.inputs import Spec

INFO = Info(
    name="arrays",
    description="2D poses of plain arrays",
    input=".npy, .npz or .csv",
    licence="that of the arrays",
    citation="",
)
# Names that an array of 2D poses goes by; the first that an archive has is read.
_NAMES = ("poses_2d", "pose_2d", "keypoints_2d", "keypoints", "joints_2d", "kpts", "positions_2d")
# Joint sets without a joint between the hips.
_ROOTLESS = ("coco17", "lsp14", "aichallenger14", "openpose18")
# As large as BODY_25, whose arrays need no name.
_RARE = "body25b"
# What this project's labels.npz has beside poses_2d, whose joints are pose17.
_OF_LABELS = {"poses_3d", "provenance", "quality", "reason", "intrinsics"}
_LAYOUT_ROWS = 64
# A layout whose bones are this much shorter than the other's is the right one.
_CLEARLY_SHORTER = 0.8
# Whole numbers up to here are exact as floating point.
_LARGEST_ID, _INT64_DIGITS = 2.0**53, 19
# Shares of a picture's size; joints may lie outside the picture.
_SHARES = (-0.5, 1.5)


@dataclasses.dataclass
class Piece:
    """Poses [n, 17, 2] float32 px, provenance [n, 17] uint8, intrinsics [n, 4] or [4] px or None, texts by column; the
    file and the number of the first row, for messages."""

    poses_2d: np.ndarray
    provenance: np.ndarray
    intrinsics: np.ndarray | None
    ids: dict[str, list[str]]
    place: str = ""
    first: int = 0

    def number(self, name: str, otherwise: np.ndarray) -> np.ndarray:
        """An id column as int64; `otherwise` where there is none. Raises `InputError` for what is no number."""
        if name not in self.ids:
            return np.asarray(otherwise, np.int64)
        return np.array([self._whole_number(name, i, cell) for i, cell in enumerate(self.ids[name])], np.int64)

    def _whole_number(self, name: str, i: int, cell: str) -> int:
        if cell.isascii() and cell.isdigit() and len(cell) <= _INT64_DIGITS and int(cell) < 1 << 63:
            return int(cell)  # such as a time in nanoseconds
        try:
            value = array_rows.number(cell) if cell else -1.0
        except ValueError:
            value = np.nan
        if not (abs(value) <= _LARGEST_ID and value == int(value)):  # 3.0 is what tables with gaps make of 3
            raise InputError(f"{self.place}: row {self.first + i}: {name} '{cell[:40]}': expected a whole number")
        return int(value)


class PoseArrays:
    """Arrays of one file that belong together.

    Attributes:
      description: what was taken for what.
    """

    def __init__(
        self,
        rows: Rows,
        joint_set: joints.JointSet,
        layout: str,
        permutation: Sequence[int] | None,
        min_confidence: float,
        intrinsics: Rows | None = None,
        mask: Rows | None = None,
        columns: np.ndarray | None = None,
        image_size: tuple[int, int] | None = None,
        provenance: Rows | None = None,
    ):
        """columns: [J, 2 or 3] where each joint's numbers stand in a row, where the file says it. image_size: width,
        height px, by which shares of the picture's size become pixels. provenance: [N, 17] of poses of pose17, where
        the file tells it. Raises `InputError`."""
        self._rows, self._set, self._min_confidence = rows, joint_set, min_confidence
        self._columns, self._scale = columns, None
        self._intrinsics, self._mask, self._permutation = intrinsics, mask, permutation
        self._provenance = provenance
        place = rows.place
        if rows.dtype.kind not in "fiu":
            raise InputError(f"{place}: holds {rows.dtype}, expected numbers")
        if columns is not None:
            if len(columns) != joint_set.size:
                raise InputError(
                    f"{place}: its columns are of {len(columns)} joints, {joint_set.name} has {joint_set.size}"
                )
            self._numbers = columns.shape[1]
        else:
            self._numbers = components(rows.shape, joint_set, place)
        flat = len(rows.shape) == 2 and columns is None
        self._layout = (layout or guess_layout(rows, joint_set, self._numbers, permutation)) if flat else ""
        for other, tail, name in ((intrinsics, (4,), "intrinsics"), (mask, (joint_set.size,), "joint_mask")):
            if other is not None and other.dtype.kind not in ("fiu" if name == "intrinsics" else "fiub"):
                raise InputError(f"{place}: its {name} holds {other.dtype}, expected numbers")
            if other is not None and other.shape not in ((len(rows), *tail), tail):
                raise InputError(f"{place}: its {name} is {list(other.shape)}, expected {[len(rows), *tail]}")
        with_confidence = ", with confidence" if self._numbers == 3 else ""
        self.description = f"{list(rows.shape)}, {joint_set.name} joints" + with_confidence
        self.description += f", {self._layout} rows" if flat else ""
        self._scale = self._scale_of_shares(image_size)
        self.description += ", shares of the picture's size" if self._scale is not None else ""

    def __len__(self) -> int:
        return len(self._rows)

    def _scale_of_shares(self, image_size: tuple[int, int] | None) -> np.ndarray | None:
        """[2] px by which coordinates are to be multiplied, None where they are px.

        Raises:
          InputError: coordinates that are no px, and no size of the picture to make px of them.
        """
        starts = np.unique(np.linspace(0, max(len(self) - 1, 0), _LAYOUT_ROWS).astype(int)) if len(self) else []
        parts = [self._values(start, start + 1)[..., :2].astype(np.float64) for start in starts]
        if not parts or not bounds.shares(sample := np.concatenate(parts)):
            return None
        low, high = (float(value) for value in np.nanquantile(sample, (0.02, 0.98)))
        place = self._rows.place
        if not (_SHARES[0] <= low and high <= _SHARES[1]):
            raise InputError(f"{place}: coordinates from {low:.3g} to {high:.3g} are no px; write px")
        if image_size is None:
            raise InputError(
                f"{place}: coordinates from {low:.3g} to {high:.3g} are no px; if they are shares of the picture's "
                "size, give --image_size=WIDTH,HEIGHT"
            )
        return np.array(image_size, np.float64)

    def _values(self, start: int, stop: int) -> np.ndarray:
        """[n, J, 2 or 3] as the file has them, in the order of the joint set."""
        values = self._rows.read(start, stop)
        if self._columns is not None:
            values = values[:, self._columns]
        else:
            values = unflatten(values, self._set.size, self._numbers, self._layout)
        return values if self._permutation is None else values[:, list(self._permutation)]

    def read(self, start: int, stop: int) -> Piece:
        """Poses start to stop."""
        values = self._values(start, stop)
        with np.errstate(over="ignore", invalid="ignore"):
            poses = np.array(values[..., :2] if self._scale is None else values[..., :2] * self._scale, np.float32)
        poses[~np.isfinite(poses).all(-1)] = np.nan
        if self._numbers == 3:
            confidence = values[..., 2]
            if bad := _no_confidence(confidence):
                row = start + bad[0]
                raise InputError(f"{self._rows.place}: row {row}: {bad[1]}; are these 3D poses?")
            poses[~(confidence > self._min_confidence)] = np.nan
        elif self._mask is None:
            poses[_unlabelled(poses, self._set)] = np.nan
        if self._mask is not None:
            whole = self._mask.shape[0] == len(self) and len(self._mask.shape) == 2
            mask = self._mask.read(start, stop) if whole else self._mask.read(0, self._set.size)
            poses[np.broadcast_to(~(mask > 0), poses.shape[:2])] = np.nan
        intrinsics = None
        if self._intrinsics is not None:
            whole = len(self._intrinsics.shape) == 2
            intrinsics = self._intrinsics.read(start, stop) if whole else self._intrinsics.read(0, 4)
        poses, provenance = _as_17(poses, self._set)
        if self._provenance is not None:
            provenance = np.minimum(provenance, self._provenance.read(start, stop).astype(np.uint8))
            poses[provenance == joints.MISSING] = np.nan
        ids = dict(self._rows.ids) if isinstance(self._rows, array_rows.CsvRows) else {}
        return Piece(poses, provenance, intrinsics, ids, self._rows.place, start)


def _no_confidence(confidence: np.ndarray) -> tuple[int, str] | None:
    """(row, what is wrong) of the first of confidences [n, J] that cannot be one, NaN apart; None without such."""
    if np.nanmin(confidence, initial=0.0) < 0:
        return int(np.argmax((confidence < 0).any(1))), "negative confidence"
    if np.nanmax(confidence, initial=0.0) > bounds.LARGEST_CONFIDENCE:
        row = int(np.argmax((confidence > bounds.LARGEST_CONFIDENCE).any(1)))
        return row, f"a confidence of {np.nanmax(confidence[row]):,.6g}, expected up to {bounds.LARGEST_CONFIDENCE:g}"
    return None


def _unlabelled(poses: np.ndarray, joint_set: joints.JointSet) -> np.ndarray:
    """[n, J] bool, joints at exactly (0, 0): how COCO, OpenPose and MPII say that a joint is missing.

    One alone stays in sets that have a root: poses relative to it have it there.
    """
    zero = (poses == 0).all(-1)
    return zero & ((zero.sum(1) >= 2) | (joint_set.name in _ROOTLESS))[:, None]


def _as_17(poses: np.ndarray, joint_set: joints.JointSet) -> tuple[np.ndarray, np.ndarray]:
    """`joints.convert`, short where nothing is missing and nothing has to be made."""
    if set(joint_set.joints) >= set(joints.POSE17.joints) and not np.isnan(poses).any():
        order = [joint_set.index(name) for name in joints.POSE17.joints]
        return poses[:, order], np.full((len(poses), joints.POSE17.size), joints.LABELLED, np.uint8)
    return joints.convert(poses, joint_set.name)


def components(shape: Sequence[int], joint_set: joints.JointSet, place: str) -> int:
    """2 for x and y, 3 for x, y and confidence; raises `InputError` for a shape that is neither."""
    for size in (2, 3):
        if tuple(shape[1:]) in ((joint_set.size, size), (joint_set.size * size,)):
            return size
    n = joint_set.size
    raise InputError(
        f"{place}: shape {list(shape)}, expected [N, {n}, 2] or [N, {n * 2}] for {joint_set.name} joints "
        f"([N, {n}, 3] or [N, {n * 3}] with confidence)"
    )


def unflatten(values: np.ndarray, size: int, numbers: int, layout: str) -> np.ndarray:
    """[n, J, numbers] of rows [n, J * numbers] in that layout, or of what has that shape already."""
    if values.ndim == 3:
        return values
    if layout == "planar":
        return values.reshape(-1, numbers, size).transpose(0, 2, 1)
    return values.reshape(-1, size, numbers)


def guess_layout(rows: Rows, joint_set: joints.JointSet, numbers: int, permutation: Sequence[int] | None = None) -> str:
    """'planar' or 'interleaved': where the bones are clearly shorter; raises `InputError` when nowhere."""
    starts = np.unique(np.linspace(0, max(len(rows) - 1, 0), _LAYOUT_ROWS).astype(int)) if len(rows) else []
    rows_read = [rows.read(start, start + 1) for start in starts]
    if not rows_read:
        return "interleaved"
    sample = np.concatenate(rows_read).astype(np.float64)
    child = [i for i, parent in enumerate(joint_set.parents) if parent >= 0]
    parent = [joint_set.parents[i] for i in child]
    lengths = {}
    for layout in ("planar", "interleaved"):
        poses = unflatten(sample, joint_set.size, numbers, layout)[..., :2]
        poses = poses if permutation is None else poses[:, list(permutation)]
        bones = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
        known = bones[np.isfinite(bones)]
        lengths[layout] = float(known.mean()) if len(known) else 0.0
    short, long = sorted(lengths, key=lambda layout: lengths[layout])
    if lengths[short] < _CLEARLY_SHORTER * lengths[long]:
        return short
    raise InputError(f"{rows.place}: rows may be planar (x..., y...) or interleaved (x0 y0 x1 ...); give --layout")


def is_videopose3d(path: pathlib.Path) -> bool:
    """Whether an archive is VideoPose3D's 2D: a dict of subjects under positions_2d."""
    inputs.check_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {"positions_2d.npy", "metadata.npy"} <= set(archive.namelist())
    except archives.DAMAGED as error:
        raise InputError(f"{path}: no .npz archive, or cut short ({error})") from None


def open_arrays(spec: Spec) -> PoseArrays:
    """Opens the file of a `inputs.Spec`; raises `InputError` when no array in it fits."""
    path = pathlib.Path(spec.path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if spec.key and suffix != ".npz":
        raise InputError(f"--key={spec.key}: {path} is no .npz")
    intrinsics = mask = provenance = None
    stated = spec.joints
    if suffix == ".npy":
        rows = array_rows.open_npy(path)
    elif suffix in (".csv", ".tsv", ".txt"):
        rows = array_rows.CsvRows(path)
        if joint_lines.is_long(rows):
            rows = joint_lines.JointLines(path)
    elif suffix == ".npz":
        arrays = array_rows.open_npz(path)
        rows = _choose(path, arrays, spec.key)
        intrinsics, mask = arrays.get("intrinsics"), arrays.get("joint_mask")
        if rows is arrays.get("poses_2d") and _are_labels(arrays):
            stated = stated or joints.POSE17.name
            provenance = arrays["provenance"] if stated == joints.POSE17.name and not spec.permutation else None
    else:
        raise InputError(f"{path}: expected an array, .npy, .npz or .csv")
    if not len(rows):
        raise InputError(f"{rows.place}: holds no pose")
    columns = None
    if isinstance(rows, array_rows.CsvRows) and rows.names:
        columns = csv_columns.find(rows.names, spec.joints, rows.place)
        if columns.joint_set and spec.permutation is not None:
            raise InputError(f"--permutation: {path} names its joints, which are read by their names")
    if columns is not None and columns.joint_set:
        joint_set = joints.joint_set(columns.joint_set)
    else:
        shape = rows.shape if columns is None else (len(rows), *columns.places.shape)
        joint_set = _joint_set(stated, rows.place, tuple(shape))
    joints.check_permutation(spec.permutation, joint_set.size)
    return PoseArrays(
        rows,
        joint_set,
        spec.layout,
        spec.permutation,
        spec.min_confidence,
        intrinsics,
        mask,
        None if columns is None else columns.places,
        spec.image_size,
        provenance,
    )


def _are_labels(arrays: Mapping[str, Rows]) -> bool:
    """Whether these are the arrays of a labels.npz that `generate.py` wrote."""
    return set(arrays) >= _OF_LABELS and all(
        arrays[name].shape == (len(arrays[name]), joints.POSE17.size, *tail)
        and len(arrays[name]) == len(arrays["poses_2d"])
        and arrays[name].dtype.kind in "fu"
        for name, tail in (("poses_2d", (2,)), ("poses_3d", (3,)), ("provenance", ()))
    )


def _choose(path: pathlib.Path, arrays: Mapping[str, Rows], key: str) -> Rows:
    if key:
        if key not in arrays:
            raise InputError(f"{path}: no array '{key}'; it has {', '.join(arrays) or 'none'}")
        return arrays[key]
    for name in _NAMES:
        if name in arrays:
            return arrays[name]
    poses = {name: rows for name, rows in arrays.items() if len(rows.shape) == 3 and rows.shape[2] in (2, 3)}
    poses = poses or {name: rows for name, rows in arrays.items() if len(rows.shape) == 2 and rows.shape[1] >= 2 * 13}
    if len(poses) != 1:
        raise InputError(f"{path}: which array holds the 2D poses? --key is one of {', '.join(arrays) or 'none'}")
    return next(iter(poses.values()))


def _joint_set(name: str, place: str, shape: tuple[int, ...]) -> joints.JointSet:
    if name:
        return joints.joint_set(name)
    fitting = [
        one.name
        for one in joints.JOINT_SETS.values()
        if one.name != _RARE and shape[1:] in {(one.size, 2), (one.size, 3), (one.size * 2,), (one.size * 3,)}
    ]
    if len(fitting) == 1:
        return joints.joint_set(fitting[0])
    sets = ", ".join(fitting or joints.JOINT_SETS)
    raise InputError(f"{place}: shape {list(shape)}; say whose joints these are with --joints, one of {sets}")
