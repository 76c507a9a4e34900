"""Motion capture: .npz archives of poses in the world, .bvh files, and .npz files of SMPL's family (AMASS)."""

from __future__ import annotations

import functools
import pathlib
import re

import numpy as np

from tfrecords.conversion import bvh_joints, clips, placing, smpl
from tfrecords.formats import arrays, bvh
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.files import checksums, inputs
from tools.pose import joints
from tools.pose.joints import JOINT_SETS, POSE17

# About one subject in ten is held out; which ones is decided by the hash of the name, so that it never changes.
_HELD_OUT = 0.1
# Subjects of the CMU data base who were captured together, so both are in one split.
_TOGETHER = (("18", "19"), ("20", "21"), ("22", "23"), ("33", "34"), ("60", "61"))
# Subjects of the CMU data base, as its files name them: 60_12, 060/060_12.
_CMU_NAME = re.compile(r"(?:.*/)?0*(\d+)_\d+[a-z]?")
# Units that motion files are seen to have: mm; metres; inches; centimetres; and CMU's, (1 / 0.45) inches.
_UNITS_MM = (1.0, 1000.0, 25.4, 10.0, 25.4 / 0.45)
# From the soles' joints to the top of the head along the bones: about 1.58 m for the subjects of the CMU data base.
_TALL_MM = (1150.0, 2050.0)
# Ankles are about this high above the floor.
_ANKLE_MM = 80.0


class Mocap(clips.MotionSource):
    """Motion capture in the world, seen by cameras put around it."""

    info = Info(
        name="mocap",
        description="motion capture seen by Human3.6M's cameras or by cameras in the wild, four views of each frame",
        input=".npz of [frames, 17, 3] arrays in mm, z up, Human3.6M's 17 joints, with <name>_index.json if there is "
        "one; a .bvh file; an .npz of AMASS or SMPL with joints, or with rotations and --body_model; or a folder of "
        ".bvh or of such .npz files. val: about a tenth of the subjects, by a hash of the name; "
        "subjects captured together stay together; unnamed: sequences whose subject is not known",
        licence="that of the input; CMU Graphics Lab Motion Capture Database: free for all uses, not to be resold",
        citation="for CMU data: obtained from mocap.cs.cmu.edu; created with funding from NSF EIA-0196217",
        splits=("all", "train", "val", "unnamed"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        placing.check_style(options.cameras_style)
        joints.check_permutation(options.permutation)
        self._level, self._wild = options.cameras_style == "level", options.cameras_style != "h36m"
        self._cameras = {} if self._wild else placing.load_cameras(options.cameras, self.info.name)
        if not self._wild:
            placing.check_subjects(self._cameras, placing.SUBJECTS, options.cameras)
        self._bvh: dict[str, pathlib.Path] = {}
        self._smpl: dict[str, smpl.SmplFile] = {}
        if self.path.suffix.lower() == ".npz" and smpl.is_smpl(self.path):
            motions = self._index_smpl([self.path], self.path.parent)
        elif self.path.suffix.lower() == ".npz":
            motions = self._index_archive()
        elif self.path.is_dir() and (found := _smpl_files(self.path)):
            motions = self._index_smpl(found, self.path)
        else:
            motions = self._index_bvh()
        self._set_motions(
            [motion for motion in motions if self.split in ("all", motion.split or "unnamed")],
            placing.views_of(options.cameras_style),
        )

    def files(self) -> list[pathlib.Path]:
        own = [*self._bvh.values(), *(file.path for file in self._smpl.values())]
        own += [pathlib.Path(self.options.body_model)] if self._smpl and self.options.body_model else []
        found = own or [self.path, *(path for path in [_index_path(self.path)] if path.is_file())]
        return found + ([] if self._wild else [pathlib.Path(self.options.cameras)])

    def _index_archive(self) -> list[clips.Motion]:
        self._archive = arrays.Archive(self.path)
        self._order, entries = _read_index(_index_path(self.path))
        if self.options.permutation is not None:
            self._order = list(self.options.permutation)
        motions = []
        for number, name in enumerate(sorted(self._archive.shapes)):
            shape = self._archive.shapes[name]
            if len(shape) != 3 or shape[1:] != (POSE17.size, 3):
                raise InputError(f"{self.path}: {name} has shape {list(shape)}, expected [frames, {POSE17.size}, 3]")
            entry = entries.get(name, {})
            # The index counts people from 1; 0 stands for people without a name.
            subject = str(entry["subject"] or "") if "subject" in entry else cmu_subject(name)
            action = str(entry.get("description", ""))
            motions.append(clips.Motion(number, subject, action, name, shape[0], split=split_of(subject)))
        if not motions:
            raise InputError(f"{self.path}: no array in it, expected [frames, {POSE17.size}, 3] for each sequence")
        return motions

    def _index_bvh(self) -> list[clips.Motion]:
        if self.path.is_file() and self.path.suffix.lower() == ".bvh":
            found, root = [self.path], self.path.parent
        elif self.path.is_file():
            raise InputError(f"{self.path}: expected {self.info.input}")
        else:
            found, root = clips.list_files(self.path, (".bvh",), self.info.input), self.path
        motions = []
        for number, file in enumerate(found):
            relative = file.relative_to(root)
            name = relative.with_suffix("").as_posix()
            skeleton = bvh.read_skeleton(file)
            unit_mm(skeleton, bvh_joints.map_joints(skeleton, file), self.options.unit_mm, file)
            subject = cmu_subject(name) or (relative.parts[0] if len(relative.parts) > 1 else "")
            place = relative.as_posix()
            motions.append(clips.Motion(number, subject, "", name, skeleton.frames, place, split_of(subject)))
            self._bvh[name] = file
        return motions

    def _index_smpl(self, found: list[pathlib.Path], root: pathlib.Path) -> list[clips.Motion]:
        motions = []
        for number, path in enumerate(found):
            relative, file = path.relative_to(root), smpl.open_file(path)
            name = relative.with_suffix("").as_posix()
            # AMASS has a folder for each data set, and in it one for each subject.
            subject = cmu_subject(name) or relative.parent.as_posix().removeprefix(".")
            motions.append(clips.Motion(number, subject, "", name, file.frames, relative.as_posix(), split_of(subject)))
            self._smpl[name] = file
        return motions

    def _load(self, motion: clips.Motion) -> tuple[np.ndarray, np.ndarray]:
        if self._smpl:
            return read_smpl(self._smpl[motion.name], self.options.body_model, self.options.unit_mm)
        if self._bvh:
            return read_bvh(self._bvh[motion.name], self.options.unit_mm)
        world = self._archive.read(motion.name).astype(np.float64)[:, self._order]
        return world * (self.options.unit_mm or 1.0), clips.labelled()

    def _camera(self, motion: clips.Motion, view: int, world: np.ndarray) -> clips.Placed:
        if self._level:
            return placing.level_view(world)
        rng = placing.generator(self.options.seed, motion.number, view, self._wild)
        placed = placing.place_in_room(world, rng)
        if not self._wild:
            name, camera = placing.room_camera(self._cameras, view, rng)
            return placed, name, camera, placing.picture_size(camera.name)
        return placing.wild_view(placed, view, rng)


def cmu_subject(name: str) -> str:
    """'60' for the CMU data base's names '60_12' and '060/060_12', else ''."""
    match = _CMU_NAME.fullmatch(name)
    return match[1] if match else ""


def split_of(subject: str) -> str:
    """'train' or 'val', the same whatever else is in the data set; '' for a subject without a name."""
    if not subject:
        return ""
    group = next(("+".join(group) for group in _TOGETHER if subject in group), subject)
    share = int(checksums.of_text(f"mocap:{group}")[:8], 16) / 2**32
    return "val" if share < _HELD_OUT else "train"


def read_bvh(path: pathlib.Path, unit: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A .bvh file as poses ``[F, 17, 3]`` float64 mm, z up, with the lowest ankle 80 mm above the floor.

    Args:
      unit: millimetres in the file's unit; 0: guessed from the body's size.

    Returns:
      (poses, provenance [17]).

    Raises:
      InputError: a malformed file, joints that are not found, a unit that can't be guessed.
    """
    skeleton, motion = bvh.read(path)
    mapping = bvh_joints.map_joints(skeleton, path)
    poses = mapping.poses(bvh.forward_kinematics(skeleton, motion)) * unit_mm(skeleton, mapping, unit, path)
    return _on_the_floor(poses), mapping.provenance


def read_smpl(file: smpl.SmplFile, body_model: str = "", unit: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """As `read_bvh`, of a file of SMPL's family (`conversion.smpl`)."""
    mapping = smpl.mapping(file.path)
    poses = mapping.poses(smpl.read(file, body_model))
    if len(poses):
        poses *= _unit_of_body(poses[0], unit, file.path)
    return _on_the_floor(poses), mapping.provenance


def _on_the_floor(poses: np.ndarray) -> np.ndarray:
    """Poses with z up, the lowest ankle as high as ankles are."""
    if _up_axis(poses) == 1:
        poses = np.stack([poses[..., 0], -poses[..., 2], poses[..., 1]], axis=-1)
    ankles = poses[:, [POSE17.index("RFoot"), POSE17.index("LFoot")], 2]
    if np.isfinite(ankles).any():
        poses[..., 2] += _ANKLE_MM - np.nanmin(ankles)
    return poses


def _smpl_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files of SMPL's family below a folder, sorted; none where there are .bvh files."""
    files = [path for path in sorted(folder.rglob("*")) if not path.name.startswith(".") and path.is_file()]
    if any(path.suffix.lower() == ".bvh" for path in files):
        return []
    return [path for path in files if path.suffix.lower() == ".npz" and smpl.is_smpl(path)]


def unit_mm(skeleton: bvh.Skeleton, mapping: bvh_joints.Mapping, unit: float, path: pathlib.Path) -> float:
    """Millimetres in the file's unit: `unit` if it is given, else the usual one that makes the body a person's size.

    Raises:
      InputError: none of the usual units does, or `unit` is negative.
    """
    return _unit_of_body(mapping.poses(skeleton.rest()[None])[0], unit, path)


def _unit_of_body(pose: np.ndarray, unit: float, path: pathlib.Path) -> float:
    """See `unit_mm`; pose: [17, 3]."""
    if unit < 0 or not np.isfinite(unit):
        raise InputError(f"--unit_mm={unit:g}: expected a positive number, or 0 to guess")
    if unit:
        return unit
    place = dict(zip(POSE17.joints, pose))
    chains = [("Hip", "Spine", "Thorax", "Neck/Nose", "Head"), ("RFoot", "RKnee", "RHip"), ("LFoot", "LKnee", "LHip")]
    trunk, right, left = (
        sum(np.linalg.norm(place[a] - place[b]) for a, b in zip(chain, chain[1:])) for chain in chains
    )
    tall = trunk + (right + left) / 2
    fitting = [candidate for candidate in _UNITS_MM if _TALL_MM[0] <= tall * candidate <= _TALL_MM[1]]
    if not fitting:
        raise InputError(
            f"{path}: the body is {tall:.4g} units tall, which no usual unit makes a person; say with --unit_mm how "
            "many millimetres a unit has"
        )
    return fitting[0]


def _up_axis(poses: np.ndarray) -> int:
    """2 when heads are mostly above feet along z, else 1: motion files are y up but for Blender's and some others."""
    index = functools.partial(POSE17.index)
    body = poses[:, index("Head")] - (poses[:, index("RFoot")] + poses[:, index("LFoot")]) / 2
    body = body[np.isfinite(body).all(-1)]
    mean = body.mean(0) if len(body) else np.zeros(3)
    return 2 if mean[2] > abs(mean[1]) else 1


def _index_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.stem}_index.json")


def _read_index(path: pathlib.Path) -> tuple[list[int], dict]:
    """Order of the joints (ours -> the archive's) and the sequences' entries; Human3.6M's order without an index."""
    names, entries = list(JOINT_SETS["h36m17"].joints), {}
    if path.is_file():
        try:
            index = inputs.read_json(path)
            names, entries = list(index.get("joints", names)), dict(index.get("sequences", {}))
            unit, axes = str(index.get("unit", "mm")), str(index.get("axes", "z up"))
            if not all(isinstance(entry, dict) for entry in entries.values()):
                raise TypeError
            if not all(isinstance(name, str) for name in names):
                raise TypeError
        except (TypeError, AttributeError):
            raise InputError(f"{path}: expected a JSON object with joints, unit, axes and sequences by name") from None
        if unit != "mm" or not axes.startswith("z up"):
            raise InputError(f"{path}: unit {unit}, axes '{axes}'; expected mm, z up")
        if sorted(names) != sorted(POSE17.joints):
            raise InputError(f"{path}: joints are {', '.join(names)}; expected {', '.join(POSE17.joints)} in any order")
    return [names.index(joint) for joint in POSE17.joints], entries
