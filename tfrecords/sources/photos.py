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

import collections
import os
import pathlib

import numpy as np

from tfrecords import schema
from tfrecords.conversion import completion, labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import arrays as npy_files
from tfrecords.formats import images, photographs
from tfrecords.source import Info, Options, Skip
from tools.cli import outputs
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.files import atomic, inputs
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
        files, table, boxes, joint_set = self.arrays()
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

    def arrays(self) -> tuple[list[str], np.ndarray, np.ndarray, str]:
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
        names = [inputs.text_of(name, f"{self.path}: files[{row}]") for row, name in enumerate(files.tolist())]
        return names, table, boxes, self._joint_set(arrays, table.shape[1])

    def picture(self, file: str) -> np.ndarray | None:
        """[H, W, 3] uint8 BGR as stored, or None when there is none or it cannot be read."""
        stored = self._pictures.read(file) if self._pictures is not None else None
        if stored is None or isinstance(stored, Skip):
            return None
        photo = photographs.decode(stored.data, file)
        return None if isinstance(photo, Skip) or photo.orientation != 1 else photo.pixels

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


def complete(
    path: str | os.PathLike, output: str | os.PathLike, images: str = "", overwrite: bool = False
) -> collections.Counter[str]:
    """Writes an .npz of the rows of another with their joints completed and checked (`completion.complete`).

    Args:
      images: folder or tar of the pictures; '': beside `path`.

    Returns:
      How many: 'people', 'annotated' joints, 'added', 'contradicted', and people whose picture is 'unread'.

    Raises:
      InputError: the file is none of this source, its pictures are missing, `output` is there, or MediaPipe's wheel is
        not installed; nothing is written then.
    """
    from tools.detection.mediapipe_models import LandmarkNetwork

    outputs.check_free(output, overwrite)
    source = Photos(pathlib.Path(path), Options(images=images))
    files, table, boxes, joint_set = source.arrays()
    known = np.isfinite(table).all(-1) & (table[..., 2] > 0)
    annotated = np.where(known[..., None], table[..., :2], np.nan)
    network = LandmarkNetwork()
    counts = collections.Counter(people=len(files), annotated=int(known.sum()))
    result = annotated.copy()
    with Progress(len(files), "people") as progress:
        for row, file in enumerate(files):
            progress.update(row)
            pixels = source.picture(file)
            if pixels is None:
                counts["unread"] += 1
                continue
            reading = completion.look(network, pixels, annotated[row], joint_set)
            one = completion.complete(annotated[row], reading, joint_set)
            result[row] = one.points
            counts["added"] += int(one.added.sum())
            counts["contradicted"] += int(one.contradicted.sum())
    there = np.isfinite(result).all(-1)
    values = np.concatenate([np.where(there[..., None], result, np.nan), there[..., None]], -1).astype(np.float32)
    with atomic.write_file(output) as temporary:
        np.savez_compressed(temporary, files=np.array(files), joints=values, joint_set=joint_set, boxes=boxes)
    return counts
