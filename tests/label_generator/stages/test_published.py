"""The published stages: what they state agrees with the paper's sizes, the released row orders and the flagfiles."""

import numpy as np
import pytest
import tensorflow as tf

from label_generator.stages import left2right, names, pose3d, published
from label_generator.stages.published import STAGES, stage_named
from tools.cli.errors import InputError


def test_names_sizes_and_layouts_are_the_published_ones():
    stated = {
        name: (stage.fields, stage.input_size, stage.output_size, stage.layout, stage.unit)
        for name, stage in STAGES.items()
    }
    assert stated == {
        "left2right": (("pose_2d", "right_2d"), 34, 34, "planar", "px"),
        "pose3d": (("pose_2d", "right_2d", "pose_3d"), 68, 51, "interleaved", "mm"),
        "direct": (("pose_2d", "pose_3d"), 34, 51, "interleaved", "mm"),
    }
    assert tuple(STAGES) == names.NETWORKS
    assert tuple(stage.name for stage in published.PAPER) == names.PAPER
    with pytest.raises(InputError, match="expected one of left2right, pose3d, direct"):
        stage_named("right2left")


@pytest.mark.parametrize("name", names.NETWORKS)
def test_every_stage_has_a_flagfile_that_trains_it(repository, name):
    lines = (repository / "label_generator" / "flags" / f"{name}.cfg").read_text(encoding="utf-8").splitlines()
    assert f"--stage={name}" in lines


def test_rows_of_both_views_lie_side_by_side():
    left, right = np.arange(34.0).reshape(1, 17, 2), 100 + np.arange(34.0).reshape(1, 17, 2)
    stage = STAGES["pose3d"]
    rows = stage.input_rows(left, right)
    assert rows[0, :4].tolist() == [0, 1, 2, 3]
    assert rows[0, 34:38].tolist() == [100, 101, 102, 103]
    np.testing.assert_array_equal(stage.input_rows(tf.constant(left), tf.constant(right)), rows)
    planar = STAGES["left2right"].input_rows(left)
    assert planar[0, :3].tolist() == [0, 2, 4]
    assert planar[0, 17:20].tolist() == [1, 3, 5]
    np.testing.assert_array_equal(STAGES["left2right"].output_poses(planar), left)


def test_errors_are_pckh_in_heads_of_the_exact_truth_and_mpjpe():
    truth = np.zeros((2, 17, 2))
    truth[:, 1, 1] = [10.0, 20.0]  # head segments
    predicted = truth + [[[6.0, 0.0]], [[6.0, 0.0]]]
    mask = np.ones((2, 17), bool)
    errors = left2right.errors(predicted, truth, mask, truth)
    np.testing.assert_allclose(errors["pckh"], [0, 100])
    np.testing.assert_allclose(errors["right_px"], [6, 6])
    pose = np.zeros((1, 17, 3))
    np.testing.assert_allclose(pose3d.errors(pose + [0, 3, 4], pose, mask[:1], pose)["mpjpe_mm"], [5])
