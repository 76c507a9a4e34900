"""Input files of unknown origin: pipes, devices, bombs, damage."""

import gzip
import json
import os

import numpy as np
import pytest

from label_generator.labelling import array_rows
from tfrecords.formats import arrays, unpickle
from tools.cli.errors import InputError
from tools.files import inputs, limits


@pytest.fixture
def small_limits(monkeypatch):
    """Limits of a few kilobytes."""
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(text_bytes=1000))


def test_what_is_no_regular_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to("/dev/zero")
    for name, kind in (("pipe.json", "a named pipe"), ("link.json", "a device"), (".", "a folder")):
        for read in (inputs.read_bytes, inputs.open_file, inputs.read_json):
            with pytest.raises(InputError, match=f"is {kind}, expected a file"):
                read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        inputs.read_bytes(tmp_path / "none")
    with pytest.raises(InputError, match="null byte"):
        inputs.read_bytes("a\0b")


def test_large_files_and_gzip_bombs_are_refused(tmp_path, small_limits):
    (tmp_path / "plain").write_bytes(bytes(1001))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(100_000)))
    for name in ("plain", "bomb.gz"):
        with pytest.raises(InputError, match=f"{name}: more than 1e\\+03 bytes to read; --input_limits=FACTOR raises"):
            inputs.read_bytes(tmp_path / name)
    (tmp_path / "fits.gz").write_bytes(gzip.compress(bytes(1000)))
    assert inputs.read_bytes(tmp_path / "fits.gz") == bytes(1000)


def test_every_cut_of_a_gzip_stream_is_an_input_error(tmp_path):
    content = os.urandom(300) + bytes(5000)
    whole = gzip.compress(content) + gzip.compress(b"second member")
    path = tmp_path / "a.gz"
    path.write_bytes(whole)
    assert inputs.read_bytes(path) == content + b"second member"
    first = len(gzip.compress(content))
    for size in (*range(2, first), *range(first + 2, len(whole))):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut short|damaged"):
            inputs.read_bytes(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":', "not JSON"),
        ("\xff", "not JSON"),
        ('{"images": [{"file_name": "\\ud800.jpg"}]}', r"images\[0\]\.file_name is not Unicode text"),
        ('{"a": {"\\udfff": 1}}', "a key of a is not Unicode text"),
        ('"\\uDC00"', "the text is not Unicode text"),
    ],
)
def test_json_that_cannot_be_used_is_an_input_error(text, message):
    with pytest.raises(InputError, match=message):
        inputs.parse_json(text.encode("latin1"), "a.json")


def test_pairs_of_surrogates_are_text():
    assert inputs.parse_json(json.dumps({"a": "😀"}).encode(), "a.json") == {"a": "😀"}


def test_names_that_are_not_utf8_are_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        inputs.check_name(path)
    inputs.check_name(tmp_path / "Ä")


def test_errors_of_code_that_walks_unknown_content_become_one_line():
    for fault in (lambda: {}["a"], lambda: [][0], lambda: None.b, lambda: 1 / 0, lambda: int("x")):
        with (
            pytest.raises(InputError, match=r"a\.bin: damaged \(\w+: .*\); expected a list of people"),
            inputs.reading("a.bin", "a list of people"),
        ):
            fault()
    with pytest.raises(InputError, match="own words"), inputs.reading("a.bin", "x"):
        raise InputError("own words")
    with pytest.raises(KeyboardInterrupt), inputs.reading("a.bin", "x"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("order", "<>")
def test_texts_of_numbers_that_are_no_letters_are_refused(order, tmp_path):
    """NumPy itself fails with a SystemError when such a text is looked at."""
    texts = np.array(["a.jpg", "\U0001f600.jpg"]).astype(f"{order}U5")
    inputs.check_texts(texts, "files")
    inputs.check_texts(np.zeros((2, 0), "U1"), "files")
    damaged = texts.copy()
    damaged.view(f"{order}u4")[7] = 0x110000
    with pytest.raises(InputError, match=r"^files is not Unicode text"):
        inputs.check_texts(damaged[::-1], "files")
    np.savez(tmp_path / "a.npz", files=damaged)
    np.save(tmp_path / "a.npy", damaged)
    with pytest.raises(InputError, match=r"a\.npz: files is not Unicode text"):
        arrays.read_npz(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: files: a text is not Unicode text"):
        array_rows.open_npz(tmp_path / "a.npz")["files"].read(0, 2)
    with pytest.raises(InputError, match=r"a\.npy: refused.*texts that are not Unicode"):
        unpickle.load_objects(tmp_path / "a.npy")
