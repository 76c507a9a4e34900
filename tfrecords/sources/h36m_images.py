"""Human3.6M as the image network's code has it: cropped frames, and annotations in HDF5.

`annot_train.h5` and `annot_val.h5` hold id, joint_2d [N, 16, 2], joint_3d_mono [N, 16, 3], bbox [N, 4], subject,
action, subaction, camera and istrain; the frames of 224 x 224 px lie at
``s_SS_act_AA_subact_BB_ca_CC/s_SS_act_AA_subact_BB_ca_CC_%06d.jpg``.

The 16 joints were taken from Human3.6M's 17 by the indices 3 2 1 4 5 6 0 7 8 10 16 15 14 11 12 13. So joint 7 is Spine,
though code that calls it MPII's thorax reads it; 8 is Thorax, 9 Head; Neck/Nose was left out and is made here.

`joint_2d` is in px of the crop; `bbox`, the crop in the whole frame, is not needed for that. `joint_3d_mono` is in mm
and camera axes, with the place of the person when the file has it. The camera of a crop is not Human3.6M's, so records
carry its name and no intrinsics.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.people import with_image
from tfrecords.formats import images
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tools.cli.errors import InputError
from tools.files import hdf5
from tools.pose import bounds, joints

BAD_2D = "2D joint that is not a number"
BAD_3D = "3D joint that is not a number"

# joint i of the file is joint H36M17_OF_16[i] of Human3.6M's 17
H36M17_OF_16 = np.array([3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13])
_ACTION_NAMES = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether"),
)
# Human3.6M's numbers; 1 is the calibration take
ACTIONS = dict(enumerate(_ACTION_NAMES, start=2))
CAMERAS = {1: "54138969", 2: "55011271", 3: "58860488", 4: "60457274"}
CROP = 224  # px
_SHAPES = {"joint_2d": (16, 2), "joint_3d_mono": (16, 3)}
_NUMBERS = ("id", "subject", "action", "subaction", "camera", "istrain")
_CHUNK = 512
# A root nearer than this to the origin is the origin: the file has relative poses.
_NO_PLACE_MM = 1.0


class Human36MImages(Source):
    """Frames of the annotation files, in their order.

    Splits follow `istrain`; a subject that is in both is an error.
    """

    info = Info(
        name="h36m_images",
        description="Human3.6M crops with 2D and 3D poses, as the image network's code has them",
        input="the folder with annot_train.h5 and annot_val.h5, or one such file; frames in images/ beside them, in "
        "the folder itself, or by --images",
        licence="Human3.6M licence: academic use only, by registration; the data may not be passed on",
        citation="Ionescu et al.: Human3.6M, TPAMI 2014; format of Zhou et al.: Towards 3D Human Pose Estimation in "
        "the Wild: a Weakly-supervised Approach, ICCV 2017",
        splits=(labels.ALL, labels.TRAIN, labels.VAL),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without annotation files or frames, or when a file is not as its format says."""
        super().__init__(path, options)
        self._files = sorted(self.path.glob("annot_*.h5")) if self.path.is_dir() else [self.path]
        if not self._files or not self._files[0].is_file():
            raise InputError(f"{self.path}: no annot_*.h5; expected {self.info.input}")
        self._index = [_read_index(file) for file in self._files]
        self._check_subjects()
        places = []
        for number, index in enumerate(self._index):
            wanted = np.ones(len(index["id"]), bool)
            if self.split != labels.ALL:
                wanted = (index["istrain"] == 1) == (self.split == labels.TRAIN)
            rows = np.flatnonzero(wanted)
            places.append(np.stack([np.full(len(rows), number), rows], 1))
        self._places = np.concatenate(places)
        folder = self._files[0].parent
        self._pictures = images.open_pictures(
            options, [folder / "images", folder], lambda name: name.startswith("s_") and "_act_" in name
        )

    def _check_subjects(self) -> None:
        train, val = (
            {int(s) for index in self._index for s in index["subject"][(index["istrain"] == 1) == wanted]}
            for wanted in (True, False)
        )
        if train & val:
            both = ", ".join(f"S{subject}" for subject in sorted(train & val))
            raise InputError(f"{self.path}: istrain puts {both} into both splits")

    def __len__(self) -> int:
        return len(self._places)

    def files(self) -> Sequence[pathlib.Path]:
        """The annotation files."""
        return self._files

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order."""
        places = self._places[np.asarray(numbers, np.int64)]
        for start in range(0, len(places), _CHUNK):
            chunk = places[start : start + _CHUNK]
            for number in np.unique(chunk[:, 0]):
                rows = chunk[chunk[:, 0] == number, 1]
                with hdf5.open_file(self._files[number], "an annotation file") as file:
                    # One contiguous read: HDF5 is slow on lists of rows.
                    first, last = rows.min(), rows.max() + 1
                    poses = [file[key][first:last][rows - first].astype(np.float64) for key in _SHAPES]
                yield from self._chunk(number, rows, *poses)

    def _chunk(self, number: int, rows: np.ndarray, flat: np.ndarray, deep: np.ndarray) -> Iterator[PoseRecord | Skip]:
        usable_2d, usable_3d = (
            np.array([labels.number_array(pose, *poses.shape[1:]) is not None for pose in poses], bool)
            for poses in (flat, deep)
        )
        flat, deep = np.where(usable_2d[:, None, None], flat, 0), np.where(usable_3d[:, None, None], deep, 0)
        poses_2d, provenance_2d = joints.convert(_as_h36m17(flat), "h36m17")
        poses_3d, provenance_3d = joints.convert(_as_h36m17(deep), "h36m17")
        roots = poses_3d[:, joints.POSE17.root].copy()
        index = self._index[number]
        for i, row in enumerate(rows.tolist()):
            subject, action, subaction, camera, frame = (
                int(index[key][row]) for key in ("subject", "action", "subaction", "camera", "id")
            )
            clip = f"s_{subject:02d}_act_{action:02d}_subact_{subaction:02d}_ca_{camera:02d}"
            name = f"{clip}/{clip}_{frame:06d}.jpg"
            if not (usable_2d[i] and usable_3d[i]):
                yield Skip(BAD_3D if usable_2d[i] else BAD_2D, f"{self._files[number]}: row {row}, {name}")
                continue
            if out := bounds.problem(poses_2d[i]) or bounds.problem_3d(poses_3d[i] - roots[i]):
                yield Skip(out, f"{self._files[number]}: row {row}, {name}")
                continue
            placed = np.linalg.norm(roots[i]) >= _NO_PLACE_MM
            record = PoseRecord(
                dataset=self.info.name,
                split=labels.TRAIN if index["istrain"][row] == 1 else labels.VAL,
                subject=f"S{subject}",
                action=ACTIONS.get(action, f"act_{action:02d}"),
                sequence=clip,
                frame=frame,
                file=name,
                pose_2d=poses_2d[i],
                provenance_2d=provenance_2d[i],
                pose_3d=poses_3d[i] - roots[i],
                provenance_3d=provenance_3d[i],
                root_3d=roots[i] if placed else None,
                camera=CAMERAS.get(camera, f"ca_{camera:02d}"),
                # The crop was cut around the person: it is the box.
                box=(0, 0, CROP, CROP),
                image_size=(CROP, CROP),
            )
            yield with_image(record, self._pictures)


def _as_h36m17(poses: np.ndarray) -> np.ndarray:
    """[N, 16, D] as [N, 17, D] in Human3.6M's order, NaN at Neck/Nose."""
    full = np.full((len(poses), 17, poses.shape[-1]), np.nan)
    full[:, H36M17_OF_16] = poses
    return full


def _read_index(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The small columns of an annotation file; raises `InputError` when a column is missing or misshapen."""
    with hdf5.open_file(path, "an annotation file") as file:
        missing = [key for key in (*_NUMBERS, *_SHAPES) if key not in file]
        if missing:
            raise InputError(f"{path}: no array {', '.join(missing)}; expected {', '.join((*_NUMBERS, *_SHAPES))}")
        for key in (*_NUMBERS, *_SHAPES):
            hdf5.check(file[key], f"{path}: {key}")
        count = len(file["id"])
        for key, shape in _SHAPES.items():
            if file[key].shape != (count, *shape) or file[key].dtype.kind not in "iuf":
                want = " x ".join(map(str, (count, *shape)))
                raise InputError(f"{path}: {key} must be {want}, is {' x '.join(map(str, file[key].shape))}")
        index = {key: hdf5.read(file[key], f"{path}: {key}").reshape(-1) for key in _NUMBERS}
    for key, column in index.items():
        if len(column) != count or labels.number_array(column, count) is None:
            raise InputError(f"{path}: {key} must be {count} numbers")
    return index
