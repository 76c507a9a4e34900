"""Conversions by an engine and to addresses: the same files as the local path, after any interruption."""

import functools
import json
import os

import numpy as np
import pytest

from tfrecords import reader, writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.storage import manifest
from tools.cli.errors import InputError
from tools.engines.engine import Engine
from tools.files import remote


class Shuffled:
    """An engine in this process: pieces in another order, one of them twice, and it may stop in the middle."""

    name, processes = "here", 2

    def __init__(self, seed=0, stop_after=None):
        self._rng, self._stop_after = np.random.default_rng(seed), stop_after
        self.pieces = []

    def run(self, job, pieces, title):
        order = self._rng.permutation(pieces).tolist()
        state, counters = job.setup(), {}
        for done, piece in enumerate(order[:1] + order):
            if done == self._stop_after:
                raise InputError("--runner=here: stopped")
            self.pieces.append(piece)
            for name, count in job.process(state, piece).counters.items():
                counters[name] = counters.get(name, 0) + count
        return counters


def noise(path, count=60, **options):
    return functools.partial(open_source, "sources_for_tests:Noise", path, Options(count=count, **options))


@pytest.fixture
def factory(tmp_path):
    path = tmp_path / "troubles.txt"
    path.write_text("\n".join(["3: missing", "30: missing", "31: nan"]))
    return noise(path)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def memory(request):
    folder = remote.place(f"ram://{request.node.name.replace('[', '-').replace(']', '')}")
    yield folder
    remote.remove_folder(folder)


@pytest.mark.parametrize("options", [{}, {"shuffle": True, "seed": 3}, {"compressed": True}])
def test_an_engine_writes_the_same_files(factory, tmp_path, options, capsys):
    expected = writer.convert(factory, tmp_path / "local", num_shards=7, quiet=True, **options)
    content = writer.convert(factory, tmp_path / "engine", num_shards=7, engine=Shuffled(), **options)
    assert files(tmp_path / "engine") == files(tmp_path / "local")
    assert content.skipped == expected.skipped
    assert sum(entry["count"] for entry in content.skipped.values()) == 3
    assert "here: bytes" in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "engine")) == sorted(os.listdir(tmp_path / "local"))


def test_a_stopped_engine_goes_on_with_what_is_missing(factory, tmp_path):
    writer.convert(factory, tmp_path / "local", num_shards=7, quiet=True)
    for seed, stop in ((1, 3), (2, 0), (3, 2)):
        with pytest.raises(InputError, match=r"stopped"):
            writer.convert(factory, tmp_path / "out", num_shards=7, quiet=True, engine=Shuffled(seed, stop))
    # A shard that was damaged since is written again.
    damaged = next((tmp_path / "out" / ".partial").glob("*.tfrecord"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    last = Shuffled(4)
    writer.convert(factory, tmp_path / "out", num_shards=7, quiet=True, engine=last)
    assert 1 < len(set(last.pieces)) < 7
    assert files(tmp_path / "out") == files(tmp_path / "local")


def test_what_another_conversion_left_is_not_taken(factory, tmp_path):
    with pytest.raises(InputError, match=r"stopped"):
        writer.convert(factory, tmp_path / "out", num_shards=5, quiet=True, engine=Shuffled(0, 3))
    notes = {path.name: path.read_text() for path in (tmp_path / "out" / ".partial").glob("*.tfrecord.json")}
    assert notes
    other = noise(tmp_path / "troubles.txt", 61)
    with pytest.raises(InputError, match=r"unfinished conversion that differs in"):
        writer.convert(other, tmp_path / "out", num_shards=5, quiet=True, engine=Shuffled())

    class Late(Shuffled):
        """A worker of the former conversion is still there, and leaves its notes once more."""

        def run(self, job, pieces, title):
            for name, text in notes.items():
                (tmp_path / "out" / ".partial" / name).write_text(text)
            return super().run(job, pieces, title)

    writer.convert(other, tmp_path / "out", num_shards=5, quiet=True, engine=Late(), overwrite=True)
    assert manifest.read_manifest(tmp_path / "out").records == 58


def test_workers_that_write_elsewhere_are_noticed(factory, tmp_path):
    class Elsewhere(Shuffled):
        def run(self, job, pieces, title):
            return {}

    with pytest.raises(InputError, match=r"shard 0 and 6 more are not there although the engine has ended"):
        writer.convert(factory, tmp_path / "out", num_shards=7, quiet=True, engine=Elsewhere())


@pytest.mark.parametrize("engine", [None, Shuffled()])
def test_an_address_gets_the_same_files_and_is_read_back(factory, tmp_path, memory, engine):
    local = writer.convert(factory, tmp_path / "local", num_shards=3, quiet=True)
    content = writer.convert(factory, str(memory), num_shards=3, quiet=True, engine=engine)
    assert files(memory) == files(tmp_path / "local")
    assert content.shards == local.shards
    assert not (memory / ".partial").exists()
    read, expected = (reader.load_arrays(str(place)) for place in (memory, tmp_path / "local"))
    for name, values in expected.items():
        np.testing.assert_array_equal(read[name], values)
    batches = [next(iter(reader.dataset(str(place), 8, shuffle_seed=1))) for place in (memory, tmp_path / "local")]
    np.testing.assert_array_equal(batches[0]["pose_2d"], batches[1]["pose_2d"])
    assert len(reader.find(f"{memory}/noise-train-*")) == len(reader.find(f"{memory}/manifest.json")) == 57
    with pytest.raises(InputError, match=r"holds a finished conversion; --overwrite replaces it"):
        writer.convert(factory, str(memory), num_shards=3, quiet=True)


def test_an_interrupted_conversion_to_an_address_goes_on(factory, tmp_path, memory):
    writer.convert(factory, tmp_path / "local", num_shards=7, quiet=True)
    with pytest.raises(InputError, match=r"stopped"):
        writer.convert(factory, str(memory), num_shards=7, quiet=True, engine=Shuffled(1, 4))
    whole = [path.name for path in (memory / ".partial").iterdir() if path.name.endswith(".tfrecord")]
    assert whole
    last = Shuffled(2)
    writer.convert(factory, str(memory), num_shards=7, quiet=True, engine=last)
    assert len(set(last.pieces)) == 7 - len(whole)
    assert files(memory) == files(tmp_path / "local")


def test_damage_at_an_address_is_named(factory, memory):
    content = writer.convert(factory, str(memory), num_shards=3, quiet=True)
    path = memory / content.shards[1].file
    data = path.read_bytes()
    path.unlink()  # in memory, TensorFlow writes behind what is there
    path.write_bytes(data[:-7])
    with pytest.raises(InputError, match=r"00001-of-00003.tfrecord: shard is cut short"):
        reader.find(str(memory))
    path.unlink()
    path.write_bytes(data[:-40] + b"x" + data[-39:])
    with pytest.raises(InputError, match=r"00001-of-00003.tfrecord: shard is damaged"):
        reader.find(str(memory), verify=True)
    assert "00001-of-00003.tfrecord: record" in reader.first_damage(str(memory))
    path.unlink()
    with pytest.raises(InputError, match=r"00001-of-00003.tfrecord: shard is missing"):
        reader.find(str(memory))


def test_beam_in_two_processes_writes_the_same_files(factory, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed (pip install -e '.[beam]')")
    writer.convert(factory, tmp_path / "local", num_shards=4, quiet=True)
    writer.convert(factory, tmp_path / "beam", num_shards=4, quiet=True, engine=Engine("direct", 2))
    assert files(tmp_path / "beam") == files(tmp_path / "local")
    assert json.loads((tmp_path / "beam" / "manifest.json").read_text())["skipped"]


@pytest.mark.slow
def test_spark_writes_the_same_files(factory, tmp_path):
    pytest.importorskip("pyspark", reason="PySpark is not installed (pip install -e '.[spark]')")
    writer.convert(factory, tmp_path / "local", num_shards=4, quiet=True)
    writer.convert(factory, tmp_path / "spark", num_shards=4, quiet=True, engine=Engine("spark", 2))
    assert files(tmp_path / "spark") == files(tmp_path / "local")
