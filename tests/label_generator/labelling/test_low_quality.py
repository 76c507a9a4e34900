"""One warning where nearly all labels have the lowest quality."""

import pytest

from label_generator.labelling.summaries import low_quality_line


@pytest.mark.parametrize(
    ("histogram", "changes", "warned"),
    [
        ([8, 0, 2], {}, True),
        ([5, 0, 0], {}, True),
        ([7, 1, 2], {}, False),
        ([4, 0, 0], {}, False),
        ([0, 0, 9], {}, False),
        ([9, 0, 0], {"quality_calibrated": False}, False),
        ([9, 0, 0], {"looks_like": "joint set coco17"}, False),
    ],
)
def test_only_where_most_labels_are_low_and_nothing_else_was_said(histogram, changes, warned):
    summary = {"labels": sum(histogram), "quality_histogram": histogram, "quality_calibrated": True, "looks_like": None}
    line = low_quality_line({**summary, **changes})
    assert bool(line) == warned
    if warned:
        assert line.startswith(f"{histogram[0]} of {sum(histogram)} labels have the lowest quality (below 0.1): joint")
