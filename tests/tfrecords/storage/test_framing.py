"""TFRecord files against TensorFlow's own reader and writer, and every way to damage one."""

import gzip
import hashlib
import struct

import pytest

from tfrecords.storage import framing
from tfrecords.storage.crc32c import masked_crc32c
from tools.cli.errors import InputError

RECORDS = [b"", b"one", bytes(range(256)) * 20, b"\0" * 9]


def write(path, records=RECORDS):
    with framing.RecordFile(path, path.suffix == ".gz") as file:
        for record in records:
            file.write(record)
    return file


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_tensorflow_reads_what_is_written(tmp_path, name):
    import tensorflow as tf

    file = write(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert (file.records, file.bytes, file.sha256) == (4, len(data), hashlib.sha256(data).hexdigest())
    kind = "GZIP" if name.endswith("gz") else ""
    assert list(tf.data.TFRecordDataset(str(tmp_path / name), kind).as_numpy_iterator()) == RECORDS
    assert list(framing.read_frames(tmp_path / name)) == RECORDS


def test_reads_what_tensorflow_writes_byte_for_byte(tmp_path):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in RECORDS:
            writer.write(record)
    write(tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert b"".join(map(framing.frame, RECORDS)) == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_every_cut_is_named(tmp_path, name):
    records = [b"first", b"second"]
    write(tmp_path / name, records)
    whole = (tmp_path / name).read_bytes()
    ends = {0, len(framing.frame(b"first"))} if name == "a.tfrecord" else {0}
    for length in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        if length in ends:
            assert len(list(framing.read_frames(tmp_path / name))) == (length > 0)
        else:
            with pytest.raises(InputError, match=rf"{name}: record \d"):
                list(framing.read_frames(tmp_path / name))


def test_every_flipped_byte_is_found_in_its_record(tmp_path):
    path = tmp_path / "a.tfrecord"
    write(path, [b"first", b"second"])
    whole = path.read_bytes()
    first = len(framing.frame(b"first"))
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(InputError, match=f"record {int(at >= first)}:"):
            list(framing.read_frames(path))


def test_an_error_leaves_no_file(tmp_path):
    path = tmp_path / "a.tfrecord"

    def fail_half_way():
        with framing.RecordFile(path, False) as file:
            file.write(bytes(1 << 20))
            assert path.stat().st_size
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert not path.exists()


@pytest.mark.parametrize("length", [1 << 40, (1 << 64) - 1, 1000])
@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_lengths_beyond_the_file_are_found_by_both_readers(tmp_path, name, length):
    """The last record announces more than there is, with a checksum that fits: TensorFlow dies of it."""
    packed = struct.pack("<Q", length)
    data = framing.frame(b"first") + packed + struct.pack("<I", masked_crc32c(packed)) + b"abc"
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    for read in (lambda: list(framing.read_frames(path)), lambda: framing.count_records(path)):
        with pytest.raises(InputError, match=r"record 1: (announces .* more than|the file ends in the middle)"):
            read()


def test_records_are_counted_without_reading_them(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(framing.frame(bytes(size)) for size in range(300)))
    assert framing.count_records(path) == 300
    whole = path.read_bytes()
    for size in (*range(1, 40), len(whole) - 1):
        path.write_bytes(whole[:size])
        if size not in (16, 33):  # the ends of the first two records
            with pytest.raises(InputError, match="the file ends in the middle"):
                framing.count_records(path)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "a zip or npz archive"),
        (b"\x93NUMPY", "a NumPy array"),
        (b' {"images": []', "JSON"),
        (b"\x1f\x8b\x08", "gzip, but not .gz by name"),
    ],
)
def test_files_of_another_kind_are_said_to_be_such(tmp_path, start, kind):
    path = tmp_path / "mine"
    path.write_bytes(start + bytes(40))
    for read in (lambda: list(framing.read_frames(path)), lambda: framing.count_records(path)):
        with pytest.raises(InputError) as error:
            read()
        assert str(error.value) == f"{path}: not a TFRecord file ({kind})"
