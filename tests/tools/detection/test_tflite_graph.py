"""A TensorFlow Lite graph in TensorFlow's operations: equal to what TensorFlow Lite's interpreter computes."""

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.detection import inner_outputs, mediapipe_models
from tools.detection.tflite_graph import TfliteGraph

WANTED = (298, 277, 226, 251, 269, 337, 342, 339)


def test_the_landmark_network_gives_what_the_interpreter_gives():
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    content = mediapipe_models.checked_file("landmarks")
    pictures = np.random.default_rng(0).random((2, 256, 256, 3), np.float32)
    pictures[1] = np.linspace(0, 1, 256)[:, None, None]
    interpreter = tf.lite.Interpreter(model_content=inner_outputs.with_outputs(content, WANTED))
    interpreter.allocate_tensors()
    graph = TfliteGraph(content, WANTED)
    assert graph.input_shape == (256, 256, 3)
    results = graph(tf.constant(pictures))
    for row, picture in enumerate(pictures):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
        interpreter.invoke()
        for details, values, shape in zip(interpreter.get_output_details(), results, graph.output_shapes):
            expected = interpreter.get_tensor(details["index"])[0]
            assert values.shape[1:] == shape == expected.shape
            np.testing.assert_allclose(values[row], expected, atol=1e-4 * max(np.abs(expected).max(), 1.0))


def test_operators_that_are_not_known_are_named():
    function = tf.function(lambda x: tf.sin(x), input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    with pytest.raises(InputError, match="operator SIN of a TensorFlow Lite model"):
        TfliteGraph(content, [1])
