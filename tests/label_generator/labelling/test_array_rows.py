"""Tables of numbers as other programs write them, and archives that are not what they seem."""

import numpy as np
import pytest

from label_generator.labelling import array_rows
from tools.cli.errors import InputError


def table(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    rows = array_rows.CsvRows(path)
    return rows.read(0, len(rows)).tolist()


def test_semicolons_with_decimal_commas(tmp_path):
    assert table(tmp_path, "x1;y1\n121,34;5\n6,5;7.25\n") == [[121.34, 5.0], [6.5, 7.25]]
    assert table(tmp_path, "1.5\t2,5\n") == [[1.5, 2.5]]
    assert table(tmp_path, "1.5,2.5\n") == [[1.5, 2.5]]


def test_digits_with_underscores_are_no_numbers(tmp_path):
    with pytest.raises(InputError, match=r"row 1: could not convert string to float: '121_34'"):
        table(tmp_path, "1,2\n121_34,5\n")


def test_a_cell_beyond_what_csv_reads_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv: .*field larger than field limit"):
        table(tmp_path, "1,2\n" + "3" * 200_000 + ",4\n")


@pytest.mark.parametrize("shape", ["(-3, 17, 2)", "(" + "1" + "0" * 30 + ",)", "(" + "2," * 100 + ")"])
def test_shapes_that_no_array_has_are_input_errors(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(1013) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InputError, match=r"a\.npy: no \.npy array"):
        array_rows.open_npy(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "header", ["{'descr': ('<f4',), 'fortran_order': False, 'shape': (3,), }", "(" * 900, "-" * 9000]
)
def test_headers_of_anything_are_input_errors(tmp_path, header):
    data = header.encode() + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data)
    with pytest.raises(InputError, match=r"a\.npy: no \.npy array"):
        array_rows.open_npy(tmp_path / "a.npy")


def test_a_cut_array_in_fortran_order_is_an_input_error(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(np.zeros((50, 34), np.float32)))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:-1])
    with pytest.raises(InputError, match="cut short"):
        array_rows.open_npy(tmp_path / "a.npy")


def test_members_that_expand_without_bound_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", poses=np.zeros((2_100_000, 17, 2), np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"poses: .* that expand to .*; --input_limits=FACTOR"):
        array_rows.open_npz(tmp_path / "a.npz")


def test_encrypted_members_and_unknown_methods_are_input_errors(tmp_path):
    np.savez(tmp_path / "a.npz", poses=np.zeros((2, 17, 2)))
    whole = (tmp_path / "a.npz").read_bytes()
    central = whole.index(b"PK\x01\x02")
    for offset, value in ((8, 1), (10, 99)):  # flags: encrypted; method: none that exists
        changed = bytearray(whole)
        changed[central + offset] = value
        changed[offset - 2] = value
        (tmp_path / "a.npz").write_bytes(changed)
        with pytest.raises(InputError, match=r"no \.npz archive, or damaged"):
            array_rows.open_npz(tmp_path / "a.npz")


def test_an_array_in_fortrans_order_is_not_read_where_it_lies(tmp_path):
    """A mapped file that is cut while it is used ends the process without a word."""
    poses = np.asfortranarray(np.random.default_rng(0).normal(size=(300, 17, 2)))
    np.save(tmp_path / "a.npy", poses)
    rows = array_rows.open_npy(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"")
    np.testing.assert_array_equal(rows.read(10, 20), poses[10:20])
