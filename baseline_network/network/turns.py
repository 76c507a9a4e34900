"""Looks at crops of people who may not be upright, by quarter turns, where a first look asks for it.

MediaPipe's landmark network is used on regions that are turned so that people are upright in them. Crops of boxes are
not: where the network is not sure, or sees a trunk that leans, it is shown the crop's other three quarter turns too,
which interpolate nothing, and the turn in which it is surest counts.
"""

from __future__ import annotations

import math

import tensorflow as tf

from baseline_network.network import decoding, kinds, targets

# Mean height of the peaks below which, and the trunk's angle to upright above which, the other turns are looked at.
# Chosen on training people that were held out; docs/baseline_network.md.
SURE = 0.5
LEANING_DEG = 30.0
_TURNS = 4

_Outputs = dict[str, tf.Tensor]


def predict(network: kinds.Answer, images: tf.Tensor) -> _Outputs:
    """The network's mean output for images [B, r, r, 3] and their mirror images, turned where that is surer.

    Two looks at upright people of whom the network is sure, six at others.
    """
    # One call for both: of one person, two looks take a fifth less time together.
    both = network(tf.concat([images, tf.reverse(images, [2])], 0))
    count = tf.shape(images)[0]
    first = {name: values[:count] for name, values in both.items()}
    outputs = decoding.mirrored_average(first, {name: values[count:] for name, values in both.items()})
    rows = tf.where(_doubtful(first["heatmaps"][:, -1]))[:, 0]

    def looked_again() -> _Outputs:
        chosen = {name: tf.gather(values, rows) for name, values in first.items()}
        turned = _surest(network, tf.gather(images, rows), chosen)
        return {
            name: tf.tensor_scatter_nd_update(values, rows[:, None], turned[name]) for name, values in outputs.items()
        }

    # The graph is not to see an empty batch.
    return tf.cond(tf.size(rows) > 0, looked_again, lambda: outputs)


def _doubtful(heatmaps: tf.Tensor) -> tf.Tensor:
    """[B] bool: people whom one look at a crop upright, heatmaps [B, h, w, 16], does not settle."""
    points, _ = decoding.peaks(heatmaps)
    trunk = points[:, targets.UPPER_NECK] - points[:, targets.PELVIS]
    leaning = tf.abs(tf.atan2(trunk[:, 0], -trunk[:, 1])) > math.radians(LEANING_DEG)
    return leaning | (_sureness(heatmaps) < SURE)


def _sureness(heatmaps: tf.Tensor) -> tf.Tensor:
    """[...]: the mean over the joints of the heatmaps' [..., h, w, J] peaks."""
    return tf.reduce_mean(tf.reduce_max(heatmaps, [-3, -2]), -1)


def _surest(network: kinds.Answer, images: tf.Tensor, first: _Outputs) -> _Outputs:
    """The outputs for images in the quarter turn in which one look is surest, averaged with the mirrored look there.

    first: outputs for the images as they are.
    """
    turned = [tf.image.rot90(images, turn) for turn in range(_TURNS)]
    count = tf.shape(images)[0]
    others = network(tf.concat(turned[1:], 0))
    looks = [first] + [
        {name: values[turn * count : (turn + 1) * count] for name, values in others.items()}
        for turn in range(_TURNS - 1)
    ]
    best = tf.argmax(tf.stack([_sureness(look["heatmaps"][:, -1]) for look in looks], 1), 1)
    plain = {name: _of_each(best, [look[name] for look in looks]) for name in first}
    mirrored = network(tf.reverse(_of_each(best, turned), [2]))
    outputs = decoding.mirrored_average(plain, mirrored)
    last = outputs["heatmaps"][:, -1]
    upright = _of_each(best, [tf.image.rot90(last, -turn) for turn in range(_TURNS)])
    return {"heatmaps": upright[:, None], "depths": outputs["depths"]}


def _of_each(best: tf.Tensor, several: list[tf.Tensor]) -> tf.Tensor:
    """Row by row one of several tensors [B, ...], by number [B]."""
    return tf.gather(tf.stack(several, 1), best, axis=1, batch_dims=1)
