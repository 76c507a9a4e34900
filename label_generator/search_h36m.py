"""The published report of the geometric search: mean joint error before and after it, by action.

--input is a set of test TFRecords, whose poses are lifted by --weights with the predicted (or --right_view=true) right
view, or a folder with the original's trees predict/, 3dCam/ and 2dCam/ (<subject>/<action>/<file>.npy, planar rows),
whose predictions are searched as they are. Every 25th frame of each sequence is taken, as published.
"""

from __future__ import annotations

import json
import pathlib
import sys

from label_generator.lifting import flags as lifter_flags
from tools.cli import command, outputs
from tools.cli.errors import InputError

TREES = ("predict", "3dCam", "2dCam")
_POSES_AT_ONCE = 4096
_CAPS = {"perspective": "RELEASED_CAP", "root_centred": "RELEASED_CAP_ROOT_CENTRED"}


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("What is searched"):
        flags.string("input", None, "TFRecords with 2D and 3D, or the folder of predict/, 3dCam/, 2dCam/")
        flags.string("action", "all", "one action, such as WalkTogether, or all")
        flags.integer("frame_step", 25, "take every n-th frame of each sequence; 1: all", lower_bound=1)
        flags.strings("permutation", None, "17 numbers: joint i is at place permutation[i] of the trees' arrays")
        flags.string("intrinsics", "", "fx,fy,cx,cy in px (default: each record's own; for trees the published camera)")
    with flags.group("Lifting (TFRecords only)"):
        lifter_flags.declare_weights(flags)
        flags.enum("right_view", "predicted", ["predicted", "true"], "the right view that 3D is reconstructed from")
    with flags.group("Search"):
        lifter_flags.declare_search(flags)
        flags.enum(
            "search",
            "perspective",
            ["perspective", "root_centred"],
            "root_centred: the release's cruder second script, root on the optical axis and no principal point",
        )
        flags.boolean(
            "released_cap",
            False,
            "as released, poses with no cost below 10000 keep depth 0; root_centred: below 2000 the last pose's depth",
        )
    with flags.group("Report"):
        flags.boolean("per_frame", False, "print each frame's errors, as released, instead of each sequence's")
        flags.string("json", "", "write the table to this file too")
        flags.boolean("overwrite", False, "replace that file")
    return flags


def main(flags: command.Flags) -> int:
    """Prints the report."""
    flags.require("input")
    if flags.json:
        outputs.check_free(flags.json, flags.overwrite)
    folder = pathlib.Path(flags.input)
    there = [name for name in TREES if (folder / name).is_dir()]
    if there:
        missing = [name for name in TREES if name not in there]
        if missing:
            raise InputError(f"{folder}: has {', '.join(there)} but no {', '.join(missing)}")
        poses = _read_trees(flags, folder)
    else:
        poses = _read_records(flags)
    return _report(flags, poses)


def _chosen(flags, actions) -> list[str]:
    """The actions to report on, in the alphabet's order; raises `InputError` when there is no such one."""
    known = sorted(set(actions), key=str.casefold)
    if flags.action == "all":
        return known
    found = [name for name in known if name.casefold() == flags.action.casefold()]
    if not found:
        raise InputError(f"--action={flags.action}: no such action; there are {', '.join(known)}")
    return found


def _camera(flags):
    """[4] px that the user gave, or None."""
    from tools.pose import cameras

    return cameras.parse_intrinsics(flags.intrinsics) if flags.intrinsics else None


def _read_trees(flags, folder: pathlib.Path):
    """The poses of the three trees; see `_report`."""
    import numpy as np

    from tfrecords.conversion import clips
    from tfrecords.formats import arrays
    from tools.pose import cameras, joints

    permutation = joints.parse_permutation(flags.permutation)
    files = [path.relative_to(folder / TREES[0]) for path in clips.list_files(folder / TREES[0], (".npy",), "arrays")]
    for path in files:
        if len(path.parts) != 3:
            raise InputError(f"{folder / TREES[0] / path}: expected <subject>/<action>/<file>.npy")
    wanted = _chosen(flags, [path.parts[1] for path in files])
    sequences = []
    for path in (path for path in files if path.parts[1] in wanted):
        parts = []
        for tree, size in zip(TREES, (3, 3, 2)):
            place = folder / tree / path
            if not place.is_file():
                raise InputError(f"{place}: no such file, the partner of {folder / TREES[0] / path}")
            array = arrays.open_npy(place)
            if arrays.dimensions(array.shape, str(place)) != size:
                raise InputError(f"{place}: holds {5 - size}D poses, expected {size}D")
            arrays.check_layout(array, size, arrays.PLANAR, permutation, str(place))
            parts.append(array)
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(f"{len(part)} in {tree}" for tree, part in zip(TREES, parts))
            raise InputError(f"{path}: partners have different numbers of rows: {counts}")
        picked = [
            arrays.split_rows(np.array(part[:: flags.frame_step], np.float32), size, arrays.PLANAR, permutation)
            for part, size in zip(parts, (3, 3, 2))
        ]
        sequences.append((path.parts[1], path.with_suffix("").as_posix(), *picked))
    sequences.sort(key=lambda item: (wanted.index(item[0]), item[1]))
    given = _camera(flags)
    camera = cameras.SEARCH_INTRINSICS if given is None else given
    coarse, truth, seen = (np.concatenate([item[i] for item in sequences]) for i in (2, 3, 4))
    frames = np.concatenate([np.arange(len(item[2])) * flags.frame_step for item in sequences])
    lengths = [len(item[2]) for item in sequences]
    return {
        "coarse": coarse,
        "truth": truth,
        "seen": seen,
        "intrinsics": np.tile(np.asarray(camera, np.float32), (len(seen), 1)),
        "action": np.repeat([item[0] for item in sequences], lengths),
        "sequence": np.repeat([item[1] for item in sequences], lengths),
        "frame": frames,
    }


def _read_records(flags):
    """The poses of a set of TFRecords; see `_report`."""
    import numpy as np

    from tfrecords import reader
    from tfrecords.conversion import clips

    if flags.permutation:
        raise InputError("--permutation: is for the trees' arrays; records have this project's order")
    fields = ["pose_2d", "pose_3d", "intrinsics", "subject", "action", "sequence", "camera", "frame"]
    right = ["right_2d"] if flags.right_view == "true" else []
    arrays = reader.load_arrays(flags.input, fields + right)
    wanted = _chosen(flags, arrays["action"])
    place = {name: number for number, name in enumerate(wanted)}
    names = [
        "/".join(part for part in parts if part)
        for parts in zip(*(arrays[field] for field in ("subject", "action", "sequence", "camera")))
    ]
    groups: dict[tuple[int, str], list[int]] = {}
    for i, (action, name) in enumerate(zip(arrays["action"], names)):
        if action in place:
            groups.setdefault((place[action], name), []).append(i)
    picked = []
    for key in sorted(groups):
        rows = np.array(groups[key])
        # Records may have been shuffled among the shards.
        picked.append(rows[np.argsort(arrays["frame"][rows], kind="stable")][:: flags.frame_step])
    rows = np.concatenate(picked)
    given = _camera(flags)
    intrinsics = arrays["intrinsics"][rows] if given is None else np.tile(np.float32(given), (len(rows), 1))
    values = {
        "truth": arrays["pose_3d"][rows],
        "seen": arrays["pose_2d"][rows],
        "intrinsics": intrinsics,
        "action": np.array([arrays["action"][i] for i in rows]),
        "sequence": np.array([names[i] for i in rows]),
        "frame": arrays["frame"][rows],
    }
    for name, what in (("truth", "3D pose"), ("seen", "2D pose"), ("intrinsics", "intrinsics (give --intrinsics)")):
        bad = np.flatnonzero(~np.isfinite(values[name]).reshape(len(rows), -1).all(1))
        if len(bad):
            where = f"{values['sequence'][bad[0]]} frame {values['frame'][bad[0]]}"
            raise InputError(f"{flags.input}: {where}: no complete {what}")
    if right:
        values["right"] = arrays["right_2d"][rows]
        if not np.isfinite(values["right"]).all():
            raise InputError(f"{flags.input}: --right_view=true needs right views; gen_right.py adds them")
    if clips.subject_number(arrays["subject"][rows[0]]) in clips.TRAIN_SUBJECTS:
        print("note: these are training subjects", file=sys.stderr)
    return values


def _report(flags, poses) -> int:
    """Searches batch by batch and prints what comes out.

    Args:
      poses: arrays of N poses, those of one sequence together: truth [N, 17, 3] mm, seen [N, 17, 2] px, intrinsics
        [N, 4], action, sequence, frame [N]; either coarse [N, 17, 3] or what it is lifted from (right [N, 17, 2] px).
    """
    import numpy as np

    from tools.cli.progress import Progress
    from tools.pose import metric_tables, metrics
    from tools.pose.joints import POSE17

    root = POSE17.root

    search = _searcher(flags, "coarse" in poses)
    total = len(poses["truth"])
    print(f"{total:,} poses, {len(set(poses['sequence'])):,} sequences; errors in mm before and after the search")
    ends = np.flatnonzero(np.r_[poses["sequence"][1:] != poses["sequence"][:-1], True]) + 1
    before, after = np.full(total, np.nan), np.full(total, np.nan)
    told = at_end = invalid = capped = 0
    with Progress(total, "poses") as progress:
        for start in range(0, total, _POSES_AT_ONCE):
            rows = slice(start, min(start + _POSES_AT_ONCE, total))
            batch = {name: values[rows] for name, values in poses.items()}
            coarse, found, range_end, above = search(batch)
            truth = batch["truth"] - batch["truth"][:, root, None]
            before[rows] = metrics.mpjpe(coarse - coarse[:, root, None], truth)
            after[rows] = metrics.mpjpe(found, truth)
            at_end += int(range_end.sum())
            invalid += int(np.isnan(after[rows]).sum())
            capped += int(above.sum())
            told = _tell(flags, poses, ends, before, after, told, rows.stop)
            progress.update(rows.stop)
    table = metric_tables.action_table({"before (mm)": before, "after (mm)": after}, poses["action"])
    print()
    print(table.render(), end="")
    print(f"\ndepth at an end of the range: {at_end:,} of {total:,}; no depth found: {invalid:,}")
    if flags.released_cap:
        kept = "the previous pose's depth" if flags.search == "root_centred" else "depth 0"
        print(f"no cost below the released cap: {capped:,} of {total:,}, which kept {kept}")
    if flags.json:
        from tools.files import atomic

        atomic.write_text(flags.json, json.dumps(table.as_dict(), indent=1) + "\n")
        print(f"written to {flags.json}")
    return 0


def _tell(flags, poses, ends, before, after, told: int, done: int) -> int:
    """Prints sequences (or frames) that are whole by now, with running means; returns up to where it told."""
    import numpy as np

    stops = np.arange(told + 1, done + 1) if flags.per_frame else ends[(ends > told) & (ends <= done)]
    sums = [np.cumsum(np.nan_to_num(values[:done])) for values in (before, after)]
    counts = [np.cumsum(np.isfinite(values[:done])) for values in (before, after)]
    for stop in stops.tolist():
        name = poses["sequence"][stop - 1]
        name += f" frame {poses['frame'][stop - 1]}" if flags.per_frame else f", {stop - told} poses"
        own = [_mean(values[told:stop]) for values in (before, after)]
        running = [total[stop - 1] / max(count[stop - 1], 1) for total, count in zip(sums, counts)]
        print(f"{name}: {own[0]:.1f} -> {own[1]:.1f}   running {running[0]:.1f} -> {running[1]:.1f}", flush=True)
        told = stop
    return told


def _mean(values) -> float:
    """The mean of what is not NaN; NaN of nothing."""
    from tools.pose import metrics

    return metrics.mean_error(values).mean


def _kept(depths, capped, last):
    """[n] mm: where `capped`, the depth of the pose before, as the release's second script never resets it.

    Args:
      last: [1] of the pose before the first; becomes that of the last.
    """
    import numpy as np

    places = np.where(capped | ~np.isfinite(depths), -1, np.arange(len(depths)))
    places = np.maximum.accumulate(places)
    kept = np.where(places < 0, last[0], depths[np.maximum(places, 0)])
    last[0] = kept[-1]
    return kept


def _placed(batch, coarse, depths):
    """Poses [n, 17, 3] whose joints stand on their root-centred rays at these depths of the root."""
    import numpy as np

    from label_generator.stages.pose_rows import root_centred

    rays = root_centred(batch["seen"]) / batch["intrinsics"][:, None, :2]
    far = coarse[..., 2:] + depths[:, None, None]
    return np.concatenate([rays * far, far], axis=-1).astype(np.float32)


def _searcher(flags, has_coarse: bool):
    """The function from a batch to coarse poses, poses after the search, whether each depth is at an end, and whether
    no cost was below a released cap. Batches come in order: a pose without a depth may keep that of the one before."""
    import numpy as np

    from label_generator.lifting import geometric_search as searching
    from label_generator.lifting.lifter import RECIPE_SETTINGS
    from tools.pose import cameras
    from tools.pose.joints import POSE17

    cap = getattr(searching, _CAPS[flags.search]) if flags.released_cap else None
    variant = flags.search != "perspective" or flags.released_cap
    lifter = None
    settings = {**vars(RECIPE_SETTINGS["published"]), **lifter_flags.settings_given(flags)}
    if has_coarse:
        if flags.weights or flags.right_view == "true":
            raise InputError("--weights and --right_view are for TFRecords: the trees hold predictions already")
    else:
        lifter, _ = lifter_flags.make_lifter(flags)
        settings = vars(lifter.settings)
        print(f"weights {lifter.name_of_weights}, {lifter.recipe} recipe, {flags.right_view} right view")

    last = np.zeros(1)  # the depth that the second script goes on with

    def search(batch):
        coarse = batch.get("coarse")
        if coarse is None:
            right = batch.get("right")
            if right is not None:
                right = cameras.change_intrinsics(right, batch["intrinsics"][:, None], cameras.SEARCH_INTRINSICS)
            lifted = lifter.lift(batch["seen"], batch["intrinsics"], right_2d=right)
            coarse = lifted.coarse_3d.numpy()
            if not variant:
                return coarse, lifted.pose_3d.numpy(), lifted.at_range_end.numpy(), np.zeros(len(coarse), bool)
        names = ("min_depth_mm", "max_depth_mm", "step_mm", "objective", "method", "subgrid")
        found = searching.geometric_search(
            coarse,
            batch["seen"],
            batch["intrinsics"],
            camera=flags.search,
            released_cap=cap,
            **{name: settings[name] for name in names},
        )
        poses, depths = found.poses_3d.numpy(), found.depth_mm.numpy()
        capped = ~found.valid.numpy() & np.isfinite(depths)
        if flags.search == "root_centred":
            poses[capped] = _placed(batch, coarse, _kept(depths, capped, last))[capped]
        return coarse, poses - poses[:, POSE17.root, None], np.asarray(found.at_range_end), capped

    return search


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
