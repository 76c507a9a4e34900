"""The released wild.npy in every shape that its three words allow."""

import contextlib
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import mpii_lsp, open_source
from tools.cli.errors import InputError

# joint of the record -> MPII's
MPII = {0: 9, 2: 8, 3: 12, 4: 11, 5: 10, 6: 13, 7: 14, 8: 15, 10: 6, 11: 2, 12: 1, 13: 0, 14: 3, 15: 4, 16: 5}
COUNT = 4


def make_poses(joints, seed=0):
    """(2D [N, joints, 2] px, 3D [N, joints, 3] mm in camera axes, some metres away)."""
    random = np.random.default_rng(seed)
    return random.uniform(5, 90, (COUNT, joints, 2)), random.normal(0, 400, (COUNT, joints, 3)) + [100, -50, 4000]


def rows_of(flat, deep):
    return [(f"im{i:05d}.jpg", flat[i], deep[i]) for i in range(len(flat))]


def as_table(rows):
    table = np.empty((len(rows), 3), object)
    for i, row in enumerate(rows):
        for j, part in enumerate(row):
            table[i, j] = part
    return table


def as_list(rows):
    made = np.empty(len(rows), object)
    made[:] = rows
    return made


def as_columns(rows):
    names, flat, deep = zip(*rows)
    return {"filename": list(names), "2d": np.array(flat), "3d": np.array(deep)}


SHAPES = {
    "table": as_table,
    "columns": lambda rows: as_table(rows).T,
    "tuples": as_list,
    "lists": lambda rows: as_list([list(row) for row in rows]),
    "other order": lambda rows: as_list([(row[2], row[0], row[1]) for row in rows]),
    "dicts": lambda rows: as_list([{"filename": r[0], "kp_2d": r[1], "kp_3d": r[2]} for r in rows]),
    "nested lists": lambda rows: as_table([(r[0], r[1].tolist(), r[2].tolist()) for r in rows]),
    "dict of columns": as_columns,
    "bytes": lambda rows: as_table([(r[0].encode(), r[1], r[2]) for r in rows]),
    "with the joints last": lambda rows: as_table([(r[0], r[1].T, r[2].T) for r in rows]),
    "with a side of 1": lambda rows: as_table([(r[0], r[1][None], r[2][None]) for r in rows]),
    "flat": lambda rows: as_table([(r[0], r[1].T.reshape(-1), r[2].T.reshape(-1)) for r in rows]),
    "named columns": lambda rows: np.array(
        rows, dtype=[("name", "U20"), ("p2", "f8", rows[0][1].shape), ("p3", "f8", rows[0][2].shape)]
    ),
}


def write(folder, content):
    np.save(folder / "wild.npy", content, allow_pickle=True)
    return folder / "wild.npy"


def check(records, flat, deep, order):
    assert len(records) == len(flat)
    for i, record in enumerate(records):
        assert (record.dataset, record.file, record.subject) == ("mpii_lsp", f"im{i:05d}.jpg", f"im{i:05d}.jpg")
        root = deep[i, order[10]].astype(np.float32)
        for ours, theirs in order.items():
            np.testing.assert_array_equal(record.pose_2d[ours], flat[i, theirs].astype(np.float32))
            np.testing.assert_array_equal(record.pose_3d[ours], deep[i, theirs].astype(np.float32) - root)
        np.testing.assert_array_equal(record.root_3d, root)
        assert record.pose_3d[10].tolist() == [0, 0, 0]
        assert (record.provenance_3d[list(order)] == 2).all()
        assert (record.pose_2d > record.box[:2]).all()
        assert (record.pose_2d < record.box[:2] + record.box[2:]).all()
        assert record.problem() == ""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("joints", [16, 17])
def test_every_shape_of_the_file(tmp_path, read_all, shape, joints):
    flat, deep = make_poses(joints)
    path = write(tmp_path, SHAPES[shape](rows_of(flat, deep)))
    check(read_all("mpii_lsp", path, images="none"), flat, deep, MPII if joints == 16 else {i: i for i in range(17)})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", ["table", "columns", "tuples", "lists", "dicts"])
def test_as_many_rows_as_columns_or_one(tmp_path, read_all, shape, count):
    flat, deep = (poses[:count] for poses in make_poses(16))
    path = write(tmp_path, SHAPES[shape](rows_of(flat, deep)))
    check(read_all("mpii_lsp", path, images="none"), flat, deep, MPII)


def test_interleaved_rows_and_a_permutation(tmp_path, read_all):
    flat, deep = make_poses(17)
    order = np.random.default_rng(1).permutation(17)
    rows = [(name, a.reshape(-1), b.reshape(-1)) for name, a, b in rows_of(flat, deep)]
    write(tmp_path, as_table(rows))
    records = read_all("mpii_lsp", tmp_path, images="none", layout="interleaved", permutation=tuple(order.tolist()))
    check(records, flat, deep, dict(enumerate(order)))


def test_metres(tmp_path, read_all):
    flat, deep = make_poses(16)
    path = write(tmp_path, as_table(rows_of(flat, np.round(deep) / 1000)))
    for record, pose in zip(read_all("mpii_lsp", path, images="none", unit_mm=1000.0), np.round(deep)):
        np.testing.assert_allclose(record.root_3d, pose[6], atol=1e-2)
        np.testing.assert_allclose(record.pose_3d[0], pose[9] - pose[6], atol=1e-2)
    with pytest.raises(InputError, match=r"--unit_mm.*not in mm"):
        len(open_source("mpii_lsp", path, Options(images="none")))


def test_relative_poses_have_no_place(tmp_path, read_all):
    flat, deep = make_poses(16)
    deep -= deep[:, 6:7]
    for record in read_all("mpii_lsp", write(tmp_path, as_table(rows_of(flat, deep))), images="none"):
        assert np.isnan(record.root_3d).all()


def test_pictures_and_splits(tmp_path, read_all, encode):
    flat, deep = make_poses(16)
    rows = [("/somebody/images/" + name, a, b) for name, a, b in rows_of(flat, deep)]
    write(tmp_path, as_table(rows))
    (tmp_path / "images").mkdir()
    pictures = [encode(100, 90, seed=i) for i in range(3)]
    pictures[1] = pictures[1][:-30]
    for i, data in enumerate(pictures):
        (tmp_path / "images" / f"im{i:05d}.jpg").write_bytes(data)
    items = read_all("mpii_lsp", tmp_path, verify=True)
    reasons = [item.reason if isinstance(item, Skip) else "" for item in items]
    assert reasons == ["", images.TRUNCATED, "", images.MISSING]
    assert items[0].image == pictures[0]
    assert items[2].image_size.tolist() == [100, 90]

    many = [(f"{i}.jpg", flat[0], deep[0]) for i in range(300)]
    write(tmp_path, as_table(many))
    parts = {p: {r.subject for r in read_all("mpii_lsp", tmp_path, images="none", split=p)} for p in ("train", "val")}
    assert not parts["train"] & parts["val"]
    assert len(parts["train"] | parts["val"]) == 300
    assert 10 <= len(parts["val"]) <= 60


def test_rows_that_can_not_be_used_are_counted(tmp_path, read_all):
    flat, deep = make_poses(16)
    rows = rows_of(flat, deep)
    rows += [("a.jpg", flat[0][:14], deep[0]), (None, flat[0], deep[0]), ("a.jpg", flat[0] * np.nan, deep[0])]
    rows += [("a.jpg", flat[0], deep[0] / 1000)]
    items = read_all("mpii_lsp", write(tmp_path, as_table(rows)), images="none")
    reasons = [item.reason if isinstance(item, Skip) else "" for item in items]
    assert reasons == [""] * 4 + [mpii_lsp.BAD_ROW] * 3 + [mpii_lsp.NOT_MM]


def test_files_of_another_format_are_errors(tmp_path):
    flat, deep = make_poses(14)
    with pytest.raises(InputError, match=r"row 0 has name: row without .*none of its 4 rows"):
        len(open_source("mpii_lsp", write(tmp_path, as_table(rows_of(flat, deep))), Options(images="none")))
    for content in (np.zeros((5, 3)), {}, as_list([]), np.array(3)):
        with pytest.raises(InputError, match=r"wild\.npy"):
            len(open_source("mpii_lsp", write(tmp_path, content), Options(images="none")))
    with pytest.raises(InputError, match="--images=none"):
        open_source("mpii_lsp", tmp_path)
    (tmp_path / "wild.npy").unlink()
    with pytest.raises(InputError, match="no such file"):
        open_source("mpii_lsp", tmp_path, Options(images="none"))


class Crafted:
    def __reduce__(self):
        return open, ("crafted-file-was-run", "w")


def test_a_crafted_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flat, deep = make_poses(16)
    rows = rows_of(flat, deep)
    rows[2] = (Crafted(), *rows[2][1:])
    path = write(tmp_path, as_table(rows))
    with pytest.raises(InputError, match="refused"):
        len(open_source("mpii_lsp", path, Options(images="none")))
    assert not (tmp_path / "crafted-file-was-run").exists()
    with open(path, "rb") as file:  # it would have been
        np.load(file, allow_pickle=True)
    assert (tmp_path / "crafted-file-was-run").exists()


KINDS, SIZES = st.sampled_from(["f8", "i4", "U3", "?"]), st.sampled_from([(16, 2), (34,), (51,), (16, 3), (3, 3)])
PART = st.none() | st.text(max_size=4) | st.floats() | hnp.arrays(KINDS, SIZES, fill=st.nothing())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        PART, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner), max_leaves=6
    ),
    st.booleans(),
)
def test_anything_else_is_a_skip_or_an_input_error(tmp_path, read_all, content, beside_a_good_row):
    if beside_a_good_row:
        content = [*rows_of(*make_poses(16))[:1], content]
    (tmp_path / "wild.npy").write_bytes(pickle.dumps(content))
    with contextlib.suppress(InputError):
        for item in read_all("mpii_lsp", tmp_path, images="none"):
            assert isinstance(item, Skip) or item.problem() == ""
