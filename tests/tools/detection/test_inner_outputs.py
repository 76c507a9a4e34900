"""Inner tensors as outputs: equal to what TensorFlow Lite keeps of them when it runs the whole model."""

import numpy as np
import pytest

from tools.detection import inner_outputs, mediapipe_models


def test_inner_tensors_are_those_of_the_whole_model():
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    import tensorflow as tf

    model = mediapipe_models.model_file("landmarks").read_bytes()
    picture = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    whole = tf.lite.Interpreter(model_content=model, experimental_preserve_all_tensors=True)
    wanted = [269, 298, 337, 251]
    part = tf.lite.Interpreter(model_content=inner_outputs.with_outputs(model, wanted))
    for interpreter in (whole, part):
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
    assert [output["index"] for output in part.get_output_details()] == wanted
    for tensor in wanted:
        expected = whole.get_tensor(tensor)
        np.testing.assert_allclose(part.get_tensor(tensor), expected, atol=1e-4 * np.abs(expected).max())
