"""Evaluation in parts: what all workers measure together is what one measures alone."""

import json

import numpy as np
import pytest

from tools.training.division import Division


def together(count, measure, total, block, monkeypatch):
    """What `count` workers have in the end, their sums made here instead of between processes."""

    def own(self, values, rows, size):
        whole = np.zeros((size, *values.shape[1:]), values.dtype)
        whole[rows] = values
        return whole

    monkeypatch.setattr(Division, "_added", own)
    parts = [Division(index, count).measured(measure, total, block) for index in range(count)]
    return {name: sum(part[name] for part in parts) for name in parts[0]}


@pytest.mark.parametrize(("count", "total", "block"), [(2, 101, 10), (3, 101, 10), (4, 64, 16), (3, 21, 10)])
def test_parts_are_the_whole_and_blocks_stay_whole(count, total, block, monkeypatch):
    values, asked = np.random.default_rng(0).normal(size=(total, 3)), []
    values[5] = np.nan

    def measure(rows):
        asked.append(rows)
        return {"b": values[rows], "a": values[rows, 0].astype(np.float32)}

    whole = together(count, measure, total, block, monkeypatch)
    assert list(whole) == ["b", "a"]
    np.testing.assert_array_equal(whole["b"], values)
    np.testing.assert_array_equal(whole["a"], values[:, 0].astype(np.float32))
    assert sorted(np.concatenate(asked)) == list(range(total))
    for rows in asked:
        for number in set(rows // block):
            assert (rows[rows // block == number] == np.arange(total)[number * block :][:block]).all()


def test_few_blocks_and_one_worker_are_measured_whole():
    seen = []
    for division in (Division(), Division(1, 2), Division(2, 3)):
        division.measured(lambda rows: seen.append(rows) or {}, 10, 10)
    assert seen == [slice(None)] * 3


def test_whose_part_it_is(monkeypatch):
    import tensorflow as tf

    class Resolver:
        task_type, task_id = "worker", 1

    class Workers(tf.distribute.MultiWorkerMirroredStrategy):
        def __init__(self):
            pass

        cluster_resolver = Resolver()

    for cluster, index, count in (
        ({"worker": ["a:1", "b:1", "c:1"]}, 1, 3),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, 2, 3),
        ({"worker": ["a:1"]}, 0, 1),
    ):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
        division = Division.of(Workers())
        assert (division.index, division.count) == (index, count)
    assert Division.of(tf.distribute.OneDeviceStrategy("CPU:0")) == Division()
