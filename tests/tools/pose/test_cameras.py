"""Cameras against OpenCV, the release's formula written as a slow loop, and each other's inverses."""

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tools.cli.errors import InputError
from tools.pose import cameras

INTRINSICS = np.array([1145.049, 1143.781, 512.5, 515.4])
# Human3.6M's camera 54138969, and a lens with much stronger distortion.
LENSES = np.array([[-0.207, 0.248, -0.00142, -0.00098, -0.0031], [-0.3, 0.12, 0.004, -0.006, -0.02]])
QUICK = settings(max_examples=60, deadline=None)


def matrix(intrinsics):
    fx, fy, cx, cy = intrinsics
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def seen_points(rng, shape, spread=0.4):
    """Points in front of a camera, within `spread` of the optical axis in normalised coordinates."""
    depth = rng.uniform(1500, 9000, shape)
    return np.stack(
        [rng.uniform(-spread, spread, shape) * depth, rng.uniform(-spread, spread, shape) * depth, depth], -1
    )


def released_projection(points, rotation, position, focal, centre, k, p):
    """The release's projection, one point at a time, from its formula."""
    pixels = []
    for point in points:
        seen = [sum(rotation[i][j] * (point[j] - position[j]) for j in range(3)) for i in range(3)]
        x, y = seen[0] / seen[2], seen[1] / seen[2]
        r2 = x**2 + y**2
        radial = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3
        tangential = p[0] * y + p[1] * x
        x, y = x * (radial + tangential) + p[1] * r2, y * (radial + tangential) + p[0] * r2
        pixels.append([focal[0] * x + centre[0], focal[1] * y + centre[1]])
    return np.array(pixels)


@pytest.mark.parametrize("lens", LENSES)
def test_project_is_opencvs(lens):
    points = seen_points(np.random.default_rng(0), (40, 17))
    expected, _ = cv2.projectPoints(points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), matrix(INTRINSICS), lens)
    np.testing.assert_allclose(cameras.project(points, INTRINSICS, lens), expected.reshape(40, 17, 2), atol=1e-9)
    pinhole, _ = cv2.projectPoints(points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), matrix(INTRINSICS), np.zeros(5))
    np.testing.assert_allclose(cameras.project(points, INTRINSICS), pinhole.reshape(40, 17, 2), atol=1e-9)


def test_project_from_the_world_is_opencvs():
    rng = np.random.default_rng(1)
    turn = Rotation.random(random_state=1)
    translation = np.array([30.0, -200.0, 5000.0])
    world = rng.uniform(-900, 900, (50, 3))
    camera = cameras.Camera(INTRINSICS, LENSES[0], turn.as_matrix(), translation)
    expected, _ = cv2.projectPoints(world, turn.as_rotvec(), translation, matrix(INTRINSICS), LENSES[0])
    np.testing.assert_allclose(camera.project(camera.to_camera(world)), expected[:, 0], atol=1e-8)


@pytest.mark.parametrize("lens", LENSES)
def test_rays_and_undistorted_pixels_are_opencvs(lens):
    pixels = np.random.default_rng(2).uniform(100, 900, (300, 2))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-14)
    expected = cv2.undistortPointsIter(pixels, matrix(INTRINSICS), lens, np.eye(3), np.eye(3), criteria)[:, 0]
    np.testing.assert_allclose(cameras.rays(pixels, INTRINSICS, lens), expected, atol=1e-9)
    # OpenCV's plain call stops after five iterations: near, by its own accuracy.
    plain = cv2.undistortPoints(pixels, matrix(INTRINSICS), lens, P=matrix(INTRINSICS))[:, 0]
    near = np.linalg.norm(pixels - INTRINSICS[2:], axis=1) < 250
    np.testing.assert_allclose(cameras.undistort_pixels(pixels, INTRINSICS, lens)[near], plain[near], atol=0.02)


def test_release_model_is_the_releases_formula():
    rng = np.random.default_rng(3)
    rotation = Rotation.random(random_state=3).as_matrix()
    position = -rotation.T @ np.array([100.0, -50.0, 5200.0])
    world = rng.uniform(-1000, 1000, (60, 3))
    k1, k2, p1, p2, k3 = LENSES[1]
    expected = released_projection(world, rotation, position, INTRINSICS[:2], INTRINSICS[2:], (k1, k2, k3), (p1, p2))
    camera = cameras.Camera(INTRINSICS, LENSES[1], rotation, -rotation @ position, distortion_model="release")
    np.testing.assert_allclose(camera.project(camera.to_camera(world)), expected, atol=1e-9)
    opencv = cameras.project(camera.to_camera(world), INTRINSICS, LENSES[1])
    assert np.abs(opencv - expected).max() > 0.1


@pytest.mark.parametrize("model", ["opencv", "release"])
@pytest.mark.parametrize("lens", [None, *LENSES])
@QUICK
@given(
    normalised=hnp.arrays(np.float64, (6, 2), elements=st.floats(-0.45, 0.45)),
    depth=hnp.arrays(np.float64, (6,), elements=st.floats(10, 20000)),
    fov=st.floats(20, 110),
)
def test_back_projection_inverts_projection(lens, model, normalised, depth, fov):
    intrinsics = cameras.intrinsics_from_fov(fov, 1000, 800)
    points = np.concatenate([normalised * depth[:, None], depth[:, None]], axis=1)
    pixels = cameras.project(points, intrinsics, lens, model)
    np.testing.assert_allclose(
        cameras.back_project(pixels, depth, intrinsics, lens, model), points, rtol=1e-9, atol=1e-6
    )


@QUICK
@given(
    points=hnp.arrays(np.float64, (5, 3), elements=st.floats(-1e4, 1e4)),
    turn=hnp.arrays(np.float64, (3,), elements=st.floats(-3, 3)),
    translation=hnp.arrays(np.float64, (3,), elements=st.floats(-1e4, 1e4)),
)
def test_world_and_camera_are_inverses(points, turn, translation):
    rotation = Rotation.from_rotvec(turn).as_matrix()
    seen = cameras.world_to_camera(points, rotation, translation)
    np.testing.assert_allclose(seen, Rotation.from_rotvec(turn).apply(points) + translation, atol=1e-7)
    np.testing.assert_allclose(cameras.camera_to_world(seen, rotation, translation), points, atol=1e-7)


@QUICK
@given(
    points=hnp.arrays(np.float64, (8, 2), elements=st.floats(-0.45, 0.45)),
    radial=hnp.arrays(np.float64, (3,), elements=st.floats(-0.2, 0.4)),
    tangential=hnp.arrays(np.float64, (2,), elements=st.floats(-0.01, 0.01)),
    model=st.sampled_from(["opencv", "release"]),
)
def test_undistort_inverts_distort(points, radial, tangential, model):
    lens = np.concatenate([radial[:2], tangential, radial[2:]])
    np.testing.assert_allclose(cameras.undistort(cameras.distort(points, lens, model), lens, model), points, atol=1e-9)


def test_pixels_that_no_ray_reaches_are_nan():
    # k1 = -0.5 alone: r (1 - r^2 / 2) is at most 0.544, at r = 0.816.
    lens = np.array([-0.5, 0, 0, 0, 0])
    rays = cameras.undistort(np.array([[0.54, 0.0], [0.55, 0.0], [0.0, 0.9], [3.0, 4.0]]), lens)
    assert np.isfinite(rays[0]).all()
    assert rays[0, 0] < np.sqrt(2 / 3)
    assert np.isnan(rays[1:]).all()
    # Every cubic has another real root: rays mirrored through the axis, and beyond the fold also turned-over ones.
    radius, angle = np.meshgrid(np.linspace(0.5444, 6, 400), np.linspace(0, 6, 7))
    assert np.isnan(cameras.undistort(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), lens)).all()
    within = np.linspace(-0.544, 0.544, 301)[:, None] * [np.cos(1), np.sin(1)]
    found = np.linalg.norm(cameras.undistort(within, lens), axis=-1)
    assert (found < np.sqrt(2 / 3)).all()


@pytest.mark.parametrize("lens", [(-0.5, 0.1, 0, 0, -0.005), (0.5, -0.1, 0, 0, 0)])
def test_rays_are_on_the_side_where_the_picture_is_upright(lens):
    """Both polynomials fold back: several rays meet in one pixel, and some of them would turn the picture over."""
    targets = np.linspace(0.01, 4, 2000)[:, None] * [0.6, 0.8]
    rays = cameras.undistort(targets, np.array(lens))
    found = np.isfinite(rays[:, 0])
    assert found[:200].all()
    np.testing.assert_allclose(cameras.distort(rays[found], np.array(lens)), targets[found], atol=1e-9)
    farther = np.linalg.norm(cameras.distort(rays[found] * (1 + 1e-6), np.array(lens)), axis=-1)
    assert (farther > np.linalg.norm(targets[found], axis=-1)).all()


def test_points_at_or_behind_the_camera_are_nan():
    points = np.array([[10.0, 20.0, 0.0], [10.0, 20.0, -3000.0], [np.nan, 0, 3000.0], [0, 0, 3000.0]])
    pixels = cameras.project(points, INTRINSICS, LENSES[0])
    assert np.isnan(pixels[:2]).all()
    assert np.isnan(pixels[2, 0])
    np.testing.assert_allclose(pixels[3], INTRINSICS[2:])
    np.testing.assert_array_equal(cameras.in_front(points), [False, False, True, True])
    np.testing.assert_array_equal(cameras.in_front(points, 3000.0), [False] * 4)


def test_one_camera_for_each_pose():
    rng = np.random.default_rng(4)
    points = seen_points(rng, (17, 17))
    intrinsics = INTRINSICS + rng.uniform(-20, 20, (17, 4))
    lenses = LENSES[0] * rng.uniform(0.5, 1.5, (17, 1))
    together = cameras.project(points, intrinsics[:, None], lenses[:, None])
    for pose in range(17):
        np.testing.assert_array_equal(together[pose], cameras.project(points[pose], intrinsics[pose], lenses[pose]))
    with pytest.raises(ValueError, match="insert axes of length 1"):
        cameras.project(points, intrinsics)
    with pytest.raises(ValueError, match="must end with the shape"):
        cameras.project(points, intrinsics[:, None, :3])
    with pytest.raises(ValueError, match="unknown distortion model"):
        cameras.project(points, INTRINSICS, LENSES[0], "videopose3d")


def test_change_intrinsics_sees_the_same_points():
    points = seen_points(np.random.default_rng(5), (20, 17))
    other = np.array([700.0, 650.0, 320.0, 200.0])
    again = cameras.change_intrinsics(cameras.project(points, INTRINSICS, LENSES[0]), INTRINSICS, other, LENSES[0])
    np.testing.assert_allclose(again, cameras.project(points, other), atol=1e-8)


def test_right_view_has_the_published_sign():
    points = seen_points(np.random.default_rng(6), (5, 17))
    disparity = cameras.project(cameras.right_view(points), INTRINSICS) - cameras.project(points, INTRINSICS)
    np.testing.assert_allclose(disparity[..., 0], INTRINSICS[0] * 500 / points[..., 2], rtol=1e-9)
    np.testing.assert_allclose(disparity[..., 1], 0, atol=1e-9)
    # A camera 300 mm to the right sees everything 300 mm farther to the left.
    seen_from_the_right = cameras.world_to_camera(points, np.eye(3), [-300.0, 0, 0])
    np.testing.assert_array_equal(cameras.right_view(points, -300.0), seen_from_the_right)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensorflow_gives_numpys_numbers(dtype):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(7)
    points = seen_points(rng, (30, 17)).astype(dtype)
    points[0, 0, 2] = -1
    rotation, translation = Rotation.random(random_state=7).as_matrix(), rng.normal(0, 1000, 3)
    other = np.array(cameras.SEARCH_INTRINSICS)

    def everything(points):
        pixels = cameras.project(points, INTRINSICS, LENSES[0])
        depth = points[..., 2]
        return (
            pixels,
            cameras.project(points, INTRINSICS, LENSES[1], "release"),
            cameras.rays(pixels, INTRINSICS, LENSES[0]),
            cameras.back_project(pixels, depth, INTRINSICS),
            cameras.change_intrinsics(pixels, INTRINSICS, other, LENSES[0]),
            cameras.undistort_pixels(pixels, INTRINSICS, LENSES[0], "release"),
            cameras.world_to_camera(points, rotation, translation),
            cameras.camera_to_world(points, rotation, translation),
            cameras.right_view(points),
            cameras.distort(points[..., :2] / 1e4, LENSES[1]),
            cameras.in_front(points, 3000.0),
        )

    graph = tf.function(everything, input_signature=[tf.TensorSpec([None, 17, 3], dtype)])
    for from_numpy, from_tensorflow in zip(everything(points), graph(points)):
        assert from_numpy.dtype == from_tensorflow.numpy().dtype
        # A few roundings of the largest number, which fused instructions may place differently.
        tolerance = 20 * np.finfo(dtype).eps * np.nanmax(np.abs(from_numpy))
        np.testing.assert_allclose(from_tensorflow, from_numpy, rtol=0, atol=tolerance)


def test_tensors_among_later_arguments_and_gradients():
    tf = pytest.importorskip("tensorflow")
    points = seen_points(np.random.default_rng(8), (4, 17))
    pixels = cameras.project(points, tf.constant(INTRINSICS, tf.float32))
    assert pixels.dtype == tf.float64
    variable = tf.Variable([[100.0, 50.0, 2000.0], [100.0, 50.0, -1.0]], dtype=tf.float64)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(cameras.project(variable, INTRINSICS)[:1])
    gradient = tape.gradient(total, variable).numpy()
    np.testing.assert_allclose(gradient[0, :2], INTRINSICS[:2] / 2000)
    np.testing.assert_array_equal(gradient[1], 0)


@pytest.mark.parametrize("axis", ["x", "y", "diagonal"])
def test_field_of_view_reaches_the_edges(axis):
    width, height = 1280, 720
    intrinsics = cameras.intrinsics_from_fov(65, width, height, axis)
    edges = {"x": [[0, 360], [1280, 360]], "y": [[640, 0], [640, 720]], "diagonal": [[0, 0], [1280, 720]]}[axis]
    first, last = np.concatenate([cameras.rays(np.array(edges, float), intrinsics), np.ones((2, 1))], axis=1)
    angle = np.degrees(np.arccos(first @ last / np.linalg.norm(first) / np.linalg.norm(last)))
    assert angle == pytest.approx(65)
    assert intrinsics[0] == intrinsics[1]


@QUICK
@given(focal=st.floats(10, 1e6), ratio=st.floats(0.2, 5), centre=st.tuples(*[st.floats(-1e5, 1e5)] * 2))
def test_intrinsics_survive_text(focal, ratio, centre):
    numbers = (focal, focal * ratio, *centre)
    np.testing.assert_array_equal(cameras.parse_intrinsics(cameras.format_intrinsics(numbers)), numbers)


@QUICK
@given(text=st.text(alphabet="fov:0123456789.,-+einaN \n", max_size=30))
def test_any_text_parses_or_is_an_input_error(text):
    message = ""
    try:
        intrinsics = cameras.parse_intrinsics(text, (640, 480))
        assert intrinsics.shape == (4,)
        assert np.isfinite(intrinsics).all()
        assert (intrinsics[:2] > 0).all()
    except InputError as error:
        message = str(error)
    assert "\n" not in message


def test_a_field_of_view_beyond_bounds_is_shown_without_a_size():
    # tan(0.05 degrees) / 2
    with pytest.raises(
        InputError, match=r"field of view 179\.9: a focal length of 0\.00044 times the picture's width;"
    ):
        cameras.parse_intrinsics("fov:179.9", (1000, 1000))


def test_parse_intrinsics_forms():
    np.testing.assert_array_equal(cameras.parse_intrinsics(" 1145, 1143,515 ,512"), [1145, 1143, 515, 512])
    np.testing.assert_allclose(cameras.parse_intrinsics("fov:90", (640, 480)), [320, 320, 320, 240])
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "fov", "fov:", "fov:60,60", "fow:60", "1:2,3,4,5", "nan,1,2,3"):
        with pytest.raises(InputError, match="expected fx,fy,cx,cy in pixels or fov:DEGREES"):
            cameras.parse_intrinsics(text, (640, 480))
    with pytest.raises(InputError, match="needs the size of the picture"):
        cameras.parse_intrinsics("fov:60")
    with pytest.raises(InputError, match="focal lengths must be positive"):
        cameras.parse_intrinsics("0,1000,500,500")
    for text in ("fov:0", "fov:1e-320", "fov:180", "fov:nan"):
        with pytest.raises(InputError, match=r"between 0.01 and 180"):
            cameras.parse_intrinsics(text, (640, 480))
    with pytest.raises(InputError, match="image size"):
        cameras.parse_intrinsics("fov:60", (0, 480))


def test_camera_refuses_what_is_no_camera():
    with pytest.raises(InputError, match="intrinsics has shape"):
        cameras.Camera([1, 2, 3], name="odd")
    with pytest.raises(InputError, match="focal lengths"):
        cameras.Camera([-1, 2, 3, 4])
    with pytest.raises(InputError, match="distortion model 'other'"):
        cameras.Camera(INTRINSICS, distortion_model="other")
    with pytest.raises(ValueError, match="read-only"):
        cameras.Camera(INTRINSICS).intrinsics[0] = 1


def test_importing_cameras_imports_no_tensorflow(repository):
    import subprocess
    import sys

    code = "import sys, tools.pose.cameras; print(sorted({'tensorflow', 'h5py', 'cv2', 'scipy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
