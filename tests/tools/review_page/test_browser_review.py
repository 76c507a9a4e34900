"""The page in a real headless Chromium: filters, keys, mouse and finger, decisions kept, exported and taken back."""

import json
import time

import numpy as np

from tools.files.decisions import Decisions


def test_filters_and_orders(page, arrays):
    quality, everyone = arrays["quality"], np.arange(60)
    labelled = arrays["reason"] == 0
    assert page.shown_rows() == everyone.tolist()
    page.choose("order", "worst")
    assert page.shown_rows()[: labelled.sum()] == sorted(everyone[labelled], key=lambda row: quality[row])
    assert set(page.shown_rows()[labelled.sum() :]) == set(everyone[~labelled])
    page.choose("order", "joint")
    assert page.shown_rows()[0] == int(
        np.nanargmin(np.nanmin(np.where(labelled[:, None], arrays["joint_quality"], 2), 1))
    )
    page.choose("order", "error")
    assert page.shown_rows()[0] == int(np.nanargmax(arrays["expected_error_mm"]))
    page.choose("order", "file")
    page.choose("low", "0.5")
    assert page.shown_rows() == everyone[np.nan_to_num(quality, nan=-1) >= 0.5].tolist()
    assert page.text("#count").endswith("of 60 poses")
    page.click("#clear")
    assert len(page.shown_rows()) == 60
    page.choose("reason", "1")
    assert page.shown_rows() == everyone[~labelled].tolist()
    page.choose("reason", "")
    page.choose("action", "1")
    assert page.shown_rows() == everyone[1::2].tolist()
    page.choose("action", "")
    page.choose("group", page.run("String(review.groups.names.indexOf('clip 1'))"))
    assert page.shown_rows() == everyone[20:40].tolist()
    page.choose("group", "")
    page.choose("text", "IMG_00020")
    assert page.shown_rows() == [40, 41]
    page.choose("text", "no such file")
    assert page.shown_rows() == []
    assert page.text("#position") == "no pose fits the filters"
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
    assert page.text("#progress") == "3 of 60 decided"
    assert page.text("#tally") == "1 keep · 1 drop · 1 unsure · 1 swapped"
    assert page.text("#position") == "4 of 60"
    assert "left and right swapped" in page.text("#said")
    page.press("z")
    page.press("z")
    assert page.run("Array.from(review.decisions.values.slice(0, 4))") == [1, 2, 0, 0]
    assert page.text("#position") == "3 of 60"
    page.press("Z", shift=True)
    assert page.run("Array.from(review.decisions.values.slice(0, 4))") == [1, 2, 3, 0]
    page.press("ArrowLeft")
    page.press("d")  # the same again takes it back
    assert page.run("review.decisions.values[1]") == 0
    assert page.text("#position") == "2 of 60"
    page.press("End")
    assert page.text("#position") == "60 of 60"
    page.press("Home")
    page.press("PageDown")
    assert page.run("review.place") > 2
    page.press("j")
    assert page.text("#said").startswith("head: quality 0.")
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
    page.choose("decision", "keep")
    assert page.shown_rows() == [0]
    page.choose("decision", "undecided")
    assert page.shown_rows() == [1, *range(3, 60)]
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
    page.settled()
    before = page.pixels("#turning")
    start = page.run("[review.view.yaw, review.view.pitch]")
    page.drag("#turning", 50, 20)
    page.settled()
    turned = page.run("[review.view.yaw, review.view.pitch]")
    np.testing.assert_allclose(np.subtract(turned, start), [-0.5, 0.2], atol=1e-6)
    assert (page.pixels("#turning") != before).any()
    page.run("document.getElementById('turning').focus()")
    page.press("ArrowRight")
    page.press("ArrowUp")
    degrees = np.subtract(page.run("[review.view.yaw, review.view.pitch]"), turned) * 180 / np.pi
    np.testing.assert_allclose(degrees, [10, 10], atol=1e-3)
    assert page.run("review.place") == 1
    page.press("r")
    page.settled()
    assert page.run("[review.view.yaw, review.view.pitch]") == start
    np.testing.assert_array_equal(page.pixels("#turning"), before)
    page.size(390, 844, phone=True)
    page.run("document.getElementById('turning').scrollIntoView()")
    page.settled()
    page.swipe("#turning", -60, 0)
    assert page.run("review.view.yaw") > start[0] + 0.2
    page.size(1400, 900)
    assert page.errors() == []


def test_progress_is_kept(open_browser, folder, tmp_path):
    """After a reload, and after the browser was ended and started again."""
    profile = tmp_path / "profile"
    browser = open_browser(profile)
    browser.open(folder / "review.html")
    for key in "kkd":
        browser.press(key)
    browser.choose("order", "best")
    browser.open(folder / "review.html")
    assert browser.text("#progress") == "3 of 60 decided"
    assert browser.run("[review.decisions.values[2], document.getElementById('order').value]") == [2, "best"]
    row = browser.run("review.row")
    browser.close()
    again = open_browser(profile)
    again.open(folder / "review.html")
    assert again.text("#progress") == "3 of 60 decided"
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
    assert page.text("#told-text") == "2 decisions taken from the file."
    assert page.run("[review.decisions.values[12], review.decisions.values[13]]") == [2, 5]
    page.press("Escape")
    page.run("review.take(new File(['{\"a\": 1}'], 'other.json'))")
    assert page.text("#told-text") == "other.json: no decisions of a review page."
    page.press("Escape")


def test_without_storage_the_page_says_so(browser, folder):
    source = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    browser.open(folder / "review.html")
    browser.press("k")
    browser.until("!document.getElementById('unkept').hidden")
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
