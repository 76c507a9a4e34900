"""What an evaluation found, as tables, JSON, plots and a contact sheet."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from baseline_network.evaluation import pose_errors
from baseline_network.evaluation.record_evaluation import RecordErrors
from baseline_network.network import targets
from tfrecords import schema
from tools.drawing import drawing, plots
from tools.files import atomic

# column heading, name in `pose_errors.summary`
_COLUMNS = (
    ("PCKh@0.5", "pckh@0.5"),
    ("PCK@0.2 torso", "pck_torso@0.2"),
    ("PCK@0.05 crop", "pck_crop@0.05"),
    ("MPJPE published", "mpjpe_published"),
    ("sized", "mpjpe_sized"),
    ("metric", "mpjpe_metric"),
    ("N-MPJPE", "n_mpjpe"),
    ("P-MPJPE", "p_mpjpe"),
    ("3DPCK", "pck_3d@150"),
    ("AUC", "auc_3d"),
)
_JOINT_COLUMNS = (
    ("PCKh@0.5", "pckh@0.5"),
    ("px", "distance_px"),
    ("MPJPE published", "mpjpe_published"),
    ("metric", "mpjpe_metric"),
    ("P-MPJPE", "p_mpjpe"),
)
_VISIBILITY = {schema.VISIBLE: "visible", schema.OCCLUDED: "occluded", schema.UNKNOWN: "not known"}
# Both sides of a joint together, as MPII's tables have them.
_GROUPS = {
    "head and neck": ("UpperNeck", "HeadTop"),
    "shoulders": ("RShoulder", "LShoulder"),
    "elbows": ("RElbow", "LElbow"),
    "wrists": ("RWrist", "LWrist"),
    "hips": ("RHip", "LHip"),
    "knees": ("RKnee", "LKnee"),
    "ankles": ("RAnkle", "LAnkle"),
}
_HEADS = np.linspace(0.0, 1.0, 41)


def _indices(names: Iterable[str]) -> list[int]:
    return [targets.MPII16.index(name) for name in names]


def _mean(values: np.ndarray) -> float:
    counted = np.isfinite(values)
    return float(values[counted].mean(dtype=np.float64)) if counted.any() else float("nan")


def figures(result: RecordErrors) -> dict[str, Any]:
    """Everything as JSON has it: 'all' (each joint too), 'by_dataset', 'by_action', 'action_wise' (the plain mean of
    the actions' figures), 'by_visibility', 'skipped'."""

    def by(names: np.ndarray) -> dict[str, dict[str, float]]:
        return {
            name or "not named": pose_errors.summary(result.rows(names == name), by_joint=False)
            for name in sorted(set(names))
        }

    by_action = by(result.actions)
    measured = [name for _, name in _COLUMNS]
    action_wise = {
        name: float(np.mean([part[name] for part in by_action.values() if name in part]))
        for name in measured
        if any(name in part for part in by_action.values())
    }
    return {
        "all": pose_errors.summary(result.errors),
        "by_dataset": by(result.datasets),
        "by_action": by_action,
        "action_wise": action_wise,
        "by_visibility": _by_visibility(result),
        "skipped": result.skipped,
    }


def _by_visibility(result: RecordErrors) -> dict[str, dict[str, float]]:
    """The means over joints that are visible, occluded, or of which it is not known."""
    results = {}
    for code, name in _VISIBILITY.items():
        chosen = (result.visibility == code) & np.isfinite(result.errors["distance_px"])
        if chosen.any():
            means = {key: _mean(result.errors[key][chosen]) for _, key in _JOINT_COLUMNS}
            results[name] = {"joints": int(chosen.sum()), **{k: mean for k, mean in means.items() if np.isfinite(mean)}}
    return results


def tables(results: Mapping[str, Any], actions: bool = True) -> str:
    """Markdown: all people and by data set; by action; by joint; by visibility. % for PCK and AUC, mm, px."""
    head = ["", "people", *(heading for heading, _ in _COLUMNS)]

    def row(title: str, part: Mapping[str, float]) -> list[str]:
        return [title, f"{part['images']:,.0f}", *(_cell(part.get(name)) for _, name in _COLUMNS)]

    rows = [row("all", results["all"])]
    if len(results["by_dataset"]) > 1:
        rows += [row(name, part) for name, part in results["by_dataset"].items()]
    parts = [_markdown(head, rows)]
    if actions and len(results["by_action"]) > 1:
        rows = [row(name, part) for name, part in results["by_action"].items()]
        rows.append(["mean over actions", "", *(_cell(results["action_wise"].get(name)) for _, name in _COLUMNS)])
        parts.append(_markdown(["by action", *head[1:]], rows))
    headings = [heading for heading, _ in _JOINT_COLUMNS]
    every = results["all"]
    names = [name for _, name in _JOINT_COLUMNS]
    rows = [[joint, *(_cell(every.get(f"{name}/{joint}")) for name in names)] for joint in pose_errors.JOINT_NAMES]
    parts.append(_markdown(["by joint", *headings], rows))
    rows = [
        [name, f"{part['joints']:,}", *(_cell(part.get(key)) for key in names)]
        for name, part in results["by_visibility"].items()
    ]
    parts.append(_markdown(["by visibility", "joints", *headings], rows))
    return "\n\n".join(parts)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _markdown(head: Sequence[str], rows: list[list[str]]) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * (width - 1) + ":" * (i > 0) + "-" * (i == 0) for i, width in enumerate(widths)], *rows]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) + " |"

    return "\n".join(map(line, lines))


def diagrams(result: RecordErrors) -> dict[str, np.ndarray]:
    """Plots by file name, those that the data allow: uint8 `[H, W, 3]`, BGR.

    pck_curve: share of joints within so many heads; error_by_joint: mm, or px without 3D; error_by_visibility: the
    same for visible and occluded joints; confidence: error of joints over the network's confidence.
    """
    diagrams_by_name = {}
    distance = result.errors["distance_heads"]
    if np.isfinite(distance).any():
        curves = {}
        for name, joints in _GROUPS.items():
            values = distance[:, _indices(joints)]
            values = np.sort(values[np.isfinite(values)])
            if len(values):
                curves[name] = 100.0 * np.searchsorted(values, _HEADS) / len(values)
        labels = ("distance to the truth (heads)", "joints within it (%)")
        diagrams_by_name["pck_curve.png"] = plots.curves(_HEADS, curves, "PCKh over its threshold", *labels)
    solid = np.isfinite(result.errors["mpjpe_published"]).any()
    lines = {"published scale": "mpjpe_published", "metric scale": "mpjpe_metric", "aligned (P-MPJPE)": "p_mpjpe"}
    if not solid:
        lines = {"2D": "distance_px"}
    unit = "mean error (mm)" if solid else "mean error (px)"
    series = {
        name: [_mean(result.errors[key][:, j]) for j in range(16)]
        for name, key in lines.items()
        if np.isfinite(result.errors[key]).any()
    }
    if series:
        diagrams_by_name["error_by_joint.png"] = plots.bars(
            series, list(pose_errors.JOINT_NAMES), "Error by joint", unit
        )
    key = "mpjpe_published" if solid else "distance_px"
    series = {}
    for code, name in _VISIBILITY.items():
        values = np.where(result.visibility == code, result.errors[key], np.nan)
        if np.isfinite(values).any():
            series[name] = [_mean(values[:, _indices(joints)]) for joints in _GROUPS.values()]
    if series:
        diagrams_by_name["error_by_visibility.png"] = plots.bars(series, list(_GROUPS), "Error by visibility", unit)
    usable = np.isfinite(result.errors["distance_px"])
    if usable.any():
        key = "distance_heads" if np.isfinite(distance).any() else "distance_px"
        label = f"distance to the truth ({'heads' if key == 'distance_heads' else 'px'})"
        confidence = result.confidence[usable], result.errors[key][usable]
        diagrams_by_name["confidence.png"] = plots.error_against_quality(
            *confidence, "Joints: error against confidence", "confidence (height of the heatmap)", label
        )
    return diagrams_by_name


def write(
    output: str | os.PathLike, content: Mapping[str, Any], table: str, pictures: Mapping[str, np.ndarray]
) -> None:
    """Writes table.md, figures.json and the pictures into a folder, each whole or not at all; replaces what is there.

    Args:
      content: of figures.json. table: of table.md. pictures: file name -> uint8 `[H, W, 3]`, BGR.
    """
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        drawing.write_image(folder / name, picture, overwrite=True)
    atomic.write_text(folder / "table.md", table + "\n")
    atomic.write_text(folder / "figures.json", json.dumps(content, indent=1) + "\n")
