"""The training command as a user runs it: flags, directories, resumption after kills, strategies."""

import glob
import json
import os
import pathlib
import re
import shlex

import numpy as np
import pytest
import tensorflow as tf

from label_generator import train
from label_generator.networks import linear_model, network_files
from label_generator.stages import pose_rows
from label_generator.training import recipe_settings, training_flags
from tfrecords import reader
from tools.cli.errors import InputError

# Declared by the original, in this order, with these defaults.
ORIGINAL = [
    ("learning_rate", 1e-3),
    ("dropout", 1),
    ("batch_size", 64),
    ("epochs", 200),
    ("camera_frame", False),
    ("max_norm", False),
    ("batch_norm", False),
    ("predict_14", False),
    ("use_sh", False),
    ("linear_size", 1024),
    ("num_layers", 2),
    ("residual", False),
    ("evaluateActionWise", False),
    ("cameras_path", "data/h36m/cameras.h5"),
    ("data_dir", "data/h36m/"),
    ("train_dir", "experiments"),
    ("use_cpu", False),
    ("load", 0),
    ("use_fp16", False),
]
KILLS = int(os.environ.get("POSE3D_KILLS", "0"))
SMALL = ("--linear_size=32", "--batch_size=16", "--residual", "--batch_norm", "--max_norm", "--pictures_every=0")


def parsed(*words):
    return train.declare().parse(["train.py", *words])


def run(*words):
    """main() in this process, where devices are set up already."""
    return train.main(parsed("--nodeterministic", *words))


def test_flags_of_the_original_come_first_in_its_order_with_its_defaults():
    flags = parsed()
    assert list(flags.as_dict())[: len(ORIGINAL)] == [name for name, _ in ORIGINAL]
    assert [(name, getattr(flags, name)) for name, _ in ORIGINAL] == ORIGINAL
    text = flags.help("train.py")
    assert "Flags of the original, in its order:" in text
    for name in ("camera_frame", "use_sh", "cameras_path", "predict_14"):
        assert "release" in flags._values[name].help
    assert text.index("--load=") < text.index("use_fp16\n") < text.index("Stage:")


@pytest.mark.parametrize("stage", ["left2right", "pose3d", "direct"])
def test_flagfiles_of_the_paper_hold_the_published_recipe(stage, repository):
    flags = parsed(f"--flagfile={repository / 'label_generator' / 'flags' / stage}.cfg")
    published = (flags.residual, flags.batch_norm, flags.max_norm, flags.dropout, flags.batch_size, flags.learning_rate)
    assert published == (True, True, True, 0.5, 64, 1e-3)
    assert (flags.stage, flags.recipe, flags.evaluateActionWise) == (stage, "published", True)


def test_canonical_flagfile_and_flags_build_the_settings_they_name(repository):
    flagfile = repository / "label_generator" / "flags" / "canonical.cfg"
    flags = parsed(f"--flagfile={flagfile}")
    assert (flags.stage, flags.recipe) == ("chain", "canonical")
    stated = dict(re.findall(r"^--view_(\w+)=([\d.]+)$", flagfile.read_text(encoding="utf-8"), re.MULTILINE))
    assert stated
    for name, value in stated.items():
        assert getattr(training_flags.view_settings(flags), name) == float(value)
    changed = parsed("--view_distance_mm=2000,3000", "--view_noise_px=1.5", "--loss_trust=0.7")
    assert training_flags.view_settings(changed).distance_mm == (2000.0, 3000.0)
    assert training_flags.view_settings(changed).noise_px == 1.5
    assert training_flags.loss_weights(changed).trust == 0.7
    # Flags that are not given are the defaults of the settings.
    assert training_flags.view_settings(parsed()) == recipe_settings.ViewSettings()
    assert training_flags.loss_weights(parsed()) == recipe_settings.LossWeights()
    with pytest.raises(InputError, match="view_height_mm=5"):
        training_flags.view_settings(parsed("--view_height_mm=5"))


def test_experiment_directory_is_named_as_the_originals():
    flags = parsed("--train_dir=x", "--residual", "--dropout=0.5", "--max_norm", "--epochs=12")
    assert training_flags.experiment_directory(flags) == (
        "x/dropout_0.5/epochs_12/lr_0.001/residual/depth_2/linear_size1024/batch_size_64/maxnorm/"
        "no_batch_normalization/predict_17"
    )
    assert training_flags.experiment_directory(parsed("--predict_14", "--batch_norm")) == (
        "experiments/dropout_1/epochs_200/lr_0.001/not_residual/depth_2/linear_size1024/batch_size_64/no_maxnorm/"
        "batch_normalization/predict_14"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--stage=chain", "chain is the canonical"),
        ("--dropout=0", "probability to keep"),
        ("--left2right=x", "--left2right is for --stage=pose3d"),
        ("--stage=pose3d --right_view=predicted", "needs --left2right"),
        ("--recipe=canonical --batch_norm", "--batch_norm is of the published"),
        ("--recipe=canonical --stage=pose3d", "--left2right"),
        ("--start_from=x", "--start_from is of the canonical"),
        ("--schedule=constant", "--schedule is of the canonical"),
        ("--data_dir=nowhere", "--train_data not given, and --data_dir: nowhere/train"),
        ("--train_data=nowhere", "--train_data: nowhere"),
    ],
)
def test_bad_combinations_are_told_in_one_line(words, message):
    with pytest.raises(InputError, match=message):
        train.main(parsed(*shlex.split(words)))


@pytest.fixture(scope="module")
def left2right(synthetic_records, tmp_path_factory):
    """The directory of a small left2right training of three epochs, run by main()."""
    folder = tmp_path_factory.mktemp("left2right")
    words = (*SMALL[:-1], f"--data_dir={synthetic_records}", f"--train_dir={folder}", "--epochs=3", "--dropout=0.9")
    assert run(*words, "--evaluateActionWise", "--use_sh") == 0
    return pathlib.Path(training_flags.experiment_directory(parsed(*words))), words


def test_a_training_leaves_checkpoints_settings_and_curves(left2right, trainings):
    folder, _ = left2right
    steps = 200 // 16
    assert sorted(path.name for path in folder.glob("*.index")) == [f"checkpoint-{steps * n}.index" for n in (1, 2, 3)]
    content = json.loads((folder / "train.json").read_text())
    assert content["settings"]["stage"] == "left2right"
    assert content["settings"]["linear_size"] == 32
    seen = trainings.scalars(folder / "log")
    for tag in ("epoch_loss", "epoch_learning_rate", "epoch_pckh", "epoch_right_px"):
        assert sorted(seen[tag]) == [0, 1, 2], tag
    assert seen["epoch_learning_rate"][2] == pytest.approx(1e-3 * 0.96 ** (3 * steps / 1e5), rel=1e-6)
    assert {"images", "hparams", "graph_keras_model"} <= set(seen)


def test_what_is_exported_is_what_was_evaluated(left2right, synthetic_records):
    folder, _ = left2right
    network = network_files.load_network(folder / "export")
    assert (network.stage, network.recipe) == ("left2right", "published")
    config = linear_model.LinearModelConfig(**network.config)
    source, target = network.statistics["input"], network.statistics["output"]
    run_network = linear_model.folded(config, network.variables, source, target)
    arrays = reader.load_arrays(synthetic_records / "test", ["pose_2d", "right_2d"])
    rows = np.concatenate([arrays["pose_2d"][..., 0], arrays["pose_2d"][..., 1]], 1)
    rows -= np.repeat(rows[:, [10, 27]], 17, axis=1)
    answer = run_network(rows).numpy()
    predicted = np.stack([answer[:, :17], answer[:, 17:]], -1)
    truth = pose_rows.root_centred(arrays["right_2d"])
    off = np.linalg.norm(predicted - truth, axis=-1)
    head = np.linalg.norm(truth[:, 0] - truth[:, 1], axis=-1)
    assert network.facts["figures"]["right_px"] == pytest.approx(off.mean(), rel=1e-4)
    hits = 100 * np.mean(off < head[:, None] / 2)
    assert network.facts["figures"]["pckh"] == pytest.approx(hits, abs=100 * 2 / off.size)


def test_a_directory_is_not_mixed_up(left2right, capsys):
    _, words = left2right
    with pytest.raises(InputError, match=r"another training \(stage was left2right, is direct\)"):
        run(*words, "--stage=direct")
    with pytest.raises(InputError, match="seed was 0, is 5"):
        run(*words, "--seed=5")
    with pytest.raises(InputError, match=r"--load=7: .* there are 12, 24, 36"):
        run(*words, "--load=7")
    with pytest.raises(InputError, match=r"later checkpoints \(24, 36\).*--overwrite"):
        run(*words, "--load=12")
    # A finished training only reports.
    assert run(*words) == 0
    assert "resuming from the last checkpoint, step 36" in capsys.readouterr().out


def test_load_goes_on_from_exactly_that_step_and_repeats_what_it_discarded(left2right, trainings):
    folder, words = left2right
    before = trainings.final_arrays(folder)
    assert run(*words, "--load=12", "--overwrite") == 0
    after = trainings.final_arrays(folder)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_pose3d_trains_on_true_or_predicted_right_views(left2right, synthetic_records, tmp_path):
    weights = left2right[0] / "export"
    words = (*SMALL, f"--data_dir={synthetic_records}", "--epochs=2", "--stage=pose3d", f"--left2right={weights}")
    figures = {}
    for view in ("true", "predicted"):
        here = (*words, f"--train_dir={tmp_path / view}", f"--right_view={view}")
        assert run(*here) == 0
        folder = training_flags.experiment_directory(parsed(*here))
        network = network_files.load_network(os.path.join(folder, "export"))
        assert network.statistics["input"].mean.shape == (68,)
        figures[view] = network.facts["figures"]
    assert set(figures["true"]) == {"mpjpe_mm", "mpjpe_mm_predicted"}
    assert set(figures["predicted"]) == {"mpjpe_mm"}
    with pytest.raises(InputError, match="right_view was true, is predicted"):
        run(*words, f"--train_dir={tmp_path / 'true'}", "--right_view=predicted")
    with pytest.raises(InputError, match="stage pose3d, expected a published one of stage left2right"):
        run(*words, f"--left2right={folder}/export", f"--train_dir={tmp_path / 'third'}")


def test_canonical_chain_trains_and_exports_both_networks(synthetic_records, tmp_path):
    words = (
        *("--recipe=canonical", "--stage=chain", "--linear_size=32", "--num_layers=1", "--batch_size=32", "--epochs=2"),
        *("--steps_per_epoch=15", "--pictures_every=2", f"--train_data={synthetic_records / 'level'}"),
        *(f"--test_data={synthetic_records / 'test'}", f"--train_dir={tmp_path}"),
    )
    assert run(*words) == 0
    folder = training_flags.experiment_directory(parsed(*words))
    networks = network_files.find_networks([os.path.join(folder, "export")])
    assert {stage: network.recipe for stage, network in networks.items()} == {
        "left2right": "canonical",
        "pose3d": "canonical",
    }
    assert set(networks["pose3d"].facts["figures"]) == {"pckh", "mpjpe_mm", "refined_mm"}
    again = (*words[:-1], f"--start_from={folder}/export", f"--train_dir={tmp_path / 'again'}")
    assert run(*again) == 0
    content = pathlib.Path(training_flags.experiment_directory(parsed(*again)), "train.json").read_text()
    assert len(json.loads(content)["settings"]["start_weights"]) == 16
    with pytest.raises(InputError, match="needs poses in level axes"):
        run(*words[:-3], f"--data_dir={synthetic_records}", f"--train_dir={tmp_path / 'other'}")


def test_mixed_precision_trains_in_bfloat16_on_cpus(synthetic_records, tmp_path, capsys, trainings):
    words = (*SMALL, f"--data_dir={synthetic_records}", f"--train_dir={tmp_path}", "--epochs=1", "--use_fp16")
    assert run(*words) == 0
    expected = "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"
    assert expected in capsys.readouterr().out
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    assert all(array.dtype != tf.bfloat16.as_numpy_dtype for array in trainings.final_arrays(tmp_path).values())


@pytest.mark.parametrize("recipe", ["published", "canonical"])
def test_killed_at_random_moments_training_ends_with_the_same_arrays(
    recipe, synthetic_records, tmp_path, start_train, trainings
):
    """POSE3D_KILLS sets the number of kills; without it there are two, of the published recipe."""
    if recipe == "canonical" and not KILLS:
        pytest.skip("set POSE3D_KILLS to kill a canonical training too")
    words = [
        f"--epochs={60 if KILLS else 15}",
        "--pictures_every=0",
        f"--test_data={synthetic_records / 'test'}",
        "--batch_size=16",
    ]
    if recipe == "published":
        words += ["--dropout=0.5", *SMALL, f"--train_data={synthetic_records / 'train'}"]
    else:
        words += ["--recipe=canonical", "--stage=chain", "--linear_size=32", "--num_layers=1", "--steps_per_epoch=12"]
        words += [f"--train_data={synthetic_records / 'level'}"]
    quiet = start_train(*words, f"--train_dir={tmp_path / 'whole'}")
    trainings.kill_and_finish(start_train, words, tmp_path / "killed", KILLS or 2)
    trainings.finish(quiet)
    trainings.assert_same_arrays(tmp_path / "killed", tmp_path / "whole", least=21)


@pytest.mark.parametrize("recipe", [pytest.param("published", marks=pytest.mark.slow), "canonical"])
def test_two_devices_and_two_processes_train_to_one_devices_weights(
    recipe, synthetic_records, tmp_path, start_train, trainings
):
    # A seed with which no activation lies so close to zero that rounding decides on its gradient.
    words = ["--linear_size=64", "--batch_size=16", "--epochs=2", "--pictures_every=0", "--seed=1"]
    words += [f"--test_data={synthetic_records / 'test'}"]
    if recipe == "published":
        words += ["--residual", "--batch_norm", "--max_norm", f"--train_data={synthetic_records / 'train'}"]
    else:
        words += ["--recipe=canonical", "--stage=chain", "--num_layers=1", "--steps_per_epoch=8"]
        words += [f"--train_data={synthetic_records / 'level'}"]
    mirrored = ("--strategy=mirrored", "--virtual_cpus=2", f"--train_dir={tmp_path / 'mirrored'}")
    processes = [start_train(*words, *mirrored)]
    if recipe == "published":
        processes += trainings.start_two_workers(start_train, words, tmp_path / "two")
    assert run(*words, "--strategy=one_device", f"--train_dir={tmp_path / 'one'}") == 0
    trainings.finish(*processes)
    one = trainings.scalars(tmp_path / "one")["epoch_loss"]
    network = exported(tmp_path / "one")
    for name in ("mirrored", "two") if recipe == "published" else ("mirrored",):
        losses = trainings.scalars(tmp_path / name)["epoch_loss"]
        difference = max(abs(losses[epoch] / one[epoch] - 1) for epoch in one)
        weights = exported(tmp_path / name)
        # Batch norm takes off again what the bias before it adds: such a bias moves by rounding alone, and the moving
        # mean with it.
        free = [key for key in network if re.fullmatch(r".*/(b[123](_\d)?|moving_mean)", key)]
        off = max(float(np.abs(weights[key] - value).max()) for key, value in network.items() if key not in free)
        print(f"{recipe}, {name}: losses within {difference:.1e} of one device's, weights within {off:.1e}")
        assert difference < 1e-5
        assert off < 3e-5


@pytest.mark.slow
def test_preempted_workers_save_the_same_step_and_go_on_to_the_same_arrays(
    synthetic_records, tmp_path, start_train, trainings
):
    words = [*SMALL, f"--data_dir={synthetic_records}", "--epochs=4", "--steps_per_execution=2"]

    def start_both(folder):
        return trainings.start_two_workers(start_train, words, folder)

    undisturbed = start_both(tmp_path / "whole")
    errors = trainings.preempt_and_finish(start_both, tmp_path / "preempted")
    assert all(re.search(r"ended by SIGTERM; epoch \d of 4; ", error) for error in errors)
    trainings.finish(*undisturbed)
    trainings.assert_same_arrays(tmp_path / "preempted", tmp_path / "whole", least=21)


def exported(folder):
    networks = {}
    for path in glob.glob(f"{folder}/**/weights.npz", recursive=True):
        with np.load(path) as archive:
            networks.update({f"{os.path.basename(os.path.dirname(path))}/{n}": archive[n] for n in archive.files})
    assert networks
    return networks
