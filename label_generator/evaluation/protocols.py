"""Evaluation protocols: motion capture seen by cameras under controlled conditions, every pose with its truth.

a       Human3.6M's cameras (seven subjects' placements), exact 2D, no lens distortion, four views of every frame
b2 b5 b10   the same with Gaussian noise of 2, 5, 10 px on the 2D
c       cameras unlike those of training: heights 0.3-4 m, pitch within 40 degrees, distances 2.5-9 m, fields of view
        30-90 degrees over 1000 px; intrinsics known
d       the pictures of c, intrinsics unknown
e       the pictures of a with the 14 joints that LSP labels; e_mpii and e_coco: those that MPII and COCO label
f_h36m f_3dhp f_smpl f_coco   c, each person's joints moved to where Human3.6M, MPI-INF-3DHP, SMPL and COCO have them
        (`training.skeletons`), in the pictures and in the truth; joints that those lack are not labelled
g       the pictures of a with the errors of a detector, as measured on a real one (`detections`); g_coco: of one of
        COCO's joints
h       the people of c in pictures of uncalibrated cameras (`pictures`), intrinsics assumed by the picture's size, as
        `generate.py --camera=auto` does; h_unknown: the same, nothing known

The joints that a source lacks are made from the labelled ones by the rules of `tools.pose.joints`.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from label_generator.evaluation import detections, pictures
from label_generator.training import skeletons
from tfrecords import reader
from tfrecords.conversion import placing
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.sources.mocap import Mocap
from tools.cli.errors import InputError
from tools.pose import joints
from tools.pose.cameras import intrinsics_from_size
from tools.pose.joints import POSE17

PROTOCOLS = (
    "a", "b2", "b5", "b10", "c", "d", "e", "e_mpii", "e_coco", "f_h36m", "f_3dhp", "f_smpl", "f_coco", "g",
    "g_coco", "h", "h_unknown",
)  # fmt: skip
_MOVED = {name: name[2:] for name in PROTOCOLS if name.startswith("f_")}
_IN_PICTURES = ("h", "h_unknown")
_WILD = ("c", "d", *_MOVED, *_IN_PICTURES)
_NOISE_PX = {"b2": 2.0, "b5": 5.0, "b10": 10.0}
_SOURCE_SETS = {"e": "lsp14", "e_mpii": "mpii16", "e_coco": "coco17", "g_coco": "coco17"}


@dataclasses.dataclass
class PoseSet:
    """Poses with their truth; n poses.

    Attributes:
      name: of the protocol or data.
      poses_2d: [n, 17, 2] px, NaN where missing. joint_mask: [n, 17] bool, labelled.
      intrinsics: [n, 4] px, NaN where unknown.
      poses_3d: [n, 17, 3] mm, root-relative truth. roots: [n, 3] mm; NaN where not known.
      right_2d: [n, 17, 2] px, the exact right view in the same camera; NaN where not known.
      actions, sequences: [n] texts; poses of one sequence are one person in neighbouring frames of one camera.
      people: [n] whose poses they are, in any values; None: not known.
    """

    name: str
    poses_2d: np.ndarray
    joint_mask: np.ndarray
    intrinsics: np.ndarray
    poses_3d: np.ndarray
    roots: np.ndarray
    right_2d: np.ndarray
    actions: np.ndarray
    sequences: np.ndarray
    people: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.poses_2d)


def check(name: str, cameras: str) -> None:
    """Raises `InputError` when there is no such protocol, or it needs cameras and no file of them is named."""
    if name not in PROTOCOLS:
        raise InputError(f"--protocol={name}: there are {', '.join(PROTOCOLS)}")
    if name not in _WILD and not cameras:
        raise InputError(
            f"--protocol={name}: needs Human3.6M's cameras; give cameras.h5 or the JSON of human36m-camera-parameters "
            "with --cameras"
        )


def build(
    name: str, motion: str | pathlib.Path, cameras: str = "", seed: int = 0, step: int = 1, split: str = "all"
) -> PoseSet:
    """The poses of a protocol.

    Args:
      name: one of `PROTOCOLS`.
      motion: motion capture as source mocap takes it.
      cameras: Human3.6M's camera file; the protocols made of a need it.
      seed: of placement, cameras and noise.
      step: every step-th frame.
      split: of source mocap.

    Raises:
      InputError: unknown protocol, or files that are not those.
    """
    check(name, cameras)
    wild = name in _WILD
    options = Options(split=split, cameras=cameras, cameras_style="wild" if wild else "h36m")
    source = open_source("mocap", motion, options)
    assert isinstance(source, Mocap)
    calibrated = {} if wild else placing.load_cameras(cameras, "mocap")
    parts: dict[str, list] = {field.name: [] for field in dataclasses.fields(PoseSet) if field.name != "name"}
    definition = skeletons.DEFINITIONS[_MOVED[name]] if name in _MOVED else None
    people, places = _people(source, measured=definition is not None)
    for clip, world in source.sequences():
        for view in range(placing.VIEWS):
            rng = placing.generator(seed, clip.number, view, wild)
            placed = placing.place_in_room(world, rng)
            if wild:
                camera = placing.wild_view(placed, view, rng)[2]
            else:
                camera = placing.room_camera(calibrated, view, rng)[1]
            if definition:
                placed = skeletons.moved_to(placed, definition, places[clip.number])
            projected = placing.view_from(placed, camera, 500.0)
            kept = np.flatnonzero(projected.nearest_mm > placing.NEAREST_MM)
            noise = rng.normal(0.0, 1.0, (len(kept), POSE17.size, 2)) * _NOISE_PX.get(name, 0.0)
            noise, kept = noise[::step], kept[::step]
            poses_2d = projected.poses_2d[kept] + noise
            if name in ("g", "g_coco"):
                mm = camera.intrinsics[:2] / projected.roots[kept][:, 2:]
                poses_2d = detections.with_errors(poses_2d, mm, rng)
            parts["poses_2d"].append(poses_2d.astype(np.float32))
            parts["poses_3d"].append(projected.poses_3d[kept])
            parts["roots"].append(projected.roots[kept])
            assert projected.right_2d is not None  # a baseline was given above
            parts["right_2d"].append(projected.right_2d[kept])
            parts["intrinsics"].append(np.tile(camera.intrinsics.astype(np.float32), (len(kept), 1)))
            parts["actions"].append(np.full(len(kept), clip.action, object))
            parts["sequences"].append(runs(kept // step, f"{clip.name} view {view}"))
            parts["people"].append(np.full(len(kept), people[clip.number]))
            parts["joint_mask"].append(np.ones((len(kept), POSE17.size), bool))
    whole = {field: np.concatenate(values) for field, values in parts.items()}
    if name in _IN_PICTURES:
        whole = _in_pictures(whole, np.random.default_rng(seed))
    if name in ("d", "h_unknown"):
        whole["intrinsics"] = np.full_like(whole["intrinsics"], np.nan)
    if name in _SOURCE_SETS:
        whole["poses_2d"], whole["joint_mask"] = as_labelled_by(whole["poses_2d"], _SOURCE_SETS[name])
    for joint in definition.lacks if definition else ():
        whole["joint_mask"][:, POSE17.index(joint)] = False
        whole["poses_2d"][:, POSE17.index(joint)] = np.nan
    return PoseSet(name, **whole)


def _in_pictures(whole: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The same people in pictures of unknown cameras; every picture is by another one, so that none are neighbours."""
    placed = pictures.placed_in_pictures(whole["poses_3d"].astype(np.float64), whole["roots"].astype(np.float64), rng)
    kept = pictures.nearest_mm(placed) > placing.NEAREST_MM
    whole |= {name: getattr(placed, name) for name in ("poses_3d", "roots", "poses_2d")}
    whole["intrinsics"] = intrinsics_from_size(np.tile(pictures.SIZE_PX, (len(kept), 1)))
    whole["right_2d"] = np.full_like(whole["poses_2d"], np.nan)
    whole["sequences"] = np.arange(len(kept)).astype(str).astype(object)
    return {name: values[kept] for name, values in whole.items()}


def _people(source: Mocap, measured: bool) -> tuple[dict[int, int], dict[int, skeletons.Places]]:
    """Clip number -> the number of its person, those of equal bones; and, if wanted, where the person's joints lie,
    measured on all of their clips."""
    clips, poses = zip(*source.sequences())
    numbers = np.repeat([clip.number for clip in clips], [len(part) for part in poses])
    poses = np.concatenate(poses)
    groups = skeletons.skeleton_groups(poses, numbers)
    people = dict(zip(numbers.tolist(), groups.tolist()))
    if not measured:
        return people, {}
    places = {group: skeletons.measure(poses[groups == group]) for group in np.unique(groups)}
    return people, {number: places[group] for number, group in people.items()}


def as_labelled_by(poses_2d: np.ndarray, source_set: str) -> tuple[np.ndarray, np.ndarray]:
    """Full poses [n, 17, 2] as another data set would give them: joints that it lacks made again from those it has.

    Returns:
      poses [n, 17, 2], labelled [n, 17] bool.
    """
    names = joints.joint_set(source_set)
    theirs, provenance = joints.convert(poses_2d, "pose17", source_set)
    if source_set == "coco17":
        # Motion capture has no face; where COCO's ears would be follows from the rule that makes Head of them.
        head, shoulders = poses_2d[:, POSE17.index("Head")], poses_2d[:, [POSE17.index(f"{s}Shoulder") for s in "LR"]]
        ears = (head + 0.6 * shoulders.mean(1)) / 1.6
        for name in ("LEar", "REar"):
            theirs[:, names.index(name)], provenance[:, names.index(name)] = ears, joints.LABELLED
    labelled = provenance == joints.LABELLED
    ours, provenance = joints.convert(theirs, source_set, "pose17", labelled)
    return ours, provenance == joints.LABELLED


def runs(frames: np.ndarray, name: str) -> np.ndarray:
    """[n] texts by which ascending frame numbers [n] fall into runs without a gap."""
    number = np.cumsum(np.r_[0, np.diff(frames) != 1]) if len(frames) else frames
    return np.array([f"{name} part {i}" for i in number], object)


def from_records(where: str, limit: int = 0) -> PoseSet:
    """The poses with 3D truth of TFRecords.

    Raises:
      InputError: no such records, or none of them has 3D.
    """
    fields = (
        "pose_2d",
        "provenance_2d",
        "intrinsics",
        "pose_3d",
        "root_3d",
        "right_2d",
        "action",
        "sequence",
        "frame",
        "camera",
        "person",
        "subject",
    )
    arrays = reader.load_arrays(where, fields, limit)
    has_truth = np.isfinite(arrays["pose_3d"]).any((1, 2))
    if not has_truth.any():
        raise InputError(f"{where}: none of its {len(has_truth):,} records has a 3D pose to compare with")
    arrays = {name: values[has_truth] for name, values in arrays.items()}
    return PoseSet(
        name=pathlib.Path(str(where)).name,
        poses_2d=arrays["pose_2d"],
        joint_mask=arrays["provenance_2d"] == joints.LABELLED,
        intrinsics=arrays["intrinsics"],
        poses_3d=arrays["pose_3d"],
        roots=arrays["root_3d"],
        right_2d=arrays["right_2d"],
        actions=arrays["action"],
        sequences=_record_runs(arrays),
        people=arrays["subject"],
    )


def _record_runs(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """[n] texts: records in a row of one clip, camera and person whose frames are equally far apart."""
    names = [arrays[field] for field in ("action", "sequence", "camera", "person")]
    step = np.diff(arrays["frame"])
    same = np.logical_and.reduce([name[1:] == name[:-1] for name in names]) & (step > 0)
    usual = np.median(step[same]) if same.any() else 1
    number = np.cumsum(np.r_[0, ~(same & (step == usual))])
    return np.array([f"{sequence} run {i}" for sequence, i in zip(arrays["sequence"], number)], object)
