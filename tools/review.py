"""Make a web page for reviewing 3D labels by keyboard: keep, drop, or swap left and right.

Give the folder that label_generator/generate.py wrote. The page is one file that needs no server and no network;
photographs, where the labelled input has them, go into a folder of small pictures beside it. Decisions are stored in
the browser and exported as decisions.json, which generate.py, make_tfrecords.py and baseline_network/train.py read.

    python tools/review.py labels/ --output=review.html
    python tools/review.py labels/ --output=second.html --first=50000
"""

from __future__ import annotations

import sys

from tools.cli import command, plans
from tools.cli.errors import InputError
from tools.files import remote


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, "LABELS", dry_run=True)
    with flags.group("Page"):
        flags.string(
            "output",
            None,
            "the page, NAME.html; its pictures go into NAME_pictures/ beside it",
        )
        flags.integer("first", 0, "the first row of labels.npz that is shown", lower_bound=0)
        flags.integer("limit", 50_000, "how many rows are shown; 0: all, however slow the browser", lower_bound=0)
        flags.boolean("overwrite", False, "replace an earlier review page and its pictures")
    with flags.group("Pictures"):
        flags.string(
            "images", "", "folder or tar of the photographs, or none (default: those that the labels were made with)"
        )
        flags.integer("picture_size", 320, "longest side of the pictures beside the page, in px", lower_bound=32)
    return flags


def main(flags: command.Flags) -> int:
    """Writes the page, and reports where it lies."""
    flags.require("output")
    if len(flags.arguments) != 1:
        raise InputError("name one folder of labels, as label_generator/generate.py writes it (see --help)")
    from tools.review_page import run

    labels = str(remote.fetched(flags.arguments[0]))
    if flags.dry_run:
        page, pictures, columns, photographs = run.prepare(
            labels, flags.output, flags.images, flags.first, flags.limit, flags.overwrite
        )
        return plans.show(
            flags,
            [f"{flags.arguments[0]}: {columns.total:,} rows", photographs.message],
            [f"rows {columns.first:,} to {columns.first + columns.count - 1:,}"],
            [page, *([pictures] if photographs else [])],
        )
    columns = run.make_page(
        labels,
        flags.output,
        images=flags.images,
        picture_size=flags.picture_size,
        first=flags.first,
        limit=flags.limit,
        overwrite=flags.overwrite,
    )
    flags.report.update(output=flags.output, first=columns.first, rows=columns.count, of=columns.total)
    end = columns.first + columns.count
    if columns.count < columns.total:
        rest = f"; --first={end} shows those after" if end < columns.total else ""
        print(f"rows {columns.first:,} to {end - 1:,} of {columns.total:,}{rest}")
    print(f"{columns.count:,} poses; open {flags.output} in a browser")
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
