"""The baseline network, against a PyTorch twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from baseline_network.network import folded_hourglass, hourglass
from baseline_network.training import losses, trainer
from tools.benchmarks import limits, torch_networks
from tools.benchmarks.common import BenchmarkSettings, Row, in_turns

_BATCH = 4
_GOALS = {"inference": 2.0, "training step": 1.4}


def targets(rng: np.random.Generator, sizes: hourglass.Sizes, count: int) -> dict[str, np.ndarray]:
    """A batch with pictures and targets of noise."""
    side, joints = sizes.heatmap_resolution, sizes.joints
    return {
        "images": rng.uniform(0, 255, [count, sizes.resolution, sizes.resolution, 3]).astype(np.float32),
        "heatmaps": rng.uniform(0, 1, [count, side, side, joints]).astype(np.float32),
        "joint_mask": np.ones([count, joints], bool),
        "points": rng.uniform(0, sizes.resolution, [count, joints, 2]).astype(np.float32),
        "depths": rng.uniform(-1, 1, [count, joints]).astype(np.float32),
        "depth_mask": np.ones([count, joints], bool),
        "depth_weights": np.ones([count], np.float32),
    }


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section."""
    sizes = hourglass.Sizes() if settings.scale >= 0.25 else hourglass.Sizes(1, 1, 64, 128)
    batch = targets(np.random.default_rng(0), sizes, _BATCH)
    with_torch = torch_networks.installed()
    rows = [*limits.memory_rates()]
    for what, ours, twin in (("inference", _infer, _torch_infer), ("training step", _train, _torch_train)):
        calls = {"sgemm": limits.matrix_products(), **ours(sizes, batch)}
        if with_torch:
            calls |= twin(sizes, batch)
        rates = {name: rate.times(_BATCH) for name, rate in in_turns(calls, 1, settings.repeats).items()}
        rows.append(rates.pop("sgemm").times(limits.PRODUCTS_FLOP / 1e9 / _BATCH).row("machine: products", "GFLOP/s"))
        than = rates.get("PyTorch")
        title = f"hourglass, {sizes.stacks} stacks, {sizes.resolution} px, batch {_BATCH}, {what}"
        for name, rate in rates.items():
            if name.startswith("PyTorch"):
                rows.append(rate.row(f"{title}: {name}", "images/s"))
            else:
                goal = _GOALS[what] if name.startswith("ours") and than else None
                rows.append(rate.row(f"{title}: {name}", "images/s", "PyTorch" if than else "", than, goal))
    return rows


def _infer(sizes: Any, batch: dict[str, np.ndarray]) -> dict[str, Callable[[], Any]]:
    import tensorflow as tf

    model, images = hourglass.build(sizes), tf.constant(batch["images"] / 256.0)
    plain, folded = tf.function(lambda x: model(x, training=False)), folded_hourglass.FoldedHourglass(model)
    return {"Keras model": lambda: plain(images), "ours, batch norm folded": lambda: folded(images)}


def _train(sizes: Any, batch: dict[str, np.ndarray]) -> dict[str, Callable[[], Any]]:
    import tensorflow as tf

    model = trainer.Trainer(hourglass.build(sizes), losses.Weights(), _BATCH)
    model.compile(optimizer=trainer.make_optimizer("rmsprop", 2.5e-4, "float32"))
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    step = tf.function(lambda: model.train_step(tensors))
    return {"ours": step}


def _torch_infer(sizes: Any, batch: dict[str, np.ndarray]) -> dict[str, Callable[[], Any]]:
    import torch

    network = torch_networks.hourglass(sizes).eval()
    images = torch.from_numpy(np.ascontiguousarray(batch["images"].transpose(0, 3, 1, 2)) / np.float32(256.0))
    # PyTorch's other layout, which is not its default.
    other = torch_networks.hourglass(sizes).eval().to(memory_format=torch.channels_last)
    laid = images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(network: Any, images: Any) -> Any:
        return network(images)

    return {"PyTorch": lambda: run(network, images), "PyTorch, channels last": lambda: run(other, laid)}


def _torch_train(sizes: Any, batch: dict[str, np.ndarray]) -> dict[str, Callable[[], Any]]:
    import torch

    network = torch_networks.hourglass(sizes).train()
    optimizer = torch.optim.RMSprop(network.parameters(), 2.5e-4, alpha=0.99, eps=1e-8)
    images = torch.from_numpy(np.ascontiguousarray(batch["images"].transpose(0, 3, 1, 2)) / np.float32(256.0))
    maps = torch.from_numpy(np.ascontiguousarray(batch["heatmaps"].transpose(0, 3, 1, 2)))
    depths = torch.from_numpy(batch["depths"])

    def run() -> Any:
        optimizer.zero_grad(set_to_none=True)
        heatmaps, predicted = network(images)
        loss = (heatmaps - maps[:, None]).square().mean(dim=(0, 2, 3, 4)).sum()
        (loss + 0.1 * (predicted - depths).square().mean()).backward()
        optimizer.step()

    return {"PyTorch": run}
