"""The baseline network on MediaPipe's landmark network: its frozen inner maps, and a small head that is trained.

The landmark network (Bazarevsky et al.: BlazePose: On-device Real-time Body Pose Tracking, CVPR workshop 2020) was
trained on many more people than this project's training sets have. Its file is read from the installed wheel whenever
a network is built; a weights folder holds the head alone. The head is a feature pyramid over the maps at an 8th, a 16th
and a 32nd of the crop. A joint's place is one softmax over 32 x 32 cells; its depth is read from a map at that place,
plus what dense layers make of the coarsest maps, of the landmark network's own landmarks and, in a lifting head, of the
places found for all joints and of the features there.
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

KIND, LIFTING_KIND = "landmark_head3d", "landmark_lifting3d"
RESOLUTION = 256
CELLS = 32
# Tensors of the landmark network: heat maps [64, 64, 39], decoder [32, 32, 48], encoder [32, 32, 32], [16, 16, 88] and
# [8, 8, 144], 39 landmarks of 5 numbers, 39 world landmarks of 3.
_TENSORS = (298, 277, 226, 251, 269, 337, 339)
_ALL = 39
# What the head sees: maps of these shapes, and so many numbers.
MAP_SHAPES = ((32, 32, 119), (16, 16, 88), (8, 8, 144))
NUMBERS = _ALL * 8
# Channels of the pyramid over those at its finest level.
_WIDER = (1.0, 1.5, 2.5)
_DENSE = 256
# Of a lifting head: channels of its dense layers, and how many residual pairs of them follow the first.
_LIFTING, LIFTING_BLOCKS = 384, 2
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


@dataclasses.dataclass(frozen=True)
class LiftingSizes(Sizes):
    """Sizes of a lifting head, whose depths depend on the places found for the joints too."""


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


def places(heat: tf.Tensor) -> tf.Tensor:
    """Heat [B, h, w, J] -> [B, J * 3]: mean x, y of a joint's probabilities in -1..1 of the crop, and their spread."""
    shares = tf.stop_gradient(heat) / PEAK
    height, width = heat.shape[1:3]
    rows = (tf.range(height, dtype=tf.float32) + 0.5) * (2.0 / height) - 1.0
    columns = (tf.range(width, dtype=tf.float32) + 0.5) * (2.0 / width) - 1.0
    by_row, by_column = tf.reduce_sum(shares, 2), tf.reduce_sum(shares, 1)  # [B, h, J], [B, w, J]
    y, x = tf.einsum("bhj,h->bj", by_row, rows), tf.einsum("bwj,w->bj", by_column, columns)
    squares = tf.einsum("bhj,h->bj", by_row, rows**2) + tf.einsum("bwj,w->bj", by_column, columns**2)
    spread = tf.sqrt(tf.maximum(squares - x**2 - y**2, 0.0) + 1e-6)
    return tf.concat([x, y, spread], -1)


def features_there(features: tf.Tensor, heat: tf.Tensor) -> tf.Tensor:
    """Features [B, h, w, C] where the joints are, by their `heat` [B, h, w, J]: [B, J * C] float32."""
    there = tf.einsum("bhwj,bhwc->bjc", tf.stop_gradient(heat) / PEAK, tf.cast(features, tf.float32))
    return tf.reshape(there, [-1, there.shape[1] * there.shape[2]])


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class SeenThere(tf.keras.layers.Layer):
    """(features [B, h, w, C], heat [B, h, w, J]) -> [B, J * (C + 3)] float32: `features_there` and `places`."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """inputs: (features, heat); no gradient moves the heat."""
        return tf.concat([features_there(*inputs), places(inputs[1])], -1)


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

    def dense(self, x: tf.Tensor, channels: int, name: str, relu: bool = True) -> tf.Tensor:
        layer = tf.keras.layers.Dense(channels, use_bias=False, dtype=self._dtype, name=name)
        return self.normed(layer(x), name, relu)

    def dropped(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return tf.keras.layers.Dropout(_DROPPED, dtype=self._dtype, name=name)(x)

    def densely(self, x: tf.Tensor) -> tf.Tensor:
        """What a head that does not lift makes of its numbers [B, n]."""
        return self.dense(self.dropped(x, "depths.drop"), _DENSE, "depths.dense")

    def lifted(self, x: tf.Tensor) -> tf.Tensor:
        """What a lifting head makes of its numbers [B, n]: dense layers with residuals (Martinez et al., ICCV 2017)."""
        x = self.dropped(self.normed(x, "lifting.in", False), "lifting.drop")
        x = self.dense(x, _LIFTING, "lifting.dense")
        for number in range(LIFTING_BLOCKS):
            name = f"lifting.{number}"
            y = self.dropped(self.dense(x, _LIFTING, f"{name}.first"), f"{name}.drop")
            y = self.dense(y, _LIFTING, f"{name}.second")
            x = tf.keras.layers.Add(dtype=self._dtype, name=f"{name}.add")([x, y])
        return x


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
    lifting = isinstance(sizes, LiftingSizes)
    of_joints = [SeenThere(dtype="float32", name="lifting.there")([x, heatmaps])] if lifting else []
    y = layers.Concatenate(dtype=dtype, name="depths.all")([seen, numbers, *of_joints])
    y = make.lifted(y) if lifting else make.densely(y)
    y = layers.Dense(sizes.joints, dtype="float32", name="lifting.whole" if lifting else "depths.whole")(y)
    depths = layers.Add(dtype="float32", name="depths")([there, y])
    outputs = {"heatmaps": hourglass.Stack(dtype="float32", name="heatmaps")([heatmaps]), "depths": depths}
    return tf.keras.Model(image, outputs, name=LIFTING_KIND if lifting else KIND)


def head_of(model: tf.keras.Model) -> tf.keras.Model:
    """The part of a model of `build` that is trained: from what `LandmarkMaps` gives to the same outputs."""
    return tf.keras.Model(model.get_layer("landmark_maps").output, model.output, name=model.name)


def lifting_of(model: tf.keras.Model) -> tf.keras.Model:
    """Of a lifting head, what its dense layers [B, n] -> [B, joints] add to the depths that are read from maps."""
    return tf.keras.Model(model.get_layer("depths.all").output, model.get_layer("lifting.whole").output)


def sizes_of(model: tf.keras.Model) -> Sizes:
    """The sizes a model of `build` was made with."""
    names = {layer.name for layer in model.layers}
    modules = sum(f"level0.{number}.dw" in names for number in range(len(names)))
    kind = LiftingSizes if model.name == LIFTING_KIND else Sizes
    return kind(1, modules, model.get_layer("logits").input.shape[-1], RESOLUTION, model.output["depths"].shape[-1])
