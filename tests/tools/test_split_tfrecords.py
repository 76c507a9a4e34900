"""split_tfrecords: whole groups in one of two sets, by the seed, every record in exactly one."""

import json

import numpy as np
import pytest

from tfrecords import reader, schema, writer
from tfrecords.source import Info, Options, Source
from tools import inspect_tfrecords, split_tfrecords
from tools.cli import command

PEOPLE = (40, 30, 20, 10, 60, 25, 15)


class Walkers(Source):
    """Records of seven people, as many of each as `PEOPLE` says, in turns."""

    info = Info("walkers", "people who walk", "nothing", "none", "none", False)

    def __init__(self, path="", options=None):
        super().__init__(path, options or Options(split="all"))
        rows = [(person, i) for person, count in enumerate(PEOPLE) for i in range(count)]
        self._rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]

    def __len__(self):
        return len(self._rows)

    def records(self, numbers):
        for number in numbers:
            person, i = self._rows[number]
            pose = 100.0 * person + i + np.arange(34, dtype=np.float32).reshape(17, 2)
            yield schema.PoseRecord(dataset="walkers", subject=f"S{person}", sequence=f"{i % 3}", frame=i, pose_2d=pose)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split") / "all"
    writer.convert(Walkers, folder, num_shards=3)
    return folder


def run(module, *arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(module.main, module.declare, ["tool", *map(str, arguments)])
    return ended.value.code


def contents(folder):
    arrays = reader.load_arrays(str(folder), ["subject", "frame", "split"])
    return list(zip(arrays["subject"], arrays["frame"].tolist())), set(arrays["split"])


def test_people_are_in_one_set_each_and_nobody_is_lost(records, tmp_path, capsys):
    assert run(split_tfrecords, f"--input={records}", f"--output={tmp_path / 'a'}", "--seed=4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    train, of_train = contents(tmp_path / "a" / "train")
    test, of_test = contents(tmp_path / "a" / "test")
    assert (of_train, of_test) == ({"train"}, {"test"})
    assert sorted(train + test) == sorted((f"S{p}", i) for p, count in enumerate(PEOPLE) for i in range(count))
    assert not {subject for subject, _ in train} & {subject for subject, _ in test}
    assert report["records"] == {"train": len(train), "test": len(test)}
    # Groups of at most 60 of 200 records: the share of 40 is met to half of the largest.
    assert abs(len(test) - 40) <= 30
    assert run(inspect_tfrecords, tmp_path / "a" / "train", tmp_path / "a" / "test", "--sheet=none") == 0
    assert run(split_tfrecords, f"--input={records}", f"--output={tmp_path / 'b'}", "--seed=4") == 0
    people = len({subject for subject, _ in train})
    assert f"train: {len(train)} records of {people} subject{'s' * (people > 1)}: " in capsys.readouterr().out
    assert contents(tmp_path / "b" / "test")[0] == test
    others = [tuple(sorted(_drawn(records, seed))) for seed in range(6)]
    assert len(set(others)) > 1


def _drawn(records, seed):
    from tfrecords.sources import splitting

    return splitting.divide(str(records), "subject", 0.2, seed).groups["test"]


def test_a_dry_run_writes_nothing(records, tmp_path, capsys):
    assert run(split_tfrecords, f"--input={records}", f"--output={tmp_path / 'c'}", "--dry_run") == 0
    assert "200 records" in capsys.readouterr().out
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--by=file"], ["200 of 200 records name no file"]),
        (["--by=subject", "--test_share=1"], ["--test_share=1"]),
        (["--by=action"], ["name no action"]),
    ],
)
def test_what_cannot_be_split_is_one_line(records, tmp_path, assert_error, flags, words):
    assert run(split_tfrecords, f"--input={records}", f"--output={tmp_path / 'd'}", *flags) == 2
    assert_error(*words)
    assert not (tmp_path / "d").exists()


def test_one_person_alone_is_not_split(tmp_path, assert_error):
    class One(Walkers):
        def records(self, numbers):
            for record in super().records(numbers):
                record.subject = "S0"
                yield record

    writer.convert(One, tmp_path / "one")
    assert run(split_tfrecords, f"--input={tmp_path / 'one'}", f"--output={tmp_path / 'e'}") == 2
    assert_error("all 200 records are of one subject")
