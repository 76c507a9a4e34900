"""Make one picture of many labels: people with their 2D joints, and their 3D from two sides.

    python tools/gallery.py --output=gallery.png                      rendered people, with the truth in grey
    python tools/gallery.py --labels=labels --output=gallery.png      labels that generate.py made of photographs

docs/gallery.md shows the first, made with the default flags.
"""

from __future__ import annotations

import sys

from tools.cli import command, plans
from tools.files import remote, sent


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Labels"):
        flags.string(
            "labels", "", "folder, or address, with labels of photographs or a video; not given: people are rendered"
        )
        flags.integer("count", 8, "labels in the picture", lower_bound=1, upper_bound=200)
        flags.integer("seed", 11, "random seed of the rendered people", lower_bound=0)
    with flags.group("Picture"):
        flags.integer("columns", 2, "labels in a row", lower_bound=1, upper_bound=10)
        flags.string("output", None, "the picture, .png or .jpg; a file or an address")
        flags.boolean("overwrite", False, "replace --output")
    return flags


def main(flags: command.Flags) -> int:
    """Draws the gallery and prints where it lies."""
    return sent.run(_draw, flags)


def _draw(flags: command.Flags) -> int:
    flags.require("output")
    from tools.drawing import drawing

    drawing.check_picture_path(flags.output, flags.overwrite)
    if flags.dry_run:
        reads = [flags.labels] if flags.labels else []
        return plans.show(flags, reads, [f"{flags.count} labels"], [flags.output])
    from label_generator.gallery import page

    labels = (
        page.labelled(remote.fetched(flags.labels), flags.count)
        if flags.labels
        else page.rendered(flags.count, flags.seed)
    )
    drawing.write_image(flags.output, page.sheet(labels, flags.columns), overwrite=flags.overwrite)
    print(f"written to {flags.output}")
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
