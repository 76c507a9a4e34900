"""The baseline network trained by several processes of this machine: the losses and figures of one device.

Each takes minutes, so they run with POSE3D_SLOW=1.
"""

import glob
import json

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(pictured_records):
    # All 40 records are the test set: more than one worker measures at once.
    return [
        *("--stacks=1", "--modules=1", "--features=16", "--resolution=64", "--batch_size=4", "--epochs=2"),
        *("--steps_per_epoch=3", "--reg_weight=0.3", "--pictures_every=0", "--learning_rate=1e-3"),
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
        return json.load(file)["facts"]["figures"]


def test_two_workers(words, one, start_train, trainings, tmp_path):
    trainings.finish(*trainings.start_two_workers(start_train, words, tmp_path))
    loss, figure = compare(trainings, "two workers", tmp_path, one)
    assert loss < 5e-4
    assert figure < 2e-2


def test_a_parameter_server_with_one_worker(words, one, start_train, trainings, tmp_path):
    tasks, _ = trainings.start_servers(start_train, words, tmp_path, 1)
    trainings.finish(tasks["chief", 0])
    loss, figure = compare(trainings, "a parameter server", tmp_path, one)
    for process in tasks.values():
        process.kill()
    assert loss < 1e-5
    assert figure < 1e-5
