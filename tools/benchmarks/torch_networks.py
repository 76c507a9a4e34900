"""The same networks in PyTorch, written from their descriptions: what the benchmarks compare with."""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any


@functools.cache
def installed() -> bool:
    """Whether PyTorch is installed; prints a line once when it is not."""
    is_installed = importlib.util.find_spec("torch") is not None
    if not is_installed:
        print("PyTorch is not installed (pip install torch): its rows are left out", file=sys.stderr)
    return is_installed


@functools.cache
def _classes() -> Any:
    """The modules, made when PyTorch is first needed."""
    import torch
    from torch import nn
    from torch.nn import functional

    class ClippedLinear(nn.Linear):
        """With the whole matrix clipped to Frobenius norm 1 in the forward pass."""

        def forward(self, x: Any) -> Any:
            return functional.linear(x, self.weight / self.weight.norm().clamp(min=1.0), self.bias)

    class Published(nn.Module):
        """Linear, two residual blocks of two linear layers, linear; batch norm, ReLU, dropout between them."""

        def __init__(self, inputs: Any, outputs: Any, width: Any, dropout: Any) -> None:
            super().__init__()
            sizes = [(inputs, width), *[(width, width)] * 4]
            self.linears = nn.ModuleList([ClippedLinear(*size) for size in sizes])
            self.norms = nn.ModuleList([nn.BatchNorm1d(width, eps=1e-3, momentum=0.01) for _ in sizes])
            self.dropout, self.last = nn.Dropout(dropout), ClippedLinear(width, outputs)

        def layer(self, x: Any, number: Any) -> Any:
            return self.dropout(torch.relu(self.norms[number](self.linears[number](x))))

        def forward(self, x: Any) -> Any:
            x = self.layer(x, 0)
            for first in (1, 3):
                x = x + self.layer(self.layer(x, first), first + 1)
            return self.last(x)

    class Prenorm(nn.Module):
        """The canonical recipe's: layer norm, gelu, linear in residual blocks."""

        def __init__(self, inputs: Any, outputs: Any, width: Any, layers: Any) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
            self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2 * layers)])
            self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-5) for _ in range(2 * layers + 1)])

        def activated(self, x: Any, number: Any) -> Any:
            return functional.gelu(self.norms[number](x), approximate="tanh")

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            for i in range(0, len(self.blocks), 2):
                y = self.blocks[i](self.activated(x, i))
                x = x + self.blocks[i + 1](self.activated(y, i + 1))
            return self.last(self.activated(x, len(self.norms) - 1))

    class Residual(nn.Module):
        def __init__(self, inside: Any, out: Any) -> None:
            super().__init__()
            half = out // 2
            self.norms = nn.ModuleList([nn.BatchNorm2d(size) for size in (inside, half, half)])
            sizes = ((inside, half, 1), (half, half, 3), (half, out, 1))
            self.convolutions = nn.ModuleList([nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in sizes])
            self.skip = nn.Identity() if inside == out else nn.Conv2d(inside, out, 1)

        def forward(self, x: Any) -> Any:
            y = x
            for norm, convolution in zip(self.norms, self.convolutions):
                y = convolution(torch.relu(norm(y)))
            return self.skip(x) + y

    def residuals(width: Any, count: Any) -> Any:
        return nn.Sequential(*[Residual(width, width) for _ in range(count)])

    class Level(nn.Module):
        """One resolution of an hourglass, and all below it."""

        def __init__(self, depth: Any, count: Any, width: Any) -> None:
            super().__init__()
            self.fine, self.down, self.up = (residuals(width, count) for _ in range(3))
            self.inner = Level(depth - 1, count, width) if depth > 1 else residuals(width, count)

        def forward(self, x: Any) -> Any:
            coarse = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
            return self.fine(x) + functional.interpolate(coarse, scale_factor=2, mode="nearest")

    class Hourglass(nn.Module):
        """Stacked hourglasses with depths, as `baseline_network.network.hourglass` describes them."""

        def __init__(self, sizes: Any) -> None:
            super().__init__()
            width, joints, stacks, count = sizes.features, sizes.joints, sizes.stacks, sizes.modules
            self.stem = nn.Sequential(
                *(nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.ReLU()),
                *(Residual(64, 128), nn.MaxPool2d(2), Residual(128, 128), Residual(128, width)),
            )

            def several(make: Any) -> Any:
                return nn.ModuleList([make() for _ in range(stacks)])

            self.bodies = several(
                lambda: nn.Sequential(
                    *(Level(4, count, width), residuals(width, count)),
                    *(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()),
                )
            )
            self.maps = several(lambda: nn.Conv2d(width, joints, 1))
            self.onward, self.back = (
                several(lambda: nn.Conv2d(width, width, 1)),
                several(lambda: nn.Conv2d(joints, width, 1)),
            )
            self.pools = nn.Sequential(*[nn.Sequential(residuals(width, count), nn.MaxPool2d(2)) for _ in range(4)])
            self.depths = nn.Linear((sizes.resolution // 64) ** 2 * width, joints)

        def forward(self, x: Any) -> Any:
            x, heatmaps = self.stem(x), []
            for body, maps, onward, back in zip(self.bodies, self.maps, self.onward, self.back):
                y = body(x)
                heatmaps.append(maps(y))
                x = x + onward(y) + back(heatmaps[-1])
            return torch.stack(heatmaps, 1), self.depths(self.pools(x).flatten(1))

    return {"published": Published, "prenorm": Prenorm, "hourglass": Hourglass}


def published(stage: str, dropout: float = 0.5) -> Any:
    """One published subnetwork; dropout: the share of activations that is dropped."""
    from label_generator.stages.published import stage_named

    described = stage_named(stage)
    return published_of_sizes(described.input_size, described.output_size, dropout)


def published_of_sizes(inputs: int, outputs: int, dropout: float = 0.5) -> Any:
    """A published subnetwork by the sizes of its rows."""
    return _classes()["published"](inputs, outputs, 1024, dropout)


def prenorm(inputs: int, outputs: int, linear_size: int, num_layers: int) -> Any:
    """One canonical network."""
    return _classes()["prenorm"](inputs, outputs, linear_size, num_layers)


def hourglass(sizes: Any) -> Any:
    """The baseline network; sizes: `baseline_network.network.hourglass.Sizes`. [B, 3, r, r] -> heatmaps, depths."""
    return _classes()["hourglass"](sizes)


def search(poses: Any, pixels: Any, camera: Any, min_mm: float = 2800.0, max_mm: float = 7200.0) -> Any:
    """The geometric search by halving: (depths [B], refined poses [B, 17, 3]), as `geometric_search` finds them.

    Args:
      poses: [B, 17, 3] mm tensor. pixels: [B, 17, 2] tensor. camera: (fx, fy, cx, cy).
    """
    import torch

    from tools.pose.joints import POSE17

    root = POSE17.root
    rays = (pixels - torch.tensor(camera[2:])) / torch.tensor(camera[:2])
    slope = rays - rays[:, root, None]
    placed = rays * poses[..., 2:]
    offset = placed - placed[:, root, None] - poses[..., :2]

    def cost(depth: Any) -> Any:
        return (slope * depth[:, None, None] + offset).norm(dim=-1).sum(1)

    low = torch.full([len(poses)], min_mm)
    high = torch.full([len(poses)], max_mm - 1.0)
    while float((high - low).max()) >= 1.0:
        middle = torch.floor((low + high) / 2)
        rises = cost(middle) <= cost(middle + 1.0)
        low, high = torch.where(rises, low, middle + 1.0), torch.where(rises, middle, high)
    far = poses[..., 2:] + low[:, None, None]
    refined = torch.cat([rays * far, far], -1)
    return low, refined - refined[:, root, None]
