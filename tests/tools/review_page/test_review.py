"""tools/review.py as a user runs it, and the page that comes out."""

import base64
import html.parser
import json
import os
import subprocess
import sys
import tracemalloc

import cv2
import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.pose.joints import POSE17
from tools.review_page import packing, run

_DTYPES = {"i2": np.int16, "u1": np.uint8, "i4": np.int32, "f4": np.float32, "f8": np.float64}


class Page(html.parser.HTMLParser):
    """columns: name -> array, tables: name -> value, of a page."""

    def __init__(self, path):
        super().__init__()
        self.columns, self.tables, self._at = {}, {}, None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        kind, _, name = attributes.get("id", "").partition("-")
        self._at = (kind, name, attributes.get("data-type")) if tag == "script" else None

    def handle_endtag(self, tag):
        self._at = None

    def handle_data(self, data):
        if self._at and self._at[0] == "column":
            self.columns[self._at[1]] = np.frombuffer(base64.b64decode(data, validate=True), _DTYPES[self._at[2]])
        elif self._at and self._at[0] == "table":
            self.tables[self._at[1]] = json.loads(data)


@pytest.fixture
def review(repository):
    """review(*arguments) -> the finished process."""

    def run_it(*arguments):
        command = [sys.executable, str(repository / "tools" / "review.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=repository)

    return run_it


def test_a_page_has_every_number(tmp_path, labels, write_labels, review):
    arrays = labels(4500)
    folder = write_labels(tmp_path / "labels", arrays)
    (tmp_path / "new").mkdir()
    done = review(folder, f"--output={tmp_path / 'new' / 'review.html'}", "--limit=4400", "--first=50")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("without pictures: gone.npz")
    assert "rows 50 to 4,449 of 4,500; --first=4450 shows those after" in done.stdout
    assert os.listdir(tmp_path / "new") == ["review.html"]
    page = Page(tmp_path / "new" / "review.html")
    rows = slice(50, 4450)
    facts = page.tables["facts"]
    assert (facts["count"], facts["first"], facts["total"], facts["pictures"]) == (4400, 50, 4500, "")
    assert set(page.columns) == set(facts["columns"])
    assert facts["joints"][3] == "right shoulder"
    assert facts["joints"][1] == "neck/nose"
    for name, source, size in (("2d", "poses_2d", 2), ("3d", "poses_3d", 3)):
        numbers = page.columns[f"pose_{name}"].reshape(-1, 17, size).astype(float)
        back = np.where(numbers == packing.MISSING, np.nan, numbers * page.columns[f"scale_{name}"][:, None, None])
        np.testing.assert_allclose(back, arrays[source][rows], atol=0.05)
    for name in ("quality", "frame", "person", "file", "sequence", "reason", "residual_mm", "expected_error_mm"):
        np.testing.assert_array_equal(page.columns[name], arrays[name][rows])
    np.testing.assert_array_equal(page.columns["flags"] & 1, arrays["at_range_end"][rows])
    np.testing.assert_array_equal(page.columns["flags"] >> 1, arrays["depth_nominal"][rows])
    codes = page.columns["joint_quality"].reshape(-1, 17)
    expected = arrays["joint_quality"][rows]
    np.testing.assert_allclose(np.where(codes == 255, np.nan, codes / 254), expected, atol=0.5 / 254 + 1e-6)
    for name in ("files", "sequences", "reasons", "camera_kinds"):
        assert page.tables[name] == arrays[name].tolist()
    assert not page.columns["shared"].any()


def test_actions_where_labels_have_them(tmp_path, labels, write_labels, review):
    arrays = labels(40)
    arrays["action"], arrays["actions"] = (np.arange(40) % 3).astype(np.int32), np.array(["", "Sitting", "Walking"])
    review(write_labels(tmp_path / "labels", arrays), f"--output={tmp_path / 'review.html'}")
    page = Page(tmp_path / "review.html")
    assert page.tables["actions"] == ["", "Sitting", "Walking"]
    np.testing.assert_array_equal(page.columns["action"], arrays["action"])


def test_pictures_of_a_tfrecords_input(tmp_path, labels, write_labels, review):
    """The pictures that the labelled records hold are found without being named."""
    import functools

    from tfrecords import writer
    from tfrecords.schema import PoseRecord
    from tfrecords.source import Info, Options, Source

    class Own(Source):
        info = Info("own", "test", "nothing", "none", "none", images=True)

        def __len__(self):
            return 30

        def records(self, numbers):
            for number in numbers:
                picture = np.full((100, 80, 3), 4 * number, np.uint8)
                data = cv2.imencode(".png", picture)[1].tobytes() if number != 4 else b""
                pose = 40.0 + np.arange(34.0).reshape(17, 2)
                yield PoseRecord(file=f"{number}.png", pose_2d=pose, image=data, image_format="png" if data else "")

    writer.convert(functools.partial(Own, tmp_path, Options()), tmp_path / "records", num_workers=1, quiet=True)
    folder = write_labels(tmp_path / "labels", labels(30), input=str(tmp_path / "records"), format="tfrecords")
    done = review(folder, f"--output={tmp_path / 'review.html'}")
    assert done.stdout.startswith(f"pictures: those of {tmp_path / 'records'}\n29 of 30 poses have a picture\n")
    for row in range(30):
        path = tmp_path / "review_pictures" / "0000" / f"{row}.jpg"
        assert path.is_file() == (row != 4)
        if row != 4:
            assert abs(cv2.imread(str(path)).mean() - 4 * row) < 2


def test_nothing_is_replaced_unasked_or_left_half(tmp_path, labels, write_labels, review, monkeypatch):
    folder, page = write_labels(tmp_path / "labels", labels(30)), tmp_path / "review.html"
    page.write_text("mine")
    done = review(folder, f"--output={page}")
    assert (done.returncode, done.stderr) == (2, f"error: {page}: exists already; --overwrite replaces it\n")
    done = review(folder, f"--output={page}", "--overwrite")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {page}: is no review page, so --overwrite does not replace it\n",
    )
    assert page.read_text() == "mine"
    page.unlink()
    assert review(folder, f"--output={page}").returncode == 0
    first = page.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "write_table", fails)
    with pytest.raises(Exception, match="No space left"):
        run.make_page(str(folder), str(page), limit=3, overwrite=True)
    assert page.read_bytes() == first
    assert sorted(os.listdir(tmp_path)) == ["labels", "review.html"]
    monkeypatch.undo()
    assert review(folder, f"--output={page}", "--limit=3", "--overwrite").returncode == 0
    assert len(page.read_bytes()) < len(first)


def test_a_folder_of_other_files_is_not_replaced(tmp_path, labels, write_labels, review):
    folder, page = write_labels(tmp_path / "labels", labels(30)), tmp_path / "review.html"
    mine = tmp_path / "review_pictures" / "0000" / "holiday.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    done = review(folder, f"--output={page}", "--overwrite")
    assert done.returncode == 2
    assert done.stderr.endswith("review_pictures: holds holiday.jpg, no picture of a review, so it is not replaced\n")
    assert mine.read_bytes() == b"mine"
    assert not page.exists()


def test_folders_are_not_made_for_a_page(tmp_path, labels, write_labels, review):
    folder = write_labels(tmp_path / "labels", labels(30))
    done = review(folder, f"--output={tmp_path / 'nope' / 'r.html'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"r.html: cannot be written (no folder {tmp_path / 'nope'})" in done.stderr
    assert not (tmp_path / "nope").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--output must be given"),
        (["--output=review.html"], "name one folder of labels"),
        (["{}", "--output=review.txt"], "--output=review.txt: expected the name of a page"),
        (["{}", "--output=review.html"], "no labels.npz in it; expected the output folder of"),
        (["{}", "--output=review.html", "--limit=-1"], "--limit"),
        (["{}/nothing", "--output=review.html"], "no such folder"),
    ],
)
def test_bad_calls(tmp_path, review, arguments, words):
    done = review(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_a_huge_name_does_not_fill_the_memory(tmp_path, labels, write_labels):
    """One name of 20,000 letters makes every text of the table as wide: 200 MB, of which a few are held at once."""
    arrays = labels(5000)
    arrays["files"] = np.array(["x" * 20_000, *arrays["files"][1:]])
    folder = write_labels(tmp_path / "labels", arrays)
    del arrays
    tracemalloc.start()
    run.make_page(str(folder), str(tmp_path / "review.html"), images="none")
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()
    page = Page(tmp_path / "review.html")
    assert [len(name) for name in page.tables["files"][:2]] == [20_000, len("set/img_00001.jpg")]


def test_labels_that_were_made_with_decisions(tmp_path, labels, write_labels, review):
    """The page starts from the decisions that the labels were made with, and knows which sides were swapped."""
    import hashlib

    assert POSE17.mirror[3] == 6
    entries = [
        {"file": "set/img_00000.jpg", "sequence": "clip 0", "frame": 1, "person": 1, "decision": "drop"},
        {"file": "set/img_00001.jpg", "sequence": "clip 0", "frame": 2, "person": 0, "decision": "", "swap": True},
        {"file": "set/img_00001.jpg", "sequence": "clip 0", "frame": 3, "person": 1, "decision": "keep"},
    ]
    content = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    text = json.dumps({**content, "decisions": entries})
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = write_labels(tmp_path / "labels", labels(30), decisions=digest)
    (folder / "decisions.json").write_text(text)
    assert review(folder, f"--output={tmp_path / 'review.html'}").returncode == 0
    assert Page(tmp_path / "review.html").columns["applied"].tolist() == [0, 2, 4, 1] + [0] * 26


def test_a_folder_without_the_pictures_is_refused(tmp_path, labels, write_labels):
    folder = write_labels(tmp_path / "labels", labels(14))
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "other.jpg").write_bytes(b"")
    page = tmp_path / "review.html"
    with pytest.raises(InputError, match=r"--images=.*wrong: holds no picture of the 14 poses"):
        run.make_page(str(folder), str(page), images=str(tmp_path / "wrong"))
    assert not page.exists()
