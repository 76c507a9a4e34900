"""The baseline network for other programs: a SavedModel of the whole prediction, TFLite files of the network itself.

What a TFLite file holds is the network from crop to heatmaps and depths: decoding JPEG has no TFLite operation, and
cropping and reading the peaks are a few lines in any language (docs/baseline_network.md has them), while every
operation here runs on the accelerators of phones, which take tensors of four dimensions at most.
"""

from __future__ import annotations

import os
import time
from typing import Callable

import numpy as np
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import decoding, kinds, landmark_encoder, scaling
from baseline_network.prediction.predictor import Predictor
from tools.cli import quiet
from tools.cli.errors import InputError

PRECISIONS = ("float16", "int8")
# How far a float16 file's heatmaps (about 1 at a joint) and depths (in half crops) may lie from the Keras model's, and
# how far a SavedModel's joints may. Half precision keeps eleven bits; nothing is rounded in a SavedModel.
FLOAT16_BOUND = 0.02
SAVED_BOUND_PX, SAVED_BOUND_MM = 0.1, 1.0
_TIMED_SECONDS, _MIN_TIMED_CALLS = 0.5, 3


class _AddNearest(tf.keras.layers.Layer):
    """`scaling.AddUpsampled` by a resize, whose tensors have four dimensions."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        fine, coarse = inputs
        # Twice as large, both conventions of where pixels lie agree; ONNX has no current name for the other one.
        size = list(fine.shape[1:3])
        return fine + tf.raw_ops.ResizeNearestNeighbor(images=coarse, size=size, half_pixel_centers=False)


def core(model: tf.keras.Model) -> tf.keras.Model:
    """The part of the network that goes into TFLite.

    Args:
      model: of `kinds.build`, float32; for int8 one of `equalization.equalized`.

    Returns:
      A model from a crop 'image' [B, r, r, 3], RGB, 0 to 255, to the last stack's 'heatmaps' [B, r/4, r/4, 16] and
      'depths' [B, 16], with its own copy of the values.
    """
    if model.name in (landmark_encoder.KIND, landmark_encoder.LIFTING_KIND):
        image = tf.keras.Input(model.input.shape[1:], name="image")
        outputs = model(image[..., ::-1] * (1.0 / 256.0))
        return tf.keras.Model(image, {"heatmaps": outputs["heatmaps"][:, 0], "depths": outputs["depths"]}, name="core")

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, scaling.AddUpsampled):
            return _AddNearest(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copied = tf.keras.models.clone_model(model, clone_function=copy)
    copied.set_weights(model.get_weights())
    # The network takes BGR: instead of turning every crop round, its first kernel is.
    first = copied.get_layer("conv1_")
    first.kernel.assign(first.kernel[:, :, ::-1])
    stacks = kinds.sizes_of(model).stacks
    outputs = {"heatmaps": copied.get_layer(f"heatmaps.{stacks - 1}").output, "depths": copied.output["depths"]}
    inside = tf.keras.Model(copied.input, outputs)
    image = tf.keras.Input(model.input.shape[1:], name="image")
    return tf.keras.Model(image, inside(image * (1.0 / 256.0)), name="core")


def convert(core: tf.keras.Model, precision: str, crops: np.ndarray) -> bytes:
    """A TFLite file of `core` for one crop at a time, float32 in and out.

    Args:
      precision: 'float16', the values are stored so; 'int8', values and all that lies between the layers are.
      crops: [N, r, r, 3] RGB, 0 to 255; int8 takes the ranges of what lies between the layers from them.
    """
    # Functions of the whole Keras model would be saved and read again on the way, which takes minutes.
    holder = tf.Module(name="core")
    holder.values = list(core.variables)
    shape = tf.TensorSpec([1, *core.input.shape[1:]], tf.float32, "image")
    function = tf.function(lambda image: core(image, training=False), input_signature=[shape])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([one[None].astype(np.float32)] for one in crops)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with quiet.only_on_failure():
        return converter.convert()


class TFLiteCore:
    """A converted file, to be called as the network is."""

    def __init__(self, content: bytes, threads: int | None = None):
        """threads: None for one on each core."""
        self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads or os.cpu_count())
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Crops [N, r, r, 3] RGB, 0 to 255, one after the other -> heatmaps [N, r/4, r/4, 16], depths [N, 16]."""
        parts = [self._run(image=one[None].astype(np.float32)) for one in crops]
        return {name: np.concatenate([part[name] for part in parts]) for name in ("heatmaps", "depths")}


def save_saved_model(predictor: Predictor, folder: str, static_batch: int = 1, refine: str = decoding.QUARTER) -> None:
    """Writes the predictor as a SavedModel that needs TensorFlow alone. Signatures:

    * serving_default: `Predictor.from_files`, encoded [N] JPEG or PNG bytes, boxes [N, 4];
    * pixels: `Predictor.from_pixels`, picture [H, W, 3] uint8, boxes [N, 4];
    * crops: `Predictor.from_crops`, images [N, r, r, 3] float32, transforms [N, 2, 3];
    * static: images [static_batch, r, r, 3] float32; points are pixels of the crop. All shapes in it are fixed, as
      compilers and accelerators want them, so it looks at no turned crops (`turns`).

    Args:
      refine: see `decoding.peaks`; of static alone, the others have the predictor's.
    """
    side = predictor.resolution
    whole = tf.tile(tf.eye(2, 3)[None], [static_batch, 1, 1])

    def static(images: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = crop.to_network(images)
        outputs = decoding.predict_both_ways(predictor.answer, inputs) if predictor.flip else predictor.answer(inputs)
        # The network is a function of any batch; that this one's size is fixed is to be seen from here on.
        heatmaps = tf.ensure_shape(outputs["heatmaps"], [static_batch, *[None] * 4])[:, -1]
        depths = tf.ensure_shape(outputs["depths"], [static_batch, None])
        return decoding.predictions_to_pose(heatmaps, depths, whole, side, None, refine)

    # Not the predictor itself: the Keras model's own functions would be saved too, many times the size of the graph.
    # The values are tensors of the network's function, which all signatures call.
    saved = tf.Module(name="baseline_network")
    saved.serving_default, saved.pixels = predictor.from_files, predictor.from_pixels
    saved.crops = predictor.from_crops
    saved.static = tf.function(
        static, input_signature=[tf.TensorSpec([static_batch, side, side, 3], tf.float32, "images")]
    )
    signatures = {name: getattr(saved, name) for name in ("serving_default", "pixels", "crops", "static")}
    tf.saved_model.save(saved, folder, signatures=signatures)


def heatmaps_and_depths(model: tf.keras.Model, crops: np.ndarray) -> dict[str, np.ndarray]:
    """The Keras model's last heatmaps and depths for crops [N, r, r, 3] RGB, 0 to 255."""
    outputs = model(crop.to_network(tf.constant(crops)), training=False)
    return {"heatmaps": outputs["heatmaps"][:, -1].numpy(), "depths": outputs["depths"].numpy()}


def decode(
    outputs: dict[str, np.ndarray], transforms: np.ndarray, resolution: int, refine: str = decoding.QUARTER
) -> dict[str, np.ndarray]:
    """`decoding.predictions_to_pose` of heatmaps [N, h, w, 16] and depths [N, 16], as arrays."""
    poses = decoding.predictions_to_pose(
        tf.constant(outputs["heatmaps"]), tf.constant(outputs["depths"]), transforms, resolution, None, refine
    )
    return {name: value.numpy() for name, value in poses.items()}


def differences(expected: dict[str, np.ndarray], exported: dict[str, np.ndarray]) -> dict[str, float]:
    """How far joints lie apart, over all people and joints: px of the picture, and mm of the pose.

    The median measures rounding; the largest belongs to a joint whose heatmap has two peaks of similar height.
    """
    result = {}
    for name, unit in (("points", "px"), ("pose_3d", "mm")):
        apart = np.linalg.norm(np.float64(expected[name]) - exported[name], axis=-1)
        result[f"median_{unit}"], result[f"max_{unit}"] = float(np.median(apart)), float(apart.max())
    return result


def output_differences(expected: dict[str, np.ndarray], exported: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of heatmaps and of depths."""
    return {f"max_{name}": float(np.abs(expected[name] - exported[name]).max()) for name in ("heatmaps", "depths")}


def check_float16(difference: dict[str, float], name: str) -> None:
    """Raises `InputError` when `output_differences` of a float16 file exceed `FLOAT16_BOUND` (or are no numbers)."""
    for key, value in difference.items():
        if not value <= FLOAT16_BOUND:
            raise InputError(
                f"{name}: {key[4:]} differ from the Keras model's by up to {value:.3g}, at most {FLOAT16_BOUND} was "
                "expected of float16; the network's values may be too large or too small for it"
            )


def check_saved(difference: dict[str, float], name: str) -> None:
    """Raises `InputError` when `differences` of a SavedModel exceed its bounds (or are no numbers)."""
    if not (difference["max_px"] <= SAVED_BOUND_PX and difference["max_mm"] <= SAVED_BOUND_MM):
        raise InputError(
            f"{name}: joints differ from the Keras model's by up to {difference['max_px']:.3g} px and "
            f"{difference['max_mm']:.3g} mm; at most {SAVED_BOUND_PX} and {SAVED_BOUND_MM} were expected"
        )


def milliseconds(call: Callable[[], object]) -> float:
    """The median time of a call, after one that is not counted."""
    call()
    times: list[float] = []
    while sum(times) < _TIMED_SECONDS or len(times) < _MIN_TIMED_CALLS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times))
