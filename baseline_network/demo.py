"""Demo of the baseline network: 2D and 3D poses of the people in a photograph.

    python baseline_network/demo.py photo.jpg
    python baseline_network/demo.py photo.jpg --box=120,40,200,420
    python baseline_network/demo.py                  rendered people, with 3D ground truth

Writes into --output: overlay.png (the photograph with the skeletons), gallery.png (2D, 3D as the camera saw it, 3D from
the side), rotation.gif (one person from both sides), predictions.json (docs/baseline_network.md describes it) and
report.txt.
"""

from __future__ import annotations

import os
import pathlib
import sys

from tools.cli import command, common_flags, outputs
from tools.cli.errors import InputError

RESULTS = ("overlay.png", "gallery.png", "rotation.gif", "predictions.json", "report.txt")


def declare() -> command.Flags:
    """The flags of this command."""
    from baseline_network.images import detection
    from baseline_network.prediction import network_flags

    flags = command.Flags(__doc__, positional="[PHOTO]", dry_run=True)
    with flags.group("People in the photograph"):
        detection.declare(flags, "whole")
    with flags.group("Rendered people, without a photograph"):
        flags.integer("count", 6, "rendered pictures", lower_bound=1, upper_bound=100)
        flags.integer("seed", 7, "which ones", lower_bound=0)
    with flags.group("Network"):
        network_flags.declare(flags)
    with flags.group("Output"):
        flags.integer("rows", 6, "people in the gallery", lower_bound=1, upper_bound=50)
        flags.string("output", os.path.join("demo_output", "baseline_network"), "folder for what is made")
        flags.boolean(
            "overwrite", None, "replace such files in --output (default: only those that an earlier demo left there)"
        )
    return flags


def main(flags: command.Flags) -> int:
    """Runs the demo and writes its files."""
    if len(flags.arguments) > 1:
        raise InputError(f"one PHOTO at a time, got {' and '.join(flags.arguments)}")
    output = pathlib.Path(flags.output)
    outputs.check_folder(output)
    existing = [name for name in RESULTS if (output / name).exists()]
    # predict.py's results have the same name as the demo's; only the demo writes a report.
    of_demo = "report.txt" in existing and flags.overwrite is None
    outputs.check_all_free((output / name for name in existing), of_demo or flags.overwrite)
    if flags.use_cpu:
        common_flags.hide_gpus()
    from baseline_network.prediction import demo_people

    if flags.dry_run:
        return demo_people.preview(flags, [output / name for name in RESULTS])
    demo_people.show(flags, output)
    flags.report.update(output=output, written=[output / name for name in RESULTS])
    print(f"in {output}: {', '.join(RESULTS)}")
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
