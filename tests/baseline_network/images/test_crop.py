"""Crops against cv2.warpAffine, and points against the picture they are in."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop

# From corners of pixels to their middles, which is what OpenCV's coordinates are.
HALF = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


def smooth_picture(height, width, step=16, seed=0):
    """[h, w, 3] uint8 without sharp edges: colours that change over `step` pixels."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, [height // step, width // step, 3]).astype(np.float32)
    return np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def some_transforms(resolution=64, count=6, seed=0, side=(60.0, 200.0)):
    rng = np.random.default_rng(seed)
    centres = tf.constant(rng.uniform(40, 160, [count, 2]), tf.float32)
    sides = tf.constant(rng.uniform(*side, count), tf.float32)
    angles = tf.constant(rng.uniform(-3, 3, count), tf.float32)
    mirrored = tf.constant(np.arange(count) % 2 == 1)
    return crop.crop_transforms(centres, sides, resolution, angles, mirrored), centres, sides, angles, mirrored


def by_opencv(picture, transform, resolution):
    matrix = np.linalg.inv(HALF) @ np.vstack([transform, [0, 0, 1]]) @ HALF
    return cv2.warpAffine(picture.astype(np.float32), matrix[:2], (resolution, resolution), flags=cv2.INTER_LINEAR)


def test_transforms_are_the_steps_done_one_after_another():
    transforms, centres, sides, angles, mirrored = some_transforms()
    points = np.random.default_rng(1).uniform(0, 200, [6, 5, 2]).astype(np.float32)
    moved = crop.move(tf.constant(points), transforms).numpy()
    for b in range(6):
        for j in range(5):
            x, y = (points[b, j] - centres[b].numpy()) / float(sides[b]) * 64
            c, s = np.cos(float(angles[b])), np.sin(float(angles[b]))
            x, y = c * x - s * y + 32, s * x + c * y + 32
            expected = [64 - x if mirrored[b] else x, y]
            np.testing.assert_allclose(moved[b, j], expected, atol=1e-3)
    np.testing.assert_allclose(crop.move(tf.constant(moved), crop.invert(transforms)), points, atol=1e-3)
    np.testing.assert_allclose(crop.magnification(transforms), 64 / sides.numpy(), rtol=1e-5)


def test_warp_is_opencvs():
    picture = smooth_picture(192, 208)
    transforms = some_transforms()[0]
    ours = crop.warp(np.stack([picture] * 6), transforms, 64).numpy()
    for image, transform in zip(ours, transforms.numpy()):
        expected = by_opencv(picture, transform, 64)
        # OpenCV rounds positions to 1/32 px, which at the edge of the picture is worth up to 8 grey levels.
        assert np.abs(image - expected).max() < 12
        assert np.abs(image - expected).mean() < 0.2


def test_squares_that_are_not_turned_are_cut_by_another_op_to_the_same_picture():
    picture = smooth_picture(192, 208)
    rng = np.random.default_rng(4)
    centres, sides = (
        tf.constant(rng.uniform(40, 160, [8, 2]), tf.float32),
        tf.constant(rng.uniform(30, 300, 8), tf.float32),
    )
    mirrored = tf.constant(np.arange(8) % 2 == 0)
    transforms = crop.crop_transforms(centres, sides, 64, mirrored=mirrored)
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    images = crop.crop_files(tf.constant([png] * 8), transforms, 64).numpy()
    expected = crop.warp(np.stack([picture] * 8), transforms, 64).numpy()
    y, x = np.mgrid[:64, :64] + 0.5
    outputs = tf.constant(np.stack([x, y], -1).reshape(1, -1, 2).repeat(8, 0), tf.float32)
    places = crop.move(outputs, crop.invert(transforms)).numpy().reshape(8, 64, 64, 2)
    inside = ((places > 0.51) & (places < np.array([208, 192]) - 0.51)).all(-1)
    outside = ((places < -0.51) | (places > np.array([208, 192]) + 0.51)).any(-1)
    np.testing.assert_allclose(images[inside], expected[inside], atol=0.05)
    assert inside.sum() > 4000
    assert outside.sum() > 1000
    assert not images[outside].any()
    assert not expected[outside].any()


def test_identity_changes_no_pixel():
    picture = smooth_picture(64, 64)
    whole = crop.crop_transforms(tf.constant([[32.0, 32.0]]), tf.constant([64.0]), 64)
    np.testing.assert_allclose(crop.warp(picture[None], whole, 64)[0], picture, atol=1e-3)
    mirror = crop.crop_transforms(tf.constant([[32.0, 32.0]]), tf.constant([64.0]), 64, mirrored=tf.constant([True]))
    np.testing.assert_allclose(crop.warp(picture[None], mirror, 64)[0], picture[:, ::-1], atol=1e-3)


def test_a_mark_is_found_where_its_point_went():
    """One transform for picture and points: the middle of mass of a bright disc follows the disc's point."""
    point = np.array([90.3, 77.6])
    y, x = np.mgrid[:192, :208] + 0.5
    disc = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 18)
    transforms = some_transforms(side=(150.0, 300.0))[0]
    moved = crop.move(tf.constant(np.tile(point, [6, 1, 1]), tf.float32), transforms).numpy()[:, 0]
    images = crop.warp(np.tile(disc[None, ..., None], [6, 1, 1, 1]), transforms, 64).numpy()[..., 0]
    y, x = np.mgrid[:64, :64] + 0.5
    inside = [b for b in range(6) if (np.abs(moved[b] - 32) < 22).all()]
    assert len(inside) >= 3
    for b in inside:
        found = np.array([(images[b] * x).sum(), (images[b] * y).sum()]) / images[b].sum()
        np.testing.assert_allclose(found, moved[b], atol=0.05)


@pytest.mark.parametrize("side", [50.0, 150.0, 330.0, 700.0])
def test_files_give_the_crop_of_the_whole_decoded_picture(side):
    """At every size of the crop, so at every reduction of the JPEG decoder; a PNG for comparison."""
    picture = smooth_picture(480, 640, step=80)
    jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    transforms = crop.crop_transforms(
        tf.constant([[300.0, 260.0], [70.0, 450.0]]),
        tf.constant([side, side]),
        64,
        tf.constant([0.4, 0.0]),
        tf.constant([True, False]),
    )
    whole = crop.warp(np.stack([picture] * 2), transforms, 64).numpy()
    from_jpeg = crop.crop_files(tf.constant([jpeg, jpeg]), transforms, 64).numpy()
    from_png = crop.crop_files(tf.constant([png, png]), transforms, 64).numpy()
    # The picture's outermost half pixel fades into black or is black.
    inner = np.stack([cv2.erode((image.min(-1) > 0).astype(np.uint8), np.ones([5, 5])) > 0 for image in whole])
    assert inner.mean() > 0.3
    np.testing.assert_allclose(from_png[inner], whole[inner], atol=0.01)
    difference = np.abs(from_jpeg - whole)
    assert difference[inner].mean() < 2.0
    # Not shifted: moving the crop by a third of a pixel would make the difference larger.
    for axis in (1, 2):
        for step in (1, -1):
            shifted = np.abs(from_jpeg - (2 * whole + np.roll(whole, step, axis)) / 3)
            assert difference[inner].mean() < shifted[inner].mean()


def test_reduced_jpegs_average_what_a_crop_would_skip():
    """A fine chequered pattern becomes grey; reading single pixels of it would not."""
    pattern = np.indices([512, 512]).sum(0) % 2 * 255
    picture = np.repeat(pattern[..., None], 3, -1).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    whole = crop.crop_transforms(tf.constant([[256.0, 256.0]]), tf.constant([512.0]), 64)
    image = crop.crop_files(tf.constant([jpeg]), whole, 64)[0].numpy()
    assert np.abs(image - 127.5).max() < 20


@pytest.mark.parametrize("kind", ["grey.jpg", "grey.png", "rgba.png", "16bit.png", "one.jpg", "one.png"])
def test_odd_pictures(kind):
    what, suffix = kind.split(".")
    picture = {
        "grey": smooth_picture(100, 100)[..., 0],
        "rgba": np.dstack([smooth_picture(100, 100), np.full([100, 100], 128, np.uint8)]),
        "16bit": smooth_picture(100, 100).astype(np.uint16) * 257,
        "one": np.full([1, 1, 3], 200, np.uint8),
    }[what]
    encoded = cv2.imencode("." + suffix, picture)[1].tobytes()
    size = float(picture.shape[0])
    whole = crop.crop_transforms(tf.constant([[size / 2, size / 2]]), tf.constant([size]), 64)
    image = crop.crop_files(tf.constant([encoded]), whole, 64)[0].numpy()
    expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape == (64, 64, 3)
    assert np.abs(image[32, 32] - expected[int(size * 0.505), int(size * 0.505)]).max() < 6


def test_a_square_outside_the_picture_is_black():
    jpeg = cv2.imencode(".jpg", smooth_picture(100, 120))[1].tobytes()
    transforms = crop.crop_transforms(tf.constant([[-500.0, 60.0], [400.0, 900.0]]), tf.constant([80.0, 900.0]), 64)
    assert np.abs(crop.crop_files(tf.constant([jpeg, jpeg]), transforms, 64)[0]).max() == 0


def test_network_input_is_bgr_over_256():
    image = np.zeros([1, 2, 2, 3], np.uint8) + np.array([64, 128, 255], np.uint8)
    np.testing.assert_allclose(crop.to_network(image)[0, 0, 0], [255 / 256, 0.5, 0.25])


def test_boxes():
    nan = np.nan
    boxes = tf.constant([[10.0, 20, 30, 40], [nan] * 4, [nan] * 4, [5, 5, 0, 9]], tf.float32)
    poses = np.full([4, 17, 2], nan, np.float32)
    poses[[1, 3], 3], poses[[1, 3], 5] = [10, 20], [30, 70]
    found = crop.person_boxes(boxes, tf.constant(poses), tf.constant([[640, 480]] * 4)).numpy()
    np.testing.assert_allclose(found, [[10, 20, 30, 40], [5, 15, 30, 60], [0, 0, 640, 480], [5, 15, 30, 60]])
    centres, sides = crop.box_squares(tf.constant(found), 1.25)
    np.testing.assert_allclose(centres[0], [25, 40])
    np.testing.assert_allclose(sides, [50, 75, 800, 75])
