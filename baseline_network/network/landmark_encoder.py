"""The baseline network on MediaPipe's landmark network: its frozen inner maps, and a small head that is trained.

The landmark network (Bazarevsky et al.: BlazePose: On-device Real-time Body Pose Tracking, CVPR workshop 2020) was
trained on many more people than this project's training sets have. Its file is read from the installed wheel whenever
a network is built; a weights folder holds the head alone. The head is a feature pyramid over the maps at an 8th, a 16th
and a 32nd of the crop. A joint's place is one softmax over 32 x 32 cells; its depth is read from a map at that place,
plus what a dense layer makes of the coarsest maps and of the landmark network's own landmarks.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from baseline_network.network import hourglass
from tools.cli.errors import InputError
from tools.detection import mediapipe_models
from tools.detection.tflite_graph import TfliteGraph

KIND = "landmark_head3d"
RESOLUTION = 256
CELLS = 32
# Tensors of the landmark network: heat maps [64, 64, 39], decoder [32, 32, 48], encoder [32, 32, 32], [16, 16, 88] and
# [8, 8, 144], 39 landmarks of 5 numbers, 39 world landmarks of 3.
_TENSORS = (298, 277, 226, 251, 269, 337, 339)
_ALL = 39
# Channels of the pyramid over those at its finest level.
_WIDER = (1.0, 1.5, 2.5)
_DENSE = 256
_DROPPED = 0.1
BATCH_NORM_EPSILON = 1e-3
# Cells, of the Gaussian that a joint's probability is trained towards; a map times its mass has peaks of about 1, as
# heatmaps of the hourglass have.
SIGMA = 0.9
PEAK = 2.0 * 3.141592653589793 * SIGMA**2


@dataclasses.dataclass(frozen=True)
class Sizes(hourglass.Sizes):
    """Sizes of the head, under the names of the hourglass's.

    Attributes:
      stacks: 1. modules: blocks at each level. features: channels at the finest level.
      resolution: 256, the landmark network's input. joints: heatmaps and depths.
    """

    stacks: int = 1
    modules: int = 2
    features: int = 64
    resolution: int = RESOLUTION
    joints: int = 16

    def __post_init__(self) -> None:
        """Raises `InputError` for another resolution, more than one stack, or sizes that are not positive."""
        super().__post_init__()
        for name, value in (("stacks", 1), ("resolution", RESOLUTION)):
            if getattr(self, name) != value:
                raise InputError(f"{name}={getattr(self, name)}: a head on MediaPipe's landmark network has {value}")

    @property
    def heatmap_resolution(self) -> int:
        """Side of the heatmaps in their own pixels."""
        return CELLS


@functools.cache
def _landmark_network() -> TfliteGraph:
    if not mediapipe_models.available():
        raise InputError(
            f"MediaPipe's wheel is not installed ({mediapipe_models.HOW_TO_GET_IT}), and this network is built on its "
            "landmark network"
        )
    return TfliteGraph(mediapipe_models.checked_file("landmarks"), _TENSORS)


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class LandmarkMaps(tf.keras.layers.Layer):
    """Images [B, 256, 256, 3], BGR / 256 -> what the head sees: maps [B, 32, 32, 119], [B, 16, 16, 88] and
    [B, 8, 8, 144], and numbers [B, 312]. It has no variables, and always computes in float32."""

    def __init__(self, **options: Any) -> None:
        """Raises `InputError` where the wheel is not installed."""
        super().__init__(**{"trainable": False, **options, "dtype": "float32"})
        self._graph = _landmark_network()

    def call(self, images: tf.Tensor) -> list[tf.Tensor]:
        """images: [B, 256, 256, 3]."""
        pixels = tf.cast(images, tf.float32)[..., ::-1] * (256.0 / 255.0)
        heights, decoded, fine, middle, coarse, landmarks, world = self._graph(pixels)
        heights = tf.nn.max_pool2d(tf.sigmoid(heights), 2, 2, "VALID")
        landmarks = tf.reshape(landmarks, [-1, _ALL, 5])
        places = tf.clip_by_value(landmarks[..., :3] / (RESOLUTION / 2) - [1.0, 1.0, 0.0], -3.0, 3.0)
        numbers = tf.concat([places, tf.sigmoid(landmarks[..., 3:])], -1)
        numbers = tf.concat([tf.reshape(numbers, [-1, _ALL * 5]), tf.clip_by_value(world, -3.0, 3.0)], -1)
        maps = tf.concat([decoded, fine, heights], -1)
        return [tf.stop_gradient(one) for one in (maps, middle, coarse, numbers)]


def heat(logits: tf.Tensor) -> tf.Tensor:
    """Logits [B, h, w, J] -> probabilities of a joint's cells, times `PEAK`, float32."""
    logits = tf.cast(logits, tf.float32)
    logits -= tf.reduce_max(logits, [1, 2], keepdims=True)
    maps = tf.exp(logits)
    return maps * (PEAK / tf.reduce_sum(maps, [1, 2], keepdims=True))


def read_there(values: tf.Tensor, heat: tf.Tensor) -> tf.Tensor:
    """Values [B, h, w, J] where the joints are, by their `heat`: [B, J] float32; no gradient moves the heat."""
    return tf.reduce_sum(tf.cast(values, tf.float32) * tf.stop_gradient(heat), [1, 2]) / PEAK


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class Heat(tf.keras.layers.Layer):
    """Logits [B, h, w, J] -> the softmax over all cells of a joint, times `PEAK`: [B, h, w, J] float32."""

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """logits: [B, h, w, J]."""
        return heat(logits)


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class ReadThere(tf.keras.layers.Layer):
    """(values [B, h, w, J], heat [B, h, w, J] of `Heat`) -> [B, J]: each joint's values where it is, float32."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """inputs: (values, heat); no gradient moves the heat."""
        return read_there(*inputs)


class _Builder:
    """Makes the head's parts; layers are named, as their variables are in files."""

    def __init__(self, synchronized: bool, dtype: hourglass.DType) -> None:
        self._norm = (
            functools.partial(tf.keras.layers.BatchNormalization, synchronized=True)
            if synchronized
            else tf.keras.layers.BatchNormalization
        )
        self._dtype = dtype

    def normed(self, x: tf.Tensor, name: str, relu: bool = True) -> tf.Tensor:
        x = self._norm(momentum=0.98, epsilon=BATCH_NORM_EPSILON, dtype=self._dtype, name=f"{name}.bn")(x)
        return tf.keras.layers.ReLU(dtype=self._dtype, name=f"{name}.relu")(x) if relu else x

    def point(self, x: tf.Tensor, channels: int, name: str, relu: bool = True) -> tf.Tensor:
        layer = tf.keras.layers.Conv2D(channels, 1, use_bias=False, dtype=self._dtype, name=name)
        return self.normed(layer(x), name, relu)

    def block(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Depthwise 5 x 5, then 1 x 1 to twice the channels and back, added to the input."""
        depthwise = tf.keras.layers.DepthwiseConv2D(
            5, padding="same", use_bias=False, dtype=self._dtype, name=f"{name}.dw"
        )
        y = self.normed(depthwise(x), f"{name}.dw", False)
        y = self.point(y, 2 * x.shape[-1], f"{name}.up")
        y = self.point(y, x.shape[-1], f"{name}.down", False)
        return tf.keras.layers.Add(dtype=self._dtype, name=f"{name}.add")([x, y])


def build(sizes: Sizes | None = None, *, synchronized: bool = False, dtype: hourglass.DType = None) -> tf.keras.Model:
    """The network as a Keras functional model, inputs and outputs as of `hourglass.build`.

    Its heatmaps are [B, 1, 32, 32, joints], probabilities of the cells times `PEAK`. Its variables are the head's.

    Raises:
      InputError: MediaPipe's wheel is not installed; says how to get it.
    """
    sizes = sizes or Sizes()
    make, layers = _Builder(synchronized, dtype), tf.keras.layers
    image = tf.keras.Input([RESOLUTION, RESOLUTION, 3], name="image")
    *maps, numbers = LandmarkMaps(name="landmark_maps")(image)
    x, coarsest = None, None
    for level, values in reversed(list(enumerate(maps))):
        name, channels = f"level{level}", int(sizes.features * _WIDER[level])
        values = make.normed(values, f"{name}.in", False)
        if level:
            values = layers.SpatialDropout2D(_DROPPED, dtype=dtype, name=f"{name}.drop")(values)
        if x is None:
            x = make.point(values, channels, f"{name}.lateral")
        else:
            x = make.point(x, channels, f"{name}.top", False)
            x = layers.UpSampling2D(2, interpolation="bilinear", dtype=dtype, name=f"{name}.larger")(x)
            x = layers.Add(dtype=dtype, name=f"{name}.sum")([x, make.point(values, channels, f"{name}.lateral", False)])
            x = layers.ReLU(dtype=dtype, name=f"{name}.relu")(x)
        for number in range(sizes.modules):
            x = make.block(x, f"{name}.{number}")
        coarsest = x if coarsest is None else coarsest
    logits = layers.Conv2D(sizes.joints, 1, dtype=dtype, name="logits")(x)
    heatmaps = Heat(dtype="float32", name="heat")(logits)
    there = layers.Conv2D(sizes.joints, 1, dtype=dtype, name="depth_maps")(x)
    there = ReadThere(dtype="float32", name="depths.there")([there, heatmaps])
    seen = layers.Flatten(dtype=dtype, name="depths.flat")(make.point(coarsest, 16, "depths.seen"))
    y = layers.Concatenate(dtype=dtype, name="depths.all")([seen, numbers])
    y = layers.Dropout(_DROPPED, dtype=dtype, name="depths.drop")(y)
    y = make.normed(layers.Dense(_DENSE, use_bias=False, dtype=dtype, name="depths.dense")(y), "depths.dense")
    y = layers.Dense(sizes.joints, dtype="float32", name="depths.whole")(y)
    depths = layers.Add(dtype="float32", name="depths")([there, y])
    return tf.keras.Model(
        image, {"heatmaps": hourglass.Stack(dtype="float32", name="heatmaps")([heatmaps]), "depths": depths}, name=KIND
    )


def sizes_of(model: tf.keras.Model) -> Sizes:
    """The sizes a model of `build` was made with."""
    names = {layer.name for layer in model.layers}
    modules = sum(f"level0.{number}.dw" in names for number in range(len(names)))
    return Sizes(1, modules, model.get_layer("logits").input.shape[-1], RESOLUTION, model.output["depths"].shape[-1])
