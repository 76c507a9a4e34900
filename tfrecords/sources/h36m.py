"""Human3.6M's raw 3D: one record for each frame and camera."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tfrecords.conversion import clips, placing
from tfrecords.formats import arrays, unpickle
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.files import hdf5
from tools.pose.joints import JOINT_SETS, POSE17

_KEY = "3D_positions"
_FOLDERS = ("3d_positions", "d3_positions")
_NPZ_KEY = "positions_3d"
# Two actions have another name for one of the subjects.
_ALIASES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
# VideoPose3D's archive is in metres, everything else in millimetres.
_NPZ_UNIT_MM = 1000.0


class _Clip(NamedTuple):
    """Where one sequence is: a file, or a subject and a name within the archive."""

    subject: int
    name: str
    frames: int
    file: pathlib.Path


class Human36M(clips.MotionSource):
    """World positions of 32 joints, each frame seen by the subject's own four cameras."""

    info = Info(
        name="h36m",
        description="Human3.6M's raw 3D positions seen by its four cameras, exact 2D, no images",
        input="folder with <subject>/MyPoses/3D_positions/<action>.h5 (3d-pose-baseline's h36m.zip), or VideoPose3D's "
        "data_3d_h36m.npz; cameras with --cameras, or cameras.h5 in the folder",
        licence="Human3.6M's: academic use only, after registration",
        citation="Ionescu et al., Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human Sensing in "
        "Natural Environments, TPAMI 2014",
        splits=("all", "train", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        placing.check_style(options.cameras_style)
        self._level, self._wild = options.cameras_style == "level", options.cameras_style != "h36m"
        self._poses: dict[tuple[int, str], np.ndarray] = {}
        found = self._index_archive() if self.path.is_file() else self._index_folder()
        motions = [
            clips.Motion(
                number,
                f"S{clip.subject}",
                action_of(clip.name),
                clip.name,
                clip.frames,
                # The file within the input; an archive is the input itself.
                clip.file.relative_to(self.path).as_posix() if self.path.is_dir() else "",
                clips.h36m_split(clip.subject),
            )
            for number, clip in enumerate(found)
        ]
        self._files = {motion.number: clip for motion, clip in zip(motions, found)}
        chosen = [motion for motion in motions if self.split in ("all", motion.split)]
        self._cameras, self._camera_file = {}, options.cameras
        if not self._wild:
            beside = self.path / "cameras.h5"
            self._camera_file = options.cameras or (str(beside) if beside.is_file() else "")
            self._cameras = placing.load_cameras(self._camera_file, self.info.name)
            subjects = sorted({self._files[motion.number].subject for motion in chosen})
            placing.check_subjects(self._cameras, subjects, self._camera_file)
        self._set_motions(chosen, placing.views_of(options.cameras_style))

    def files(self) -> list[pathlib.Path]:
        found = sorted({self._files[motion.number].file for motion in self._motions})
        return found + ([pathlib.Path(self._camera_file)] if not self._wild else [])

    def _index_folder(self) -> list[_Clip]:
        found = []
        for file in clips.list_files(self.path, (".h5", ".hdf5", ".cdf"), self.info.input):
            if file.parent.name.lower() not in _FOLDERS or file.stem.startswith("_"):
                continue
            if file.suffix.lower() == ".cdf":
                raise InputError(f"{file}: a CDF file, expected .h5; convert it to '{_KEY}' [96, frames] first")
            numbers = [clips.subject_number(part) for part in reversed(file.absolute().parts[:-1])]
            subject = next((number for number in numbers if number is not None), None)
            if subject is None:
                raise InputError(f"{file}: no folder of its path is a subject, such as S9")
            found.append(_Clip(subject, file.stem.replace("_", " "), _h5_frames(file), file))
        if not found:
            raise InputError(f"{self.path}: no .h5 file in a folder 3D_positions; expected {self.info.input}")
        return sorted(found)

    def _index_archive(self) -> list[_Clip]:
        order = None
        for subject, actions in _read_archive(self.path).items():
            number = clips.subject_number(str(subject))
            if number is None or not isinstance(actions, dict):
                raise InputError(f"{self.path}: {_NPZ_KEY} has '{subject}', expected a dict of actions for S1, S5, ...")
            for name, positions in actions.items():
                place = f"{self.path}: {subject}/{name}"
                positions = np.asarray(positions)
                arrays.check_floating(positions.dtype, place)
                order = _order(positions.shape, place)
                # Only the 17 that are used stay in memory.
                self._poses[number, str(name)] = positions[:, order].astype(np.float32)
        if not self._poses:
            raise InputError(f"{self.path}: {_NPZ_KEY} holds no sequence")
        return [_Clip(*key, len(self._poses[key]), self.path) for key in sorted(self._poses)]

    def _load(self, motion: clips.Motion) -> tuple[np.ndarray, np.ndarray]:
        clip = self._files[motion.number]
        if self._poses:
            world = self._poses[clip.subject, clip.name].astype(np.float64) * (self.options.unit_mm or _NPZ_UNIT_MM)
        else:
            world = _read_h5(clip.file) * (self.options.unit_mm or 1.0)
        return world, clips.labelled()

    def _camera(self, motion: clips.Motion, view: int, world: np.ndarray) -> clips.Placed:
        if not self._wild:
            subject = self._files[motion.number].subject
            name = placing.camera_names(self._cameras, subject)[view]
            return world, name, self._cameras[subject, name], placing.picture_size(name)
        if self._level:
            return placing.level_view(world)
        rng = placing.generator(self.options.seed, motion.number, view, True)
        return placing.wild_view(world, view, rng)


def action_of(sequence: str) -> str:
    """The action of a sequence: 'SittingDown' for 'SittingDown 2', 'Photo' for 'TakingPhoto 1'."""
    action = re.sub(r"[ _]\d+$", "", sequence).replace(" ", "")
    return _ALIASES.get(action, action)


def _order(shape: tuple[int, ...], place: str) -> list[int]:
    """Where this project's joints are among the 32 or 17 of an array [frames, joints, 3]."""
    sets = {JOINT_SETS[name].size: JOINT_SETS[name] for name in ("h36m32", "h36m17")}
    if len(shape) != 3 or shape[1] not in sets or shape[2] != 3:
        raise InputError(f"{place}: shape {list(shape)}, expected [frames, 32, 3] or [frames, 17, 3]")
    return [sets[shape[1]].index(joint) for joint in POSE17.joints]


def _h5_frames(file: pathlib.Path) -> int:
    """How many frames the file has; raises `InputError` when it is not a file of positions."""
    with _open_h5(file) as content:
        return content.shape[1]


def _read_h5(file: pathlib.Path) -> np.ndarray:
    """Positions [frames, 17, 3] float64 in the file's unit."""
    joints = JOINT_SETS["h36m32"].size
    with _open_h5(file) as content:
        positions = hdf5.read(content, f"{file}: {_KEY}").astype(np.float64)
    positions = positions.T.reshape(-1, joints, 3)
    return positions[:, _order(positions.shape, str(file))]


@contextlib.contextmanager
def _open_h5(file: pathlib.Path) -> Iterator[Any]:
    """The data set of a file of positions."""
    rows = JOINT_SETS["h36m32"].size * 3
    with hdf5.open_file(file, f"a data set '{_KEY}' of positions") as content:
        data = content.get(_KEY)
        shape = getattr(data, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != rows:
            found = "none" if shape is None else f"shape {list(shape)}"
            raise InputError(f"{file}: expected a data set '{_KEY}' [{rows}, frames], found {found}")
        if not np.issubdtype(data.dtype, np.floating):
            raise InputError(f"{file}: {_KEY} holds {data.dtype}, expected floating numbers")
        hdf5.check(data, f"{file}: {_KEY}")
        yield data


def _read_archive(path: pathlib.Path) -> dict:
    """The dict of dicts in VideoPose3D's archive, read without running what a pickle may ask for."""
    content = unpickle.load_member(path, _NPZ_KEY, "VideoPose3D's data_3d_h36m.npz")
    if not isinstance(content, dict):
        raise InputError(f"{path}: {_NPZ_KEY} is no dict of subjects, expected VideoPose3D's data_3d_h36m.npz")
    return content
