"""Joints of SMPL's family of body models in `.npz` files: AMASS, and what pose estimators write.

No body model comes with this project, and none is needed where a file has joints. Read are, in this order:

1. `joints` (or `joints_3d`, `Jtr`, `smpl_joints`) [F, J, 3]: the first 22 of any number in SMPL's order, which SMPL,
   SMPL+H and SMPL-X share;
2. axis-angle rotations: `poses` [F, 66 or more], or `root_orient` [F, 3] and `pose_body` [F, 63], with `trans` [F, 3];
   they turn the bones of a body at rest, whose joints are
   a. `rest_joints` (or `J`) [J, 3] of the file itself, or
   b. of a body model in `.npz` that the user has a licence for (`v_template`, `shapedirs`, `J_regressor`), shaped by
      the file's `betas`.

Hands, face, soft-tissue coefficients and marker arrays are not read. Lengths are metres as a rule; the unit is told
from the body's size.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from tfrecords.conversion import bvh_joints
from tfrecords.formats import arrays
from tfrecords.formats.bvh import Skeleton
from tools.cli.errors import InputError, first_line
from tools.files import archives

NAMES = (
    "Pelvis", "L_Hip", "R_Hip", "Spine1", "L_Knee", "R_Knee", "Spine2", "L_Ankle", "R_Ankle", "Spine3", "L_Foot",
    "R_Foot", "Neck", "L_Collar", "R_Collar", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist",
    "R_Wrist",
)  # fmt: skip
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
BODY = len(NAMES)
_JOINTS = ("joints", "joints_3d", "Jtr", "jtr", "smpl_joints")
_REST = ("rest_joints", "J")
_MODEL = ("v_template", "shapedirs", "J_regressor")
_MOST_VERTICES, _MOST_SHAPES = 20_000, 1_000


@dataclasses.dataclass(frozen=True)
class SmplFile:
    """A motion of one person.

    Attributes:
      path: the file. frames: how many. kind: name of the array of joints, or 'poses'.
      fps: frames a second, 0 where the file does not say.
    """

    path: pathlib.Path
    frames: int
    kind: str
    fps: float


def is_smpl(path: str | os.PathLike) -> bool:
    """Whether an `.npz` has what `open_file` reads, by the names of its arrays."""
    with archives.open_zip(path) as content:
        names = {name.removesuffix(".npy") for name in content.namelist()}
    return bool(names & set(_JOINTS)) or {"poses", "trans"} <= names or {"root_orient", "pose_body", "trans"} <= names


def open_file(path: pathlib.Path) -> SmplFile:
    """What the headers say; raises `InputError` when it is no such file."""
    shapes = _shapes(path)
    for name in _JOINTS:
        if name in shapes:
            shape = shapes[name]
            if len(shape) != 3 or shape[1] < BODY or shape[2] != 3:
                raise InputError(f"{path}: {name} has shape {list(shape)}, expected [frames, {BODY} or more, 3]")
            return SmplFile(path, shape[0], name, _fps(path, shapes))
    poses = shapes.get("poses", ())
    if "poses" in shapes and (len(poses) != 2 or poses[1] < 3 * BODY):
        raise InputError(f"{path}: poses has shape {list(poses)}, expected [frames, {3 * BODY} or more]")
    rotations = shapes.get("poses") or shapes.get("pose_body")
    if not rotations:
        raise InputError(f"{path}: no array of numbers poses or pose_body")
    frames = rotations[0]
    for name, columns in (("trans", 3), ("root_orient", 3), ("pose_body", 63)):
        if (name == "trans" or "poses" not in shapes) and shapes.get(name) != (frames, columns):
            raise InputError(f"{path}: no array {name} [{frames}, {columns}]")
    return SmplFile(path, frames, "poses", _fps(path, shapes))


def read(file: SmplFile, body_model: str = "") -> np.ndarray:
    """The 22 joints of all frames, float64 [F, 22, 3] in the file's unit and axes.

    Args:
      body_model: `.npz` of a body model, for files with rotations alone; ''.

    Raises:
      InputError: damaged arrays, or rotations without a body to turn.
    """
    if file.kind != "poses":
        return _read(file.path, [file.kind])[file.kind][:, :BODY].astype(np.float64)
    shapes = _shapes(file.path)
    names = ["trans", *(["poses"] if "poses" in shapes else ["root_orient", "pose_body"])]
    rest = next((name for name in _REST if name in shapes), "")
    names += [rest] * bool(rest) + ["betas"] * ("betas" in shapes)
    content = _read(file.path, names)
    rotations = content["poses"] if "poses" in content else np.c_[content["root_orient"], content["pose_body"]]
    rotations = rotations[:, : 3 * BODY].reshape(-1, BODY, 3).astype(np.float64)
    if rest:
        body = content[rest]
        if body.ndim != 2 or len(body) < BODY or body.shape[1] != 3:
            raise InputError(f"{file.path}: {rest} has shape {list(body.shape)}, expected [{BODY} or more, 3]")
    elif body_model:
        body = rest_joints(body_model, content.get("betas", np.zeros(0)))
    else:
        raise InputError(
            f"{file.path}: rotations without joints; a body is needed to turn: --body_model=FILE.npz, of SMPL, SMPL+H "
            "or SMPL-X (v_template, shapedirs, J_regressor), or the file's own rest_joints"
        )
    return forward(body[:BODY].astype(np.float64), rotations, content["trans"].astype(np.float64))


def rest_joints(path: str | os.PathLike, betas: np.ndarray) -> np.ndarray:
    """Joints [J, 3] of a body model at rest, shaped by as many coefficients as both have; see SMPL's equation 10."""
    path = pathlib.Path(path)
    if path.suffix.lower() != ".npz":
        raise InputError(f"--body_model={path}: expected an .npz; pickled models hold code of other packages")
    shapes = _shapes(path)
    missing = [name for name in _MODEL if name not in shapes]
    if missing:
        raise InputError(f"--body_model={path}: no array {missing[0]}; expected {', '.join(_MODEL)}")
    vertices = shapes["v_template"][0] if shapes["v_template"] else 0
    joints = shapes["J_regressor"][0] if shapes["J_regressor"] else 0
    fits = shapes["v_template"] == (vertices, 3) and shapes["J_regressor"] == (joints, vertices)
    shape = shapes["shapedirs"]
    if not fits or len(shape) != 3 or shape[:2] != (vertices, 3) or joints < BODY:
        raise InputError(f"--body_model={path}: v_template, shapedirs and J_regressor do not fit each other")
    if vertices > _MOST_VERTICES or shape[2] > _MOST_SHAPES:
        raise InputError(
            f"--body_model={path}: {vertices:,} vertices and {shape[2]:,} shapes, more than any such model"
        )
    model = _read(path, _MODEL)
    coefficients = np.asarray(betas, np.float64).ravel()[: shape[2]]
    shaped = model["v_template"] + model["shapedirs"][..., : len(coefficients)].astype(np.float64) @ coefficients
    return model["J_regressor"].astype(np.float64) @ shaped


def forward(rest: np.ndarray, rotations: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Places of joints: each bone of the body at rest turned by the rotations of all joints above it.

    Args:
      rest: [22, 3]. rotations: [F, 22, 3] axis-angle, radians, each in its parent's axes. trans: [F, 3].
    """
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_rotvec(rotations.reshape(-1, 3)).as_matrix().reshape(*rotations.shape[:2], 3, 3)
    places = np.empty_like(rotations)
    places[:, 0] = rest[0] + trans
    for joint in range(1, BODY):
        parent = PARENTS[joint]
        places[:, joint] = places[:, parent] + turned[:, parent] @ (rest[joint] - rest[parent])
        turned[:, joint] = turned[:, parent] @ turned[:, joint]
    return places


def mapping(path: pathlib.Path) -> bvh_joints.Mapping:
    """How the 17 are made of the 22: by their names, as in motion files."""
    tree = Skeleton(NAMES, PARENTS, np.zeros((BODY, 3)), (False,) * BODY, ((),) * BODY, 0, 0.0)
    return bvh_joints.map_joints(tree, path)


def _shapes(path: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of numbers; texts such as `gender` are left out."""
    shapes = {}
    with archives.open_zip(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                name = member.filename[:-4]
                try:
                    header = arrays.member_header(archive, member, f"{path}: {name}")
                except arrays.ObjectArray:  # AMASS has some too
                    continue
                if header.dtype.kind in "fiu":
                    shapes[name] = header.shape
    return shapes


def _read(path: pathlib.Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays by name; raises `InputError` for damage and for numbers that are not finite."""
    result = {}
    try:
        with np.load(path, allow_pickle=False) as content:
            for name in names:
                result[name] = content[name]
    except (*archives.DAMAGED, TypeError, SyntaxError, KeyError) as error:
        reason = first_line(error)
        raise InputError(f"{path}: damaged ({reason})") from None
    for name, array in result.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} has numbers that are not finite")
    return result


def _fps(path: pathlib.Path, shapes: dict[str, tuple[int, ...]]) -> float:
    for name in ("mocap_framerate", "mocap_frame_rate", "fps"):
        if shapes.get(name) in ((), (1,)):
            rate = float(np.ravel(_read(path, [name])[name])[0])
            return rate if 0 < rate < 10_000 else 0.0
    return 0.0
