"""Detectors' output as MMPose, MediaPipe, Ultralytics and DeepLabCut write it, and anything that is not quite that."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import deeplabcut, mediapipe, mmpose, open_source, yolo
from tools.cli.errors import InputError
from tools.pose import joints

SIZE = (640, 480)


def random_points(count, seed=0):
    return np.random.default_rng(seed).uniform(20, 460, (count, 2)).round(3)


def expected_pose(points, joint_set):
    return joints.convert(points, joint_set)[0]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def instance(points, score=0.9):
    low, high = points.min(0), points.max(0)
    return {
        "keypoints": points.tolist(),
        "keypoint_scores": [score] * len(points),
        "bbox": [[*low.tolist(), *high.tolist()]],
        "bbox_score": 0.95,
    }


# --- MMPose ---------------------------------------------------------------------------------------------------------


def test_mmpose_video_with_names_in_another_order(tmp_path, read_all):
    names = list(joints.JOINT_SETS["h36m17"].joints)
    order = np.random.default_rng(2).permutation(17)
    frames = [random_points(17, seed) for seed in range(3)]
    content = {
        "meta_info": {"keypoint_id2name": {str(i): names[j] for i, j in enumerate(order)}},
        "instance_info": [
            {"frame_id": 10 + i, "instances": [instance(points[order])]} for i, points in enumerate(frames)
        ],
    }
    records = read_all("mmpose", write(tmp_path / "clip.json", content), images="none")
    assert [(r.sequence, r.frame, r.person) for r in records] == [("clip", 10 + i, 0) for i in range(3)]
    for record, points in zip(records, frames):
        np.testing.assert_allclose(record.pose_2d, expected_pose(points, "h36m17"), atol=1e-3)
        np.testing.assert_allclose(record.box[:2] + record.box[2:], points.max(0), rtol=1e-5)


def test_mmpose_folder_of_pictures(tmp_path, read_all):
    for number in range(2):
        write(
            tmp_path / "predictions" / f"{number}.json",
            [instance(random_points(17, number)), instance(random_points(17, 9))],
        )
    write(tmp_path / "predictions" / "2.json", [])
    items = read_all("mmpose", tmp_path / "predictions", images="none")
    assert [(i.file, i.person) for i in items[:4]] == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert items[4].reason == mmpose.NO_PERSON
    np.testing.assert_allclose(items[0].pose_2d, expected_pose(random_points(17, 0), "coco17"), atol=1e-3)


def test_joints_below_the_confidence_are_missing(tmp_path, read_all):
    entry = instance(random_points(17))
    entry["keypoint_scores"][9] = 0.2  # LWrist
    (record,) = read_all("mmpose", write(tmp_path / "a.json", [entry]), images="none", min_confidence=0.3)
    assert np.isnan(record.pose_2d[joints.POSE17.index("LWrist")]).all()
    assert np.isfinite(record.pose_2d).all(-1).sum() == 16


def test_joints_that_are_nan_or_null_are_missing(tmp_path, read_all):
    """Of MMPose's scores and points, MediaPipe's landmarks, and YOLO's JSON."""
    wrist = joints.POSE17.index("LWrist")
    entries = [instance(random_points(17, seed)) for seed in range(3)]
    entries[0]["keypoint_scores"][9] = None
    entries[1]["keypoints"][9] = [float("nan"), 5.0]
    entries[2]["keypoints"][9] = [5.0, None]
    items = {"mmpose": read_all("mmpose", write(tmp_path / "a.json", entries), images="none")}
    landmark = landmarks(random_points(33))
    landmark[joints.JOINT_SETS["mediapipe33"].index("LWrist")]["x"] = None
    path = write(tmp_path / "b.json", {"landmarks": landmark, "image_width": SIZE[0], "image_height": SIZE[1]})
    items["mediapipe"] = read_all("mediapipe", path)
    x, y = random_points(17).T.tolist()
    x[9] = float("nan")
    entry = {"name": "person", "class": 0, "confidence": 0.9, "box": {}, "keypoints": {"x": x, "y": y}}
    items["yolo"] = read_all("yolo", write(tmp_path / "c.json", [entry]), images="none")
    for name, records in items.items():
        assert len(records) == (3 if name == "mmpose" else 1)
        for record in records:
            assert np.flatnonzero(np.isnan(record.pose_2d).any(-1)).tolist() == [wrist]


# --- MediaPipe ------------------------------------------------------------------------------------------------------


def landmarks(points, size=SIZE):
    return [{"x": x / size[0], "y": y / size[1], "z": 0.1, "visibility": 0.8} for x, y in points]


@pytest.mark.parametrize("form", ["object", "list", "lines", "frames"])
def test_mediapipe_shares_become_pixels_of_the_pictures_size(tmp_path, read_all, form):
    people = [random_points(33, seed) for seed in range(3)]
    size = {"image_width": SIZE[0], "image_height": SIZE[1]}
    entries = [{"frame": 5 * i, **size, "pose_landmarks": [landmarks(p)]} for i, p in enumerate(people)]
    if form == "object":
        entries, people = entries[:1], people[:1]
        text = json.dumps({**size, "frame": 0, "landmarks": landmarks(people[0])})
    elif form == "lines":
        text = "\n".join(map(json.dumps, entries))
    elif form == "frames":
        text = json.dumps({**size, "frames": [{k: v for k, v in e.items() if k not in size} for e in entries]})
    else:
        text = json.dumps(entries)
    records = read_all("mediapipe", write(tmp_path / "dance.json", text))
    assert [r.frame for r in records] == [5 * i for i in range(len(people))]
    for record, points in zip(records, people):
        np.testing.assert_allclose(record.pose_2d, expected_pose(points, "mediapipe33"), atol=2e-3)
        assert tuple(record.image_size) == SIZE


def test_mediapipe_without_a_size_is_refused_and_a_flag_gives_it(tmp_path, read_all):
    points = random_points(33)
    path = write(tmp_path / "a.json", {"landmarks": landmarks(points)})
    with pytest.raises(InputError, match="--image_size=WIDTH,HEIGHT"):
        read_all("mediapipe", path)
    (record,) = read_all("mediapipe", path, image_size=SIZE)
    np.testing.assert_allclose(record.pose_2d, expected_pose(points, "mediapipe33"), atol=2e-3)


def test_mediapipe_pixels_are_no_shares(tmp_path, read_all):
    path = write(tmp_path / "a.json", {"landmarks": [{"x": x, "y": y} for x, y in random_points(33)]})
    with pytest.raises(InputError, match="no shares of a picture"):
        read_all("mediapipe", path, image_size=SIZE)


def test_mediapipe_people_that_can_not_be_used_are_counted(tmp_path, read_all):
    good = {"landmarks": landmarks(random_points(33)), "image_width": 640, "image_height": 480}
    lines = [
        json.dumps(good),
        "{broken",
        json.dumps({**good, "landmarks": []}),
        json.dumps({**good, "landmarks": [{"x": 1}]}),
    ]
    items = read_all("mediapipe", write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert [i.reason if isinstance(i, Skip) else "" for i in items] == [
        "",
        mediapipe.BAD_LINE,
        mediapipe.NO_PERSON,
        "key points that are no numbers, or not as many as the others",
    ]


# --- YOLO -----------------------------------------------------------------------------------------------------------


def yolo_line(points, size=SIZE, visibility=True, confidence=None):
    low, high = points.min(0), points.max(0)
    numbers = [0, *((low + high) / 2 / size), *((high - low) / size)]
    for x, y in points / size:
        numbers += [x, y, 2] if visibility else [x, y]
    return " ".join(f"{n:.8f}" for n in numbers + ([] if confidence is None else [confidence]))


@pytest.mark.parametrize(("visibility", "confidence"), [(True, None), (True, 0.9), (False, None)])
def test_yolo_lines_are_shares_of_their_picture(tmp_path, read_all, encode, visibility, confidence):
    people = [random_points(17, seed) for seed in range(3)]
    lines = [yolo_line(p, visibility=visibility, confidence=confidence) for p in people]
    write(tmp_path / "labels" / "a.txt", "\n".join(lines[:2]))
    write(tmp_path / "labels" / "b.txt", lines[2])
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(encode(*SIZE))
    records = read_all("yolo", tmp_path / "labels", images=str(tmp_path))
    assert [(r.file, r.person) for r in records] == [("a.jpg", 0), ("a.jpg", 1), ("b.jpg", 0)]
    for record, points in zip(records, people):
        np.testing.assert_allclose(record.pose_2d, expected_pose(points, "coco17"), atol=1e-2)
        np.testing.assert_allclose(record.box[:2], points.min(0), atol=1e-2)
        assert record.image


def test_yolo_json_of_results(tmp_path, read_all):
    points = random_points(17)
    columns = {"x": points[:, 0].tolist(), "y": points[:, 1].tolist(), "visible": [0.9] * 17}
    content = [
        {
            "name": "person",
            "class": 0,
            "confidence": 0.8,
            "box": {"x1": 1, "y1": 2, "x2": 30, "y2": 50},
            "keypoints": columns,
        }
    ]
    (record,) = read_all("yolo", write(tmp_path / "a.json", content), images="none")
    np.testing.assert_allclose(record.pose_2d, expected_pose(points, "coco17"), atol=1e-3)
    np.testing.assert_array_equal(record.box, [1, 2, 29, 48])


def test_yolo_without_the_pictures_size_is_refused(tmp_path, read_all):
    write(tmp_path / "labels" / "a.txt", yolo_line(random_points(17)))
    with pytest.raises(InputError, match=r"a\.txt: key points are shares.*--image_size"):
        read_all("yolo", tmp_path / "labels", images="none")
    (record,) = read_all("yolo", tmp_path / "labels", images="none", image_size=SIZE)
    np.testing.assert_allclose(record.pose_2d, expected_pose(random_points(17), "coco17"), atol=1e-2)


def test_yolo_lines_that_are_none_are_counted(tmp_path, read_all):
    write(tmp_path / "labels" / "a.txt", yolo_line(random_points(17)) + "\n0 0.5 words\n")
    write(tmp_path / "labels" / "b.txt", "")
    items = read_all("yolo", tmp_path / "labels", images="none", image_size=SIZE)
    assert [i.reason if isinstance(i, Skip) else "" for i in items] == ["", yolo.BAD_LINE, yolo.NO_PERSON]


# --- DeepLabCut -----------------------------------------------------------------------------------------------------


def dlc_text(frames, names, people=("",)):
    """The CSV as DeepLabCut lays it out, written line by line."""
    columns = [(person, name, axis) for person in people for name in names for axis in ("x", "y", "likelihood")]
    lines = ["scorer," + ",".join("net" for _ in columns)]
    if people != ("",):
        lines.append("individuals," + ",".join(person for person, _, _ in columns))
    lines.append("bodyparts," + ",".join(name for _, name, _ in columns))
    lines.append("coords," + ",".join(axis for _, _, axis in columns))
    for number, frame in enumerate(frames):
        cells = [f"{v:.3f}" for points in frame for x, y in points for v in (x, y, 0.9)]
        lines.append(f"{number}," + ",".join(cells))
    return "\n".join(lines)


def test_deeplabcut_by_the_names_of_body_parts(tmp_path, read_all):
    names = list(joints.JOINT_SETS["lsp14"].joints)
    order = np.random.default_rng(4).permutation(14)
    points = [random_points(14, seed) for seed in range(2)]
    text = dlc_text([[p[order]] for p in points], [names[i] for i in order])
    records = read_all("deeplabcut", write(tmp_path / "run.csv", text))
    assert [(r.sequence, r.frame) for r in records] == [("run", 0), ("run", 1)]
    for record, pose in zip(records, points):
        np.testing.assert_allclose(record.pose_2d, expected_pose(pose, "lsp14"), atol=1e-3)


def test_deeplabcut_of_several_people_and_missing_cells(tmp_path, read_all):
    names = list(joints.JOINT_SETS["coco17"].joints)
    points = [[random_points(17, 1), random_points(17, 2)]]
    text = dlc_text(points, names, ("anna", "ben"))
    cells = text.splitlines()[-1].split(",")
    cells[1 + 3 * 9] = cells[2 + 3 * 9] = ""  # Anna's left wrist
    text = "\n".join([*text.splitlines()[:-1], ",".join(cells)])
    anna, ben = read_all("deeplabcut", write(tmp_path / "run.csv", text))
    assert (anna.person, ben.person) == (0, 1)
    assert np.isnan(anna.pose_2d[joints.POSE17.index("LWrist")]).all()
    np.testing.assert_allclose(ben.pose_2d, expected_pose(points[0][1], "coco17"), atol=1e-3)


def test_deeplabcut_of_an_animal_is_refused(tmp_path, read_all):
    text = dlc_text([[random_points(8)]], [f"paw{i}" for i in range(8)])
    with pytest.raises(InputError, match=r"paw0.*not joints of a person"):
        read_all("deeplabcut", write(tmp_path / "dog.csv", text))


# --- Anything -------------------------------------------------------------------------------------------------------

KEYS = [
    *("keypoints", "keypoint_scores", "instances", "instance_info", "meta_info", "keypoint_id2name", "bbox"),
    *("landmarks", "pose_landmarks", "x", "y", "box", "frame", "frame_id", "image_width", "image_height"),
    *("visibility", "frames", "visible", "x1"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON, name=st.sampled_from(["mmpose", "mediapipe", "yolo"]))
def test_any_json_is_read_or_refused(tmp_path, content, name):
    path = write(tmp_path / "any.json", json.dumps(content))
    problem = ""
    try:
        source = open_source(name, path, Options(images=images.NO_IMAGES, image_size=SIZE))
        list(source.records(np.arange(len(source))))
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='scorer,bodypartscoords\n"0123.x-e individuals\x00', max_size=200))
def test_any_text_is_a_track_or_refused(tmp_path, text):
    path = tmp_path / "any.csv"
    path.write_text(text)
    problem = ""
    try:
        source = open_source("deeplabcut", path, Options())
        list(source.records(np.arange(len(source))))
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem


def test_the_readers_say_what_they_expect():
    for module in (mmpose.MMPose, mediapipe.MediaPipe, yolo.Yolo, deeplabcut.DeepLabCut):
        assert module.info.input
        assert module.info.citation


# --- lists of results -------------------------------------------------------------------------------------------------


def test_detectron2(tmp_path, read_all):
    """coco_instances_results.json as Detectron2's evaluator writes it: several people, boxes, scores of key points that
    are no probabilities, people of one picture not together."""
    points = [random_points(17, seed) for seed in range(3)]
    entries = [
        {
            "image_id": image,
            "category_id": 1,
            "bbox": [12.5, 20.25, 300.0, 400.5],
            "score": 0.998,
            "keypoints": np.c_[xy, np.linspace(0.05, 3.2, 17)].ravel().tolist(),
        }
        for image, xy in zip((785, 632, 785), points)
    ]
    records = read_all("coco_results", write(tmp_path / "coco_instances_results.json", entries), images="none")
    assert [(r.file, r.person) for r in records] == [("785", 0), ("785", 1), ("632", 0)]
    for record, xy in zip(records, (points[0], points[2], points[1])):
        np.testing.assert_allclose(record.pose_2d, expected_pose(xy, "coco17"), atol=1e-3)
        np.testing.assert_allclose(record.box, [12.5, 20.25, 300.0, 400.5])


def test_coco_wholebody_without_hands_and_face(tmp_path, read_all):
    """133 key points of a result, and the annotations' own layout, whose other parts have keys of their own."""
    body, rest = random_points(17), random_points(116, 5)
    flat = np.c_[np.concatenate([body, rest]), np.full(133, 0.8)].ravel().tolist()
    entry = {"image_id": 5, "category_id": 1, "keypoints": flat, "score": 0.9, "bbox": [1, 2, 300, 400]}
    (result,) = read_all("coco_results", write(tmp_path / "results.json", [entry]), images="none")
    names = [
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ]  # fmt: skip
    annotation = {
        "id": 7, "image_id": 5, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "bbox": [1, 2, 300, 400],
        "keypoints": np.c_[body, np.full(17, 2)].ravel().tolist(), "foot_kpts": flat[51:69], "face_kpts": flat[69:273],
        "lefthand_kpts": flat[273:336], "righthand_kpts": flat[336:], "face_valid": True, "face_box": [0, 0, 9, 9],
    }  # fmt: skip
    content = {
        "images": [{"id": 5, "file_name": "000000000005.jpg", "width": 640, "height": 480}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    path = write(tmp_path / "coco_wholebody_val_v1.0.json", content)
    (record,) = read_all("coco", path, images="none")
    for item in (result, record):
        np.testing.assert_allclose(item.pose_2d, expected_pose(body, "coco17"), atol=1e-3)
