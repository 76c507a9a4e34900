"""inspect_tfrecords: the figures it gives, and everything it must notice."""

import functools
import hashlib
import json
import os

import cv2
import numpy as np
import pytest

from tfrecords import sources, writer
from tfrecords.schema import PoseRecord
from tfrecords.storage import framing, inspection
from tfrecords.storage.example import encode
from tools import inspect_tfrecords
from tools.cli import command


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(inspect_tfrecords.main, inspect_tfrecords.declare, ["inspect_tfrecords", *map(str, arguments)])
    return ended.value.code


def convert(folder, count=40, split="train"):
    options = sources.Options(count=count, split=split)
    factory = functools.partial(sources.open_source, "synthetic", "", options)
    return writer.convert(factory, folder, num_shards=2, quiet=True, num_workers=1)


def record(number, **fields):
    pose = np.full((17, 2), 10.0 + number)
    return PoseRecord(dataset="a", split="train", subject=f"S{number}", frame=number, pose_2d=pose, **fields)


def replace_records(folder, records):
    """Makes the records the only ones of a conversion's first shard, manifest included."""
    manifest = json.loads((folder / "manifest.json").read_text())
    shard = manifest["shards"][0]
    data = b"".join(framing.frame(one if isinstance(one, bytes) else encode(one)) for one in records)
    (folder / shard["file"]).write_bytes(data)
    shard.update(records=len(records), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    manifest["records"] = sum(one["records"] for one in manifest["shards"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder / shard["file"]


def test_report_and_contact_sheet(tmp_path, capsys):
    convert(tmp_path / "out")
    assert run(tmp_path / "out", "--sheet_records=6") == 0
    text = capsys.readouterr().out
    for words in ("synthetic, split train: 40 records", "40 records, 2 shards", "provenance_3d: 100.00 % labelled"):
        assert words in text
    assert "integrity: sizes, SHA-256, checksums, joints and splits are sound" in text
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert min(sheet.shape[:2]) > 400
    assert 0.005 < (sheet < 200).any(-1).mean() < 0.5
    before = os.stat(tmp_path / "out" / "contact_sheet.png").st_mtime_ns
    assert run(tmp_path / "out") == 0
    assert "is there already; --overwrite draws it again" in capsys.readouterr().out
    assert os.stat(tmp_path / "out" / "contact_sheet.png").st_mtime_ns == before


def test_figures(tmp_path):
    convert(tmp_path / "out")
    records = [
        record(0, image_size=[20, 30], action="walk"),
        record(1, image_size=[5, 30], action="walk", head_size=3.0),
        record(2, image_size=[50, 50], provenance_2d=[1] * 9 + [2] * 8, action="sit", head_size=5.0),
        record(0, image_size=[20, 30], action="walk"),
    ]
    path = replace_records(tmp_path / "out", records)
    (tmp_path / "one").mkdir()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    manifest["shards"] = manifest["shards"][:1]
    manifest["records"] = 4
    manifest["skipped"] = {"image missing": {"count": 3, "first": ["x"]}}
    os.rename(path, tmp_path / "one" / path.name)
    (tmp_path / "one" / "manifest.json").write_text(json.dumps(manifest))
    found = inspection.inspect([tmp_path / "one"], samples=2)
    assert (found.records, found.shards, found.damage) == (4, 1, [])
    span = found.ranges["pose_2d"]
    assert (span.records, span.low, span.mean, span.high) == (4, 10.0, 10.75, 12.0)
    assert found.ranges["head_size"].records == 2
    assert found.ranges["head_size"].mean == 4.0
    assert found.provenance["provenance_2d"].tolist() == [0, 9, 59]
    assert found.provenance["provenance_3d"].tolist() == [0, 0, 0]
    assert found.counters["action"] == {"walk": 3, "sit": 1}
    assert found.outside == [17, 1]
    assert found.duplicates == 1
    assert found.duplicate == f"{tmp_path / 'one' / path.name} record 3 repeats {tmp_path / 'one' / path.name} record 0"
    assert found.skipped == {"image missing": 3}
    assert [one.frame for one in found.samples] == [0, 0]


def bad_nan():
    bad = record(1)
    bad.pose_2d[4] = np.nan
    return encode(bad)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record(0), bad_nan()], "record 1: pose_2d is not finite where provenance_2d says known"),
        ([record(0), encode(record(1))[:-3]], "record 1: not a pose record"),
        ([record(0), b"\x0a\x05hello"], "record 1: not a pose record"),
    ],
)
def test_bad_records_are_named(tmp_path, capsys, records, message):
    convert(tmp_path / "out")
    path = replace_records(tmp_path / "out", records)
    assert run(tmp_path / "out", "--sheet=none") == 2
    assert f"error: {path}: {message}" in capsys.readouterr().err


def cut(path):
    os.truncate(path, path.stat().st_size - 7)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (cut, ["bytes, ", "record 19: the file ends in the middle of it"]),
        (flip, ["its SHA-256 is not the manifest's", "record 19: its checksum does not fit"]),
        (os.unlink, ["shard is missing"]),
    ],
)
def test_damaged_shards_are_named(tmp_path, capsys, change, messages):
    content = convert(tmp_path / "out")
    path = tmp_path / "out" / content.shards[1].file
    change(path)
    assert run(tmp_path / "out", "--sheet=none") == 2
    error = capsys.readouterr().err
    for message in messages:
        assert any(line.startswith(f"error: {path}: ") and message in line for line in error.splitlines())


def test_a_subject_in_two_splits(tmp_path, capsys):
    for split in ("train", "val"):
        convert(tmp_path / split, split=split)
    assert run(tmp_path / "train", tmp_path / "val", "--sheet=none") == 0
    capsys.readouterr()
    replace_records(tmp_path / "train", [record(0)])
    other = record(0)
    other.split = "val"
    replace_records(tmp_path / "val", [other])
    assert run(tmp_path / "train", tmp_path / "val", "--sheet=none") == 2
    assert capsys.readouterr().err == "error: a: subject S0 is in the splits train, val\n"


def test_bad_arguments(tmp_path, capsys):
    assert run() == 2
    assert "name at least one folder" in capsys.readouterr().err
    assert run(tmp_path) == 2
    assert "manifest.json: no such file" in capsys.readouterr().err
    assert run(tmp_path / "none") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: no such folder or manifest\n"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "a folder, expected the name of a picture"),
        ("none/sheet.png", "cannot be written (no folder "),
        ("sheet.txt", "expected the ending of a picture format"),
        ("there.png", "exists already; --overwrite"),
    ],
)
def test_a_bad_place_for_the_sheet_is_told_before_anything_is_read(tmp_path, capsys, monkeypatch, place, message):
    convert(tmp_path / "out")
    (tmp_path / "there.png").write_bytes(b"a picture")
    monkeypatch.setattr(inspection, "inspect", lambda *arguments: pytest.fail("records were read"))
    assert run(tmp_path / "out", f"--sheet={tmp_path / place}") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / place}: {message}")
    assert (tmp_path / "there.png").read_bytes() == b"a picture"


def test_records_at_an_address_have_no_sheet_beside_them(tmp_path, capsys):
    convert(tmp_path)
    assert run(f"file://{tmp_path}") == 0
    assert "contact sheet: none beside records at an address; --sheet=FILE says where" in capsys.readouterr().out
