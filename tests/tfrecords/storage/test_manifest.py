"""manifest.json: what is written is read; what is no manifest is an input error."""

import json

import pytest

from tfrecords.storage import manifest
from tools.cli.errors import InputError


@pytest.fixture
def content(tmp_path):
    (tmp_path / "a-all-00000-of-00002.tfrecord").write_bytes(b"12345")
    (tmp_path / "a-all-00001-of-00002.tfrecord").write_bytes(b"123")
    return manifest.Manifest(
        name="a-all",
        split="all",
        source={"name": "a", "description": "Ä", "licence": "l", "citation": "c"},
        input="x",
        options={"limit": 0},
        shards=[
            manifest.Shard("a-all-00000-of-00002.tfrecord", 2, 5, "a" * 64),
            manifest.Shard("a-all-00001-of-00002.tfrecord", 1, 3, "b" * 64),
        ],
        skipped={"image missing": {"count": 3, "first": ["b"]}},
        folder=tmp_path,
    )


def test_round_trip(tmp_path, content):
    path = content.write(tmp_path)
    assert path == tmp_path / "manifest.json"
    assert manifest.read_manifest(path) == content
    assert manifest.read_manifest(str(tmp_path)) == content
    assert (content.records, content.bytes) == (3, 8)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert (stored["records"], stored["bytes"], stored["schema_version"]) == (3, 8, 1)


def test_sizes(tmp_path, content):
    content.check_sizes()
    shard = tmp_path / content.shards[1].file
    shard.write_bytes(b"12")
    with pytest.raises(InputError, match=f"{shard}: shard is cut short: 2 bytes, 3 were written"):
        content.check_sizes()
    shard.write_bytes(b"1234")
    with pytest.raises(InputError, match="too long"):
        content.check_sizes()
    shard.unlink()
    with pytest.raises(InputError, match=f"{shard}: shard is missing"):
        content.check_sizes()


def edited(change):
    def edit(text):
        stored = json.loads(text)
        change(stored)
        return json.dumps(stored)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: "", "not JSON"),
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (lambda text: text.replace("999999", "9" * 5000).replace('"limit": 0', '"limit": ' + "9" * 5000), "not JSON"),
        (lambda text: "[]", "not a manifest"),
        (lambda text: "{}", "not a manifest"),
        (edited(lambda stored: stored.pop("shards")), "not a manifest"),
        (edited(lambda stored: stored["shards"][0].pop("sha256")), "not a manifest"),
        (edited(lambda stored: stored["shards"].pop()), "says 3 records, its shards hold 2"),
        (edited(lambda stored: stored["shards"][0].update(file=5)), "shard 0: file must be the name of a file"),
        (edited(lambda stored: stored["shards"][0].update(file="../a.tfrecord")), "the name of a file beside"),
        (edited(lambda stored: stored["shards"][1].update(file="/etc/passwd")), "shard 1: .*the name of a file beside"),
        (edited(lambda stored: stored["shards"][1].update(file="a" * 256)), "shard 1: file must be the name of a file"),
        (edited(lambda stored: stored["shards"][1].update(file=stored["shards"][0]["file"])), "named twice"),
        (edited(lambda stored: stored["shards"][0].update(records="20")), "records and bytes must be whole numbers"),
        (edited(lambda stored: stored["shards"][0].update(records=-2)), "records and bytes must be whole numbers"),
        (edited(lambda stored: stored["shards"][0].update(bytes=float("inf"))), "must be whole numbers"),
        (edited(lambda stored: stored["shards"][0].update(sha256=None)), "64 hexadecimal digits"),
        (edited(lambda stored: stored.update(source=[])), "source must have the texts"),
        (edited(lambda stored: stored.update(skipped={"a": 3})), "skipped must be reasons"),
        (edited(lambda stored: stored.update(options=None)), "options is no object"),
        (edited(lambda stored: stored.update(name=7)), "name is no text"),
        (edited(lambda stored: stored.update(name="\ud800")), "name is not Unicode text"),
        (edited(lambda stored: stored.update(schema_version=99)), "schema 99; this version reads"),
    ],
)
def test_damaged_manifests(tmp_path, content, edit, message):
    path = content.write(tmp_path)
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        manifest.read_manifest(tmp_path)
    assert str(path) in str(caught.value)


def test_folder_without_manifest(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        manifest.read_manifest(tmp_path)


def test_shard_names():
    assert manifest.shard_name("name", 0, 16) == "name-00000-of-00016.tfrecord"
    assert manifest.shard_name("name", 3, 4, True) == "name-00003-of-00004.tfrecord.gz"
    assert manifest.parse_shard_name("a-b-all-00003-of-00004.tfrecord.gz") == ("a-b-all", 3, 4)
    assert manifest.parse_shard_name("name-00003-of-00004.tfrecord.tmp") is None
    assert manifest.parse_shard_name("manifest.json") is None
