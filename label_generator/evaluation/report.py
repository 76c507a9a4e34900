"""Evaluation results as tables, JSON and plots."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from label_generator.evaluation.errors import Evaluated
from label_generator.lifting.lifter import Lifter
from label_generator.lifting.settings import REASONS
from tools.drawing import drawing, plots
from tools.files import atomic
from tools.pose import metric_tables

# column heading, key of `Evaluated.summary`, decimals
_COLUMNS = (
    ("MPJPE before", "mpjpe_before", 1),
    ("after", "mpjpe", 1),
    ("P-MPJPE before", "p_mpjpe_before", 1),
    ("after", "p_mpjpe", 1),
    ("N-MPJPE before", "n_mpjpe_before", 1),
    ("after", "n_mpjpe", 1),
    ("MPJVE", "mpjve", 1),
    ("acc. error", "acceleration_error", 1),
    ("absolute", "absolute_acceleration_error", 1),
    ("3DPCK", "pck_3d", 1),
    ("AUC", "auc_3d", 1),
    ("PCKh right", "pckh_right", 1),
    ("depth %", "depth_error_percent", 2),
    ("sized %", "depth_error_sized_percent", 2),
    ("range end %", "range_end_percent", 1),
    ("labelled %", "labelled_percent", 1),
    ("expected", "expected_mm", 1),
    ("off %", "expected_off_percent", 0),
    ("Spearman", "spearman", 2),
    ("-10 %", "mpjpe_without_worst_10", 1),
    ("-20 %", "mpjpe_without_worst_20", 1),
    ("-30 %", "mpjpe_without_worst_30", 1),
)


def table(results: list[Evaluated]) -> str:
    """A Markdown table, a row per pose set: mm, %, medians of the depth error, MPJPE without the worst by quality."""
    head = ["poses", *(heading for heading, _, _ in _COLUMNS)]
    rows = []
    for result in results:
        figures = result.summary()
        cells = [f"{figures[key]:.{decimals}f}" if key in figures else "-" for _, key, decimals in _COLUMNS]
        rows.append([f"{result.name} ({figures['poses']:,})", *cells])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def by_action(result: Evaluated) -> str:
    """The errors before and after the search by action, with the frame-wise and the action-wise mean."""
    shown = {name: result.errors[name] for name in ("mpjpe_before", "mpjpe", "p_mpjpe_before", "p_mpjpe")}
    return metric_tables.action_table(shown, result.actions).render()


def write(output: str, results: list[Evaluated], lifter: Lifter) -> None:
    """Writes table.md, figures.json, a plot of the errors and one of error against quality for each pose set."""
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {result.name: result.summary() for result in results}
    content = {
        "recipe": lifter.recipe,
        "weights": lifter.name_of_weights,
        "settings": vars(lifter.settings),
        "figures": figures,
        "reasons": {
            r.name: {REASONS[i] or "labelled": int((r.reason == i).sum()) for i in range(len(REASONS))} for r in results
        },
    }
    atomic.write_text(folder / "figures.json", json.dumps(content, indent=1) + "\n")
    text = "\n\n".join([table(results), *(f"### {r.name}\n\n{by_action(r)}" for r in results)])
    atomic.write_text(folder / "table.md", text + "\n")
    names = list(figures)
    series = {
        "before the search": [figures[name]["mpjpe_before"] for name in names],
        "after": [figures[name]["mpjpe"] for name in names],
    }
    drawing.write_image(folder / "errors.png", plots.bars(series, names, "Mean joint error"), overwrite=True)
    usable = [result for result in results if "expected_mm" in figures[result.name]]
    if usable:
        drawing.write_image(folder / "reliability.png", _reliability(usable), overwrite=True)
    for result in results:
        usable = np.isfinite(result.quality) & np.isfinite(result.errors["mpjpe"])
        picture = plots.error_against_quality(
            result.quality[usable], result.errors["mpjpe"][usable], f"{result.name}: error against quality"
        )
        drawing.write_image(folder / f"quality_{result.name}.png", picture, overwrite=True)


def _reliability(results: list[Evaluated]) -> np.ndarray:
    """Expected and true error of labels in groups of equal number by quality; where both agree, the lines meet."""
    series, most = {}, max(len(result.reliability()[0]) for result in results)
    for result in results[:3]:  # more lines than that are hard to tell apart
        for name, values in zip(("expected", "true"), result.reliability()):
            series[f"{result.name}, {name}"] = np.interp(
                np.linspace(0, 1, most), np.linspace(0, 1, len(values)), values
            )
    labels = ("share of labels, from best to worst quality (%)", "mean joint error (mm)")
    return plots.curves(100.0 * (np.arange(most) + 0.5) / most, series, "Expected and true error", *labels)
