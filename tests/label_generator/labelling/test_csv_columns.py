"""CSV files whose first line names the joints: by name in any order, or by number, and what is refused."""

import numpy as np
import pytest

from label_generator.labelling import csv_columns
from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tools.cli.errors import InputError
from tools.pose import joints

COCO = joints.JOINT_SETS["coco17"].joints
POSES = np.random.default_rng(0).uniform(10, 900, (6, 17, 2)).round(2)
FORMS = {
    "{joint}_{axis}": str,
    "{joint}.{axis}": lambda name: {"L": "left_", "R": "right_"}.get(name[0], "") + name[name[0] in "LR" :].lower(),
    "{axis}_{joint}": str,
    "{joint}_{axis}_px": lambda name: {"L": "Left", "R": "Right"}.get(name[0], "") + name[name[0] in "LR" :],
    "{joint}[{axis}]": str,
}


def read(tmp_path, lines, **spec):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    opened = label_inputs.open_input(Spec(str(path), "array", **spec))
    return next(opened.batches(0, 100)), opened


def rows(poses, order, separator=",", decimal="."):
    return [separator.join(f"{v:.2f}".replace(".", decimal) for v in pose[order].ravel()) for pose in poses]


@pytest.mark.parametrize("form", FORMS)
def test_joints_are_read_by_their_names_in_any_order(tmp_path, form):
    order = np.random.default_rng(1).permutation(17)
    names = [form.format(joint=FORMS[form](COCO[j]), axis=axis) for j in order for axis in "xy"]
    batch, _ = read(tmp_path, [",".join(names), *rows(POSES, order)])
    expected, provenance = joints.convert(POSES.astype(np.float32), "coco17")
    np.testing.assert_allclose(batch.poses_2d, expected, rtol=1e-6)
    np.testing.assert_array_equal(batch.provenance, provenance)


def test_the_stated_set_is_looked_for(tmp_path):
    names = joints.JOINT_SETS["lsp14"].joints[::-1]
    lines = [";".join(f"{name}_{axis}" for name in names for axis in "xy")]
    lines += rows(POSES[:, :14], np.arange(14), ";", ",")
    batch, _ = read(tmp_path, lines, joints="lsp14")
    expected, _ = joints.convert(POSES[:, :14][:, ::-1].astype(np.float32), "lsp14")
    np.testing.assert_allclose(batch.poses_2d, expected, rtol=1e-6)
    with pytest.raises(InputError, match="expected all of coco17"):
        read(tmp_path, lines, joints="coco17")


def test_numbered_columns_in_either_layout(tmp_path):
    for names, table in (
        ([f"{axis}{i}" for axis in "xy" for i in range(17)], POSES.transpose(0, 2, 1)),
        ([f"kpt{i}_{axis}" for i in range(1, 18) for axis in "xy"], POSES),
        ([f"{i}_{axis}" for i in range(16, -1, -1) for axis in "xy"], POSES[:, ::-1]),
    ):
        lines = [",".join(names), *(",".join(map(str, row)) for row in table.reshape(6, -1))]
        batch, _ = read(tmp_path, lines, joints="pose17")
        np.testing.assert_allclose(batch.poses_2d, POSES, rtol=1e-6)


def test_a_first_line_that_counts_the_columns_is_no_pose(tmp_path):
    table = POSES.copy()
    table[:, 1:] = table[:, :1] + np.arange(1, 17)[:, None]
    plain = [",".join(map(str, row)) for row in table.reshape(6, -1)]
    counted = [",".join(map(str, range(34))), *plain]
    pandas = ["," + counted[0], *(f"{i},{line}" for i, line in enumerate(plain))]
    for lines in (counted, pandas):
        batch, opened = read(tmp_path, lines, joints="pose17", layout="interleaved")
        assert len(opened) == 6
        np.testing.assert_allclose(batch.poses_2d, table, rtol=1e-6)


def test_confidences_and_names_of_pictures(tmp_path):
    names = ["filename", "frame_id", *(f"{joint}_{axis}" for joint in COCO for axis in ("x", "y", "score"))]
    scores = np.where(np.arange(17) == 9, 0.1, 0.9)
    lines = [",".join(names)]
    for i, pose in enumerate(POSES):
        lines.append(f"{i}.jpg,{10 * i}," + ",".join(map(str, np.c_[pose, scores].ravel())))
    batch, _ = read(tmp_path, lines, min_confidence=0.5)
    assert batch.file == [f"{i}.jpg" for i in range(6)]
    assert batch.frame.tolist() == [10 * i for i in range(6)]
    assert (batch.provenance[:, joints.POSE17.index("LWrist")] == joints.MISSING).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"{name}_{axis}" for name in [*COCO[:-1], "tail"] for axis in "xy"], "tail.*not joints of a person"),
        ([f"{name}_{axis}" for name in [*COCO, "tail"] for axis in "xy"], "name 'tail', which is no joint of a person"),
        ([f"{name}_{axis}" for name in COCO for axis in "xy"] + ["speed"], "'speed': no names of columns"),
        ([f"{name}_{axis}" for name in COCO for axis in "xy"][:-1], "'RAnkle' has not the columns x and y"),
        ([f"{name}_{axis}" for name in [*COCO[:-1], COCO[0]] for axis in "xy"], "'Nose_x' is there twice"),
        ([f"{name}_{axis}" for name in [*COCO, "left_eye"] for axis in "xy"], "both name the joint LEye"),
        ([f"{axis}{i}" for i in [*range(16), 17] for axis in "xy"], "number the joints 0 to 17 with gaps"),
        ([f"{axis}{i}" for i in range(16) for axis in "xy"], "expected|columns are of 16 joints"),
        ([chr(97 + i) * 3 for i in range(26)] + ["zzzz"] * 8, "'aaa', 'bbb'"),
    ],
)
def test_other_names_are_refused(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, [",".join(names), *(",".join(["5.5"] * len(names)) for _ in range(3))], joints="coco17")


HEAD = ",".join(["file", "person", *(f"{name}_{axis}" for name in COCO for axis in "xy")])
CELLS = [",".join(map(str, pose.ravel())) for pose in POSES]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"a.jpg,1,7.5,{CELLS[1]}", r"a\.csv: row 1: 37 cells, the first line has 36"),
        (f"a.jpg,{CELLS[1]}", r"a\.csv: row 1: too few cells"),
        (f"a.jpg,1.7,{CELLS[1]}", r"a\.csv: row 1: person '1\.7': expected a whole number"),
        (f"a.jpg,zero,{CELLS[1]}", r"a\.csv: row 1: person 'zero': expected a whole number"),
        (f"a.jpg,inf,{CELLS[1]}", r"a\.csv: row 1: person 'inf': expected a whole number"),
    ],
)
def test_rows_that_do_not_fit_the_first_line_are_refused(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, [HEAD, f"a.jpg,0,{CELLS[0]}", line])


def test_whole_numbers_line_breaks_in_quotes_and_trailing_commas(tmp_path):
    """Tables of other programs: 3.0 for 3, quoted cells of several lines, empty cells at the end of a line."""
    lines = [HEAD, "", f'"a\n\nb.jpg",3.0,{CELLS[0]}', f"c.jpg,1000000000000000001,{CELLS[1]},,", "  "]
    lines += [f'"d ""e"".jpg",,{CELLS[2]}']
    batch, opened = read(tmp_path, lines)
    assert len(opened) == 3
    assert batch.file == ["a\n\nb.jpg", "c.jpg", 'd "e".jpg']
    assert batch.person.tolist() == [3, 1_000_000_000_000_000_001, -1]
    np.testing.assert_allclose(batch.poses_2d, joints.convert(POSES[:3], "coco17")[0], rtol=1e-5)


def test_counting_lines():
    assert csv_columns.are_numbered(list(map(str, range(34))))
    assert not csv_columns.are_numbered(list(map(str, range(20))))
    assert not csv_columns.are_numbered(list(map(str, range(1, 35))))


def test_shares_of_the_pictures_size(tmp_path):
    """Refused with what to do, and scaled where the size is known."""
    poses = np.random.default_rng(0).uniform(0, 1, (20, 17, 2))
    np.save(tmp_path / "a.npy", poses)
    np.savez(tmp_path / "b.npz", keypoints=poses.reshape(20, 34))
    names = ",".join(f"{name}_{axis}" for name in joints.POSE17.joints for axis in "xy")
    np.savetxt(tmp_path / "c.csv", poses.reshape(20, 34), delimiter=",", header=names, comments="")
    for name in ("a.npy", "b.npz", "c.csv"):
        spec = {"path": str(tmp_path / name), "format": "array", "joints": "pose17", "layout": "interleaved"}
        with pytest.raises(InputError, match="are no px; if they are shares of the picture's size, give --image_size"):
            label_inputs.open_input(Spec(**spec))
        opened = label_inputs.open_input(Spec(**spec, image_size=(640, 480)))
        assert "shares" in opened.description
        np.testing.assert_allclose(next(opened.batches(0, 20)).poses_2d, poses * [640, 480], rtol=1e-5)
    np.save(tmp_path / "a.npy", poses * 2 - 1)
    with pytest.raises(InputError, match=r"from -0\.9.* to 0\.9.* are no px; write px"):
        label_inputs.open_input(Spec(str(tmp_path / "a.npy"), "array", joints="pose17", image_size=(640, 480)))


@pytest.mark.parametrize("place", [0, 5])
def test_misspelt_joints_are_recognised_in_the_message(tmp_path, place):
    names = [*COCO[:place], {0: "noze", 5: "left_sholder"}[place], *COCO[place + 1 :]]
    lines = [",".join(f"{name}_{axis}" for name in names for axis in "xy"), *rows(POSES, np.arange(17))]
    with pytest.raises(InputError) as error:
        read(tmp_path, lines)
    meant = {0: "'noze': did you mean nose?", 5: "'left_sholder': did you mean left_shoulder?"}[place]
    assert meant in str(error.value)
    assert f"joint sets are {', '.join(joints.JOINT_SETS)}" in str(error.value)
