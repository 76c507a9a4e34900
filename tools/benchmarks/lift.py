"""Lifting: both networks and the search, against the matrix products that it can't do without and a PyTorch twin."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import tempfile
import time
from typing import Any

import numpy as np

from label_generator.lifting import lifter as lifter_module
from label_generator.networks import linear_model, network_files
from label_generator.stages import pose_rows, published
from label_generator.training import published_data
from tools.benchmarks import limits, search, torch_networks
from tools.benchmarks.common import BenchmarkSettings, Row, in_turns
from tools.pose import metrics
from tools.pose.cameras import SEARCH_INTRINSICS

_BATCH = 1024
_LATENCY_MS = 3.0
_LATENCY_CALLS = 1000
_BFLOAT16_MM = 0.1


def published_networks(linear_size: int = 1024) -> dict[str, network_files.Network]:
    """Networks of the published sizes with random weights, whose statistics are those of made people."""
    poses, pixels, _ = search.people(1024)
    right = pixels + np.array([30.0, 0.0], np.float32)
    left, right, poses = (pose_rows.root_centred(values) for values in (pixels, right, poses))
    found = {}
    for described in published.PAPER:
        stage = described.name
        config = linear_model.LinearModelConfig.of_stage(
            stage, linear_size=linear_size, residual=True, batch_norm=True, max_norm=True
        )
        model = linear_model.build(config)
        values = {name: v.numpy() for name, v in linear_model.released_variables(model, config).items()}
        by_field = {"pose_2d": left, "right_2d": right, "pose_3d": poses}
        inputs = described.input_rows(*(by_field[field] for field in described.inputs))
        statistics_of = published_data.statistics_of(stage, inputs, described.output_rows(by_field[described.output]))
        found[stage] = network_files.Network(
            stage, "published", dataclasses.asdict(config), values, statistics_of, {"name": "benchmark"}
        )
    return found


def operations(lifter: lifter_module.Lifter, networks: Any) -> float:
    """Floating-point operations of the matrix products for one pose, two for each multiply-add."""
    products = sum(
        values.size for stage in lifter.stages for values in networks[stage].variables.values() if values.ndim == 2
    )
    return 2.0 * products * (2 if lifter.settings.flip else 1)


def shipped() -> dict[str, network_files.Network]:
    """The networks that the repository ships, {} where it ships none."""
    there = any(lifter_module.SHIPPED.glob("**/model.json"))
    return network_files.find_networks([lifter_module.SHIPPED]) if there else {}


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    import tensorflow as tf

    networks = {"published": published_networks(), "shipped": shipped()}
    networks = {name: found for name, found in networks.items() if found}
    lifters = {
        (name, dtype): lifter_module.Lifter(found, compute_dtype=tf.as_dtype(dtype))
        for name, found in networks.items()
        for dtype in ("float32", "bfloat16")
    }
    rows = [*limits.memory_rates(), *_throughput(settings, networks, lifters)]
    for name in networks:
        rows += _latency(settings, name, lifters[name, "float32"])
    if "shipped" in networks:
        rows += _accuracy(settings, lifters)
    return rows


def _throughput(settings: BenchmarkSettings, networks: Any, lifters: Any) -> list[Row]:
    import tensorflow as tf

    _, pixels, _ = search.people(_BATCH)
    inputs = tf.constant(pixels), tf.constant(np.array(SEARCH_INTRINSICS, np.float32)), tf.ones([_BATCH, 17], tf.bool)
    calls = {"float32": limits.matrix_products(), "bfloat16": limits.matrix_products("bfloat16")}
    calls |= {key: (lambda lift=lifter.lift: lift(*inputs)) for key, lifter in lifters.items()}
    if torch_networks.installed():
        calls["torch"] = torch_lift(pixels)
    rates = in_turns(calls, 1, max(3, settings.count(settings.repeats * 4, 1)))
    products = {dtype: rates[dtype].times(limits.PRODUCTS_FLOP / 1e9) for dtype in ("float32", "bfloat16")}
    rows = [
        rate.row(f"machine: products of [1024, 1024], {dtype}", "GFLOP/s", than=None)
        for dtype, rate in products.items()
    ]
    twin = rates["torch"].times(_BATCH) if "torch" in rates else None
    if twin:
        rows.append(twin.row("PyTorch: published networks and search", "poses/s"))
    for (name, dtype), lifter in lifters.items():
        rate = rates[name, dtype].times(_BATCH)
        flop = operations(lifter, networks[name])
        limit = products[dtype].times(1e9 / flop)
        flip = ", each picture and its mirror image" if lifter.settings.flip else ""
        title = f"lift, {name} networks{flip}, {dtype}"
        goal = 0.85 if dtype == "float32" else None
        rows.append(rate.row(title, "poses/s", f"{flop / 1e6:.1f} MFLOP a pose at that rate", limit, goal))
        if dtype == "bfloat16":
            rows.append(rate.row(title, "poses/s", "float32", rates[name, "float32"].times(_BATCH), 1.5))
        elif name == "published" and twin:
            rows.append(rate.row(title, "poses/s", "PyTorch", twin, 1.2))
    return rows


def torch_lift(pixels: np.ndarray) -> Any:
    """A call that lifts these poses with a PyTorch twin of the published chain, normalisation left out."""
    import torch

    left, pose = (torch_networks.published(stage).eval() for stage in ("left2right", "pose3d"))
    given = torch.from_numpy(pixels)

    @torch.inference_mode()
    def run() -> Any:
        rows = (given - given[:, 10:11]).flatten(1) / 100.0
        coarse = pose(torch.cat([rows, left(rows)], -1)).reshape(-1, 17, 3) * 300.0
        return torch_networks.search(coarse, given, SEARCH_INTRINSICS)

    return run


def _latency(settings: BenchmarkSettings, name: str, lifter: Any) -> list[Row]:
    """One pose from NumPy to NumPy, in Python and through a SavedModel."""
    import tensorflow as tf

    _, pixels, _ = search.people(64)
    intrinsics, mask = np.array(SEARCH_INTRINSICS, np.float32), np.ones((1, 17), bool)
    count = settings.count(_LATENCY_CALLS, 10)

    def python(pose: np.ndarray) -> Any:
        return lifter.lift(pose, intrinsics).pose_3d.numpy()

    with tempfile.TemporaryDirectory() as folder:
        place = str(pathlib.Path(folder) / "model")
        lifter_module.save_lifter(lifter, place)
        served = tf.saved_model.load(place).signatures["serving_default"]

        def saved(pose: np.ndarray) -> Any:
            found = served(
                poses_2d=tf.constant(pose), intrinsics=tf.constant(intrinsics[None]), joint_mask=tf.constant(mask)
            )
            return found["pose_3d"].numpy()

        rows = []
        for where, call in (("Python", python), ("SavedModel", saved)):
            call(pixels[:1])
            seconds = []
            for i in range(count):
                start = time.perf_counter()
                call(pixels[i % 64 : i % 64 + 1])
                seconds.append(time.perf_counter() - start)
            took = 1e3 * statistics.median(seconds)
            title = f"one pose, {name} networks, {where}"
            allowed = f"{_LATENCY_MS:g} ms allowed"
            rows.append(Row(f"{title}, median", took, "ms", 0.0, allowed, _LATENCY_MS / took, 1.0))
            rows.append(Row(f"{title}, 95th percentile", 1e3 * float(np.percentile(seconds, 95)), "ms"))
            rows.append(Row(f"{title}, worst of {count:,}", 1e3 * max(seconds), "ms"))
    return rows


def _accuracy(settings: BenchmarkSettings, lifters: Any) -> list[Row]:
    """What bfloat16 does to the errors of the shipped weights' labels."""
    pixels, intrinsics, truth, data_name = real_poses(settings)
    errors = {}
    for dtype in ("float32", "bfloat16"):
        lifter = lifters["shipped", dtype]
        parts = [
            lifter.lift(pixels[start : start + 4096], intrinsics[start : start + 4096]).pose_3d.numpy()
            for start in range(0, len(pixels), 4096)
        ]
        errors[dtype] = metrics.mean_error(metrics.mpjpe(np.concatenate(parts), truth)).mean
    change = abs(errors["bfloat16"] - errors["float32"])
    return [
        Row(f"MPJPE of shipped weights, {data_name}, float32", errors["float32"], "mm"),
        Row("the same in bfloat16", errors["bfloat16"], "mm"),
        Row("its change", change, "mm", 0.0, f"{_BFLOAT16_MM} mm allowed", _BFLOAT16_MM / max(change, 1e-6), 1.0),
    ]


def real_poses(settings: BenchmarkSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Pixels [N, 17, 2], intrinsics [N, 4], poses [N, 17, 3] of `settings.data` or made people; a description."""
    if not settings.data:
        from tfrecords.source import Options
        from tfrecords.sources import open_source

        source = open_source("synthetic", "", Options(count=settings.count(4096, 64), split="test"))
        records = list(source.records(np.arange(len(source))))
        arrays = {
            name: np.stack([getattr(record, name) for record in records])
            for name in ("pose_2d", "intrinsics", "pose_3d")
        }
        data_name = f"{len(records):,} made people"
    else:
        from tfrecords import reader

        arrays = reader.load_arrays(settings.data, ["pose_2d", "intrinsics", "pose_3d"])
        data_name = f"{len(arrays['pose_2d']):,} records of --data"
    return arrays["pose_2d"], arrays["intrinsics"], arrays["pose_3d"], data_name
