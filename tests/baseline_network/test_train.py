"""The training command as a user runs it: flags, directories, sets, resumption after kills, strategies, overfitting."""

import dataclasses
import glob
import json
import os
import pathlib
import shlex

import numpy as np
import pytest
import tensorflow as tf

from baseline_network import train
from baseline_network.images import augment, crop
from baseline_network.network import decoding, network_files, targets
from baseline_network.prediction.predictor import Predictor
from baseline_network.training import training_flags
from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli.errors import InputError

KILLS = int(os.environ.get("POSE3D_KILLS", "0"))
# Graphs of a hundred layers take each process a minute or two.
SMALL = ("--stacks=1", "--modules=1", "--features=16", "--resolution=64", "--batch_size=8", "--pictures_every=0")


def parsed(*words):
    return train.declare().parse(["train.py", *words])


def run(*words):
    """main() in this process, where devices are set up already."""
    return train.main(parsed("--nodeterministic", *words))


def named(records):
    return f"--train_data={records / 'train.tfrecord'}", f"--test_data={records / 'test.tfrecord'}"


def folder_of(*words):
    return pathlib.Path(training_flags.experiment_directory(parsed(*words)))


def test_flagfiles_hold_the_published_recipe_and_its_ablation(repository):
    flags = {
        name: parsed(f"--flagfile={repository / 'baseline_network' / 'flags' / name}.cfg")
        for name in ("baseline", "stage1_2d", "stage2_depth", "stage3_geometry")
    }
    told = {
        name: (f.learning_rate, f.batch_size, f.epochs, f.drop_epoch, f.reg_weight, f.var_weight, f.mix)
        for name, f in flags.items()
    }
    assert told == {
        "baseline": (2.5e-4, 6, 60, 0, 0.1, 0, []),
        "stage1_2d": (2.5e-4, 6, 60, 0, 0, 0, []),
        "stage2_depth": (2.5e-4, 6, 30, 25, 0.1, 0, ["1", "1"]),
        "stage3_geometry": (2.5e-5, 6, 10, 0, 0.1, 0.01, ["1", "1"]),
    }
    for one in flags.values():
        assert training_flags.augmentation(one) == augment.PUBLISHED
        assert (one.stacks, one.modules, one.features, one.resolution) == (2, 2, 256, 256)
        assert (one.optimizer, one.schedule, one.margin, one.subpixel) == ("rmsprop", "step", 1.25, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data_dir=nowhere", "--train_data not given, and --data_dir: nowhere/train"),
        ("--train_data=nowhere", "--train_data: nowhere"),
        ("--train_data={train} --test_data=nowhere", "--test_data: nowhere"),
        ("--train_data={train} --test_data={train} --mix=1,1", "--mix=1,1: expected a number for each of the 1 sets"),
        ("--train_data={train} --test_data={train} --mix=x", "--mix=x: expected numbers"),
        ("--train_data={train} --test_data={train} --unaugmented=h36m", "--unaugmented=h36m: not one of"),
        ("--train_data={train} --test_data={train} --brightness=1,0", "--brightness=1,0"),
        ("--train_data={train} --test_data={train} --resolution=100", "--resolution=100: must be"),
        ("--train_data={train} --test_data={train} --batch_size=64", "32 records don't fill its 64 places"),
        ("--train_data={train} --test_data={train} --weights=nowhere", "nowhere"),
        ("--train_data={train} --weights=nowhere --data_dir=no_data", "nowhere"),  # weights before data
    ],
)
def test_bad_flags_are_told_in_one_line(words, message, pictured_records, tmp_path):
    words = words.format(train=pictured_records / "train.tfrecord")
    with pytest.raises(InputError, match=message) as told:
        run(*shlex.split(words), f"--train_dir={tmp_path}")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(pictured_records, tmp_path_factory):
    """(directory, words) of a small training of two epochs, run by main()."""
    folder = tmp_path_factory.mktemp("trained")
    words = (*SMALL[:-1], *named(pictured_records), f"--train_dir={folder}", "--epochs=2", "--use_fp16")
    assert run(*words) == 0
    return folder_of(*words), words


def test_a_training_leaves_checkpoints_settings_curves_and_pictures(trained, trainings):
    folder, _ = trained
    assert sorted(path.name for path in folder.glob("*.index")) == ["checkpoint-4.index", "checkpoint-8.index"]
    content = json.loads((folder / "train.json").read_text())
    assert content["settings"]["precision"] in ("mixed_bfloat16", "mixed_float16")
    seen = trainings.scalars(folder / "log")
    for tag in ("epoch_loss", "epoch_heatmap_loss", "epoch_depth_loss", "epoch_pckh", "epoch_mpjpe_mm"):
        assert sorted(seen[tag]) == [0, 1], tag
    assert {"images", "hparams"} <= set(seen)


def test_what_is_exported_is_what_was_evaluated(trained, rendered_people):
    network = network_files.load(trained[0] / "export")
    assert network.facts["crop_margin"] == 1.25
    predictor = Predictor(network, flip=False)
    people = rendered_people[32:]
    found = predictor.from_files(
        tf.constant([record.image for record in people]), tf.constant(np.stack([record.box for record in people]))
    )
    off = []
    for pose, record in zip(found["pose_3d"].numpy(), people):
        truth = targets.MPII16_FROM_POSE17 @ record.pose_3d
        off.append(np.linalg.norm(pose - pose[6] - truth + truth[6], axis=-1).mean())
    assert np.mean(off) == pytest.approx(network.facts["figures"]["mpjpe_mm"], rel=1e-3)


def test_a_finished_training_reports_and_another_is_not_mixed_in(trained, capsys):
    _, words = trained
    assert run(*words) == 0
    assert "resuming from the last checkpoint, step 8" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"another training \(seed was 0, is 5\)"):
        run(*words, "--seed=5")
    with pytest.raises(InputError, match=r"--load=3: .* there are 4, 8"):
        run(*words, "--load=3")


def test_a_stage_starts_from_the_former_ones_weights(
    trained, rendered_people, write_pictured, pictured_records, tmp_path, trainings
):
    """Stage 3's way: half of each batch has no depths, and is trained by its bones' lengths."""
    flat = [dataclasses.replace(record, pose_3d=None, provenance_3d=None) for record in rendered_people[:8]]
    sets = f"{pictured_records / 'train.tfrecord'},{write_pictured(tmp_path / 'flat.tfrecord', flat)}"
    words = ("--batch_size=8", "--pictures_every=0", f"--test_data={pictured_records / 'test.tfrecord'}")
    words += (f"--train_dir={tmp_path / 'third'}",)
    words += (f"--train_data={sets}", "--mix=1,1", "--var_weight=0.01", "--epochs=1", "--steps_per_epoch=2")
    export = trained[0] / "export"
    with pytest.raises(InputError, match="--features=32: the network in --weights has 16"):
        run(*words, f"--weights={export}", "--features=32")
    # Without a step worth the name the weights stay what they were.
    assert run(*words, f"--weights={export}", "--learning_rate=1e-12") == 0
    assert trainings.scalars(tmp_path / "third")["epoch_geometric_loss"][0] > 0
    before = network_files.load(export).values
    # Named by the sizes that the weights have, whatever the flags' are.
    (after,) = glob.glob(f"{tmp_path}/third/hourglass_1_1_16_64/**/export", recursive=True)
    for name, value in network_files.load(after).values.items():
        if "moving" not in name:
            np.testing.assert_allclose(value, before[name], atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_pictures_kept_in_memory_train_at_another_resolution(trained, pictured_records, tmp_path, trainings):
    words = (*named(pictured_records), "--batch_size=8", "--pictures_every=0", f"--train_dir={tmp_path}", "--epochs=2")
    words += (f"--weights={trained[0] / 'export'}", "--resolution=128", "--cache_pictures", "--optimizer=adam")
    assert run(*words) == 0
    (export,) = glob.glob(f"{tmp_path}/hourglass_1_1_16_128/**/export", recursive=True)
    network = network_files.load(export)
    assert network.sizes.resolution == 128
    assert network.values["reg/kernel"].shape == (4 * 16, 16)
    losses = trainings.scalars(tmp_path)["epoch_loss"]
    assert losses[1] < losses[0]


@pytest.mark.slow
def test_variables_moved_as_vectors_leave_the_same_checkpoints(pictured_records, tmp_path, trainings):
    words = (*SMALL, *named(pictured_records), f"--train_dir={tmp_path}", "--epochs=2", "--use_fp16", "--op_forms=gpu")
    assert run(*words) == 0
    # The first epoch's checkpoint, gone on from by the update of single variables.
    assert run(*words, "--load=4", "--overwrite", "--nogrouped_updates") == 0
    losses = trainings.scalars(tmp_path)["epoch_loss"]
    assert losses[1] < losses[0]


def test_load_goes_on_from_that_step_and_repeats_what_it_discarded(trained, trainings):
    folder, words = trained
    before = trainings.final_arrays(folder)
    assert run(*words, "--load=4", "--overwrite") == 0
    after = trainings.final_arrays(folder)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(not KILLS, reason="takes minutes; set POSE3D_KILLS to the number of kills")
def test_killed_at_random_moments_training_ends_with_the_same_arrays(
    pictured_records, tmp_path, start_train, trainings
):
    """POSE3D_KILLS sets the number of kills."""
    words = [*SMALL, *named(pictured_records), f"--epochs={4 * KILLS + 2}", "--steps_per_epoch=3", "--shift=0.1"]
    quiet = start_train(*words, f"--train_dir={tmp_path / 'whole'}")
    trainings.kill_and_finish(start_train, words, tmp_path / "killed", KILLS)
    trainings.finish(quiet)
    trainings.assert_same_arrays(tmp_path / "killed", tmp_path / "whole", least=101)


@pytest.mark.slow
def test_a_preempted_training_ends_with_the_same_arrays(pictured_records, tmp_path, start_train, trainings):
    words = [*SMALL, *named(pictured_records), "--epochs=3", "--steps_per_epoch=8", "--shift=0.1"]
    words += ["--steps_per_execution=1"]

    def start_one(folder):
        return [start_train(*words, f"--train_dir={folder}")]

    undisturbed = start_one(tmp_path / "whole")
    trainings.preempt_and_finish(start_one, tmp_path / "preempted")
    trainings.finish(*undisturbed)
    trainings.assert_same_arrays(tmp_path / "preempted", tmp_path / "whole", least=101)


@pytest.mark.slow
def test_two_devices_and_two_processes_have_one_devices_losses(pictured_records, tmp_path, start_train, trainings):
    words = [*SMALL, *named(pictured_records), "--epochs=1", "--steps_per_epoch=1", "--reg_weight=0.3"]
    processes = [start_train(*words, "--strategy=mirrored", "--virtual_cpus=2", f"--train_dir={tmp_path / 'mirrored'}")]
    processes += trainings.start_two_workers(start_train, words, tmp_path / "two")
    assert run(*words, "--strategy=one_device", f"--train_dir={tmp_path / 'one'}") == 0
    trainings.finish(*processes)
    one = trainings.scalars(tmp_path / "one")
    for name in ("mirrored", "two"):
        found = trainings.scalars(tmp_path / name)
        for part in ("epoch_loss", "epoch_heatmap_loss", "epoch_depth_loss"):
            difference = abs(found[part][0] / one[part][0] - 1)
            print(f"{name}, {part}: within {difference:.1e} of one device's")
            assert difference < 5e-5


@pytest.mark.slow
def test_it_can_learn_32_pictures_by_heart(write_pictured, tmp_path):
    """Every joint within half a head, and the pose within 10 mm of what the network is taught.

    What it is taught is orthographic, joints in the picture and depths times one scale, and that is what its answer is
    compared with: against the pose in space, the perspective of near cameras alone costs more.
    """
    drawn = open_source("rendered", "", Options(count=60, seed=3)).records(range(60))
    people = [record for record in drawn if not isinstance(record, Skip) and within_crop(record)][:32]
    assert len(people) == 32
    file = write_pictured(tmp_path / "people.tfrecord", people)
    sizes = ("--stacks=1", "--modules=1", "--features=128", "--resolution=64", "--batch_size=32")
    plain = ("--scale_spread=0", "--turned_share=0", "--mirrored_share=0", "--brightness=1,1", "--subpixel")
    words = (*sizes, *plain, f"--train_data={file}", f"--test_data={file}", "--learning_rate=2e-3", "--schedule=cosine")
    words += (
        "--epochs=1",
        "--steps_per_epoch=800",
        "--reg_weight=0.05",
        f"--train_dir={tmp_path}",
        "--pictures_every=0",
    )
    assert run(*words) == 0
    predictor = Predictor(network_files.load(folder_of(*words) / "export"), flip=False)
    boxes = tf.constant(np.stack([record.box for record in people]))
    found = predictor.from_files(tf.constant([record.image for record in people]), boxes)

    fields = ("pose_2d", "provenance_2d", "pose_3d", "provenance_3d")
    record = {name: tf.constant(np.stack([getattr(one, name) for one in people])) for name in fields}
    transforms = crop.crop_transforms(*crop.box_squares(boxes), 64)
    taught = targets.make_targets(record, transforms, tf.zeros([32], tf.bool), 64)
    points = crop.move(found["points"], transforms).numpy()
    heads = np.linalg.norm(taught["points"][:, 8] - taught["points"][:, 9], axis=-1)
    pckh = 100 * np.mean(np.linalg.norm(points - taught["points"], axis=-1) < heads[:, None] / 2)

    # Both in half sides of the crop, then in mm: the taught pose sized as the person is.
    solid = np.concatenate([taught["points"] / 32 - 1, taught["depths"].numpy()[..., None]], -1)
    truth = np.stack([targets.MPII16_FROM_POSE17 @ one.pose_3d for one in people])
    mm = bones_sum(truth) / bones_sum(solid)
    zoom = crop.magnification(transforms).numpy() / 32
    pose = found["pose_3d"].numpy() / found["mm_per_pixel"].numpy()[:, None, None] * zoom[:, None, None]
    error = np.linalg.norm((pose - solid + solid[:, 6:7]) * mm[:, None, None], axis=-1).mean()
    print(f"32 pictures by heart: PCKh {pckh:.1f} %, {error:.1f} mm")
    assert pckh == 100
    assert error < 10


def bones_sum(poses):
    return decoding.bones_sum(tf.constant(poses, tf.float32)).numpy()


def within_crop(record):
    """Heatmaps know nothing of joints outside."""
    middle, half = record.box[:2] + record.box[2:] / 2, 1.25 * record.box[2:].max() / 2
    return (np.abs(record.pose_2d - middle) < 0.94 * half).all()
