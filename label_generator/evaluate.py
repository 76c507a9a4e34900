"""Measures label generators against known 3D: on TFRecords, or on evaluation protocols made from motion capture.

    python label_generator/evaluate.py --test_data=records/test
    python label_generator/evaluate.py --protocol=all --motion=cmu_dev.npz --cameras=h36m_camera_parameters.json

Prints MPJPE, P-MPJPE, N-MPJPE, 3DPCK, AUC, PCKh of the right view and the error of the root's depth, before and after
the geometric search; how well quality ranks the labels; and writes table, JSON and plots to --output.
"""

from tools.cli import command


def declare():
    """The flags of this command."""
    from label_generator.lifting import flags as lifter_flags

    flags = command.Flags(__doc__)
    with flags.group("What is measured"):
        lifter_flags.declare_weights(flags)
        flags.string("test_data", "", "TFRecords with 3D poses (folder, manifest or glob)")
        flags.strings("protocol", [], "a, b2, b5, b10, c, d, e, e_mpii, e_coco, or all; needs --motion")
        flags.string("motion", "", "motion capture for the protocols: .npz, .bvh or a folder of .bvh")
        flags.string("cameras", "", "Human3.6M's cameras (.json or cameras.h5), which protocols a, b and e need")
        flags.string("split", "all", "all, train or val of the motion capture")
        flags.integer("frame_step", 1, "take every n-th frame", lower_bound=1)
        flags.integer("limit", 0, "at most so many TFRecords (0: all)", lower_bound=0)
        flags.integer("seed", 0, "of the protocols' cameras and noise", lower_bound=0)
    with flags.group("How poses are lifted (default: as the weights' recipe says)"):
        flags.enum("right_view", "predicted", ["predicted", "true"], "which right view the second network gets")
        lifter_flags.declare_search(flags)
        lifter_flags.declare_refinement(flags)
    with flags.group("Report"):
        flags.boolean("actions", False, "also print the table per action")
        flags.string("output", "", "folder for table.md, figures.json and plots")
        flags.string("calibrate", "", "fit the label quality on these poses and write it to this weights folder")
        flags.float("widen", 1.0, "with --calibrate: expect errors so many times as large as on these poses")
        flags.boolean("overwrite", False, "replace what is in --output, or the calibration that is there")
    return flags


def main(options):
    """Runs the command."""
    from tools.cli.errors import InputError

    if bool(options.test_data) == bool(options.protocol):
        raise InputError("give either --test_data or --protocol (see --help)")
    if options.protocol and not options.motion:
        raise InputError("--protocol needs --motion, the motion capture it is made from")
    if not (options.widen > 0 and (options.calibrate or options.widen == 1.0)):
        raise InputError(f"--widen={options.widen:g}: goes with --calibrate, and is above 0")
    _check_used(options)
    _check_output(options)
    import json

    from label_generator.evaluation import errors as evaluation
    from label_generator.evaluation import protocols
    from label_generator.evaluation import report as reports
    from label_generator.lifting import flags as lifter_flags
    from label_generator.lifting import quality

    names = list(protocols.PROTOCOLS) if options.protocol == ["all"] else options.protocol
    for name in names:  # all of them now, not after minutes of lifting those before
        protocols.check(name, options.cameras)
    lifter, _ = lifter_flags.make_lifter(options)
    print(f"{lifter.recipe} recipe, weights {lifter.name_of_weights}; {lifter.settings}")
    results = []
    if options.test_data:
        sets = [protocols.from_records(options.test_data, options.limit)]
    else:
        sets = (
            protocols.build(n, options.motion, options.cameras, options.seed, options.frame_step, options.split)
            for n in names
        )
    for poses in sets:
        results.append(evaluation.evaluate(lifter, poses, options.right_view))
        print(f"  {poses.name}: {len(poses):,} poses lifted", flush=True)
    table = reports.table(results)
    print("\n" + table)
    for result in results if options.actions else []:
        print(f"\n{result.name}, by action\n{reports.by_action(result)}")
    if options.output:
        reports.write(options.output, results, lifter)
        print(f"\ntable.md, figures.json and plots are in {options.output}")
    else:
        print(json.dumps({result.name: result.summary() for result in results}))
    if options.calibrate:
        import pathlib

        import numpy as np

        from label_generator.lifting.lifter import CALIBRATION

        columns = np.concatenate([result.signals for result in results])
        errors = np.concatenate([result.errors["mpjpe"] for result in results])
        facts = {
            "poses": int(np.isfinite(errors).sum()),
            "sets": [result.name for result in results],
            "widened": options.widen,
        }
        path = pathlib.Path(options.calibrate) / CALIBRATION
        quality.save_calibration(path, quality.fit(columns, errors, facts, widen=options.widen))
        print(f"label quality calibrated on {facts['poses']:,} poses: {path}")


def _check_used(options):
    """Raises `InputError` for a flag that would be ignored."""
    from tools.cli.errors import InputError

    other, names = (
        ("protocol", ("motion", "cameras", "split", "frame_step", "seed"))
        if options.test_data
        else ("test_data", ("limit",))
    )
    for name in names:
        if options.given(name):
            raise InputError(f"--{name}: goes with --{other}")


def _check_output(options):
    import os

    from label_generator.lifting.lifter import CALIBRATION
    from tools.cli.errors import InputError

    if options.output and os.path.exists(options.output) and not os.path.isdir(options.output):
        raise InputError(f"--output={options.output}: is a file, not a folder")
    taken = [os.path.join(options.output, "figures.json")] if options.output else []
    if options.calibrate:
        if not os.path.isdir(options.calibrate):
            raise InputError(f"--calibrate={options.calibrate}: no such weights folder")
        taken.append(os.path.join(options.calibrate, CALIBRATION))
    for path in taken:
        if os.path.exists(path) and not options.overwrite:
            raise InputError(f"{path} exists; give --overwrite to replace it")


if __name__ == "__main__":
    command.run(main, declare)
