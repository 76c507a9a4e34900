"""The benchmark's peers do the work that they are compared by, and its table says what was measured."""

import json

import numpy as np
import pytest

from tools import benchmark
from tools.benchmarks import common, metrics, pipeline, scaling, search, startup, torch_networks
from tools.cli import command
from tools.pose import metrics as pose_metrics
from tools.pose.cameras import SEARCH_INTRINSICS


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")


@pytest.fixture(scope="module")
def found():
    """Three people, and the search's own answer."""
    from label_generator.lifting.geometric_search import geometric_search

    poses, pixels, _ = search.people(3)
    return poses, pixels, geometric_search(poses, pixels, np.float32(SEARCH_INTRINSICS))


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(benchmark.main, benchmark.declare, ["benchmark", *map(str, arguments)])
    return ended.value.code


def test_the_published_loop_finds_what_the_search_finds(found):
    poses, pixels, expected = found
    depth, refined = search.published_loop(poses[0], pixels[0])
    assert abs(depth - float(expected.depth_mm[0])) <= 1
    np.testing.assert_allclose(refined, expected.poses_3d[0], atol=0.5)


def test_pytorchs_search_finds_what_the_search_finds(torch, found):
    poses, pixels, expected = found
    depth, refined = torch_networks.search(torch.from_numpy(poses), torch.from_numpy(pixels), SEARCH_INTRINSICS)
    np.testing.assert_allclose(depth, expected.depth_mm, atol=1.01)
    np.testing.assert_allclose(refined, expected.poses_3d, atol=0.5)


def test_pytorchs_networks_have_the_same_parameters(torch):
    from baseline_network.network import hourglass
    from label_generator.networks import linear_model, prenorm_model

    def count(network):
        return sum(parameter.numel() for parameter in network.parameters())

    def own(model):
        return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)

    config = linear_model.LinearModelConfig.of_stage("pose3d", residual=True, batch_norm=True)
    assert count(torch_networks.published("pose3d")) == own(linear_model.build(config))
    assert count(torch_networks.prenorm(20, 10, 32, 3)) == own(prenorm_model.prenorm_model(20, 10, 32, 3))
    sizes = hourglass.Sizes(stacks=2, modules=1, features=16, resolution=64)
    network = torch_networks.hourglass(sizes).eval()
    assert count(network) == own(hourglass.build(sizes))
    heatmaps, depths = network(torch.zeros(2, 3, 64, 64))
    assert (tuple(heatmaps.shape), tuple(depths.shape)) == ((2, 2, 16, 16, 16), (2, 16))


def test_scipys_loop_has_the_same_errors():
    pytest.importorskip("scipy")
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 300, (20, 17, 3))
    predicted = truth + rng.normal(0, 40, truth.shape)
    np.testing.assert_allclose(metrics.scipy_p_mpjpe(predicted, truth), pose_metrics.p_mpjpe(predicted, truth))


def test_opencvs_pipeline_takes_what_ours_takes(tmp_path):
    paths, made = pipeline.write_pictures(tmp_path, 2), pipeline.people(2)
    low, high = made["pose_2d"].min((0, 1)), made["pose_2d"].max((0, 1))
    assert (low >= 0).all()
    assert (high <= (1280, 720)).all()
    jobs = list(zip(paths, made["box"], made["pose_2d"], made["pose_3d"], range(2)))
    assert np.isfinite(pipeline.by_opencv(jobs))


def test_every_command_is_found(repository):
    names = startup.commands()
    assert {"label_generator/generate.py", "tools/make_tfrecords.py", "tools/benchmark.py"} <= set(names)
    assert all((repository / name).exists() for name in names)


def test_medians_of_turns():
    order = []
    rates = common.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 10, 3)
    assert "".join(order) == "ab" + "ababab"
    assert len(rates["a"].each) == 3
    twice = common.Rate((1.0, 2.0, 4.0)).times(2.0)
    assert (twice.median, twice.spread) == (4.0, 1.5)
    row = twice.row("this", "x/s", "that", common.Rate((2.0,)), 3.0)
    assert (row.value, row.ratio, row.goal) == (4.0, 2.0, 3.0)


def test_as_a_command(capsys):
    assert run("metrics", "--scale=0.001", "--repeats=1") == 0
    text = capsys.readouterr().out
    assert text.startswith("processor ")
    assert "| P-MPJPE, 1,000 poses | " in text
    assert run("metrics", "--scale=0.001", "--repeats=1", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"][-1]["unit"] == "poses/s"
    assert content["machine"]["cores"] >= 1


@pytest.mark.parametrize("arguments", [[], ["nothing"]])
def test_what_can_not_be_measured(capsys, arguments):
    assert run(*arguments) == 2
    assert "nothing to measure; there are search, lift" in capsys.readouterr().err


def test_the_model_of_throughput():
    """Two seconds to start and a millisecond a record: of runs of 1,000 and 5,000 records, on two cores."""
    model = scaling.ThroughputModel.of_runs((1000, 3.0), (5000, 7.0), cores=2)
    assert (model.start_s, model.cost_s) == pytest.approx((2.0, 0.001))
    assert model.seconds(10_000, 1) == pytest.approx(12.0)
    assert model.seconds(10_000, 2) == pytest.approx(2.0 + (10.0 + 2.0) / 2)
    assert model.seconds(10_000, 4) == pytest.approx(2.0 + (10.0 + 6.0) / 2)
