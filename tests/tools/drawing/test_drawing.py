import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.cli.errors import InputError
from tools.drawing import drawing
from tools.drawing.drawing import CENTRE_COLOUR, LEFT_COLOUR, RIGHT_COLOUR, WHITE
from tools.pose import joints

# Everyone in these tests stands like this: arms out, seen from the front (his right is the picture's left), px.
STANDING = np.array(
    [
        [200, 40], [200, 70], [200, 100],
        [160, 105], [110, 120], [60, 140],
        [240, 105], [290, 120], [340, 140],
        [200, 150], [200, 200],
        [175, 205], [165, 285], [160, 365],
        [225, 205], [235, 285], [240, 365],
    ],
    np.float32,
)  # fmt: skip
LIMBS = [(p, j) for j, p in enumerate(joints.POSE17.parents) if p >= 0]


def canvas(height=400, width=400, value=128):
    return np.full((height, width, 3), value, np.uint8)


def pixel(image, point):
    return tuple(image[round(float(point[1])), round(float(point[0]))].tolist())


def side_colour(joint):
    return {"left": LEFT_COLOUR, "right": RIGHT_COLOUR, "middle": CENTRE_COLOUR}[joints.POSE17.sides[joint]]


def test_limbs_and_joints_have_the_colour_of_their_side():
    image = drawing.draw_skeleton_2d(canvas(), STANDING)
    for joint in range(17):
        assert pixel(image, STANDING[joint]) == side_colour(joint)
    for parent, child in LIMBS:
        assert pixel(image, (STANDING[parent] + STANDING[child]) / 2) == side_colour(child)


def test_only_the_surroundings_of_the_limbs_change_and_the_input_does_not():
    before = canvas()
    image = drawing.draw_skeleton_2d(before, STANDING)
    assert (before == 128).all()
    y, x = np.mgrid[:400, :400]
    distance = np.full((400, 400), np.inf)
    for parent, child in LIMBS:  # distance of each pixel to each segment, written out
        a, b = STANDING[parent].astype(float), STANDING[child].astype(float)
        share = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
        distance = np.minimum(distance, np.hypot(x - a[0] - share * (b - a)[0], y - a[1] - share * (b - a)[1]))
    changed = (image != 128).any(-1)
    assert changed[distance < 2].all()
    assert not changed[distance > 12].any()


def test_every_limb_has_a_white_casing():
    image = drawing.draw_skeleton_2d(canvas(value=0), STANDING, thickness=8)
    middle = (STANDING[12] + STANDING[13]) / 2  # a shin, nearly vertical
    row = image[round(float(middle[1]))]
    inside = np.flatnonzero((row == RIGHT_COLOUR).all(-1))
    assert 6 <= len(inside) <= 10
    assert row[inside[0] - 2].min() > 200
    assert row[inside[-1] + 2].min() > 200


def test_made_joints_are_hollow_and_missing_ones_are_not_drawn():
    provenance = np.full(17, joints.LABELLED)
    provenance[[10, 5]] = joints.MADE, joints.MISSING
    image = drawing.draw_skeleton_2d(canvas(), STANDING, provenance=provenance)
    assert pixel(image, STANDING[10]) == WHITE
    ring = image[200, 200:212]
    assert (ring == CENTRE_COLOUR).all(-1).any()
    assert pixel(image, STANDING[5]) == (128, 128, 128)
    assert pixel(image, (STANDING[4] + STANDING[5]) / 2) == (128, 128, 128)
    assert pixel(image, STANDING[4]) == RIGHT_COLOUR


@pytest.mark.parametrize("how", ["mask", "provenance", "nan"])
def test_a_pose_without_joints_leaves_the_picture_as_it_was(how):
    arguments = {
        "mask": (STANDING, {"joint_mask": np.zeros(17, bool)}),
        "provenance": (STANDING, {"provenance": np.zeros(17, np.uint8)}),
        "nan": (STANDING * np.nan, {}),
    }
    pose, options = arguments[how]
    np.testing.assert_array_equal(drawing.draw_skeleton_2d(canvas(), pose, labels="nobody", **options), canvas())


def test_a_missing_joint_is_the_same_by_mask_by_provenance_and_by_nan():
    usable = np.ones(17, bool)
    usable[[8, 12]] = False
    holes = np.where(usable[:, None], STANDING, np.nan)
    by_mask = drawing.draw_skeleton_2d(canvas(), STANDING, joint_mask=usable)
    np.testing.assert_array_equal(by_mask, drawing.draw_skeleton_2d(canvas(), STANDING, provenance=2 * usable))
    np.testing.assert_array_equal(by_mask, drawing.draw_skeleton_2d(canvas(), holes))
    assert pixel(by_mask, STANDING[8]) == (128, 128, 128)


def test_several_people_are_drawn_each_at_his_size():
    small = STANDING * 0.3 + [10, 270]
    together = drawing.draw_skeleton_2d(canvas(), np.stack([STANDING, small]))
    apart = drawing.draw_skeleton_2d(drawing.draw_skeleton_2d(canvas(), STANDING), small)
    np.testing.assert_array_equal(together, apart)

    def shin_width(pose):
        x, y = np.rint(pose[12:14].mean(0)).astype(int)
        return (together[y, x - 15 : x + 15] == RIGHT_COLOUR).all(-1).sum()

    assert shin_width(STANDING) > shin_width(small) >= 1


def test_the_label_is_written_above_the_head_and_stays_inside_the_picture():
    plain = drawing.draw_skeleton_2d(canvas(), STANDING)
    named = drawing.draw_skeleton_2d(canvas(), STANDING, labels="person 1")
    rows, columns = np.nonzero((plain != named).any(-1))
    assert rows.max() < 40
    assert abs((columns.min() + columns.max()) / 2 - STANDING[:, 0].mean()) < 3
    high = drawing.draw_skeleton_2d(canvas(), STANDING - [150, 60], labels="person 1 with a long name")
    plain = drawing.draw_skeleton_2d(canvas(), STANDING - [150, 60])
    below = np.nonzero((high != plain).any(-1))[0]
    assert below.min() > (STANDING - [150, 60])[:, 1].max()  # no joint is covered


def test_the_label_is_beside_the_head_of_someone_as_high_as_the_picture():
    tall = STANDING - STANDING.min(0) + [40, 4]
    image = np.full((int(tall[:, 1].max()) + 5, 400, 3), 255, np.uint8)
    named = drawing.draw_skeleton_2d(image, tall, labels="1: 0.37")
    rows, columns = np.nonzero((drawing.draw_skeleton_2d(image, tall) != named).any(-1))
    assert rows.max() < 40
    highest = tall[tall[:, 1].argmin()]
    assert columns.min() > highest[0] + 2


@pytest.mark.parametrize("name", sorted(joints.JOINT_SETS))
def test_every_joint_set_can_be_drawn(name):
    joint_set = joints.joint_set(name)
    angle = np.arange(joint_set.size) * 2 * np.pi / joint_set.size
    pose = 200 + 150 * np.stack([np.cos(angle), np.sin(angle)], -1)
    by_name = drawing.draw_skeleton_2d(canvas(), pose, name)
    left, right = zip(*joint_set.pairs)
    np.testing.assert_array_equal(by_name, drawing.draw_skeleton_2d(canvas(), pose, (joint_set.parents, left, right)))
    drawn = {"left": LEFT_COLOUR, "right": RIGHT_COLOUR, "middle": CENTRE_COLOUR}
    assert all(pixel(by_name, p) == drawn[side] for p, side in zip(pose, joint_set.sides))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32), min_size=34, max_size=34))
def test_any_coordinates_can_be_drawn(values):
    image = drawing.draw_skeleton_2d(canvas(60, 80), np.array(values, np.float32).reshape(17, 2))
    assert image.shape == (60, 80, 3)


def test_a_joint_far_outside_changes_no_limb_inside():
    near, far = STANDING.copy(), STANDING.copy()
    near[5], far[5] = STANDING[4] + 4 * (STANDING[5] - STANDING[4]), STANDING[4] + 1e7 * (STANDING[5] - STANDING[4])
    a, b = (drawing.draw_skeleton_2d(canvas(), pose, thickness=5) for pose in (near, far))
    assert np.abs(a.astype(int) - b).mean() < 0.1
    assert pixel(b, STANDING[4] + 0.5 * (STANDING[5] - STANDING[4])) == RIGHT_COLOUR


@pytest.mark.parametrize(
    ("image", "pose", "options", "message"),
    [
        (np.zeros((9, 9), np.uint8), STANDING, {}, r"image: .*uint8 \[9, 9\]"),
        (np.zeros((9, 9, 3), np.float32), STANDING, {}, "image: .*float32"),
        (np.zeros((0, 9, 3), np.uint8), STANDING, {}, "image: "),
        (canvas(), STANDING[:16], {}, r"pose: expected \[17, 2\].*got \[16, 2\]"),
        (canvas(), np.zeros((17, 3)), {}, "pose: "),
        (canvas(), STANDING, {"joint_mask": np.ones(16)}, "joint_mask: "),
        (canvas(), STANDING, {"provenance": np.ones((2, 17))}, "provenance: "),
        (canvas(), STANDING, {"labels": ["a", "b"]}, "labels: "),
        (canvas(), STANDING, {"joint_set": ([-1, 0, 7], [1], [2])}, "joint set: "),
        (canvas(), STANDING, {"joint_set": "h37m"}, "h37m"),
    ],
)
def test_bad_input_is_named(image, pose, options, message):
    with pytest.raises(InputError, match=message):
        drawing.draw_skeleton_2d(image, pose, **options)


def test_pose_canvas_fits_the_pose_with_one_scale():
    size = (300, 500)
    pose = STANDING * 7 + [5000, -3000]
    image = drawing.pose_canvas(pose, size=size, margin=0.1)
    assert image.shape == (500, 300, 3)
    scale = 0.8 * 300 / np.ptp(pose[:, 0])  # arms out: the width decides
    expected = (pose - (pose.min(0) + pose.max(0)) / 2) * scale + np.array(size) / 2
    for joint in range(17):
        assert pixel(image, expected[joint]) == side_colour(joint)


def test_pose_canvas_shows_the_ghost_in_the_same_pixels():
    image = drawing.pose_canvas(STANDING + [600, 0], ghost=STANDING, size=(500, 250))
    ghost, pose = ((image == colour).all(-1) for colour in (drawing.GHOST_COLOUR, LEFT_COLOUR))
    assert ghost.any()
    assert pose.any()
    assert np.flatnonzero(ghost.any(0)).max() < np.flatnonzero(pose.any(0)).min()


def test_pose_canvas_without_joints_is_blank():
    assert (drawing.pose_canvas(STANDING, joint_mask=np.zeros(17)) == 255).all()


def test_crop_to_person_keeps_pixels_under_the_joints():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (500, 700, 3), np.uint8)
    pose = np.rint(STANDING * 0.5) + [450, 40]
    crop, moved = drawing.crop_to_person(image, pose)
    assert crop.shape[0] < 400
    assert crop.shape[1] < 400
    for before, after in zip(pose, moved):
        assert pixel(image, before) == pixel(crop, after)


def test_crop_to_person_is_the_whole_picture_when_nobody_is_inside():
    crop, moved = drawing.crop_to_person(canvas(), STANDING + 1000)
    np.testing.assert_array_equal(crop, canvas())
    np.testing.assert_array_equal(moved, STANDING + 1000)


def test_write_image_reads_back_and_does_not_replace_unasked(tmp_path):
    import cv2

    image = drawing.draw_skeleton_2d(canvas(), STANDING)
    path = drawing.write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(path)), image)
    with pytest.raises(InputError, match=r"a\.png: exists already"):
        drawing.write_image(path, canvas())
    drawing.write_image(path, canvas(), overwrite=True)
    np.testing.assert_array_equal(cv2.imread(str(path)), canvas())
    for bad in (tmp_path / "a.txt", tmp_path / "nothing", tmp_path / "absent" / "a.png"):
        with pytest.raises(InputError, match=bad.name):
            drawing.write_image(bad, image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
