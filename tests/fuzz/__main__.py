"""Changes files that others may hand to a command, and shows that every reader either reads or refuses them.

Ends with the counts of each parser; exit status 1 when something else happened, whose files are kept in --findings.
"""

from __future__ import annotations

import pathlib
import resource
import sys
import tempfile
import time

from tools.cli import command, scratch
from tools.cli.command import Flags
from tools.cli.errors import InputError


def declare() -> Flags:
    """The flags."""
    flags = Flags(__doc__)
    flags.float("seconds", 60.0, "how long in all", lower_bound=0.0)
    flags.integer("cases", 10**9, "how many cases of each parser at most", lower_bound=1)
    flags.strings("parser", None, "which parsers (default: all)")
    flags.boolean("tensorflow", True, "also readers that import TensorFlow")
    flags.integer("seed", 0, "another seed, other cases")
    flags.string("findings", None, "folder for the files of findings (default: a new temporary one)")
    flags.string("state", None, "folder that keeps the samples of each parser for later runs (default: none does)")
    flags.integer("rounds", 1, "share the time among the parsers so many times over", lower_bound=1)
    flags.boolean("keep", False, "add cases that reach new lines to tests/data/fuzz")
    return flags


def main(flags: Flags) -> int:
    """Runs it."""
    from tests.fuzz import runner
    from tests.fuzz.targets import TARGETS

    for name in flags.parser or ():
        if name not in TARGETS:
            raise InputError(f"--parser={name}: there are {', '.join(TARGETS)}")
    names = [n for n in flags.parser or TARGETS if flags.tensorflow or not TARGETS[n].tensorflow]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        place = flags.state or place
        findings = pathlib.Path(flags.findings or tempfile.mkdtemp(prefix="fuzz-findings-"))
        findings.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        totals = {name: runner.Outcome() for name in names}
        for turn in range(flags.rounds):
            for number, name in enumerate(names):
                left = flags.seconds - (time.monotonic() - started)
                share = left / (len(names) * (flags.rounds - turn) - number)
                outcome = runner.run(
                    name, f"{flags.seed}.{turn}", max(share, 0.0), flags.cases, pathlib.Path(place, name), findings
                )
                _add(totals[name], outcome)
                for kind, what, files in outcome.findings:
                    print(f"{name}: {kind}: {what} ({files})", flush=True)
            if flags.rounds > 1:
                cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
                cases = sum(total.cases for total in totals.values())
                print(f"round {turn}: {cases:,} cases, {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU", flush=True)
        if flags.keep:
            for name in names:
                kept, found = runner.corpus(name), runner.population(pathlib.Path(place, name))
                kept += runner.smallest_cover(name, kept, found, most=max(12 - len(kept), 0))
                if kept:
                    runner.save_corpus(name, kept)
    for name, total in totals.items():
        print(
            f"{name:14} {total.cases:>9,} cases, {total.success:>9,} read, {total.refused:>9,} refused, "
            f"{len(total.findings)} findings, {total.lines} lines, {total.samples} samples"
        )
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = sum(len(total.findings) for total in totals.values())
    cases = sum(total.cases for total in totals.values())
    print(f"{cases:,} cases of {len(totals)} parsers, {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU, {found} findings")
    return int(found > 0)


def _add(total, outcome) -> None:
    total.cases += outcome.cases
    total.success += outcome.success
    total.refused += outcome.refused
    total.lines, total.samples = max(total.lines, outcome.lines), outcome.samples
    total.findings += outcome.findings


if __name__ == "__main__":
    scratch.begin()
    command.run(main, declare, [f"{sys.argv[0]}", *sys.argv[1:]])
