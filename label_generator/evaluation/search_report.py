"""The published report of the geometric search: MPJPE before and after it, with running means and a table by action."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import NamedTuple

import numpy as np

from label_generator.evaluation import search_inputs
from label_generator.evaluation.search_inputs import SearchInputs
from label_generator.lifting.geometric_search import RELEASED_CAP, RELEASED_CAP_ROOT_CENTRED, geometric_search
from label_generator.lifting.lifter import Lifter, LifterSettings
from label_generator.lifting.lifter_of_flags import make_lifter
from label_generator.lifting.settings import settings_of_flags
from label_generator.stages.pose_rows import root_centred
from tools.cli import command
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.pose import cameras, joints, metric_tables, metrics
from tools.pose.metric_tables import ActionTable

_POSES_AT_ONCE = 4096
_CAPS = {"perspective": RELEASED_CAP, "root_centred": RELEASED_CAP_ROOT_CENTRED}


class Searched(NamedTuple):
    """Poses before and after the search, and [n] bool by pose.

    coarse, refined: [n, 17, 3] mm, root-relative after the search.
    at_range_end: the depth is at an end of the range. capped: no cost was below the released cap.
    """

    coarse: np.ndarray
    refined: np.ndarray
    at_range_end: np.ndarray
    capped: np.ndarray


@dataclasses.dataclass
class Searcher:
    """Searches batch after batch. Batches come in order: a pose without a depth may keep that of the one before.

    Attributes:
      settings: of the search.
      lifter: predicts the coarse poses; None where the inputs have them.
      camera: 'perspective', or 'root_centred' as in the release's second script.
      released_cap: whether costs that are not below the released scripts' cap leave a pose without a depth.
    """

    settings: LifterSettings
    lifter: Lifter | None
    camera: str = "perspective"
    released_cap: bool = False

    def __post_init__(self) -> None:
        self._last_depth = 0.0  # which the second script goes on with

    def search(self, inputs: SearchInputs) -> Searched:
        """Coarse poses, lifted where needed, and the poses after the search."""
        coarse = inputs.coarse
        if coarse is None:
            assert self.lifter is not None, "inputs without coarse poses need a lifter"
            right = inputs.right_2d
            if right is not None:
                right = cameras.change_intrinsics(right, inputs.intrinsics[:, None], cameras.SEARCH_INTRINSICS)
            lifted = self.lifter.lift(inputs.poses_2d, inputs.intrinsics, right_2d=right)
            coarse = lifted.coarse_3d.numpy()
            if self.camera == "perspective" and not self.released_cap:
                nowhere = np.zeros(len(coarse), bool)
                return Searched(coarse, lifted.pose_3d.numpy(), lifted.at_range_end.numpy(), nowhere)
        settings = self.settings
        result = geometric_search(
            coarse,
            inputs.poses_2d,
            inputs.intrinsics,
            min_depth_mm=settings.min_depth_mm,
            max_depth_mm=settings.max_depth_mm,
            step_mm=settings.step_mm,
            objective=settings.objective,
            method=settings.method,
            subgrid=settings.subgrid,
            camera=self.camera,
            released_cap=_CAPS[self.camera] if self.released_cap else None,
        )
        poses, depths = result.poses_3d.numpy(), result.depth_mm.numpy()
        capped = ~result.valid.numpy() & np.isfinite(depths)
        if self.camera == "root_centred":
            poses[capped] = _placed(inputs, coarse, self._kept_depths(depths, capped))[capped]
        return Searched(coarse, root_centred(poses), np.asarray(result.at_range_end), capped)

    def _kept_depths(self, depths: np.ndarray, capped: np.ndarray) -> np.ndarray:
        """[n] mm: where `capped`, the depth of the pose before, as the release's second script never resets it."""
        places = np.where(capped | ~np.isfinite(depths), -1, np.arange(len(depths)))
        places = np.maximum.accumulate(places)
        kept = np.where(places < 0, self._last_depth, depths[np.maximum(places, 0)])
        self._last_depth = kept[-1]
        return kept


def _placed(inputs: SearchInputs, coarse: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Poses [n, 17, 3] whose joints stand on their root-centred rays at these depths of the root."""
    rays = root_centred(inputs.poses_2d) / inputs.intrinsics[:, None, :2]
    far = coarse[..., 2:] + depths[:, None, None]
    return np.concatenate([rays * far, far], axis=-1).astype(np.float32)


def read_inputs(flags: command.Flags) -> SearchInputs:
    """The poses that the flags of `search_h36m.py` name; raises `InputError` when they are not there or incomplete."""
    folder = pathlib.Path(flags.input)
    intrinsics = cameras.parse_intrinsics(flags.intrinsics) if flags.intrinsics else None
    selection = search_inputs.Selection(flags.action, flags.frame_step, intrinsics)
    if search_inputs.trees_in(folder):
        return search_inputs.read_trees(folder, selection, joints.parse_permutation(flags.permutation))
    if flags.permutation:
        raise InputError("--permutation: is for the trees' arrays; records have this project's order")
    return search_inputs.read_records(flags.input, selection, flags.right_view == "true")


def make_searcher(flags: command.Flags, inputs: SearchInputs) -> Searcher:
    """The search that the flags of `search_h36m.py` describe; raises `InputError` when weights don't fit the inputs."""
    if inputs.coarse is None:
        lifter, _ = make_lifter(flags)
        print(f"weights {lifter.name_of_weights}, {lifter.recipe} recipe, {flags.right_view} right view")
        return Searcher(lifter.settings, lifter, flags.search, flags.released_cap)
    if flags.weights or flags.right_view == "true":
        raise InputError("--weights and --right_view are for TFRecords: the trees hold predictions already")
    return Searcher(settings_of_flags(flags, "published"), None, flags.search, flags.released_cap)


def report(inputs: SearchInputs, searcher: Searcher, per_frame: bool) -> ActionTable:
    """Searches, prints each sequence (or frame) with running means and then the table by action, which it returns."""
    total = len(inputs)
    print(f"{total:,} poses, {len(set(inputs.sequences)):,} sequences; errors in mm before and after the search")
    before, after = np.full(total, np.nan), np.full(total, np.nan)
    printed = at_end = invalid = capped = 0
    with Progress(total, "poses") as progress:
        for start in range(0, total, _POSES_AT_ONCE):
            rows = slice(start, min(start + _POSES_AT_ONCE, total))
            batch = inputs.rows(rows)
            searched = searcher.search(batch)
            truth = root_centred(batch.truth)
            before[rows] = metrics.mpjpe(root_centred(searched.coarse), truth)
            after[rows] = metrics.mpjpe(searched.refined, truth)
            at_end += int(searched.at_range_end.sum())
            invalid += int(np.isnan(after[rows]).sum())
            capped += int(searched.capped.sum())
            printed = _print_whole(inputs, before, after, printed, rows.stop, per_frame)
            progress.update(rows.stop)
    table = metric_tables.action_table({"before (mm)": before, "after (mm)": after}, inputs.actions)
    print()
    print(table.render(), end="")
    print(f"\ndepth at an end of the range: {at_end:,} of {total:,}; no depth found: {invalid:,}")
    if searcher.released_cap:
        kept = "the previous pose's depth" if searcher.camera == "root_centred" else "depth 0"
        print(f"no cost below the released cap: {capped:,} of {total:,}, which kept {kept}")
    return table


def _print_whole(
    inputs: SearchInputs, before: np.ndarray, after: np.ndarray, printed: int, done: int, per_frame: bool
) -> int:
    """Prints the sequences (or frames) among the first `done` poses that are whole and were not printed yet, with
    running means; returns the number of poses printed so far."""
    sequences = inputs.sequences
    ends = np.flatnonzero(np.r_[sequences[1:] != sequences[:-1], True]) + 1
    stops = np.arange(printed + 1, done + 1) if per_frame else ends[(ends > printed) & (ends <= done)]
    sums = [np.cumsum(np.nan_to_num(values[:done])) for values in (before, after)]
    counts = [np.cumsum(np.isfinite(values[:done])) for values in (before, after)]
    for stop in stops.tolist():
        name = f"{sequences[stop - 1]}"
        name += f" frame {inputs.frames[stop - 1]}" if per_frame else f", {stop - printed} poses"
        means = [metrics.mean_error(values[printed:stop]).mean for values in (before, after)]
        running = [total[stop - 1] / max(count[stop - 1], 1) for total, count in zip(sums, counts)]
        print(f"{name}: {means[0]:.1f} -> {means[1]:.1f}   running {running[0]:.1f} -> {running[1]:.1f}", flush=True)
        printed = stop
    return printed
