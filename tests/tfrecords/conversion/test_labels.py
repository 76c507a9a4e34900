"""What readers of annotation files share: the check of the file itself."""

import pytest

from tfrecords.conversion import labels
from tools.cli.errors import InputError


def test_a_file_is_accepted_and_anything_else_is_called_what_it_is(tmp_path, monkeypatch):
    path = tmp_path / "people.json"
    with pytest.raises(InputError, match=r"people\.json: no such file; expected a list$"):
        labels.check_file(path, "a list")
    with pytest.raises(InputError, match=r": a folder; expected a list$"):
        labels.check_file(tmp_path, "a list")
    path.write_text("[]")
    labels.check_file(path, "a list")
    # Not by chmod: the administrator, as whom tests run in containers, may read everything.
    monkeypatch.setattr(labels.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"people\.json: can't be read: permission denied$"):
        labels.check_file(path, "a list")
