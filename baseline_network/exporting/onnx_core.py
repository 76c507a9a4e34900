"""The network from crop to heatmaps and depths as an ONNX model, for ONNX Runtime and browsers."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tools.cli import quiet
from tools.cli.errors import InputError
from tools.detection import tflite_graph

OPSET = 17
# How far heatmaps (about 1 at a joint) and depths (in half crops) may lie from the Keras model's, in float32.
BOUND = 1e-4
OUTPUTS = ("heatmaps", "depths")


def check_packages() -> None:
    """Raises `InputError` where the packages that make and run the model are not installed."""
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise InputError(f"--formats=onnx needs tf2onnx and onnxruntime (pip install -e '.[onnx]'): {error}") from None


def convert(core: tf.keras.Model) -> bytes:
    """The ONNX model of `formats.core`, float32: 'image' [N, r, r, 3] RGB, 0 to 255 -> 'heatmaps' and 'depths'.

    Raises:
      InputError: see `check_packages`.
    """
    check_packages()
    import tf2onnx

    shape = tf.TensorSpec([None, *core.input.shape[1:]], tf.float32, "image")
    function = tf.function(lambda image: core(image, training=False), input_signature=[shape])
    with quiet.only_on_failure(), tflite_graph.constants_inside():
        model, _ = tf2onnx.convert.from_function(function, input_signature=[shape], opset=OPSET)
    return bytes(model.SerializeToString())


class OnnxCore:
    """A converted model, to be called as the network is."""

    def __init__(self, content: bytes, threads: int = 0):
        """threads: 0 for one on each core."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Crops [N, r, r, 3] RGB, 0 to 255 -> heatmaps [N, r/4, r/4, 16], depths [N, 16]."""
        return dict(zip(OUTPUTS, self._session.run(list(OUTPUTS), {"image": crops.astype(np.float32)})))


def check(difference: dict[str, float], name: str) -> None:
    """Raises `InputError` when `formats.output_differences` exceed `BOUND` (or are no numbers)."""
    for key, value in difference.items():
        if not value <= BOUND:
            raise InputError(
                f"{name}: {key[4:]} differ from the Keras model's by up to {value:.3g}, at most {BOUND} was expected"
            )
