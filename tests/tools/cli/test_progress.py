"""What progress says, to a terminal and elsewhere."""

import re

import pytest

from tools.cli import progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (42.4, "42 s")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1234.5, "1,234/s"),
        (2.45, "2.5/s"),
        (0.996, "1.0/s"),
        (0.23, "4.3 s each"),
        (0.002, "8 min 20 s each"),
        (0.0, "0.0/s"),
    ],
)
def test_rates(rate, text):
    assert progress.rate_text(rate) == text


def test_lines_tell_rate_and_remaining_time(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress(10_000, "records", already=2_000) as shown:
        now[0] += 30
        shown.update(3_000)
        now[0] += 30
        shown.update(4_000)
        now[0] += 59
        shown.update(5_000)
    # One line a minute; the rate counts only what this run did.
    assert capsys.readouterr().err == "4,000 of 10,000 records, 33/s, 3 min 0 s left\n"


def test_quiet(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress.Progress(10, "records", quiet=True, every=0) as shown:
        shown.update(5)
    assert capsys.readouterr().err == ""


def test_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress.Progress(10, "records") as shown:
        shown.update(10)
    assert re.search(r"100%.*10\.0/10\.0", capsys.readouterr().err)


def test_the_first_piece_does_not_count_for_the_time_left(capsys, monkeypatch):
    """It waits for imports and compilation: two hours, at that rate, for what takes three minutes."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.Progress(10_000, "poses", every=0)
    now[0] = 60
    shown.update(100)
    now[0] = 61
    shown.update(200)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["100 of 10,000 poses", "200 of 10,000 poses, 100/s, 1 min 38 s left"]
