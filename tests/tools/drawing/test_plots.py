import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.drawing import plots

RNG = np.random.default_rng(0)


def coloured(image, colour):
    """Pixels of a #RRGGBB colour, wherever it is opaque."""
    wanted = [int(colour[n : n + 2], 16) for n in (5, 3, 1)]
    return (np.abs(image.astype(int) - wanted) < 12).all(-1)


def test_bars_are_as_high_as_their_values():
    image = plots.bars({"before": [80.0, 40.0], "after": [20.0, 60.0]}, ["Walking", "Sitting"], size=(600, 400))
    assert image.shape == (400, 600, 3)
    assert image.dtype == np.uint8
    heights = []
    for colour in plots.SERIES[:2]:
        # From the axis upwards as long as the colour lasts, so that the legend does not count.
        bar = np.flatnonzero(coloured(image, colour)[365])
        rising = [np.cumprod(coloured(image, colour)[365::-1, x]).sum() for x in (bar.min() + 5, bar.max() - 5)]
        heights.append(rising)
    (a, c), (b, d) = heights
    assert a / c == pytest.approx(2, abs=0.15)
    assert d / b == pytest.approx(3, abs=0.25)


def test_the_histogram_follows_its_values():
    low, high = (plots.histogram(RNG.normal(m, 5, 4000), limits=(0, 100)) for m in (20, 80))
    places = [np.nonzero(coloured(image, plots.SERIES[0])[60:])[1].mean() for image in (low, high)]
    assert places[0] < 360 < places[1]
    both = plots.histogram({"a": [1.0, 2.0, np.nan], "b": [5.0, 5.0]}, "t", "mm")
    assert coloured(both, plots.SERIES[1]).any()


def test_the_median_of_error_against_quality_falls():
    quality = RNG.uniform(0, 1, 3000)
    image = plots.error_against_quality(quality, 100 * (1.1 - quality) + RNG.normal(0, 5, 3000))
    rows, columns = np.nonzero(coloured(image, plots.SERIES[0])[90:])
    assert np.corrcoef(rows, columns)[0, 1] > 0.9  # rows count downwards


def test_curves_rise_where_their_values_do():
    image = plots.curves(np.arange(10), {"one": np.arange(10.0)}, size=(500, 400))
    rows, columns = np.nonzero(coloured(image, plots.SERIES[0]))
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


def test_bad_values_are_refused():
    with pytest.raises(InputError, match="no finite"):
        plots.histogram([np.nan])
    with pytest.raises(InputError, match="no finite"):
        plots.error_against_quality([np.nan], [1.0])
    with pytest.raises(InputError, match="expected 2 values"):
        plots.bars({"x": [1.0]}, ["a", "b"])
    with pytest.raises(InputError, match="expected"):
        plots.curves([1, 2], {"x": [1.0]})


def test_nothing_stays_open():
    import matplotlib._pylab_helpers as helpers

    plots.bars({"x": [1.0]}, ["a"])
    assert not helpers.Gcf.figs


def test_shares_within_counts_the_joints_that_are_near_enough(monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "curves", lambda x, series, *_: drawn.update(x=x, **series))
    distances = np.array([[0.0, 1.0, 2.0], [np.nan, 5.0, np.inf]])
    plots.shares_within(np.array([0.0, 1.0, 1.5, 5.0]), {"a": distances, "b": np.full(3, np.nan)}, "t", "x")
    np.testing.assert_allclose(drawn["a"], [25, 50, 50, 100])
    assert set(drawn) == {"x", "a"}
    assert plots.shares_within(np.arange(3.0), {"b": np.full(3, np.nan)}, "t", "x") is None
