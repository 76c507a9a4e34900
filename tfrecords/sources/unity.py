"""The released Unity 2D/3D set: arrays without images."""

from __future__ import annotations

import pathlib

from tfrecords.conversion import clips, pose_arrays
from tfrecords.conversion.pose_arrays import LEFT, POSE_3D, ArrayClip, ArraySource
from tfrecords.formats import arrays
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

# Folder below 2D-3D -> the split that its poses are for. Synthetic bodies belong to no subject, so they only train.
_PARTS = (("H36m/train", "train"), ("H36m/test", "test"), ("Unity", "train"))


class Unity(ArraySource):
    """2D and 3D arrays of Human3.6M and of the authors' Unity toolbox."""

    info = Info(
        name="unity",
        description="the released 2D-3D set: 2D and 3D key points of Human3.6M and of virtual people, no images",
        input="the folder 2D-3D (or one that holds it) with H36m/train, H36m/test and Unity, or one of those; in them "
        ".npy arrays [N, 34] and [N, 51], partners named alike but for 2d/3d/left/right, as in 2d/a.npy and 3d/a.npy",
        licence="not stated by the authors; Human3.6M's part allows academic use only",
        citation="Wang et al., Generalizing Monocular 3D Human Pose Estimation in the Wild, ICCV Workshops 2019",
        splits=("all", "train", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        root = self.path / "2D-3D" if (self.path / "2D-3D").is_dir() else self.path
        parts = [(root / name, split) for name, split in _PARTS if (root / name).is_dir()]
        if not parts:
            # One of the parts by itself; its name still says which.
            ending = "/".join(root.parts[-2:])
            split = next((split for name, split in _PARTS if ending == name or root.name == name), "")
            parts = [(root, split)]
        found = []
        for folder, split in parts:
            # 3D without 2D is what the authors' own scripts start from; 2D without 3D is of no use here.
            for key, group in pose_arrays.pair_by_name(folder, self.info.input, [POSE_3D]).items():
                relative = folder.relative_to(root).as_posix()
                found.append(
                    ArrayClip(
                        name=f"{relative}/{key}".removeprefix("./"),
                        arrays=group,
                        subject=_subject(key),
                        split=split,
                    )
                )
        if any(LEFT in clip.arrays for clip in found):
            for clip in found:
                pose_arrays.check_partners(clip.arrays, [LEFT])
        _check_subjects(found, root)
        self._set_clips(found, arrays.PLANAR, root)


def _subject(key: str) -> str:
    """'S9' for a key with a folder '9' or 's9', else ''."""
    numbers = [clips.subject_number(part) for part in key.split("/")[:-1]]
    number = next((number for number in numbers if number is not None), None)
    return "" if number is None else f"S{number}"


def _check_subjects(found: list[ArrayClip], root: pathlib.Path) -> None:
    """Raises `InputError` when a named subject is in both H36m/train and H36m/test."""
    splits: dict[str, set[str]] = {}
    for clip in found:
        if clip.subject and clip.name.startswith("H36m"):
            splits.setdefault(clip.subject, set()).add(clip.split)
    both = [subject for subject, of in splits.items() if len(of) > 1]
    if both:
        raise InputError(f"{root}: subject {both[0]} is in H36m/train and in H36m/test; a subject may be in one only")
