import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.drawing import sheets
from tools.drawing.text import put_text, text_size


def plain(height, width, colour):
    return np.full((height, width, 3), colour, np.uint8)


def test_cells_are_equal_and_in_reading_order():
    colours = [(n * 20 + 10, 0, 200) for n in range(7)]
    sheet = sheets.contact_sheet([plain(30, 40, c) for c in colours], columns=3, gap=5)
    assert sheet.shape == (3 * 35 + 5, 3 * 45 + 5, 3)
    for n, colour in enumerate(colours):
        y, x = 5 + n // 3 * 35, 5 + n % 3 * 45
        assert (sheet[y : y + 30, x : x + 40] == colour).all()
    filled = (sheet != 255).any(-1).sum()
    assert filled == 7 * 30 * 40


def test_pictures_of_other_shapes_are_scaled_without_distortion_and_centred():
    sheet = sheets.contact_sheet([plain(100, 50, 0), plain(20, 40, 0)], columns=2, cell=(60, 60), gap=0)
    first, second = sheet[:, :60], sheet[:, 60:]
    for cell, height, width in ((first, 60, 30), (second, 30, 60)):
        rows, columns = np.nonzero((cell == 0).all(-1))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
        assert abs((rows.min() + rows.max()) / 2 - 29.5) <= 0.5
        assert abs((columns.min() + columns.max()) / 2 - 29.5) <= 0.5


def test_captions_stand_beneath_their_picture_and_are_cut_to_its_width():
    images = [plain(40, 80, 0), plain(40, 80, 0)]
    sheet = sheets.contact_sheet(images, columns=2, captions=["short", "much too long for a cell " * 5], gap=6)
    plainer = sheets.contact_sheet(images, columns=2, gap=6)
    assert sheet.shape[0] > plainer.shape[0]
    np.testing.assert_array_equal(sheet[:46], plainer[:46])
    strip = (sheet[46:] < 200).any((0, 2))
    assert strip[6:86].any()
    assert strip[92:172].any()
    assert not strip[:6].any()
    assert not strip[86:92].any()
    assert not strip[172:].any()


@pytest.mark.parametrize(
    ("images", "options"),
    [
        ([], {}),
        ([plain(4, 4, 0)], {"captions": ["a", "b"]}),
        ([plain(4, 4, 0)], {"columns": -1}),
        ([np.zeros((4, 4))], {}),
    ],
)
def test_bad_sheets_are_refused(images, options):
    with pytest.raises(InputError):
        sheets.contact_sheet(images, **options)


def test_text_is_as_large_as_said_and_anchored():
    width, height = text_size("Größe − 12", 20)
    for anchor, x, y in (("la", 50, 40), ("mm", 50 + width / 2, 40 + height / 2), ("rb", 50 + width, 40 + height)):
        image = plain(100, 300, 255)
        put_text(image, "Größe − 12", (x, y), 20, anchor=anchor)
        rows, columns = np.nonzero((image < 255).any(-1))
        assert 48 <= columns.min() <= columns.max() <= 51 + width
        assert 39 <= rows.min() <= rows.max() <= 41 + height


def test_text_over_the_border_is_cut():
    for position in ((-20, -5), (95, 95), (-500, 3), (3, 500)):
        image = plain(100, 100, 255)
        put_text(image, "over the border", position, background=(0, 255, 255))
    assert (image == 255).all()


class TestSideBySide:
    rng = np.random.default_rng(1)
    pose_3d = rng.normal(0, 300, (17, 3))
    pose_2d = 200 + pose_3d[:, :2] / 4

    def test_has_a_panel_for_everything_given(self):
        panel = {"panel": (200, 180)}
        one = sheets.side_by_side(self.pose_2d, **panel)
        two = sheets.side_by_side(self.pose_2d, self.pose_2d + [40, 0], **panel)
        four = sheets.side_by_side(self.pose_2d, self.pose_2d, self.pose_3d, self.pose_3d, **panel)
        assert [s.shape[1] for s in (one, two, four)] == [208 * n + 8 for n in (1, 2, 4)]
        np.testing.assert_array_equal(two[:, :208], one[:, :208])

    def test_equal_poses_before_and_after_give_equal_panels_and_others_share_the_room(self):
        same = sheets.side_by_side(self.pose_2d, None, self.pose_3d, self.pose_3d, panel=(200, 180))
        np.testing.assert_array_equal(same[8:188, 216:416], same[8:188, 424:624])
        moved = sheets.side_by_side(self.pose_2d, None, self.pose_3d, self.pose_3d * 0.5, panel=(200, 180))
        coloured = [np.ptp(moved[8:188, x : x + 200].astype(int), axis=2).max(0) > 60 for x in (216, 424)]
        extent = [np.ptp(np.flatnonzero(c)) for c in coloured]
        assert extent[1] < 0.75 * extent[0]

    def test_the_photograph_is_in_the_first_panel_and_on_the_walls(self):
        image = plain(400, 400, (0, 200, 0))
        sheet = sheets.side_by_side(self.pose_2d, None, self.pose_3d, image=image, panel=(200, 180), caption="a\nb")
        green = (sheet == (0, 200, 0)).all(-1)
        assert green[:, :208].sum() > 10000
        assert green[:, 216:].sum() > 2000
        assert sheet.shape[0] > sheets.side_by_side(self.pose_2d, panel=(200, 180)).shape[0]
