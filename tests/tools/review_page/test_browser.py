"""The page in a real headless Chromium: what is seen, whatever the labels hold and however many they are."""

import base64

import cv2
import numpy as np
import pytest

from tools.pose.joints import POSE17
from tools.review_page import run


def test_numbers_arrive(page, arrays):
    """The page's poses are those of labels.npz, NaN where there is none, drawn where projecting by hand puts them."""
    for row in (0, 5, 7, 59):
        for name, column, size in (("pose2d", "poses_2d", 2), ("pose3d", "poses_3d", 3)):
            values = page.run(f"Array.from(review.labels.{name}({row}), (v) => Number.isNaN(v) ? null : v)")
            back = np.array(values, float).reshape(17, size)
            expected = np.where(np.isfinite(arrays[column][row]).all(-1)[:, None], arrays[column][row], np.nan)
            np.testing.assert_allclose(back, expected, atol=0.05)
    assert page.run("review.labels.count") == 60
    np.testing.assert_allclose(page.run("review.labels.worstJoint(3)"), arrays["joint_quality"][3].min(), atol=0.003)
    assert page.text("#facts").count("quality") == 1
    assert page.errors() == []


def test_nothing_of_a_stranger_runs_or_hides(page, strange_names):
    for row in range(14):
        page.run(f"review.go({row})")
        page.settled()
    assert page.run("window.broken") is None
    assert page.errors() == []
    assert page.run("document.querySelectorAll('#list img, #facts img, #facts b, #stage h2 *:not(bdi)').length") == 0
    page.run("review.go(4)")
    assert page.text("#name") == "\\u{202e}gpj.exe"
    page.run("review.go(6)")
    assert page.text("#name") == "a\\u{0}\\u{1b}[31m"
    page.run("review.go(8)")
    assert len(page.text("#name")) <= 70
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.run("review.go(0)")
    assert page.text("#name") == strange_names[0]
    assert "<b>Walking</b> (30)" in page.run(
        "Array.from(document.getElementById('action').options, (o) => o.textContent)"
    )
    inside = page.run("Array.from(document.querySelectorAll('.card'), (c) => c.getAttribute('aria-label'))")
    assert any(said.startswith("</script><script>") for said in inside)


def test_no_network(page, folder):
    page.run("review.go(25)")
    page.until(
        "document.getElementById('photograph').getAttribute('aria-label').startsWith('2D skeleton on its picture')"
    )
    for url in page.requests():
        assert url.startswith(f"file://{folder}/review"), url
    refused = page.run("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in error for error in page.errors())


def test_where_joints_are_drawn(page, arrays):
    """Front, side and top: joints lie where their two axes say, left blue and right orange, swapped or not."""
    page.run("review.go(1); review.skeleton = true")
    pose = arrays["poses_3d"][1].astype(float)
    low, high = pose.min(0), pose.max(0)
    middle, reach = (low + high) / 2, max(((high - low) / 2).max(), 400)
    joint = {side: POSE17.joints.index(f"{side}Wrist") for side in "LR"}
    colours = {"L": (0x00, 0x72, 0xB2), "R": (0xD5, 0x5E, 0x00)}
    for swapped in (False, True):
        page.settled()
        for name, across, down, sign in (("front", 0, 1, 1), ("side", 2, 1, 1), ("top", 0, 2, -1)):
            image = page.pixels(f"#{name}")
            height, width = image.shape[:2]
            scale = 0.42 * min(width, height) / reach
            for side, number in joint.items():
                x = width / 2 + (pose[number, across] - middle[across]) * scale
                y = height / 2 + sign * (pose[number, down] - middle[down]) * scale
                near = image[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3, :3].reshape(-1, 3)
                expected = colours["RL"["LR".index(side)] if swapped else side]
                assert (np.abs(near.astype(int) - expected).max(1) < 12).any(), (name, side, swapped)
        page.run("review.swap()")
    page.run("review.undo()")


def test_the_photograph_lies_under_its_pose(page, strange_names):
    page.run("review.go(30)")
    page.until(
        "document.getElementById('photograph').getAttribute('aria-label').startsWith('2D skeleton on its picture')"
    )
    page.settled()
    # A page from a disk may not read back what it drew of a file: a screenshot can.
    box = page.corners("#photograph")
    data = page.call("Page.captureScreenshot", format="png")["data"]
    seen = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    inside = slice(int(box["top"]), int(box["bottom"])), slice(int(box["left"]), int(box["right"]))
    part = seen[inside].astype(int)
    green = (part[..., 1] > 180) & (part[..., 0] < 40) & (part[..., 2] < 40)
    assert green.mean() > 0.3
    page.run("review.go(1)")
    page.settled()
    assert page.text("#name") == strange_names[0]
    assert page.run("document.getElementById('photograph').getAttribute('aria-label')").startswith(
        "2D skeleton, without"
    )


def busy_seconds(browser):
    """What the page's thread has computed since the start."""
    return {one["name"]: one["value"] for one in browser.call("Performance.getMetrics")["metrics"]}["TaskDuration"]


def test_twenty_thousand_labels(browser, tmp_path, labels, write_labels):
    """All of the list can be scrolled through; few of its rows are in the page at any time."""
    folder = write_labels(tmp_path / "labels", labels(20_000))
    run.make_page(str(folder), str(tmp_path / "review.html"))
    browser.events.clear()
    browser.open(tmp_path / "review.html")
    assert browser.text("#count") == "20,000 of 20,000 poses"
    script = """new Promise((done) => {
      const list = document.getElementById('list'), cards = [];
      let step = 0;
      const go = () => {
        cards.push(document.querySelectorAll('.card').length);
        if (++step > 120) return done([Math.max(...cards), list.scrollTop]);
        list.scrollTop = (list.scrollHeight - list.clientHeight) * step / 120;
        requestAnimationFrame(go);
      };
      requestAnimationFrame(go);
    })"""
    browser.call("Performance.enable", timeDomain="threadTicks")
    before = busy_seconds(browser)
    cards, end = browser.run(script)
    assert cards < 60
    assert end > 1e6
    # The processor's time, which other programs do not lengthen.
    print(f"120 jumps through 20,000 labels: {(busy_seconds(browser) - before) / 120 * 1000:.1f} ms a frame")
    browser.settled()
    last = browser.run("Array.from(document.querySelectorAll('.card:not([hidden])'), (c) => Number(c.dataset.place))")
    assert max(last) == 19_999
    browser.choose("order", "worst")
    assert len(set(browser.shown_rows())) == 20_000
    browser.press("Home")
    browser.press("d")
    browser.press("d")
    assert browser.text("#progress") == "2 of 20,000 decided"
    chosen = "Array.from(document.querySelectorAll('[aria-selected=true]:not([hidden])'), (c) => c.dataset.place)"
    assert browser.run(chosen) == ["2"]
    assert browser.errors() == []


def test_lists_taller_than_browsers_can_do(page):
    """With so many rows that scrolling is scaled, the first, the last and any row between can be chosen and seen."""
    page.run("void (review.labels.count = 300000, review.list.show(new Int32Array(300000).map((_, i) => i % 60)))")
    for place in (0, 123_456, 299_999):
        page.run(f"review.go({place})")
        page.settled()
        where, box = (page.corners(selector) for selector in ("[aria-selected=true]:not([hidden])", "#list"))
        # A px of scrolling is three of this list.
        assert box["top"] - 4 <= where["top"]
        assert where["bottom"] <= box["bottom"] + 4


@pytest.mark.parametrize("dark", [False, True])
def test_themes_and_a_phone(page, dark):
    """Colours follow the system or the button; a phone's width holds everything."""
    page.dark(dark)
    page.settled()
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 247)"
    page.click("#theme")
    page.click("#theme")
    page.size(390, 844, phone=True)
    page.settled()
    assert page.run("document.documentElement.scrollWidth") == 390
    for selector in ("footer [data-verdict=keep]", "footer #next", "nav [data-tab=list]"):
        box = page.corners(selector)
        assert box["left"] >= 0
        assert box["right"] <= 390
        assert box["bottom"] <= 844
    page.click("nav [data-tab=list]")
    page.settled()
    assert page.run("document.getElementById('list').clientHeight") > 100
    page.size(1400, 900)
    page.dark(False)
    assert page.errors() == []


def test_a_long_reason_takes_several_lines(page):
    """Text that is wider than its view goes on in the next line, and is not squeezed into one."""
    heights = []
    for reason in ("short", "many words of one reason " * 8):
        page.run(f"void (review.labels.reasonOf = () => {reason!r})")
        page.run("review.go(5), review.paint()")
        rows = np.flatnonzero(page.pixels("#turning")[..., 3].any(1))
        heights.append(rows.max() - rows.min())
    assert heights[0] < 20 < 3 * 18 < heights[1]
    assert page.errors() == []
