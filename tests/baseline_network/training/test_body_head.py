"""Training of the body head: its loss by a plain loop, and the command from annotated photographs to a file in use."""

import numpy as np
import pytest

from baseline_network import train_body_head
from baseline_network.training import body_head
from tools.cli import command
from tools.detection import body_head as head
from tools.detection import mediapipe_models


def test_the_loss_is_the_cross_entropy_with_a_gaussian():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    logits, places = rng.normal(size=(2, 6, 6, 3)).astype(np.float32), rng.uniform(size=(2, 3, 2)).astype(np.float32)
    places[0, 1] = np.nan
    places[1, 2, 0] = 1.2
    total, count = 0.0, 0
    for b in range(2):
        for j in range(3):
            if np.isfinite(places[b, j]).all() and (places[b, j] < 1).all():
                shares = np.exp(logits[b, :, :, j].astype(float))
                shares /= shares.sum()
                wanted = np.zeros((6, 6))
                for row in range(6):
                    for column in range(6):
                        away = [column + 0.5 - 6 * places[b, j, 0], row + 0.5 - 6 * places[b, j, 1]]
                        wanted[row, column] = np.exp(-np.square(away).sum() / (2 * 0.9**2))
                total -= (wanted / wanted.sum() * np.log(shares)).sum()
                count += 1
    assert count == 4
    assert float(body_head.loss(tf.constant(logits), tf.constant(places))) == pytest.approx(total / count, rel=1e-4)


@pytest.mark.slow
def test_from_annotated_photographs_to_a_head_that_is_used(pose3d_data, tmp_path, monkeypatch):
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    source, output = pose3d_data / "photos" / "lspet_val_joints.npz", tmp_path / "head"
    if not source.is_file():
        pytest.skip("needs photos/lspet_val_joints.npz of the shared data")
    arguments = [f"--input={source}", f"--output={output}", "--crops=96", "--batch_size=16", "--epochs=1"]
    with pytest.raises(SystemExit) as ended:
        command.run(train_body_head.main, train_body_head.declare, ["train", *arguments])
    assert not ended.value.code
    monkeypatch.setattr(head, "WEIGHTS", output / "body_head.tflite")
    monkeypatch.setattr(head, "CHECKSUM", output / "body_head.sha256")
    from baseline_network.training import body_head_crops

    # The file computes from floats what the network computes from bytes.
    crops = body_head_crops.load(output / "crops")
    network, figures = body_head.train(crops, body_head.Plan(epochs=1, batch_size=16), lambda line: None)
    assert figures["steps"] >= 1
    body_head.write(network, crops, output / "body_head.tflite")
    rng = np.random.default_rng(0)
    maps = rng.normal(-2, 3, (64, 64, 39)).astype(np.float32)
    shapes = ((32, 32), (32, 32), (16, 16), (8, 8))
    inner = [maps] + [
        (rng.normal(0, 1, (*shape, values.shape[1])) * values[1] + values[0]).astype(np.float32)
        for shape, values in zip(shapes, crops.scale)
    ]
    of_bytes = [values[None] for values in body_head_crops.as_bytes(inner, crops.scale)]
    expected = network(body_head_crops.as_inputs(*of_bytes), training=False).numpy()[0]
    found = head.BodyHead().logits(inner)
    assert np.abs(found - expected).mean() < 0.05 * np.abs(expected).mean() + 0.02
