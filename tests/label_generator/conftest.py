"""Small networks with random weights, and synthetic people: what tests of the chain and its commands share."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.networks import linear_model, network_files, normalization, prenorm_model
from label_generator.stages import pose_rows
from tfrecords import writer
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli import command


class People:
    """Synthetic people seen by Human3.6M's cameras, field by field: people.pose_2d is [N, 17, 2]."""

    def __init__(self, count, seed=0, split="train"):
        source = open_source("synthetic", "", Options(count=count, seed=seed, split=split))
        self.records = list(source.records(np.arange(count)))

    def __getattr__(self, name):
        return np.array([getattr(record, name) for record in self.records])


@pytest.fixture(scope="session")
def make_people():
    """make_people(count, seed=0, split='train') -> `People`."""
    return People


@pytest.fixture(scope="session")
def people():
    """300 people."""
    return People(300)


def _save_published(folder, people, seed=0, statistics=("input", "output"), **options):
    """A left2right and a pose3d network of random weights; their statistics are those of the people."""
    layouts = {"left2right": "planar", "pose3d": "interleaved"}
    poses = {name: pose_rows.root_centred(getattr(people, name)) for name in ("pose_2d", "right_2d", "pose_3d")}
    for stage, layout in layouts.items():
        small = {"linear_size": 24, "num_layers": 1, "residual": True, "batch_norm": True, "max_norm": True}
        config = linear_model.LinearModelConfig.of_stage(stage, seed=seed, **{**small, **options})
        model = linear_model.build(config)
        rng = np.random.default_rng(seed)
        for name, variable in linear_model.released_variables(model, config).items():
            if "moving_variance" in name or "gamma" in name:
                variable.assign(rng.uniform(0.5, 2, variable.shape))
            elif "moving_mean" in name or "beta" in name:
                variable.assign(rng.normal(0, 0.1, variable.shape))
        rows = {name: pose_rows.to_rows(pose, layout) for name, pose in poses.items()}
        own = {name: normalization.statistics_of(part, layout, True) for name, part in rows.items()}
        if stage == "left2right":
            both = {"input": own["pose_2d"], "output": own["right_2d"]}
        else:
            both = {
                "input": normalization.concatenated([own["pose_2d"], own["right_2d"]]),
                "output": own["pose_3d"],
            }
        network_files.save_network(
            folder / stage,
            stage,
            "published",
            dataclasses.asdict(config),
            {name: v.numpy() for name, v in linear_model.released_variables(model, config).items()},
            {name: both[name] for name in statistics},
            {"name": f"test-{stage}"},
        )
    return folder


def _save_canonical(folder, seed=0, stages=("left2right", "pose3d")):
    """Canonical networks of random weights."""
    width = 2 * 17
    sizes = {
        "left2right": (canonical_view.INPUTS, width),
        "pose3d": (canonical_view.INPUTS + width, canonical_view.OUTPUTS),
        "direct": (canonical_view.INPUTS, canonical_view.OUTPUTS),
    }
    for stage in stages:
        inputs, outputs = sizes[stage]
        config = {"inputs": inputs, "outputs": outputs, "linear_size": 24, "num_layers": 1}
        model = prenorm_model.prenorm_model(**config, seed=seed)
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign_add(tf.constant(rng.normal(0, 0.05, variable.shape), tf.float32))
        variables = {name: v.numpy() for name, v in prenorm_model.variables_by_name(model).items()}
        network_files.save_network(
            folder / stage, stage, "canonical", config, variables, facts={"name": f"test-{stage}"}
        )
    return folder


@pytest.fixture(scope="session")
def save_published():
    """save_published(folder, people, seed=0, statistics=('input', 'output'), **sizes) -> folder."""
    return _save_published


@pytest.fixture(scope="session")
def save_canonical():
    """save_canonical(folder, seed=0, stages=('left2right', 'pose3d')) -> folder."""
    return _save_canonical


@pytest.fixture(scope="session")
def published_weights(tmp_path_factory, people):
    """A folder with both networks of the published recipe."""
    return _save_published(tmp_path_factory.mktemp("published"), people)


@pytest.fixture(scope="session")
def canonical_weights(tmp_path_factory):
    """A folder with both networks of the canonical recipe."""
    return _save_canonical(tmp_path_factory.mktemp("canonical"))


def _write_synthetic(folder, count, seed, style):
    factory = functools.partial(open_source, "synthetic", "", Options(count=count, seed=seed, cameras_style=style))
    writer.convert(factory, folder, num_shards=2, num_workers=1, quiet=True)


@pytest.fixture(scope="session")
def synthetic_records(tmp_path_factory):
    """A folder with TFRecords: train/ (200 poses) and test/ (70) of Human3.6M-like cameras, level/ (150)."""
    folder = tmp_path_factory.mktemp("records")
    _write_synthetic(folder / "train", 200, 1, "h36m")
    _write_synthetic(folder / "test", 70, 2, "h36m")
    _write_synthetic(folder / "level", 150, 3, "level")
    return folder


@pytest.fixture(scope="session")
def start_train(start_command):
    """start_train(*flags, **environment): train.py as a process of its own, on one thread."""
    return functools.partial(start_command, "label_generator/train.py", "--threads=1")


@pytest.fixture(scope="session")
def run_command():
    """run_command(module, *arguments): the exit status of a command, run in this process."""

    def run(module, *arguments):
        with pytest.raises(SystemExit) as ended:
            command.run(module.main, module.declare, [module.__name__, *map(str, arguments)])
        return ended.value.code

    return run
