"""PyTorch's side of section gpu, in a process and maybe a Python of its own; prints a line of JSON for each row.

`python -m tools.benchmarks.torch_gpu REPEATS FULL [compile]` needs PyTorch and NumPy, not TensorFlow. FULL is 0 for a
quick look. With `compile` it calls what is compiled once, which leaves the programs in PyTorch's cache, and measures
nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tools.benchmarks import torch_networks

# Inputs and outputs of the published pose3d network, and the canonical networks' sizes.
_LINEAR = (68, 51)
# (batch, channels last, dtype, torch.compile), those most wanted first; not all, since compiling takes a minute.
_FORMS = (
    *((32, last, dtype, False) for dtype in ("float16", "float32") for last in (True, False)),
    *((64, True, "float16", False), (6, False, "float16", False), (6, True, "float16", False)),
    (32, True, "float16", True),
)
_QUICK_FORMS = ((2, False, "float32", False), (2, True, "float16", False))
_SECONDS = 1.5  # of one measurement, about


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """As `baseline_network.network.hourglass.Sizes`, which needs TensorFlow."""

    stacks: int = 2
    modules: int = 2
    features: int = 256
    resolution: int = 256
    joints: int = 16


def measure(repeats: int, full: bool, compile_only: bool = False) -> None:
    """Measures and prints everything; compile_only: calls once what torch.compile compiles, and prints nothing."""
    import torch

    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    most = (20 if on_gpu else 2) if full else 1

    def row(name: str, make: Callable[[], Callable[[], Any]], amount: float, unit: str) -> None:
        try:
            call = make()
            call()
            _wait(on_gpu)
            if compile_only:
                return
            start = time.perf_counter()
            call()
            _wait(on_gpu)
            calls = min(most, max(1, int(_SECONDS / (time.perf_counter() - start))))
            seconds = []
            for _ in range(repeats):
                _wait(on_gpu)
                start = time.perf_counter()
                for _ in range(calls):
                    call()
                _wait(on_gpu)
                seconds.append((time.perf_counter() - start) / calls)
            each = [amount / one for one in seconds]
            print(json.dumps({"name": name, "unit": unit, "each": each, "version": torch.__version__}), flush=True)
        except Exception as error:  # such as lack of memory: the next may fit
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)

    sizes = _Sizes() if full else _Sizes(1, 1, 8, 64)
    for batch, last, dtype, compiled in _FORMS if full else _QUICK_FORMS:
        if (compiled and not on_gpu) or (compile_only and not compiled):
            continue
        form = f", {dtype}{', channels last' if last else ''}{', torch.compile' if compiled else ''}"
        for kind, make in (("training", _training), ("inference", _inference)):
            made = functools.partial(make, sizes, batch, device, last, dtype, compiled)
            row(f"hourglass {kind}, batch {batch}{form}", made, batch, "images/s")
    for batch in () if compile_only else (64, 1024):
        row(f"linear training, batch {batch}, float32", functools.partial(_linear, batch, device), batch, "samples/s")


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        import torch

        torch.cuda.synchronize()


def _prepared(sizes: _Sizes, batch: int, device: Any, last: bool, compiled: bool) -> tuple[Any, Any, Any]:
    """The network and as it is called, and images."""
    import torch

    layout = torch.channels_last if last else torch.contiguous_format
    network = torch_networks.hourglass(sizes).to(device=device, memory_format=layout)
    images = torch.rand(batch, 3, sizes.resolution, sizes.resolution, device=device).to(memory_format=layout)
    return network, torch.compile(network) if compiled else network, images


def _autocast(device: Any, dtype: str) -> Any:
    import torch

    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.float16 if device.type == "cuda" else torch.bfloat16)


def _inference(sizes: _Sizes, batch: int, device: Any, last: bool, dtype: str, compiled: bool) -> Callable[[], Any]:
    import torch

    network, run, images = _prepared(sizes, batch, device, last, compiled)
    network.eval()

    def call() -> Any:
        with torch.no_grad(), _autocast(device, dtype):
            return run(images)

    return call


def _training(sizes: _Sizes, batch: int, device: Any, last: bool, dtype: str, compiled: bool) -> Callable[[], Any]:
    import torch

    network, run, images = _prepared(sizes, batch, device, last, compiled)
    network.train()
    optimizer = torch.optim.RMSprop(network.parameters(), 2.5e-4, alpha=0.99, eps=1e-8)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == "float16" and device.type == "cuda")
    side = sizes.resolution // 4
    maps = torch.rand(batch, 1, sizes.joints, side, side, device=device)
    depths = torch.rand(batch, sizes.joints, device=device)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(device, dtype):
            heatmaps, predicted = run(images)
        loss = (heatmaps.float() - maps).square().mean(dim=(0, 2, 3, 4)).sum()
        loss = loss + 0.1 * (predicted.float() - depths).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return call


def _linear(batch: int, device: Any) -> Callable[[], Any]:
    import torch

    network = torch_networks.published_of_sizes(*_LINEAR).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-8)
    x, y = torch.randn(65_536, _LINEAR[0], device=device), torch.randn(65_536, _LINEAR[1], device=device)

    def call() -> None:
        chosen = torch.randint(0, len(x), (batch,), device=device)
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(network(x[chosen]), y[chosen]).backward()
        optimizer.step()

    return call


if __name__ == "__main__":
    measure(int(sys.argv[1]), sys.argv[2] == "1", "compile" in sys.argv[3:])
