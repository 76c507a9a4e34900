"""Your own photographs with key points: a folder or tar of pictures and one .npz that names them.

The .npz holds
  files      [n] text: the picture of each person, by its name in the folder or tar; a name may repeat, for several
             people in one picture
  joints     [n, J, 3] or [n, J, 2] px, x right, y down, from the upper left corner of the stored picture; the third
             number is 1 (or a confidence above 0) where the joint was labelled; NaN, or a third number of 0, where not
  joint_set  text, optional: which set the J joints are (docs/joints.md); without it 14 joints are LSP's, 16 MPII's,
             33 MediaPipe's
  boxes      [n, 4] px, optional: x, y of the upper left corner, width, height; NaN where unknown
Other arrays are passed over.
A file called ..._train.npz, ..._val.npz and so on is of that split; else one picture in ten is 'val', by its name.
"""

from __future__ import annotations

import pathlib

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import arrays as npy_files
from tfrecords.formats import images
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.pose import joints

BAD_JOINTS = "joint that is not a number"
NO_NAME = "person without a picture's name"
# Sets that follow from their number of joints; sets of 17 and 18 are several.
_SETS = {14: "lsp14", 16: "mpii16", 33: "mediapipe33"}
# _joints at the end of a name is no part of what its pictures are called.
_ENDS = ("_joints", "_keypoints", "_labels")


class Photos(PeopleSource):
    """One record a row of the .npz."""

    info = Info(
        name="photos",
        description="your own photographs with 2D key points in an .npz",
        input="NAME.npz or NAME_joints.npz with files [n] and joints [n, J, 3]; pictures in NAME/, NAME.tar or images/ "
        "beside it, or by --images",
        licence="that of your pictures",
        citation="none; for Leeds Sports Pose, extended: Johnson and Everingham: Learning Effective Human Pose "
        "Estimation from Inaccurate Annotation, CVPR 2011",
        splits=(labels.ALL, labels.TRAIN, labels.VAL, labels.TEST),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without the file or its pictures."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)
        self._declare_part()
        folder, stem = self.path.parent, self.path.stem
        for end in _ENDS:
            stem = stem.removesuffix(end)
        implied = [folder / stem, folder / f"{stem}.tar", folder / "images", folder / "images.tar"]
        self._pictures = images.open_pictures(options, implied)

    def _read(self) -> People:
        files, table, boxes, joint_set = self._arrays()
        people = People(joint_set, str(self.path))
        numbers: dict[str, int] = {}
        counts: dict[str, int] = {}
        for row, file in enumerate(files):
            if file not in numbers:
                numbers[file] = people.add_picture(Picture(file=file, split=self._part(file)))
            picture, person = numbers[file], counts.get(file, 0)
            counts[file] = person + 1
            known = np.isfinite(table[row]).all(-1) & (table[row, :, 2] > 0)
            points = np.where(known[:, None], table[row, :, :2], 0.0)
            if not file:
                people.add_bad(picture, person, NO_NAME, f"row {row}")
            elif labels.number_array(points, -1, 2) is None:
                people.add_bad(picture, person, BAD_JOINTS, f"row {row}")
            else:
                codes = np.where(known, schema.VISIBLE, schema.UNKNOWN)
                people.add(picture, person, np.where(known[:, None], points, np.nan), codes, boxes[row])
        return people

    def _arrays(self) -> tuple[list[str], np.ndarray, np.ndarray, str]:
        """files, joints [n, J, 3], boxes [n, 4] and the joint set; raises `InputError`."""
        arrays = npy_files.read_npz(self.path, ("files", "joints", "joint_set", "boxes"))
        for name in ("files", "joints"):
            if name not in arrays:
                raise InputError(f"{self.path}: no array {name!r}; expected {self.info.input}")
        files, table = arrays["files"], arrays["joints"]
        if files.ndim != 1 or files.dtype.kind not in "US":
            raise InputError(f"{self.path}: files must be [n] names, is {files.dtype} {list(files.shape)}")
        if table.dtype.kind not in "iuf" or table.ndim != 3 or table.shape[2] not in (2, 3):
            raise InputError(f"{self.path}: joints must be numbers [n, J, 3], is {table.dtype} {list(table.shape)}")
        if len(files) != len(table):
            raise InputError(f"{self.path}: {len(files)} files and {len(table)} people in joints; expected as many")
        table = table.astype(np.float64)
        if table.shape[2] == 2:
            table = np.concatenate([table, np.ones_like(table[..., :1])], -1)
        boxes = arrays.get("boxes", np.full((len(files), 4), np.nan))
        if boxes.dtype.kind not in "iuf" or boxes.shape != (len(files), 4):
            raise InputError(f"{self.path}: boxes must be numbers [{len(files)}, 4], is {list(boxes.shape)}")
        names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in files.tolist()]
        return names, table, boxes, self._joint_set(arrays, table.shape[1])

    def _joint_set(self, arrays: dict[str, np.ndarray], count: int) -> str:
        if "joint_set" in arrays:
            name = str(arrays["joint_set"].reshape(-1)[0]) if arrays["joint_set"].size == 1 else ""
            if name not in joints.JOINT_SETS:
                raise InputError(f"{self.path}: joint_set {name!r}; there are {', '.join(joints.JOINT_SETS)}")
        elif count in _SETS:
            name = _SETS[count]
        else:
            raise InputError(f"{self.path}: joints has {count} joints and no joint_set says which (docs/joints.md)")
        if joints.joint_set(name).size != count:
            raise InputError(f"{self.path}: joints has {count} joints, {name} has {joints.joint_set(name).size}")
        return name
