"""Looks at turned crops, with a network that is written here and knows people upright alone."""

import numpy as np
import pytest
import tensorflow as tf

from baseline_network.network import targets, turns

SIDE = 16
NECK, PELVIS = targets.UPPER_NECK, targets.PELVIS
LEFT, RIGHT = (targets.MPII16.index(name) for name in ("LWrist", "RWrist"))
PLACES = {NECK: (8, 3), PELVIS: (8, 10), LEFT: (13, 6), RIGHT: (2, 5)}  # x, y of a person upright


def picture(turn):
    """[SIDE, SIDE, 3]: a person, turned; its channels are neck, pelvis, and 1 and 2 for what is on either side."""
    pixels = np.zeros((SIDE, SIDE, 3), np.float32)
    for channel, (joint, value) in zip((0, 1, 2, 2), ((NECK, 1), (PELVIS, 1), (LEFT, 1), (RIGHT, 2))):
        x, y = PLACES[joint]
        pixels[y, x, channel] = value
    return np.rot90(pixels, turn)


class Upright:
    """Takes people for what they are when their head is up, and else the two sides for each other, with doubt."""

    def __init__(self):
        self.looks = 0

    def __call__(self, images):
        heatmaps, depths = tf.numpy_function(self.answer, [images], [tf.float32, tf.float32])
        heatmaps.set_shape([None, 1, SIDE, SIDE, 16])
        depths.set_shape([None, 16])
        return {"heatmaps": heatmaps, "depths": depths}

    def answer(self, images):
        self.looks += len(images)
        heatmaps = np.zeros((len(images), 1, SIDE, SIDE, 16), np.float32)
        depths = np.zeros((len(images), 16), np.float32)
        for row, image in enumerate(images):
            places = {NECK: image[..., 0] == 1, PELVIS: image[..., 1] == 1}
            up = np.argwhere(places[NECK])[0, 0] < np.argwhere(places[PELVIS])[0, 0] - 5
            # A mirror image shows the other side: what is left on it is what lies at the right.
            first, second = (image[..., 2] == value for value in (1, 2))
            is_left = np.argwhere(first)[0, 1] > np.argwhere(second)[0, 1]
            places[LEFT], places[RIGHT] = (first, second) if is_left == up else (second, first)
            for joint in range(16):
                heatmaps[row, 0, ..., joint] = places.get(joint, places[PELVIS]) * (1.0 if up else 0.4)
            depths[row, LEFT], depths[row, RIGHT] = (1.0, -1.0) if up else (-1.0, 1.0)
        return heatmaps, depths


@pytest.fixture(scope="module")
def network():
    return Upright()


@pytest.fixture(scope="module")
def predict(network):
    """`turns.predict` as it is run, in a graph for any number of people -> (outputs, looks)."""
    signature = [tf.TensorSpec([None, SIDE, SIDE, 3])]
    compiled = tf.function(lambda images: turns.predict(network, images), input_signature=signature)

    def run(people):
        before = network.looks
        return compiled(people), network.looks - before

    return run


@pytest.mark.parametrize("turn", range(4))
def test_the_turn_in_which_the_network_is_surest_counts(turn, predict):
    outputs, looks = predict(picture(turn)[None])
    for joint, (x, y) in PLACES.items():
        expected = np.zeros((SIDE, SIDE), np.float32)
        expected[y, x] = 1.0
        np.testing.assert_allclose(outputs["heatmaps"][0, 0, ..., joint], np.rot90(expected, turn), atol=1e-6)
    assert looks == (6 if turn else 2)


def test_rows_that_are_sure_stay_as_they_are(predict):
    people = np.stack([picture(turn) for turn in (0, 2, 0, 3)])
    together, looks = predict(people)
    assert looks == 2 * 4 + 2 * 4
    for row, person in enumerate(people):
        alone, _ = predict(person[None])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row], values[0], atol=1e-6)
