"""COCO key points: files as COCO writes them, real annotations, and anything else that may be called JSON."""

import collections
import contextlib
import gzip
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.conversion import labels, people
from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import coco, open_source
from tools.cli.errors import InputError
from tools.pose import joints

NAMES = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
# joint of the record -> COCO key point, for those that COCO has
DIRECT = {3: 6, 4: 8, 5: 10, 6: 5, 7: 7, 8: 9, 11: 12, 12: 14, 13: 16, 14: 11, 15: 13, 16: 15}


def make_content(people_of, size=(60, 80), seed=0):
    """A file with images of so many people each, and the key points [person, 17, 3] of all of them."""
    random = np.random.default_rng(seed)
    content = {
        "info": {"year": 2024},
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES.split()}, {"id": 2, "name": "dog"}],
        "images": [
            {"id": 100 + i, "file_name": f"{i:012d}.jpg", "width": size[0], "height": size[1]}
            for i in range(len(people_of))
        ],
        "annotations": [],
    }
    everybody = []
    for image, count in enumerate(people_of):
        for _ in range(count):
            points = np.concatenate([random.uniform(1, 59, (17, 2)), random.integers(0, 3, (17, 1))], 1).round(2)
            points[5:7, 2] = 2
            points[points[:, 2] == 0] = 0
            everybody.append(points)
            content["annotations"].append(
                {
                    "id": len(everybody),
                    "image_id": 100 + image,
                    "category_id": 1,
                    "iscrowd": 0,
                    "keypoints": points.reshape(-1).tolist(),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                    "bbox": [1.5, 2.5, 30.0, 40.0],
                    "segmentation": [[1, 2, 3, 4]],
                }
            )
    return content, np.array(everybody)


def write(folder, content, name="person_keypoints_val2017.json"):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_reads_back_what_was_written(tmp_path, read_all, encode):
    content, everybody = make_content([2, 1, 3])
    folder = tmp_path / "annotations"
    folder.mkdir()
    pictures = tmp_path / "val2017"
    pictures.mkdir()
    for i, entry in enumerate(content["images"]):
        (pictures / entry["file_name"]).write_bytes(encode(60, 80, seed=i))
    records = read_all("coco", write(folder, content), verify=True)
    assert [(r.file, r.person) for r in records] == [
        (f"{image:012d}.jpg", person) for image, count in enumerate([2, 1, 3]) for person in range(count)
    ]
    for record, points in zip(records, everybody):
        assert (record.dataset, record.split, record.subject) == ("coco", "val", record.file)
        for ours, theirs in DIRECT.items():
            if points[theirs, 2]:
                np.testing.assert_array_equal(record.pose_2d[ours], points[theirs, :2].astype(np.float32))
                assert (record.provenance_2d[ours], record.visibility[ours]) == (2, points[theirs, 2])
            else:
                assert np.isnan(record.pose_2d[ours]).all()
                assert (record.provenance_2d[ours], record.visibility[ours]) == (0, 0)
        # Thorax is made: the middle of the shoulders, seen by nobody
        np.testing.assert_allclose(record.pose_2d[2], points[5:7, :2].mean(0), rtol=1e-6)
        assert (record.provenance_2d[2], record.visibility[2]) == (1, 0)
        np.testing.assert_array_equal(record.box, np.float32([1.5, 2.5, 30, 40]))
        assert record.image == (pictures / record.file).read_bytes()
        assert (record.image_format, record.image_size.tolist()) == ("jpeg", [60, 80])
        assert record.problem() == ""


def test_any_run_of_numbers_gives_the_same_records(tmp_path):
    content, _ = make_content([300, 1, 300])
    source = open_source("coco", write(tmp_path, content), Options(images="none"))
    everything = [record.pose_2d for record in source.records(range(601))]
    for numbers in ([0], [600], [299, 300, 301], [5, 270, 580]):
        for number, record in zip(numbers, source.records(np.array(numbers))):
            np.testing.assert_array_equal(record.pose_2d, everything[number])


def test_annotations_out_of_order_come_image_by_image(tmp_path, read_all):
    content, _ = make_content([2, 2])
    content["annotations"] = [content["annotations"][i] for i in (2, 0, 3, 1)]
    records = read_all("coco", write(tmp_path, content), images="none")
    assert [(r.file[-5], r.person) for r in records] == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert all(not record.image for record in records)


def test_people_that_can_not_be_used_are_counted(tmp_path, read_all):
    content, _ = make_content([7])
    bad = content["annotations"]
    bad[0]["iscrowd"] = 1
    bad[1]["keypoints"] = [0] * 51
    bad[2]["keypoints"] = bad[2]["keypoints"][:48]
    bad[3]["keypoints"][4] = float("inf")
    bad[4]["keypoints"] = None
    bad[5]["image_id"] = 999
    bad.append({"id": 99, "image_id": 100, "category_id": 2})  # a dog: no person at all
    items = read_all("coco", write(tmp_path, content), images="none")
    assert collections.Counter(item.reason if isinstance(item, Skip) else "" for item in items) == {
        coco.CROWD: 1,
        people.NO_JOINT: 1,
        coco.BAD_KEYPOINTS: 3,
        coco.NO_IMAGE_ENTRY: 1,
        "": 1,
    }


def test_pictures_that_can_not_be_used_are_counted(tmp_path, read_all, encode):
    content, _ = make_content([1] * 6)
    folder = tmp_path / "images"
    folder.mkdir()
    good = encode(60, 80)
    for number, data in enumerate([good, b"", good[: len(good) // 2], b"<html>", encode(80, 60)]):
        (folder / f"{number:012d}.jpg").write_bytes(data)
    items = read_all("coco", write(tmp_path, content))
    assert [item.reason if isinstance(item, Skip) else "" for item in items] == [
        *("", images.EMPTY, images.TRUNCATED, images.FOREIGN, images.OTHER_SIZE, images.MISSING)
    ]


def test_ids_are_numbers_and_two_pictures_of_one_id_are_refused(tmp_path, read_all):
    """As merged files have them: annotations could mean either. 1.0 is 1, as data frames write it; true is none."""
    content, _ = make_content([1, 1])
    first, second = content["images"][:2]
    whole = read_all("coco", write(tmp_path, content), images="none")
    first["id"] = float(first["id"])
    again = read_all("coco", write(tmp_path, content), images="none")
    assert [record.file for record in again] == [record.file for record in whole]
    second["id"], kept = first["id"], second["id"]
    with pytest.raises(InputError, match=f"{first['file_name']} and {second['file_name']} have one id"):
        read_all("coco", write(tmp_path, content), images="none")
    second["id"], first["id"] = kept, True
    for annotation in content["annotations"]:
        annotation["image_id"] = True
    with pytest.raises(InputError, match="none of its 2 records can be used"):
        read_all("coco", write(tmp_path, content), images="none")


def test_splits(tmp_path, read_all):
    content, _ = make_content([2] * 200)
    train = write(tmp_path, content, "person_keypoints_train2017.json")
    assert {record.split for record in read_all("coco", train, images="none")} == {"train"}
    assert len(read_all("coco", train, images="none", split="train")) == 400
    with pytest.raises(InputError, match="is the train split by its name"):
        open_source("coco", train, Options(images="none", split="val"))
    own = write(tmp_path, content, "mine.json.gz")
    own.write_bytes(gzip.compress(own.read_bytes()))
    parts = {part: {r.subject for r in read_all("coco", own, images="none", split=part)} for part in ("train", "val")}
    assert not parts["train"] & parts["val"]
    assert 5 <= len(parts["val"]) <= 40
    assert len(parts["train"] | parts["val"]) == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "expected COCO key points"),
        (lambda c: c.update(annotations=[]), "no person in it"),
        (lambda c: c["categories"][0].update(keypoints=["nose"] * 23), "both name the joint Nose"),
        (lambda c: [a.update(keypoints=[1] * 69) for a in c["annotations"]], "none of its 3 records can be used"),
    ],
)
def test_files_of_another_format_are_errors(tmp_path, change, message):
    content, _ = make_content([3])
    change(content)
    with pytest.raises(InputError, match=message):
        len(open_source("coco", write(tmp_path, content), Options(images="none")))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_source("coco", tmp_path / "none.json", Options(images="none"))
    path = write(tmp_path, make_content([1])[0])
    with pytest.raises(InputError, match="--images=none"):
        open_source("coco", path)
    for data in (b"", b"{", b"\xff\xfe", gzip.compress(b"{}")[:-5], b"[" * 100_000):
        path.write_bytes(data)
        with pytest.raises(InputError, match=path.name):
            len(open_source("coco", path, Options(images="none")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["keypoints", "bbox", "image_id", "iscrowd", "category_id"]), JSON),
    st.dictionaries(st.sampled_from(["id", "file_name", "width", "height"]), JSON),
    st.dictionaries(st.sampled_from(["annotations", "images", "categories"]), JSON),
)
def test_anything_else_is_a_skip_or_an_input_error(tmp_path, read_all, annotation, image, top):
    content, _ = make_content([2])
    content["annotations"][0].update(annotation)
    content["images"][0].update(image)
    content.update(top)
    with contextlib.suppress(InputError):
        for item in read_all("coco", write(tmp_path, content), images="none"):
            assert isinstance(item, Skip) or item.problem() == ""


def test_real_annotations(pose3d_data, read_all):
    path = pose3d_data / "coco_person_keypoints_sample.json"
    items = read_all("coco", path, images="none")
    truth = json.loads(path.read_text())
    assert len(items) == len(truth["annotations"]) == 14
    labelled = {tuple(a["bbox"]): a for a in truth["annotations"] if a["num_keypoints"]}
    records = [item for item in items if not isinstance(item, Skip)]
    assert len(records) == len(labelled) == 12
    assert len({record.file for record in records}) == 4
    for record in records:
        annotation = min(labelled.values(), key=lambda a: np.abs(np.float32(a["bbox"]) - record.box).max())
        points = np.reshape(annotation["keypoints"], (17, 3))
        for ours, theirs in DIRECT.items():
            expected = points[theirs, :2] if points[theirs, 2] else [np.nan, np.nan]
            np.testing.assert_array_equal(record.pose_2d[ours], np.float32(expected))


def test_a_real_photograph(tmp_path, pose3d_data, read_all):
    """The skier stands upright and faces the camera: head above hips above feet, her left at our right."""
    shutil.copy(pose3d_data / "images" / "coco_person_keypoints.json", tmp_path)
    shutil.copy(pose3d_data / "images" / "coco_000000000785.jpg", tmp_path / "000000000785.jpg")
    (record,) = read_all("coco", tmp_path / "coco_person_keypoints.json", verify=True)
    assert record.image == (tmp_path / "000000000785.jpg").read_bytes()
    y = record.pose_2d[:, 1]
    assert y[0] < y[2] < y[10] < min(y[13], y[16])
    assert record.pose_2d[6, 0] > record.pose_2d[3, 0]
    assert ((record.pose_2d >= 0) & (record.pose_2d < record.image_size)).all()
    low, size = record.box[:2], record.box[2:]
    assert ((record.pose_2d > low) & (record.pose_2d < low + size)).all()


def test_boxes_without_a_box_of_the_data_set_hold_the_joints():
    poses = np.array([[[10.0, 20], [110, 60], [np.nan, np.nan]], [[5, 5], [np.nan] * 2, [np.nan] * 2]])
    np.testing.assert_allclose(labels.box_around(poses)[0], [0, 10, 120, 60])
    assert np.isnan(labels.box_around(poses)[1]).all()


H36M_NAMES = (
    "root right_hip right_knee right_foot left_hip left_knee left_foot spine thorax neck_base head left_shoulder "
    "left_elbow left_wrist right_shoulder right_elbow right_wrist"
)


def with_names(content, names, title="person"):
    content["categories"] = [{"id": 1, "name": title, "keypoints": names}]
    return content


def test_key_points_in_another_order_are_read_by_their_names(tmp_path, read_all):
    content, _ = make_content([2])
    expected = read_all("coco", write(tmp_path, content), images="none")
    order = np.random.default_rng(5).permutation(17)
    for entry in content["annotations"]:
        entry["keypoints"] = np.array(entry["keypoints"]).reshape(17, 3)[order].reshape(-1).tolist()
    with_names(content, [NAMES.split()[i] for i in order])
    for record, other in zip(read_all("coco", write(tmp_path, content), images="none"), expected):
        np.testing.assert_array_equal(record.pose_2d, other.pose_2d)
        np.testing.assert_array_equal(record.visibility, other.visibility)


def test_human36m_in_the_form_of_coco_is_human36m(tmp_path, read_all):
    content, everybody = make_content([1])
    with_names(content, H36M_NAMES.split())
    points = np.where(everybody[0, :, 2:] > 0, everybody[0, :, :2], np.nan)
    expected, _ = joints.convert(points, "h36m17")
    (record,) = read_all("coco", write(tmp_path, content), images="none")
    np.testing.assert_array_equal(record.pose_2d, expected)


def test_animals_and_unknown_names_are_refused_in_one_line(tmp_path):
    content, _ = make_content([1])
    paws = [f"paw_{i}" for i in range(17)]
    for title in ("dog", "person"):
        path = write(tmp_path, with_names(content, paws, title))
        with pytest.raises(InputError, match=f"category '{title}': paw_0.*not joints of a person"):
            len(open_source("coco", path, Options(images="none")))
    content["categories"] = [{"id": 1, "name": "dog"}]
    with pytest.raises(InputError, match="its categories are dog; expected one of people"):
        len(open_source("coco", write(tmp_path, content), Options(images="none")))


def test_animals_beside_people_are_passed_over(tmp_path, read_all):
    content, _ = make_content([2])
    content["categories"].append({"id": 7, "name": "dog", "keypoints": ["paw"] * 17})
    content["annotations"][1]["category_id"] = 7
    (record,) = read_all("coco", write(tmp_path, content), images="none")
    assert record.person == 0
