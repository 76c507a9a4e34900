"""Numbers and texts in the page: what a browser would read is what was written."""

import base64
import html.parser
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.review_page import packing


class Scripts(html.parser.HTMLParser):
    """The text of every script element by its id, as an HTML parser sees it."""

    def __init__(self, text):
        super().__init__()
        self.found, self._id = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "script":
            self._id = dict(attributes).get("id", "")
            self.found[self._id] = ""

    def handle_endtag(self, tag):
        if tag == "script":
            self._id = None

    def handle_data(self, data):
        if self._id is not None:
            self.found[self._id] += data


@pytest.mark.parametrize(
    ("kind", "dtype"), [("i2", np.int16), ("u1", np.uint8), ("f4", np.float32), ("f8", np.float64)]
)
@pytest.mark.parametrize("sizes", [(0,), (1,), (5, 1, 7, 2), (4096, 3)])
def test_columns_in_pieces_are_the_whole_in_base64(kind, dtype, sizes):
    rng = np.random.default_rng(0)
    pieces = [rng.integers(0, 100, (size, 3)).astype(dtype) for size in sizes]
    page = io.StringIO()
    packing.write_column(page, "numbers", kind, iter(pieces))
    data = base64.b64decode(Scripts(page.getvalue()).found["column-numbers"], validate=True)
    np.testing.assert_array_equal(np.frombuffer(data, dtype).reshape(-1, 3), np.concatenate(pieces))


@settings(deadline=None)
@given(st.floats(1e-3, 1e6), st.integers(0, 2**31))
def test_coordinates_come_back_within_half_a_step(size, seed):
    poses = np.random.default_rng(seed).normal(0, size, (3, 17, 3)).astype(np.float32)
    poses[1, 4, 2], poses[1, 5] = np.nan, np.inf
    poses[2] = 0
    numbers, step = packing.quantised(poses)
    known = np.isfinite(poses).all(-1)
    np.testing.assert_array_equal((numbers == packing.MISSING).all(-1), ~known)
    back = numbers.astype(np.float64) * step[:, None, None]
    largest = np.where(known[..., None], np.abs(poses), 0).max((1, 2))
    wrong = np.where(known[..., None], np.abs(back - poses), 0).max((1, 2))
    assert (wrong <= largest / 32767 * 0.501).all()


def test_one_absurd_label_leaves_the_others_exact():
    poses = np.zeros((2, 17, 3), np.float32)
    poses[0], poses[1] = 1e30, 700.5
    numbers, step = packing.quantised(poses)
    assert np.abs(numbers[1].astype(np.float64) * step[1] - 700.5).max() < 0.02
    assert np.isfinite(step).all()


def test_quality_codes():
    codes = packing.quality_codes(np.array([0, 0.5, 1, np.nan, -3, 7, np.inf], np.float32))
    assert codes.tolist() == [0, 127, 254, 255, 0, 254, 255]


NASTY = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "a&lt;b",
    "\u202egpj.exe",
    "\x00\x1b[31m\x7f",
    "\u2028",
]


@given(st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=[])))))
def test_texts_stay_inside_their_element(texts):
    page = io.StringIO()
    packing.write_table(page, "texts", iter(texts))
    packing.write_table(page, "after", {"title": "".join(texts)})
    written = page.getvalue()
    found = Scripts(written).found
    assert list(found) == ["table-texts", "table-after"]
    assert json.loads(found["table-texts"]) == json.loads(json.dumps(texts))
    assert written.isascii()
    assert written.count("<") == 4  # of the two elements
