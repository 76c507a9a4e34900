"""Tables of figures: means against a slow loop, order, and the forms they are written in."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.pose import metric_tables

QUICK = settings(max_examples=60, deadline=None)


def example_table():
    errors = {
        "MPJPE": [10.0, 20.0, 30.0, 100.0, np.nan, np.nan],
        "P-MPJPE": [1.0, 2.0, 3.0, 10.0, 20.0, np.nan],
    }
    return metric_tables.action_table(
        errors, ["Walking", "Walking", "Walking", "WalkTogether", b"WalkTogether", "Eating"]
    )


def test_table_means():
    table = example_table()
    assert [(row.action, row.poses) for row in table.rows] == [("Eating", 1), ("Walking", 3), ("WalkTogether", 2)]
    assert table.rows[1].errors["MPJPE"] == (20.0, 3, 0)
    assert table.rows[2].errors["MPJPE"] == (100.0, 1, 1)
    assert table.rows[2].errors["P-MPJPE"] == (15.0, 2, 0)
    assert table.frame_wise["MPJPE"] == (40.0, 4, 2)
    assert table.action_wise["MPJPE"] == (60.0, 2, 1)
    assert table.frame_wise["P-MPJPE"] == (pytest.approx(7.2), 5, 1)
    assert table.action_wise["P-MPJPE"] == (8.5, 2, 1)


def test_table_order():
    actions = "Directions Discussion Eating Greeting Phoning Photo Posing Purchases Sitting SittingDown Smoking Waiting"
    actions = [*actions.split(), "WalkDog", "Walking", "WalkTogether"]
    table = metric_tables.action_table({"MPJPE": np.arange(15)}, actions[::-1])
    assert [row.action for row in table.rows] == actions
    table = metric_tables.action_table({"MPJPE": np.arange(15)}, actions, order=["Waiting", "Absent", "Greeting"])
    assert [row.action for row in table.rows][:3] == ["Waiting", "Greeting", "Directions"]


@QUICK
@given(groups=st.lists(st.tuples(st.sampled_from("abcde"), st.one_of(st.floats(0, 1e4), st.just(np.nan))), min_size=1))
def test_table_means_are_the_loops(groups):
    table = metric_tables.action_table({"error": [error for _, error in groups]}, [action for action, _ in groups])
    means = []
    for row in table.rows:
        errors = [error for action, error in groups if action == row.action and not np.isnan(error)]
        assert row.errors["error"].count == len(errors)
        if errors:
            means.append(sum(errors) / len(errors))
            assert row.errors["error"].mean == pytest.approx(means[-1])
    assert sum(row.poses for row in table.rows) == len(groups)
    if means:
        assert table.action_wise["error"].mean == pytest.approx(sum(means) / len(means))


def test_table_as_text():
    text = example_table().render(decimals=2)
    lines = text.splitlines()
    assert lines[0].split() == ["action", "poses", "MPJPE", "P-MPJPE"]
    assert lines[2].split() == ["Eating", "1", "-", "-"]
    assert lines[3].split() == ["Walking", "3", "20.00", "2.00"]
    assert lines[6].split() == ["mean", "over", "poses", "6", "40.00", "7.20"]
    assert lines[7].split() == ["mean", "over", "actions", "6", "60.00", "8.50"]
    assert len({len(line) for line in lines[:8]}) == 1
    assert lines[9] == "Poses without an error, left out of the means: MPJPE 2, P-MPJPE 1."


def test_table_as_markdown():
    lines = example_table().render(markdown=True).splitlines()
    assert lines[:4] == [
        "| action | poses | MPJPE | P-MPJPE |",
        "|---|---:|---:|---:|",
        "| Eating | 1 | - | - |",
        "| Walking | 3 | 20.0 | 2.0 |",
    ]
    assert lines[5] == "| **mean over poses** | **6** | **40.0** | **7.2** |"
    piped = metric_tables.action_table({"a|b": [1.0]}, ["x|y"]).render(markdown=True).splitlines()
    assert piped[0] == "| action | poses | a\\|b |"
    assert piped[2] == "| x\\|y | 1 | 1.0 |"
    assert len(piped) == 5


def test_table_as_json():
    content = json.loads(json.dumps(example_table().as_dict(), allow_nan=False))
    assert content["metrics"] == ["MPJPE", "P-MPJPE"]
    assert content["actions"][0] == {
        "action": "Eating",
        "poses": 1,
        "errors": {metric: {"mean": None, "count": 0, "left_out": 1} for metric in content["metrics"]},
    }
    assert content["frame_wise"]["MPJPE"] == {"mean": 40.0, "count": 4, "left_out": 2}


def test_table_refuses_what_does_not_line_up():
    with pytest.raises(ValueError, match="at least one metric"):
        metric_tables.action_table({}, ["a"])
    with pytest.raises(ValueError, match=r"MPJPE \(3,\)"):
        metric_tables.action_table({"MPJPE": [1, 2, 3]}, ["a", "b"])
