"""Published training: its data, its loss and its figures against loops written from what the release does."""

import numpy as np
import pytest
import tensorflow as tf

from label_generator.networks.linear_model import LinearModelConfig
from label_generator.stages.published import STAGES
from label_generator.training import published_data as training_data
from label_generator.training.published_data import PublishedPoses, TrainingRows
from label_generator.training.published_training import NOT_IN_14, PublishedSetup, PublishedTraining
from tfrecords import reader
from tfrecords.storage import fingerprints
from tools.cli.errors import InputError
from tools.pose.joints import POSE17


def poses(count, seed, joints_scale=100.0):
    """Root-centred poses of random numbers, with actions."""
    rng = np.random.default_rng(seed)

    def centred(coordinates, scale):
        made = rng.normal(0, scale, (count, 17, coordinates)).astype(np.float32)
        return made - made[:, 10:11]

    left = centred(2, joints_scale)
    right = (left * 0.9 + 3 + centred(2, 5)).astype(np.float32)
    actions = np.array(["Walking", "Sitting"] * count, object)[:count]
    return PublishedPoses(left, right - right[:, 10:11], centred(3, 300), actions, 0)


def training(stage="left2right", statistics="train", predict_14=False, rights=None, count=50, batch_size=8, **options):
    config = LinearModelConfig.of_stage(stage, linear_size=16, num_layers=1, **options)
    setup = PublishedSetup(config, stage, batch_size, 1e-3, 3, predict_14, statistics)
    return PublishedTraining(setup, TrainingRows.of_poses(stage, poses(count, 0)), poses(21, 1), rights)


def rows_of(stage, left, right):
    """Input rows by a loop over joints: planar for left2right, interleaved for 3D."""
    rows = []
    for one, other in zip(left, right):
        if stage == "left2right":
            rows.append([*one[:, 0], *one[:, 1]])
        else:
            views = (one, other) if stage == "pose3d" else (one,)
            rows.append([number for view in views for joint in view for number in joint])
    return np.array(rows)


@pytest.mark.parametrize("stage", ["left2right", "pose3d", "direct"])
def test_batches_are_normalised_rows_of_the_stages_layout_each_pose_once_an_epoch(stage):
    made, data = training(stage), poses(50, 0)
    rows = rows_of(stage, data.left, data.right).astype(np.float64)
    std = rows.std(0)
    normal = np.where(std > 1e-9, (rows - rows.mean(0)) / np.where(std > 1e-9, std, 1), 0)
    batches = list(made.make_batches(0).take(made.steps_per_epoch).as_numpy_iterator())
    assert made.steps_per_epoch == 50 // 8
    got = np.concatenate([inputs for inputs, _ in batches])
    assert got.shape == (48, STAGES[stage].input_size)
    nearest = np.abs(got[:, None] - normal[None]).max(-1)
    assert (nearest.min(1) < 1e-4).all()
    assert len(set(nearest.argmin(1))) == 48
    assert {outputs.shape for _, outputs in batches} == {(8, STAGES[stage].output_size)}


def test_order_of_batches_is_a_function_of_the_step():
    made = training()
    whole = list(made.make_batches(0).take(20).as_numpy_iterator())
    later = list(made.make_batches(13).take(7).as_numpy_iterator())
    for expected, got in zip(whole[13:], later):
        np.testing.assert_array_equal(expected[0], got[0])
        np.testing.assert_array_equal(expected[1], got[1])
    assert np.abs(whole[0][0] - whole[6][0]).max() > 0.1


@pytest.mark.parametrize("predict_14", [False, True])
@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
def test_loss_is_the_mean_square_over_the_counted_joints(stage, predict_14):
    made = training(stage, predict_14=predict_14)
    model = made.make_model()
    inputs, outputs = next(iter(made.make_batches(0)))
    answer = model(inputs, training=False).numpy()
    coordinates = outputs.shape[1] // 17
    total, count = 0.0, 0
    for row in range(8):
        for joint in range(17):
            if predict_14 and POSE17.joints[joint] in NOT_IN_14:
                continue
            for c in range(coordinates):
                column = c * 17 + joint if stage == "left2right" else joint * coordinates + c
                total += (answer[row, column] - outputs[row, column].numpy()) ** 2
                count += 1
    assert model.evaluate(inputs, outputs, verbose=0) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("predict_14", [False, True])
def test_pckh_and_pixels_are_the_loops(predict_14):
    made = training(predict_14=predict_14)
    made.take_weights(made.make_model())
    predicted, truth = made.predicted(""), poses(21, 1).right
    hits, errors = [], []
    for pose, true in zip(predicted, truth):
        head = np.linalg.norm(true[0] - true[1])
        for joint in range(17):
            if predict_14 and POSE17.joints[joint] in NOT_IN_14:
                continue
            errors.append(np.linalg.norm(pose[joint] - true[joint]))
            hits.append(errors[-1] < head / 2)
    figures = made.figures()
    assert figures["val_pckh"] == pytest.approx(100 * np.mean(hits), abs=1e-4)
    assert figures["val_right_px"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert "mean over poses" in made.table()
    assert "Sitting" in made.table()


def test_statistics_of_the_test_set_compare_as_the_release_does():
    made = training("direct", statistics="test")
    model = made.make_model()
    made.take_weights(model)
    train, test = poses(50, 0), poses(21, 1)

    def mean_std(rows):
        std = rows.std(0)
        return rows.mean(0), np.where(std > 1e-9, std, 0)

    def normal(rows, statistics):
        mean, std = statistics
        return np.where(std > 0, (rows - mean) / np.where(std > 0, std, 1), 0)

    inputs, truth = (a.reshape(len(a), -1).astype(np.float64) for a in (test.left, test.pose_3d))
    _, back_std = mean_std(train.pose_3d.reshape(50, -1).astype(np.float64))
    answer = model(tf.constant(normal(inputs, mean_std(inputs)), tf.float32), training=False).numpy()
    compared = (normal(truth, mean_std(truth)) - answer) * back_std
    expected = np.linalg.norm(compared.reshape(21, 17, 3), axis=-1).mean()
    assert made.figures()["val_mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
    honest = training("direct")
    honest.take_weights(model)
    assert abs(honest.figures()["val_mpjpe_mm"] - expected) > 1e-3


def test_other_right_views_are_evaluated_beside_the_one_trained_on():
    test = poses(21, 1)
    made = training("pose3d", rights={"": test.right, "predicted": test.right + 40})
    made.take_weights(made.make_model())
    figures = made.figures()
    assert set(figures) == {"val_mpjpe_mm", "val_mpjpe_mm_predicted"}
    assert figures["val_mpjpe_mm"] != figures["val_mpjpe_mm_predicted"]


def test_fit_lowers_the_error_and_pictures_show_it():
    made = training(count=400, batch_size=32, residual=True, batch_norm=True)
    model = made.make_model(steps_per_execution=4)
    made.take_weights(model)
    before = made.figures()["val_right_px"]
    model.fit(made.make_batches(0), steps_per_epoch=150, epochs=1, verbose=0)
    made.take_weights(model)
    assert made.figures()["val_right_px"] < 0.7 * before
    pictures = made.draw(0)
    assert sorted(pictures) == ["PCK over its threshold", "left2right, truth in grey"]
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_a_compiled_step_gives_the_plain_steps_loss():
    losses = []
    for jit in (False, True):
        made = training(residual=True, batch_norm=True, max_norm=True)
        model = made.make_model(jit_compile=jit)
        history = model.fit(made.make_batches(0), steps_per_epoch=6, epochs=2, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_column_weights_are_zero_for_joints_left_out_and_one_on_average():
    counted = np.ones(17, bool)
    counted[[1, 9, 10]] = False
    planar = training_data.column_weights("left2right", counted)
    assert planar.reshape(2, 17)[:, ~counted].max() == 0
    assert planar.mean() == pytest.approx(1)
    interleaved = training_data.column_weights("pose3d", counted)
    assert interleaved.reshape(17, 3)[~counted].max() == 0
    assert np.ptp(interleaved.reshape(17, 3)[counted]) == 0


def test_records_without_all_joints_are_left_out(synthetic_records, monkeypatch):
    arrays = reader.load_arrays(synthetic_records / "test", ["pose_2d", "right_2d"])
    arrays["pose_2d"][3, 5] = np.nan
    monkeypatch.setattr(training_data.reader, "load_arrays", lambda *_: {k: v.copy() for k, v in arrays.items()})
    found = training_data.load_poses("somewhere", "left2right", "train_data")
    assert (len(found), found.left_out) == (69, 1)
    np.testing.assert_allclose(found.left[3], arrays["pose_2d"][4] - arrays["pose_2d"][4, 10], rtol=1e-6)
    arrays["right_2d"][:] = np.nan
    with pytest.raises(InputError, match="--train_data=somewhere: no record has a whole right_2d"):
        training_data.load_poses("somewhere", "left2right", "train_data")


def test_fingerprints_tell_records_apart(synthetic_records):
    assert fingerprints.fingerprint(synthetic_records / "train") != fingerprints.fingerprint(synthetic_records / "test")
    assert fingerprints.fingerprint(synthetic_records / "train") == fingerprints.fingerprint(
        synthetic_records / "train"
    )


@pytest.mark.parametrize("stage", ["left2right", "pose3d"])
def test_rows_in_a_file_give_the_batches_of_rows_in_memory(stage, synthetic_records, monkeypatch):
    monkeypatch.setattr(training_data, "_BLOCK", 50)
    monkeypatch.setattr(reader, "_PARSED_AT_ONCE", 32)
    where = synthetic_records / "train"
    memory = TrainingRows.of_records(where, stage, 1 << 20)
    file = TrainingRows.of_records(where, stage, 0)
    assert (memory.is_on_disk, file.is_on_disk) == (False, True)
    assert len(memory) == len(file) == len(reader.find(where))
    for name, statistics in memory.statistics.items():
        np.testing.assert_array_equal(statistics.mean, file.statistics[name].mean)
        np.testing.assert_array_equal(statistics.std, file.statistics[name].std)
    arrays = reader.load_arrays(where, ["pose_2d", "pose_3d"])
    rows = STAGES["left2right"].input_rows(arrays["pose_2d"] - arrays["pose_2d"][:, 10:11]).astype(np.float64)
    if stage == "left2right":  # against all rows at once
        np.testing.assert_allclose(memory.statistics["input"].mean, rows.mean(0), atol=1e-9)
        np.testing.assert_allclose(memory.statistics["input"].std, rows.std(0), atol=1e-9)
    steps = 2 * (len(memory) // 16) + 3
    for start in (0, steps - 2):
        expected, got = (
            list(rows.batches(16, 5, start).take(steps - start).as_numpy_iterator()) for rows in (memory, file)
        )
        assert len(expected) == len(got) == steps - start
        np.testing.assert_array_equal([inputs for inputs, _ in got], [inputs for inputs, _ in expected])
        np.testing.assert_array_equal([outputs for _, outputs in got], [outputs for _, outputs in expected])


def test_blocks_leave_out_the_records_that_load_poses_does(synthetic_records, monkeypatch):
    arrays = reader.load_arrays(synthetic_records / "test", ["pose_2d", "right_2d"])
    for lacking in (3, 31, 69):
        arrays["pose_2d"][lacking, 5] = np.nan
    pieces = [{k: v[at : at + 32] for k, v in arrays.items()} for at in range(0, 70, 32)]
    monkeypatch.setattr(training_data, "_BLOCK", 20)
    monkeypatch.setattr(training_data.reader, "array_batches", lambda *_: iter(pieces))
    monkeypatch.setattr(training_data.reader, "load_arrays", lambda *_: {k: v.copy() for k, v in arrays.items()})
    blocks = list(training_data.pose_blocks("somewhere", "left2right", "train_data"))
    whole = training_data.load_poses("somewhere", "left2right", "train_data")
    assert [len(block) for block in blocks] == [20, 20, 20, 7]
    assert sum(block.left_out for block in blocks) == whole.left_out == 3
    np.testing.assert_array_equal(np.concatenate([block.left for block in blocks]), whole.left)
    np.testing.assert_array_equal(np.concatenate([block.right for block in blocks]), whole.right)
    arrays["right_2d"][:] = np.nan
    with pytest.raises(InputError, match="--train_data=somewhere: no record has a whole right_2d"):
        list(training_data.pose_blocks("somewhere", "left2right", "train_data"))
