"""Boxes of a detector in place of the records': who is whose, and how people who were not found are counted."""

import cv2
import numpy as np
import pytest

from baseline_network.evaluation import detected_boxes, pose_errors, record_evaluation
from baseline_network.images.detection import Box
from tfrecords.source import Skip


def picture(red, width=60, height=40):
    """PNG bytes of one colour, by whose red a detector can tell it."""
    done, data = cv2.imencode(".png", np.full((height, width, 3), (0, 0, red), np.uint8))
    assert done
    return data.tobytes()


def test_the_box_that_overlaps_most_is_the_persons():
    told = {
        1: [Box(0, 0, 10, 10, "detector", 3.0), Box(22, 0, 20, 20, "detector", 1.0)],
        2: Skip("nobody found", ""),
        3: [Box(50, 30, 5, 5, "detector", 9.0)],  # somebody else
        4: [Box(18, 2, 20, 20, "detector", 1.0)],
    }
    truth = np.tile(np.array([20.0, 0, 20, 20], np.float32), (5, 1))
    data = [picture(1), picture(2), picture(3), picture(4), b"broken"]
    boxes, found = detected_boxes.boxes_of(data, truth, lambda pixels: told[int(pixels[0, 0, 2])])
    assert found.tolist() == [True, False, False, True, False]
    np.testing.assert_array_equal(boxes, [told[1][1][:4], truth[1], truth[2], told[4][0][:4], truth[4]])


@pytest.mark.parametrize(("shift", "kept"), [(0, True), (16, True), (17, False), (30, False)])
def test_least_overlap(shift, kept):
    # squares of 20 px, moved: 20 - s of 20 + s columns are common, a tenth at 16.4
    box = [Box(20.0 + shift, 0, 20, 20, "detector")]
    _, found = detected_boxes.boxes_of([picture(0)], np.array([[20.0, 0, 20, 20]]), lambda _: box)
    assert found.tolist() == [kept]


def test_those_not_found_are_missed():
    shares, lengths = pose_errors.SHARES, (*pose_errors.LENGTHS, "distance_px")
    errors = {name: np.full([3, 16], 100.0) for name in (*shares, *lengths)}
    for values in errors.values():
        values[:, 5] = np.nan
    counted = detected_boxes.count_as_missed(errors, np.array([True, False, True]))
    for name in shares:
        assert np.nanmean(counted[name]) == pytest.approx(200 / 3)
        assert np.isnan(counted[name][:, 5]).all()
    for name in lengths:
        assert np.isnan(counted[name][1]).all()
        np.testing.assert_array_equal(counted[name][[0, 2]], errors[name][[0, 2]])


def test_whole_evaluation(rendered_people, write_pictured, tmp_path):
    people = rendered_people[:4]
    boxes = [Box(*person.box, "detector") for person in people]
    answers = iter([[boxes[0]._replace(x=boxes[0].x + 3)], Skip("nobody found", ""), [boxes[2]], [boxes[3]]])

    class Exact:
        """Knows the truth, so that only the boxes matter."""

        margin = 1.25

        def from_files(self, encoded, boxes):
            import tensorflow as tf

            from baseline_network.network import targets

            known = {person.image: person for person in people}
            chosen = [known[data] for data in encoded.numpy()]
            points, pose = (
                np.array([targets.MPII16_FROM_POSE17 @ getattr(one, field) for one in chosen], np.float32)
                for field in ("pose_2d", "pose_3d")
            )
            values = {"points": points, "pose_3d": pose, "confidence": np.ones(points.shape[:2], np.float32)}
            return {name: tf.constant(array) for name, array in values.items()}

    file = write_pictured(tmp_path / "some.tfrecord", people)
    result = record_evaluation.evaluate_records(Exact(), file, 4, quiet=True, people=lambda _: next(answers))
    assert (result.unfound, len(result)) == (1, 4)
    assert result.boxes[0, 0] == pytest.approx(people[0].box[0] + 3)
    share = pose_errors.by_person(result.errors["pckh@0.5"])
    np.testing.assert_array_equal(share, [100, 0, 100, 100])
    assert pose_errors.summary(result.errors)["pckh@0.5"] == pytest.approx(75, abs=3)
