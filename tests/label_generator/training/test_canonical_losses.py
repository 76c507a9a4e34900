"""The canonical recipe's training: optimizer, targets, losses and batches against NumPy written from the formulas."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.networks import network_files, prenorm_model
from label_generator.training import canonical_losses, canonical_training, run
from label_generator.training.averaged_adamw import AveragedAdamW
from label_generator.training.canonical_losses import CanonicalTrainer
from label_generator.training.canonical_training import CanonicalSetup, CanonicalTraining, EvaluationPoses, LevelPoses
from label_generator.training.recipe_settings import LossWeights
from tools.cli.errors import InputError
from tools.pose import metrics
from tools.pose.joints import POSE17
from tools.training import experiments
from tools.training.session import TrainingDevices, TrainingJob, TrainingSession

ROOT = POSE17.root
CAMERA = np.array([1145.0, 1143.0, 512.0, 515.0])


def people(count, seed=0):
    """People about 5 m away: joints in the camera [n, 17, 3] mm."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 250, (count, 17, 3)) * [1.0, 1.5, 0.8]
    pose -= pose[:, ROOT : ROOT + 1]
    root = rng.uniform([-900, -500, 3500], [900, 500, 6500], (count, 3))
    return (pose + root[:, None]).astype(np.float32)


def seen(count, seed=0):
    points = people(count, seed)
    rays = points[..., :2] / points[..., 2:]
    return EvaluationPoses(rays, np.ones((count, 17), bool), points, np.array(["Walking"] * count, object), 0)


def level(count, seed=0):
    points = people(count, seed)
    return LevelPoses(points - points[:, ROOT : ROOT + 1], np.full(count, 900, np.float32), np.arange(count) // 10, 0)


class PairOfReplicas:
    num_replicas_in_sync = 2


def setup(stage="chain", **changes):
    small = {"linear_size": 16, "num_layers": 1, "batch_size": 24, "epochs": 4, "steps_per_epoch": 5, "seed": 2}
    return CanonicalSetup(stage=stage, **{**small, **changes})


def test_optimizer_is_adamw_with_an_average_of_the_weights():
    rng = np.random.default_rng(0)
    start = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    variables = [tf.Variable(value, dtype=tf.float64, name=name) for name, value in start.items()]
    rate, decay, ema = 0.03, 0.2, 0.9
    optimizer = AveragedAdamW(rate, decay, ema)
    value = {name: array.copy() for name, array in start.items()}
    m = {name: np.zeros_like(array) for name, array in start.items()}
    v = {name: np.zeros_like(array) for name, array in start.items()}
    average = {name: np.zeros_like(array) for name, array in start.items()}
    for step in range(1, 7):
        gradients = {name: rng.normal(size=array.shape) * (100 if step == 3 else 1) for name, array in start.items()}
        optimizer.apply_gradients([(tf.constant(g), variable) for g, variable in zip(gradients.values(), variables)])
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        for name, g in gradients.items():
            g = g * min(1.0, 5.0 / norm)
            if name == "kernel":
                value[name] -= rate * decay * value[name]
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.99 * v[name] + 0.01 * g**2
            corrected = rate * np.sqrt(1 - 0.99**step) / (1 - 0.9**step)
            value[name] -= corrected * m[name] / (np.sqrt(v[name]) + 1e-8)
            keep = min(ema, (step - 1) / (step - 1 + 10))
            average[name] = keep * average[name] + (1 - keep) * value[name]
    for name, variable in zip(start, variables):
        got = optimizer.average_of(variable).numpy()
        np.testing.assert_allclose(variable.numpy(), value[name], rtol=1e-6, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(got, average[name], rtol=1e-6, atol=1e-8, err_msg=name)


def turned_view(points):
    rays = tf.constant(points[..., :2] / points[..., 2:])
    view = canonical_view.canonical_view(rays, tf.ones(rays.shape[:2]), tf.zeros(len(points), tf.bool))
    return view, tf.einsum("bij,bkj->bki", view.rotation, tf.constant(points))


def test_right_view_target_is_what_the_moved_camera_sees():
    view, points = turned_view(people(20))
    target = canonical_losses.right_view_target(points, view)
    for baseline in (300.0, 500.0):
        moved = points.numpy().astype(np.float64) + [baseline, 0.0, 0.0]
        pixels = moved[..., :2] / moved[..., 2:]
        expected = pixels - pixels[:, ROOT : ROOT + 1]
        decoded = canonical_view.decode_right(target, view, baseline).numpy()
        np.testing.assert_allclose(decoded, expected, atol=2e-6)


def test_squared_search_finds_the_least_squares_depth():
    view, points = turned_view(people(12))
    rng = np.random.default_rng(3)
    pose = (points - points[:, ROOT, None]).numpy() + rng.normal(0, 20, (12, 17, 3)).astype(np.float32)
    pose[:, ROOT] = 0
    refined, depth = (value.numpy() for value in canonical_losses.squared_search(tf.constant(pose), view))
    for n in range(12):
        rays = view.points.numpy()[n].astype(np.float64)
        # rays * (z + d) = xy, for d, by NumPy's least squares.
        slope, wanted = rays.reshape(-1, 1), (pose[n, :, :2] - rays * pose[n, :, 2:]).reshape(-1)
        expected = np.linalg.lstsq(slope, wanted, rcond=None)[0][0]
        assert depth[n] == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(refined[n, :, :2], rays * (pose[n, :, 2:] + expected), atol=0.2)


def test_losses_are_the_formulas(monkeypatch):
    points = people(9)
    rays = points[..., :2] / points[..., 2:]
    batch = {
        "points": tf.constant(points),
        "rays": tf.constant(rays),
        "joint_mask": tf.ones([9, 17]),
        "noise": tf.constant([0.0, 0.001, 0.0] * 3),
        "unknown": tf.zeros([9], tf.bool),
    }
    made = CanonicalTraining(setup("direct"), level(30), seen(9))
    network = made._twin.pose3d
    figures = made._twin.losses_of(batch, training=False)
    view, turned = turned_view(points)
    outputs = network(canonical_view.network_inputs(view), training=False)
    coarse, distance = (value.numpy().astype(np.float64) for value in canonical_view.decode(outputs, view))
    truth = (turned - turned[:, ROOT, None]).numpy()
    errors = np.linalg.norm(coarse - truth, axis=-1)
    assert float(figures["coarse_mm"]) == pytest.approx(errors.mean(), rel=1e-4)
    refined = canonical_losses.squared_search(tf.constant(coarse, tf.float32), view)[0].numpy()
    exact = batch["noise"].numpy() == 0
    each = np.minimum(np.linalg.norm(refined - truth, axis=-1).mean(1), 500)
    assert float(figures["refined_mm"]) == pytest.approx(each[exact].mean(), rel=1e-4)
    trust = canonical_view.ray_trust(outputs).numpy()[..., None]
    blended = np.minimum(np.linalg.norm(coarse + trust * (refined - coarse) - truth, axis=-1), 500).mean()
    off = np.abs(np.log(distance / turned.numpy()[:, ROOT, 2])).mean()
    log_error = canonical_view.log_expected_error(outputs).numpy()
    surprise = (errors / 100 * np.exp(-log_error) + log_error).mean()
    expected = errors.mean() / 100 + 0.5 * each[exact].mean() / 100 + 0.2 * off + 0.05 * surprise + 0.2 * blended / 100
    assert float(figures["loss"]) == pytest.approx(expected, rel=1e-4)


def canonical_network(folder, stage="left2right", outputs=34, seed=5):
    config = {"inputs": canonical_view.INPUTS, "outputs": outputs, "linear_size": 16, "num_layers": 1}
    model = prenorm_model.prenorm_model(**config, seed=seed)
    rng = np.random.default_rng(seed)
    variables = {n: v + rng.normal(0, 0.1, v.shape) for n, v in prenorm_model.variables_by_name(model).items()}
    network_files.save_network(folder, stage, "canonical", config, {n: v.numpy() for n, v in variables.items()})
    return network_files.load_network(folder)


def test_pose3d_learns_and_the_network_before_it_stays(tmp_path):
    given = canonical_network(tmp_path / "given")
    made = CanonicalTraining(setup("pose3d"), level(40), seen(9), given)
    model = made.make_model()
    before = [v.numpy() for v in model.pose3d.trainable_variables]
    model.fit(made.make_batches(0), steps_per_epoch=3, epochs=1, verbose=0)
    for name, variable in prenorm_model.variables_by_name(model.left2right).items():
        np.testing.assert_array_equal(variable.numpy(), given.variables[name])
    assert any(np.abs(v.numpy() - b).max() > 1e-4 for v, b in zip(model.pose3d.trainable_variables, before))
    made.take_weights(model)
    made.export(tmp_path / "export", {})
    exported = network_files.load_network(tmp_path / "export")
    assert exported.stage == "pose3d"
    averages = [model.optimizer.average_of(v).numpy() for v in model.trainable_variables]
    for value, (name, _) in zip(averages, prenorm_model.variables_by_name(model.pose3d).items()):
        np.testing.assert_array_equal(exported.variables[name], value)
    with pytest.raises(InputError, match="stage pose3d, expected a canonical one of stage left2right"):
        CanonicalTraining(setup("pose3d"), level(40), seen(9), exported)


def test_pose3d_starts_as_the_direct_network_it_is_given(tmp_path):
    first = canonical_network(tmp_path / "left2right")
    rival = canonical_network(tmp_path / "direct", "direct", canonical_view.OUTPUTS, seed=6)
    test = seen(9)
    alone = CanonicalTraining(setup("direct"), level(40), test, start={"direct": rival}).predicted()["coarse"]
    made = CanonicalTraining(setup("pose3d"), level(40), test, first, start={"direct": rival})
    np.testing.assert_allclose(made.predicted()["coarse"], alone, atol=1e-3)
    # A step at rate 0 hands it over as it is.
    still = CanonicalTraining(setup("pose3d", learning_rate=0.0), level(40), test, first, start={"direct": rival})
    model = still.make_model()
    model.fit(still.make_batches(0), steps_per_epoch=1, epochs=1, verbose=0)
    still.take_weights(model)
    np.testing.assert_allclose(still.predicted()["coarse"], alone, atol=1e-3)
    # From there it goes on: what the first network says begins to count.
    model = made.make_model()
    model.fit(made.make_batches(0), steps_per_epoch=3, epochs=1, verbose=0)
    kernel = prenorm_model.variables_by_name(model.pose3d)["in/kernel"].numpy()
    assert np.abs(kernel[canonical_view.INPUTS :]).max() > 0
    with pytest.raises(InputError, match="--start_from: no canonical network of stage left2right among direct"):
        CanonicalTraining(setup("chain"), level(40), test, start={"direct": rival})
    with pytest.raises(InputError, match=r"out/bias is \[86\], expected \[34\]|is \[16, 86\], expected \[16, 34\]"):
        CanonicalTraining(setup("left2right"), level(40), test, start={"left2right": rival})


def test_a_chain_trains_its_first_network_by_its_own_loss_alone():
    weights = LossWeights(right_view=0.0)
    made = CanonicalTraining(setup("chain", losses=weights), level(40), seen(9))
    batch = next(iter(made.make_batches(0)))
    trainer = made._twin
    with tf.GradientTape() as tape:
        loss = trainer.losses_of(batch, training=True)["loss"]
    gradients = tape.gradient(loss, trainer.left2right.trainable_variables, unconnected_gradients="zero")
    assert all(float(tf.reduce_max(tf.abs(g))) == 0 for g in gradients)


def test_batches_are_functions_of_seed_and_step():
    data = level(60)
    whole = list(canonical_training.view_batches(data, setup(), 0).take(5).as_numpy_iterator())
    later = list(canonical_training.view_batches(data, setup(), 3).take(2).as_numpy_iterator())
    other = next(canonical_training.view_batches(data, setup(seed=9), 0).as_numpy_iterator())
    for expected, got in zip(whole[3:], later):
        for name, value in expected.items():
            np.testing.assert_array_equal(value, got[name])
    assert np.abs(other["points"] - whole[0]["points"]).max() > 1


@pytest.mark.parametrize(("balance", "share"), [(1.0, 0.9), (0.5, 0.75), (0.0, 0.5)])
def test_sequences_are_met_in_proportion_to_their_length_to_the_balance(balance, share):
    # A sequence of 90 poses 1.0 m above the floor, one of 10 at 2.0 m.
    long = np.arange(100) < 90
    data = LevelPoses(level(100).poses, np.where(long, 1000.0, 2000.0).astype(np.float32), np.int64(~long), 0)
    views = dataclasses.replace(setup().views, noise_share=0.0)
    chosen = []
    original = canonical_training.virtual_camera.draw_views

    def remember(poses, heights, seed, settings, stated):
        return {**original(poses, heights, seed, settings), "heights": heights}

    canonical_training.virtual_camera.draw_views = remember
    try:
        batches = canonical_training.view_batches(data, setup(balance=balance, batch_size=2000, views=views), 0)
        chosen = next(batches.as_numpy_iterator())["heights"]
    finally:
        canonical_training.virtual_camera.draw_views = original
    assert np.mean(chosen == 1000.0) == pytest.approx(share, abs=0.04)


def test_figures_are_those_of_perfect_and_of_wrong_predictions():
    made = CanonicalTraining(setup("chain"), level(40), seen(30))
    model = made.make_model()
    model.fit(made.make_batches(0), steps_per_epoch=2, epochs=1, verbose=0)
    made.take_weights(model)
    found = made.predicted()
    figures = made.figures()
    assert figures["val_mpjpe_mm"] == pytest.approx(
        np.linalg.norm(found["coarse"] - found["truth"], axis=-1).mean(), rel=1e-5
    )
    # The truth is the same pose, turned.
    points = made._test.points
    np.testing.assert_allclose(metrics.p_mpjpe(found["truth"], points - points[:, ROOT : ROOT + 1]), 0, atol=0.01)
    moved = points.astype(np.float64)
    view, turned = turned_view(points)
    baseline = canonical_view.BASELINE_SHARE * canonical_view.BODY_MM / view.size.numpy()
    moved = turned.numpy() + np.stack([baseline, 0 * baseline, 0 * baseline], -1)[:, None]
    right = moved[..., :2] / moved[..., 2:]
    np.testing.assert_allclose(found["true_right"], right - right[:, ROOT : ROOT + 1], atol=1e-6)
    hits = np.linalg.norm(found["right"] - found["true_right"], axis=-1) < (
        np.linalg.norm(found["true_right"][:, 0] - found["true_right"][:, 1], axis=-1)[:, None] / 2
    )
    assert figures["val_pckh"] == pytest.approx(100 * hits.mean(), abs=0.3)


def test_resumed_training_ends_with_the_same_weights(tmp_path):
    def run(folder, epochs, start):
        made = CanonicalTraining(setup("chain"), level(40), seen(9))
        model = made.make_model()

        def evaluate(_):
            made.take_weights(model)
            return made.figures()

        devices = TrainingDevices(tf.distribute.get_strategy(), "float32")
        session = TrainingSession(devices, str(folder), experiments.Plan(start, False, ""), {}, epochs)
        session.train(TrainingJob(model, made.make_batches, 24, 5, evaluate))
        optimizer = model.optimizer
        return [v.numpy() for v in model.weights] + [optimizer.average_of(v).numpy() for v in model.trainable_variables]

    whole = run(tmp_path / "whole", 4, 0)
    run(tmp_path / "parts", 2, 0)
    parts = run(tmp_path / "parts", 4, 10)
    for expected, got in zip(whole, parts):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_trainer_steps_alike_in_bfloat16_and_float32():
    losses = []
    for policy in ("float32", "mixed_bfloat16"):
        tf.keras.mixed_precision.set_global_policy(policy)
        try:
            made = CanonicalTraining(setup("chain"), level(40), seen(9))
            model = made.make_model()
            assert isinstance(model, CanonicalTrainer)
            losses.append(model.fit(made.make_batches(0), steps_per_epoch=5, epochs=1, verbose=0).history["loss"][0])
        finally:
            tf.keras.mixed_precision.set_global_policy("float32")
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_views_drawn_within_the_step_are_those_drawn_ahead_of_it():
    def weights(in_step, **options):
        made = CanonicalTraining(setup("direct"), level(40), seen(9), None, None, in_step)
        model = made.make_model(**options)
        model.fit(made.make_batches(2), steps_per_epoch=6, epochs=1, verbose=0)
        return [variable.numpy() for variable in model.trainable_variables]

    ahead = weights(False)
    for values, expected in zip(weights(True, steps_per_execution=3), ahead):
        np.testing.assert_allclose(values, expected, rtol=0, atol=3e-5)
    # XLA draws other numbers, and as many steps with them move the weights about as far.
    start = [v.numpy() for v in CanonicalTraining(setup("direct"), level(40), seen(9)).make_model().trainable_variables]
    moved = [sum(np.abs(a - b).sum() for a, b in zip(end, start)) for end in (ahead, weights(True, jit_compile=True))]
    assert moved[1] == pytest.approx(moved[0], rel=0.2)


def test_only_one_device_draws_views_within_its_step():
    one, two = (TrainingDevices(strategy, "float32") for strategy in (tf.distribute.get_strategy(), PairOfReplicas()))
    assert [run.draws_in_step(where, one) for where in ("step", "host", "auto")] == [True, False, False]
    assert not run.draws_in_step("auto", two)
    with pytest.raises(InputError, match="draw_views=step is for one device"):
        run.draws_in_step("step", two)
