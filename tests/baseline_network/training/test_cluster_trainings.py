"""The baseline network trained by several processes of this machine: the losses and figures of one device.

Each takes minutes, so they run with POSE3D_SLOW=1.
"""

import glob
import json

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(pictured_records):
    # All 40 records are the test set: more than one worker measures at once. The learning rate is next to nothing, so
    # that each step's loss shows which pictures it was of: the first steps of RMSprop make a difference of rounding, as
    # between sums over workers, one of percents, at 1e-5 already.
    return [
        *("--stacks=1", "--modules=1", "--features=16", "--resolution=64", "--batch_size=4", "--epochs=2"),
        *("--steps_per_epoch=3", "--reg_weight=0.3", "--pictures_every=0", "--learning_rate=1e-9"),
        *(f"--train_data={pictured_records / 'train.tfrecord'}", f"--test_data={pictured_records}/*.tfrecord"),
    ]


@pytest.fixture(scope="module")
def one(words, start_train, trainings, tmp_path_factory):
    """The folder of the training on one device."""
    folder = tmp_path_factory.mktemp("one")
    trainings.finish(start_train(*words, "--strategy=one_device", f"--train_dir={folder}"))
    return folder


def compare(trainings, name, folder, expected):
    """Largest relative difference of a loss; of a figure of the test records."""
    losses, others = (trainings.scalars(place) for place in (folder, expected))
    parts = ("epoch_loss", "epoch_heatmap_loss", "epoch_depth_loss")
    loss = max(abs(losses[part][epoch] / others[part][epoch] - 1) for part in parts for epoch in (0, 1))
    figures, theirs = (_figures(place) for place in (folder, expected))
    assert figures.keys() == theirs.keys()
    figure = max(abs(figures[key] - theirs[key]) / max(abs(theirs[key]), 1e-6) for key in theirs)
    print(f"{name}: losses within {loss:.1e} of one device's, figures within {figure:.1e}: {figures}")
    return loss, figure


def _figures(folder):
    (path,) = glob.glob(f"{folder}/**/export/model.json", recursive=True)
    with open(path, encoding="utf-8") as file:
        figures = json.load(file)["facts"]["figures"]
    # Shares of joints below a limit move by whole joints.
    return {name: value for name, value in figures.items() if name.endswith("_mm")}


def test_two_workers(words, one, start_train, trainings, tmp_path):
    trainings.finish(*trainings.start_two_workers(start_train, words, tmp_path))
    loss, figure = compare(trainings, "two workers", tmp_path, one)
    assert loss < 5e-5
    assert figure < 2e-2


def test_a_parameter_server_with_one_worker(words, one, start_train, trainings, tmp_path):
    tasks, _ = trainings.start_servers(start_train, words, tmp_path, 1)
    trainings.finish(tasks["chief", 0])
    loss, figure = compare(trainings, "a parameter server", tmp_path, one)
    for process in tasks.values():
        process.kill()
    assert (loss, figure) == (0.0, 0.0)


def test_pictures_from_the_commands_of_the_data_service(words, one, start_command, start_train, trainings, tmp_path):
    """Two workers make the batches of one machine: the weights are the same to the last bit."""
    port, *workers = (address.rpartition(":")[2] for address in trainings.free_addresses(3))
    workers = [f"127.0.0.1:{worker}" for worker in workers]
    command, place = "tools/data_service.py", f"127.0.0.1:{port}"
    serving = [start_command(command, "dispatcher", f"--port={port}", f"--workers={','.join(workers)}")]
    try:
        assert "for 2 workers" in serving[0].stdout.readline()
        serving += [
            start_command(command, "worker", f"--dispatcher={place}", f"--address={worker}") for worker in workers
        ]
        flags = (f"--data_service=grpc://{place}", "--data_service_workers=2", f"--train_dir={tmp_path}")
        trainings.finish(start_train(*words, "--strategy=one_device", *flags))
    finally:
        for process in serving:
            process.kill()
            process.communicate()
    assert compare(trainings, "a data service with two workers", tmp_path, one) == (0.0, 0.0)
    trainings.assert_same_arrays(tmp_path, one, least=50)
