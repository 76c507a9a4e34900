"""Folders that are there whole or not at all."""

import pytest

from tools.files import whole_folder


def test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path):
    place = tmp_path / "above" / "made"
    for content in ("first", "second"):
        with whole_folder.write(place) as folder:
            (folder / content).write_text(content)
            assert not (place / content).exists()
        assert [path.name for path in place.iterdir()] == [content]
    assert place.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in place.parent.iterdir()] == ["made"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    place = tmp_path / "made"
    with whole_folder.write(place) as folder:
        (folder / "first").write_text("first")
    with pytest.raises(KeyboardInterrupt), whole_folder.write(place) as folder:  # noqa: PT012
        (folder / "second").write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "first"]
