"""The page in a real headless Chromium: what a user does with mouse, finger and keyboard, and what they get."""

import base64
import json
import time

import cv2
import numpy as np
import pytest

from tools.files.decisions import Decisions
from tools.pose.joints import POSE17
from tools.review_page import run

NASTY = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "\u202egpj.exe",
    "a\x00\x1b[31m",
    "x" * 30_000,
    "Ђ漢字😀 עברית",
    "\udcff.jpg",
)


@pytest.fixture(scope="module")
def open_browser(browsers, tmp_path_factory):
    """open_browser(profile=None) -> a browser of a new profile, or of that folder; all are closed at the end."""
    program = browsers.find()
    if program is None:
        pytest.skip("no Chromium here (apt-get install chromium, or POSE3D_CHROMIUM=program)")
    opened = []

    def start(profile=None):
        opened.append(browsers.Browser(program, profile or tmp_path_factory.mktemp("profile")))
        opened[-1].size(1400, 900)
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def browser(open_browser):
    return open_browser()


@pytest.fixture(scope="module")
def arrays(labels):
    """60 labels; file 0 to 6 have the names of strangers."""
    made = labels(60)
    made["files"] = np.array([*NASTY, *made["files"][len(NASTY) :]])
    made["actions"], made["action"] = np.array(["Sitting", "<b>Walking</b>"]), (np.arange(60) % 2).astype(np.int32)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, arrays, write_labels):
    """The page of those labels, with pictures from row 20 on."""
    folder = tmp_path_factory.mktemp("review")
    (folder / "photographs" / "set").mkdir(parents=True)
    for number in range(10, 30):
        picture = np.full((480, 640, 3), (0, 200, 0), np.uint8)
        cv2.imwrite(str(folder / "photographs" / "set" / f"img_{number:05d}.jpg"), picture)
    labels = write_labels(folder / "labels", arrays)
    run.make_page(str(labels), str(folder / "review.html"), images=str(folder / "photographs"))
    return folder


@pytest.fixture
def page(browser, folder):
    """The page opened for the first time."""
    browser.events.clear()
    browser.open(folder / "review.html")
    browser.run("localStorage.clear()")
    browser.run("void (review.decisions.values.fill(0), review.decisions.save = () => 0)")
    browser.open(folder / "review.html")
    return browser


def text(browser, selector):
    return browser.run(f"document.querySelector({selector!r}).textContent")


def pixels(browser, selector):
    """[H, W, 4] uint8 of a canvas."""
    size = browser.run(f"(c => [c.height, c.width])(document.querySelector({selector!r}))")
    script = f"""(c => btoa(Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data,
      (v) => String.fromCharCode(v)).join('')))(document.querySelector({selector!r}))"""
    return np.frombuffer(base64.b64decode(browser.run(script)), np.uint8).reshape(*size, 4)


def corners(browser, selector):
    """left, top, right, bottom of an element in CSS px."""
    return browser.run(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")


def choose(browser, name, value):
    """A value for a control of the filters, as a user would give it."""
    browser.run(f"""void ((c) => {{ c.value = {value!r}; c.dispatchEvent(new Event('input', {{ bubbles: true }})); }})
      (document.getElementById('filters').elements[{name!r}])""")
    time.sleep(0.3)


def shown_rows(browser):
    return browser.run("Array.from(review.list.rows)")


def settled(browser):
    browser.until("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))")


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
    assert text(page, "#facts").count("quality") == 1
    assert page.errors() == []


def test_nothing_of_a_stranger_runs_or_hides(page):
    for row in range(14):
        page.run(f"review.go({row})")
        settled(page)
    assert page.run("window.broken") is None
    assert page.errors() == []
    assert page.run("document.querySelectorAll('#list img, #facts img, #facts b, #stage h2 *:not(bdi)').length") == 0
    page.run("review.go(4)")
    assert text(page, "#name") == "\\u{202e}gpj.exe"
    page.run("review.go(6)")
    assert text(page, "#name") == "a\\u{0}\\u{1b}[31m"
    page.run("review.go(8)")
    assert len(text(page, "#name")) <= 70
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.run("review.go(0)")
    assert text(page, "#name") == NASTY[0]
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


def test_filters_and_orders(page, arrays):
    quality, everyone = arrays["quality"], np.arange(60)
    labelled = arrays["reason"] == 0
    assert shown_rows(page) == everyone.tolist()
    choose(page, "order", "worst")
    assert shown_rows(page)[: labelled.sum()] == sorted(everyone[labelled], key=lambda row: quality[row])
    assert set(shown_rows(page)[labelled.sum() :]) == set(everyone[~labelled])
    choose(page, "order", "joint")
    assert shown_rows(page)[0] == int(
        np.nanargmin(np.nanmin(np.where(labelled[:, None], arrays["joint_quality"], 2), 1))
    )
    choose(page, "order", "error")
    assert shown_rows(page)[0] == int(np.nanargmax(arrays["expected_error_mm"]))
    choose(page, "order", "file")
    choose(page, "low", "0.5")
    assert shown_rows(page) == everyone[np.nan_to_num(quality, nan=-1) >= 0.5].tolist()
    assert text(page, "#count").endswith("of 60 poses")
    page.click("#clear")
    assert len(shown_rows(page)) == 60
    choose(page, "reason", "1")
    assert shown_rows(page) == everyone[~labelled].tolist()
    choose(page, "reason", "")
    choose(page, "action", "1")
    assert shown_rows(page) == everyone[1::2].tolist()
    choose(page, "action", "")
    choose(page, "group", page.run("String(review.groups.names.indexOf('clip 1'))"))
    assert shown_rows(page) == everyone[20:40].tolist()
    choose(page, "group", "")
    choose(page, "text", "IMG_00020")
    assert shown_rows(page) == [40, 41]
    choose(page, "text", "no such file")
    assert shown_rows(page) == []
    assert text(page, "#position") == "no pose fits the filters"
    page.press("k")  # into the field: no decision
    page.click("#clear")
    assert page.run("review.decisions.counts.decided") == 0
    assert page.errors() == []


def test_deciding_by_keyboard_alone(page):
    """Keep, drop, unsure, swap, undo and do again, by keys; then the filter by decision."""
    for key in "kdu":
        page.press(key)
    page.press("s")
    assert page.run("Array.from(review.decisions.values.slice(0, 5))") == [1, 2, 3, 4, 0]
    assert text(page, "#progress") == "3 of 60 decided"
    assert text(page, "#tally") == "1 keep · 1 drop · 1 unsure · 1 swapped"
    assert text(page, "#position") == "4 of 60"
    assert "left and right swapped" in text(page, "#said")
    page.press("z")
    page.press("z")
    assert page.run("Array.from(review.decisions.values.slice(0, 4))") == [1, 2, 0, 0]
    assert text(page, "#position") == "3 of 60"
    page.press("Z", shift=True)
    assert page.run("Array.from(review.decisions.values.slice(0, 4))") == [1, 2, 3, 0]
    page.press("ArrowLeft")
    page.press("d")  # the same again takes it back
    assert page.run("review.decisions.values[1]") == 0
    assert text(page, "#position") == "2 of 60"
    page.press("End")
    assert text(page, "#position") == "60 of 60"
    page.press("Home")
    page.press("PageDown")
    assert page.run("review.place") > 2
    page.press("j")
    assert text(page, "#said").startswith("head: quality 0.")
    assert page.run("review.pointed") == 0
    page.press("Escape")
    assert page.run("review.pointed") == -1
    page.press("?")
    assert page.run("document.getElementById('help').open")
    page.press("Escape")
    assert not page.run("document.getElementById('help').open")
    page.press("/")
    assert page.run("document.activeElement.name") == "text"
    page.press("Tab")
    choose(page, "decision", "keep")
    assert shown_rows(page) == [0]
    choose(page, "decision", "undecided")
    assert shown_rows(page) == [1, *range(3, 60)]
    assert page.errors() == []


def test_every_control_is_reached_by_tab_and_has_a_name(page):
    page.run("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(page.run("(e => e.id || e.name || e.dataset.verdict || e.tagName)(document.activeElement)"))
    wanted = {
        "export-open",
        "theme",
        "help-open",
        "text",
        "order",
        "decision",
        "low",
        "high",
        "list",
        "turning",
        "spin",
    }
    assert wanted | {"keep", "drop", "unsure", "swap", "next", "reset", "bare"} <= reached
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    for node in nodes:
        role = node.get("role", {}).get("value")
        if not node.get("ignored") and role in (
            "button",
            "textbox",
            "searchbox",
            "combobox",
            "slider",
            "option",
            "listbox",
            "image",
            "checkbox",
        ):
            assert node.get("name", {}).get("value"), node
    roles = [node.get("role", {}).get("value") for node in nodes if not node.get("ignored")]
    assert roles.count("listbox") == 1
    assert 5 < roles.count("option") < 40 + 45  # those of menus are among them
    assert page.run(
        "document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant')) !== null"
    )


def test_turning_with_mouse_finger_and_keys(page):
    page.run("review.go(1)")
    settled(page)
    before = pixels(page, "#turning")
    start = page.run("[review.view.yaw, review.view.pitch]")
    page.drag("#turning", 50, 20)
    settled(page)
    turned = page.run("[review.view.yaw, review.view.pitch]")
    np.testing.assert_allclose(np.subtract(turned, start), [-0.5, 0.2], atol=1e-6)
    assert (pixels(page, "#turning") != before).any()
    page.run("document.getElementById('turning').focus()")
    page.press("ArrowRight")
    page.press("ArrowUp")
    degrees = np.subtract(page.run("[review.view.yaw, review.view.pitch]"), turned) * 180 / np.pi
    np.testing.assert_allclose(degrees, [10, 10], atol=1e-3)
    assert page.run("review.place") == 1
    page.press("r")
    settled(page)
    assert page.run("[review.view.yaw, review.view.pitch]") == start
    np.testing.assert_array_equal(pixels(page, "#turning"), before)
    page.size(390, 844, phone=True)
    page.run("document.getElementById('turning').scrollIntoView()")
    settled(page)
    page.swipe("#turning", -60, 0)
    assert page.run("review.view.yaw") > start[0] + 0.2
    page.size(1400, 900)
    assert page.errors() == []


def test_where_joints_are_drawn(page, arrays):
    """Front, side and top: joints lie where their two axes say, left blue and right orange, swapped or not."""
    page.run("review.go(1); review.skeleton = true")
    pose = arrays["poses_3d"][1].astype(float)
    low, high = pose.min(0), pose.max(0)
    middle, reach = (low + high) / 2, max(((high - low) / 2).max(), 400)
    joint = {side: POSE17.joints.index(f"{side}Wrist") for side in "LR"}
    colours = {"L": (0x00, 0x72, 0xB2), "R": (0xD5, 0x5E, 0x00)}
    for swapped in (False, True):
        settled(page)
        for name, across, down, sign in (("front", 0, 1, 1), ("side", 2, 1, 1), ("top", 0, 2, -1)):
            image = pixels(page, f"#{name}")
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


def test_the_photograph_lies_under_its_pose(page):
    page.run("review.go(30)")
    page.until(
        "document.getElementById('photograph').getAttribute('aria-label').startsWith('2D skeleton on its picture')"
    )
    settled(page)
    # A page from a disk may not read back what it drew of a file: a screenshot can.
    box = corners(page, "#photograph")
    data = page.call("Page.captureScreenshot", format="png")["data"]
    seen = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    inside = slice(int(box["top"]), int(box["bottom"])), slice(int(box["left"]), int(box["right"]))
    part = seen[inside].astype(int)
    green = (part[..., 1] > 180) & (part[..., 0] < 40) & (part[..., 2] < 40)
    assert green.mean() > 0.3
    page.run("review.go(1)")
    settled(page)
    assert text(page, "#name") == NASTY[0]
    assert page.run("document.getElementById('photograph').getAttribute('aria-label')").startswith(
        "2D skeleton, without"
    )


def test_progress_is_kept(open_browser, folder, tmp_path):
    """After a reload, and after the browser was ended and started again."""
    profile = tmp_path / "profile"
    browser = open_browser(profile)
    browser.open(folder / "review.html")
    for key in "kkd":
        browser.press(key)
    choose(browser, "order", "best")
    browser.open(folder / "review.html")
    assert text(browser, "#progress") == "3 of 60 decided"
    assert browser.run("[review.decisions.values[2], document.getElementById('order').value]") == [2, "best"]
    row = browser.run("review.row")
    browser.close()
    again = open_browser(profile)
    again.open(folder / "review.html")
    assert text(again, "#progress") == "3 of 60 decided"
    assert again.run("review.row") == row


def test_export_and_import(page, folder, tmp_path, arrays):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True)
    page.run("review.go(12)")
    page.press("d")  # row 12, whose file's name is a lone surrogate
    page.press("s")  # row 13
    page.press("k")
    page.press("e")
    page.run("document.getElementById('undecided').value = 'drop'")
    page.click("#download")
    end = time.monotonic() + 30
    while not (tmp_path / "decisions.json").is_file() and time.monotonic() < end:
        page.run("1")
        time.sleep(0.1)
    content = json.loads((tmp_path / "decisions.json").read_text(encoding="ascii"))
    known = Decisions(tmp_path / "decisions.json")
    assert (content["undecided"], content["unsure"], len(known)) == ("drop", "drop", 2)
    file = str(arrays["files"][6])
    assert content["decisions"][0] == {"file": file, "sequence": "clip 0", "frame": 12, "person": 0, "decision": "drop"}
    assert known.fate(file, "clip 0", 12, 0).reason == "dropped in review"
    assert known.fate(file, "clip 0", 13, 1).swap
    assert known.fate("another", "", 0, 0).reason == "not decided in review"
    page.run("review.decisions.undo(), review.decisions.undo(), review.decisions.undo()")
    assert page.run("review.decisions.counts.decided") == 0
    exported = (tmp_path / "decisions.json").read_text()
    page.run(f"review.take(new File([{json.dumps(exported)}], 'decisions.json'))")
    assert text(page, "#told-text") == "2 decisions taken from the file."
    assert page.run("[review.decisions.values[12], review.decisions.values[13]]") == [2, 5]
    page.press("Escape")
    page.run("review.take(new File(['{\"a\": 1}'], 'other.json'))")
    assert text(page, "#told-text") == "other.json: no decisions of a review page."
    page.press("Escape")


def busy_seconds(browser):
    """What the page's thread has computed since the start."""
    return {one["name"]: one["value"] for one in browser.call("Performance.getMetrics")["metrics"]}["TaskDuration"]


def test_twenty_thousand_labels(browser, tmp_path, labels, write_labels):
    """All of the list can be scrolled through; few of its rows are in the page at any time."""
    folder = write_labels(tmp_path / "labels", labels(20_000))
    run.make_page(str(folder), str(tmp_path / "review.html"))
    browser.events.clear()
    browser.open(tmp_path / "review.html")
    assert text(browser, "#count") == "20,000 of 20,000 poses"
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
    settled(browser)
    last = browser.run("Array.from(document.querySelectorAll('.card:not([hidden])'), (c) => Number(c.dataset.place))")
    assert max(last) == 19_999
    choose(browser, "order", "worst")
    assert len(set(shown_rows(browser))) == 20_000
    browser.press("Home")
    browser.press("d")
    browser.press("d")
    assert text(browser, "#progress") == "2 of 20,000 decided"
    chosen = "Array.from(document.querySelectorAll('[aria-selected=true]:not([hidden])'), (c) => c.dataset.place)"
    assert browser.run(chosen) == ["2"]
    assert browser.errors() == []


def test_lists_taller_than_browsers_can_do(page):
    """With so many rows that scrolling is scaled, the first, the last and any row between can be chosen and seen."""
    page.run("void (review.labels.count = 300000, review.list.show(new Int32Array(300000).map((_, i) => i % 60)))")
    for place in (0, 123_456, 299_999):
        page.run(f"review.go({place})")
        settled(page)
        where, box = (corners(page, selector) for selector in ("[aria-selected=true]:not([hidden])", "#list"))
        # A px of scrolling is three of this list.
        assert box["top"] - 4 <= where["top"]
        assert where["bottom"] <= box["bottom"] + 4


@pytest.mark.parametrize("dark", [False, True])
def test_themes_and_a_phone(page, dark):
    """Colours follow the system or the button; a phone's width holds everything."""
    page.dark(dark)
    settled(page)
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 247)"
    page.click("#theme")
    page.click("#theme")
    page.size(390, 844, phone=True)
    settled(page)
    assert page.run("document.documentElement.scrollWidth") == 390
    for selector in ("footer [data-verdict=keep]", "footer #next", "nav [data-tab=list]"):
        box = corners(page, selector)
        assert box["left"] >= 0
        assert box["right"] <= 390
        assert box["bottom"] <= 844
    page.click("nav [data-tab=list]")
    settled(page)
    assert page.run("document.getElementById('list').clientHeight") > 100
    page.size(1400, 900)
    page.dark(False)
    assert page.errors() == []


def test_without_storage_the_page_says_so(browser, folder):
    source = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    browser.open(folder / "review.html")
    browser.press("k")
    browser.until("!document.getElementById('unkept').hidden")
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
