"""List the trainings in a folder with their figures, and print how to show them in TensorBoard.

    python tools/trainings.py experiments
    python tools/trainings.py experiments --json

TensorBoard shows, for both networks: losses and figures of the test set (Scalars), drawn poses and PCK curves (Images),
skeletons that can be turned (Mesh), all settings beside the figures (HParams), and with train.py --profile=10,20 where
the time goes, input pipeline included (Profile; pip install tensorboard-plugin-profile).
"""

from __future__ import annotations

import os
import pathlib
import shlex
import sys
from typing import Any

from tools.cli import command
from tools.cli.errors import InputError
from tools.files import inputs


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional="[FOLDER]")
    flags.integer("port", 6006, "where TensorBoard is to answer", lower_bound=1)
    return flags


def main(flags: command.Flags) -> int:
    """Prints a line for each training, and the command for TensorBoard."""
    from tools.training import checkpoints, experiments

    if len(flags.arguments) > 1:
        raise InputError(f"one FOLDER at a time, got {' and '.join(flags.arguments)}")
    folder = pathlib.Path(flags.arguments[0] if flags.arguments else "experiments")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; trainings write to experiments/, or where --train_dir says")
    trainings: list[dict[str, Any]] = []
    for path in sorted(folder.rglob(experiments.SETTINGS_FILE)):
        place = path.parent
        steps = checkpoints.saved_steps(str(place))
        exported = sorted((place / experiments.EXPORT_FOLDER).rglob("model.json"))
        content = inputs.read_json(exported[0]) if exported else {}
        trainings.append(
            {
                "directory": place,
                "step": steps[-1] if steps else 0,
                "finished": bool(exported),
                "figures": _figures(content),
                "curves": (place / experiments.LOG_FOLDER).is_dir(),
            }
        )
    if not trainings:
        raise InputError(f"{folder}: no training in it ({experiments.SETTINGS_FILE} marks one)")
    for training in trainings:
        state = "finished" if training["finished"] else "unfinished"
        shown = ", ".join(f"{name} {value:.4g}" for name, value in training["figures"].items())
        print(f"{training['directory']}\n    step {training['step']:,}, {state}{': ' if shown else ''}{shown}")
    line = f"tensorboard --logdir {shlex.quote(os.fspath(folder))} --port {flags.port}"
    print(f"\n{line}\nthen open http://localhost:{flags.port}")
    flags.report.update(trainings=trainings, tensorboard=line)
    return 0


def _figures(content: Any) -> dict[str, float]:
    """The figures that the model.json of an export states; {} where it states none."""
    facts = content.get("facts") if isinstance(content, dict) else None
    figures = facts.get("figures") if isinstance(facts, dict) else None
    numbers = figures.items() if isinstance(figures, dict) else ()
    return {name: value for name, value in numbers if isinstance(value, (int, float))}


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
