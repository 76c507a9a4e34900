"""MPII Human Pose: the release's struct as SciPy writes it, the JSON and the HDF5 that circulate, real annotations."""

import collections
import contextlib
import gzip
import json

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import mpii, open_source
from tools.cli.errors import InputError

# joint of the record -> MPII's: UpperNeck is Thorax, HeadTop is Head, Pelvis is Hip
DIRECT = {0: 9, 2: 8, 3: 12, 4: 11, 5: 10, 6: 13, 7: 14, 8: 15, 10: 6, 11: 2, 12: 1, 13: 0, 14: 3, 15: 4, 16: 5}


def make_people(count, seed=0):
    """[person, 16, (x, y, v)]: v 1 visible, 0 occluded; (0, 0, 0): not labelled."""
    random = np.random.default_rng(seed)
    joints = np.concatenate([random.integers(1, 90, (count, 16, 2)), random.integers(0, 2, (count, 16, 1))], -1)
    joints = joints.astype(float)
    joints[:, 6:10, 2] = 1
    joints[:, 5] = joints[:, 11] = 0
    return joints


def check(record, joints, center, scale, visible_only=range(16)):
    """What any of the formats must say of a person."""
    for ours, theirs in DIRECT.items():
        x, y, v = joints[theirs]
        if (x, y) == (0, 0):
            assert np.isnan(record.pose_2d[ours]).all()
            assert (record.provenance_2d[ours], record.visibility[ours]) == (0, 0)
        else:
            np.testing.assert_array_equal(record.pose_2d[ours], np.float32([x, y]))
            assert record.provenance_2d[ours] == 2
            if theirs in visible_only:
                assert record.visibility[ours] == 1 + v
    # Neck/Nose is made half way from Thorax to Head, Spine half way from Hip to Thorax
    np.testing.assert_allclose(record.pose_2d[1], (joints[8, :2] + joints[9, :2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(record.pose_2d[9], (joints[8, :2] + joints[6, :2]) / 2, rtol=1e-6)
    assert record.provenance_2d[[1, 9]].tolist() == [1, 1]
    np.testing.assert_allclose(record.box, [*(np.array(center) - 100 * scale), 200 * scale, 200 * scale], rtol=1e-5)
    assert record.dataset == "mpii"
    assert record.problem() == ""


def make_json(joints):
    """Two people an image, every third image for validation."""
    return [
        {
            "dataset": "MPI",
            "isValidation": float(i // 2 % 3 == 0),
            "img_paths": f"{i // 2:09d}.jpg",
            "img_width": 100.0,
            "img_height": 90.0,
            "objpos": [50.0 + i, 45.0],
            "scale_provided": 0.4,
            "joint_self": person.tolist(),
            "joint_others": [person.tolist()],
            "annolist_index": i // 2 + 1.0,
            "people_index": i % 2 + 1.0,
        }
        for i, person in enumerate(joints)
    ]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_json(tmp_path, read_all, encode, name, wrapped):
    joints = make_people(6)
    content = json.dumps({"root": make_json(joints)} if wrapped else make_json(joints)).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "images").mkdir()
    for i in range(3):
        (tmp_path / "images" / f"{i:09d}.jpg").write_bytes(encode(100, 90, seed=i))
    records = read_all("mpii", tmp_path / name, verify=True)
    assert len(records) == 6
    for i, record in enumerate(records):
        check(record, joints[i], (50 + i, 45), 0.4)
        assert (record.file, record.person) == (f"{i // 2:09d}.jpg", i % 2)
        assert record.image == (tmp_path / "images" / record.file).read_bytes()
        assert record.split == ("val" if i < 2 else "train")
        assert np.isnan(record.head_size)
    assert len(read_all("mpii", tmp_path / name, split="val")) == 2
    assert len(read_all("mpii", tmp_path / name, split="train")) == 4


def test_json_of_hrnet(tmp_path, read_all):
    joints = make_people(2)
    missing = ~joints[:, :, :2].any(-1)
    joints_vis = joints[:, :, 2].astype(int)
    content = [
        {
            "image": f"{i}.jpg",
            "center": [40.0, 50.0],
            "scale": 1.5,
            "joints": np.where(missing[i, :, None], -1, joints[i, :, :2]).tolist(),
            "joints_vis": joints_vis[i].tolist(),
        }
        for i in range(2)
    ]
    (tmp_path / "valid.json").write_text(json.dumps(content))
    for i, record in enumerate(read_all("mpii", tmp_path / "valid.json", images="none")):
        check(record, joints[i], (40, 50), 1.5)
        assert (record.file, record.split) == (f"{i}.jpg", "val")
    with pytest.raises(InputError, match="is the val split by its name"):
        open_source("mpii", tmp_path / "valid.json", Options(images="none", split="train"))


def write_h5(path, joints, codes_as_names=False, **changes):
    """As pose-hg-train stores it: scale * 1.25, centre 15 px * scale lower, head size as `normalize`."""
    names = [f"{i // 2:09d}.jpg" for i in range(len(joints))]
    scale = np.full(len(joints), 0.4)
    arrays = {
        "imgname": np.array([[ord(c) for c in name] + [0, 0] for name in names], float)
        if codes_as_names
        else np.array(names, "S"),
        "part": joints[:, :, :2],
        "visible": joints[:, :, 2],
        "center": np.stack([50 + np.arange(len(joints)), 45 + 15 * scale], 1),
        "scale": scale * 1.25,
        "normalize": 10.0 + np.arange(len(joints)),
        "person": np.arange(len(joints)) % 2,
        "index": np.arange(len(joints)) // 2,
        **changes,
    }
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            if value is not None:
                file[key] = value
        file.attrs["name"] = "mpii"


@pytest.mark.parametrize("codes_as_names", [False, True])
def test_h5(tmp_path, read_all, codes_as_names):
    joints = make_people(4)
    write_h5(tmp_path / "valid.h5", joints, codes_as_names)
    for i, record in enumerate(read_all("mpii", tmp_path / "valid.h5", images="none")):
        check(record, joints[i], (50 + i, 45), 0.4)
        assert (record.file, record.person, record.split) == (f"{i // 2:09d}.jpg", i % 2, "val")
        assert record.head_size == 10 + i


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": np.zeros((4, 14, 2))}, "part must be N x 16 x 2, is 4 x 14 x 2"),
        ({"visible": None}, "visible missing"),
        ({"visible": np.zeros((4, 15))}, "visible must be numbers for each of the 4 people"),
        ({"imgname": np.array(["a"] * 3, "S")}, "one name for each of the 4 people"),
        ({"part": np.full((4, 16, 2), np.nan)}, "none of its 4 records can be used"),
    ],
)
def test_h5_of_another_format(tmp_path, changes, message):
    write_h5(tmp_path / "valid.h5", make_people(4), **changes)
    with pytest.raises(InputError, match=message):
        len(open_source("mpii", tmp_path / "valid.h5", Options(images="none")))


def struct(*elements):
    """A 1 x N MATLAB struct array from dicts with the same keys."""
    array = np.empty((1, len(elements)), dtype=[(key, object) for key in elements[0]])
    for i, element in enumerate(elements):
        for key, value in element.items():
            array[key][0, i] = value
    return array


def cell(values, shape):
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


NOTHING = np.zeros((0, 0))


def make_release(joints):
    """RELEASE with an annotated training image of two people, one of one person, one without, and a test image."""

    def rect(person, number):
        points = [
            {
                "x": person[j, 0],
                "y": person[j, 1],
                "id": float(j),
                # MPII leaves the head's joints without, and writes some as texts
                "is_visible": NOTHING if j in (8, 9) else str(int(person[j, 2])) if j % 2 else person[j, 2],
            }
            for j in range(16)
            if person[j, :2].any()
        ]
        return {
            "x1": 10.0, "y1": 20.0, "x2": 40.0, "y2": 60.0,
            "annopoints": struct({"point": struct(*points)}),
            "scale": 0.4,
            "objpos": struct({"x": 50.0 + number, "y": 45.0}),
        }  # fmt: skip

    bare = dict.fromkeys(rect(joints[0], 0), NOTHING)
    bare.update(scale=2.5, objpos=struct({"x": 1.0, "y": 2.0}))
    annolist = struct(
        *(
            {"image": struct({"name": name}), "annorect": rects, "frame_sec": 12.0, "vidx": vidx}
            for name, rects, vidx in [
                ("a.jpg", struct(rect(joints[0], 0), bare, rect(joints[1], 1)), 2.0),
                ("b.jpg", struct(rect(joints[2], 2)), 1.0),
                ("c.jpg", NOTHING, NOTHING),
                ("d.jpg", struct({"scale": 2.0, "objpos": struct({"x": 1.0, "y": 2.0})}), 1.0),
            ]
        )
    )
    return {
        "annolist": annolist,
        "img_train": np.array([[1, 1, 1, 0]]),
        "version": "12",
        "single_person": cell([np.array([1.0, 3.0]), 1.0, NOTHING, 1.0], (4, 1)),
        "act": struct(
            *({"cat_name": "sports", "act_name": name, "act_id": 1.0} for name in ("rope skipping", "", "x", NOTHING))
        ).T,
        "video_list": cell(["video-one", "video-two"], (1, 2)),
    }


def test_mat(tmp_path, read_all):
    joints = make_people(3)
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": make_release(joints)}, do_compression=True)
    records = read_all("mpii", tmp_path / "mpii.mat", images="none")
    assert [(r.file, r.person, r.subject, r.action, r.split) for r in records] == [
        ("a.jpg", 0, "video-two", "rope skipping", "train"),
        ("a.jpg", 1, "video-two", "rope skipping", "train"),
        ("b.jpg", 0, "video-one", "", "train"),
    ]
    for i, record in enumerate(records):
        check(record, joints[i], (50 + i, 45), 0.4, visible_only=set(range(16)) - {8, 9})
        assert record.visibility[[0, 2]].tolist() == [0, 0]
        assert record.head_size == np.float32(0.6 * 50)  # 0.6 of the diagonal of 30 x 40
    with pytest.raises(InputError, match="names no validation people"):
        open_source("mpii", tmp_path / "mpii.mat", Options(images="none", split="val"))


def test_mat_with_one_image_of_one_person(tmp_path, read_all):
    """SciPy gives lists of one element as the element."""
    release = make_release(make_people(3))
    for key in ("annolist", "img_train"):
        release[key] = release[key][:, 1:2]
    release["act"] = release["act"][1:2]
    release["video_list"] = cell(["only"], (1, 1))
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": release})
    (record,) = read_all("mpii", tmp_path / "mpii.mat", images="none")
    assert (record.file, record.subject) == ("b.jpg", "only")


def test_mat_with_a_bad_person_or_of_another_format(tmp_path, read_all):
    joints = make_people(3)
    joints[1, 3, :2] = np.inf
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": make_release(joints)})
    items = read_all("mpii", tmp_path / "mpii.mat", images="none")
    assert [item.reason if isinstance(item, Skip) else "" for item in items] == ["", mpii.BAD_JOINTS, ""]
    for content in ({"RELEASE": {"annolist": NOTHING}}, {"RELEASE": 3.0}, {"joints": np.zeros(3)}):
        scipy.io.savemat(tmp_path / "mpii.mat", content)
        with pytest.raises(InputError, match="RELEASE"):
            len(open_source("mpii", tmp_path / "mpii.mat", Options(images="none")))


@pytest.mark.parametrize("gap", [np.nan, NOTHING, "NaN"])
def test_a_joint_of_the_mat_without_a_place_is_missing_and_the_person_stays(tmp_path, read_all, gap):
    joints = make_people(3)
    release = make_release(joints)
    points = release["annolist"]["annorect"][0, 1]["annopoints"][0, 0]["point"][0, 0]
    number = int(points["id"][0, 3])
    points["x"][0, 3] = gap
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": release})
    people = read_all("mpii", tmp_path / "mpii.mat", images="none")
    assert not any(isinstance(person, Skip) for person in people)
    expected = joints.copy()
    expected[2, number] = 0
    assert number in DIRECT.values()
    for person, truth in zip(people, expected):
        for ours, theirs in DIRECT.items():
            known = bool(truth[theirs, :2].any())
            assert (person.provenance_2d[ours] == 2) == known
            assert np.isfinite(person.pose_2d[ours]).all() == known


def test_what_can_not_be_used_is_counted(tmp_path, read_all, encode):
    content = make_json(make_people(7))
    content[0]["joint_self"] = content[0]["joint_self"][:15]
    content[1]["joint_self"][3] = [1, 2]
    content[2]["joint_self"][3][0] = "left"
    content[3]["img_paths"] = None
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{2:09d}.jpg").write_bytes(encode(99, 90))
    (tmp_path / "mpii.json").write_text(json.dumps(content))
    items = read_all("mpii", tmp_path / "mpii.json")
    assert collections.Counter(item.reason for item in items) == {
        mpii.BAD_JOINTS: 3,
        mpii.BAD_ENTRY: 1,
        images.OTHER_SIZE: 2,
        images.MISSING: 1,
    }


def test_an_image_in_two_splits_is_an_error(tmp_path):
    content = make_json(make_people(2))
    content[0]["isValidation"] = 1 - content[1]["isValidation"]
    (tmp_path / "mpii.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"image 000000000\.jpg has people in two splits"):
        len(open_source("mpii", tmp_path / "mpii.json", Options(images="none")))


def test_missing_and_foreign_files(tmp_path):
    for name in ("none.json", "picture.jpg", "mpii.mat.gz"):
        if name != "none.json":
            (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=name):
            open_source("mpii", tmp_path / name, Options(images="none"))
    (tmp_path / "picture.jpg").unlink()
    for name in ("mpii.json", "mpii.json.gz", "mpii.h5", "mpii.mat"):
        for data in (b"", b"MATLAB 5.0 MAT-file" + b"\0" * 200, b"\x89HDF\r\n\x1a\n" + b"\0" * 50, b"[]", b"{}"):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(InputError, match=name):
                len(open_source("mpii", tmp_path / name, Options(images="none")))
    with pytest.raises(InputError, match="--images=none"):
        open_source("mpii", tmp_path / "mpii.json")


NUMBERS = st.lists(st.floats(), max_size=49)
VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | NUMBERS


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["img_paths", "joint_self", "objpos", "scale_provided", "isValidation", "img_width", "joints"]),
        VALUE,
    ),
    st.lists(VALUE, max_size=3),
)
def test_anything_else_is_a_skip_or_an_input_error(tmp_path, read_all, changes, others):
    content = make_json(make_people(3))
    content[0].update(changes)
    (tmp_path / "mpii.json").write_text(json.dumps(content + others))
    with contextlib.suppress(InputError):
        for item in read_all("mpii", tmp_path / "mpii.json", images="none"):
            assert isinstance(item, Skip) or item.problem() == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_mat_is_an_input_error_or_skips(tmp_path, read_all, data):
    path = tmp_path / "mpii.mat"
    scipy.io.savemat(path, {"RELEASE": make_release(make_people(3))}, do_compression=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        for item in read_all("mpii", path, images="none"):
            assert isinstance(item, Skip) or item.problem() == ""


@pytest.fixture(scope="module")
def real_json(pose3d_data):
    source = open_source("mpii", pose3d_data / "mpii_annotations.json.gz", Options(images="none"))
    return list(source.records(range(len(source))))


def test_real_json(pose3d_data, real_json):
    """All of them, joint by joint; the order of the joints as the bodies show it."""
    truth = json.loads(gzip.decompress((pose3d_data / "mpii_annotations.json.gz").read_bytes()))
    assert len(real_json) == len(truth) == 25204
    assert collections.Counter(record.split for record in real_json) == {"train": 22246, "val": 2958}
    images_of = {part: {r.subject for r in real_json if r.split == part} for part in ("train", "val")}
    assert not images_of["train"] & images_of["val"]
    assert len(images_of["train"] | images_of["val"]) == 17408

    # people of an image keep their order
    by_place = {(record.file, record.person): record for record in real_json}
    count = collections.Counter()
    found = []
    for entry in truth:
        found.append(by_place[entry["img_paths"], count[entry["img_paths"]]])
        count[entry["img_paths"]] += 1
    joints = np.array([entry["joint_self"] for entry in truth])
    scale = np.array([entry["scale_provided"] for entry in truth])[:, None]
    corners = np.array([entry["objpos"] for entry in truth]) - 100 * scale
    boxes = np.concatenate([corners, 200 * scale, 200 * scale], 1)
    np.testing.assert_allclose([record.box for record in found], boxes, rtol=1e-6, atol=1e-3)
    poses = np.stack([record.pose_2d for record in found])
    labelled = joints[:, :, :2].any(-1)
    ours, theirs = list(DIRECT), list(DIRECT.values())
    expected = np.where(labelled[..., None], joints[:, :, :2], np.nan).astype(np.float32)
    # a Thorax or Hip that is not labelled may be made
    known = np.stack([record.provenance_2d for record in found])[:, ours] == 2
    np.testing.assert_array_equal(known, labelled[:, theirs])
    np.testing.assert_array_equal(poses[:, ours][known], expected[:, theirs][known])

    y = poses[:, :, 1]
    assert np.nanmedian(y[:, 10] - y[:, 0]) > np.nanmedian(y[:, 10] - y[:, 2]) > 0 > np.nanmedian(y[:, 10] - y[:, 13])
    sizes = np.array([record.image_size for record in found])
    known = np.isfinite(poses).all(-1)
    inside = ((poses >= 0) & (poses <= sizes[:, None])).all(-1)
    assert inside.sum() > 0.998 * known.sum()


def test_real_h5_says_what_the_json_says(pose3d_data, real_json, read_all):
    """Two independent conversions of the release: the same people, places, visibility and boxes."""
    records = read_all("mpii", pose3d_data / "mpii_valid.h5", images="none")
    assert len(records) == 2958
    assert {record.split for record in records} == {"val"}
    others = collections.defaultdict(list)
    for record in real_json:
        if record.split == "val":
            others[record.file].append(record)
    assert len(others) == len({record.file for record in records})
    heads = []
    for record in records:
        twin = min(others[record.file], key=lambda other: np.abs(other.box - record.box).max())
        np.testing.assert_allclose(record.box, twin.box, atol=0.11)  # the JSON rounds scale to 0.001, 0.2 px
        np.testing.assert_allclose(record.pose_2d, twin.pose_2d, atol=1.0)  # the .h5 cuts fractions of a px off
        np.testing.assert_array_equal(record.provenance_2d, twin.provenance_2d)
        np.testing.assert_array_equal(record.visibility, twin.visibility)
        heads.append(record.head_size / np.linalg.norm(record.pose_2d[0] - record.pose_2d[2]))
    # head size = 0.6 of the diagonal of the head's rectangle, of which HeadTop and UpperNeck are 0.8 apart
    assert np.nanmedian(heads) == pytest.approx(0.75, abs=0.01)
