"""demo.sh and test.sh on machines that lack something."""

import os
import re
import shutil
import subprocess

import pytest


@pytest.fixture
def checkout(tmp_path, repository):
    """The scripts alone in an empty folder, and a PATH with the system's basic tools but no Python."""
    for name in ("demo.sh", "test.sh", "requirements.txt", "requirements.lock", "setup.py", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path / name)
    (tmp_path / "tools").mkdir()
    shutil.copy(repository / "tools" / "setup_environment.sh", tmp_path / "tools")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "cat", "cksum", "dirname", "grep", "rm", "sed", "tail", "flock"):
        if shutil.which(name):
            (tools / name).symlink_to(shutil.which(name))
    return tmp_path


def run(checkout, script, *arguments):
    return subprocess.run(
        [str(checkout / script), *arguments], env={"PATH": str(checkout / "bin")}, capture_output=True, text=True
    )


def write_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("script", ["demo.sh", "test.sh"])
def test_without_python_one_line_says_what_is_needed(checkout, script):
    result = run(checkout, script)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "Python 3.9, 3.10 or 3.11" in result.stderr
    assert "TensorFlow 2.15" in result.stderr


def test_unsuitable_python_is_not_used(checkout):
    write_program(checkout / "bin" / "python3", "exit 1")  # what the version check of a Python 3.12 gives
    result = run(checkout, "test.sh")
    assert result.returncode == 2
    assert not (checkout / ".venv").exists()


UNFIT_PYTHON = """
case "$*" in
  -c\\ import\\ sys*) exit 1 ;;
  -m\\ pip\\ --version) exit 0 ;;
  *--target*) echo "$*" >> "$ROOT/pip_calls"; [ -e "$ROOT/offline" ] && exit 1; mkdir -p "$ROOT/.uv/bin"
     cp "$ROOT/fake_uv" "$ROOT/.uv/bin/uv" ;;
esac
"""
FAKE_UV = """
case "$*" in
  --version) echo uv 0.0.0 ;;
  venv*) [ -e "$ROOT/no_download" ] && exit 2
     echo "$UV_PYTHON_INSTALL_DIR $*" >> "$ROOT/uv_calls"; mkdir -p "$ROOT/.venv/bin"
     cp "$ROOT/fake_python" "$ROOT/.venv/bin/python"; echo "VIRTUAL_ENV=$ROOT/.venv" > "$ROOT/.venv/bin/activate" ;;
esac
"""


@pytest.fixture
def with_unfit_python(checkout):
    """Only a Python that TensorFlow does not support, with pip, which can fetch uv."""
    for name in ("cp", "mkdir", "sh"):
        if not (checkout / "bin" / name).exists():
            (checkout / "bin" / name).symlink_to(shutil.which(name))
    for name, text in (("bin/python3", UNFIT_PYTHON), ("fake_uv", FAKE_UV), ("fake_python", FAKE_PYTHON)):
        write_program(checkout / name, text.replace("$ROOT", str(checkout)))
    return checkout


def test_where_no_python_fits_uv_brings_one(with_unfit_python):
    result = run(with_unfit_python, "test.sh", "-k", "name")
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if "uv" in line and "fetching" in line]
    assert "No Python 3.9, 3.10 or 3.11 here" in line
    assert "--no-deps --upgrade --target" in (with_unfit_python / "pip_calls").read_text()
    folder = with_unfit_python / ".uv" / "python"
    assert (with_unfit_python / "uv_calls").read_text().startswith(f"{folder} venv --quiet --seed --python 3.11")
    assert "-m pytest -n 2" in calls(with_unfit_python)
    # The next environment finds uv where it is.
    shutil.rmtree(with_unfit_python / ".venv")
    assert run(with_unfit_python, "test.sh").returncode == 0
    assert (with_unfit_python / "pip_calls").read_text().count("--target") == 1


@pytest.mark.parametrize("trouble", ["offline", "no_download"])
def test_where_uv_cannot_help_the_line_says_what_is_needed(with_unfit_python, trouble):
    (with_unfit_python / trouble).touch()
    result = run(with_unfit_python, "demo.sh")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: Python 3.9, 3.10 or 3.11")
    assert not (with_unfit_python / ".venv").exists()


def test_without_pip_the_installer_is_fetched(with_unfit_python):
    write_program(with_unfit_python / "bin" / "python3", "exit 1")
    root = with_unfit_python
    installer = f'mkdir -p "$UV_UNMANAGED_INSTALL"; cp "{root}/fake_uv" "$UV_UNMANAGED_INSTALL/uv"'
    write_program(root / "bin" / "curl", f"echo \"$*\" >> '{root}/curl_calls'; cat <<'END'\n{installer}\nEND")
    assert run(root, "test.sh").returncode == 0
    assert "https://" in (root / "curl_calls").read_text()
    assert (root / "uv_calls").exists()


FAKE_PYTHON = """
case "$*" in
  -c\\ import\\ sys*) exit 0 ;;
  -c\\ import\\ platform*) [ ! -e "$ROOT/other_platform" ]; exit ;;
  --version) echo Python 3.10.0 ;;
  -m\\ venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "VIRTUAL_ENV=$3" > "$3/bin/activate" ;;
  -m\\ pip\\ list*) echo opencv-python==4.11.0.86 ;;
  -c\\ import\\ cv2) [ -e "$ROOT/no_libgl" ] && { echo "ImportError: libGL.so.1: cannot open" >&2; exit 1; }; exit 0 ;;
esac
case "$*" in *headless*) rm -f "$ROOT/no_libgl" ;; esac
echo "$*" >> "$ROOT/calls"
"""


@pytest.fixture
def with_fake_python(checkout):
    for name in ("cp", "mkdir"):
        (checkout / "bin" / name).symlink_to(shutil.which(name))
    write_program(checkout / "bin" / "python3.10", FAKE_PYTHON.replace("$ROOT", str(checkout)))
    return checkout


def calls(checkout):
    text = (checkout / "calls").read_text()
    (checkout / "calls").unlink()
    return text


def test_second_run_installs_nothing_and_passes_arguments_on(with_fake_python):
    assert run(with_fake_python, "test.sh", "-k", "some name").returncode == 0
    first = calls(with_fake_python)
    assert "-m pip install" in first
    assert "-e" in first
    assert run(with_fake_python, "test.sh", "-k", "some name").returncode == 0
    assert calls(with_fake_python) == "-m pytest -n 2 --dist loadfile -k some name\n"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements.lock"])
def test_changed_requirements_are_installed(with_fake_python, name):
    run(with_fake_python, "test.sh")
    calls(with_fake_python)
    with open(with_fake_python / name, "a") as file:
        file.write("another\n")
    run(with_fake_python, "test.sh")
    assert "-m pip install" in calls(with_fake_python)


PIP = "-m pip install --quiet --disable-pip-version-check"


def test_the_tested_versions_with_their_hashes(with_fake_python):
    assert run(with_fake_python, "demo.sh").returncode == 0
    listed = with_fake_python / ".venv" / "locked-base.txt"
    assert f"{PIP} --require-hashes -r {listed}\n{PIP} --no-deps --no-build-isolation -e " in calls(with_fake_python)
    names = {line.split("==")[0] for line in listed.read_text().splitlines() if "==" in line}
    assert {"tensorflow", "numpy", "setuptools"} <= names
    assert not {"pytest", "mediapipe", "opencv-python-headless"} & names


def test_another_platform_is_told_and_gets_the_requirements(with_fake_python):
    (with_fake_python / "other_platform").touch()
    result = run(with_fake_python, "test.sh")
    assert "requirements.txt instead of requirements.lock" in result.stdout
    expected = f"{PIP} -r {with_fake_python / 'requirements.txt'}\n{PIP} -e {with_fake_python}[test]\n"
    assert expected in calls(with_fake_python)


def test_the_lock_holds_what_the_project_asks_for(repository):
    """Every requirement of requirements.txt and of the extra test, at a version that it allows, with a hash."""
    from packaging.requirements import Requirement

    lines = (repository / "requirements.lock").read_text().splitlines()
    locked = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    assert all(" --hash=sha256:" in line for line in lines if "==" in line)
    setup = (repository / "setup.py").read_text()
    asked = [line.split("#")[0].strip() for line in (repository / "requirements.txt").read_text().splitlines()]
    asked += re.findall(r'"([a-z-]+(?:\[python\])?[<>=][^"]*)"', setup.partition('"test": [')[2].partition("]")[0])
    for name in ("DOCS", "BEAM", "C3D"):
        listed = setup.partition(f"{name} = [")[2].partition("\n")[0]
        asked += re.findall(r'"([a-z0-9-]+(?:\[python\])?[<>=][^"]*)"', listed)
    assert len(asked) > 20
    for requirement in map(Requirement, filter(None, asked)):
        assert requirement.specifier.contains(locked[requirement.name]), requirement


def test_environment_that_was_moved_is_made_anew(with_fake_python):
    run(with_fake_python, "test.sh")
    calls(with_fake_python)
    (with_fake_python / ".venv" / "bin" / "activate").write_text("VIRTUAL_ENV=/elsewhere/.venv\n")
    os.remove(with_fake_python / ".venv" / ".installed-test")
    run(with_fake_python, "test.sh")
    assert "-m venv" in calls(with_fake_python)


def test_without_libgl_the_headless_build_takes_over(with_fake_python):
    (with_fake_python / "no_libgl").touch()
    result = run(with_fake_python, "demo.sh")
    assert result.returncode == 0
    assert "opencv-python-headless 4.11.0.86" in result.stdout
    assert f"{PIP} --require-hashes --no-deps -r " in calls(with_fake_python)


def test_models_wheel_is_installed_without_its_dependencies(with_fake_python, repository):
    from tools.detection import mediapipe_models

    lock = (repository / "requirements.lock").read_text()
    assert f"{mediapipe_models.WHEEL} --hash=" in lock.partition("# [models]")[2]
    (with_fake_python / "other_platform").touch()
    run(with_fake_python, "test.sh")
    assert f"{PIP} --no-deps {mediapipe_models.WHEEL}\n" in calls(with_fake_python)
