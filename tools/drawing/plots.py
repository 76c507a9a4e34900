"""Diagrams for reports: distributions, error against quality, bars per action, curves.

Each is drawn by matplotlib on a canvas of its own, without pyplot, so that nothing is left open and no display is
needed. They return uint8 `[H, W, 3]`, BGR, of the given size (width, height).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tools.cli.errors import InputError

# Okabe and Ito's palette, in the order in which several series take them.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DOTS_PER_INCH = 120


def _figure(size: tuple[int, int], title: str, x_label: str, y_label: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / DOTS_PER_INCH, size[1] / DOTS_PER_INCH), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x_label, fontsize=10)
    axes.set_ylabel(y_label, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    return figure, axes


def _picture(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., 2::-1])


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        raise InputError(f"plot of {name}: there is no finite value")
    return values


def _legend(axes: Any, count: int) -> None:
    if count > 1:
        axes.legend(frameon=False, fontsize=9)


def histogram(
    series: Mapping[str, np.ndarray] | np.ndarray,
    title: str = "",
    x_label: str = "",
    bins: int = 40,
    limits: tuple[float, float] | None = None,
    size: tuple[int, int] = (720, 480),
) -> np.ndarray:
    """The distribution of one or several sets of values, each with its median.

    Args:
        series: values, or a dictionary from name to values; each is scaled to shares of its own number.
        limits: (low, high) of the values shown; what lies outside is counted in the outermost bars.

    Raises:
        InputError: for a set of values of which none is finite.
    """
    given = series if isinstance(series, Mapping) else {"": series}
    series = {name: _finite(values, name or title) for name, values in given.items()}
    everything = np.concatenate(list(series.values()))
    low, high = limits or (everything.min(), everything.max())
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    figure, axes = _figure(size, title, x_label, "share of all (%)")
    for (name, values), colour in zip(series.items(), SERIES):
        median = np.median(values)
        label = f"{name} (median {median:.3g}, n = {len(values):,})".strip()
        weights = np.full(len(values), 100 / len(values))
        kept = np.clip(values, edges[0], edges[-1])
        axes.hist(kept, edges, weights=weights, color=colour, alpha=0.35 if len(series) > 1 else 0.8, label=label)
        axes.hist(kept, edges, weights=weights, color=colour, histtype="step", linewidth=1.4)
        axes.axvline(np.clip(median, edges[0], edges[-1]), color=colour, linewidth=1.5, linestyle="--")
    axes.set_xlim(edges[0], edges[-1])
    axes.legend(frameon=False, fontsize=9)
    return _picture(figure)


def error_against_quality(
    quality: np.ndarray,
    error: np.ndarray,
    title: str = "",
    x_label: str = "quality",
    y_label: str = "MPJPE (mm)",
    size: tuple[int, int] = (720, 480),
) -> np.ndarray:
    """Error of each label over its quality, with the median and the quartiles of twelve groups of equal number."""
    quality, error = np.broadcast_arrays(np.asarray(quality, np.float64).ravel(), np.asarray(error, np.float64).ravel())
    usable = np.isfinite(quality) & np.isfinite(error)
    quality, error = _finite(quality[usable], "quality"), error[usable]
    order = np.argsort(quality, kind="stable")
    groups = np.array_split(order, min(12, len(order)))
    middle = [np.median(quality[group]) for group in groups]
    quartiles = np.array([np.percentile(error[group], [25, 50, 75]) for group in groups]).T
    figure, axes = _figure(size, title, x_label, y_label)
    shown = order[np.linspace(0, len(order) - 1, min(len(order), 5000)).astype(int)]
    axes.scatter(quality[shown], error[shown], s=5, color="#9A9A9A", alpha=0.35, linewidths=0, rasterized=True)
    axes.fill_between(middle, quartiles[0], quartiles[2], color=SERIES[0], alpha=0.2, linewidth=0, label="quartiles")
    axes.plot(middle, quartiles[1], color=SERIES[0], linewidth=2, marker="o", markersize=4, label="median")
    axes.set_ylim(0, max(1e-6, 1.05 * np.percentile(error, 99.5)))
    axes.legend(frameon=False, fontsize=9)
    return _picture(figure)


def bars(
    series: Mapping[str, Sequence[float]],
    names: Sequence[str],
    title: str = "",
    y_label: str = "MPJPE (mm)",
    size: tuple[int, int] = (960, 480),
) -> np.ndarray:
    """One group of bars for each name, such as the actions.

    Args:
        series: dictionary from the name of a series (such as before, after) to its values, one for each of `names`.
        names: what each group of bars is called.

    Raises:
        InputError: when a series has not one value for each name.
    """
    figure, axes = _figure(size, title, "", y_label)
    places = np.arange(len(names))
    width = 0.8 / max(1, len(series))
    for n, (name, listed) in enumerate(series.items()):
        values = np.asarray(listed, np.float64)
        if values.shape != (len(names),) or not len(names):
            raise InputError(f"plot of {name or title}: expected {len(names)} values, got {list(values.shape)}")
        axes.bar(
            places + (n - (len(series) - 1) / 2) * width,
            values,
            0.92 * width,
            color=SERIES[n % len(SERIES)],
            label=name,
        )
    axes.set_xticks(places, names, rotation=35 if len(names) > 6 else 0, ha="right" if len(names) > 6 else "center")
    axes.grid(False, axis="x")
    _legend(axes, len(series))
    return _picture(figure)


def shares_within(
    thresholds: np.ndarray, distances: Mapping[str, np.ndarray], title: str, x_label: str
) -> np.ndarray | None:
    """The percentage of joints within a distance of the truth, over that distance; None where no distance is finite.

    Args:
        thresholds: ascending distances.
        distances: dictionary from name to distances of joints, of any shape, NaN where one is not known.
    """
    series = {}
    for name, values in distances.items():
        known = np.sort(np.asarray(values)[np.isfinite(values)], axis=None)
        if len(known):
            series[name] = 100.0 * np.searchsorted(known, thresholds, side="right") / len(known)
    return curves(thresholds, series, title, x_label, "joints within it (%)") if series else None


def curves(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    size: tuple[int, int] = (720, 480),
) -> np.ndarray:
    """Lines over a common axis, such as the share of correct joints over the threshold.

    Args:
        x: values of the axis.
        series: dictionary from name to values, one for each x.
    """
    figure, axes = _figure(size, title, x_label, y_label)
    for (name, values), colour in zip(series.items(), SERIES):
        if np.shape(values) != np.shape(x):
            raise InputError(
                f"plot of {name or title}: expected {list(np.shape(x))} values, got {list(np.shape(values))}"
            )
        axes.plot(x, values, color=colour, linewidth=2, label=name)
    _legend(axes, len(series))
    return _picture(figure)
