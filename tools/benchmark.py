"""Measure the program against its limits: each section runs its candidates in turns and prints medians and ratios.

Sections: records (writing and reading TFRecords). 'all' runs every one.
"""

from __future__ import annotations

import importlib
import json
import sys

from tools import command
from tools.errors import InputError

# name -> module with measure(settings) -> list of Row; the module is imported when its section runs
SECTIONS = {"records": "tools.benchmarks.records"}


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional=f"{'|'.join(SECTIONS)}|all")
    flags.boolean("json", False, "print one JSON object instead of tables")
    flags.integer("repeats", 5, "how often each candidate runs", lower_bound=1)
    flags.float("scale", 1.0, "how much work, 1 for figures to publish, less for a quick look", lower_bound=0.001)
    return flags


def main(flags: command.Flags) -> int:
    """Runs the sections and prints their figures."""
    from tools.benchmarks import common

    names = list(SECTIONS) if "all" in flags.arguments else flags.arguments
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise InputError(f"{unknown[0] if unknown else 'nothing'} to measure; there are {', '.join(SECTIONS)}, all")
    settings = common.Settings(flags.repeats, flags.scale)
    results = {name: importlib.import_module(SECTIONS[name]).measure(settings) for name in names}
    machine = common.machine()
    if flags.json:
        rows = {name: [vars(row) for row in section] for name, section in results.items()}
        print(json.dumps({"machine": machine, "repeats": flags.repeats, "scale": flags.scale, **rows}, indent=1))
        return 0
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for name, section in results.items():
        print(f"\n{name}\n" + table(section))
    return 0


def table(rows) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | median | unit | spread | ratio | against | goal |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        goal = "" if row.goal is None else f"{row.goal:g}"
        value = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
        spread = f"{row.spread:.0%}" if row.spread else ""
        lines.append(f"| {row.name} | {value} | {row.unit} | {spread} | {ratio} | {row.against} | {goal} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
