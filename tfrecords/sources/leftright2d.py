"""The released LeftRight2D set: left- and right-view 2D arrays."""

from __future__ import annotations

import pathlib

from tfrecords.conversion import clips, pose_arrays
from tfrecords.conversion.pose_arrays import LEFT, RIGHT, ArrayClip, ArraySource
from tfrecords.formats import arrays
from tfrecords.source import Info, Options
from tools.cli.errors import InputError


class LeftRight2D(ArraySource):
    """Pairs of arrays: the same poses seen from the left and from the right."""

    info = Info(
        name="leftright2d",
        description="the released LeftRight2D set: 2D key points of both views, for training left to right",
        input="folder with .npy arrays [N, 34], partners named alike but for the words left and right, as in "
        "left/9/Walking/a.npy and right/9/Walking/a.npy or train_left.npy and train_right.npy",
        licence="not stated by the authors; made from Human3.6M, which allows academic use only",
        citation="Wang et al., Generalizing Monocular 3D Human Pose Estimation in the Wild, ICCV Workshops 2019",
        splits=("all", "train", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        found = []
        for key, group in pose_arrays.pair_by_name(self.path, self.info.input, [LEFT, RIGHT]).items():
            if pose_arrays.POSE_3D in group:
                raise InputError(f"{group[pose_arrays.POSE_3D]}: 3D poses; read such a folder with --source=npy_tree")
            subject, action, split = _place(key)
            found.append(ArrayClip(key or self.path.name, group, subject, action, split))
        self._set_clips(found, arrays.PLANAR, self.path)


def _place(key: str) -> tuple[str, str, str]:
    """Subject, action and split that a key tells: '9/Walking/a', 'train/a', 'test'; '' for what it doesn't."""
    parts = key.split("/")
    for i, part in enumerate(parts[:-1]):
        number = clips.subject_number(part)
        if number is not None:
            action = parts[i + 1] if i + 2 < len(parts) else ""
            return f"S{number}", action, clips.h36m_split(number)
    words = set(key.lower().replace("/", "_").split("_"))
    return "", "", next((split for split in ("train", "test") if split in words), "")
