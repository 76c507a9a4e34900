"""Human3.6M's raw 3D in its two circulating forms, written by h5py and NumPy; projection against OpenCV."""

import cv2
import h5py
import numpy as np
import pytest

from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tfrecords.sources.h36m import action_of
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

# Where the 17 are among the 32, as the raw data number them.
AMONG_32 = {
    "Hip": 0,
    "RHip": 1,
    "RKnee": 2,
    "RFoot": 3,
    "LHip": 6,
    "LKnee": 7,
    "LFoot": 8,
    "Spine": 12,
    "Thorax": 13,
    "Neck/Nose": 14,
    "Head": 15,
    "LShoulder": 17,
    "LElbow": 18,
    "LWrist": 19,
    "RShoulder": 25,
    "RElbow": 26,
    "RWrist": 27,
}
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SEQUENCES = {(1, "TakingPhoto 1"): 5, (1, "Walking"): 3, (9, "SittingDown 2"): 4, (11, "Directions"): 2}


def as_32(poses):
    """[F, 32, 3] with numbers of no meaning where none of the 17 is."""
    raw = np.random.default_rng(0).normal(0, 1e4, (len(poses), 32, 3))
    for i, joint in enumerate(POSE17.joints):
        raw[:, AMONG_32[joint]] = poses[:, i]
    return raw


@pytest.fixture
def scene(bodies):
    return {key: bodies(frames, i) for i, (key, frames) in enumerate(SEQUENCES.items())}


@pytest.fixture
def folder(tmp_path, scene, camera_values):
    """The tree of 3d-pose-baseline's h36m.zip, with its cameras.h5 and files that are none of this source's."""
    for (subject, name), poses in scene.items():
        path = tmp_path / f"S{subject}" / "MyPoses" / "3D_positions" / f"{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["3D_positions"] = as_32(poses).reshape(len(poses), 96).T
    other = tmp_path / "S1" / "StackedHourglass" / "Walking_1.54138969.h5"
    other.parent.mkdir()
    with h5py.File(other, "w") as file:
        file["poses"] = np.zeros((3, 16, 2))
    with h5py.File(tmp_path / "cameras.h5", "w") as file:
        for (subject, name), (rotation, translation, intrinsics, distortion) in camera_values.items():
            group = file.create_group(f"subject{subject}/camera{CAMERAS.index(name) + 1}")
            group["R"] = rotation.T
            group["T"] = (-rotation.T @ translation)[:, None]
            group["f"], group["c"] = intrinsics[:2, None], intrinsics[2:, None]
            group["k"], group["p"] = distortion[[0, 1, 4], None], distortion[2:4, None]
            group["Name"] = np.array([[ord(letter)] for letter in name], np.uint16)
    return tmp_path


@pytest.fixture
def archive(tmp_path, scene):
    """VideoPose3D's data_3d_h36m.npz: a dict of dicts in metres, float32."""
    content = {}
    for (subject, name), poses in scene.items():
        content.setdefault(f"S{subject}", {})[name] = (as_32(poses) / 1000).astype(np.float32)
    path = tmp_path / "data_3d_h36m.npz"
    np.savez_compressed(path, positions_3d=content)
    return path


def read(path, **options):
    source = open_source("h36m", path, Options(**options))
    return list(source.records(range(len(source))))


def check(records, scene, camera_values, distort, tolerance):
    expected = [
        (subject, name, camera, frame)
        for (subject, name), poses in scene.items()
        for camera in CAMERAS
        for frame in range(len(poses))
    ]
    assert len(records) == len(expected)
    for record, (subject, name, camera, frame) in zip(records, expected):
        assert record.problem() == ""
        assert (record.subject, record.sequence, record.camera, record.frame) == (f"S{subject}", name, camera, frame)
        assert record.split == ("train" if subject == 1 else "test")
        rotation, translation, intrinsics, distortion = camera_values[subject, camera]
        world = scene[subject, name][frame].astype(np.float64)
        points = np.array([rotation @ joint + translation for joint in world])
        np.testing.assert_allclose(record.pose_3d, points - points[10], atol=tolerance)
        np.testing.assert_allclose(record.root_3d, points[10], atol=tolerance)
        matrix = np.array([[intrinsics[0], 0, intrinsics[2]], [0, intrinsics[1], intrinsics[3]], [0, 0, 1]])
        lens = distortion if distort else np.zeros(5)
        turn, _ = cv2.Rodrigues(rotation)
        left, _ = cv2.projectPoints(world, turn, translation, matrix, lens)
        right, _ = cv2.projectPoints(world, turn, translation + [500, 0, 0], matrix, lens)
        np.testing.assert_allclose(record.pose_2d, left[:, 0], atol=2e-3)
        np.testing.assert_allclose(record.right_2d, right[:, 0], atol=2e-3)
        np.testing.assert_array_equal(record.intrinsics, intrinsics.astype(np.float32))
        if distort:
            np.testing.assert_array_equal(record.distortion, distortion.astype(np.float32))
        else:
            assert np.isnan(record.distortion).all()
        assert record.image_size.tolist() == [1000, 1002 if camera in ("54138969", "60457274") else 1000]


@pytest.mark.parametrize("distort", [False, True])
def test_the_tree_of_h5_files(folder, scene, camera_values, distort):
    records = read(folder, distort=distort)
    check(records, scene, camera_values, distort, 1e-3)
    assert records[0].action == "Photo"
    assert records[0].file == "S1/MyPoses/3D_positions/TakingPhoto 1.h5"


def test_the_archive(archive, scene, camera_values, camera_json):
    check(read(archive, cameras=str(camera_json)), scene, camera_values, False, 2e-3)


def test_both_forms_give_the_same_numbers_in_any_ascending_run(folder, archive, camera_json):
    for path in (folder, archive):
        source = open_source("h36m", path, Options(cameras=str(camera_json)))
        whole = list(source.records(range(len(source))))
        numbers = [0, 1, 19, 20, 33, 55]
        for number, record in zip(numbers, source.records(numbers)):
            np.testing.assert_array_equal(record.pose_2d, whole[number].pose_2d)
            assert record.where() == whole[number].where()


def test_17_joints_as_videopose3d_leaves_them(tmp_path, bodies, camera_json):
    order = [POSE17.index(joint) for joint in sorted(AMONG_32, key=AMONG_32.get)]
    poses = bodies(3)
    np.savez(tmp_path / "a.npz", positions_3d={"S5": {"Eating 1": poses[:, order] / np.float32(1000)}})
    record = read(tmp_path / "a.npz", cameras=str(camera_json))[0]
    bones = np.linalg.norm(poses[0, 12] - poses[0, 11])
    np.testing.assert_allclose(np.linalg.norm(record.pose_3d[12] - record.pose_3d[11]), bones, rtol=1e-5)


def test_splits_and_frame_step(folder):
    train, test = read(folder, split="train"), read(folder, split="test")
    assert {record.subject for record in train} == {"S1"}
    assert {record.subject for record in test} == {"S9", "S11"}
    assert (len(train), len(test)) == (4 * 8, 4 * 6)
    assert len(read(folder, frame_step=2)) == 4 * (3 + 2 + 2 + 1)


def test_cameras_in_the_wild_need_no_file(archive):
    records = read(archive, cameras_style="wild")
    assert len({tuple(record.intrinsics) for record in records}) == 4 * len(SEQUENCES)
    for record in records:
        assert record.problem() == ""
        points = record.pose_3d + record.root_3d
        pixels = points[:, :2] / points[:, 2:] * record.intrinsics[:2] + record.intrinsics[2:]
        np.testing.assert_allclose(record.pose_2d, pixels, atol=5e-3)


@pytest.mark.parametrize(
    ("sequence", "action"),
    [("SittingDown 2", "SittingDown"), ("WalkingDog 1", "WalkDog"), ("TakingPhoto", "Photo"), ("Walking", "Walking")],
)
def test_actions(sequence, action):
    assert action_of(sequence) == action


def test_a_frame_that_is_not_a_number_is_skipped(folder):
    path = folder / "S1/MyPoses/3D_positions/Walking.h5"
    with h5py.File(path, "a") as file:
        file["3D_positions"][3 * AMONG_32["Head"], 1] = np.nan
        file["3D_positions"][3 * 30, 2] = np.nan  # a joint that nobody asks for
    items = read(folder)
    skipped = [item for item in items if isinstance(item, Skip)]
    assert len(skipped) == 4
    assert {item.reason for item in skipped} == {"joint is not a number"}
    assert all(item.detail.startswith("Walking frame 1 ") for item in skipped)


def replace(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({}, r"expected a data set '3D_positions' \[96, frames\], found none"),
        ({"3D_positions": np.zeros((3, 96))}, r"\[96, frames\], found shape \[3, 96\]"),
        ({"3D_positions": np.zeros((51, 4))}, r"\[96, frames\], found shape \[51, 4\]"),
        ({"3D_positions": np.zeros((96, 4), int)}, "3D_positions holds int64, expected floating numbers"),
        ({"3D_positions": np.ones((96, 4))}, "0 mm from Hip to Head, expected 300 to 1200"),
    ],
)
def test_wrong_h5_files(folder, datasets, message):
    replace(folder / "S1/MyPoses/3D_positions/Walking.h5", **datasets)
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert "Walking" in str(error.value)


def test_metres_are_noticed_and_can_be_given(folder):
    for path in folder.glob("S*/MyPoses/3D_positions/*.h5"):
        with h5py.File(path, "a") as file:
            file["3D_positions"][...] = file["3D_positions"][()] / 1000
    with pytest.raises(InputError, match=r"mm from Hip to Head.*--unit_mm"):
        read(folder)
    assert len(read(folder, unit_mm=1000.0)) == 4 * sum(SEQUENCES.values())


def test_damaged_and_missing_files(tmp_path, folder, archive, camera_json):
    cameras = str(camera_json)
    path = folder / "S1/MyPoses/3D_positions/Walking.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"Walking\.h5: no HDF5 file, or damaged"):
        read(folder)
    path.rename(path.with_suffix(".cdf"))
    with pytest.raises(InputError, match=r"Walking\.cdf: a CDF file, expected \.h5"):
        read(folder)
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(InputError, match=r"data_3d_h36m\.npz: no \.npz archive"):
        read(archive, cameras=cameras)
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "none", cameras=cameras)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no \.h5 or"):
        read(tmp_path / "empty", cameras=cameras)


class Intruder:
    """Runs code when a careless reader unpickles it."""

    def __reduce__(self):
        return (eval, ("1 + 1",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"positions_2d": np.zeros(3)}, "no array positions_3d"),
        ({"positions_3d": np.zeros(3)}, "positions_3d is no dict of subjects"),
        ({"positions_3d": {}}, "positions_3d holds no sequence"),
        ({"positions_3d": {"S1": np.zeros((3, 32, 3))}}, "has 'S1', expected a dict of actions"),
        ({"positions_3d": {"anna": {}}}, "has 'anna', expected a dict of actions for S1"),
        (
            {"positions_3d": {"S1": {"a": np.zeros((3, 16, 3))}}},
            r"S1/a: shape \[3, 16, 3\], expected \[frames, 32",
        ),
        ({"positions_3d": {"S1": {"a": np.zeros((3, 32, 3), int)}}}, "S1/a: holds int64, expected floating numbers"),
        ({"positions_3d": {"S1": Intruder()}}, r"positions_3d: refused"),
    ],
)
def test_wrong_archives(tmp_path, camera_json, arrays, message):
    np.savez(tmp_path / "a.npz", **{name: np.array(value) for name, value in arrays.items()})
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / "a.npz", cameras=str(camera_json))
    assert str(error.value).startswith(str(tmp_path / "a.npz"))


def test_cameras_must_be_there_for_each_subject(folder, archive, camera_json):
    (folder / "cameras.h5").unlink()
    for path in (folder, archive):
        with pytest.raises(InputError, match=r"source h36m needs Human3\.6M's cameras: give .* with --cameras"):
            read(path)
    np.savez(archive, positions_3d={"S12": {"Walking": np.zeros((3, 32, 3))}})
    with pytest.raises(InputError, match=r"camera-parameters\.json: subject 12 has 0 cameras, expected 4"):
        read(archive, cameras=str(camera_json))
