"""Where training runs: names of strategies, and the rows that each replica gets."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import strategy as strategies


def test_one_device_and_auto_on_a_plain_machine(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    made = strategies.make_strategy("one_device")
    assert made.num_replicas_in_sync == 1
    assert strategies.is_chief(made)
    assert strategies.is_chief(strategies.make_strategy("auto"))
    strategies.wait_for_all(made)


def test_what_cannot_be_is_told(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="--strategy=some"):
        strategies.make_strategy("some")
    with pytest.raises(InputError, match="TF_CONFIG does not name"):
        strategies.make_strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(InputError, match="not the JSON"):
        strategies.make_strategy("auto")


class Cluster:
    """Stands in for a strategy of `workers` processes with `mine` replicas each; keeps what each worker is given."""

    def __init__(self, workers, mine):
        self.num_replicas_in_sync, self._workers = workers * mine, workers

    def distribute_datasets_from_function(self, make):
        contexts = [
            tf.distribute.InputContext(self._workers, number, self.num_replicas_in_sync)
            for number in range(self._workers)
        ]
        return [list(make(context).as_numpy_iterator()) for context in contexts]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("workers", "mine"), [(1, 2), (2, 1), (2, 2), (4, 1)])
def test_replicas_share_the_same_global_batches_row_by_row(workers, mine, alone):
    """With a function that makes rows alone, several workers never make a whole batch."""
    rows = np.arange(3 * 8 * 2).reshape(3, 8, 2)

    def make():
        return tf.data.Dataset.from_tensor_slices(rows).map(lambda x: {"x": x, "first": x[:, 0]})

    def make_rows(first, end):
        return tf.data.Dataset.from_tensor_slices(rows[:, first:end]).map(lambda x: {"x": x, "first": x[:, 0]})

    if not alone:
        dealt = strategies.distribute(Cluster(workers, mine), make, 8)
    else:
        whole = make if workers == 1 else None
        dealt = strategies.distribute(Cluster(workers, mine), whole, 8, make_rows)
    share = 8 // (workers * mine)
    for worker in range(workers):
        assert len(dealt[worker]) == 3 * mine
        for number, part in enumerate(dealt[worker]):
            step, replica = number // mine, worker * mine + number % mine
            expected = rows[step, replica * share : (replica + 1) * share]
            np.testing.assert_array_equal(part["x"], expected)
            np.testing.assert_array_equal(part["first"], expected[:, 0])


def test_pairs_stay_pairs_and_one_replica_gets_the_batches_as_they_are():
    def make():
        return tf.data.Dataset.from_tensors((tf.ones([4, 2]), tf.zeros([4, 1])))

    (worker,) = strategies.distribute(Cluster(1, 2), make, 4)
    assert [tuple(part.shape for part in pair) for pair in worker] == [((2, 2), (2, 1))] * 2
    whole = strategies.distribute(strategies.make_strategy("one_device"), make, 4)
    assert [tuple(part.shape for part in pair) for pair in whole.as_numpy_iterator()] == [((4, 2), (4, 1))]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(InputError, match="--batch_size=9 is not a multiple of the 2 replicas"):
        strategies.distribute(Cluster(2, 1), lambda: None, 9)


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_trainings_run_without_the_graph_optimizer(repository, deterministic):
    """It wrote the hourglass' step in one of two forms, which round differently. In a process of its own."""
    program = f"""
import tensorflow as tf
from tools.training import strategy
strategy.prepare_devices(use_cpu=True, deterministic={deterministic})
print(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False))
"""
    words = [sys.executable, "-c", program]
    run = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True)
    assert run.stdout == f"{deterministic}\n"
