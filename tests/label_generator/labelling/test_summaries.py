"""What a run reports: pictures apart from people, the first unreadable ones by name; files of --formats."""

import pathlib

from label_generator.labelling import cameras, inputs, summaries
from label_generator.labelling.options import LabellingOptions
from label_generator.labelling.picture_counts import PictureCounts


def counts(unreadable, frames=0, without_people=0):
    files = {f"{number}.jpg": "image truncated" for number in range(unreadable)}
    return PictureCounts(10, frames, 1, without_people, unreadable, files, {})


def test_few_unreadable_pictures_are_named_and_the_others_counted():
    assert counts(0).lines() == []
    assert counts(1, without_people=1).lines() == [
        "1 picture could not be read: 0.jpg (image truncated)",
        "1 picture without people",
    ]
    (line,) = counts(8).lines()
    assert line.startswith("8 pictures could not be read: 0.jpg (image truncated), 1.jpg")
    assert line.endswith("4.jpg (image truncated), 3 more (unreadable_files in summary.json)")
    assert counts(0, frames=10).text == "1 person in 10 frames"


def test_folders_and_files_of_formats_are_named(tmp_path):
    spec = inputs.Spec(path="walk.mp4", format="photographs")
    chosen = ("npz", "bvh", "mp4", "coco", "tfrecord")
    options = LabellingOptions(spec, cameras.parse_camera("auto", None), str(tmp_path), formats=chosen)
    for name in ("bvh/1.bvh", "bvh/2.bvh", "films/1.mp4", "labels_coco.json", "tfrecords/manifest.json"):
        path = pathlib.Path(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    named = [f"{tmp_path}/bvh/ (2 files)", f"{tmp_path}/films/ (1 file)", f"{tmp_path}/labels_coco.json"]
    assert summaries._written(options) == named
