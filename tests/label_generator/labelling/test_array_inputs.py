"""Arrays and CSV files as inputs: layouts, cameras, masks, confidence, damage."""

import numpy as np
import pytest

from label_generator.labelling import array_inputs, array_rows, formats
from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tests.label_generator.labelling.opened_inputs import coco, everything
from tfrecords import schema
from tools.cli.errors import InputError
from tools.pose import joints

ARRAYS = {
    "poses.npy": lambda path, poses: np.save(path, poses),
    "fortran.npy": lambda path, poses: np.save(path, np.asfortranarray(poses)),
    "planar.npy": lambda path, poses: np.save(path, poses.transpose(0, 2, 1).reshape(-1, 34)),
    "rows.npy": lambda path, poses: np.save(path, poses.reshape(-1, 34).astype(np.float64)),
    "stored.npz": lambda path, poses: np.savez(path, other=np.zeros(3), keypoints=poses),
    "packed.npz": lambda path, poses: np.savez_compressed(path, only=poses),
    "poses.csv": lambda path, poses: np.savetxt(path, poses.reshape(-1, 34), delimiter=",", fmt="%.5f"),
    "poses.tsv": lambda path, poses: np.savetxt(path, poses.reshape(-1, 34), delimiter="\t", fmt="%.5f"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, people, name):
    path = tmp_path / name
    ARRAYS[name](path, people.pose_2d)
    assert formats.guess_format(str(path)) == "array"
    opened = label_inputs.open_input(Spec(str(path), "array", joints="pose17"))
    assert len(opened) == 300
    found = everything(opened, 64)
    np.testing.assert_allclose(found["poses_2d"], people.pose_2d, atol=1e-4)
    assert list(found["frame"]) == list(range(300))
    # Pieces may be asked for again, and from any place.
    np.testing.assert_array_equal(everything(opened, 64, 128)["poses_2d"], found["poses_2d"][128:])
    records = list(opened.records(np.array([3, 4, 290])))
    np.testing.assert_array_equal([record.pose_2d for record in records], found["poses_2d"][[3, 4, 290]])


def test_archives_with_cameras_masks_and_confidence(tmp_path, people):
    mask = np.random.default_rng(0).random((300, 17)) > 0.2
    np.savez(tmp_path / "a.npz", poses_2d=people.pose_2d, intrinsics=people.intrinsics, joint_mask=mask)
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "a.npz"), "array", joints="pose17")), 100)
    np.testing.assert_array_equal(found["intrinsics"], people.intrinsics)
    assert set(found["camera_kind"]) == {schema.CAMERA_KINDS.index("given")}
    np.testing.assert_array_equal(found["provenance"] == joints.LABELLED, mask)
    confident = np.concatenate([people.pose_2d, np.where(mask, 0.8, 0.4)[..., None]], -1)
    np.save(tmp_path / "c.npy", confident)
    spec = Spec(str(tmp_path / "c.npy"), "array", joints="pose17", min_confidence=0.5)
    found = everything(label_inputs.open_input(spec), 100)
    np.testing.assert_array_equal(found["provenance"] == joints.LABELLED, mask)
    np.savez(tmp_path / "d.npz", poses_2d=people.pose_2d, intrinsics=people.intrinsics[0])
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "d.npz"), "array", joints="pose17")), 100)
    np.testing.assert_array_equal(found["intrinsics"], np.tile(people.intrinsics[0], (300, 1)))


def test_other_joints_are_converted(tmp_path, people):
    theirs = np.random.default_rng(1).uniform(0, 500, (20, 25, 2)).astype(np.float32)
    np.save(tmp_path / "body.npy", theirs)
    # The number of joints says whose they are where it says it clearly.
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "body.npy"), "array")), 8)
    expected, provenance = joints.convert(theirs, "body25")
    np.testing.assert_array_equal(found["poses_2d"], expected)
    np.testing.assert_array_equal(found["provenance"], provenance)
    order = tuple(np.random.default_rng(2).permutation(17).tolist())
    mixed = np.empty_like(people.pose_2d)
    mixed[:, order] = people.pose_2d
    np.save(tmp_path / "mixed.npy", mixed)
    spec = Spec(str(tmp_path / "mixed.npy"), "array", joints="pose17", permutation=order)
    np.testing.assert_array_equal(everything(label_inputs.open_input(spec), 100)["poses_2d"], people.pose_2d)


def test_csv_with_names(tmp_path, people):
    poses = people.pose_2d[:9]
    lines = ["file;frame;" + ";".join(f"{axis}{i}" for i in range(17) for axis in "xy")]
    for i, pose in enumerate(poses):
        cells = [f"{value:.4f}" for value in pose.ravel()]
        cells[10:12] = ["", ""] if i == 2 else cells[10:12]
        lines += [f"clip {i // 5}.mp4;{10 * i};" + ";".join(cells), ""]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    opened = label_inputs.open_input(Spec(str(tmp_path / "a.csv"), "array", joints="pose17"))
    found = everything(opened)
    assert list(found["file"]) == [f"clip {i // 5}.mp4" for i in range(9)]
    assert list(found["frame"]) == [10 * i for i in range(9)]
    expected = poses.copy()
    expected[2, 5] = np.nan
    np.testing.assert_allclose(found["poses_2d"], expected, atol=1e-3)
    assert found["provenance"][2, 5] == joints.MISSING


@pytest.mark.parametrize(
    ("make", "flags", "message"),
    [
        (
            lambda path: np.save(path, np.ones((4, 17, 2))),
            {},
            "say whose joints these are with --joints, one of pose17",
        ),
        (lambda path: np.save(path, np.ones((4, 17, 2))), {"joints": "mpii16"}, r"expected \[N, 16, 2\]"),
        (lambda path: np.save(path, np.ones((4, 17, 2))), {"joints": "x"}, "no joint set 'x'"),
        (lambda path: np.save(path, np.ones((0, 17, 2))), {"joints": "pose17"}, "holds no pose"),
        (lambda path: np.save(path, np.ones((4, 34))), {"joints": "pose17"}, "give --layout"),
        (lambda path: np.save(path, -np.ones((4, 17, 3))), {"joints": "pose17"}, "row 0: negative confidence"),
        (
            lambda path: np.save(path, np.random.default_rng(0).uniform(300, 5000, (4, 17, 3))),
            {"joints": "pose17"},
            "row 0: a confidence of 4,.* expected up to 100; are these 3D poses",
        ),
        (lambda path: np.save(path, np.full((4, 17, 2), "a")), {"joints": "pose17"}, "expected numbers"),
        (lambda path: np.save(path, np.array([{}])), {"joints": "pose17"}, "Python objects"),
        (lambda path: path.write_bytes(b"no array"), {"joints": "pose17"}, "no .npy array"),
        (lambda path: None, {"joints": "pose17"}, "no such file"),
    ],
)
def test_bad_arrays(tmp_path, make, flags, message):
    path = tmp_path / "bad.npy"
    make(path)
    with pytest.raises(InputError, match=message) as error:
        everything(label_inputs.open_input(Spec(str(path), "array", **flags)))
    if "joint set" not in message:
        assert str(path) in str(error.value)


def test_damaged_archives(tmp_path, people):
    """Cut or flipped bytes end in one clear error, or in the poses as they were."""
    rng = np.random.default_rng(4)
    refused = 0
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", poses_2d=people.pose_2d[:50])
        whole = (tmp_path / "a.npz").read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            if rng.random() < 0.5:
                del data[rng.integers(len(data)) :]
            else:
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            (tmp_path / "a.npz").write_bytes(data)
            try:
                everything(label_inputs.open_input(Spec(str(tmp_path / "a.npz"), "array", joints="pose17")))
            except InputError:
                refused += 1
    assert refused >= 40


def test_the_layout_is_found_by_the_length_of_bones(tmp_path, people):
    np.save(tmp_path / "a.npy", people.pose_2d.transpose(0, 2, 1).reshape(-1, 34))
    rows = array_rows.open_npy(tmp_path / "a.npy")
    assert array_inputs.guess_layout(rows, joints.POSE17, 2) == "planar"
    np.save(tmp_path / "a.npy", people.pose_2d.reshape(-1, 34))
    assert array_inputs.guess_layout(array_rows.open_npy(tmp_path / "a.npy"), joints.POSE17, 2) == "interleaved"


def test_joints_at_zero_are_missing(tmp_path, people):
    poses = people.pose_2d[:3].copy()
    poses[1, joints.POSE17.index("Hip")] = 0  # relative to the root: it is there
    poses[2, [0, 3]] = 0
    np.save(tmp_path / "a.npy", poses)
    (batch,) = label_inputs.open_input(label_inputs.Spec(str(tmp_path / "a.npy"), "array", joints="pose17")).batches(
        0, 3
    )
    missing = np.zeros((3, 17), bool)
    missing[2, [0, 3]] = True
    np.testing.assert_array_equal(batch.provenance != joints.LABELLED, missing)
    theirs = coco(people.pose_2d[:3])[..., :2]
    theirs[0], theirs[1, 9] = 0, 0
    np.save(tmp_path / "b.npy", theirs)
    (batch,) = label_inputs.open_input(label_inputs.Spec(str(tmp_path / "b.npy"), "array", joints="coco17")).batches(
        0, 3
    )
    assert not (batch.provenance[0] == joints.LABELLED).any()
    assert batch.provenance[1, joints.POSE17.index("LWrist")] != joints.LABELLED
    assert batch.provenance[2, joints.POSE17.index("LWrist")] == joints.LABELLED


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_coordinates_of_arrays_are_missing_joints(tmp_path, value):
    poses = np.random.default_rng(0).uniform(10, 900, (3, 17, 2))
    poses[1, 6, 0] = value
    np.save(tmp_path / "a.npy", poses)
    np.savetxt(tmp_path / "a.csv", poses.reshape(3, 34), delimiter=",")
    for name in ("a.npy", "a.csv"):
        spec = Spec(str(tmp_path / name), "array", joints="pose17", layout="interleaved")
        missing = everything(label_inputs.open_input(spec))["provenance"] == joints.MISSING
        assert np.argwhere(missing).tolist() == [[1, 6]], name


def test_labels_of_this_project_are_read_as_what_they_are(tmp_path):
    rng = np.random.default_rng(0)
    poses = rng.uniform(10, 900, (4, 17, 2)).astype(np.float32)
    provenance = rng.integers(0, 3, (4, 17)).astype(np.uint8)
    poses[provenance == 0] = np.nan
    more = {"poses_3d": np.zeros((4, 17, 3), np.float32), "quality": np.ones(4), "reason": np.zeros(4, np.uint8)}
    more["intrinsics"] = np.full((4, 4), np.nan, np.float32)
    np.savez(tmp_path / "labels.npz", poses_2d=poses, provenance=provenance, **more)
    found = everything(label_inputs.open_input(Spec(str(tmp_path / "labels.npz"), "array")))
    np.testing.assert_array_equal(found["poses_2d"], poses)
    np.testing.assert_array_equal(found["provenance"], provenance)
    np.savez(tmp_path / "labels.npz", poses_2d=poses, provenance=provenance)
    with pytest.raises(InputError, match="say whose joints these are"):
        label_inputs.open_input(Spec(str(tmp_path / "labels.npz"), "array"))
