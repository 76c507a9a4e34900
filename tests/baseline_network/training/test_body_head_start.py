"""A training that starts from a finished head computes what TensorFlow Lite computes with its file."""

import numpy as np
import pytest

from baseline_network.training import body_head, body_head_crops, body_head_start
from tools.cli.errors import InputError
from tools.detection import body_head as head


def test_the_network_computes_what_the_file_does(monkeypatch):
    rng, scale = np.random.default_rng(0), body_head_start.scale_of(head.WEIGHTS)
    assert scale.head == head.checksum()
    shapes = ((32, 32), (32, 32), (16, 16), (8, 8))
    several = []
    for _ in range(8):
        maps = rng.normal(-2, 3, (64, 64, 39)).astype(np.float32)
        several.append([maps])
        for shape, (mean, deviation) in zip(shapes, scale.tensors):
            values = rng.normal(0, 0.5, (*shape, len(mean))) * deviation + mean
            several[-1].append(values.astype(np.float32))
    kept = [np.stack(tensors) for tensors in zip(*(body_head_crops.as_bytes(one, scale.tensors) for one in several))]
    crops = body_head_crops.Crops(*kept, np.zeros((8, 14, 2)), np.arange(8), scale.tensors, np.zeros(8, bool))
    network = body_head.build()
    body_head_start.check(network, head.WEIGHTS)
    body_head_start.set_weights(network, head.WEIGHTS, crops, np.arange(8))
    tensors = body_head_crops.as_inputs(*kept)
    found, trained = network(tensors, training=False).numpy(), network(tensors, training=True).numpy()
    expected = np.stack([head.BodyHead().logits(inner) for inner in several])
    size = np.abs(expected - expected.mean()).mean()
    # As inputs kept in bytes allow; and by the statistics of these crops a training begins at the same place.
    assert np.abs(found - expected).mean() < 0.02 * size
    assert np.abs(trained - found).mean() < 0.02 * size
    monkeypatch.setattr(body_head, "_BLOCKS", (2, 2, 2))
    with pytest.raises(InputError, match="a head of other layers"):
        body_head_start.check(body_head.build(), head.WEIGHTS)
