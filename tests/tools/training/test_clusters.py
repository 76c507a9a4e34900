"""The cluster of a training: TF_CONFIG, and TF_CONFIG made of SLURM's variables."""

import json

import pytest

from tools.cli.errors import InputError
from tools.training import clusters, parameter_servers
from tools.training import strategy as strategies


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "POSE3D_PORT"):
        monkeypatch.delenv(name, raising=False)
    # What a test makes the code set is taken back with it.
    monkeypatch.setenv("TF_CONFIG", "")


def set_config(monkeypatch, cluster, kind="worker", index=0):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))


def test_jobs_of_a_cluster(monkeypatch):
    assert clusters.workers() == clusters.servers() == []
    set_config(monkeypatch, {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "worker", 1)
    assert clusters.workers() == ["a:1", "b:1", "c:1"]
    assert clusters.task() == ("worker", 1)
    set_config(monkeypatch, {"chief": ["a:1"], "ps": ["p:1"], "worker": ["b:1"]})
    assert (clusters.workers(), clusters.servers()) == (["b:1"], ["p:1"])
    for bad in ("{", "[]", '{"cluster": {"worker": [1]}}', '{"cluster": []}', '{"task": 3}'):
        monkeypatch.setenv("TF_CONFIG", bad)
        with pytest.raises(InputError, match="not the JSON that TensorFlow documents"):
            clusters.config()


def test_the_tasks_of_slurm_are_workers(monkeypatch):
    clusters.take_over_slurm()
    assert not clusters.config()
    for name, value in {"NUM_TASKS": "3", "NODELIST": "n[01-02]", "TASKS_PER_NODE": "2,1"}.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    monkeypatch.setattr(clusters.glob, "glob", lambda pattern: [])
    expected = ["n01:8888", "n01:8889", "n02:8888"]
    for number in range(3):
        monkeypatch.setenv("SLURM_PROCID", str(number))
        monkeypatch.setenv("TF_CONFIG", "")
        clusters.take_over_slurm()
        assert clusters.workers() == expected
        assert clusters.task() == ("worker", number)
    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2")
    with pytest.raises(InputError, match="SLURM's variables name no cluster"):
        clusters.take_over_slurm()


def test_a_cluster_that_lacks_something_is_told(monkeypatch):
    set_config(monkeypatch, {"chief": ["a:1"], "worker": ["b:1"]}, "chief")
    with pytest.raises(InputError, match="--strategy=parameter_server: TF_CONFIG names no ps"):
        strategies.make_strategy("parameter_server")
    set_config(monkeypatch, {"chief": ["a:1"], "ps": ["p:1"], "worker": ["b:1"]}, "worker", 4)
    with pytest.raises(InputError, match="task 'worker' 4 is not in its cluster"):
        parameter_servers.make_strategy()


def test_no_tpu(monkeypatch):
    with pytest.raises(InputError, match="--strategy=tpu: no TPU on this machine can be used"):
        strategies.make_strategy("tpu")
