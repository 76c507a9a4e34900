"""tf.data's service as the input pipeline: with two workers the batches of one machine, in their order."""

import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import data_service


def make(start, mine=data_service.everything):
    """Shuffled records in batches of four, from a step on, each varied by its step."""
    records = tf.data.Dataset.range(40).shuffle(20, seed=3, reshuffle_each_iteration=False).batch(4).repeat()
    steps = tf.data.Dataset.range(start, tf.int64.max)

    def vary(step, record):
        noise = tf.random.stateless_uniform([4], tf.stack([step, 7]))
        return {"record": record, "noise": noise, "step": step}

    return mine(tf.data.Dataset.zip((steps, records.skip(start)))).map(vary)


@pytest.mark.parametrize("start", [0, 5])
def test_two_workers_make_the_batches_of_one_machine_in_order(data_service_of_two, start):
    expected = list(make(start).take(9).as_numpy_iterator())
    assert [batch["step"] for batch in expected] == list(range(start, start + 9))
    for _ in range(2):  # the same again for another training
        read = list(data_service_of_two.read(lambda mine: make(start, mine), start).take(9).as_numpy_iterator())
        for batch, other in zip(expected, read):
            assert batch.keys() == other.keys()
            for name, values in batch.items():
                np.testing.assert_array_equal(other[name], values)


def test_another_number_of_workers_than_announced_is_noticed(data_service_of_two):
    wrong = data_service.DataService(data_service_of_two.address, 3, wait_seconds=0.0)
    with pytest.raises(InputError, match="has not 3 workers, which --data_service_workers says"):
        wrong.read(lambda mine: make(0, mine), 0)


def test_addresses():
    assert data_service.DataService.of_flags("", 1) is None
    for bad in ("host:5000", "grpc://host", "http://host:1", "grpc://:1"):
        with pytest.raises(InputError, match=r"expected grpc://HOST:PORT"):
            data_service.DataService.of_flags(bad, 1)


def test_a_port_that_others_use_is_one_line(repository):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for words in (
            ["dispatcher", f"--port={port}", "--workers=localhost:9"],
            ["worker", "--dispatcher=localhost:9", f"--address=localhost:{port}"],
        ):
            command = [sys.executable, str(repository / "tools" / "data_service.py"), *words]
            done = subprocess.run(command, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (
                2,
                f"error: port {port}: cannot be used: Address already in use\n",
            )
