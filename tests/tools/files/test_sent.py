"""Commands whose output is an address, and those that write to this machine only."""

import json
import pathlib

import numpy as np
import pytest

from tools import complete_annotations, gallery, inspect_tfrecords, make_tfrecords, split_tfrecords
from tools.cli import command, outputs
from tools.cli.errors import InputError
from tools.files import remote, sent


def flags_of(output, *more):
    flags = command.Flags("", dry_run=True)
    flags.string("output", "", "")
    flags.boolean("overwrite", False, "")
    return flags.parse(["report", f"--output={output}", *more])


def report(flags):
    """A command that writes a folder."""
    folder = pathlib.Path(flags.output)
    if not flags.dry_run:
        (folder / "pictures").mkdir(parents=True)
        (folder / "table.md").write_text("| 37.7 |")
        (folder / "pictures" / "1.png").write_bytes(b"picture")
    flags.report.update(output=flags.output, table=f"{flags.output}/table.md", poses=3)
    return 0


def test_a_folder_is_sent_when_it_is_whole(address, capsys):
    flags = flags_of(f"{address}/report")
    assert sent.run(report, flags) == 0
    place = remote.place(f"{address}/report")
    assert (place / "table.md").read_text() == "| 37.7 |"
    assert (place / "pictures" / "1.png").read_bytes() == b"picture"
    assert flags.report == {"output": str(place), "table": f"{place}/table.md", "poses": 3}
    assert capsys.readouterr().out == f"sent to {address}/report\n"
    with pytest.raises(InputError, match="exists already; --overwrite replaces it"):
        sent.run(report, flags_of(f"{address}/report"))
    (place / "other.txt").write_bytes(b"of somebody else")
    assert sent.run(report, flags_of(f"{address}/report", "--overwrite")) == 0
    assert (place / "other.txt").exists()


def test_a_dry_run_and_a_failure_send_nothing(address, capsys):
    assert sent.run(report, flags_of(f"{address}/report", "--dry_run")) == 0
    assert capsys.readouterr().out == f"to be sent to {address}/report\n"

    def fails(flags):
        report(flags)
        raise InputError("no room")

    with pytest.raises(InputError, match="no room"):
        sent.run(fails, flags_of(f"{address}/report"))
    assert not remote.place(f"{address}/report").exists()


def test_a_local_folder_is_written_in_place(tmp_path):
    assert sent.run(report, flags_of(tmp_path / "report")) == 0
    assert (tmp_path / "report" / "table.md").exists()
    with pytest.raises(InputError, match="TensorFlow knows no file system nowhere:// here"):
        sent.run(report, flags_of("nowhere://bucket/report"))


@pytest.mark.parametrize("path", ["gs://bucket/page.html", pathlib.Path("gs://bucket/page.html")])
def test_an_address_is_no_folder_of_this_machine(path):
    for check in (outputs.check_folder, lambda path: outputs.check_free(path, False)):
        with pytest.raises(InputError, match="written to files of this machine only, not to an address"):
            check(path)


def run(module, *words):
    return module.main(module.declare().parse([module.__name__, *words]))


def test_records_and_pictures_at_addresses(address, monkeypatch):
    """Commands on records, and the two that make pictures or annotations, from address to address."""
    words = ("--source=synthetic", "--count=40", "--workers=1")
    assert run(make_tfrecords, *words, f"--output={address}/records") == 0
    assert run(split_tfrecords, f"--input={address}/records", "--by=subject", f"--output={address}/split") == 0
    counts = []
    for part in ("train", "test"):
        assert run(inspect_tfrecords, f"{address}/split/{part}") == 0
        manifest = remote.place(address) / "split" / part / "manifest.json"
        counts.append(json.loads(manifest.read_text())["records"])
    assert sum(counts) == 40
    from label_generator.gallery import page

    monkeypatch.setattr(page, "rendered", lambda count, seed: [])
    monkeypatch.setattr(page, "sheet", lambda labels, columns: np.full((8, 9, 3), 7, np.uint8))
    assert run(gallery, f"--output={address}/gallery.png") == 0
    assert remote.place(f"{address}/gallery.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError, match=r"none.npz: no such file"):
        run(complete_annotations, f"--input={address}/none.npz", f"--output={address}/completed.npz")
