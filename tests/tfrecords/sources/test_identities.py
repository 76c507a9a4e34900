"""People whom a tracker numbered: who they are, sequence and frame are kept by every reader whose format tells them."""

import json

import numpy as np
import pytest

from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.pose import joints

NAMES = list(joints.JOINT_SETS["coco17"].joints)
SIZE = (640, 480)


def points(seed, count=17):
    return np.random.default_rng(seed).uniform(20, 460, (count, 2)).round(3)


def flat(seed, third=2):
    return np.c_[points(seed), np.full(17, third)].ravel().tolist()


def read(path, name, content=None, **said):
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    opened = label_inputs.open_input(Spec(str(path), name, **said))
    batch = next(opened.batches(0, 64))
    return opened, batch, list(zip(batch.sequence, batch.frame.tolist(), batch.person.tolist()))


def coco_of_video(images, annotations, **more):
    category = {"id": 1, "name": "person", "keypoints": NAMES}
    for number, entry in enumerate(annotations):
        entry.update(id=number, category_id=1, keypoints=flat(number), bbox=[1, 2, 30, 40])
    return {"images": images, "annotations": annotations, "categories": [category], **more}


def test_coco_files_of_videos(tmp_path):
    """mmdetection's CocoVID, and PoseTrack, whose frame_id counts through all videos."""
    images = [{"id": 10 + i, "file_name": f"a/{i:06d}.jpg", "video_id": 7, "frame_id": i} for i in range(3)]
    people = [{"image_id": 10 + i, "instance_id": who} for i in range(3) for who in ((5, 2), (2, 5), (2, 9))[i]]
    opened, batch, rows = read(
        tmp_path / "vid.json", "coco", coco_of_video(images, people, videos=[{"id": 7, "name": "walk"}])
    )
    assert rows == [("walk", 0, 5), ("walk", 0, 2), ("walk", 1, 2), ("walk", 1, 5), ("walk", 2, 2), ("walk", 2, 9)]
    assert opened.identities
    for row, pose in enumerate(batch.poses_2d):
        np.testing.assert_allclose(pose, joints.convert(points(row), "coco17")[0], atol=1e-3)
    images = [
        {"id": 900 + i, "file_name": f"images/val/01_{'ab'[i % 2]}/{i // 2:06d}.jpg", "frame_id": 10**10 + i}
        for i in range(4)
    ]
    people = [{"image_id": 900 + i, "track_id": 3} for i in range(4)]
    opened, _, rows = read(tmp_path / "posetrack.json", "coco", coco_of_video(images, people))
    assert rows == [(f"images/val/01_{'ab'[i % 2]}", i // 2, 3) for i in range(4)]


def test_results_of_two_videos_are_two_sequences(tmp_path):
    content = [
        {"image_id": f"{video}/{frame}.jpg", "keypoints": flat(frame, 0.9), "idx": 1}
        for frame in range(3)
        for video in "ab"
    ]
    opened, _, rows = read(tmp_path / "all.json", "coco_results", content)
    assert rows == [(f"all/{video}", frame, 1) for frame in range(3) for video in "ab"]
    assert opened.identities
    content[0]["image_id"], content[1]["image_id"] = True, 3.0
    _, batch, _ = read(tmp_path / "all.json", "coco_results", content)
    assert batch.skipped == {0: "entry without image_id and keypoints"}
    assert batch.file[1] == "3"


@pytest.mark.parametrize("idx", [0, [0.0]])
def test_numbers_that_are_all_zero_or_twice_in_a_picture_are_no_identities(tmp_path, idx):
    """AlphaPose without tracking."""
    content = [{"image_id": f"{i}.jpg", "keypoints": flat(i, 0.9), "idx": idx} for i in range(3)]
    assert not read(tmp_path / "a.json", "coco_results", content)[0].identities
    for entry in content:
        entry["idx"] = 1
    assert read(tmp_path / "a.json", "coco_results", content)[0].identities
    assert not read(tmp_path / "a.json", "coco_results", [*content, content[0]])[0].identities


def test_people_whom_the_tracker_left_out_are_nobody_else(tmp_path):
    entries = [{"idx": 4}, {}, {}, {"idx": 0}]
    content = [{"image_id": "7.jpg", "keypoints": flat(i, 0.9), **entry} for i, entry in enumerate(entries)]
    assert [person for _, _, person in read(tmp_path / "a.json", "coco_results", content)[2]] == [4, 5, 6, 0]


def test_openpose_that_was_tracking(tmp_path):
    ids = [[[4], [2]], [[2], [4]]]
    for frame, numbers in enumerate(ids):
        people = [
            {"person_id": n, "pose_keypoints_2d": np.c_[points(i, 25), np.ones(25)].ravel().tolist()}
            for i, n in enumerate(numbers)
        ]
        (tmp_path / f"walk_{frame:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    opened, _, rows = read(tmp_path, "openpose")
    assert rows == [("walk", 0, 4), ("walk", 0, 2), ("walk", 1, 2), ("walk", 1, 4)]
    assert opened.identities
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace("[4]", "[-1]").replace("[2]", "[-1]"))
    opened, _, rows = read(tmp_path, "openpose")
    assert not opened.identities
    assert [person for _, _, person in rows] == [0, 1, 0, 1]


def test_a_number_of_too_many_digits_is_no_frame(tmp_path):
    people = [{"pose_keypoints_2d": np.c_[points(0, 25), np.ones(25)].ravel().tolist()}]
    (tmp_path / f"walk_{'9' * 22}_keypoints.json").write_text(json.dumps({"people": people}))
    assert read(tmp_path, "openpose")[2][0][1] == -1


@pytest.mark.parametrize("visibility", [True, False])
def test_lines_of_yolo_that_was_tracking(tmp_path, visibility):
    """`yolo track save_txt=True save_conf=True`: confidence and number stand behind the key points."""
    shares = points(1) / SIZE
    table = np.c_[shares, np.full(17, 0.97)] if visibility else shares
    (tmp_path / "out").mkdir()
    for frame, who in ((9, 1), (10, 12)):
        numbers = [0, 0.5, 0.5, 0.9, 0.9, *table.ravel(), 0.83, who]
        (tmp_path / "out" / f"walk_{frame}.txt").write_text(" ".join(f"{n:.6g}" for n in numbers))
    opened, batch, rows = read(tmp_path / "out", "yolo", image_size=SIZE)
    assert sorted(rows) == [("walk", 9, 1), ("walk", 10, 12)]
    assert opened.identities
    for pose in batch.poses_2d:
        np.testing.assert_allclose(pose, joints.convert(points(1), "coco17")[0], atol=2e-3)


def test_yolo_results_of_other_things_are_no_people(tmp_path):
    def result(name, seed):
        x, y = points(seed).T.tolist()
        return {"name": name, "class": 0, "track_id": 3 + seed, "keypoints": {"x": x, "y": y, "visible": [0.9] * 17}}

    path = tmp_path / "walk_0031.json"
    opened, _, rows = read(path, "yolo", [result("dog", 0), result("person", 1)])
    assert rows == [("walk", 31, 4)]
    assert opened.identities
    with pytest.raises(InputError, match=r"its key points are of 'dog', expected of 'person'.*--joints"):
        read(path, "yolo", [result("dog", 0)])
    assert len(read(path, "yolo", [result("climber", 0)], joints="coco17")[0]) == 1


def test_mmpose_files_of_other_joints_are_not_mixed(tmp_path):
    def file(name, joint_set, seed, **more):
        names = joints.JOINT_SETS[joint_set].joints
        instance = {"keypoints": points(seed).tolist(), "keypoint_scores": [0.9] * 17, **more}
        meta = {"keypoint_id2name": dict(enumerate(names))}
        (tmp_path / name).write_text(json.dumps({"meta_info": meta, "instance_info": [instance]}))

    (tmp_path / "0.json").write_text("[]")
    file("1.json", "h36m17", 1, track_id=6)
    file("2.json", "h36m17", 2, track_id=6)
    source = open_source("mmpose", tmp_path, Options(images="none"))
    items = list(source.records(np.arange(len(source))))
    assert [getattr(item, "reason", "") for item in items] == ["picture without a person", "", ""]
    assert [item.person for item in items[1:]] == [6, 6]
    assert source.identities
    file("3.json", "coco17", 3)
    with pytest.raises(
        InputError, match=r"3\.json: its key points are coco17's, those of the files before are h36m17's"
    ):
        len(open_source("mmpose", tmp_path, Options(images="none")))
    (tmp_path / "3.json").write_text(json.dumps([{"keypoints": points(3).tolist()}]))
    with pytest.raises(InputError, match=r"3\.json: its key points are coco17's"):
        len(open_source("mmpose", tmp_path, Options(images="none")))
