"""Cameras against OpenCV, the release's formula written as a slow loop, and each other's inverses."""

import json

import cv2
import h5py
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tools.errors import InputError
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
@given(numbers=st.tuples(*[st.floats(1e-3, 1e6)] * 2, *[st.floats(-1e6, 1e6)] * 2))
def test_intrinsics_survive_text(numbers):
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


def json_cameras():
    """The public JSON's layout with made numbers."""
    content = {"intrinsics": {}, "extrinsics": {"S1": {}, "S11": {}}}
    rng = np.random.default_rng(9)
    for number, name in enumerate(["54138969", "55011271"]):
        content["intrinsics"][name] = {
            "calibration_matrix": matrix(INTRINSICS + number).tolist(),
            "distortion": LENSES[number].tolist(),
        }
        for subject in ("S1", "S11"):
            content["extrinsics"][subject][name] = {
                "R": Rotation.random(random_state=rng.integers(1000)).as_matrix().tolist(),
                "t": rng.normal(0, 3000, (3, 1)).tolist(),
            }
    return content


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def write_h5(path, content):
    """The same cameras in the layout of cameras.h5, as MATLAB wrote it: columns, R transposed, letters as numbers."""
    with h5py.File(path, "w") as file:
        for subject, views in content["extrinsics"].items():
            for index, (name, view) in enumerate(views.items()):
                group = file.create_group(f"subject{int(subject[1:])}/camera{index + 1}")
                rotation, calibration = np.array(view["R"]), np.array(content["intrinsics"][name]["calibration_matrix"])
                k1, k2, p1, p2, k3 = content["intrinsics"][name]["distortion"]
                group["R"] = rotation.T
                group["T"] = -np.linalg.inv(rotation) @ np.array(view["t"])
                group["f"] = calibration[[0, 1], [0, 1]][:, None]
                group["c"] = calibration[:2, 2:]
                group["k"] = np.array([[k1], [k2], [k3]])
                group["p"] = np.array([[p1], [p2]])
                group["Name"] = np.array([[ord(letter)] for letter in name], np.uint16)
    return path


def assert_loaders_agree(folder, content):
    from_json = cameras.load_h36m_json(write_json(folder / "cameras.json", content))
    from_h5 = cameras.load_h36m_h5(write_h5(folder / "cameras.h5", content))
    assert set(from_json) == set(from_h5)
    for key, camera in from_json.items():
        for field in ("intrinsics", "distortion", "rotation", "translation"):
            np.testing.assert_allclose(getattr(from_h5[key], field), getattr(camera, field), rtol=1e-12, atol=1e-9)
        assert from_h5[key].name == camera.name == key[1]
    return from_json


def test_loaders_agree(tmp_path):
    content = json_cameras()
    loaded = assert_loaders_agree(tmp_path, content)
    assert set(loaded) == {(subject, name) for subject in (1, 11) for name in ("54138969", "55011271")}
    camera = loaded[11, "55011271"]
    view = content["extrinsics"]["S11"]["55011271"]
    point = np.array([100.0, 200.0, 300.0])
    np.testing.assert_allclose(camera.to_camera(point), np.array(view["R"]) @ point + np.array(view["t"])[:, 0])
    np.testing.assert_array_equal(camera.intrinsics, INTRINSICS + 1)
    release = cameras.load_h36m_h5(tmp_path / "cameras.h5", "release")
    assert {camera.distortion_model for camera in release.values()} == {"release"}


def test_loaders_agree_on_the_real_cameras(tmp_path, pose3d_data):
    content = json.loads((pose3d_data / "h36m_camera_parameters.json").read_text())
    assert len(assert_loaders_agree(tmp_path, content)) == 44


def test_distortion_conventions_differ_as_documented(pose3d_data):
    """REFERENCE, "Cameras": up to about 0.4 px around the middle of the picture, up to 1 px at its edges."""
    loaded = cameras.load_h36m_json(pose3d_data / "h36m_camera_parameters.json")
    line = np.linspace(250, 750, 21)
    middle = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    edges = np.array([[0.0, 500.0], [1000.0, 500.0], [500.0, 0.0], [500.0, 1000.0]])

    def largest_distance(pixels):
        distances = []
        for name in ("54138969", "55011271", "58860488", "60457274"):
            camera = loaded[1, name]
            points = camera.back_project(pixels, 5000.0)
            release = cameras.project(points, camera.intrinsics, camera.distortion, "release")
            distances.append(np.linalg.norm(camera.project(points) - release, axis=-1).max())
        return max(distances)

    assert 0.3 < largest_distance(middle) < 0.45
    assert 0.6 < largest_distance(edges) < 1.1


def edited(change):
    content = json_cameras()
    change(content)
    return content


BROKEN_JSON = {
    "no entry extrinsics": lambda content: content.pop("extrinsics"),
    "no entry intrinsics/54138969$": lambda content: content["intrinsics"].pop("54138969"),
    "no entry intrinsics/54138969/distortion": lambda content: content["intrinsics"]["54138969"].pop("distortion"),
    "S1/55011271/t has shape": lambda content: content["extrinsics"]["S1"]["55011271"].update(t=[1.0, 2.0]),
    "S1/55011271/t is not an array": lambda content: content["extrinsics"]["S1"]["55011271"].update(t=["a", 1, 2]),
    "not finite": lambda content: content["extrinsics"]["S1"]["55011271"].update(t=[1.0, 2.0, float("nan")]),
    "S1: camera 55011271: rotation is not": lambda content: content["extrinsics"]["S1"]["55011271"].update(
        R=np.diag([1.0, 1.0, -1.0]).tolist()
    ),
    "expected subjects named": lambda content: content["extrinsics"].update(subject7={}),
    "holds no camera": lambda content: content["extrinsics"].clear(),
}


@pytest.mark.parametrize("message", BROKEN_JSON)
def test_broken_json_is_named(tmp_path, message):
    path = write_json(tmp_path / "broken.json", edited(BROKEN_JSON[message]))
    with pytest.raises(InputError, match=message) as caught:
        cameras.load_h36m_json(path)
    assert "broken.json" in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    text = tmp_path / "text"
    text.write_text("neither")
    for load in (cameras.load_h36m_json, cameras.load_h36m_h5):
        with pytest.raises(InputError, match="missing"):
            load(tmp_path / "missing")
        with pytest.raises(InputError, match=r"not JSON|not an HDF5"):
            load(text)
        with pytest.raises(InputError, match=str(tmp_path)):
            load(tmp_path)


@pytest.mark.parametrize("key", ["R", "T", "f", "c", "k", "p", "Name"])
def test_broken_h5_is_named(tmp_path, key):
    path = write_h5(tmp_path / "cameras.h5", json_cameras())
    with h5py.File(path, "a") as file:
        del file[f"subject11/camera2/{key}"]
    with pytest.raises(InputError, match=f"no entry subject11/camera2/{key}"):
        cameras.load_h36m_h5(path)
    with h5py.File(path, "a") as file:
        file[f"subject11/camera2/{key}"] = np.array([b"a", b"b"]) if key == "Name" else np.zeros((4, 2))
    with pytest.raises(InputError, match=rf"subject11/camera2/{key} (has shape|is not a name)"):
        cameras.load_h36m_h5(path)


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
