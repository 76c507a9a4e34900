"""The wheel: what is in it, and that it works where the source is not."""

import os
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """The wheel, built from a copy of what git tracks, so that the build leaves nothing in the source."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True).stdout
    source = folder / "source"
    for name in names.decode().split("\0"):
        path = repository / name
        if name and path.is_file() and not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    result = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    (path,) = folder.glob("*.whl")
    return path


def test_the_weights_flagfiles_and_types_are_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "label_generator/weights/pose3d/weights.npz",
        "label_generator/weights/left2right/model.json",
        "label_generator/weights/quality.json",
        "label_generator/flags/left2right.cfg",
        "baseline_network/weights/weights.npz",
        "baseline_network/weights/photographs-128-2/weights.npz",
        "tools/detection/weights/body_head.tflite",
        "tools/detection/weights/body_head.sha256",
        "label_generator/py.typed",
        "tools/cli/console.py",
        "tools/review_page/page/main.js",
    ):
        assert name in names
    assert not any(name.startswith("tests/") for name in names)


def test_it_runs_from_where_it_was_installed(wheel, tmp_path):
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    code = "import label_generator as lg; print(lg.__file__); print(lg.__version__); print(lg.Labels.__doc__[:9])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=True
    )
    assert result.stdout.splitlines()[0].startswith(str(target))
    assert result.stdout.splitlines()[2] == "3D labels"
    script = target / "bin" / "pose3d-labels"
    help_text = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert help_text.returncode == 0
    assert "--input=" in help_text.stdout
    refused = subprocess.run(
        [sys.executable, str(script), "--input=nothing.json", "--output=out"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert refused.returncode == 2
    assert refused.stderr == "error: nothing.json: no such file or folder\n"
