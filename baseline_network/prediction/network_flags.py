"""The flags of commands that run a trained network, and the predictor that they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.cli.command import Flags

if TYPE_CHECKING:
    from baseline_network.network.network_files import HourglassWeights
    from baseline_network.prediction.predictor import Predictor


def declare(flags: Flags) -> None:
    """Declares the flags that `make_predictor` reads."""
    flags.string(
        "weights",
        None,
        "weights folder, or photographs-128-2, which needs no MediaPipe; not given: the shipped network",
    )
    flags.boolean("flip", True, "average with the mirrored crop's prediction; twice the time, lower errors")
    flags.float(
        "margin",
        None,
        "ratio of the crop's side to the longer side of the box, 0.1 to 10; not given: as in training",
        lower_bound=0.1,
        upper_bound=10,
    )
    flags.float(
        "bones_mm",
        None,
        "sum of the lengths of the 14 bones to which poses are scaled; published: 4297 mm",
        lower_bound=1,
        upper_bound=1e6,
    )
    flags.boolean("use_fp16", False, "compute in half precision: float16 on a GPU, bfloat16 on a CPU")
    flags.boolean("use_cpu", False, "do not use GPUs")


def make_predictor(flags: Flags, fall_back: bool = False) -> tuple[HourglassWeights, Predictor]:
    """The network and its predictor, printed in one line; raises `InputError` when the weights cannot be used.

    fall_back: see `network_files.default_weights`.
    """
    from baseline_network.network import network_files
    from baseline_network.prediction.predictor import PUBLISHED, Predictor, compute_policy

    network = network_files.weights_of(flags.weights, fall_back)
    scale = PUBLISHED if flags.bones_mm is None else flags.bones_mm
    policy = compute_policy(flags.use_fp16)
    predictor = Predictor(network, flags.flip, flags.margin, scale, policy)
    sizes = network.sizes
    print(
        f"network of {network.directory}: {sizes.stacks} x {sizes.modules} x {sizes.features}, crops of "
        f"{sizes.resolution} px, {predictor.margin:g} times the box"
        + (", mirrored too" if predictor.flip else "")
        + (", turned where that is surer" if predictor.turned else ""),
        flush=True,
    )
    return network, predictor
