"""Injects faults at random points of whole commands, resumes them, and compares with undisturbed runs.

    python -m tests.faults --seed=1 --points=300 --report=faults.json

Every point takes two or three runs of a small command. The same seed injects the same faults; what hangs on processor
time strikes at slightly other places. --report is added to: further seeds go on with what lies there.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

from tests.faults import points, processes, subjects


def plan(seed: int, count: int, names: list[str], faults: list[str]) -> list[tuple[str, str, int]]:
    """(subject, fault, seed of the point) of each point, drawn by the shares of both."""
    rng = random.Random(seed)
    chosen = [subjects.BY_NAME[name] for name in names]
    drawn = []
    while len(drawn) < count:
        subject = rng.choices(chosen, [one.share for one in chosen])[0]
        fault = rng.choices(faults, [points.SHARES[one] for one in faults])[0]
        if fault == points.CORRUPT and not subject.shards:
            continue
        drawn.append((subject.name, fault, rng.randrange(1 << 30)))
    return drawn


def table(results: list[dict]) -> str:
    """Injected faults by kind and command, and what came of them, as Markdown."""
    tried = [one for one in results if not one["skipped"]]
    faults = [fault for fault in points.SHARES if any(one["fault"] == fault for one in tried)]
    names = [one.name for one in subjects.SUBJECTS if any(result["subject"] == one.name for result in tried)]
    counted = collections.Counter((one["subject"], one["fault"]) for one in tried)
    columns = ["lost", "wrong", "leftovers", "unclear"]
    lines = [f"| command | {' | '.join([*faults, 'points', *columns])} |", "|---" * (len(faults) + 6) + "|"]
    for name in [*names, "all"]:
        some = [one for one in tried if name in (one["subject"], "all")]
        numbers = [sum(counted[one, fault] for one in (names if name == "all" else [name])) for fault in faults]
        ends = [sum(bool(one[column]) for one in some) for column in columns]
        lines.append(f"| {name} | {' | '.join(map(str, [*numbers, len(some), *ends]))} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the points; the exit status is 1 when one of them lost something or gave other results."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="which points")
    parser.add_argument("--points", type=int, default=20, help="how many")
    parser.add_argument("--report", help="JSON file of all results; those that lie there are kept")
    parser.add_argument("--only", default="", help="subjects, by the beginning of their names, separated by commas")
    parser.add_argument("--fault", default="", help="faults, separated by commas")
    parser.add_argument("--folder", help="working folder that is kept; else a temporary one")
    parser.add_argument("--first", type=int, default=0, help="leave out so many points")
    parser.add_argument("--numbers", default="", help="only these points, in this order, separated by commas")
    options = parser.parse_args()
    wanted = options.only.split(",")
    names = [one.name for one in subjects.SUBJECTS if one.name.startswith(tuple(wanted))]
    faults = options.fault.split(",") if options.fault else list(points.SHARES)
    processes.load(subject.words[0] for subject in subjects.in_order(names))
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="faults-", dir=shared_memory)).resolve()
    root.mkdir(exist_ok=True)
    former = []
    if options.report and os.path.exists(options.report):
        former = json.loads(pathlib.Path(options.report).read_text())["results"]
    results = []
    try:
        laboratory = points.Laboratory(root, names)
        laboratory.prepare()
        drawn = plan(options.seed, options.points, names, faults)
        chosen = map(int, options.numbers.split(",")) if options.numbers else range(options.first, len(drawn))
        for number in chosen:
            name, fault, seed = drawn[number]
            started = time.monotonic()
            result = laboratory.point(subjects.BY_NAME[name], fault, random.Random(seed))
            state = "skipped" if result.skipped else "BAD" if result.bad else "good" if result.reached else "too late"
            print(
                f"{number} {state}: {fault}: {name}: {result.detail} ({time.monotonic() - started:.0f} s)", flush=True
            )
            if result.bad:
                for label in ("lost", "wrong", "leftovers", "unclear"):
                    if getattr(result, label):
                        print(f"    {label}: {getattr(result, label)}")
                print("\n".join(f"    | {line}" for line in result.output), flush=True)
            results.append({"seed": options.seed, "number": number, **dataclasses.asdict(result)})
            if options.report:
                content = {"results": [*former, *results]}
                pathlib.Path(options.report).write_text(json.dumps(content, indent=1) + "\n")
    finally:
        if not options.folder:
            shutil.rmtree(root, ignore_errors=True)
    print(table([*former, *results]))
    return int(any(one["lost"] or one["wrong"] or one["leftovers"] or one["unclear"] for one in results))


if __name__ == "__main__":
    sys.exit(main())
