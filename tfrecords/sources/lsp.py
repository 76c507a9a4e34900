"""Leeds Sports Pose and its extension: `joints.mat` and photographs scaled so that the person is about 150 px long.

The two releases differ where it hurts:
  LSP           joints is 3 x 14 x 2000; the third row says 1 for a *hidden* joint; all joints are labelled; the first
                1000 images are for training, the others for testing; im0001.jpg
  LSP extended  joints is 14 x 3 x 10000; the third column says 1 for a *visible* joint; the numbers of the others mean
                nothing; all are for training; im00001.jpg
Coordinates are taken over as released.
"""

from __future__ import annotations

import pathlib

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.formats.mat import load_mat
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

BAD_JOINTS = "joint that is not a number"
_JOINTS = 14
_TRAINING_IMAGES = 1000


class Lsp(PeopleSource):
    """One person an image; 'test' is the second half of the original LSP, the extension has only 'train'."""

    info = Info(
        name="lsp",
        description="Leeds Sports Pose, original or extended: 2D poses with images",
        input="joints.mat, or the folder it lies in; its images beside it (folder images/ or a .tar) or by --images",
        licence="no licence stated, for research; the photographs belong to their authors on Flickr",
        citation="Johnson and Everingham: Clustered Pose and Nonlinear Appearance Models, BMVC 2010; extended: "
        "Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011",
        splits=(labels.ALL, labels.TRAIN, labels.TEST),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without joints.mat or without its images."""
        super().__init__(path, options)
        if self.path.is_dir():
            self.path = self.path / "joints.mat"
        labels.check_file(self.path, self.info.input)
        folder = self.path.parent
        # joints.mat goes with images/ or images.tar, lsp_joints.mat with lsp_images.tar before any images/
        named = self.path.stem.replace("joints", "images")
        implied = [folder / name for name in (named, f"{named}.tar", "images", "images.tar")]
        self._pictures = images.open_pictures(options, implied)

    def _read(self) -> People:
        name = str(self.path)
        joints = load_mat(self.path, "joints")
        if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "iuf":
            raise InputError(f"{name}: joints must be numbers, 3 x 14 x N or 14 x 3 x N")
        extended = joints.ndim == 3 and joints.shape[:2] == (_JOINTS, 3)
        if not extended and (joints.ndim != 3 or joints.shape[:2] != (3, _JOINTS)):
            raise InputError(
                f"{name}: joints must be 3 x 14 x N or 14 x 3 x N, is {' x '.join(map(str, joints.shape))}"
            )
        if extended and self.split == labels.TEST:
            raise InputError(f"--split=test: {name} is the extended set, which is for training only")
        table = joints.transpose((2, 0, 1) if extended else (2, 1, 0)).astype(np.float64)
        people = People("lsp14", name)
        for number, person in enumerate(table):
            file = self._file(number, extended)
            first_part = extended or number < _TRAINING_IMAGES
            picture = people.add_picture(Picture(file=file, split=labels.TRAIN if first_part else labels.TEST))
            flag = person[:, 2] != 0
            points = labels.number_array_with_gaps(person[:, :2], _JOINTS, 2)
            if points is None:
                people.add_bad(picture, 0, BAD_JOINTS)
            elif extended:
                codes = np.where(flag, schema.VISIBLE, schema.UNKNOWN)
                people.add(picture, 0, np.where(flag[:, None], points, np.nan), codes)
            else:
                people.add(picture, 0, points, np.where(flag, schema.OCCLUDED, schema.VISIBLE))
        return people

    def _file(self, number: int, extended: bool) -> str:
        """The name of the image: five digits in the extension, four in the original, and copies that mix them."""
        names = [f"im{number + 1:05d}.jpg", f"im{number + 1:04d}.jpg"]
        names = names if extended else names[::-1]
        if self._pictures is None:
            return names[0]
        return next((name for name in names if name in self._pictures), names[0])
