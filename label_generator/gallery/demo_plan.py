"""What `demo.py --dry_run` says; reads the input, and runs no network."""

from __future__ import annotations

from label_generator.labelling import formats, inputs
from label_generator.lifting import settings
from tools.cli import command


def plan(flags: command.Flags) -> tuple[list[str], list[str]]:
    """What would be read and selected, in words; raises `InputError` as the demo would for input and weights."""
    weights = [
        f"{network.directory}: {network.stage}, {network.recipe} recipe" for network in settings.check_weights(flags)
    ]
    if not flags.arguments:
        return weights, ["synthetic people of the kinematic model"]
    path = flags.arguments[0]
    wanted = formats.guess_format(path) if flags.format == "auto" else flags.format
    source = inputs.open_input(inputs.Spec(path, wanted, joints=flags.joints))
    count = min(len(source), flags.limit)
    return [f"{path}: {source.description}, {len(source):,} poses", *weights], [f"the first {count:,} poses"]
