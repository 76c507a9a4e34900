"""Complete and check annotated 2D key points of photographs with MediaPipe's landmark network.

Reads the .npz of --source=photos (files, joints, and optionally joint_set and boxes) and writes one of the same rows:
joints that were not annotated are taken from the network where it is sure, annotated joints that it contradicts are
taken out. Train on the result as on any annotation.

    python tools/complete_annotations.py --input=photos_train.npz --output=completed_train.npz
"""

from __future__ import annotations

import sys

from tools.cli import command, outputs, plans
from tools.files import remote, sent


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Files"):
        flags.string("input", None, "the .npz with files [n] and joints [n, J, 3] or [n, J, 2]")
        flags.string("output", None, "the .npz to write")
        flags.string(
            "images",
            "",
            "folder or tar of the pictures (default: beside --input=NAME_joints.npz, in NAME/, NAME.tar or images/)",
        )
        flags.boolean("overwrite", False, "replace --output")
    return flags


def main(flags: command.Flags) -> int:
    """Completes the key points, and reports how many."""
    return sent.run(_complete, flags)


def _complete(flags: command.Flags) -> int:
    flags.require("input", "output")
    from tfrecords.source import Options
    from tfrecords.sources import photos

    given, images = remote.fetched(flags.input), flags.images
    if images or remote.is_remote(flags.input):  # pictures beside the input are at its address
        images = str(remote.fetched(images or remote.place(flags.input).parent))
    if flags.dry_run:
        outputs.check_free(flags.output, flags.overwrite)
        source = photos.Photos(given, Options(images=images))
        people = f"{flags.input}: {len(source):,} people"
        return plans.show(flags, [people], ["joints that the landmark network is sure of"], [flags.output])
    counts = photos.complete(given, flags.output, images=images, overwrite=flags.overwrite)
    print(
        f"{counts['people']:,} people, {counts['annotated']:,} annotated joints: {counts['added']:,} others added, "
        f"{counts['contradicted']:,} taken out; {counts['unread']:,} people have no picture that can be read"
    )
    print(f"written to {flags.output}")
    flags.report.update(counts, output=flags.output)
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
