"""Square crops of pictures around people: one affine transform moves the picture, its 2D joints and their depths.

TensorFlow graph code. Transforms are [B, 2, 3] float32 and take pixels of the picture to pixels of the crop. Pixel i
covers i to i + 1, as in the published code and as principal points at half a picture's width imply; only here, where
pixels are interpolated, their centres matter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import tensorflow as tf

from tools.files import limits

with warnings.catch_warnings():
    # Its notice that it gets no more releases; requirements.txt pins the last one.
    warnings.simplefilter("ignore")
    from tensorflow_addons.image import transform as projective_transform

# The published code enlarges MPII's person boxes by this.
BOX_MARGIN = 1.25
# A JPEG decoder reduces a picture by these on its way: quicker, and no pixel is left out of the average.
_RATIOS = (1, 2, 4, 8)


def box_squares(boxes: tf.Tensor, margin: float | tf.Tensor = BOX_MARGIN) -> tuple[tf.Tensor, tf.Tensor]:
    """Squares around boxes.

    Args:
      boxes: [B, 4] x, y of the upper left corner, width, height; px.
      margin: side of the square over the box's longer side; one number or [B].

    Returns:
      centres [B, 2] and sides [B], px.
    """
    centres = boxes[:, :2] + boxes[:, 2:] / 2.0
    return centres, tf.maximum(tf.reduce_max(boxes[:, 2:], axis=1), 1.0) * margin


def person_boxes(boxes: tf.Tensor, poses_2d: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
    """The boxes of records, [B, 4] px; where there is none (NaN) the joints' box, without joints the whole picture.

    Args:
      boxes: [B, 4]. poses_2d: [B, 17, 2] px, NaN where missing. image_sizes: [B, 2] width, height px.
    """
    known = tf.math.is_finite(poses_2d)
    low = tf.reduce_min(tf.where(known, poses_2d, float("inf")), 1)
    high = tf.reduce_max(tf.where(known, poses_2d, float("-inf")), 1)
    # Heads, hands and feet reach past the joints.
    reach = 0.1 * tf.reduce_max(high - low, axis=1, keepdims=True)
    around = tf.concat([low - reach, high - low + 2.0 * reach], 1)
    whole = tf.concat([tf.zeros_like(low), tf.cast(image_sizes, tf.float32)], 1)
    usable = tf.reduce_all(tf.math.is_finite(around), 1, keepdims=True)
    has_box = tf.reduce_all(tf.math.is_finite(boxes), 1, keepdims=True) & tf.reduce_all(
        boxes[:, 2:] > 0, 1, keepdims=True
    )
    return tf.where(has_box, boxes, tf.where(usable, around, whole))


def crop_transforms(
    centres: tf.Tensor,
    sides: tf.Tensor,
    resolution: int,
    angles: tf.Tensor | None = None,
    mirrored: tf.Tensor | None = None,
) -> tf.Tensor:
    """Transforms that take a square of the picture to the whole crop.

    Args:
      centres: [B, 2] px of the picture. sides: [B] px of the picture.
      resolution: side of the crop in pixels.
      angles: [B] radians by which the picture is turned about the centre, x towards y; None: not at all.
      mirrored: [B] bool, left and right exchanged last; None: none.

    Returns:
      [B, 2, 3].
    """
    zero = tf.zeros_like(sides)
    angles = zero if angles is None else angles
    sign = 1.0 + zero if mirrored is None else tf.where(mirrored, -1.0, 1.0)
    zoom = resolution / sides
    c, s = tf.cos(angles) * zoom, tf.sin(angles) * zoom
    linear = tf.stack([tf.stack([sign * c, -sign * s], -1), tf.stack([s, c], -1)], -2)
    shift = resolution / 2.0 - tf.einsum("bij,bj->bi", linear, centres)
    return tf.concat([linear, shift[..., None]], -1)


def magnification(transforms: tf.Tensor) -> tf.Tensor:
    """[B]: pixels of the crop for one of the picture."""
    a = transforms
    return tf.sqrt(tf.abs(a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0]))


def move(points: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Points [B, J, 2] of the picture in the crop (or back, by inverted transforms)."""
    return tf.einsum("bij,bkj->bki", transforms[..., :2], points) + transforms[:, None, :, 2]


def invert(transforms: tf.Tensor) -> tf.Tensor:
    """The transforms back, [B, 2, 3]."""
    a = transforms
    determinant = a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0]
    rows = [tf.stack([a[:, 1, 1], -a[:, 0, 1]], -1), tf.stack([-a[:, 1, 0], a[:, 0, 0]], -1)]
    linear = tf.stack(rows, -2) / determinant[:, None, None]
    return tf.concat([linear, -tf.einsum("bij,bj->bi", linear, a[..., 2])[..., None]], -1)


def warp(images: tf.Tensor, transforms: tf.Tensor, resolution: int) -> tf.Tensor:
    """Crops [B, resolution, resolution, C] float32 of images [B, H, W, C]; bilinear, black outside the picture.

    By tensorflow-addons: the same numbers as TensorFlow's raw operation ImageProjectiveTransformV3 and as fast (8 crops
    of 256 px: 13.7 and 13.8 ms of one CPU core, medians of 12 turns).
    """
    back = invert(transforms)
    # From centre to centre of pixels: half a pixel on at the way in, half a pixel back at the way out.
    shift = back[..., 2] + 0.5 * tf.reduce_sum(back[..., :2], -1) - 0.5
    zero = tf.zeros_like(shift[:, 0])
    flat = [back[:, 0, 0], back[:, 0, 1], shift[:, 0], back[:, 1, 0], back[:, 1, 1], shift[:, 1], zero, zero]
    return projective_transform(
        tf.cast(images, tf.float32), tf.stack(flat, -1), "bilinear", "constant", [resolution, resolution]
    )


def decode_and_warp(encoded: tf.Tensor, transform: tf.Tensor, resolution: int) -> tf.Tensor:
    """The crop of one image file.

    Of a JPEG only the part that the crop shows is decoded, at a half, a quarter or an eighth of its size when the crop
    is that much smaller.

    Args:
      encoded: scalar string, JPEG or PNG; grey and RGBA become RGB, 16 bits become 8.
      transform: [2, 3].
      resolution: side of the crop in pixels.

    Returns:
      [resolution, resolution, 3] float32 RGB, 0 to 255.

    Raises:
      tf.errors.InvalidArgumentError: not decodable, or of more pixels than `Limits.picture_pixels`.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.float32)),
        lambda: _png_pixels(encoded),
    )
    # Decoders ask for the memory that a file's head announces, whatever follows it.
    too_large = tf.debugging.assert_less_equal(
        pixels, float(limits.current().picture_pixels), "a picture of more pixels than the limits allow"
    )
    with tf.control_dependencies([too_large]):
        encoded = tf.identity(encoded)
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: _warp_jpeg(encoded, transform, resolution),
        lambda: _warp_window(tf.io.decode_png(encoded, channels=3), tf.zeros([2]), 1.0, transform, resolution),
    )


def _png_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Width times height that the head of a PNG tells."""
    sides = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.uint8), tf.float32)
    return tf.reduce_prod(tf.linalg.matvec(tf.reshape(sides, [2, 4]), [2.0**24, 2.0**16, 2.0**8, 1.0]))


def crop_files(encoded: tf.Tensor, transforms: tf.Tensor, resolution: int) -> tf.Tensor:
    """`decode_and_warp` of a batch: files [B], transforms [B, 2, 3] to [B, resolution, resolution, 3] float32 RGB."""
    return tf.map_fn(
        lambda one: decode_and_warp(one[0], one[1], resolution),
        (encoded, transforms),
        fn_output_signature=tf.TensorSpec([resolution, resolution, 3], tf.float32),
    )


def to_network(images: tf.Tensor) -> tf.Tensor:
    """RGB 0 to 255 [B, r, r, 3] as the network takes it: BGR / 256, float32."""
    # A slice with a step of -1 would take several times as long as all other arithmetic on the images.
    return tf.reverse(tf.cast(images, tf.float32), [-1]) * (1.0 / 256.0)


def _warp_window(
    window: tf.Tensor, corner: tf.Tensor, ratio: float, transform: tf.Tensor, resolution: int
) -> tf.Tensor:
    """The crop from a part of the picture whose upper left corner [2] is given in pixels of the reduced picture."""
    linear, shift = transform[:, :2], transform[:, 2]
    shift += tf.linalg.matvec(linear, corner * ratio)
    moved = tf.concat([linear * ratio, shift[:, None]], 1)[None]
    # `crop_and_resize` would extend a single row or column beyond the picture.
    sizable = tf.reduce_min(tf.shape(window)[:2]) > 1
    level = (linear[0, 1] == 0.0) & (linear[1, 0] == 0.0) & sizable
    return tf.cond(level, lambda: _resize(window, moved, resolution), lambda: warp(window[None], moved, resolution)[0])


def _resize(window: tf.Tensor, transform: tf.Tensor, resolution: int) -> tf.Tensor:
    """`warp` of one picture by a transform [1, 2, 3] that does not turn, which is several times as fast.

    It differs in the outermost half pixel of the picture, which is black here and fades into black there.
    """
    back = invert(transform)[0]
    step = tf.stack([back[1, 1], back[0, 0]])
    first = (step - 1.0) / 2.0 + tf.stack([back[1, 2], back[0, 2]])
    last = tf.cast(tf.shape(window)[:2] - 1, tf.float32)
    box = tf.concat([first / last, (first + step * (resolution - 1)) / last], 0)
    return tf.image.crop_and_resize(window[None], box[None], [0], [resolution, resolution])[0]


def _warp_jpeg(encoded: tf.Tensor, transform: tf.Tensor, resolution: int) -> tf.Tensor:
    back = invert(transform[None])
    corners = tf.constant([[0, 0], [0, 1], [1, 0], [1, 1]], tf.float32) * resolution
    corners_in_picture = move(corners[None], back)[0]
    low, high = tf.reduce_min(corners_in_picture, 0), tf.reduce_max(corners_in_picture, 0)
    shrink = magnification(back)[0]
    height, width = tf.unstack(tf.cast(tf.io.extract_jpeg_shape(encoded), tf.float32)[:2])
    size = tf.stack([width, height])

    def decode(ratio: int) -> Callable[[], tf.Tensor]:
        def run() -> tf.Tensor:
            limit = tf.math.ceil(size / ratio)
            # Two pixels more on each side: the decoder's own smoothing of colours, and the bilinear reading.
            start = tf.clip_by_value(tf.floor(low / ratio) - 2.0, 0.0, limit - 1.0)
            end = tf.clip_by_value(tf.math.ceil(high / ratio) + 2.0, start + 1.0, limit)
            window = tf.cast(tf.stack([start[1], start[0], end[1] - start[1], end[0] - start[0]]), tf.int32)
            part = tf.io.decode_and_crop_jpeg(encoded, window, channels=3, ratio=ratio, fancy_upscaling=False)
            return _warp_window(part, start, float(ratio), transform, resolution)

        return run

    chosen = tf.cast(sum(tf.cast(shrink >= ratio, tf.int32) for ratio in _RATIOS[1:]), tf.int32)
    return tf.switch_case(chosen, [decode(ratio) for ratio in _RATIOS])
