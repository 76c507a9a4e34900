"""Pictures and boxes to joints, against OpenCV's warps and the network's own heatmaps."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import decoding, hourglass, network_files, targets
from baseline_network.prediction.predictor import Predictor, compute_policy, crop_pixels
from tools.cli.errors import InputError

SIZES = hourglass.Sizes(stacks=1, modules=1, features=16, resolution=64)
BOXES = np.float32([[40, 30, 60, 90], [-20, 10, 70, 50]])


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(5)
    return hourglass.build(SIZES, dtype="float32")


@pytest.fixture(scope="module")
def predictor(model):
    return Predictor(model, flip=False)


def smooth_picture(height, width, seed=0):
    """A picture without fine detail, RGB uint8, so that any way of reducing it gives about the same."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (6, 7, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def arrays(answer):
    return {name: value.numpy() for name, value in answer.items()}


def opencv_crop(picture, transform, resolution):
    """The same crop by OpenCV, which counts pixels' centres as whole numbers."""
    shifted = transform.astype(np.float64).copy()
    shifted[:, 2] += shifted[:, :2].sum(1) / 2 - 0.5
    return cv2.warpAffine(picture.astype(np.float32), shifted, (resolution, resolution), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    ("centre", "side", "angle"), [((50, 40), 64, 0.0), ((61.5, 33.2), 47, 0.0), ((5, 70), 90, 0.4)]
)
def test_crops_of_pixels_are_opencvs(centre, side, angle):
    picture = smooth_picture(80, 100)
    transform = crop.crop_transforms(
        tf.constant([centre], tf.float32), tf.constant([float(side)]), 64, tf.constant([angle])
    ).numpy()[0]
    expected = opencv_crop(picture, transform, 64)
    found = crop_pixels(picture, transform, 64).numpy()
    assert np.abs(found - expected)[2:-2, 2:-2].mean() < 0.5
    outside = (expected == 0).all(-1)
    assert (found[cv2.erode(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] == 0).all()


@pytest.mark.parametrize("ratio", [2, 3, 5])
def test_reduced_crops_average_all_pixels(ratio):
    """Every crop pixel is the mean of a block, when the blocks lie on the crop's pixels."""
    picture = np.random.default_rng(1).integers(0, 256, (64 * ratio, 64 * ratio, 3), np.uint8)
    transform = np.float32([[1 / ratio, 0, 0], [0, 1 / ratio, 0]])
    expected = picture.reshape(64, ratio, 64, ratio, 3).mean((1, 3))
    np.testing.assert_allclose(crop_pixels(picture, transform, 64), expected, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_pictures_have_crops(shape):
    picture = np.full((*shape, 3), 200, np.uint8)
    for side in (4.0, 64.0, 700.0):
        centre = tf.constant([[shape[1] / 2, shape[0] / 2]])
        found = crop_pixels(picture, crop.crop_transforms(centre, tf.constant([side]), 64)[0], 64).numpy()
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() <= 200.01


def test_boxes_beside_the_picture_are_black(predictor):
    crops, _ = predictor.crops(smooth_picture(50, 60), np.float32([[500, 500, 40, 40], [-900, 3, 40, 400]]))
    assert np.abs(crops).max() == 0


def test_answers_are_the_networks(model, predictor):
    picture = smooth_picture(120, 160)
    told = arrays(predictor.from_pixels(picture, BOXES))
    for person, box in enumerate(BOXES):
        side = 1.25 * box[2:].max()
        corner = box[:2] + box[2:] / 2 - side / 2
        transform = np.float32([[64 / side, 0, 0], [0, 64 / side, 0]])
        transform[:, 2] = -transform[:, :2] @ corner
        image = predictor.crops(picture, box[None])[0].numpy()[0]
        assert np.abs(image - opencv_crop(picture, transform, 64))[2:-2, 2:-2].mean() < 2.0
        answer = model(image[None, ..., ::-1] / 256.0, training=False)
        heatmaps = answer["heatmaps"].numpy()[0, -1]
        points, confidence = decoding.peaks(heatmaps[None])
        expected = points.numpy()[0] * 4 * side / 64 + corner
        np.testing.assert_allclose(told["points"][person], expected, atol=1e-2)
        np.testing.assert_allclose(told["confidence"][person], confidence[0], atol=1e-5)
        np.testing.assert_allclose(told["confidence"][person], heatmaps.max((0, 1)), atol=1e-5)
        space = np.concatenate([expected, answer["depths"].numpy()[0][:, None] * side / 2], 1)
        space -= space[6]
        bones = sum(np.linalg.norm(space[a] - space[b]) for a, b in targets.BONES)
        np.testing.assert_allclose(told["pose_3d"][person], space * 4296.99233013 / bones, atol=0.1)
        np.testing.assert_allclose(told["mm_per_pixel"][person], 4296.99233013 / bones, rtol=1e-4)


def test_flip_looks_at_the_mirrored_crop_too(model):
    images = np.random.default_rng(2).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    transforms = np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (2, 1, 1))
    told = arrays(Predictor(model, flip=True).from_crops(images, transforms))
    one, other = (model(crop.to_network(view), training=False) for view in (images, images[:, :, ::-1]))
    mirror = targets.MPII16.mirror
    mean = (one["heatmaps"][:, 0].numpy() + other["heatmaps"].numpy()[:, 0, :, ::-1][..., mirror]) / 2
    np.testing.assert_allclose(told["confidence"], mean.max((1, 2)), atol=1e-5)
    depths = (one["depths"].numpy() + other["depths"].numpy()[:, mirror]) / 2
    expected = (depths - depths[:, 6:7]) * 32 * told["mm_per_pixel"][:, None]
    np.testing.assert_allclose(told["pose_3d"][..., 2], expected, atol=0.1)


def test_files_pixels_and_places_agree(predictor):
    picture = smooth_picture(120, 160)
    told = arrays(predictor.from_pixels(picture, BOXES))
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    of_files = arrays(predictor.from_files(tf.constant([png, png]), BOXES))
    np.testing.assert_allclose(of_files["confidence"], told["confidence"], atol=0.02)
    moved = np.pad(picture, [(13, 0), (29, 0), (0, 0)])
    elsewhere = arrays(predictor.from_pixels(moved, BOXES + np.float32([29, 13, 0, 0])))
    np.testing.assert_allclose(elsewhere["confidence"], told["confidence"], atol=1e-3)
    np.testing.assert_allclose(elsewhere["points"] - [29, 13], told["points"], atol=0.05)


def test_no_people_give_no_poses(predictor):
    told = predictor.from_pixels(smooth_picture(40, 40), np.zeros([0, 4], np.float32))
    assert told["points"].shape == (0, 16, 2)
    assert told["pose_3d"].shape == (0, 16, 3)


def test_scale_margin_and_precision_come_from_where_they_should(model, predictor, tmp_path):
    network = network_files.load(network_files.save(tmp_path / "net", model, {"crop_margin": 1.7}))
    half = Predictor(network, flip=False, mm_scale=4000.0, dtype=compute_policy(True))
    assert (half.margin, predictor.margin) == (1.7, 1.25)
    picture = smooth_picture(120, 160)
    crops, transforms = half.crops(picture, BOXES)
    np.testing.assert_allclose(transforms[:, 0, 0], 64 / (1.7 * BOXES[:, 2:].max(1)), rtol=1e-5)
    assert half.model.get_layer("reg").compute_dtype in ("bfloat16", "float16")
    told, exact = (arrays(one.from_crops(crops, transforms)) for one in (half, predictor))
    np.testing.assert_allclose(decoding.bones_sum(told["pose_3d"]), 4000.0, rtol=1e-4)
    np.testing.assert_allclose(decoding.bones_sum(exact["pose_3d"]), 4296.99233013, rtol=1e-4)
    np.testing.assert_allclose(told["confidence"], exact["confidence"], atol=0.03)
    assert compute_policy(False).name == "float32"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"margin": 0.0}, "margin 0.0"), ({"mm_scale": "cm"}, "mm_scale cm"), ({"mm_scale": -1.0}, "mm_scale -1.0")],
)
def test_senseless_numbers_are_named(options, words, model):
    with pytest.raises(InputError, match=words):
        Predictor(model, **options)


def test_networks_of_other_joints_are_refused():
    model = hourglass.build(hourglass.Sizes(1, 1, 2, 64, 17), dtype="float32")
    with pytest.raises(InputError, match="the network has 17 joints"):
        Predictor(model)
