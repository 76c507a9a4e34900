"""Learning rates against their formulas."""

import math

import pytest

from tools.training.schedules import WarmupCosine


@pytest.mark.parametrize(("steps", "asked", "warmup"), [(1000, 50, 50), (1000, 500, 100), (100, 200, 10), (5, 200, 1)])
def test_the_cosine_rises_falls_and_ends_low(steps, asked, warmup):
    """Short trainings warm up over a tenth."""
    schedule = WarmupCosine(2e-3, steps, asked)
    for step in {0, 4, 24, warmup - 1, steps // 10, steps // 2, steps - 1, steps, 2 * steps}:
        fall = max((1 + math.cos(math.pi * min(step / steps, 1))) / 2, 1e-3)
        assert float(schedule(step)) == pytest.approx(2e-3 * min((step + 1) / warmup, 1) * fall, rel=1e-4)


def test_without_a_fall_it_stays_at_the_peak():
    schedule = WarmupCosine(2e-3, 1000, 50, falls=False)
    assert [float(schedule(step)) for step in (0, 24, 100, 1000)] == pytest.approx([4e-5, 1e-3, 2e-3, 2e-3])


def test_its_settings_make_it_again():
    schedule = WarmupCosine(2e-3, 100, 200, falls=False)
    again = WarmupCosine.from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()
    assert float(again(3)) == float(schedule(3))
