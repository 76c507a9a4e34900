"""Trainings of several processes on this machine: the losses of one device for the same global batch, after kills too.

Each takes a minute or more, so they run with POSE3D_SLOW=1.
"""

import glob
import json
import signal
import time

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(synthetic_records, start_command, trainings, tmp_path_factory):
    """Flags of a small training, whose test records are more than one worker measures at once."""
    test = tmp_path_factory.mktemp("test") / "records"
    options = ("--source=synthetic", "--split=test", "--count=2500", "--workers=1", f"--output={test}")
    trainings.finish(start_command("tools/make_tfrecords.py", *options))
    return [
        *("--linear_size=64", "--batch_size=16", "--epochs=4", "--pictures_every=0", "--seed=1", "--residual"),
        *("--max_norm", f"--train_data={synthetic_records / 'train'}", f"--test_data={test}"),
    ]


@pytest.fixture(scope="module")
def one(words, start_train, trainings, tmp_path_factory):
    """The folder of the training on one device."""
    folder = tmp_path_factory.mktemp("one")
    trainings.finish(start_train(*words, "--strategy=one_device", f"--train_dir={folder}"))
    return folder


def weights_of(folder):
    (path,) = glob.glob(f"{folder}/**/export/weights.npz", recursive=True)
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def differences(trainings, folder, expected):
    """(largest relative difference of an epoch's loss, largest difference of a weight)."""
    losses, others = (trainings.scalars(place)["epoch_loss"] for place in (folder, expected))
    assert losses.keys() == others.keys()
    mine, theirs = weights_of(folder), weights_of(expected)
    off = max(float(np.abs(mine[name] - value).max()) for name, value in theirs.items())
    return max(abs(losses[epoch] / others[epoch] - 1) for epoch in others), off


def figures_of(folder):
    (path,) = glob.glob(f"{folder}/**/export/model.json", recursive=True)
    with open(path, encoding="utf-8") as file:
        return json.load(file)["facts"]["figures"]


def saved(folder):
    return glob.glob(f"{folder}/**/checkpoint-*.index", recursive=True)


def wait_for(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("devices", [2, 4])
def test_virtual_devices(devices, words, one, start_train, trainings, tmp_path):
    flags = ("--strategy=mirrored", f"--virtual_cpus={devices}", f"--train_dir={tmp_path}")
    trainings.finish(start_train(*words, *flags))
    loss, off = differences(trainings, tmp_path, one)
    print(f"{devices} virtual devices: losses within {loss:.1e} of one device's, weights within {off:.1e}")
    assert loss < 1e-6
    assert off < 1e-6


def test_a_directory_at_an_address(words, one, start_train, trainings, tmp_path):
    """Killed after its first checkpoint and started again."""
    flags = ("--strategy=one_device", f"--train_dir=file://{tmp_path}")
    process = start_train(*words, *flags)
    wait_for(lambda: saved(tmp_path), process)
    process.kill()
    process.communicate()
    trainings.finish(start_train(*words, *flags))
    loss, off = differences(trainings, tmp_path, one)
    assert (loss, off) == (0.0, 0.0)


def start_tasks(start_train, words, folder, ports):
    two = (*words, "--strategy=multi_worker", f"--train_dir={folder}")
    return [
        start_train(*two, TF_CONFIG=json.dumps({"cluster": {"worker": ports}, "task": {"type": "worker", "index": i}}))
        for i in range(2)
    ]


@pytest.mark.parametrize("killed", [None, 1, 0])
def test_two_workers_and_one_of_them_killed(killed, words, one, start_train, trainings, tmp_path):
    """The other worker ends by itself; started again, both go on from the last checkpoint."""
    pair = start_tasks(start_train, words, tmp_path, trainings.free_addresses(2))
    if killed is not None:
        wait_for(lambda: saved(tmp_path), pair[0])
        pair[killed].send_signal(signal.SIGKILL)
        for process in pair:
            process.communicate(timeout=600)
        assert pair[1 - killed].returncode != 0
        pair = start_tasks(start_train, words, tmp_path, trainings.free_addresses(2))
    trainings.finish(*pair)
    loss, off = differences(trainings, tmp_path, one)
    name = "two workers" + (
        "" if killed is None else f", {['the chief', 'the other'][killed]} killed and started again"
    )
    print(f"{name}: losses within {loss:.1e} of one device's, weights within {off:.1e}")
    assert loss < 1e-6
    assert off < 1e-6
    # The test records are divided between the workers.
    assert figures_of(tmp_path) == pytest.approx(figures_of(one), rel=1e-5)


def test_two_tasks_of_slurm(words, one, start_train, trainings, tmp_path):
    slurm = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "POSE3D_PORT": trainings.free_addresses(1)[0].rpartition(":")[2],
    }
    pair = [start_train(*words, f"--train_dir={tmp_path}", **slurm, SLURM_PROCID=str(i)) for i in range(2)]
    trainings.finish(*pair)
    loss, off = differences(trainings, tmp_path, one)
    print(f"two tasks of SLURM: losses within {loss:.1e} of one device's, weights within {off:.1e}")
    assert loss < 1e-6
    assert off < 1e-6


@pytest.mark.parametrize("killed", [None, "worker"])
def test_a_parameter_server_with_one_worker(killed, words, one, start_train, trainings, tmp_path):
    """With one worker the steps come one after the other, so they are those of one device, also when it is lost."""
    tasks, start = trainings.start_servers(start_train, words, tmp_path, 1)
    chief = tasks["chief", 0]
    if killed:
        wait_for(lambda: saved(tmp_path), chief)
        tasks["worker", 0].send_signal(signal.SIGKILL)
        tasks["worker", 0].communicate()
        tasks["worker", 0] = start("worker", 0)
    said, errors = chief.communicate()
    assert chief.returncode == 0, said + errors
    assert ("the worker was lost and is back" in said) == bool(killed)
    loss, off = differences(trainings, tmp_path, one)
    name = "a parameter server" + (", its worker killed and started again" if killed else "")
    print(f"{name}: losses within {loss:.1e} of one device's, weights within {off:.1e}")
    # Servers and workers end by themselves.
    for task in ("ps", "worker"):
        out, errors = tasks[task, 0].communicate(timeout=120)
        assert "the chief has ended" in out, errors
    assert (loss, off) == (0.0, 0.0)


def test_two_workers_of_a_parameter_server_end_near_one_devices_loss(words, one, start_train, trainings, tmp_path):
    tasks, _ = trainings.start_servers(start_train, words, tmp_path, 2)
    trainings.finish(tasks["chief", 0])
    losses, expected = (trainings.scalars(place)["epoch_loss"] for place in (tmp_path, one))
    last = max(expected)
    print(f"two asynchronous workers: loss {losses[last]:.4f}, one device's {expected[last]:.4f}")
    assert losses[last] == pytest.approx(expected[last], rel=0.25)
    for process in tasks.values():
        process.kill()
