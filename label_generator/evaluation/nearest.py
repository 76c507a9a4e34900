"""How far poses are from the nearest pose of other motion capture, and their errors by that distance.

Whether a network fails because it saw too few poses shows in this: errors that grow with the distance from its training
poses ask for more motion capture, errors that do not ask for another network.
"""

from __future__ import annotations

import pathlib

import numpy as np

from label_generator.evaluation.errors import Evaluated
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.sources.mocap import Mocap
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

_LIMBS = [POSE17.index(side + name) for side in "RL" for name in ("Knee", "Foot", "Elbow", "Wrist")]
_BEFORE = [POSE17.parents[joint] for joint in _LIMBS]
_AT_ONCE = 256
_PARTS = 5


def limb_directions(poses_3d: np.ndarray) -> np.ndarray:
    """Directions of the eight upper and lower limbs in the trunk's frame: [n, 8, 3] float32 unit vectors.

    Args:
      poses_3d: [n, 17, 3] in any unit, place and orientation. NaN joints make NaN directions.
    """
    poses = np.asarray(poses_3d, np.float64)
    up = _unit(poses[:, POSE17.index("Thorax")] - poses[:, POSE17.index("Hip")])
    across = poses[:, POSE17.index("LHip")] - poses[:, POSE17.index("RHip")]
    across = _unit(across - (across * up).sum(-1, keepdims=True) * up)
    frame = np.stack([across, up, np.cross(across, up)], 1)
    return np.einsum("nij,nbj->nbi", frame, _unit(poses[:, _LIMBS] - poses[:, _BEFORE])).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def of_motion(path: str | pathlib.Path) -> np.ndarray:
    """`limb_directions` of all poses of a file of motion capture, and of their mirror images.

    Raises:
      InputError: no motion capture of source mocap, or no pose in it.
    """
    source = open_source("mocap", path, Options(cameras_style="wild"))
    assert isinstance(source, Mocap)
    parts = []
    for _, world in source.sequences():
        mirrored = np.asarray(world)[:, POSE17.mirror] * np.array([-1.0, 1.0, 1.0])
        parts += [limb_directions(world), limb_directions(mirrored)]
    known = np.concatenate(parts) if parts else np.zeros((0, len(_LIMBS), 3), np.float32)
    known = known[np.isfinite(known).all((1, 2))]
    if not len(known):
        raise InputError(f"{path}: no whole pose in it")
    return known


def degrees(poses_3d: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Angle to the most similar known pose: [n] degrees, NaN where a joint is missing.

    It is the angle whose cosine is the mean cosine between the two poses' limbs.

    Args:
      poses_3d: [n, 17, 3]. known: [m, 8, 3] of `of_motion`.
    """
    asked = limb_directions(poses_3d).reshape(len(poses_3d), -1)
    columns = known.reshape(len(known), -1).T
    cosines = np.full(len(asked), np.nan)
    for start in range(0, len(asked), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        cosines[rows] = (asked[rows] @ columns).max(1) / len(_LIMBS)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def table(result: Evaluated, distances: np.ndarray) -> str:
    """A Markdown table of the errors by fifths of the distances [n] degrees; poses without either are left out."""
    errors = [result.errors[name] for name in ("mpjpe", "p_mpjpe", "n_mpjpe")]
    rows = np.flatnonzero(np.isfinite([distances, *errors]).all(0))
    lines = ["| degrees to the nearest pose, median | poses | MPJPE | P-MPJPE | N-MPJPE |", "|---|---|---|---|---|"]
    for part in np.array_split(rows[np.argsort(distances[rows], kind="stable")], min(_PARTS, max(len(rows), 1))):
        if len(part):
            cells = [f"{np.median(distances[part]):.1f}", f"{len(part):,}", *(f"{e[part].mean():.1f}" for e in errors)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
