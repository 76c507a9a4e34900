"""Split one set of TFRecords into a training and a test set, so that no person is in both.

    python tools/split_tfrecords.py --input=labels/tfrecords --output=data
    python tools/split_tfrecords.py --input=labels/tfrecords --output=data --by=file --test_share=0.1 --seed=3

Writes train/ and test/ into --output, which both train.py take as --data_dir. Whole groups (--by) are drawn at random
for the test set until it has about --test_share of the records; the same seed draws the same groups. An interrupted
run goes on when the same command is given again.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from tools.cli import command, plans
from tools.cli.errors import InputError
from tools.cli.words import counted

_GROUPS = ("subject", "sequence", "file", "action")


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What is split"):
        flags.string("input", None, "folder of TFRecords with a manifest, or a glob of shards")
        flags.enum(
            "by", "subject", _GROUPS, "what stays together: people, sequences, files (pictures, videos) or actions"
        )
        flags.float("test_share", 0.2, "share of the records that the test set gets, about", lower_bound=0)
        flags.integer("seed", 0, "random seed of the drawing", lower_bound=0)
    with flags.group("How it is written"):
        flags.string("output", None, "folder of train/ and test/; created when needed")
        flags.boolean("gzip", False, "compress each shard")
        flags.integer("workers", 0, "number of processes; 0: one for each core where that is faster", lower_bound=0)
        flags.boolean("overwrite", False, "replace sets in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Splits, and reports which groups went where."""
    flags.require("input", "output")
    if not 0 < flags.test_share < 1:
        raise InputError(f"--test_share={flags.test_share:g}: expected a share between 0 and 1")
    from tfrecords import writer
    from tfrecords.sources import splitting

    division = splitting.divide(flags.input, flags.by, flags.test_share, flags.seed)
    factories = {}
    for part in (splitting.TRAIN, splitting.TEST):
        options = splitting.SplitOptions(by=flags.by, test_share=flags.test_share, seed=flags.seed, part=part)
        factories[part] = functools.partial(splitting.open_part, flags.input, options)
    how: dict[str, Any] = {"compressed": flags.gzip, "overwrite": flags.overwrite}
    places = {part: os.path.join(flags.output, part) for part in factories}
    previews = {part: writer.preview(factories[part], places[part], **how) for part in factories}
    lines = [
        f"{part}: {counted(plan.records, 'record')} of {counted(len(division.groups[part]), flags.by)}"
        for part, (_, plan) in previews.items()
    ]
    if flags.dry_run:
        reads = [f"{flags.input}: {len(division.test):,} records"]
        return plans.show(flags, reads, lines, list(places.values()))
    for part, line in zip(factories, lines):
        writer.convert(factories[part], places[part], num_workers=flags.workers, **how)
        print(f"{line}: {places[part]}")
    flags.report.update(
        output=flags.output,
        by=flags.by,
        seed=flags.seed,
        records={part: plan.records for part, (_, plan) in previews.items()},
        groups=division.groups,
    )
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
