"""tools/gallery.py: what can't be written is refused before anybody is rendered."""

import pytest

from tools import gallery


@pytest.mark.parametrize("more", [[], ["--dry_run"]])
def test_endings_of_no_picture(run_command, tmp_path, monkeypatch, capsys, more):
    monkeypatch.setattr("label_generator.gallery.page.rendered", lambda *_: pytest.fail("rendered before the check"))
    assert run_command(gallery, f"--output={tmp_path / 'g.docx'}", *more) == 2
    assert "g.docx: expected the ending of a picture format such as .png or .jpg" in capsys.readouterr().err
