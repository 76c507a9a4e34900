"""Training steps of the label generator, against PyTorch twins and what the released code was measured at."""

from __future__ import annotations

import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from label_generator.lifting import canonical_view
from label_generator.networks import linear_model, normalization
from label_generator.stages import pose_rows
from label_generator.stages.published import stage_named
from label_generator.training import canonical_training, published_training
from label_generator.training.published_data import PublishedPoses, TrainingRows
from tfrecords import reader, writer
from tfrecords.source import Options
from tools.benchmarks import limits, search, torch_networks
from tools.benchmarks.common import BenchmarkSettings, Rate, Row, file_rates, in_turns

_STAGE = "pose3d"
# samples/s of the released TensorFlow 1 graph by batch size, measured by others on two such cores; and what is asked.
_RELEASED = {64: (2130.0, 1.5), 1024: (5280.0, 1.3)}
_STEPS = {64: 200, 1024: 30, 512: 40}
_CANONICAL_BATCH = 512
_READ_RECORDS = 100_000


def poses(count: int) -> PublishedPoses:
    """Made people as the published recipe trains on them."""
    poses_3d, pixels, _ = search.people(count)
    left, pose_3d = pose_rows.root_centred(pixels), pose_rows.root_centred(poses_3d)
    right = pose_rows.root_centred(pixels + poses_3d[..., 2:] * np.array([-0.02, 0.0], np.float32))
    return PublishedPoses(left, right, pose_3d, None, 0)


def published(batch_size: int, count: int = 65_536, **options: Any) -> published_training.PublishedTraining:
    """A training of the published recipe on made people."""
    config = linear_model.LinearModelConfig.of_stage(
        _STAGE, residual=True, batch_norm=True, max_norm=True, dropout=0.5, **options
    )
    setup = published_training.PublishedSetup(config, _STAGE, batch_size)
    return published_training.PublishedTraining(setup, TrainingRows.of_poses(_STAGE, poses(count)), poses(64))


def canonical(batch_size: int = _CANONICAL_BATCH, count: int = 65_536) -> canonical_training.CanonicalTraining:
    """A training of both canonical networks on virtual views of made people."""
    pose_3d, pixels, intrinsics = search.people(count)
    train = canonical_training.LevelPoses(pose_3d, np.full(count, 950, np.float32), np.arange(count) % 100, 0)
    rays = (pixels[:64] - intrinsics[:64, None, 2:]) / intrinsics[:64, None, :2]
    far = pose_3d[:64] + np.array([0, 0, 4500], np.float32)
    test = canonical_training.EvaluationPoses(rays, np.ones((64, 17), bool), far, np.full(64, "a"), 0)
    setup = canonical_training.CanonicalSetup(
        "chain", num_layers=3, batch_size=batch_size, epochs=1, steps_per_epoch=1000
    )
    return canonical_training.CanonicalTraining(setup, train, test)


def fitting(training: Any, steps: int, jit_compile: bool = False) -> Callable[[], None]:
    """A call that trains `steps` steps as train.py does, reading included."""
    model = training.make_model(steps_per_execution=10, jit_compile=jit_compile)
    batches = training.make_batches(0)
    return lambda: model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0)


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    rows = [*limits.memory_rates()]
    rows += _published(settings, 64)
    large = _published(settings, 1024)
    rows += large
    step = Rate((large[-1].value,))
    rows += _canonical(settings)
    return [*rows, *_feeding(settings, step)]


def _published(settings: BenchmarkSettings, batch_size: int) -> list[Row]:
    """One subnetwork; the last row is ours beside the release."""
    steps = settings.count(_STEPS[batch_size], 10) // 10 * 10
    training = published(batch_size)
    calls = {"sgemm": limits.matrix_products(), "ours": fitting(training, steps)}
    if torch_networks.installed():
        calls["torch"] = torch_steps(batch_size, steps)
    rates = in_turns(calls, 1, settings.repeats)
    products = rates["sgemm"].times(limits.PRODUCTS_FLOP / 1e9)
    samples = {name: rates[name].times(steps * batch_size) for name in calls if name != "sgemm"}
    released, goal = _RELEASED[batch_size]
    layers = linear_model.LinearModelConfig.of_stage(_STAGE).layers()
    flop = 6.0 * sum(inputs * outputs for *_, inputs, outputs in layers)
    subject = f"{_STAGE}, published, batch {batch_size}"
    rows = [products.row("machine: products of [1024, 1024], float32", "GFLOP/s")]
    rows.append(Row(f"{subject}: released TensorFlow 1 graph, measured by others", released, "samples/s"))
    if "torch" in samples:
        rows.append(samples["torch"].row(f"{subject}: PyTorch", "samples/s"))
        rows.append(samples["ours"].row(f"{subject}: ours", "samples/s", "PyTorch", samples["torch"]))
    limit = products.times(1e9 / flop)
    rows.append(samples["ours"].row(f"{subject}: ours", "samples/s", f"{flop / 1e6:.1f} MFLOP at that rate", limit))
    rows.append(samples["ours"].row(f"{subject}: ours", "samples/s", "released", Rate((released,)), goal))
    return rows


def torch_steps(batch_size: int, steps: int) -> Callable[[], None]:
    """A call that trains the published subnetwork's PyTorch twin for `steps` steps."""
    import torch

    network = torch_networks.published(_STAGE).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-8)
    stage = stage_named(_STAGE)
    x, y = torch.randn(65_536, stage.input_size), torch.randn(65_536, stage.output_size)

    def run() -> None:
        for _ in range(steps):
            chosen = torch.randint(0, len(x), (batch_size,))
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(network(x[chosen]), y[chosen]).backward()
            optimizer.step()

    return run


def _canonical(settings: BenchmarkSettings) -> list[Row]:
    steps = settings.count(_STEPS[_CANONICAL_BATCH], 10) // 10 * 10
    training = canonical()
    calls = {"ours": fitting(training, steps)}
    if torch_networks.installed():
        calls["torch"] = torch_canonical_steps(steps)
    samples = {
        name: rate.times(steps * _CANONICAL_BATCH) for name, rate in in_turns(calls, 1, settings.repeats).items()
    }
    subject = f"both networks, canonical, batch {_CANONICAL_BATCH}"
    rows, twin = [], samples.get("torch")
    if twin:
        rows.append(twin.row(f"{subject}: PyTorch, networks, clipping, AdamW and average alone", "samples/s"))
    title = f"{subject}: ours, views and losses included"
    rows.append(samples["ours"].row(title, "samples/s", "PyTorch" if twin else "", twin))
    return rows


def torch_canonical_steps(steps: int) -> Callable[[], None]:
    """A call that trains the canonical networks' PyTorch twin, on rows of noise and a plain loss."""
    import torch

    inputs, width = canonical_view.INPUTS, 1024
    sizes = (
        (inputs, canonical_training.RIGHT_OUTPUTS, 1),
        (inputs + canonical_training.RIGHT_OUTPUTS, canonical_view.OUTPUTS, 3),
    )
    networks = torch.nn.ModuleList([torch_networks.prenorm(inputs, outputs, width, n) for inputs, outputs, n in sizes])
    parameters = list(networks.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, (0.9, 0.99))
    average = [parameter.detach().clone() for parameter in parameters]

    def run() -> None:
        for _ in range(steps):
            rows = torch.randn(_CANONICAL_BATCH, inputs)
            optimizer.zero_grad(set_to_none=True)
            right = networks[0](rows)
            out = networks[1](torch.cat([rows, right.detach()], -1))
            (right.abs().mean() + out.abs().mean()).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 0.001)

    return run


def _feeding(settings: BenchmarkSettings, step: Rate) -> list[Row]:
    """How fast what feeds the training goes, beside a training step at batch 1024."""
    from tfrecords.sources import open_source

    count = settings.count(_READ_RECORDS, 2048)
    training = canonical(1024)
    batches = iter(training.make_batches(0))
    drawn = max(5, int(30 * settings.scale))
    fields = ["pose_2d", "right_2d", "pose_3d"]
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / "records"
        source = functools.partial(open_source, "synthetic", "", Options(count=count, split="train"))
        writer.convert(source, place, num_shards=8, num_workers=2, quiet=True)
        arrays = reader.load_arrays(place, fields)
        rows = [pose_rows.to_rows(pose_rows.root_centred(arrays[name]), "interleaved") for name in fields]
        statistics = [normalization.statistics_of(part, "interleaved", True) for part in rows]
        means, stds = zip(*((np.float32(part.mean), np.float32(part.inverse_std)) for part in statistics))

        def normalised(batch: Any) -> Any:
            parts = [pose_rows.to_rows(pose_rows.root_centred(batch[name]), "interleaved") for name in fields]
            return [(part - mean) * std for part, mean, std in zip(parts, means, stds)]

        def read(make: Callable) -> None:
            for _ in make().map(normalised):
                pass

        options: dict[str, Any] = {"shuffle_seed": 0, "drop_remainder": True}
        calls = {
            "streamed": lambda: read(lambda: reader.dataset(place, 1024, fields, **options)),
            "from memory": lambda: read(lambda: reader.from_arrays(arrays, 1024, **options)),
            "views": lambda: [next(batches) for _ in range(drawn)],
        }
        rates = in_turns(calls, 1, settings.repeats)
    against = f"a step of {_STAGE} at batch 1024"
    found = [
        rates[name]
        .times(count // 1024 * 1024)
        .row(f"pose records, {name}: read, normalised, batched", "records/s", against, step, 10.0)
        for name in ("streamed", "from memory")
    ]
    views = rates["views"].times(drawn * 1024)
    return [*file_rates(), *found, views.row("virtual cameras, batches of 1024", "views/s", against, step, 5.0)]
