"""Human3.6M's camera files: both forms hold the same cameras, and damage is named."""

import json

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tools.cli.errors import InputError
from tools.pose import cameras

INTRINSICS = np.array([1145.049, 1143.781, 512.5, 515.4])
LENSES = np.array([[-0.207, 0.248, -0.00142, -0.00098, -0.0031], [-0.3, 0.12, 0.004, -0.006, -0.02]])


def json_cameras():
    """The public JSON's layout with made numbers."""
    content = {"intrinsics": {}, "extrinsics": {"S1": {}, "S11": {}}}
    rng = np.random.default_rng(9)
    for number, name in enumerate(["54138969", "55011271"]):
        fx, fy, cx, cy = (INTRINSICS + number).tolist()
        content["intrinsics"][name] = {
            "calibration_matrix": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
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
    """docs/reference.md, "Cameras": up to about 0.4 px around the middle of the picture, up to 1 px at its edges."""
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
        with pytest.raises(InputError, match=r"not JSON|no HDF5"):
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
