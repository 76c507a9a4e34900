"""What the tests of both training commands look at: checkpoints, event files, killed processes, two workers."""

import glob
import json
import os
import random
import signal
import socket
import time

import numpy as np
import tensorflow as tf


def final_arrays(folder):
    """Every array of the last checkpoint in a training's directory, by name."""
    (index,) = glob.glob(f"{folder}/**/checkpoint", recursive=True)
    loaded = tf.train.load_checkpoint(os.path.dirname(index))
    names = [name for name in loaded.get_variable_to_shape_map() if name != "save_counter/.ATTRIBUTES/VARIABLE_VALUE"]
    return {name: loaded.get_tensor(name) for name in names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}


def scalars(log):
    """tag -> values by step, of all event files under a folder; for pictures their tag."""
    found = {}
    for file in glob.glob(f"{log}/**/*.tfevents.*", recursive=True):
        for event in tf.compat.v1.train.summary_iterator(file):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor).item()
                else:
                    found.setdefault(value.metadata.plugin_data.plugin_name, {})[event.step] = value.tag
    return found


def finish(*processes):
    """Waits for processes, each of which must end well."""
    for process in processes:
        out, errors = process.communicate()
        assert process.returncode == 0, out + errors


def kill_and_finish(start, words, folder, wanted):
    """Starts a training again and again, kills it some time after a new checkpoint, and lets the last one end."""
    rng, kills = random.Random(1), 0
    while kills < wanted:
        process = start(*words, f"--train_dir={folder}")
        before = len(_saved(folder))
        while process.poll() is None and len(_saved(folder)) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    finish(start(*words, f"--train_dir={folder}"))
    assert kills == wanted, "training ended before it could be killed so often"


def preempt_and_finish(start_all, folder):
    """Starts a training, asks one of its processes to end after the first checkpoint, and lets another run finish it.

    start_all: starts the processes of the training in a folder. Returns standard error of those that were ended.
    """
    processes = start_all(folder)
    while not _saved(folder):
        assert all(process.poll() is None for process in processes), "ended before it could be asked to"
        time.sleep(0.01)
    time.sleep(0.2)  # into the next epoch
    processes[-1].send_signal(signal.SIGTERM)
    errors = []
    for process in processes:
        errors.append(process.communicate()[1])
        assert process.returncode == 128 + signal.SIGTERM, errors[-1]
        # Beside lines of progress, which a slow machine has.
        assert len([line for line in errors[-1].splitlines() if not line.startswith("epoch ")]) == 1, errors[-1]
    finish(*start_all(folder))
    assert not _saved(folder, "midway")
    return errors


def _saved(folder, name="checkpoint"):
    return set(glob.glob(f"{folder}/**/{name}-*.index", recursive=True))


def assert_same_arrays(folder, expected_folder, least):
    """The last checkpoints of two trainings hold the same arrays, and at least so many."""
    expected, got = final_arrays(expected_folder), final_arrays(folder)
    assert expected.keys() == got.keys()
    assert len(expected) >= least
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def free_addresses(count):
    """Addresses of this machine with ports that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def start_two_workers(start, words, folder):
    """Two processes that train together on this machine."""
    cluster = {"worker": free_addresses(2)}
    two = (*words, "--strategy=multi_worker", f"--train_dir={folder}")
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": number}} for number in range(2)]
    return [start(*two, TF_CONFIG=json.dumps(config)) for config in configs]


def start_servers(start, words, folder, workers):
    """({task: process} of a parameter server, workers and a chief on this machine, function that starts a task)."""
    ports = free_addresses(2 + workers)
    cluster = {"chief": ports[:1], "ps": ports[1:2], "worker": ports[2:]}
    tasks = [("ps", 0), *(("worker", number) for number in range(workers)), ("chief", 0)]

    def start_task(kind, index):
        config = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
        flags = (*words, "--strategy=parameter_server", f"--train_dir={folder}")
        return start(*flags, TF_CONFIG=config, POSE3D_WITHOUT_CHIEF_SECONDS="15")

    return {task: start_task(*task) for task in tasks}, start_task
