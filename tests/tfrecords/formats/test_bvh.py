"""The BVH parser and its forward kinematics, against SciPy's rotations joint by joint."""

import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tfrecords.formats import bvh
from tools.cli.errors import InputError

numbers = st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 4))
names = st.text(st.sampled_from("abcXYZ_.:019 "), min_size=1, max_size=8).map(lambda text: "J" + " ".join(text.split()))


class Joint:
    """A joint drawn at random; `end` is the offset of an End Site or None."""

    def __init__(self, name, offset, channels, children, end):
        self.name, self.offset, self.channels, self.children, self.end = name, offset, channels, children, end

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()


@st.composite
def joints(draw, depth=0):
    positions = draw(st.permutations(["Xposition", "Yposition", "Zposition"])) if draw(st.booleans()) else []
    rotations = draw(st.permutations(["Xrotation", "Yrotation", "Zrotation"]))[: draw(st.integers(1, 3))]
    channels = draw(st.permutations(list(positions) + list(rotations)))
    offset = draw(st.lists(numbers, min_size=3, max_size=3))
    children = draw(st.lists(joints(depth=depth + 1), max_size=2)) if depth < 3 else []
    end = draw(st.none() | st.lists(numbers, min_size=3, max_size=3))
    return Joint(draw(names), offset, channels, children, end)


def write(root, frames, newline, inline, frame_time="0.0333333"):
    """The text of a file, with braces on their own lines or at the end of the line before."""
    lines = ["HIERARCHY"]

    def opened(text):
        lines.extend([text + " {"] if inline else [text, "{"])

    def joint(node, keyword):
        opened(f"{keyword} {node.name}")
        lines.append("  OFFSET " + " ".join(map(str, node.offset)))
        lines.append(f"  CHANNELS {len(node.channels)} " + " ".join(node.channels))
        for child in node.children:
            joint(child, "\tJOINT")
        if node.end is not None:
            opened("End Site")
            lines.extend(["OFFSET  " + "\t".join(map(str, node.end)), "}"])
        lines.append("}")

    joint(root, "ROOT")
    lines += ["MOTION", f"Frames:\t{len(frames)}", f"Frame Time: {frame_time}"]
    lines += [" ".join(map(str, frame)) for frame in frames]
    return newline.join(lines) + newline


def slow_places(root, frame):
    """Names and places of joints in one frame, by recursion and SciPy."""
    values = iter(frame)
    found = []

    def walk(node, place, turn):
        offset, local = list(node.offset), Rotation.identity()
        for channel in node.channels:
            value, axis = next(values), "XYZ".index(channel[0])
            if channel.endswith("position"):
                offset[axis] = value
            else:
                local = local * Rotation.from_euler("xyz"[axis], value, degrees=True)
        place = place + turn.apply(offset)
        turn = turn * local
        found.append((node.name, place))
        for child in node.children:
            walk(child, place, turn)
        if node.end is not None:
            found.append((node.name + " End", place + turn.apply(node.end)))

    walk(root, np.zeros(3), Rotation.identity())
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data(), root=joints(), newline=st.sampled_from(["\n", "\r\n"]), inline=st.booleans())
def test_files_come_back_as_written(data, root, newline, inline):
    columns = sum(len(node.channels) for node in root.walk())
    count = data.draw(st.integers(0, 3))
    angles = st.lists(st.floats(-360, 360).map(lambda value: round(value, 5)), min_size=columns, max_size=columns)
    frames = [data.draw(angles) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.bvh"
        path.write_bytes(write(root, frames, newline, inline).encode())
        skeleton, motion = bvh.read(path)
        assert bvh.read_skeleton(path).channels == skeleton.channels
    assert (skeleton.frames, skeleton.columns, skeleton.frame_time_s) == (count, columns, 0.0333333)
    np.testing.assert_array_equal(motion, np.array(frames).reshape(count, columns))
    places = bvh.forward_kinematics(skeleton, motion)
    for frame in range(count):
        expected = slow_places(root, frames[frame])
        assert [name for name, _ in expected] == list(skeleton.names)
        np.testing.assert_allclose(places[frame], [place for _, place in expected], atol=1e-8)


GOOD = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Chest
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 5 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 0 0 0
"""


def parse(tmp_path, text):
    path = tmp_path / "a.bvh"
    path.write_text(text)
    return bvh.read(path)


def test_a_file_by_hand(tmp_path):
    skeleton, motion = parse(tmp_path, GOOD)
    places = bvh.forward_kinematics(skeleton, motion)
    assert skeleton.names == ("Hips", "Chest", "Chest End")
    np.testing.assert_allclose(places[0], [[1, 2, 3], [1, 12, 3], [1, 17, 3]], atol=1e-12)
    np.testing.assert_allclose(places[1], [[1, 2, 3], [-9, 2, 3], [-14, 2, 3]], atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERACHY", "line 1: expected HIERARCHY, found 'HIERACHY'"),
        ("ROOT Hips", "ROOT", "line 2: expected a joint's name"),
        ("OFFSET 0 10 0", "OFFSET 0 ten 0", "line 8: expected three numbers of OFFSET, found 'ten'"),
        ("OFFSET 0 10 0", "OFFSET 0 nan 0", "line 8: expected three numbers of OFFSET, found 'nan'"),
        ("OFFSET 0 10 0", "", "line 10: expected OFFSET of Chest, found 'END'"),
        ("CHANNELS 3 Z", "CHANNELS 2 Z", "line 9: expected OFFSET, CHANNELS, JOINT, End Site or }, found 'YROTATION'"),
        ("CHANNELS 3 Zrot", "CHANNELS 3 Wrot", "line 9: expected a channel such as Xposition or Zrotation"),
        ("CHANNELS 3", "CHANNELS 9", "line 9: expected 0 to 6 channels, found 9"),
        ("End Site", "End Sight", "line 10: expected End Site, found 'Sight'"),
        ("  }\n}\n", "  }\n", "line 15: expected OFFSET, CHANNELS, JOINT, End Site or }, found 'MOTION'"),
        ("MOTION\n", "ROOT B\n", r"line 16: expected MOTION \(one skeleton a file\), found 'ROOT'"),
        ("Frames: 2", "Frames: two", "line 17: expected Frames: <number>, found 'Frames: two'"),
        ("Frame Time: 0.05", "0.05", "line 18: expected Frame Time: <seconds>, found '0.05'"),
        ("Frames: 2", "Frames: 3", "line 20: expected 3 frames, found the end of the file after 2"),
        ("Frames: 2", "Frames: 1", "line 20: expected the end after 1 frames"),
        ("1 2 3 90", "1 2 90", "line 20: expected a frame of 9 numbers, found 8"),
        ("1 2 3 90", "1 2 3 x", "line 20: expected a frame of 9 numbers, found '1 2 3 x"),
        (GOOD, "", "line 0: expected HIERARCHY, found the end of the file"),
        (GOOD[GOOD.index("    End Site") :], "", "line 9: expected OFFSET, CHANNELS, .*, found the end of the file"),
    ],
)
def test_malformed_files_are_named_with_line_and_what_was_expected(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(InputError, match=message) as error:
        parse(tmp_path, GOOD.replace(old, new))
    assert str(tmp_path / "a.bvh") in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(GOOD)), junk=st.text(max_size=6))
def test_no_damage_is_read_as_whole_or_raises_anything_else(cut, junk):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.bvh"
        path.write_text(GOOD[:cut] + junk, encoding="utf-8")
        try:
            _, motion = bvh.read(path)
        except InputError as error:
            message = str(error)
        else:
            message = str(path) if motion.shape == (2, 9) else "another motion"
    assert message.startswith(str(path))
