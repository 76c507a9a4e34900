"""Inner maps of varied crops kept on disk: what comes back, what is refused, what a training step makes of them."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import landmark_encoder, network_files
from baseline_network.training import cached_maps, losses, maps_training, trainer
from tools.cli.errors import InputError
from tools.detection import mediapipe_models

BATCH = 2


def batches(start_step):
    """Batches that are functions of their number, as those of `training_data.make_batches` are."""

    def batch(step):
        rng = np.random.default_rng(step)
        return {
            "images": rng.uniform(0, 255, (BATCH, 256, 256, 3)).astype(np.float32),
            "points": rng.uniform(20, 230, (BATCH, 16, 2)).astype(np.float32),
            "joint_mask": rng.random((BATCH, 16)) < 0.8,
            "depths": rng.normal(0, 0.3, (BATCH, 16)).astype(np.float32),
            "depth_mask": rng.random((BATCH, 16)) < 0.8,
            "depth_weights": np.full(BATCH, step, np.float32),
        }

    signature = {name: tf.TensorSpec(value.shape, value.dtype) for name, value in batch(0).items()}

    def endless():
        step = start_step
        while True:
            yield batch(step)
            step += 1

    return tf.data.Dataset.from_generator(endless, output_signature=signature)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached_maps, "SHARD_STEPS", 2)
        maps = cached_maps.KeptMaps(tmp_path_factory.mktemp("kept") / "maps", {"seed": 1}, batches)
        maps.make([1])
        maps.make([0, 1])
    return maps


def test_values_come_back_within_a_127th_of_their_distance_from_the_median():
    rng = np.random.default_rng(0)
    maps = [rng.gamma(0.5, 2.0, (3, 4, 4, 5)).astype(np.float32), rng.normal(3, 1, (3, 2, 2, 7)).astype(np.float32)]
    codes = cached_maps.Codes.of(maps)
    encoded = codes.encode(maps)
    assert encoded.shape == (3, 4 * 4 * 5 + 2 * 2 * 7)
    assert encoded.dtype == tf.int8
    for before, after in zip(maps, codes.decode(encoded)):
        flat = before.reshape(-1, before.shape[-1])
        apart, span = np.abs(before - np.median(flat, 0)), np.abs(flat - np.median(flat, 0)).max(0)
        # A root is off by half a level, and its square by twice the root times that.
        assert (np.abs(after - before) <= (np.sqrt(apart / span) + 0.25 / 127) / 127 * span + 1e-5).all()


def test_crops_come_back_each_once_an_epoch_with_their_own_targets(kept):
    see = landmark_encoder.LandmarkMaps()
    steps = 4  # two shards of two batches
    met = []
    for batch in kept.make_batches(2, BATCH, seed=3).take(steps):
        for row, step in enumerate(batch["depth_weights"].numpy().astype(int)):
            original = next(iter(batches(step)))
            place = int(np.argmin(np.abs(original["depths"].numpy() - batch["depths"][row]).sum(1)))
            met.append((step, place))
            for name in ("points", "joint_mask", "depths", "depth_mask"):
                np.testing.assert_array_equal(batch[name][row], original[name][place])
            *maps, numbers = see(crop.to_network(original["images"][place : place + 1]))
            np.testing.assert_allclose(batch["numbers"][row], numbers[0], atol=2e-3)
            again = kept.codes.decode(batch["codes"][row : row + 1])
            for before, after in zip(maps, again):
                assert np.corrcoef(np.ravel(before), np.ravel(after))[0, 1] > 0.99
    assert sorted(met) == [(step, place) for step in range(steps) for place in range(BATCH)]
    later = next(iter(kept.make_batches(2, BATCH, seed=3, start_step=steps - 1)))
    np.testing.assert_array_equal(later["depths"], batch["depths"])


def test_a_training_step_has_the_losses_of_the_pictures(kept):
    tf.keras.utils.set_random_seed(3)
    network = landmark_encoder.build(landmark_encoder.LiftingSizes(modules=1, features=8), dtype="float32")
    head = landmark_encoder.head_of(network)
    assert {id(v) for v in head.trainable_variables} == {id(v) for v in network.trainable_variables}
    weights = losses.Weights(2.0)
    of_pictures = trainer.Trainer(network, weights, BATCH)
    of_maps = trainer.Trainer(head, weights, BATCH, codes=kept.codes)
    batch = next(iter(kept.make_batches(2, BATCH, seed=3)))
    steps, originals = batch["depth_weights"].numpy().astype(int), []
    for row, step in enumerate(steps):
        original = next(iter(batches(step)))
        place = int(np.argmin(np.abs(original["depths"].numpy() - batch["depths"][row]).sum(1)))
        originals.append({name: value[place] for name, value in original.items()})
    pictures = {name: tf.stack([one[name] for one in originals]) for name in originals[0]}
    expected = of_pictures.losses_of(pictures, training=False)
    for name, value in of_maps.losses_of(batch, training=False).items():
        np.testing.assert_allclose(value, expected[name], rtol=0.03)


def test_with_frozen_places_the_depths_alone_are_trained(kept):
    tf.keras.utils.set_random_seed(3)
    network = landmark_encoder.build(landmark_encoder.LiftingSizes(modules=1, features=8), dtype="float32")
    training = maps_training.MapsTraining(kept, 2, frozen_places=True)
    arrays = maps_training.seen_of(kept, 2, network)
    assert [len(values) for values in arrays.values()] == [8] * 5
    # What is seen and what is read from maps make the network's own depths.
    batch = next(iter(kept.in_order(2, 3)))
    outputs = landmark_encoder.head_of(network)([*kept.codes.decode(batch["codes"]), batch["numbers"]], training=False)
    lifted = landmark_encoder.lifting_of(network)(arrays["seen"][:3], training=False)
    np.testing.assert_allclose(arrays["there"][:3] + lifted, outputs["depths"], rtol=1e-3, atol=1e-2)
    before = {name: variable.numpy() for name, variable in network_files.variables_of(network).items()}
    model = training.trainer_of(network, losses.Weights(2.0), BATCH)
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-2), run_eagerly=True)
    for batch in training.batches_of(network, BATCH, 3)(0).take(2):
        means = model.train_step(batch)
    assert means["loss"] > 0
    after = {name: variable.numpy() for name, variable in network_files.variables_of(network).items()}
    changed = {name for name, values in before.items() if not np.array_equal(values, after[name])}
    assert "lifting.dense/kernel" in changed
    assert all(name.startswith("lifting.") for name in changed)


def test_a_folder_of_other_crops_is_refused(kept):
    folder = kept._folder
    with pytest.raises(InputError, match=r"maps\.json: maps of other pictures, or varied otherwise"):
        cached_maps.KeptMaps(folder, {"seed": 2}, batches)


@pytest.mark.parametrize("name", ["maps-00000.npy", "targets-00001.npz", "ranges.npz"])
@pytest.mark.parametrize("damage", ["cut", "text", "missing"])
def test_damaged_maps_are_one_line(kept, tmp_path, name, damage):
    folder = tmp_path / "maps"
    shutil.copytree(kept._folder, folder)
    if damage == "missing" and name == "ranges.npz":
        cached_maps.KeptMaps(folder, {"seed": 1}, batches)  # made anew
        return
    path = folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"text" if damage == "text" else path.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"{name}: kept maps are missing or damaged"):
        cached_maps.KeptMaps(folder, {"seed": 1}, batches).make_batches(2, BATCH, seed=3)
