import subprocess
import sys
import time

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.drawing import figures
from tools.pose import joints

# Arms out, facing the camera: x right (his right side is on the left), y down, z away; mm, the hip at the origin.
STANDING = np.array(
    [
        [0, -640, 0], [0, -540, 0], [0, -450, 0],
        [-150, -440, 0], [-400, -430, 40], [-640, -420, 90],
        [150, -440, 0], [400, -430, 40], [640, -420, 90],
        [0, -220, 0], [0, 0, 0],
        [-120, 10, 0], [-130, 430, -20], [-140, 850, 20],
        [120, 10, 0], [130, 430, -20], [140, 850, 20],
    ],
    np.float32,
)  # fmt: skip


def hue(image, point):
    """Which side's colour a shaded pixel has: its strongest channel tells blue from vermilion."""
    blue, green, red = image[round(float(point[1])), round(float(point[0]))].astype(int)
    spread = max(blue, green, red) - min(blue, green, red)
    return "middle" if spread < 40 else "left" if blue > red else "right"


def view_used(pose, size=(640, 560), axes=True, **options):
    text = int(np.clip(min(size) / 42, 9, 18))
    margins = (4.8 * text, 1.5 * text, 4.8 * text, 4.4 * text) if axes else (0.03 * size[0],) * 4
    return figures.view_of(figures.room_around(pose[None]), size, margins=margins, **options)


def test_limbs_stand_where_the_view_projects_them_in_the_colour_of_their_side():
    image = figures.figure_3d(STANDING)
    view = view_used(STANDING)
    assert image.shape == (560, 640, 3)
    assert image.dtype == np.uint8
    for child, parent in enumerate(joints.POSE17.parents):
        if child in (4, 5, 7, 8, 12, 13, 15, 16):
            middle = view.project((STANDING[child] + STANDING[parent]) / 2)
            assert hue(image, middle) == joints.POSE17.sides[child]


def test_from_the_camera_his_left_is_at_the_pictures_right():
    image = figures.figure_3d(STANDING, azimuth=0, elevation=0, axes=False)
    blue = (image[..., 0].astype(int) - image[..., 2]) > 60
    red = (image[..., 2].astype(int) - image[..., 0]) > 60
    assert np.nonzero(blue)[1].mean() > 320 > np.nonzero(red)[1].mean()
    behind = figures.figure_3d(STANDING, azimuth=180, elevation=0, axes=False)
    blue = (behind[..., 0].astype(int) - behind[..., 2]) > 60
    assert np.nonzero(blue)[1].mean() < 320


def test_a_positive_azimuth_steps_to_the_right_and_an_elevation_up():
    room = figures.room_around(STANDING[None])
    front = np.array([[0.0, 0, -300], [0.0, 0, 300]])
    near, far = figures.view_of(room, (400, 400), azimuth=30, elevation=0).project(front)
    assert near[0] < far[0]
    assert near[2] < far[2]
    near, far = figures.view_of(room, (400, 400), azimuth=0, elevation=20).project(front)
    assert near[1] > far[1]


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (38, 14), (-120, 30)])
def test_all_axes_have_one_scale(azimuth, elevation):
    """Lengths across the line of sight at the centre's depth are true in every direction, whatever the room's shape."""
    pose = STANDING * [2.0, 1.0, 0.3]
    view = figures.view_of(figures.room_around(pose[None]), (700, 300), azimuth, elevation)
    for angle in np.radians([0, 30, 60, 90, 135]):
        across = np.cos(angle) * view.rotation[0] + np.sin(angle) * view.rotation[1]
        ends = view.project(view.centre + 100 * np.array([-across, across]))
        assert np.linalg.norm(ends[1, :2] - ends[0, :2]) == pytest.approx(200 * view.scale, rel=1e-6)
    # And the three axes are as long as perspective makes a metre at their depth: a pinhole's x = f X / Z.
    point = view.rotation @ (np.array([300.0, -200.0, 400.0]) - view.centre) + [0, 0, view.distance]
    expected = view.scale * view.distance * point[:2] / point[2] + view.offset
    np.testing.assert_allclose(view.project([300.0, -200.0, 400.0])[:2], expected, rtol=1e-9)


def test_the_whole_room_is_in_the_picture_for_every_azimuth_at_one_scale():
    room = figures.room_around(STANDING[None])
    azimuths = np.arange(0, 360, 15)
    views = [figures.view_of(room, (300, 260), a, azimuths=azimuths) for a in azimuths]
    assert len({view.scale for view in views}) == 1
    seen = np.concatenate([view.project(room.corners)[:, :2] for view in views])
    assert seen.min() > -1e-6
    assert (seen < np.array([300, 260]) + 1e-6).all()


def test_the_room_holds_the_poses_and_the_feet_are_on_the_floor():
    room = figures.room_around(np.stack([STANDING, STANDING * 1.3 + [200, 0, 500]]))
    points = np.concatenate([STANDING, STANDING * 1.3 + [200, 0, 500]])
    assert (points >= room.low).all()
    assert (points <= room.high).all()
    assert 0 < room.high[1] - points[:, 1].max() < 0.03 * room.side


def quarters(height=300, width=400):
    """A picture whose four quarters differ: red and green above, blue and white below (BGR)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 0, 0, 255
    image[: height // 2, width // 2 :] = 0, 255, 0
    image[height // 2 :, : width // 2] = 255, 0, 0
    image[height // 2 :, width // 2 :] = 255, 255, 255
    return image


@pytest.mark.parametrize("azimuth", [0, 38, -50])
@pytest.mark.parametrize("shape", [(300, 400), (500, 300), (1500, 2000)])
def test_the_photograph_hangs_upright_and_unmirrored_on_the_back_wall(azimuth, shape):
    photograph = quarters(*shape)
    image = figures.figure_3d(STANDING * np.nan, photograph, azimuth=azimuth, axes=False)
    room = figures.room_around(STANDING[None] * np.nan, aspect=shape[1] / shape[0], with_wall=True)
    view = figures.view_of(room, (640, 560), azimuth, margins=(0.03 * 640,) * 4)
    corners = figures.photograph_corners(room, shape)
    for across, down, colour in (
        (0.25, 0.25, (0, 0, 255)),
        (0.75, 0.25, (0, 255, 0)),
        (0.25, 0.75, (255, 0, 0)),
        (0.75, 0.75, (255, 255, 255)),
    ):
        x, y, _ = view.project(corners[0] + across * (corners[1] - corners[0]) + down * (corners[3] - corners[0]))
        assert tuple(image[round(y), round(x)].tolist()) == colour
    width, height = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
    assert width / height == pytest.approx(shape[1] / shape[0])
    red = (image == (0, 0, 255)).all(-1)
    green = (image == (0, 255, 0)).all(-1)
    blue = (image == (255, 0, 0)).all(-1)
    assert np.nonzero(red)[1].mean() < np.nonzero(green)[1].mean()
    assert np.nonzero(red)[0].mean() < np.nonzero(blue)[0].mean()


def test_the_photograph_is_not_seen_from_behind():
    image = figures.figure_3d(STANDING, quarters(), azimuth=180, axes=False)
    assert not (image == (0, 255, 0)).all(-1).any()


def test_the_nearer_limb_hides_the_farther_one():
    pose = np.full((17, 3), np.nan)
    pose[[11, 12]] = [[-300, 0, 200], [300, 0, 200]]
    pose[[14, 15]] = [[0, -300, -200], [0, 300, -200]]
    for azimuth, front in ((0, "left"), (180, "right")):
        image = figures.figure_3d(pose, azimuth=azimuth, elevation=0, axes=False)
        drawn = [np.flatnonzero(np.ptp(image.astype(int), axis=2).max(axis) > 60) for axis in (0, 1)]
        centre = [(d.min() + d.max()) / 2 for d in drawn]
        assert hue(image, centre) == front


def test_missing_joints_are_not_drawn():
    options = {"axes": False, "room": figures.room_around(STANDING[None])}
    empty = figures.figure_3d(STANDING, joint_mask=np.zeros(17), **options)
    np.testing.assert_array_equal(empty, figures.figure_3d(STANDING * np.nan, **options))
    assert np.ptp(empty.astype(int), axis=2).max() < 20
    usable = ~np.isin(np.arange(17), [15, 16])
    image = figures.figure_3d(STANDING, joint_mask=usable, **options)
    view = view_used(STANDING, axes=False)
    assert hue(image, view.project(STANDING[14])) == "left"
    assert hue(image, view.project((STANDING[15] + STANDING[16]) / 2)) == "middle"


def test_the_ghost_is_grey_and_part_of_the_room():
    image = figures.figure_3d(STANDING * np.nan, ghost=STANDING, axes=False)
    view = view_used(STANDING, axes=False)
    assert hue(image, view.project((STANDING[12] + STANDING[13]) / 2)) == "middle"
    assert image[tuple(np.rint(view.project(STANDING[16])[1::-1]).astype(int))].max() < 235


def test_labels_are_inside_the_picture():
    """A border of background all around: nothing is cut, at any azimuth."""
    for azimuth in range(-170, 190, 20):
        for size in ((640, 560), (320, 320), (900, 300), (300, 500)):
            image = figures.figure_3d(STANDING, size=size, azimuth=azimuth)
            for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
                assert (edge == 255).all(), (azimuth, size)


@pytest.mark.parametrize(
    ("pose", "options", "message"),
    [
        (STANDING[:, :2], {}, "pose: "),
        (STANDING[:14], {}, "pose: "),
        (STANDING, {"image": np.zeros((8, 8), np.uint8)}, "image: "),
        (STANDING, {"joint_mask": np.ones(3)}, "joint_mask: "),
        (STANDING, {"size": (4, 4)}, "size"),
    ],
)
def test_bad_input_is_named(pose, options, message):
    with pytest.raises(InputError, match=message):
        figures.figure_3d(pose, **options)


def test_degenerate_poses_are_drawn():
    for pose in (STANDING * 0, STANDING * 1e-3, STANDING * 1e3, STANDING * [1, 0, 0]):
        assert figures.figure_3d(pose).shape == (560, 640, 3)


def test_long_thin_limbs_do_not_overflow():
    """A limb across the whole room; the light is computed in the corner between, far from the limb, too."""
    pose = np.full((16, 3), [-600.0, 600.0, 0.0])
    pose[9] = [600, -600, 0]
    with np.errstate(over="raise", invalid="raise"):
        image = figures.figure_3d(pose, joint_set="mpii16", size=(420, 420), azimuth=0, elevation=0, axes=False)
    assert image.std() > 5


def test_a_figure_takes_well_below_a_tenth_of_a_second():
    figures.figure_3d(STANDING, quarters())
    times = []
    for _ in range(5):
        start = time.process_time()
        figures.figure_3d(STANDING, quarters())
        times.append(time.process_time() - start)
    assert min(times) < 0.1


def test_drawing_loads_neither_tensorflow_nor_pyplot():
    code = (
        "import sys, numpy as np; from tools.drawing import drawing, figures, sheets, animation, plots;"
        "assert 'cv2' not in sys.modules and 'matplotlib' not in sys.modules;"
        "figures.figure_3d(np.zeros((17, 3))); plots.histogram([1.0, 2.0]);"
        "assert 'tensorflow' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
