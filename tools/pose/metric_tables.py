"""Tables of errors per action, with the two means that papers report: over poses and over actions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tools.pose.metrics import MeanError, mean_error


class ActionRow(NamedTuple):
    """One action: its number of poses and the `MeanError` of each metric over them."""

    action: str
    poses: int
    errors: dict[str, MeanError]


@dataclasses.dataclass(frozen=True)
class ActionTable:
    """Mean errors by action.

    Attributes:
        metrics: the names of the columns.
        rows: one `ActionRow` for each action.
        frame_wise: metric -> `MeanError` over all poses, each counting once.
        action_wise: metric -> `MeanError` over the actions' means, each action counting once; its count and left_out
            are actions.
    """

    metrics: tuple[str, ...]
    rows: tuple[ActionRow, ...]
    frame_wise: dict[str, MeanError]
    action_wise: dict[str, MeanError]

    def as_dict(self) -> dict[str, Any]:
        """The table in lists, dicts, strings and numbers that JSON has; a mean of nothing is None."""

        def plain(errors: Any) -> dict[str, Any]:
            return {
                metric: {"mean": None if math.isnan(mean) else mean, "count": count, "left_out": left_out}
                for metric, (mean, count, left_out) in errors.items()
            }

        return {
            "metrics": list(self.metrics),
            "actions": [{"action": row.action, "poses": row.poses, "errors": plain(row.errors)} for row in self.rows],
            "frame_wise": plain(self.frame_wise),
            "action_wise": plain(self.action_wise),
        }

    def render(self, markdown: bool = False, decimals: int = 1) -> str:
        """The table as text: aligned columns, or Markdown.

        Rows are the actions, then the mean over poses and the mean over actions. ``-`` stands for a mean of nothing.
        Errors that were left out (NaN) are counted in a line below.
        """

        def cells(title: str, poses: int, errors: Any) -> list[str]:
            means = (errors[metric].mean for metric in self.metrics)
            return [title, str(poses), *("-" if math.isnan(mean) else f"{mean:.{decimals}f}" for mean in means)]

        poses = sum(row.poses for row in self.rows)
        head = ["action", "poses", *self.metrics]
        actions = [cells(row.action, row.poses, row.errors) for row in self.rows]
        means = [cells("mean over poses", poses, self.frame_wise), cells("mean over actions", poses, self.action_wise)]
        lines = _markdown(head, actions, means) if markdown else _columns(head, actions, means)
        left_out = {metric: error.left_out for metric, error in self.frame_wise.items() if error.left_out}
        if left_out:
            listed = ", ".join(f"{metric} {count}" for metric, count in left_out.items())
            lines += ["", f"Poses without an error, left out of the means: {listed}."]
        return "\n".join(lines) + "\n"


def action_table(
    errors: Mapping[str, np.ndarray], actions: Sequence[str] | np.ndarray, order: Sequence[str] | None = None
) -> ActionTable:
    """The `ActionTable` of errors that lie beside each other.

    Args:
        errors: metric name -> ``[N]`` errors of the same N poses; NaN is left out of the means and counted.
        actions: ``[N]`` the action of each pose, as strings.
        order: the actions in the order of the rows; those not in it follow. By default the alphabet's, letter case
            aside, which is the usual order of Human3.6M's actions.

    Raises:
        ValueError: no metric, or lengths that differ.
    """
    if not errors:
        raise ValueError("a table needs the errors of at least one metric")
    # Names read from records and HDF5 come as bytes.
    names = np.array([name.decode() if isinstance(name, bytes) else str(name) for name in actions], dtype=np.str_)
    columns = {metric: np.asarray(values, np.float64) for metric, values in errors.items()}
    for metric, values in columns.items():
        if values.shape != names.shape:
            raise ValueError(f"{metric} {values.shape} must be one error for each of the {len(names)} poses")
    unique, group = np.unique(names, return_inverse=True)
    distinct: list[str] = unique.tolist()
    place = {action: index for index, action in enumerate(order or ())}
    sequence = sorted(range(len(distinct)), key=lambda i: (place.get(distinct[i], len(place)), distinct[i].casefold()))
    poses = np.bincount(group, minlength=len(distinct))
    means = {metric: _group_means(values, group, poses) for metric, values in columns.items()}
    rows = tuple(
        ActionRow(distinct[i], int(poses[i]), {metric: means[metric][i] for metric in columns}) for i in sequence
    )
    return ActionTable(
        metrics=tuple(columns),
        rows=rows,
        frame_wise={metric: mean_error(values) for metric, values in columns.items()},
        action_wise={metric: mean_error([row.errors[metric].mean for row in rows]) for metric in columns},
    )


def _group_means(values: np.ndarray, group: np.ndarray, poses: np.ndarray) -> list[MeanError]:
    counted = ~np.isnan(values)
    counts = np.bincount(group[counted], minlength=len(poses))
    sums = np.bincount(group[counted], weights=values[counted], minlength=len(poses))
    return [
        MeanError(float(total / count) if count else float("nan"), int(count), int(size - count))
        for total, count, size in zip(sums, counts, poses)
    ]


def _columns(head: Sequence[str], actions: Sequence[Sequence[str]], means: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *actions, *means)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])

    rule = "-" * len(line(head))
    return [line(head), rule, *map(line, actions), rule, *map(line, means)]


def _markdown(head: Sequence[str], actions: Sequence[Sequence[str]], means: Sequence[Sequence[str]]) -> list[str]:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    rule = "|---|" + "---:|" * (len(head) - 1)
    bold = [[f"**{cell}**" for cell in row] for row in means]
    return [line(head), rule, *map(line, actions), *map(line, bold)]
