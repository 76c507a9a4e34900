"""Labels as the page reads them: rows, tables, identities, and everything that can be wrong with them."""

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.review_page import label_columns
from tools.review_page.label_columns import LabelColumns


def whole(columns, name):
    return np.concatenate(list(columns.pieces(name)))


@pytest.mark.parametrize(
    ("first", "limit", "rows"), [(0, 0, slice(0, 5000)), (4000, 700, slice(4000, 4700)), (4999, 9, slice(4999, 5000))]
)
def test_rows(tmp_path, labels, write_labels, first, limit, rows):
    arrays = labels(5000)
    columns = LabelColumns(write_labels(tmp_path, arrays), first, limit)
    assert (columns.count, columns.total) == (len(range(5000)[rows]), 5000)
    for name in ("poses_2d", "poses_3d", "quality", "frame", "reason"):
        np.testing.assert_array_equal(whole(columns, name), arrays[name][rows])
    assert list(columns.texts("files")) == arrays["files"].tolist()


def test_identities_are_those_of_file_sequence_frame_and_person(tmp_path, labels, write_labels):
    arrays = labels(60)
    arrays["frame"][:] = 0
    arrays["file"][10] = arrays["file"][8]  # rows 8 and 10: same file, clip, frame and person
    arrays["files"][20] = arrays["files"][21]  # two entries of one text
    columns = LabelColumns(write_labels(tmp_path, arrays))
    identities = columns.identities()
    expected = {}
    for row in range(60):
        texts = arrays["files"][arrays["file"][row]], arrays["sequences"][arrays["sequence"][row]]
        expected.setdefault((*texts, arrays["frame"][row], arrays["person"][row]), []).append(row)
    for rows in expected.values():
        assert len(set(identities[rows].tolist())) == 1
    assert len(set(identities.tolist())) == len(expected)
    together = [row for rows in expected.values() if len(rows) > 1 for row in rows]
    assert np.flatnonzero(label_columns.shared(identities)).tolist() == sorted(together)
    assert {8, 10, 40, 41, 42, 43} <= set(together)


def test_the_fingerprint_is_that_of_the_records_and_not_of_their_labels(tmp_path, labels, write_labels):
    first, second, third = labels(50, seed=1), labels(50, seed=2), labels(50, seed=1)
    third["person"][7] = 5
    marks = []
    for name, arrays in (("a", first), ("b", second), ("c", third)):
        marks.append(label_columns.fingerprint(LabelColumns(write_labels(tmp_path / name, arrays)).identities()))
    assert marks[0] == marks[1] != marks[2]


def damaged(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    elif how == "noise":
        data[:] = b"\x93NUMPY noise"
    else:
        at = data.find(b"poses_3d") + 400
        data[at] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "flipped"])
def test_damaged_archives(tmp_path, labels, write_labels, how):
    folder = write_labels(tmp_path, labels(50))
    damaged(folder / "labels.npz", how)
    with pytest.raises(InputError, match=r"labels\.npz"):
        LabelColumns(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("quality"), "no array quality"),
        (lambda a: a.update(poses_3d=a["poses_3d"][:, :16]), "poses_3d"),
        (lambda a: a.update(frame=a["frame"].astype(float)), "frame"),
        (lambda a: a.update(file=a["file"] + 40), "there are 25 files"),
        (lambda a: a.update(reason=a["reason"] - 1), "reason: row 0 is -1"),
        (lambda a: a.update(files=np.arange(25)), "files"),
        (lambda a: a.update({name: a[name][:0] for name in label_columns._COLUMNS}), "holds no pose"),
    ],
)
def test_what_is_no_labels_file(tmp_path, labels, write_labels, change, words):
    arrays = labels(50)
    change(arrays)
    with pytest.raises(InputError, match=words):
        LabelColumns(write_labels(tmp_path, arrays))


def test_places_without_labels(tmp_path, labels, write_labels):
    with pytest.raises(InputError, match=r"no labels\.npz in it; expected the output folder"):
        LabelColumns(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        LabelColumns(tmp_path / "nothing")
    folder = write_labels(tmp_path / "labels", labels(10))
    with pytest.raises(InputError, match="--first=10: "):
        LabelColumns(folder, first=10)
    (folder / "summary.json").write_text("{")
    with pytest.raises(InputError, match=r"summary\.json"):
        LabelColumns(folder)
