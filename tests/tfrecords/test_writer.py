"""Conversions: what is written, what is skipped, and what happens when something goes wrong in the middle."""

import fcntl
import functools
import hashlib
import itertools
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sources_for_tests import noise_record

from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.storage import manifest, partial, shards
from tfrecords.storage.example import decode, encode
from tfrecords.storage.framing import read_frames
from tools.cli.errors import InputError


def noise(count=30, path="", split="", name="Noise", **options):
    return functools.partial(
        open_source, f"sources_for_tests:{name}", path, Options(count=count, split=split, **options)
    )


def convert(output, factory=None, **options):
    return writer.convert(factory or noise(), output, quiet=True, **options)


def troubles(tmp_path, *lines):
    path = tmp_path / "troubles.txt"
    path.write_text("\n".join(lines))
    return path


def frames_of(content):
    """The record numbers in each shard."""
    return [[decode(data).frame for data in read_frames(content.folder / shard.file)] for shard in content.shards]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_written(tmp_path):
    out = tmp_path / "a" / "out"
    content = convert(out, num_shards=4)
    names = [f"noise-train-0000{i}-of-00004.tfrecord" for i in range(4)]
    assert sorted(os.listdir(out)) == ["manifest.json", *names]
    assert manifest.read_manifest(out) == content
    assert frames_of(content) == [list(range(7)), list(range(7, 15)), list(range(15, 22)), list(range(22, 30))]
    for shard, name in zip(content.shards, names):
        data = (out / name).read_bytes()
        assert (shard.file, shard.bytes, shard.sha256) == (name, len(data), hashlib.sha256(data).hexdigest())
    assert next(read_frames(out / names[1])) == encode(noise_record(7))
    assert content.source == {"name": "noise", "description": "random numbers", "licence": "CC0", "citation": "none"}
    assert (content.records, content.skipped, content.options["count"]) == (30, {}, 30)


def test_gzip(tmp_path):
    content = convert(tmp_path / "out", num_shards=2, compressed=True)
    assert content.shards[0].file == "noise-train-00000-of-00002.tfrecord.gz"
    assert frames_of(content) == [list(range(15)), list(range(15, 30))]


def test_limit_and_more_shards_than_records(tmp_path):
    content = convert(tmp_path / "out", limit=3, num_shards=9)
    assert frames_of(content) == [[0], [1], [2]]


def test_shuffled_shards_hold_every_record_once_and_do_not_depend_on_processes(tmp_path):
    one = convert(tmp_path / "one", noise(1001), num_shards=5, shuffle=True, seed=4)
    two = convert(tmp_path / "two", noise(1001), num_shards=5, shuffle=True, seed=4, num_workers=2)
    frames = frames_of(one)
    assert sorted(itertools.chain(*frames)) == list(range(1001))
    assert all(part == sorted(part) for part in frames)
    assert sorted(map(len, frames)) == [200, 200, 200, 200, 201]
    # Each fifth of the source is spread evenly: 40 expected in each shard, standard deviation below 6.
    assert all(np.histogram(part, 5, (0, 1001))[0].min() > 15 for part in frames)
    assert files(one.folder) == files(two.folder)
    other = convert(tmp_path / "other", noise(1001), num_shards=5, shuffle=True, seed=5)
    assert frames_of(other) != frames


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("records", "count"), [(7, 7), (100, 7), (200_000, 13)])
def test_plans_deal_out_every_number_once(records, count, shuffle):
    plan = shards.Plan("a", records, count, shuffle, seed=1)
    for group in plan.groups(range(count), 2, pictures=False):
        dealt = {place: [] for place in range(len(group))}
        for numbers, owners in plan.numbers(group):
            numbers = np.asarray(numbers)
            assert (np.diff(numbers) > 0).all()
            for place in dealt:
                dealt[place] += numbers[slice(None) if owners is None else owners == place].tolist()
        for place, shard in enumerate(group):
            alone = [n for numbers, _ in plan.numbers((shard,)) for n in np.asarray(numbers).tolist()]
            assert dealt[place] == alone
            assert len(alone) == plan.size(shard)
    everything = [n for shard in range(count) for numbers, _ in plan.numbers((shard,)) for n in list(numbers)]
    assert sorted(everything) == list(range(records))


def test_small_shards_are_written_in_few_passes_through_the_source(tmp_path, monkeypatch):
    passes = []
    monkeypatch.setattr(shards, "read_records", lambda source, n: passes.append(len(n)) or source.records(n))
    one = convert(tmp_path / "one", noise(100), num_shards=1)
    assert passes == [100]
    each = convert(tmp_path / "each", noise(100), num_shards=100)
    assert passes[1:] == [32, 32, 32, 4]
    assert [frame for (frame,) in frames_of(each)] == frames_of(one)[0]
    plan = shards.Plan("a", 10_000, 4)
    assert plan.groups([0, 1, 3], 1, pictures=False) == [(0,), (1,), (3,)]
    plan = shards.Plan("a", 100, 10)
    assert plan.groups([0, 1, 3, 4, 5], 1, pictures=False) == [(0, 1), (3, 4, 5)]
    assert plan.groups([0, 1, 3, 4, 5], 5, pictures=False) == [(0,), (1,), (3,), (4,), (5,)]


def test_default_number_of_shards():
    assert [shards.default_num_shards(n, False) for n in (1, 1000, 5000, 100_000, 1_000_000)] == [1, 1, 5, 16, 50]
    assert [shards.default_num_shards(n, True) for n in (10, 20_000)] == [1, 20]


def test_skipped_records_are_counted_with_the_first_of_them(tmp_path):
    path = troubles(tmp_path, *(f"{n}: missing" for n in range(2, 20, 2)), "5: nan")
    content = convert(tmp_path / "out", noise(path=path), num_shards=4)
    assert content.records == 20
    assert content.skipped == {
        "image missing": {"count": 9, "first": [f"im0000{n}.jpg" for n in (2, 4, 6, 8)] + ["im00010.jpg"]},
        "joint neither finite nor marked as missing": {"count": 1, "first": ["noise: S5/walking/clip0 frame 5"]},
    }
    assert list(content.skipped) == ["image missing", "joint neither finite nor marked as missing"]
    assert frames_of(content)[0] == [0, 1, 3]


def test_nothing_to_write_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"every record was skipped: image missing \(30\); the first: im00000.jpg"):
        convert(tmp_path / "out", noise(path=troubles(tmp_path, "-1: missing")), num_shards=3)
    with pytest.raises(InputError, match="no records"):
        convert(tmp_path / "out", noise(0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("shape", r"noise: S6/walking/clip0 frame 20: pose_2d must be \[17, 2\], is \[16, 2\]"),
        ("error", r"troubles.txt: record 20: not a pose"),
        ("few", "source noise gave fewer records than it was asked for"),
    ],
)
def test_bad_input_stops_the_conversion(tmp_path, workers, trouble, message):
    path = troubles(tmp_path, f"20: {trouble}")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "out", noise(path=path), num_shards=2, num_workers=workers)
    assert {path.name for path in tmp_path.glob("out/*")} <= {".partial"}
    assert not list(tmp_path.glob("out/.partial/*.tmp"))


def test_a_fault_of_the_source_shows_its_traceback(tmp_path):
    path = troubles(tmp_path, "20: bug")
    with pytest.raises(RuntimeError, match=r"sources_for_tests(.|\n)*a fault of the source"):
        convert(tmp_path / "out", noise(path=path), num_shards=2, num_workers=2)


def test_a_worker_that_is_killed_is_noticed_and_the_rest_kept(tmp_path):
    path = troubles(tmp_path, "29: die")
    with pytest.raises(InputError, match="ended by signal SIGKILL"):
        convert(tmp_path / "out", noise(path=path), num_shards=6, num_workers=2)
    assert not list(tmp_path.glob("out/*.tfrecord"))
    assert not list(tmp_path.glob("out/.partial/*.tmp"))
    assert list(tmp_path.glob("out/.partial/*.tfrecord"))


def test_a_finished_output_is_not_touched_without_overwrite(tmp_path):
    out = tmp_path / "out"
    convert(out, num_shards=3)
    (out / "notes.txt").write_text("mine")
    before = files(out)
    for options in ({}, {"num_shards": 3}):
        with pytest.raises(InputError, match="holds a finished conversion; --overwrite replaces it"):
            convert(out, noise(8), **options)
    assert files(out) == before
    assert not (out / ".partial").exists()
    content = convert(out, noise(8), num_shards=2, overwrite=True)
    assert sorted(os.listdir(out)) == sorted(["manifest.json", "notes.txt", *(s.file for s in content.shards)])
    assert frames_of(content) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_finished_conversion_that_was_killed_while_it_tidied_up_is_finished(tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(partial.Partial, "discard", lambda self: None)
    convert(out, num_shards=3)
    assert (out / ".partial").exists()
    monkeypatch.undo()
    # Of another conversion nothing is finished.
    with pytest.raises(InputError, match="holds a finished conversion"):
        convert(out, num_shards=2)
    convert(out, num_shards=3)
    convert(tmp_path / "at_once", num_shards=3)
    assert files(out) == files(tmp_path / "at_once")
    assert not (out / ".partial").exists()
    # Killed when its journal was gone already.
    (out / ".partial").mkdir()
    with pytest.raises(InputError, match="holds a finished conversion"):
        convert(out, num_shards=3)
    assert not (out / ".partial").exists()


def test_shards_of_unknown_origin_are_not_touched(tmp_path):
    (tmp_path / "other-00000-of-00001.tfrecord").write_bytes(b"x")
    with pytest.raises(InputError, match="which is in no manifest"):
        convert(tmp_path)
    assert os.listdir(tmp_path) == ["other-00000-of-00001.tfrecord"]


def test_two_processes_on_one_output(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with partial.locked(out):
        done = run_command(out, "--count=5")
        with pytest.raises(InputError, match="another conversion is writing here"):
            convert(out)
    assert (done.returncode, done.stderr) == (2, f"error: {out}: another conversion is writing here\n")
    assert os.listdir(out) == []
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released
    os.close(handle)


def command_line(out, *flags):
    tools = pathlib.Path(__file__).parents[2] / "tools" / "make_tfrecords.py"
    return [sys.executable, str(tools), "--source=sources_for_tests:Noise", f"--output={out}", *flags]


def run_command(out, *flags, **options):
    return subprocess.run(command_line(out, *flags), capture_output=True, text=True, env=environment(), **options)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def environment():
    """Where the commands find the sources of the tests, and this checkout before an installed one."""
    tests = pathlib.Path(__file__).parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tests, tests.parents[1])))}


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_then_resumed_gives_the_same_bytes(tmp_path, workers):
    # Of two workers each hands over 32 small shards at a time: a third such group is under way when the first is whole.
    out, flags = tmp_path / "out", (f"--workers={workers}", "--num_shards=96", "--count=384")
    flags += (f"--input={troubles(tmp_path, '-1: sleep')}",)
    process = subprocess.Popen(command_line(out, *flags), env=environment(), stdout=subprocess.DEVNULL)
    while len(list(out.glob(".partial/*.tfrecord"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= workers - 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(alive(child) for child in children))
    assert os.listdir(out) == [".partial"]
    # A shard lies in its place a moment before the journal says so; killed then, it is written again.
    lines = (out / ".partial" / "journal.jsonl").read_text().split("\n")[1:-1]
    whole = {f"noise-train-{json.loads(line)['shard']:05}-of-00096.tfrecord" for line in lines}
    assert len(list(out.glob(".partial/*.tfrecord"))) - len(whole) in (0, 1)
    whole = {name: (out / ".partial" / name).stat().st_mtime_ns for name in whole}
    assert 2 <= len(whole) < 96
    # What is damaged meanwhile is found by its hash and written again.
    first = min(whole)
    damaged = bytearray((out / ".partial" / first).read_bytes())
    damaged[100] ^= 1
    (out / ".partial" / first).write_bytes(damaged)

    done = run_command(out, *flags)
    assert done.returncode == 0, done.stderr
    for name, time_ns in whole.items():
        assert ((out / name).stat().st_mtime_ns == time_ns) == (name != first)
    assert run_command(tmp_path / "at_once", *flags).returncode == 0
    assert files(out) == files(tmp_path / "at_once")
    assert not (out / ".partial").exists()


@pytest.fixture
def unfinished(tmp_path):
    """A conversion of 30 records into 6 shards that stopped at record 20, and the file that stopped it."""
    path = troubles(tmp_path, "20: error")
    with pytest.raises(InputError):
        convert(tmp_path / "out", noise(path=path), num_shards=6)
    assert len(list(tmp_path.glob("out/.partial/*.tfrecord"))) == 4
    return tmp_path / "out", path


def test_resuming_with_other_options_or_input_is_refused(unfinished):
    out, path = unfinished
    for factory, options, differs in (
        (noise(path=path), {"num_shards": 5}, "plan"),
        (noise(path=path), {"num_shards": 6, "shuffle": True}, "plan"),
        (noise(31, path=path), {"num_shards": 6}, "options, records, plan"),
        (noise(path=path, split="test"), {"num_shards": 6}, "split, options, plan"),
    ):
        with pytest.raises(InputError, match=f"an unfinished conversion that differs in {differs};"):
            convert(out, factory, **options)
    path.write_text("")
    with pytest.raises(InputError, match="differs in input files;"):
        convert(out, noise(path=path), num_shards=6)
    assert len(list(out.glob(".partial/*.tfrecord"))) == 4
    content = convert(out, noise(path=path), num_shards=6, overwrite=True)
    assert list(itertools.chain(*frames_of(content))) == list(range(30))


def test_a_torn_line_of_the_journal_costs_one_shard(unfinished, tmp_path):
    out, path = unfinished
    journal = out / ".partial" / "journal.jsonl"
    journal.write_text(journal.read_text()[:-20])
    stat = path.stat()
    path.write_text("20: shape")  # the same size, so that only the time tells of the change
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match="pose_2d"):
        convert(out, noise(path=path), num_shards=6)
    # The shard of the torn line was written again, and the journal is sound.
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["shard"] for line in lines[1:]] == [0, 1, 2, 3]


def test_stopped_between_the_last_shard_and_the_manifest(tmp_path, monkeypatch):
    out = tmp_path / "out"
    convert(out, noise(9), num_shards=3)
    rename, count = os.replace, [0]

    def stop_at_the_second_move(source, target):
        if pathlib.Path(target).parent == out:
            count[0] += 1
            if count[0] == 2:
                raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_second_move)
    with pytest.raises(KeyboardInterrupt):
        convert(out, num_shards=3, overwrite=True)
    monkeypatch.undo()
    # Neither the old set nor the new one looks whole.
    assert not (out / "manifest.json").exists()
    assert len(list(out.glob("*.tfrecord"))) == 1
    content = convert(out, num_shards=3)
    assert files(out) == files(convert(tmp_path / "at_once", num_shards=3).folder)
    assert list(itertools.chain(*frames_of(content))) == list(range(30))


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 256 kB; without the right to mount one, a limit on the size of files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() == 0 and shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode:
        yield folder, None
        subprocess.run(["umount", str(folder)], check=True)
    else:
        yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk(small_disk, workers):
    folder, limit = small_disk
    flags = ("--count=1500", "--num_shards=3", f"--workers={workers}")
    done = run_command(folder / "out", *flags, preexec_fn=limit)
    assert done.returncode == 2
    # A slow machine shows progress before.
    (error,) = (line for line in done.stderr.splitlines() if " of 1,500 records, " not in line)
    assert error.startswith(f"error: {folder}/out/noise-train-0000")
    assert ".tfrecord: can't be written: " in error
    assert not list(folder.glob("out/*.tfrecord"))
    assert not list(folder.glob("out/manifest.json"))
    assert not list(folder.glob("out/.partial/*.tmp"))


def test_pictures_go_in_byte_for_byte_and_bad_ones_are_counted(tmp_path, encode):
    good, half = encode(64, 48), encode(640, 480, seed=1)
    (tmp_path / "a.jpg").write_bytes(good)
    (tmp_path / "b.jpg").write_bytes(half[: len(half) // 2])
    (tmp_path / "c.png").write_bytes(encode(20, 30, ".png"))
    (tmp_path / "names.txt").write_text("a.jpg b.jpg c.png missing.jpg")
    content = convert(tmp_path / "out", noise(path=tmp_path, name="Pictures"))
    records = [decode(data) for data in read_frames(tmp_path / "out" / content.shards[0].file)]
    assert [(r.image_format, r.image_size.tolist()) for r in records] == [("jpeg", [64, 48]), ("png", [20, 30])]
    assert records[0].image == good
    assert sorted(content.skipped) == ["image missing", "image truncated"]
    assert all(entry["count"] == 1 for entry in content.skipped.values())
    assert "b.jpg" in content.skipped["image truncated"]["first"][0]
    (tmp_path / "names.txt").write_text("")
    with pytest.raises(InputError, match="no records"):
        convert(tmp_path / "empty", noise(path=tmp_path, name="Pictures"))


def test_more_shards_than_can_be_named_are_refused(tmp_path):
    factory = functools.partial(open_source, "synthetic", "", Options(count=10**12))
    for write in (writer.preview, writer.convert):
        with pytest.raises(InputError, match=r"50,000,000 shards, at most 100,000: .*--count.*--num_shards"):
            write(factory, tmp_path / "out")
    assert writer.preview(factory, tmp_path / "out", num_shards=1000)[1].num_shards == 1000
