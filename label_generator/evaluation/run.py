"""One run of `evaluate.py`: pose sets with known 3D through the lifter, then tables, plots and the calibration."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from label_generator.evaluation import clips, errors, measured, nearest, one_person, protocols, report
from label_generator.evaluation.errors import Evaluated
from label_generator.evaluation.protocols import PoseSet
from label_generator.lifting import quality, settings
from label_generator.lifting.lifter import CALIBRATION
from label_generator.lifting.lifter_of_flags import make_lifter
from tfrecords import reader
from tools.cli import command, outputs, plans
from tools.cli.errors import InputError
from tools.pose import bounds


def evaluate(flags: command.Flags) -> int:
    """Measures what the flags of `evaluate.py` name, prints tables and writes them; returns the exit status.

    Raises:
      InputError: bad input, or an output that may not be replaced.
    """
    _check_output(flags)
    names = list(protocols.PROTOCOLS) if flags.protocol == ["all"] else flags.protocol
    for name in names:  # all of them now, not after minutes of lifting those before
        protocols.check(name, flags.cameras)
    bounds.check_fps(flags.fps, "fps")
    if flags.dry_run:
        return _preview(flags, names)
    known = nearest.of_motion(flags.nearest) if flags.nearest else None
    lifter, _ = make_lifter(flags)
    print(f"{lifter.recipe} recipe, weights {lifter.name_of_weights}; {lifter.settings}")
    results, refined, by_distance = [], [], []
    for poses in _pose_sets(flags, names):
        lifted = errors.lift(lifter, poses, flags.right_view)
        results.append(errors.compare(poses, lifted))
        if known is not None:
            by_distance.append(nearest.table(results[-1], nearest.degrees(poses.poses_3d, known)))
        if flags.fps:
            again = functools.partial(errors.lift, lifter, right_view=flags.right_view)
            made = errors.compare(poses, clips.refined(poses, lifted, flags.fps, again))
            refined.append(dataclasses.replace(made, name=f"{poses.name} clips"))
        if flags.one_person:
            made = errors.compare(poses, one_person.with_own_lengths(poses, lifted))
            refined.append(dataclasses.replace(made, name=f"{poses.name} one person"))
        print(f"  {poses.name}: {len(poses):,} poses lifted", flush=True)
    print("\n" + report.table([*results, *refined]))
    for result, lines in zip(results, by_distance):
        print(f"\n{result.name}, by distance from {flags.nearest}\n{lines}")
    for result in results if flags.actions else []:
        print(f"\n{result.name}, by action\n{report.by_action(result)}")
    if flags.output:
        report.write(flags.output, [*results, *refined], lifter)
        print(f"\ntable.md, figures.json and plots are in {flags.output}")
    elif not flags.json:
        print(json.dumps({result.name: result.summary() for result in [*results, *refined]}))
    flags.report.update(
        recipe=lifter.recipe,
        weights=lifter.name_of_weights,
        settings=lifter.settings,
        figures={result.name: result.summary() for result in [*results, *refined]},
        output=flags.output or None,
    )
    if flags.calibrate:
        _calibrate(results, pathlib.Path(flags.calibrate) / CALIBRATION, flags.widen)
    return 0


def _preview(flags: command.Flags, names: Sequence[str]) -> int:
    """What would be measured: the files that are there, and the weights."""
    reads = []
    if flags.test_data:
        reads.append(f"{flags.test_data}: {len(reader.find(flags.test_data)):,} records")
    for name in ("h36m", "motion", "cameras", "nearest"):
        place = getattr(flags, name)
        if place and not os.path.exists(place):
            raise InputError(f"--{name}={place}: no such file or folder")
        reads += [place] if place else []
    reads += [
        f"{network.directory}: {network.stage}, {network.recipe} recipe" for network in settings.check_weights(flags)
    ]
    writes = [os.path.join(flags.output, name) for name in ("table.md", "figures.json", "errors.png")]
    return plans.show(
        flags,
        reads,
        [f"protocol {name}" for name in names] or [f"at most {flags.limit:,} poses" if flags.limit else "every pose"],
        [*(writes if flags.output else []), *([os.path.join(flags.calibrate, CALIBRATION)] if flags.calibrate else [])],
    )


def _pose_sets(flags: command.Flags, names: Sequence[str]) -> Iterator[PoseSet]:
    """The pose sets that the flags name, each made when it is asked for."""
    if flags.test_data:
        yield protocols.from_records(flags.test_data, flags.limit)
    elif flags.h36m:
        yield measured.load(flags.h36m, flags.detected, flags.frame_step)
    else:
        for name in names:
            yield protocols.build(name, flags.motion, flags.cameras, flags.seed, flags.frame_step, flags.split)


def _calibrate(results: Sequence[Evaluated], path: pathlib.Path, widen: float) -> None:
    """Fits the label quality on these results and writes it."""
    columns = np.concatenate([result.signals for result in results])
    errors_mm = np.concatenate([result.errors["mpjpe"] for result in results])
    facts = {
        "poses": int(np.isfinite(errors_mm).sum()),
        "sets": [result.name for result in results],
        "widened": widen,
    }
    quality.save_calibration(path, quality.fit(columns, errors_mm, facts, widen=widen))
    print(f"label quality calibrated on {facts['poses']:,} poses: {path}")


def _check_output(flags: command.Flags) -> None:
    """Raises `InputError` when something lies at the output that may not be replaced."""
    if flags.output:
        outputs.check_folder(flags.output)
    taken = [os.path.join(flags.output, "figures.json")] if flags.output else []
    if flags.calibrate:
        if not os.path.isdir(flags.calibrate):
            raise InputError(f"--calibrate={flags.calibrate}: no such weights folder")
        taken.append(os.path.join(flags.calibrate, CALIBRATION))
    outputs.check_all_free(taken, flags.overwrite)
