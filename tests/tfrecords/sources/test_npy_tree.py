"""The original's trees of arrays, written by NumPy in its layouts."""

import numpy as np
import pytest

from tfrecords.source import Options, Skip
from tfrecords.sources import open_source
from tools.cli.errors import InputError

CAMERA = np.array([1145.049, 1143.781, 512.0, 515.0])
RELEASED = {
    "planar": {"2d_left": 2, "2d_right": 2},
    "interleaved": {"2D_left_new": 2, "2D_right_new": 2, "3D_new": 3},
    "search": {"2dCam": 2, "3dCam": 3},
}
FILES = (
    "1/Walking/Walking 1.55011271.npy",
    "5/Eating/Eating.54138969.npy",
    "9/Walking/Walking.npy",
    "11/Posing/Posing.npy",
)


def project(points):
    return points[..., :2] / points[..., 2:] * CAMERA[:2] + CAMERA[2:]


def rows(poses, layout):
    """[n, 17, d] as the original writes rows."""
    if layout == "interleaved":
        return np.array([[value for joint in pose for value in joint] for pose in poses])
    return np.array([[joint[axis] for axis in range(poses.shape[2]) for joint in pose] for pose in poses])


@pytest.fixture
def scene(bodies):
    """File -> poses in camera coordinates, left 2D, right 2D."""
    scene = {}
    for i, name in enumerate(FILES):
        points = bodies(4 + i, i).astype(np.float64)[..., [0, 2, 1]] * [1, -1, 1] + [0, 900, 5000]
        scene[name] = {"3d": points, "left": project(points), "right": project(points + [500, 0, 0])}
    return scene


def write(root, scene, family, permutation=None, root_relative=False):
    for tree in RELEASED[family]:
        for name, poses in scene.items():
            kind = "3d" if tree.startswith("3") else "right" if "right" in tree else "left"
            values = poses[kind] - poses[kind][:, 10:11] if root_relative and kind == "3d" else poses[kind]
            if permutation is not None:
                values = values[:, np.argsort(permutation)]
            path = root / tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, rows(values, "interleaved" if family == "interleaved" else "planar"))
    return root


def read(path, **options):
    source = open_source("npy_tree", path, Options(**options))
    return source, list(source.records(range(len(source))))


@pytest.mark.parametrize("family", RELEASED)
@pytest.mark.parametrize("inside", ["", "data"])
@pytest.mark.parametrize("permutation", [None, tuple(np.random.default_rng(2).permutation(17).tolist())])
def test_each_family_reads_back(tmp_path, scene, family, inside, permutation):
    write(tmp_path / inside, scene, family, permutation)
    _, records = read(tmp_path, permutation=permutation)
    expected = [(name, frame) for name in sorted(scene) for frame in range(len(scene[name]["3d"]))]
    assert len(records) == len(expected)
    for record, (name, frame) in zip(records, expected):
        subject, action, _ = name.split("/")
        assert record.problem() == ""
        assert (record.subject, record.action, record.frame) == (f"S{subject}", action, frame)
        assert record.sequence == name[:-4]
        assert record.file.endswith(name)
        assert record.split == ("test" if subject in ("9", "11") else "train")
        np.testing.assert_array_equal(record.pose_2d, scene[name]["left"][frame].astype(np.float32))
        np.testing.assert_array_equal(record.intrinsics, CAMERA.astype(np.float32))
        assert record.camera_kind == "assumed"
        if "right" in " ".join(RELEASED[family]):
            np.testing.assert_array_equal(record.right_2d, scene[name]["right"][frame].astype(np.float32))
        else:
            assert np.isnan(record.right_2d).all()
        if 3 in RELEASED[family].values():
            points = scene[name]["3d"][frame]
            np.testing.assert_array_equal(record.pose_3d, (points - points[10]).astype(np.float32))
            np.testing.assert_array_equal(record.root_3d, points[10].astype(np.float32))
        else:
            assert np.isnan(record.pose_3d).all()


def test_splits_are_the_subjects_of_the_original(tmp_path, scene):
    write(tmp_path, scene, "planar")
    assert {record.subject for record in read(tmp_path, split="train")[1]} == {"S1", "S5"}
    assert {record.subject for record in read(tmp_path, split="test")[1]} == {"S9", "S11"}
    for name in FILES[2:]:
        (tmp_path / "2d_left" / name).unlink()
        (tmp_path / "2d_right" / name).unlink()
    with pytest.raises(InputError, match="nothing in split 'test'; there is S1, S5"):
        read(tmp_path, split="test")


def test_the_layout_asked_for_chooses_among_families(tmp_path, scene):
    write(tmp_path, scene, "planar")
    write(tmp_path, scene, "interleaved")
    assert np.isfinite(read(tmp_path)[1][0].pose_3d).all()
    assert np.isnan(read(tmp_path, layout="planar")[1][0].pose_3d).all()


@pytest.mark.parametrize(("family", "layout"), [("interleaved", "planar"), ("planar", "interleaved")])
def test_rows_in_the_other_layout_are_noticed(tmp_path, scene, family, layout):
    write(tmp_path, scene, family)
    with pytest.raises(InputError, match=f"rows are {family}, not {layout} as they are read; give --layout={family}"):
        read(tmp_path, layout=layout)


def test_poses_relative_to_their_root_say_nothing_of_where_it_is(tmp_path, scene):
    write(tmp_path, scene, "search", root_relative=True)
    for record in read(tmp_path)[1]:
        assert np.isnan(record.root_3d).all()
        assert not record.pose_3d[10].any()


def test_centred_2d_has_no_camera(tmp_path, scene):
    centred = {name: {kind: poses - poses[:, 10:11] for kind, poses in item.items()} for name, item in scene.items()}
    write(tmp_path, centred, "planar")
    for record in read(tmp_path)[1]:
        assert np.isnan(record.intrinsics).all()
        assert record.camera_kind == ""


def test_one_tree_and_one_file(tmp_path, scene):
    write(tmp_path, scene, "search")
    _, records = read(tmp_path / "3dCam", intrinsics=tuple(CAMERA), baseline_mm=500.0)
    name = sorted(scene)[0]
    np.testing.assert_allclose(records[0].pose_2d, scene[name]["left"][0], atol=1e-3)
    np.testing.assert_allclose(records[0].right_2d, scene[name]["right"][0], atol=1e-3)
    assert records[0].camera_kind == "given"
    source, records = read(tmp_path / "2dCam" / name)
    assert len(source) == len(scene[name]["left"])
    np.testing.assert_array_equal(records[1].pose_2d, scene[name]["left"][1].astype(np.float32))
    np.save(tmp_path / "joints.npy", scene[name]["left"].astype(np.float32))
    np.testing.assert_array_equal(read(tmp_path / "joints.npy")[1][1].pose_2d, records[1].pose_2d)


def test_frame_step_and_any_ascending_numbers(tmp_path, scene):
    write(tmp_path, scene, "planar")
    source, every = read(tmp_path)
    numbers = [0, 3, 4, 11, len(source) - 1]
    for number, record in zip(numbers, source.records(numbers)):
        np.testing.assert_array_equal(record.pose_2d, every[number].pose_2d)
    third = read(tmp_path, frame_step=3)[1]
    assert [(record.sequence, record.frame) for record in third] == [
        (record.sequence, record.frame) for record in every if record.frame % 3 == 0
    ]


def test_a_row_that_is_not_a_number_is_skipped(tmp_path, scene):
    scene[FILES[0]]["right"][2, 5] = np.nan
    write(tmp_path, scene, "interleaved")
    items = read(tmp_path)[1]
    skipped = [item for item in items if isinstance(item, Skip)]
    assert [(item.reason, item.detail) for item in skipped] == [("joint is not a number", f"{FILES[0][:-4]} row 2")]


@pytest.mark.parametrize("tree", list(RELEASED["interleaved"]))
def test_a_missing_partner_is_named(tmp_path, scene, tree):
    write(tmp_path, scene, "interleaved")
    missing = tmp_path / tree / FILES[1]
    missing.unlink()
    with pytest.raises(InputError, match="partner is missing, expected") as error:
        read(tmp_path)
    assert str(missing) in str(error.value)


def spoil(path, how):
    array = np.load(path)
    if how == "row":
        np.save(path, array[:-1])
    elif how == "integers":
        np.save(path, array.astype(int))
    elif how == "joints":
        np.save(path, array[:, :-2])
    elif how == "objects":
        np.save(path, array.astype(object), allow_pickle=True)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "text":
        path.write_text("no array")
    elif how == "3d":
        np.save(path, np.zeros((len(array), 51)))
    elif how == "several":
        with path.open("ab") as file:
            np.save(file, array)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("row", "partners have different numbers of rows: 5 in .*, 4 in "),
        ("integers", "holds int64, expected floating numbers"),
        ("joints", r"shape \[5, 32\], expected \[N, 34\] or \[N, 17, 2\] for 2D"),
        ("objects", "an array of Python objects"),
        ("cut", r"cut short: [\d,]+ bytes of the [\d,]+ that its header announces"),
        ("text", "no .npy array"),
        ("several", "several arrays one behind the other, expected one"),
        ("3d", "holds 3D poses, expected right-view 2D"),
    ],
)
def test_wrong_files_are_named(tmp_path, scene, how, message):
    write(tmp_path, scene, "planar")
    spoil(tmp_path / "2d_right" / FILES[1], how)
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path)
    assert FILES[1] in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_folders_and_options(tmp_path, scene):
    with pytest.raises(InputError, match="no such file or folder"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match=r"no \.npy file in it"):
        read(tmp_path)
    (tmp_path / "2d_left").mkdir()
    with pytest.raises(InputError, match=r"2d_left: no \.npy file in it; expected <subject>/<action>/<file>\.npy"):
        read(tmp_path)
    write(tmp_path, scene, "planar")
    with pytest.raises(InputError, match="--layout=round: expected planar or interleaved"):
        read(tmp_path, layout="round")
    with pytest.raises(InputError, match="expected each of 0 to 16 once"):
        read(tmp_path, permutation=(0,) * 17)
    for tree in ("2d_left", "2d_right"):
        np.save(tmp_path / tree / "stray.npy", np.zeros((1, 34)))
    with pytest.raises(InputError, match=r"stray\.npy: expected <subject>/<action>/<file>\.npy"):
        read(tmp_path)
