"""Importing released checkpoints as a user does."""

import functools
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from label_generator.lifting import lifter
from label_generator.networks import linear_model, network_files, normalization
from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools import import_checkpoint
from tools.cli import command

PUBLISHED = "dropout_0.5/epochs_200/lr_0.001/residual/depth_1/linear_size16/batch_size_64/maxnorm/batch_normalization"
FILES = ("1/Walking/a.npy", "5/Eating/b.npy", "9/Walking/c.npy")
ORDER = [3, 1, 0, 2, 5, 4, 8, 7, 6, 9, 10, 16, 15, 14, 13, 12, 11]
_TREES = {"2D_left_new": "left", "2D_right_new": "right", "3D_new": "3d"}


@pytest.fixture(scope="module")
def released_network(repository):
    path = repository / "tests" / "label_generator" / "importing" / "released_network.py"
    spec = importlib.util.spec_from_file_location("released_network_of_tools", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def experiment(released_network, tmp_path_factory):
    """Checkpoints of both stages in directories named as the release names them, stage -> Released."""
    saved = {}
    for stage in ("left2right", "pose3d"):
        folder = tmp_path_factory.mktemp(stage) / PUBLISHED
        folder.mkdir(parents=True)
        saved[stage] = released_network.save(folder / "checkpoint", stage, num_layers=1)
    return saved


@pytest.fixture(scope="module")
def scene():
    """File -> poses of 17 joints at random places before a camera, and their pixels in both views."""
    rng = np.random.default_rng(1)
    scene = {}
    for name in FILES:
        points = rng.normal(0, 300, [40, 17, 3]) + [0, 0, 5000]
        left, right = (1145 * p[..., :2] / p[..., 2:] + 512 for p in (points, points + [500, 0, 0]))
        scene[name] = {"left": left, "right": right, "3d": points}
    return scene


def write_trees(folder, scene, order=None):
    """Interleaved rows; joint i of this project stands at place order[i]."""
    for tree, kind in _TREES.items():
        for name, poses in scene.items():
            values = poses[kind] if order is None else poses[kind][:, np.argsort(order)]
            (folder / tree / name).parent.mkdir(parents=True)
            np.save(folder / tree / name, values.reshape(len(values), -1))
    return folder


def expected_statistics(scene, stage):
    """Mean and standard deviation of the training subjects' root-centred rows: (input, output)."""

    def rows(kind):
        poses = np.concatenate([poses[kind] for name, poses in scene.items() if name[0] in "15"])
        centred = poses - poses[:, 10:11]
        return (centred.transpose(0, 2, 1) if stage == "left2right" else centred).reshape(len(poses), -1)

    if stage == "left2right":
        return rows("left"), rows("right")
    return np.concatenate([rows("left"), rows("right")], 1), rows("3d")


def run(*arguments):
    """The command in this process; returns its exit status."""
    with pytest.raises(SystemExit) as left:
        command.run(
            import_checkpoint.main, import_checkpoint.declare, ["import_checkpoint.py", "--format=tf1", *arguments]
        )
    return left.value.code


@pytest.mark.parametrize("order", [None, ORDER])
def test_both_stages_with_their_training_poses_make_a_lifter(order, experiment, scene, tmp_path, capsys):
    trees = write_trees(tmp_path / "data", scene, order)
    flags = [f"--statistics={trees}"] + ([] if order is None else [f"--permutation={','.join(map(str, order))}"])
    for stage, saved in experiment.items():
        assert run(f"--input={saved.prefix}", f"--output={tmp_path / 'weights' / stage}", *flags) == 0
        told = capsys.readouterr().out
        assert f"{stage}, " in told
        assert "linear_size 16, num_layers 1, batch_norm on, global_step 3" in told
        assert "residual on (the directory's name), max_norm on (the directory's name), dropout 0.5" in told
        assert "80 poses" in told
        network = network_files.load_network(tmp_path / "weights" / stage)
        assert (network.stage, network.recipe) == (stage, "published")
        assert network.facts["global_step"] == 3
        assert network.facts["permutation"] == order
        statistics = network.statistics
        for name, rows in zip(("input", "output"), expected_statistics(scene, stage)):
            np.testing.assert_allclose(statistics[name].mean, rows.mean(0), rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(statistics[name].std, rows.std(0), rtol=1e-4, atol=1e-3)
        config = linear_model.LinearModelConfig(**network.config)
        assert (config.residual, config.max_norm, config.batch_norm, config.dropout) == (True, True, True, 0.5)
        if order is None:
            answers = linear_model.folded(config, network.variables)(saved.rows).numpy()
            np.testing.assert_allclose(answers, saved.answers[True, True], atol=1e-5)
    lift = lifter.load_lifter([tmp_path / "weights"]).lift
    camera = np.tile(np.float32([1145, 1145, 512, 512]), (4, 1))
    poses = np.float32(scene[FILES[0]]["left"][:4])
    lifted = lift(poses, camera, np.ones([4, 17], bool))
    assert np.isfinite(lifted.coarse_3d.numpy()).all()
    assert np.abs(lifted.coarse_3d.numpy()[:, 10]).max() == 0


def test_tfrecords_and_statistics_files_serve_too(experiment, scene, tmp_path, capsys, assert_error):
    trees = write_trees(tmp_path / "data", scene)
    factory = functools.partial(open_source, "npy_tree", trees, Options(split="train"))
    records = writer.convert(factory, tmp_path / "records", quiet=True, num_workers=1, num_shards=2).folder
    assert run(f"--input={experiment['pose3d'].prefix}", f"--output={tmp_path / 'a'}", f"--statistics={records}") == 0
    assert "80 poses" in capsys.readouterr().out
    found = network_files.load_network(tmp_path / "a").statistics
    for name, rows in zip(("input", "output"), expected_statistics(scene, "pose3d")):
        np.testing.assert_allclose(found[name].std, rows.std(0), rtol=1e-4, atol=1e-3)
    file = f"--statistics={tmp_path / 'a' / 'statistics.json'}"
    assert run(f"--input={experiment['pose3d'].prefix}", f"--output={tmp_path / 'b'}", file) == 0
    again = network_files.load_network(tmp_path / "b").statistics
    for name in ("input", "output"):
        assert again[name].mean.tobytes() == found[name].mean.tobytes()
    capsys.readouterr()
    assert run(f"--input={experiment['left2right'].prefix}", f"--output={tmp_path / 'c'}", file) == 2
    assert_error("statistics.json", "68 interleaved columns, left2right needs 34 planar")
    assert not (tmp_path / "c").exists()


def test_without_statistics_it_says_so_and_the_lifter_refuses(experiment, tmp_path, capsys):
    for stage, saved in experiment.items():
        assert run(f"--input={saved.prefix}", f"--output={tmp_path / stage}") == 0
        assert "WITHOUT normalisation statistics" in capsys.readouterr().out
        assert not (tmp_path / stage / "statistics.json").exists()
    with pytest.raises(ValueError, match="has no normalisation statistics"):
        lifter.load_lifter([tmp_path])


def test_untrained_networks_are_doubted(experiment, scene, tmp_path, capsys):
    trees = write_trees(tmp_path / "data", scene)
    flags = [f"--statistics={trees}", "--split=all"]
    assert run(f"--input={experiment['pose3d'].prefix}", f"--output={tmp_path / 'a'}", *flags) == 0
    told = capsys.readouterr().out
    assert "120 poses" in told
    assert "WARNING: a network that always answers the mean has an error of 1" in told
    facts = json.loads((tmp_path / "a" / "model.json").read_text())["facts"]
    assert facts["mean_squared_error"] > 1


def test_what_nobody_told_is_asked_for(experiment, tmp_path, assert_error):
    folder = tmp_path / "moved"
    shutil.copytree(experiment["left2right"].prefix.rsplit("/", 1)[0], folder)
    assert run(f"--input={folder}", f"--output={tmp_path / 'a'}", "--residual") == 2
    assert_error("give --max_norm or --nomax_norm as it was trained")
    assert run(f"--input={folder}", f"--output={tmp_path / 'a'}") == 2
    assert_error("--residual or --noresidual and --max_norm or --nomax_norm")
    assert run(f"--input={folder}", f"--output={tmp_path / 'a'}", "--residual", "--nomax_norm") == 0
    config = network_files.load_network(tmp_path / "a").config
    assert (config["residual"], config["max_norm"], config["dropout"]) == (True, False, 1.0)


def test_flags_win_over_the_directorys_name_and_say_so(experiment, tmp_path, capsys):
    prefix = experiment["left2right"].prefix
    assert run(f"--input={prefix}", f"--output={tmp_path / 'a'}", "--noresidual", "--dropout=0.7") == 0
    told = capsys.readouterr().out
    assert "residual off (--residual, though the directory's name has on)" in told
    config = network_files.load_network(tmp_path / "a").config
    assert (config["residual"], config["max_norm"], config["dropout"]) == (False, True, 0.7)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stage=pose3d"], ["is of stage left2right, --stage=pose3d was asked for"]),
        (["--permutation=1,2,3"], ["17 numbers, each of 0 to 16 once"]),
        (["--dropout=0"], ["dropout is the probability to keep"]),
        (["--statistics={}/nothing"], ["nothing: no such file or folder"]),
        (["--statistics={}"], ["no .npy"]),
        (["--input={}/nothing"], ["nothing: no checkpoint"]),
        (["--input="], ["--input must be given"]),
    ],
)
def test_bad_flags_are_one_line_and_write_nothing(flags, words, experiment, tmp_path, assert_error):
    folder = tmp_path / "empty"
    folder.mkdir()
    flags = [flag.format(folder) for flag in flags]
    assert run(f"--input={experiment['left2right'].prefix}", f"--output={tmp_path / 'a'}", *flags) == 2
    assert_error(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_nothing_is_overwritten_unasked_and_nothing_else_ever(experiment, tmp_path, assert_error):
    flags = [f"--input={experiment['left2right'].prefix}", f"--output={tmp_path / 'a'}"]
    assert run(*flags) == 0
    before = (tmp_path / "a" / "weights.npz").read_bytes()
    assert run(*flags) == 2
    assert_error("exists already; --overwrite replaces it")
    stale = tmp_path / "a" / "statistics.json"
    normalization.save_statistics(stale, {"input": normalization.Statistics([0.0], [1.0], "planar", True, 1)})
    assert run(*flags, "--overwrite", "--nomax_norm") == 0
    assert network_files.load_network(tmp_path / "a").config["max_norm"] is False
    assert not stale.exists()
    assert (tmp_path / "a" / "weights.npz").read_bytes() == before
    (tmp_path / "a" / "thesis.tex").write_text("mine")
    assert run(*flags, "--overwrite") == 2
    assert_error("holds thesis.tex, which is no part of a weights folder")
    assert (tmp_path / "a" / "thesis.tex").exists()


def test_as_a_program(repository, experiment, tmp_path):
    program = [sys.executable, str(repository / "tools" / "import_checkpoint.py"), "--format=tf1"]
    broken = tmp_path / "checkpoint-1"
    broken.write_bytes(b"no checkpoint at all" * 20)
    result = subprocess.run(
        [*program, f"--input={broken}", f"--output={tmp_path / 'a'}"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.count("error: ") == 1
    assert "checkpoint-1: not a TensorFlow checkpoint, or damaged" in result.stderr.splitlines()[-1]
    assert "--format=tf1" in subprocess.run([*program, "--help"], capture_output=True, text=True).stdout
