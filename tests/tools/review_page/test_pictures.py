"""Crops: around the person, at the place that the page is told, from folders, tars and records."""

import json
import tarfile

import cv2
import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.review_page.label_columns import LabelColumns
from tools.review_page.pictures import Photographs, crop_box, write_crops


def test_crop_boxes():
    pose = np.full((17, 2), np.nan)
    assert crop_box(pose, 640, 480) == (0, 0, 640, 480)
    pose[0], pose[1], pose[2] = (100, 200), (200, 300), (5000, -9)  # one far outside
    assert crop_box(pose, 640, 480) == (75, 175, 225, 325)
    pose[1] = (639, 479)
    left, top, right, bottom = crop_box(pose, 640, 480)
    assert (right, bottom) == (640, 480)
    assert left == 0
    assert top == 0
    pose[:] = (10, 10)
    assert crop_box(pose, 640, 480) == (0, 0, 34, 34)


def photograph(seed, width=640, height=480):
    """A dark picture with a white square of 9 px around (100 + seed, 200)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[196:205, 96 + seed : 105 + seed] = 255
    return image


@pytest.fixture
def with_pictures(tmp_path, labels, write_labels):
    """(columns, folder of 20 photographs): row i is of picture i // 2, with a joint in the middle of its square."""
    arrays = labels(40)
    folder = tmp_path / "photographs"
    (folder / "set").mkdir(parents=True)
    for number in range(20):
        if number != 3:
            cv2.imwrite(str(folder / "set" / f"img_{number:05d}.jpg"), photograph(number))
    (folder / "set" / "img_00005.jpg").write_bytes(b"no picture")
    for row in range(40):
        arrays["poses_2d"][row, 0] = (100 + row // 2, 200)
    return LabelColumns(write_labels(tmp_path / "labels", arrays)), folder


def check(columns, crops, folder):
    without = {6, 7, 10, 11}
    assert set(np.flatnonzero(crops[:, 2] == 0)) == without
    for row in sorted(set(range(40)) - without):
        crop = cv2.imread(str(folder / "0000" / f"{row}.jpg"))
        assert max(crop.shape[:2]) <= 100
        left, top, scale = crops[row]
        bright = np.argwhere(crop[..., 0] > 128)
        # Centres of pixels lie half a pixel from their edges.
        middle = (bright.min(0) + bright.max(0) + 1) / 2
        expected = (np.array([200, 100 + row // 2]) + 0.5 - [top, left]) * scale
        np.testing.assert_allclose(middle, expected, atol=1.0)


def test_crops_of_a_folder_and_of_a_tar(with_pictures, tmp_path):
    columns, photographs = with_pictures
    (tmp_path / "a").mkdir()
    check(columns, write_crops(Photographs(columns, str(photographs)), columns, tmp_path / "a", 100), tmp_path / "a")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(photographs, "somewhere")
    (tmp_path / "b").mkdir()
    tar = Photographs(columns, str(tmp_path / "all.tar"))
    check(columns, write_crops(tar, columns, tmp_path / "b", 100), tmp_path / "b")


@pytest.mark.parametrize("images", ["photographs", "gone", "none"])
def test_pictures_that_the_labels_were_made_with(tmp_path, labels, write_labels, images):
    """Those of generate.py --images, which its summary names, are found without being named again."""
    content = {
        "images": [{"id": 0, "file_name": "0.jpg", "width": 640, "height": 480}],
        "annotations": [
            {"image_id": 0, "category_id": 1, "keypoints": [n for i in range(17) for n in (90 + 9 * i, 200, 2)]}
        ],
    }
    (tmp_path / "people.json").write_text(json.dumps(content))
    (tmp_path / "photographs").mkdir()
    cv2.imwrite(str(tmp_path / "photographs" / "0.jpg"), photograph(0))
    summary = {"input": str(tmp_path / "people.json"), "format": "coco", "images": str(tmp_path / images)}
    if images == "none":
        summary["images"] = images
    columns = LabelColumns(write_labels(tmp_path / "labels", labels(1), **summary))
    chosen = Photographs(columns, "")
    if images == "photographs":
        assert chosen.message == f"pictures: {tmp_path / 'photographs'}"
        assert list(chosen) == [(tmp_path / "photographs" / "0.jpg").read_bytes()]
    else:
        assert not chosen
        assert chosen.message.startswith("without pictures: ")


def test_pictures_of_labels_of_an_array(tmp_path, labels, write_labels):
    """Arrays hold no pictures: the files that their rows name are looked up where --images was."""
    np.save(tmp_path / "poses.npy", labels(40)["poses_2d"])
    folder = tmp_path / "photographs"
    (folder / "set").mkdir(parents=True)
    cv2.imwrite(str(folder / "set" / "img_00001.jpg"), photograph(1))
    spec = {"path": str(tmp_path / "poses.npy"), "format": "array", "joints": "pose17"}
    written = write_labels(tmp_path / "labels", labels(40), input_spec=spec, images=str(folder))
    chosen = Photographs(LabelColumns(written), "")
    assert chosen.message == f"pictures: {folder}"
    assert [row for row, data in enumerate(chosen) if data] == [2, 3]


def test_without_pictures(with_pictures, tmp_path):
    columns, _ = with_pictures
    assert not Photographs(columns, "none")
    gone = Photographs(columns, "")
    assert not gone
    assert gone.message.startswith("without pictures: gone.npz")
    with pytest.raises(InputError, match="no folder or tar"):
        Photographs(columns, str(tmp_path / "nothing"))
