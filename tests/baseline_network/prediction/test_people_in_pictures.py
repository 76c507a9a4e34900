"""Streams of pictures: order, batches, skips, boxes kept between frames."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import detection
from baseline_network.prediction import people_in_pictures
from baseline_network.prediction.people_in_pictures import predict_people
from tfrecords.formats import photographs
from tfrecords.source import Skip
from tools.cli.errors import InputError


class Echo:
    """A predictor whose answer for a person is made of his box and his picture's first pixel."""

    def __init__(self):
        self.batches = []

    def crops(self, picture, boxes):
        images = tf.fill([len(boxes), 2, 2, 3], tf.cast(picture[0, 0, 0], tf.float32))
        transforms = tf.concat([tf.reshape(boxes, [-1, 2, 2]), tf.zeros([len(boxes), 2, 1])], 2)
        return images, transforms

    def from_crops(self, images, transforms):
        self.batches.append(len(images))
        red, x = images[:, 0, 0, 0], transforms[:, 0, 0]
        points = np.zeros((len(images), 16, 2), np.float32)
        points[:, 0, 0], points[:, 0, 1] = red, x
        pose = np.zeros((len(images), 16, 3), np.float32)
        answer = {"points": points, "confidence": points[..., 0], "pose_3d": pose, "mm_per_pixel": x}
        return {name: tf.constant(value, tf.float32) for name, value in answer.items()}


class Boxes:
    """A chooser: picture of red value n has n % 4 people, none when that is 0."""

    def __init__(self):
        self.asked = []

    def people(self, pixels, name=""):
        red = int(pixels[0, 0, 2])
        self.asked.append(red)
        count = red % 4
        if not count:
            return Skip(detection.NOBODY, name)
        return [detection.Box(100.0 * red + i, 0.0, 5.0, 5.0, "detector", 1.0) for i in range(count)]


def photo(red, side=4):
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[..., 2] = red
    return photographs.Photo(f"{red}.png", pixels)


def stream(reds):
    for red in reds:
        yield f"{red}.png", Skip("image damaged", f"{red}.png") if red == 99 else photo(red)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 50])
def test_everybody_gets_his_own_answer_in_order(batch_size):
    reds = [3, 4, 99, 1, 2, 7, 8, 5]
    predictor = Echo()
    results = list(predict_people(predictor, Boxes(), stream(reds), batch_size))
    assert [result.name for result in results] == [f"{red}.png" for red in reds]
    for red, result in zip(reds, results):
        reason = "image damaged" if red == 99 else "nobody found" if red % 4 == 0 else None
        assert (result.skip.reason if result.skip else None) == reason
        assert (result.photo is None) == (red == 99)
        assert len(result.people) == (0 if reason else red % 4)
        for number, person in enumerate(result.people):
            assert person.points[0].tolist() == [red, 100 * red + number]
            assert person.box.x == person.mm_per_pixel == 100 * red + number
    assert max(predictor.batches) <= batch_size
    assert sum(predictor.batches) == 3 + 1 + 2 + 3 + 1


def test_few_pictures_wait_when_they_are_large(monkeypatch):
    monkeypatch.setattr(people_in_pictures, "_MOST_WAITING_BYTES", 100)
    taken = []

    def pictures():
        for red in (1, 2, 3, 5, 6):
            taken.append(red)
            yield f"{red}", photo(red)  # 48 bytes each

    results = predict_people(Echo(), Boxes(), pictures(), 1000)
    next(results)
    assert taken == [1, 2, 3]
    assert len(list(results)) == 4


def test_boxes_are_kept_between_the_frames_that_are_searched():
    chooser = Boxes()
    reds = [1, 2, 3, 4, 8, 5, 6, 7, 9]
    results = list(predict_people(Echo(), chooser, stream(reds), 4, every=3))
    assert chooser.asked == [1, 4, 8, 5, 6]  # frames 0, 3, 6; and those after a search that found nobody
    assert [len(result.people) for result in results] == [1, 1, 1, 0, 0, 1, 2, 2, 2]
    assert [result.people[0].box.x for result in results if result.people] == [100, 100, 100, 500, 600, 600, 600]


def test_answers_that_are_no_numbers_are_refused():
    class Broken(Echo):
        def from_crops(self, images, transforms):
            return {name: value * np.nan for name, value in super().from_crops(images, transforms).items()}

    with pytest.raises(InputError, match=r"1.png: the network's answer is not a number"):
        list(predict_people(Broken(), Boxes(), stream([1]), 4))
