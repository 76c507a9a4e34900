"""The two chains: which networks make one, what they see, and the mirror."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from label_generator.lifting import canonical_chain, canonical_view, chains, published_chain
from label_generator.networks import linear_model, network_files, prenorm_model
from label_generator.stages import pose_rows
from tools.cli.errors import InputError
from tools.pose.cameras import SEARCH_INTRINSICS, change_intrinsics
from tools.pose.joints import POSE17


@pytest.fixture(scope="module")
def published(published_weights):
    return chains.chain_of(network_files.find_networks([published_weights]))


@pytest.fixture(scope="module")
def canonical(canonical_weights):
    return chains.chain_of(network_files.find_networks([canonical_weights]))


def see(chain, people, unknown=False, mask=None):
    intrinsics = np.full((len(people.records), 4), np.nan, np.float32) if unknown else people.intrinsics
    mask = np.ones((len(people.records), 17), bool) if mask is None else mask
    return chain.to_search_camera(tf.constant(people.pose_2d), tf.constant(intrinsics), tf.constant(mask))


def test_which_networks_make_a_chain(published_weights, canonical_weights):
    published = network_files.find_networks([published_weights])
    canonical = network_files.find_networks([canonical_weights])
    assert isinstance(chains.chain_of(published), published_chain.PublishedChain)
    assert isinstance(chains.chain_of(canonical), canonical_chain.CanonicalChain)
    with pytest.raises(InputError, match="no network of stage left2right among pose3d"):
        chains.chain_of({"pose3d": published["pose3d"]})
    with pytest.raises(InputError, match="no network of stage pose3d among left2right"):
        chains.chain_of({"left2right": published["left2right"]})
    with pytest.raises(InputError, match="left2right and pose3d are of different recipes"):
        chains.chain_of({**published, "pose3d": canonical["pose3d"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"width": 3}}, "unknown width"),
        ({"config": {"linear_size": 3}}, "does not build a network"),
        ({"statistics": {}}, "no normalisation statistics"),
    ],
)
def test_published_networks_that_dont_fit(published_weights, change, message):
    networks = network_files.find_networks([published_weights])
    networks["left2right"] = dataclasses.replace(networks["left2right"], **change)
    with pytest.raises(InputError, match=message) as error:
        chains.chain_of(networks)
    assert networks["left2right"].directory in str(error.value)


def test_published_variables_that_dont_fit(published_weights):
    networks = network_files.find_networks([published_weights])
    network = networks["pose3d"]
    name = next(iter(network.variables))
    fewer = {key: value for key, value in network.variables.items() if key != name}
    for variables, message in (
        (fewer, f"variable {name} is missing"),
        ({**network.variables, "more": np.zeros(2)}, "more is not of this network"),
        ({**network.variables, name: np.zeros((2, 2), np.float32)}, rf"{name} is \[2, 2\], expected"),
    ):
        with pytest.raises(InputError, match=message):
            chains.chain_of({**networks, "pose3d": dataclasses.replace(network, variables=variables)})
    with pytest.raises(InputError, match="pose3d is 68 -> 51, not 34 -> 34"):
        chains.chain_of({**networks, "pose3d": dataclasses.replace(network, config=networks["left2right"].config)})
    swapped = {"input": network.statistics["output"], "output": network.statistics["input"]}
    with pytest.raises(InputError, match="input statistics have 51 columns, expected 68"):
        chains.chain_of({**networks, "pose3d": dataclasses.replace(network, statistics=swapped)})


def test_canonical_networks_that_dont_fit(tmp_path, canonical_weights):
    folder = tmp_path / "net"
    shutil.copytree(canonical_weights, folder)
    description = folder / "pose3d" / "model.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "config": {**content["config"], "linear_size": 25}}))
    with pytest.raises(InputError, match=r"expected \[87, 25\]") as error:
        chains.chain_of(network_files.find_networks([folder]))
    assert str(folder) in str(error.value)
    description.write_text(json.dumps({**content, "config": {"depth": 3}}))
    with pytest.raises(InputError, match="does not build a network"):
        chains.chain_of(network_files.find_networks([folder]))


def test_published_view_is_the_rays_through_the_assumed_camera(published, people):
    view = see(published, people)
    expected = change_intrinsics(people.pose_2d.astype(np.float64), people.intrinsics[:, None], SEARCH_INTRINSICS)
    np.testing.assert_allclose(view.points, expected, atol=2e-3)
    np.testing.assert_allclose(view.intrinsics, SEARCH_INTRINSICS)
    assert np.asarray(view.weights).all()
    assert np.asarray(view.usable).all()


def test_published_view_of_an_unknown_camera_has_the_nominal_size(published, people):
    view = see(published, people, unknown=True)
    points = np.asarray(view.points, np.float64)
    np.testing.assert_allclose(points[:, POSE17.root], np.tile(SEARCH_INTRINSICS[2:], (len(points), 1)), atol=1e-3)
    apart = points - points.mean(1, keepdims=True)
    size = np.sqrt((apart**2).sum(-1).mean(1))
    np.testing.assert_allclose(size, SEARCH_INTRINSICS[0] * canonical_view.BODY_MM / 5000, rtol=1e-4)


def test_made_joints_take_no_part_in_the_search_but_reach_the_published_networks(published, canonical, people):
    mask = np.ones((len(people.records), 17), bool)
    mask[:, [1, 9]] = False
    for chain in (published, canonical):
        view = see(chain, people, mask=mask)
        np.testing.assert_array_equal(view.weights, mask)
    whole = published.reconstruct(see(published, people))
    np.testing.assert_array_equal(whole.pose_3d, published.reconstruct(see(published, people, mask=mask)).pose_3d)


def test_published_networks_by_keras(published, published_weights, people):
    """The chain against the unfolded models, with statistics applied by hand."""
    networks = network_files.find_networks([published_weights])
    rows = {}
    view = see(published, people)
    left = np.asarray(view.points) - np.asarray(view.points)[:, [10]]

    def run(stage, inputs):
        network = networks[stage]
        config = linear_model.LinearModelConfig(**network.config)
        model = linear_model.build(config)
        network_files.assign(linear_model.released_variables(model, config), network.variables, stage)
        rows[stage] = network.statistics["input"].normalize(inputs)
        return network.statistics["output"].unnormalize(model(rows[stage], training=False).numpy())

    right = pose_rows.from_rows(run("left2right", pose_rows.to_rows(left, "planar")), 2, "planar")
    right = right - right[:, [10]]
    both = [pose_rows.to_rows(part, "interleaved") for part in (left, right)]
    pose = pose_rows.from_rows(run("pose3d", np.concatenate(both, -1)), 3, "interleaved")
    coarse = published.reconstruct(view)
    np.testing.assert_allclose(coarse.right_2d, right, atol=2e-3)
    np.testing.assert_allclose(coarse.pose_3d, pose - pose[:, [10]], atol=2e-2)
    # A true right view takes the predicted one's place.
    given = published.reconstruct(view, tf.constant(right + 3.0, tf.float32))
    np.testing.assert_allclose(given.pose_3d, coarse.pose_3d, atol=2e-2)


@pytest.mark.parametrize("recipe", ["published", "canonical"])
def test_mirror(request, recipe, people):
    """The mirrored reconstruction of a view is the mirror image of the reconstruction of the mirrored view."""
    chain = request.getfixturevalue(recipe)
    width = 2 * people.intrinsics[:, None, 2]
    flipped = people.pose_2d.copy()
    flipped[..., 0] = width - flipped[..., 0]
    flipped = flipped[:, POSE17.mirror]
    mask = tf.ones([len(flipped), 17], tf.bool)
    other = chain.to_search_camera(tf.constant(flipped), tf.constant(people.intrinsics), mask)
    expected = canonical_view.mirrored_pose(chain.reconstruct(other).pose_3d)
    found = chain.reconstruct(see(chain, people), mirror=True)
    np.testing.assert_allclose(found.pose_3d, expected, atol=0.5)


def test_canonical_takes_no_true_right_view(canonical, people):
    with pytest.raises(InputError, match="takes no true right view"):
        canonical.reconstruct(see(canonical, people), tf.zeros([300, 17, 2]))


def test_direct_network(tmp_path, save_canonical, people):
    folder = save_canonical(tmp_path, stages=("direct",))
    chain = chains.chain_of(network_files.find_networks([folder]))
    coarse = chain.reconstruct(see(chain, people))
    assert np.isnan(coarse.right_2d).all()
    assert np.isfinite(coarse.pose_3d).all()
    assert np.isfinite(coarse.joint_error_mm).all()


@pytest.mark.parametrize("recipe", ["published", "canonical"])
def test_a_picture_and_its_mirror_image_in_one_run(request, recipe, people):
    chain = request.getfixturevalue(recipe)
    view = see(chain, people)
    expected = chain.reconstruct(view), chain.reconstruct(view, mirror=True)
    for found, alone in zip(chain.reconstruct_both(view), expected):
        for name, one, other in zip(found._fields, found, alone):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2, err_msg=name)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_canonical_network_without_keras_is_kerass(num_layers):
    rng = np.random.default_rng(0)
    model = prenorm_model.prenorm_model(53, 34, linear_size=40, num_layers=num_layers)
    for variable in model.trainable_variables:
        variable.assign_add(tf.constant(rng.normal(0, 0.2, variable.shape), tf.float32))
    values = {name: variable.numpy() for name, variable in prenorm_model.variables_by_name(model).items()}
    rows = tf.constant(rng.normal(size=(30, 53)), tf.float32)
    expected = model(rows, training=False)
    exact = prenorm_model.PrenormInference(values)(rows)
    np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-4)
    near = prenorm_model.PrenormInference(values, tf.bfloat16)(rows)
    assert near.dtype == tf.float32
    assert 0 < np.abs(near - expected).mean() < 0.02 * np.abs(expected).mean()
    few = tf.function(prenorm_model.PrenormInference(values, tf.bfloat16).of_few, jit_compile=True)(rows[:2])
    assert few.dtype == tf.float32
    assert np.abs(few - expected[:2]).mean() < 0.02 * np.abs(expected).mean()


def test_points_are_turned_as_scipys_rotations_turn_them():
    rng = np.random.default_rng(0)
    turns, points = Rotation.random(5, random_state=1), rng.uniform(-6000, 6000, (5, 17, 3)).astype(np.float32)
    turned = canonical_view.rotated(tf.constant(turns.as_matrix(), tf.float32), tf.constant(points))
    expected = np.stack([turn.apply(person) for turn, person in zip(turns, points)])
    np.testing.assert_allclose(turned, expected, atol=5e-3)


def test_networks_are_shown_nobody_farther_than_in_training():
    pose = np.random.default_rng(0).normal(0, 300, (1, 17, 3)).astype(np.float32)
    pose -= pose[:, :1]

    def seen_from(distance_mm):
        points = pose + np.array([0, 0, distance_mm], np.float32)
        rays = tf.constant(points[..., :2] / points[..., 2:])
        return canonical_view.canonical_view(rays, tf.ones([1, 17]), tf.constant([False]))

    near, far, farther = (canonical_view.network_inputs(seen_from(mm)).numpy()[0] for mm in (4e3, 30e3, 60e3))
    assert near[51] > canonical_view.LEAST_LOG_SIZE
    np.testing.assert_allclose(far, farther, atol=0.02)
    # What is decoded keeps the true distance.
    distances = [canonical_view.decode(tf.zeros([1, 86]), seen_from(mm))[1].numpy()[0] for mm in (30e3, 60e3)]
    assert distances[1] == pytest.approx(2 * distances[0], rel=0.01)
