"""The trained hourglass for inference: batch norm inside the convolutions before it.

Of a residual's three batch norms two follow a convolution and nothing else reads that, so they are a factor and an
offset of its weights; the first stays. What is left fuses: convolution, offset, ReLU and sum are one pass over memory.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from baseline_network.network import hourglass
from tools.training import op_forms


class FoldedHourglass(tf.Module):
    """A network of `hourglass.build` without its training: the same numbers but for rounding, from the same images."""

    def __init__(self, model: tf.keras.Model, jit_compile: bool = False):
        """model: its values are copied; training it further changes nothing here. Computes in what it computes in.

        jit_compile: compile with XLA, which takes its time again for every size of batch.
        """
        super().__init__(name="folded_hourglass")
        self.sizes = hourglass.sizes_of(model)
        self._dtype = tf.as_dtype(model.get_layer("reg").compute_dtype)
        # A tuple of items: tf.Module would look into a dict for variables.
        self._values = tuple((layer.name, layer.get_weights()) for layer in model.layers if layer.weights)
        side = self.sizes.resolution
        signature = [tf.TensorSpec([None, side, side, 3], tf.float32, "image")]
        # False would keep whoever calls this from compiling it.
        self._run = tf.function(
            self._forward, input_signature=signature, autograph=False, jit_compile=jit_compile or None
        )

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images [B, r, r, 3], BGR / 256; the outputs of `hourglass.build`, float32."""
        return self._run(images)

    def _forward(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = _Folded(self.sizes, dict(self._values), self._dtype)
        x, heatmaps = parts.stem(tf.cast(images, self._dtype)), []
        for number in range(self.sizes.stacks):
            x, maps = parts.stack(x, number)
            heatmaps.append(tf.cast(maps, tf.float32))
        return {"heatmaps": tf.stack(heatmaps, 1), "depths": parts.depths(x)}


class _Folded(hourglass._Builder):
    """The network's parts on plain tensors."""

    def __init__(self, sizes: hourglass.Sizes, values: dict[str, list[np.ndarray]], dtype: tf.DType):
        super().__init__(sizes, False, dtype.name, op_forms.chosen())
        self._values = values

    def convolution(
        self,
        x: tf.Tensor,
        channels: int,
        name: str,
        kernel: int = 1,
        stride: int = 1,
        padding: str = "same",
        norm: str | None = None,
    ) -> tf.Tensor:
        """With the batch norm and ReLU that follow, when `norm` names one."""
        weights, bias = self._values[name]
        if norm is not None:
            scale, offset = self._affine(norm)
            weights, bias = weights * scale, bias * scale + offset
        around = [[0, 0], [3, 3], [3, 3], [0, 0]] if padding == "valid" else "SAME"
        with tf.init_scope():
            # Tensors that the graph takes in: of its own constants TensorFlow keeps a dozen copies.
            weights, bias = tf.constant(weights, x.dtype), tf.constant(bias, x.dtype)
        y = tf.nn.bias_add(tf.nn.conv2d(x, weights, stride, around), bias)
        return y if norm is None else tf.nn.relu(y)

    def _affine(self, norm: str) -> tuple[np.ndarray, np.ndarray]:
        gamma, beta, mean, variance = self._values[norm]
        scale = gamma / np.sqrt(variance + hourglass.BATCH_NORM_EPSILON)
        return scale, beta - mean * scale

    def norm_relu(self, x: tf.Tensor, name: str) -> tf.Tensor:
        gamma, beta, mean, variance = (tf.constant(value) for value in self._values[name])
        normalised = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=hourglass.BATCH_NORM_EPSILON,
            is_training=False,
        )
        return tf.nn.relu(normalised.y)

    def residual(self, x: tf.Tensor, channels: int, name: str) -> tf.Tensor:
        y = self.norm_relu(x, f"{name}.bn")
        y = self.convolution(y, channels // 2, f"{name}.conv1", norm=f"{name}.bn1")
        y = self.convolution(y, channels // 2, f"{name}.conv2", kernel=3, norm=f"{name}.bn2")
        skip = x if x.shape[-1] == channels else self.convolution(x, channels, f"{name}.conv4")
        return self.convolution(y, channels, f"{name}.conv3") + skip

    def pool(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return tf.nn.max_pool2d(x, 2, 2, "VALID")

    def add(self, parts: list[tf.Tensor], name: str) -> tf.Tensor:
        return tf.add_n(parts)

    def stem(self, image: tf.Tensor) -> tf.Tensor:
        channels = hourglass.STEM_CHANNELS
        x = self.convolution(image, channels, "conv1_", kernel=7, stride=2, padding="valid", norm="bn1")
        x = self.residual(x, hourglass.STEM_OUT, "r1")
        x = self.residual(self.pool(x, "maxpool"), hourglass.STEM_OUT, "r4")
        return self.residual(x, self.sizes.features, "r5")

    def stack(self, x: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        sizes = self.sizes
        y = self.hourglass(x, hourglass.HOURGLASS_DEPTH, f"hourglass.{number}")
        y = self.residuals(y, "Residual", number * sizes.modules)
        y = self.convolution(y, sizes.features, f"lin_.{number}.0", norm=f"lin_.{number}.1")
        heatmaps = self.convolution(y, sizes.joints, f"tmpOut.{number}")
        back = self.convolution(heatmaps, sizes.features, f"tmpOut_.{number}")
        onward = self.convolution(y, sizes.features, f"ll_.{number}")
        return self.add([x, onward, back], f"fuse.{number}"), heatmaps

    def depths(self, x: tf.Tensor) -> tf.Tensor:
        for number in range(hourglass.REGRESSION_POOLS):
            x = self.pool(self.residuals(x, "reg_", number * self.sizes.modules), f"reg_.pool{number}")
        weights, bias = self._values["reg"]
        flat = tf.cast(tf.reshape(x, [-1, weights.shape[0]]), tf.float32)
        return tf.nn.bias_add(tf.matmul(flat, tf.constant(weights)), bias)
