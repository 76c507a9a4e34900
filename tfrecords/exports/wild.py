"""wild.npy: the layout in which the authors published their labels, with the quality beside it."""

from __future__ import annotations

import pathlib

import numpy as np

from tfrecords.exports.rows import label_count, labelled_rows
from tools.files.columns import LabelFiles


def write_wild_npy(files: LabelFiles, path: pathlib.Path) -> int:
    """Writes rows (filename, 2D key points, 3D key points, quality, joint quality); returns how many.

    The file is a table with named columns, which NumPy loads without pickles; its first three parts read like the
    published ones. Key points are px [17, 2], NaN where missing, and mm [17, 3] relative to the root.
    """
    width = files.text_width("file")
    kind = np.dtype(
        [
            ("filename", f"<U{width}"),
            ("2D", "<f4", (17, 2)),
            ("3D", "<f4", (17, 3)),
            ("quality", "<f4"),
            ("joint_quality", "<f4", (17,)),
            ("provenance", "|u1", (17,)),
        ]
    )
    count = label_count(files)
    names = ("poses_2d", "poses_3d", "quality", "joint_quality", "provenance")
    with open(path, "wb") as file:
        described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, described)
        for piece in labelled_rows(files, names, ("file",)):
            table = np.empty(len(piece["row"]), kind)
            table["filename"], table["2D"], table["3D"] = piece["file"], piece["poses_2d"], piece["poses_3d"]
            for name in names[2:]:
                table[name] = piece[name]
            file.write(table.tobytes())
    return count
