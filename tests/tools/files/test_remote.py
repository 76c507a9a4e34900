"""Addresses: what `tf.io.gfile` reaches behaves as a local path does, by the same calls on both."""

import hashlib
import os

import pytest

from tools.cli.errors import InputError
from tools.files import atomic, checksums, inputs, remote


@pytest.fixture
def memory(request):
    """An address in TensorFlow's file system in memory, of this test alone."""
    folder = remote.place(f"ram://{request.node.name.replace('[', '-').replace(']', '')}")
    folder.mkdir()
    yield folder
    remote.remove_folder(folder)


@pytest.fixture(params=["local", "memory", "file"])
def folder(request, tmp_path):
    """A folder: as a path, in memory, and as an address of this machine's own files."""
    if request.param == "local":
        return tmp_path
    return request.getfixturevalue("memory") if request.param == "memory" else remote.place(f"file://{tmp_path}")


def test_what_is_an_address():
    for path in ("gs://bucket/a", "s3://bucket", "hdfs://host:9000/a", "file:///a", remote.place("ram://a")):
        assert remote.is_remote(path)
    for path in ("a", "/a/b", "C:/a", "a://b"[1:], "photos/*.jpg", "http", "1://"):
        assert not remote.is_remote(path)
    assert str(remote.place("gs://bucket/a//") / "b") == "gs://bucket/a/b"
    assert str(remote.place("gs://bucket/a/b.tfrecord.gz").parent) == "gs://bucket/a"
    assert remote.place("gs://bucket").parent == remote.place("gs://bucket")
    assert (remote.place("gs://b/a.txt").suffix, remote.place("gs://b/a.txt").stem) == (".txt", "a")


def test_files_and_folders(folder):
    below = folder / "a" / "b"
    below.mkdir(parents=True, exist_ok=True)
    assert (below.exists(), below.is_dir(), below.is_file()) == (True, True, False)
    path = below / "text.txt"
    assert not path.exists()
    assert path.write_bytes("größe".encode()) == 7
    assert (path.exists(), path.is_dir(), path.is_file()) == (True, False, True)
    assert (path.read_text(encoding="utf-8"), path.stat().st_size) == ("größe", 7)
    assert path.stat().st_mtime_ns >= 0
    (below / "other.json").write_bytes(b"{}")
    assert sorted(p.name for p in below.iterdir()) == ["other.json", "text.txt"]
    assert [p.name for p in below.glob("*.txt")] == ["text.txt"]
    remote.replace(path, below / "other.json")
    assert not path.exists()
    assert inputs.read_bytes(below / "other.json") == "größe".encode()
    (below / "other.json").unlink()
    (below / "other.json").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (below / "other.json").unlink()
    remote.remove_folder(folder / "a")
    assert not below.exists()


def test_streams_seek_and_tell(folder):
    data = bytes(range(256)) * 40
    with remote.open_binary(folder / "data", "wb", buffering=0) as file:
        assert file.write(memoryview(data)) == len(data)
    with remote.open_binary(folder / "data", "rb") as file:
        assert file.read(3) == data[:3]
        file.seek(5000)
        assert (file.read(10), file.tell()) == (data[5000:5010], 5010)
        file.seek(-4, os.SEEK_END)
        assert file.read() == data[-4:]
        assert file.read(1) == b""
    assert checksums.of_file(folder / "data") == hashlib.sha256(data).hexdigest()


def test_whole_texts(folder):
    atomic.write_text(folder / "journal.json", "one")
    atomic.write_text(folder / "journal.json", "two")
    assert inputs.read_bytes(folder / "journal.json") == b"two"
    assert [path.name for path in folder.iterdir()] == ["journal.json"]


def test_faults_are_named_in_one_line(memory):
    with pytest.raises(InputError, match=r"ram://.*/none.json: no such file$"):
        inputs.read_json(memory / "none.json")
    with pytest.raises(InputError, match=r"is a folder, expected a file"):
        inputs.read_bytes(memory)
    with pytest.raises(InputError, match=r"nowhere://bucket/a.npz: cannot be read: .*nowhere://"):
        remote.fetched("nowhere://bucket/a.npz")
    with pytest.raises(InputError, match=r"ram://.*/gone: no such file or folder"):
        remote.fetched(memory / "gone")


def test_a_fetched_copy_is_made_once_and_anew_when_the_file_changes(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(remote.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(remote.tempfile, "tempdir", str(tmp_path))
    (memory / "set" / "images").mkdir(parents=True)
    (memory / "set" / "labels.json").write_bytes(b"{}")
    (memory / "set" / "images" / "a.jpg").write_bytes(b"picture")
    copy = remote.fetched(str(memory / "set"))
    assert copy.name == "set"
    assert (copy / "images" / "a.jpg").read_bytes() == b"picture"
    assert remote.fetched(memory / "set") == copy
    (memory / "set" / "labels.json").unlink()
    (memory / "set" / "labels.json").write_bytes(b"[1, 2]")
    again = remote.fetched(memory / "set")
    assert again != copy
    assert (again / "labels.json").read_bytes() == b"[1, 2]"
    assert remote.fetched(tmp_path) == tmp_path
    # What is wrong with the copy is said of what the user named.
    assert str(InputError(f"{again}/labels.json: damaged")) == f"{memory}/set/labels.json: damaged"


def test_upload(memory, tmp_path):
    (tmp_path / "out" / "in").mkdir(parents=True)
    (tmp_path / "out" / "a").write_bytes(b"1")
    (tmp_path / "out" / "in" / "b").write_bytes(b"2")
    remote.upload(tmp_path / "out", memory / "out")
    assert ((memory / "out" / "a").read_bytes(), (memory / "out" / "in" / "b").read_bytes()) == (b"1", b"2")
    assert sorted(path.name for path in (memory / "out").iterdir()) == ["a", "in"]


@pytest.mark.parametrize("made", ["a link", "open to others"])
def test_a_local_copy_does_not_go_where_others_write(tmp_path, monkeypatch, made):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = tmp_path / f"pose3d-{os.getuid()}"
    if made == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        mine.symlink_to("theirs")
    else:
        mine.mkdir()
        mine.chmod(0o777)
    with pytest.raises(InputError, match=f"{mine.name}: is not a folder that this user alone can write to"):
        remote.local_twin("gs://bucket/labels", "labels")


def test_pipes_and_devices_at_addresses_are_no_files(tmp_path, monkeypatch):
    """Reading one would wait for ever."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "pipe.json")
    address = f"file://{tmp_path}/data"
    with pytest.raises(InputError, match=r"pipe\.json: is no regular file"):
        remote.fetched(f"{address}/pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json: is a named pipe, expected a file"):
        inputs.read_bytes(f"{address}/pipe.json")
    (tmp_path / "data" / "a.json").write_text("1")
    assert [path.name for path in remote.fetched(address).iterdir()] == ["a.json"]
