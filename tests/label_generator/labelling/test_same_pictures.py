"""--one_person: several people who share a picture are refused."""

import numpy as np
import pytest

from label_generator.labelling import cameras, inputs
from label_generator.labelling.options import LabellingOptions
from label_generator.labelling.same_pictures import check_one_person
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

COLUMNS = [f"{name}_{axis}" for name in POSE17.joints for axis in "xy"]
CELLS = [",".join(map(str, row)) for row in np.random.default_rng(0).uniform(10, 900, (3, 34)).round(1)]


def check(tmp_path, head, rows, cells=CELLS, one_person=True):
    path = tmp_path / "a.csv"
    path.write_text(
        "\n".join([",".join([head, *COLUMNS]), *(f"{row},{cell}" for row, cell in zip(rows, cells))]) + "\n"
    )
    spec = inputs.Spec(str(path), "array", joints="pose17")
    options = LabellingOptions(spec, cameras.parse_camera("auto", None), str(tmp_path), one_person=one_person)
    check_one_person(options, inputs.open_input(spec))


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("file,frame", ["a.mp4,1", "a.mp4,2", "a.mp4,2"], r"a\.csv: row 2 is another person in frame 2 of a\.mp4"),
        ("file,frame,person", ["a.mp4,1,0", "a.mp4,1,1", "a.mp4,2,0"], r"row 1 is another person in frame 1 of a\.mp4"),
        ("file", ["b.jpg", "a.jpg", "b.jpg"], r"row 2 is another person in b\.jpg"),
    ],
)
def test_people_of_one_picture_are_refused(tmp_path, head, rows, message):
    with pytest.raises(InputError, match=message):
        check(tmp_path, head, rows)
    check(tmp_path, head, rows, one_person=False)


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("file,frame", ["a.mp4,1", "b.mp4,1", "a.mp4,2"]),
        ("file,frame,person", ["a.mp4,1,3", "a.mp4,2,4", "a.mp4,1,3"]),
        ("file", ["a.mp4", "a.mp4", "a.mp4"]),
        ("person", ["0", "1", "2"]),
    ],
)
def test_rows_that_may_be_pictures_of_one_person_are_not(tmp_path, head, rows):
    check(tmp_path, head, rows)


def test_people_without_a_label_are_not_counted(tmp_path):
    few = CELLS[0] + "\n" + "a.jpg," + ",".join(CELLS[1].split(",")[:14]) + "," * 20
    check(tmp_path, "file", ["a.jpg"], [few])
