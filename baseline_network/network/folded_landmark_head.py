"""The trained head on MediaPipe's landmark network for inference: batch norm inside the convolutions beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from baseline_network.network import landmark_encoder


class FoldedLandmarkHead(tf.Module):
    """A network of `landmark_encoder.build` without its training: the same numbers but for rounding."""

    def __init__(self, model: tf.keras.Model) -> None:
        """model: its values are copied; training it further changes nothing here. Computes in what it computes in."""
        super().__init__(name="folded_landmark_head")
        self.sizes = landmark_encoder.sizes_of(model)
        self._dtype = tf.as_dtype(model.get_layer("logits").compute_dtype)
        # A tuple of items: tf.Module would look into a dict for variables.
        self._values = tuple((layer.name, layer.get_weights()) for layer in model.layers if layer.weights)
        self._see: Callable[[tf.Tensor], list[tf.Tensor]] = landmark_encoder.LandmarkMaps().call
        side = landmark_encoder.RESOLUTION
        signature = [tf.TensorSpec([None, side, side, 3], tf.float32, "image")]
        self._run = tf.function(self._forward, input_signature=signature, autograph=False)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images [B, 256, 256, 3], BGR / 256; the outputs of `landmark_encoder.build`, float32."""
        return self._run(images)

    def _forward(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = _Folded(dict(self._values), self._dtype)
        *maps, numbers = self._see(images)
        x, coarsest = None, None
        for level, values in reversed(list(enumerate(maps))):
            name = f"level{level}"
            lateral = parts.point(tf.cast(values, self._dtype), f"{name}.lateral", x is None, f"{name}.in.bn")
            if x is None:
                x = lateral
            else:
                coarse = parts.point(x, f"{name}.top", False)
                height, width = lateral.shape[1:3]
                larger = tf.image.resize(coarse, [height, width], "bilinear")
                x = tf.nn.relu(tf.cast(larger, self._dtype) + lateral)
            for number in range(self.sizes.modules):
                x = parts.block(x, f"{name}.{number}")
            coarsest = x if coarsest is None else coarsest
        heat = landmark_encoder.heat(parts.convolution(x, "logits"))
        there = landmark_encoder.read_there(parts.convolution(x, "depth_maps"), heat)
        seen = parts.point(coarsest, "depths.seen")
        y = tf.concat([tf.reshape(seen, [-1, np.prod(seen.shape[1:])]), tf.cast(numbers, self._dtype)], -1)
        if isinstance(self.sizes, landmark_encoder.LiftingSizes):
            there_too = [landmark_encoder.features_there(x, heat), landmark_encoder.places(heat)]
            y = tf.concat([y, *(tf.cast(one, self._dtype) for one in there_too)], -1)
            y = parts.dense(y, "lifting.dense", "lifting.in.bn")
            for number in range(landmark_encoder.LIFTING_BLOCKS):
                name = f"lifting.{number}"
                y += parts.dense(parts.dense(y, f"{name}.first"), f"{name}.second")
            weights, bias = parts.values["lifting.whole"]
        else:
            y = parts.dense(y, "depths.dense")
            weights, bias = parts.values["depths.whole"]
        y = tf.cast(y, tf.float32)
        return {"heatmaps": heat[:, None], "depths": there + tf.matmul(y, tf.constant(weights)) + tf.constant(bias)}


class _Folded:
    """The head's parts on plain tensors."""

    def __init__(self, values: dict[str, list[np.ndarray]], dtype: tf.DType) -> None:
        self.values, self._dtype = values, dtype

    def _affine(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        gamma, beta, mean, variance = self.values[name]
        scale = gamma / np.sqrt(variance + landmark_encoder.BATCH_NORM_EPSILON)
        return scale, beta - mean * scale

    def _constants(self, *arrays: np.ndarray) -> list[tf.Tensor]:
        with tf.init_scope():
            # Tensors that the graph takes in: of its own constants TensorFlow keeps a dozen copies.
            return [tf.constant(array, self._dtype) for array in arrays]

    def point(self, x: tf.Tensor, name: str, relu: bool = True, before: str = "") -> tf.Tensor:
        """A 1 x 1 convolution with the batch norm after it, and the one before it where that is named."""
        kernel, (scale, offset) = self.values[name][0], self._affine(f"{name}.bn")
        bias = offset
        if before:
            scale_before, offset_before = self._affine(before)
            bias = offset + scale * (offset_before @ kernel[0, 0])
            kernel = kernel * scale_before[:, None]
        weights, added = self._constants(kernel * scale, bias)
        y = tf.nn.bias_add(tf.nn.conv2d(x, weights, 1, "SAME"), added)
        return tf.nn.relu(y) if relu else y

    def block(self, x: tf.Tensor, name: str) -> tf.Tensor:
        scale, offset = self._affine(f"{name}.dw.bn")
        weights, bias = self._constants(self.values[f"{name}.dw"][0] * scale[:, None], offset)
        y = tf.nn.bias_add(tf.nn.depthwise_conv2d(x, weights, [1, 1, 1, 1], "SAME"), bias)
        return x + self.point(self.point(y, f"{name}.up"), f"{name}.down", False)

    def convolution(self, x: tf.Tensor, name: str) -> tf.Tensor:
        weights, bias = self._constants(*self.values[name])
        return tf.nn.bias_add(tf.nn.conv2d(x, weights, 1, "SAME"), bias)

    def dense(self, x: tf.Tensor, name: str, before: str = "") -> tf.Tensor:
        """A dense layer with the batch norm after it, and the one before it where that is named."""
        kernel, (scale, offset) = self.values[name][0], self._affine(f"{name}.bn")
        if before:
            scale_before, offset_before = self._affine(before)
            offset = offset + scale * (offset_before @ kernel)
            kernel = kernel * scale_before[:, None]
        weights, bias = self._constants(kernel * scale, offset)
        return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weights), bias))
