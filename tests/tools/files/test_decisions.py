"""decisions.json: what each record's fate is, and everything that is refused."""

import json

import pytest

from tools.cli.errors import InputError
from tools.files import decisions
from tools.files.decisions import Decisions, Fate

HEAD = {"format": decisions.FORMAT, "version": 1, "undecided": "keep", "unsure": "drop"}


def entry(file="a.jpg", decision="drop", **more):
    return {"file": file, "sequence": "", "frame": -1, "person": 0, "decision": decision, **more}


def write(path, *entries, **head):
    path.write_text(json.dumps({**HEAD, **head, "decisions": list(entries)}))
    return path


def test_fates(tmp_path):
    entries = [entry("k", "keep"), entry("d", "drop"), entry("u", "unsure"), entry("s", "", swap=True)]
    path = write(tmp_path / "d.json", *entries, entry("ks", "keep", swap=True), entry("\udcff", "drop"))
    for undecided, unsure in (("keep", "drop"), ("drop", "keep")):
        path.write_text(
            path.read_text().replace(
                json.dumps(HEAD)[1:-1], json.dumps({**HEAD, "undecided": undecided, "unsure": unsure})[1:-1]
            )
        )
        known = Decisions(path)
        reasons = {name: known.fate(name, "", -1, 0).reason for name in ("k", "d", "u", "s", "ks", "x", "\udcff")}
        rest = "not decided in review" if undecided == "drop" else ""
        assert reasons == {
            "k": "",
            "d": "dropped in review",
            "u": "unsure in review" if unsure == "drop" else "",
            "s": rest,
            "ks": "",
            "x": rest,
            "\udcff": "dropped in review",
        }
        assert [known.fate(name, "", -1, 0).swap for name in ("k", "s", "ks", "x")] == [False, True, True, False]
        assert known.matched == {0, 1, 2, 3, 4, 5}
        assert len(known) == 6
    for other in (("k", "clip", -1, 0), ("k", "", 0, 0), ("k", "", -1, 1)):
        assert known.fate(*other) == Fate("not decided in review")


def test_records_that_share_their_names_are_told_apart_by_row(tmp_path):
    known = Decisions(write(tmp_path / "d.json", entry(row=7), entry(decision="keep", row=9, swap=True)))
    assert known.by_row == 2
    assert [known.fate("a.jpg", "", -1, 0, row).reason for row in (7, 8, 9)] == ["dropped in review", "", ""]
    assert [known.fate("a.jpg", "", -1, 0, row).swap for row in (7, 8, 9)] == [False, False, True]
    assert Decisions(write(tmp_path / "d.json", entry())).by_row == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[1]", "expected decisions.json"),
        ("[" * 100_000, "not JSON"),
        ('{"format": "coco"}', "expected decisions.json"),
        (json.dumps({**HEAD, "version": 2, "decisions": []}), "version 2, expected 1"),
        (json.dumps({**HEAD, "unsure": "maybe", "decisions": []}), "'unsure' is 'maybe'"),
        (json.dumps(HEAD), "no list 'decisions'"),
        (json.dumps({**HEAD, "decisions": [3]}), "decision 0: expected an object"),
        (json.dumps({**HEAD, "decisions": [entry(), entry("b", "throw")]}), "decision 1: 'decision' is 'throw'"),
        (json.dumps({**HEAD, "decisions": [entry(frame="1")]}), "'frame' must be a whole number"),
        (json.dumps({**HEAD, "decisions": [entry(frame=True)]}), "'frame' must be a whole number"),
        (json.dumps({**HEAD, "decisions": [entry(file=None)]}), "'file' must be a text"),
        (json.dumps({**HEAD, "decisions": [entry(swap="yes")]}), "'swap' must be true or false"),
        (json.dumps({**HEAD, "decisions": [entry(row=1.5)]}), "'row' must be a whole number"),
        (
            json.dumps({**HEAD, "decisions": [entry(), entry()]}),
            "decision 1: its record was decided before, by decision 0",
        ),
        (json.dumps({**HEAD, "decisions": [entry(row=1), entry()]}), "decided before"),
    ],
)
def test_bad_files(tmp_path, text, words):
    path = tmp_path / "decisions.json"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        Decisions(path)
    assert str(raised.value).startswith(str(path))
    assert words in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json: no such file"):
        Decisions(tmp_path / "nothing.json")
