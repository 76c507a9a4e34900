"""Demo of the 3D label generator: lifts 2D poses, draws the 3D labels and writes a report.

    ./demo.sh                                      synthetic people, with 3D ground truth
    python label_generator/demo.py                 the same, where everything is installed
    ./demo.sh keypoints.json [--images=photos/]    key points: COCO JSON, OpenPose folder, MPII, LSP, .npz, .csv, ...
    ./demo.sh poses.npy --joints=coco17 --camera=fov:60

Writes into --output: gallery.png (2D, right view, 3D before and after the search, for labels from best to worst),
rotation.gif (the best one, rotating), labels.npz and report.txt.
"""

from __future__ import annotations

import os

from label_generator.lifting import lifter_flags
from tools.cli import command, outputs, plans
from tools.cli.errors import InputError


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional="[INPUT]", dry_run=True)
    with flags.group("Input"):
        flags.string("format", "auto", "of INPUT; auto: by its name and first bytes (generate.py --help lists them)")
        flags.string("joints", "", "joint set of plain arrays, such as coco17")
        flags.string("images", "none", "folder of the pictures that INPUT names, to be shown behind the labels")
        flags.integer("limit", 2000, "largest number of poses", lower_bound=1)
        flags.integer("seed", 7, "random seed of the synthetic people, when there is no INPUT", lower_bound=0)
        flags.string(
            "camera",
            "auto",
            "h36m, fx,fy,cx,cy, fov:DEG or unknown; auto: the input's own; where there is none, a focal length of the "
            "picture's diagonal if its size is known, else unknown",
        )
        flags.strings("image_size", None, "WIDTH,HEIGHT in px, for fov: where the input does not state it")
    with flags.group("Lifting"):
        lifter_flags.declare_weights(flags)
    with flags.group("Output"):
        flags.integer("rows", 6, "labels in the gallery", lower_bound=1, upper_bound=50)
        flags.string("output", "demo_output", "folder for the results")
        flags.boolean(
            "overwrite", None, "replace such files in --output (default: only those that an earlier demo left there)"
        )
    return flags


def main(flags: command.Flags) -> int:
    """Labels, draws and prints the report."""
    if len(flags.arguments) > 1:
        raise InputError(f"one INPUT at a time, got {' and '.join(flags.arguments)}")
    results = [os.path.join(flags.output, name) for name in ("gallery.png", "rotation.gif", "labels.npz", "report.txt")]
    # Labels of generate.py have the same name as the demo's; the report shows which of them they are.
    of_a_demo = os.path.exists(results[3]) and flags.overwrite is None
    outputs.check_all_free([path for path in results if os.path.exists(path)], of_a_demo or flags.overwrite)
    outputs.check_folder(flags.output)
    if flags.dry_run:
        from label_generator.gallery import demo_plan

        return plans.show(flags, *demo_plan.plan(flags), results)
    from label_generator.gallery import demo_run

    demo_run.show(flags, results)
    return 0


if __name__ == "__main__":
    command.run(main, declare)
