"""AIChallenger key points: files as the challenge writes them, and damaged ones."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tfrecords.sources import aichallenger, open_source
from tools.cli.errors import InputError

# joint of the record -> AIChallenger's; Neck is Thorax, HeadTop is Head
DIRECT = {0: 12, 2: 13, 3: 0, 4: 1, 5: 2, 6: 3, 7: 4, 8: 5, 11: 6, 12: 7, 13: 8, 14: 9, 15: 10, 16: 11}
VISIBILITY = {1: 2, 2: 1}


def make_content(people_of, seed=0):
    """A file with images of so many people each, and their joints [person, 14, 3]."""
    random = np.random.default_rng(seed)
    content, everybody = [], []
    for image, count in enumerate(people_of):
        entry = {"image_id": f"{image:040x}", "url": "", "human_annotations": {}, "keypoint_annotations": {}}
        for person in range(count):
            joints = np.concatenate([random.integers(1, 100, (14, 2)), random.integers(1, 4, (14, 1))], 1)
            joints[[6, 9], 2] = 1
            joints[joints[:, 2] == 3, :2] = 0
            everybody.append(joints)
            entry["human_annotations"][f"human{person + 1}"] = [5, 6, 95, 86]
            entry["keypoint_annotations"][f"human{person + 1}"] = joints.reshape(-1).tolist()
        content.append(entry)
    return content, np.array(everybody)


def write(folder, content, name="keypoint_train_annotations_20170909.json"):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_reads_back_what_was_written(tmp_path, read_all, encode):
    content, everybody = make_content([12, 1])
    for part in ("train", "validation"):  # the folders of the release; the other one's pictures must not be taken
        pictures = tmp_path / f"keypoint_{part}_images_20170902"
        pictures.mkdir()
        for i, entry in enumerate(content):
            (pictures / f"{entry['image_id']}.jpg").write_bytes(encode(100, 90, seed=i + 10 * (part == "train")))
    records = read_all("aichallenger", write(tmp_path, content), verify=True)
    assert [record.person for record in records] == [*range(12), 0]  # human2 before human10
    for record, joints in zip(records, everybody):
        assert (record.dataset, record.split) == ("aichallenger", "train")
        for ours, theirs in DIRECT.items():
            x, y, v = joints[theirs]
            if v == 3:
                assert record.provenance_2d[ours] < 2  # a Thorax that is not labelled may be made
                assert record.visibility[ours] == 0
            else:
                np.testing.assert_array_equal(record.pose_2d[ours], np.float32([x, y]))
                assert (record.provenance_2d[ours], record.visibility[ours]) == (2, VISIBILITY[v])
        np.testing.assert_array_equal(record.pose_2d[10], np.float32(joints[[6, 9], :2].mean(0)))
        assert (record.provenance_2d[10], record.visibility[10]) == (1, 0)
        np.testing.assert_array_equal(record.box, [5, 6, 90, 80])
        assert record.image == (tmp_path / "keypoint_train_images_20170902" / record.file).read_bytes()
        assert record.problem() == ""


def test_what_can_not_be_used_is_counted(tmp_path, read_all, encode):
    content, _ = make_content([1] * 7)
    humans = [entry["keypoint_annotations"] for entry in content]
    humans[0]["human1"] = humans[0]["human1"][:39]
    humans[1]["human1"][2] = 7
    humans[2]["human1"] = ["a"] * 42
    humans[3]["human1"][::3] = [float("inf")] * 14
    del content[4]["image_id"]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{content[5]['image_id']}.jpg").write_bytes(encode(100, 90)[:-40])
    items = read_all("aichallenger", write(tmp_path, content))
    assert [item.reason for item in items] == [
        *[aichallenger.BAD_JOINTS] * 4,
        aichallenger.BAD_ENTRY,
        images.TRUNCATED,
        images.MISSING,
    ]


def test_boxes_that_are_none_give_way_to_the_joints(tmp_path, read_all):
    content, everybody = make_content([1])
    content[0]["human_annotations"] = {"human1": [50, 50, 50, 40]}
    (record,) = read_all("aichallenger", write(tmp_path, content), images="none")
    points = everybody[0][everybody[0][:, 2] < 3, :2]
    low, high = points.min(0), points.max(0)
    margin = 0.1 * (high - low).max()
    np.testing.assert_allclose(record.box, [*(low - margin), *(high - low + 2 * margin)], rtol=1e-6)


def test_files_of_another_format_and_missing_pictures_are_errors(tmp_path):
    content, _ = make_content([2])
    path = write(tmp_path, {"images": content})
    with pytest.raises(InputError, match="expected AIChallenger key points"):
        len(open_source("aichallenger", path, Options(images="none")))
    content[0]["keypoint_annotations"] = {"human1": [1] * 51, "human2": [1] * 51}
    with pytest.raises(InputError, match=r"none of its 2 records.*not 14 joints"):
        len(open_source("aichallenger", write(tmp_path, content), Options(images="none")))
    with pytest.raises(InputError, match="--images=none"):
        open_source("aichallenger", path)
    with pytest.raises(InputError, match="is the train split by its name"):
        open_source("aichallenger", path, Options(images="none", split="val"))


NUMBERS = st.lists(st.floats(), max_size=43)
VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | NUMBERS


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        VALUE
        | st.fixed_dictionaries(
            {
                "image_id": VALUE,
                "human_annotations": VALUE | st.dictionaries(st.text(max_size=4), VALUE),
                "keypoint_annotations": VALUE | st.dictionaries(st.text(max_size=4), VALUE),
            }
        )
    )
)
def test_anything_else_is_a_skip_or_an_input_error(tmp_path, read_all, content):
    good, _ = make_content([1])
    for item in read_all("aichallenger", write(tmp_path, good + content), images="none"):
        assert isinstance(item, Skip) or item.problem() == ""
    with contextlib.suppress(InputError):
        read_all("aichallenger", write(tmp_path, content), images="none")
