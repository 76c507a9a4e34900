"""Human3.6M's cameras in the files in which they circulate: every form gives the cameras of the public JSON."""

import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tfrecords.conversion import camera_files, placing
from tools.cli.errors import InputError
from tools.pose.cameras import Camera

SUBJECTS = range(1, 12)


@pytest.fixture(scope="module")
def truth():
    """Cameras in the corners of a room, each a little tilted, looking at its middle; by (subject, name)."""
    rng = np.random.default_rng(5)
    cameras = {}
    for i, name in enumerate(camera_files.NAMES):
        intrinsics = np.array([1145.0, 1143.8, 512.5, 515.5]) + rng.normal(0, 2, 4)
        distortion = rng.normal(0, [0.1, 0.1, 0.001, 0.001, 0.01])
        for subject in SUBJECTS:
            angle = np.radians(45 + 90 * i + rng.normal(0, 5))
            centre = np.array([4500 * np.cos(angle), 5200 * np.sin(angle), 1500 + rng.normal(0, 60)])
            away = np.array([0, 0, 900]) - centre
            away /= np.linalg.norm(away)
            right = np.cross(away, [0, 0, 1])
            right /= np.linalg.norm(right)
            level = np.stack([right, np.cross(away, right), away])
            rotation = Rotation.from_rotvec(rng.normal(0, 0.02, 3)).as_matrix() @ level
            cameras[subject, name] = Camera(intrinsics, distortion, rotation, -rotation @ centre, name)
    return cameras


def parts(camera):
    """R, T, f, c, k, p as the data set's own code has them."""
    k1, k2, p1, p2, k3 = camera.distortion
    columns = camera.intrinsics[:2], camera.intrinsics[2:], np.array([k1, k2, k3]), np.array([p1, p2])
    centre = -camera.rotation.T @ camera.translation
    return (camera.rotation, centre[:, None], *(column[:, None] for column in columns))


def angles(rotation):
    """Of Rx(a) Ry(b) Rz(c), by SciPy."""
    return Rotation.from_matrix(rotation).as_euler("XYZ")


def metadata(cameras):
    numbers = []
    for name in camera_files.NAMES:
        for subject in SUBJECTS:
            rotation, centre, *_ = parts(cameras[subject, name])
            numbers += [*angles(rotation), *centre.ravel()]
    for name in camera_files.NAMES:
        _, _, f, c, k, p = parts(cameras[1, name])
        numbers += [*f.ravel(), *c.ravel(), *k.ravel(), *p.ravel()]
    ids = "".join(f"<cell>{name}</cell>" for name in camera_files.NAMES)
    text = " ".join(f"{number:.10g}" for number in numbers)
    cameras_text = f"<dbcameras><index2id>{ids}</index2id></dbcameras>"
    return f'<?xml version="1.0"?>\n<metadata>{cameras_text}<w0>[{text}]</w0></metadata>'


def write_pickle(path, content):
    with open(path, "wb") as file:
        pickle.dump(content, file, protocol=2)
    return path


def assert_same(loaded, truth):
    assert set(loaded) == set(truth)
    points = np.random.default_rng(0).normal(0, 500, (20, 3)) + [0, 0, 900]
    for key, camera in loaded.items():
        for field in ("intrinsics", "distortion", "rotation", "translation"):
            np.testing.assert_allclose(getattr(camera, field), getattr(truth[key], field), rtol=1e-6, atol=1e-5)
        seen, wanted = (one.project(one.to_camera(points)) for one in (camera, truth[key]))
        np.testing.assert_allclose(seen, wanted, atol=1e-3)


def test_metadata_xml(tmp_path, truth):
    path = tmp_path / "metadata.xml"
    path.write_text(metadata(truth))
    assert_same(camera_files.load(path), truth)
    assert_same(placing.load_cameras(str(path), "h36m"), truth)


def forms(truth):
    numbers = {name: i + 1 for i, name in enumerate(camera_files.NAMES)}
    names = ("R", "T", "f", "c", "k", "p")
    by_number = {(subject, numbers[name]): parts(camera) for (subject, name), camera in truth.items()}
    transposed = {}
    for (subject, name), camera in truth.items():
        entry = dict(zip(names, parts(camera)), id=name, name=f"camera{numbers[name]}", w=1000, h=1000)
        entry["R"], entry["T"] = entry["R"].T, entry["T"] / 1000
        transposed[f"S{subject}", name] = entry
    nested = {f"S{subject}": {} for subject in SUBJECTS}
    for (subject, name), camera in truth.items():
        entry = dict(zip(names, parts(camera)))
        nested[f"S{subject}"][name] = {"a": angles(entry.pop("R"))[:, None], **entry}
    return {"tuples": by_number, "camera to world, metres": transposed, "angles": nested}


@pytest.mark.parametrize("form", ["tuples", "camera to world, metres", "angles"])
def test_pickled_dicts(tmp_path, truth, form):
    content = forms(truth)[form]
    assert_same(camera_files.load(write_pickle(tmp_path / "cameras.pkl", content)), truth)
    np.save(tmp_path / "cameras.npy", np.array(content, object), allow_pickle=True)
    assert_same(camera_files.load(tmp_path / "cameras.npy"), truth)


def test_real_cameras_survive_every_form(tmp_path, pose3d_data):
    truth = camera_files.load(pose3d_data / "h36m_camera_parameters.json")
    (tmp_path / "metadata.xml").write_text(metadata(truth))
    assert_same(camera_files.load(tmp_path / "metadata.xml"), truth)
    for form, content in forms(truth).items():
        assert_same(camera_files.load(write_pickle(tmp_path / f"{form[:3]}.pkl", content)), truth)


class Harmful:
    def __reduce__(self):
        return (print, ("code of the file ran",))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", "<metadata/>", "no element w0"),
        ("a.xml", "<w0>[1 2 3]</w0>", "w0 has 3 numbers, expected 300"),
        ("a.xml", "<w0>[1 x 3]</w0>", "no number"),
        ("a.pkl", {}, "no dict of cameras"),
        ("a.pkl", {(1, 1): (np.eye(3), np.zeros(3))}, "f is not"),
        ("a.pkl", {(1, 1): (np.eye(2),)}, "R is not"),
        ("a.pkl", Harmful(), "refused"),
    ],
)
def test_other_content(tmp_path, name, content, words, capfd):
    path = tmp_path / name
    path.write_text(content) if isinstance(content, str) else write_pickle(path, content)
    with pytest.raises(InputError, match=words):
        camera_files.load(path)
    assert "code of the file" not in capfd.readouterr().out
