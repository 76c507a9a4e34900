"""MATLAB files, as SciPy writes them."""

import contextlib
import struct

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfrecords.formats.mat import load_mat
from tools.cli.errors import InputError

NUMBERS = hnp.arrays(
    st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]),
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=3),
)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), min_size=1, max_size=6)


def as_cell(values):
    made = np.empty((1, len(values)), object)
    made[0, :] = values
    return made


VALUES = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: (
        st.dictionaries(st.text("abcXYZ", min_size=1, max_size=31), inner, min_size=1, max_size=3)
        | st.lists(inner, min_size=1, max_size=3).map(as_cell)
    ),
    max_leaves=8,
)


def same(loaded, written):
    if isinstance(written, str):
        assert loaded == written
    elif isinstance(written, dict):
        assert loaded.shape == (1, 1)
        assert loaded[0, 0].keys() == written.keys()
        for key in written:
            same(loaded[0, 0][key], written[key])
    else:
        assert loaded.shape == written.shape
        if written.dtype != object:
            np.testing.assert_array_equal(loaded, written)
        else:
            for a, b in zip(loaded.reshape(-1), written.reshape(-1)):
                same(a, b)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, VALUES, st.booleans())
def test_reads_what_scipy_writes(tmp_path, first, second, compress):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, {"one": first, "two": second}, do_compression=compress, long_field_names=True)
    same(load_mat(path, "one"), first)
    same(load_mat(path, "two"), second)
    with pytest.raises(InputError, match="no variable 'three'"):
        load_mat(path, "three")


@pytest.mark.parametrize("compress", [False, True])
def test_every_cut_is_an_error(tmp_path, compress):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, {"x": {"a": as_cell([np.arange(6.0), "text"])}}, do_compression=compress)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            load_mat(path, "x")


@pytest.mark.parametrize("value", [np.array([[1 + 2j]]), scipy.sparse.eye(3)])
def test_what_annotations_do_not_consist_of(tmp_path, value):
    scipy.io.savemat(tmp_path / "file.mat", {"x": value})
    with pytest.raises(InputError, match=r"file\.mat"):
        load_mat(tmp_path / "file.mat", "x")


def test_other_versions(tmp_path):
    scipy.io.savemat(tmp_path / "four.mat", {"x": np.eye(2)}, format="4")
    with pytest.raises(InputError, match="not a MATLAB 5 to 7 file"):
        load_mat(tmp_path / "four.mat", "x")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + b"\0" * 600)
    with pytest.raises(InputError, match="save it with -v7"):
        load_mat(tmp_path / "new.mat", "x")
    with pytest.raises(InputError, match="no such file"):
        load_mat(tmp_path / "none.mat", "x")


@pytest.mark.parametrize("kind", [float, object])
def test_sides_that_no_array_can_have_are_damage(kind, tmp_path):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, {"x": np.zeros((0, 5, 5), kind)})
    content, sides = path.read_bytes(), struct.pack("<3i", 0, 5, 5)
    assert content.count(sides) == 1
    path.write_bytes(content.replace(sides, struct.pack("<3i", 0, 2**31 - 1, 2**31 - 1)))
    with pytest.raises(InputError, match="sides that no array can have"):
        load_mat(path, "x")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_loads_or_is_an_input_error(tmp_path, data):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, {"x": {"a": as_cell([np.arange(6.0), "text", {"b": np.eye(2)}])}})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(120, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        load_mat(path, "x")
