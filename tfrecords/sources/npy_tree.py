"""The original's trees of arrays: ``<root>/<subject>/<action>/<file>.npy``."""

from __future__ import annotations

import pathlib

from tfrecords.conversion import clips, pose_arrays
from tfrecords.conversion.pose_arrays import LEFT, POSE_3D, RIGHT, ArrayClip, ArraySource
from tfrecords.formats import arrays
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

# The original's trees that belong together, and the layout of their rows. The kinds of those that are there must have
# the same files; a tree that is not there at all is not missed.
_FAMILIES = (
    ({LEFT: "2D_left_new", RIGHT: "2D_right_new", POSE_3D: "3D_new"}, arrays.INTERLEAVED),
    ({LEFT: "2d_left", RIGHT: "2d_right", POSE_3D: "3d"}, arrays.PLANAR),
    ({LEFT: "2dCam", POSE_3D: "3dCam"}, arrays.PLANAR),
)


class NpyTree(ArraySource):
    """Trees of left-view 2D, right-view 2D and 3D arrays, put together by subject, action and file name."""

    info = Info(
        name="npy_tree",
        description="arrays of 17 joints in the original's folders, left view, right view and 3D put together by name",
        input="folder with trees 2D_left_new, 2D_right_new, 3D_new (interleaved rows), 2d_left, 2d_right, 3d or 2dCam, "
        "3dCam (planar rows), itself or in 'data'; or one tree <subject>/<action>/<file>.npy; or one .npy",
        licence="that of the arrays; Human3.6M's allows academic use only",
        citation="Wang et al., Generalizing Monocular 3D Human Pose Estimation in the Wild, ICCV Workshops 2019",
        splits=("all", "train", "test"),
    )

    def __init__(self, path: pathlib.Path, options: Options):
        super().__init__(path, options)
        if self.path.is_file():
            kind = pose_arrays.kind_of(self.path, pathlib.Path(self.path.name))
            self._set_clips([ArrayClip(self.path.stem, {kind: self.path})], arrays.PLANAR, self.path.parent)
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such file or folder; expected {self.info.input}")
        trees, layout, root = self._trees()
        self._set_clips(self._pair(trees), layout, root)

    def _trees(self) -> tuple[dict[str, pathlib.Path], str, pathlib.Path]:
        """kind -> tree, the layout of the rows, the folder that holds the trees.

        Several families may lie side by side: the one whose layout was asked for is read, else the first that is there.
        """
        for root in (self.path, self.path / "data"):
            names = {entry.name for entry in root.iterdir() if entry.is_dir()} if root.is_dir() else set()
            there = [
                ({kind: root / name for kind, name in family.items() if name in names}, layout)
                for family, layout in _FAMILIES
            ]
            there = sorted((item for item in there if item[0]), key=lambda item: item[1] != self.options.layout)
            if there:
                return (*there[0], root)
        files = clips.list_files(self.path, (".npy",), self.info.input)
        return {pose_arrays.kind_of(files[0], files[0].relative_to(self.path)): self.path}, arrays.PLANAR, self.path

    def _pair(self, trees: dict[str, pathlib.Path]) -> list[ArrayClip]:
        groups: dict[pathlib.Path, dict[str, pathlib.Path]] = {}
        for kind, tree in trees.items():
            for path in clips.list_files(tree, (".npy",), "<subject>/<action>/<file>.npy"):
                groups.setdefault(path.relative_to(tree), {})[kind] = path
        found = []
        for relative, group in sorted(groups.items()):
            pose_arrays.check_partners(group, trees, {kind: tree / relative for kind, tree in trees.items()})
            if len(relative.parts) != 3:
                raise InputError(f"{next(iter(group.values()))}: expected <subject>/<action>/<file>.npy in its tree")
            subject, action, _ = relative.parts
            number = clips.subject_number(subject)
            found.append(
                ArrayClip(
                    name=relative.with_suffix("").as_posix(),
                    arrays=group,
                    subject=f"S{number}" if number is not None else subject,
                    action=action,
                    split=clips.h36m_split(number),
                )
            )
        return found
