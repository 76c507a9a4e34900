"""The baseline network: stacked hourglasses with 2D heatmaps and joint depths (Zhou et al., ICCV 2017).

docs/reference.md, "Baseline network". Every layer is named as the module of the published PyTorch network is, path
and all
(``hourglass.0.low2.up1_.1.conv2``), so weights map one to one. Tensors are channels-last.
"""

from __future__ import annotations

import dataclasses
from typing import Union

import tensorflow as tf

from baseline_network.network.batch_norm import SynchronizedBatchNorm
from baseline_network.network.scaling import AddUpsampled, BlockMax
from tools.cli.errors import InputError
from tools.training import op_forms

# Fixed in the published network, whatever the number of features.
STEM_CHANNELS, STEM_OUT = 64, 128
HOURGLASS_DEPTH = 4
REGRESSION_POOLS = 4
# Heatmaps have a quarter of the input's resolution.
STRIDE = 4
# PyTorch's batch norm: epsilon 1e-5, and its momentum of 0.1 is 0.9 in Keras' sense.
BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-5, 0.9
# What Keras takes as the dtype of a layer.
DType = Union[str, tf.DType, tf.keras.mixed_precision.Policy, None]
_DIVISOR = STRIDE * 2**HOURGLASS_DEPTH


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the network; the defaults are the published ones.

    Attributes:
      stacks: hourglasses in a row.
      modules: residuals at each position.
      features: channels from the stem's end on.
      resolution: side of the square input, px; a multiple of 64.
      joints: heatmaps and depths.
    """

    stacks: int = 2
    modules: int = 2
    features: int = 256
    resolution: int = 256
    joints: int = 16

    def __post_init__(self) -> None:
        """Raises `InputError` when a size is not positive, features are odd or resolution is no multiple of 64."""
        for name, value in dataclasses.asdict(self).items():
            if int(value) != value or value < 1:
                raise InputError(f"{name}={value}: the hourglass needs a positive whole number")
        if self.features % 2:
            raise InputError(f"features={self.features}: a residual halves them, so they must be even")
        if self.resolution % _DIVISOR:
            raise InputError(f"resolution={self.resolution}: must be a multiple of {_DIVISOR}, it is halved so often")

    @property
    def heatmap_resolution(self) -> int:
        """Side of the heatmaps in their own pixels."""
        return self.resolution // STRIDE


class _Builder:
    """Makes the network's parts; each takes a tensor and the PyTorch path of the module it stands for."""

    def __init__(self, sizes: Sizes, synchronized: bool, dtype: DType, form: str = op_forms.CPU) -> None:
        self.sizes = sizes
        self.synchronized = synchronized
        self.dtype = dtype
        self.form = form

    def convolution(
        self, x: tf.Tensor, channels: int, name: str, kernel: int = 1, stride: int = 1, padding: str = "same"
    ) -> tf.Tensor:
        weights, bias = _initializers(kernel * kernel * x.shape[-1])
        return tf.keras.layers.Conv2D(
            channels,
            kernel,
            stride,
            padding,
            kernel_initializer=weights,
            bias_initializer=bias,
            dtype=self.dtype,
            name=name,
        )(x)

    def norm_relu(self, x: tf.Tensor, name: str) -> tf.Tensor:
        kind = SynchronizedBatchNorm if self.synchronized else tf.keras.layers.BatchNormalization
        x = kind(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, dtype=self.dtype, name=name)(x)
        return tf.keras.layers.ReLU(dtype=self.dtype, name=f"{name}.relu")(x)

    def pool(self, x: tf.Tensor, name: str) -> tf.Tensor:
        if self.form == op_forms.XLA:
            return BlockMax(dtype=self.dtype, name=name)(x)
        return tf.keras.layers.MaxPool2D(2, dtype=self.dtype, name=name)(x)

    def add(self, parts: list[tf.Tensor], name: str) -> tf.Tensor:
        return tf.keras.layers.Add(dtype=self.dtype, name=name)(parts)

    def residual(self, x: tf.Tensor, channels: int, name: str) -> tf.Tensor:
        """BN ReLU 1x1, BN ReLU 3x3, BN ReLU 1x1, plus the input, projected when its width is another."""
        y = self.convolution(self.norm_relu(x, f"{name}.bn"), channels // 2, f"{name}.conv1")
        y = self.convolution(self.norm_relu(y, f"{name}.bn1"), channels // 2, f"{name}.conv2", kernel=3)
        y = self.convolution(self.norm_relu(y, f"{name}.bn2"), channels, f"{name}.conv3")
        skip = x if x.shape[-1] == channels else self.convolution(x, channels, f"{name}.conv4")
        return self.add([skip, y], f"{name}.add")

    def residuals(self, x: tf.Tensor, name: str, first: int = 0) -> tf.Tensor:
        for number in range(first, first + self.sizes.modules):
            x = self.residual(x, self.sizes.features, f"{name}.{number}")
        return x

    def hourglass(self, x: tf.Tensor, depth: int, name: str) -> tf.Tensor:
        """Halves the resolution `depth` times and restores it; each resolution has a skip branch."""
        fine = self.residuals(x, f"{name}.up1_")
        coarse = self.residuals(self.pool(x, f"{name}.low1"), f"{name}.low1_")
        if depth > 1:
            coarse = self.hourglass(coarse, depth - 1, f"{name}.low2")
        else:
            coarse = self.residuals(coarse, f"{name}.low2_")
        coarse = self.residuals(coarse, f"{name}.low3_")
        return AddUpsampled(self.form, dtype=self.dtype, name=f"{name}.up2")([fine, coarse])

    def stem(self, image: tf.Tensor) -> tf.Tensor:
        # PyTorch pads three pixels on every side; Keras' 'same' would pad two before and three after.
        x = tf.keras.layers.ZeroPadding2D(3, dtype=self.dtype, name="conv1_.pad")(image)
        x = self.convolution(x, STEM_CHANNELS, "conv1_", kernel=7, stride=2, padding="valid")
        x = self.residual(self.norm_relu(x, "bn1"), STEM_OUT, "r1")
        x = self.residual(self.pool(x, "maxpool"), STEM_OUT, "r4")
        return self.residual(x, self.sizes.features, "r5")

    def stack(self, x: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """One hourglass; returns (input of what follows, heatmaps)."""
        sizes = self.sizes
        y = self.hourglass(x, HOURGLASS_DEPTH, f"hourglass.{number}")
        y = self.residuals(y, "Residual", number * sizes.modules)
        y = self.norm_relu(self.convolution(y, sizes.features, f"lin_.{number}.0"), f"lin_.{number}.1")
        heatmaps = self.convolution(y, sizes.joints, f"tmpOut.{number}")
        back = self.convolution(heatmaps, sizes.features, f"tmpOut_.{number}")
        onward = self.convolution(y, sizes.features, f"ll_.{number}")
        return self.add([x, onward, back], f"fuse.{number}"), heatmaps

    def depths(self, x: tf.Tensor) -> tf.Tensor:
        for number in range(REGRESSION_POOLS):
            x = self.pool(self.residuals(x, "reg_", number * self.sizes.modules), f"reg_.pool{number}")
        x = tf.keras.layers.Flatten(dtype=self.dtype, name="reg.flatten")(x)
        weights, bias = _initializers(x.shape[-1])
        layer = tf.keras.layers.Dense(
            self.sizes.joints, kernel_initializer=weights, bias_initializer=bias, dtype=self.dtype, name="reg"
        )
        return layer(x)


def _initializers(inputs: int) -> tuple[tf.keras.initializers.Initializer, tf.keras.initializers.Initializer]:
    """PyTorch's defaults: weights and biases uniform within 1 / sqrt(number of inputs)."""
    limit = inputs**-0.5
    return tf.keras.initializers.RandomUniform(-limit, limit), tf.keras.initializers.RandomUniform(-limit, limit)


@tf.keras.utils.register_keras_serializable(package="baseline_network")
class Stack(tf.keras.layers.Layer):
    """Tensors of one shape [B, ...] as one [B, n, ...]."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """inputs: list of tensors, or one tensor, which is how a loaded model passes on a list of one."""
        return tf.stack(tf.nest.flatten(inputs), axis=1)


def build(
    sizes: Sizes | None = None, *, synchronized: bool = False, dtype: DType = None, form: str = op_forms.AUTO
) -> tf.keras.Model:
    """The network as a Keras functional model.

    Args:
      sizes: None: as published, with 14,429,104 trainable parameters.
      synchronized: batch norm over all replicas of a tf.distribute strategy, as if they were one device.
      dtype: dtype or mixed precision policy of the layers; None: Keras' global policy.
      form: of the operations, see `op_forms`; it changes no result beyond rounding.

    Returns:
      A model from images [B, resolution, resolution, 3], BGR / 256, to a dict of float32 tensors:
      'heatmaps' [B, stacks, resolution / 4, resolution / 4, joints], the last stack's being the answer, and
      'depths' [B, joints] in units of half the crop's side, positive away from the camera (see `targets`).
    """
    sizes = sizes or Sizes()
    builder = _Builder(sizes, synchronized, dtype, op_forms.chosen(form))
    image = tf.keras.Input([sizes.resolution, sizes.resolution, 3], name="image")
    x, heatmaps = builder.stem(image), []
    for number in range(sizes.stacks):
        x, maps = builder.stack(x, number)
        heatmaps.append(tf.keras.layers.Activation("linear", dtype="float32", name=f"heatmaps.{number}")(maps))
    depths = tf.keras.layers.Activation("linear", dtype="float32", name="depths")(builder.depths(x))
    outputs = {"heatmaps": Stack(dtype="float32", name="heatmaps")(heatmaps), "depths": depths}
    return tf.keras.Model(image, outputs, name="hourglass3d")


def freeze_stem(model: tf.keras.Model) -> None:
    """Takes the layers up to the first pooling, at half the input's resolution, out of training.

    They are a third of a training step, and their batch norms then use what they have collected.
    """
    end = model.layers.index(model.get_layer("maxpool"))
    for layer in model.layers[:end]:
        layer.trainable = False


def sizes_of(model: tf.keras.Model) -> Sizes:
    """The sizes a model of `build` was made with."""
    _, stacks, _, _, joints = model.output["heatmaps"].shape
    names = {layer.name for layer in model.layers}
    modules = sum(f"hourglass.0.up1_.{number}.conv1" in names for number in range(len(names)))
    features = model.get_layer("lin_.0.0").filters
    return Sizes(stacks, modules, features, model.input.shape[1], joints)
