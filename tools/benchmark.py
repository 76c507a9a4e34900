"""Measure the program against its limits: each section runs its candidates in turns and prints medians and ratios.

    python tools/benchmark.py search lift
    python tools/benchmark.py all --json > figures.json

Sections: search (the geometric search), lift (networks and search), train (the label generator's training steps and
what feeds them), records (writing and reading TFRecords), pipeline (the baseline network's pictures), hourglass (the
baseline network), metrics (P-MPJPE), startup (--help of every command, the demo), scaling (threads, processes, devices,
generate.py end to end), graphs (operations of the hourglass' training step, counted). 'all' runs every one. Alone run
gpu: everything that uses a GPU; photographs: people in the photographs of the folder --data; and growth: time and
memory of whole commands over the number of records (--output=FILE.jsonl keeps the runs and draws FILE.png). PyTorch
twins and SciPy's loops run where those are installed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tools.cli import command
from tools.cli.errors import InputError

if TYPE_CHECKING:
    from tools.benchmarks.common import Row

# name -> module with measure(settings) -> list of Row; the module is imported when its section runs
_NAMES = ("search", "lift", "train", "records", "pipeline", "hourglass", "metrics", "startup", "scaling", "graphs")
SECTIONS = {name: f"tools.benchmarks.{name}" for name in (*_NAMES, "gpu", "growth", "photographs")}
_PARTS = (
    *("limits", "training", "torch", "inference", "lift", "steps", "search"),
    *("first_step", "input", "training_xla"),
)


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional=f"{'|'.join(SECTIONS)}|all")
    flags.string("data", "", "lift: records with 2D, 3D, intrinsics, to measure errors on; photographs: a folder")
    flags.integer("repeats", 5, "how often each candidate runs", lower_bound=1)
    flags.float("scale", 1.0, "how much work, 1 for figures to publish, less for a quick look", lower_bound=0.001)
    with flags.group("Section gpu"):
        flags.strings("parts", [], f"what to measure, of {','.join(_PARTS)}; not given: everything")
        flags.string("output", "", "file that a line of JSON is added to for each row as it is measured")
        flags.string("profile", "", "folder for TensorFlow's profiles of what falls short of its goal")
        flags.float("seconds", 0.0, "begin no further measurement after so many seconds; 0: no end", lower_bound=0)
        flags.boolean("deterministic", False, "deterministic operations, as train.py's default is")
        flags.string("torch_python", "", "the Python that PyTorch is installed for; not given: this one")
    return flags


def main(flags: command.Flags) -> int:
    """Runs the sections and prints their figures."""
    from tools.benchmarks import common

    names = list(_NAMES) if "all" in flags.arguments else flags.arguments
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise InputError(f"{unknown[0] if unknown else 'nothing'} to measure; there are {', '.join(SECTIONS)}, all")
    wrong = [part for part in flags.parts if part not in _PARTS]
    if wrong:
        raise InputError(f"--parts={','.join(flags.parts)}: no part {wrong[0]!r}; there are {', '.join(_PARTS)}")
    settings = common.BenchmarkSettings(
        flags.repeats,
        flags.scale,
        flags.data,
        tuple(flags.parts),
        flags.output,
        flags.profile,
        flags.seconds,
        flags.deterministic,
        flags.torch_python,
    )
    results = {name: importlib.import_module(SECTIONS[name]).measure(settings) for name in names}
    machine = common.machine()
    rows = {name: [vars(row) for row in section] for name, section in results.items()}
    flags.report.update(machine=machine, repeats=flags.repeats, scale=flags.scale, **rows)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for name, section in results.items():
        print(f"\n{name}\n" + table(section))
    return 0


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | median | unit | spread | ratio | against | goal |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else _short(row.ratio)
        goal = "" if row.goal is None else f"{row.goal:,g}"
        value = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
        spread = f"{row.spread:.0%}" if row.spread else ""
        lines.append(f"| {row.name} | {value} | {row.unit} | {spread} | {ratio} | {row.against} | {goal} |")
    return "\n".join(lines)


def _short(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
