"""Outputs that can't be written: --dry_run refuses them as the command does, before any work."""

import numpy as np
import pytest

from baseline_network import export as export_baseline
from label_generator import export as export_generator
from label_generator import gen_right, generate
from tools import make_tfrecords
from tools.cli import command


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        (make_tfrecords, ["--source=synthetic", "--count=9"]),
        (gen_right, ["--input=IN"]),
        (generate, ["--input=IN2", "--joints=pose17"]),
        (export_generator, []),
        (export_baseline, []),
    ],
)
def test_a_folder_inside_a_file(tmp_path, capsys, module, flags):
    poses = np.random.default_rng(0).uniform(100, 900, (4, 17, 3)) + [0, 0, 4000]
    np.save(tmp_path / "3d.npy", poses)
    np.save(tmp_path / "2d.npy", poses[..., :2])
    (tmp_path / "file").write_text("mine")
    ending = ".npy" if module is gen_right else ""
    flags = [flag.replace("IN2", str(tmp_path / "2d.npy")).replace("IN", str(tmp_path / "3d.npy")) for flag in flags]
    output = tmp_path / "file" / f"out{ending}"
    with pytest.raises(SystemExit) as ended:
        command.run(module.main, module.declare, ["x", *flags, f"--output={output}", "--dry_run"])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert str(tmp_path / "file") in error
    assert "not a folder" in error
