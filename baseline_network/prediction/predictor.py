"""Pictures and person boxes in, joints out: cropping, the network, the mirrored picture and decoding as one graph.

evaluate, predict, demo and the exported models all call this, so where a crop lies and what a pixel is are written
once. Coordinates are those of the pixels as passed; a photograph that shall be upright is turned before.
"""

from __future__ import annotations

import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import decoding, kinds, landmark_encoder, network_files, targets, turns
from tools.cli.errors import InputError
from tools.training import precision

PUBLISHED = "published"


def compute_policy(half: bool) -> tf.keras.mixed_precision.Policy:
    """The dtype policy to build a network with: float32, or half precision as the device at hand likes it.

    Half is float16 on a GPU and bfloat16 on a CPU; variables and outputs stay float32.
    """
    return tf.keras.mixed_precision.Policy(precision.policy_name(half))


def crop_pixels(picture: tf.Tensor, transform: tf.Tensor, resolution: int) -> tf.Tensor:
    """The crop of a decoded picture, as `crop.decode_and_warp` makes it of a file.

    Where the crop is smaller than what it shows, the picture is first reduced by a whole number, so that no pixel is
    left out of the average.

    Args:
      picture: [H, W, 3] uint8 or float32 RGB, 0 to 255.
      transform: [2, 3] from the picture to the crop.
      resolution: side of the crop in pixels.

    Returns:
      [resolution, resolution, 3] float32 RGB, 0 to 255; black outside the picture.
    """
    back = crop.invert(transform[None])
    corners = tf.constant([[0, 0], [0, 1], [1, 0], [1, 1]], tf.float32) * resolution
    corners_in_picture = crop.move(corners[None], back)[0]
    size = tf.cast(tf.reverse(tf.shape(picture)[:2], [0]), tf.float32)
    # A little more, so that rounding does not make 2.9999 of three.
    ratio = tf.maximum(tf.floor(crop.magnification(back)[0] + 1e-3), 1.0)
    # One reduced pixel more on each side, for the bilinear reading.
    start = tf.clip_by_value(
        tf.floor(tf.reduce_min(corners_in_picture, 0) / ratio) - 1.0, 0.0, tf.math.ceil(size / ratio) - 1.0
    )
    start *= ratio
    end = ratio * (tf.math.ceil(tf.reduce_max(corners_in_picture, 0) / ratio) + 1.0)
    end = tf.clip_by_value(end, tf.minimum(start + ratio, size), size)
    first, last = tf.cast(start, tf.int32), tf.cast(end, tf.int32)
    window = picture[first[1] : last[1], first[0] : last[0]][None]
    reduced = tf.maximum(tf.math.ceil((end - start) / ratio), 1.0)
    small = tf.cond(
        ratio > 1.0,
        lambda: tf.raw_ops.ResizeArea(images=window, size=tf.cast(tf.reverse(reduced, [0]), tf.int32)),
        lambda: tf.cast(window, tf.float32),
    )
    step = (end - start) / reduced  # the ratio, but for a last pixel that the picture's border cuts
    linear = transform[:, :2]
    shift = transform[:, 2] + tf.linalg.matvec(linear, start)
    return crop.warp(small, tf.concat([linear * step, shift[:, None]], 1)[None], resolution)[0]


class Predictor(tf.Module):
    """A network with all around it; its methods are tf.functions and can go into a SavedModel.

    All return a dict of float32 tensors for N people:
      points [N, 16, 2] px of the picture, MPII's joints;
      confidence [N, 16], the heatmaps' values there, about 1 where the network is sure;
      pose_3d [N, 16, 3] mm relative to the pelvis, x right, y down, z away;
      mm_per_pixel [N], the factor from pixels of the picture to those millimetres; with a known factor multiply pose_3d
      by that over this one.

    Boxes are x, y of the upper left corner, width, height in px and may reach past the picture, where all is black.

    Attributes:
      model: the Keras model. answer: what is run, `kinds.answer_of` it. resolution: side of its crops in px.
      flip: whether the mirrored crop is looked at too. turned: whether turned crops are, where that is surer (`turns`),
        as with `flip` by a head on MediaPipe's landmark network. margin: the crop's side over the box's longer side.
    """

    def __init__(
        self,
        network: network_files.HourglassWeights | tf.keras.Model,
        flip: bool = True,
        margin: float | None = None,
        mm_scale: str | float = PUBLISHED,
        dtype: tf.Tensor = None,
        turned: bool = True,
    ) -> None:
        """Builds the network.

        Args:
          network: one from disk, or a model of `hourglass.build`.
          flip: average with the mirrored crop's answer, mirrored back; twice the work.
          margin: None: that of the network's training (its facts), else the published 1.25.
          mm_scale: sum of the 14 bones in mm, to which every pose is scaled; 'published': `decoding.BONES_SUM_MM`.
          dtype: as of `hourglass.build`, for a network from disk; None: float32.
          turned: False: with `flip` no more than the mirrored crop; what is computed then has the same shapes whatever
            is on the picture.

        Raises:
          InputError: the network does not fit its files or has other than 16 joints, or a number makes no sense.
        """
        super().__init__(name="baseline_network")
        facts = {}
        if isinstance(network, network_files.HourglassWeights):
            facts, network = network.facts, network.build(dtype or "float32")
        sizes = kinds.sizes_of(network)
        if sizes.joints != targets.MPII16.size:
            raise InputError(f"the network has {sizes.joints} joints, expected MPII's {targets.MPII16.size}")
        margin = facts.get("crop_margin", crop.BOX_MARGIN) if margin is None else margin
        if not (isinstance(margin, (int, float)) and 0.1 <= margin <= 10):
            raise InputError(
                f"margin {margin} (a flag, or crop_margin of the weights): the crop's side over the box's is a number "
                "from 0.1 to 10"
            )
        bones = decoding.BONES_SUM_MM if mm_scale == PUBLISHED else mm_scale
        if isinstance(bones, str) or not 0 < bones < float("inf"):
            raise InputError(f"mm_scale {mm_scale}: expected '{PUBLISHED}' or the sum of the bones in mm, above 0")
        self.model, self.answer = network, kinds.answer_of(network)
        self.flip, self.margin, self._bones_mm = bool(flip), float(margin), float(bones)
        self.turned = self.flip and turned and isinstance(sizes, landmark_encoder.Sizes)
        self.resolution, self._refine = sizes.resolution, facts.get("peaks", decoding.QUARTER)
        side = self.resolution
        boxes, moves = tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None, 2, 3], tf.float32)
        picture, crops = tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([None, side, side, 3], tf.float32)
        self.crops = tf.function(self._crops, input_signature=[picture, boxes])
        self.from_crops = tf.function(self._from_crops, input_signature=[crops, moves])
        self.from_pixels = tf.function(self._from_pixels, input_signature=[picture, boxes])
        self.from_files = tf.function(self._from_files, input_signature=[tf.TensorSpec([None], tf.string), boxes])

    def _transforms(self, boxes: tf.Tensor) -> tf.Tensor:
        return crop.crop_transforms(*crop.box_squares(boxes, self.margin), self.resolution)

    def _crops(self, picture: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """People of one picture: picture [H, W, 3] uint8 RGB, boxes [N, 4] -> (crops, transforms) of `from_crops`."""
        transforms = self._transforms(boxes)
        crops = tf.map_fn(
            lambda transform: crop_pixels(picture, transform, self.resolution),
            transforms,
            fn_output_signature=tf.TensorSpec([self.resolution, self.resolution, 3], tf.float32),
        )
        return crops, transforms

    def outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Heatmaps and depths, as of `hourglass.build`, of images [N, r, r, 3], BGR / 256, by all looks."""
        if not self.flip:
            return self.answer(images)
        return (turns.predict if self.turned else decoding.predict_both_ways)(self.answer, images)

    def _from_crops(self, images: tf.Tensor, transforms: tf.Tensor) -> dict[str, tf.Tensor]:
        """Crops [N, r, r, 3] float32 RGB, 0 to 255, and the transforms [N, 2, 3] from their pictures to them."""
        # TensorFlow's graph optimiser fails on empty batches: they get one black crop, whose result is dropped.
        count = tf.shape(images)[0]
        padding = tf.cast(count == 0, tf.int32)
        images = tf.pad(images, [[0, padding], [0, 0], [0, 0], [0, 0]])
        transforms = tf.concat([transforms, tf.eye(2, 3, [padding])], 0)
        inputs = crop.to_network(images)
        outputs = self.outputs(inputs)
        ones = tf.ones_like(transforms[:, 0, 0])
        poses = decoding.predictions_to_pose(
            outputs["heatmaps"][:, -1], outputs["depths"], transforms, self.resolution, ones, self._refine
        )
        # All joints of a pose may coincide with an untrained network; such a pose has no size.
        mm_per_pixel = self._bones_mm / tf.maximum(decoding.bones_sum(poses["pose_3d"]), 1e-3)
        poses = {**poses, "pose_3d": poses["pose_3d"] * mm_per_pixel[:, None, None], "mm_per_pixel": mm_per_pixel}
        return {name: value[:count] for name, value in poses.items()}

    def _from_pixels(self, picture: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
        """People of one picture: picture [H, W, 3] uint8 RGB, boxes [N, 4]."""
        return self._from_crops(*self._crops(picture, boxes))

    def _from_files(self, encoded: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
        """One person a file: encoded [N] strings, JPEG or PNG, whose stored pixels count, boxes [N, 4]."""
        transforms = self._transforms(boxes)
        return self._from_crops(crop.crop_files(encoded, transforms, self.resolution), transforms)
