"""The documentation: what it names exists, what it shows runs, and MkDocs builds it without a warning."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys

import pytest

FOLDERS = ("label_generator", "baseline_network", "tfrecords", "tools", "tests", "docs")
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.S)


def pages(repository):
    return [repository / "README.md", repository / "CONTRIBUTING.md", *sorted((repository / "docs").glob("*.md"))]


def names_in(path):
    """Everything a module defines at its top level, and the members of its classes."""
    defined = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return defined


def test_every_part_of_the_paper_leads_to_code_that_exists(repository):
    page = (repository / "docs" / "paper_to_code.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `([\w/]+\.py)` \| `(\w+)` \|", page)
    assert len(rows) > 10
    for file, name in rows:
        assert name in names_in(repository / file), f"{file} has no {name}"


def test_every_file_that_the_pages_name_exists(repository):
    missing = set()
    for page in pages(repository):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(
            r"\b((?:label_generator|baseline_network|tfrecords|tools|tests|docs)/[\w./]+\.\w+)", text
        ):
            if not name.startswith("tfrecords/train") and not (repository / name).exists():
                missing.add(f"{page.name}: {name}")
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
            if not (page.parent / target).exists():
                missing.add(f"{page.name}: link to {target}")
    assert not missing


def commands_in(repository):
    """(page, script, [flags]) of every command line of the project that a page shows in a fenced block."""
    found = []
    for page in pages(repository):
        for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
            if language in ("python", "text"):
                continue
            for line in block.replace("\\\n", " ").splitlines():
                match = re.search(r"python ((?:label_generator|baseline_network|tools)/\w+\.py)(.*)", line)
                if match:
                    flags = re.findall(r"--(?:no)?([A-Za-z_]\w*)", match[2].split("  #")[0])
                    found.append((page.name, match[1], flags))
    return found


def test_every_command_shown_exists_and_knows_the_flags_shown(repository):
    shown = commands_in(repository)
    assert len(shown) > 20
    known = {}
    for _, script, _ in shown:
        if script not in known:
            command = [sys.executable, str(repository / script), "--help"]
            text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository).stdout
            known[script] = set(re.findall(r"--(?:\[no\])?(\w+)", text)) | {"help"}
    wrong = []
    for page, script, flags in shown:
        for flag in flags:
            if flag not in known[script] and flag.removeprefix("no") not in known[script]:
                wrong.append(f"{page}: {script} --{flag}")
    assert not wrong


@pytest.mark.parametrize("page", ["label_your_data.md"])
def test_python_of_the_guides_runs(repository, page):
    text = (repository / "docs" / page).read_text(encoding="utf-8")
    blocks = [block for language, block in FENCE.findall(text) if language == "python"]
    assert blocks
    for block in blocks:
        result = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=repository)
        assert result.returncode == 0, result.stderr[-2000:]


def test_the_published_stages_run_as_the_guide_shows_them(repository, tmp_path):
    """The last block of reproduce_the_paper.md, word for word but for fewer poses and steps."""
    text = (repository / "docs" / "reproduce_the_paper.md").read_text(encoding="utf-8")
    block = [block for language, block in FENCE.findall(text) if language == "bash"][-1]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("--count=2000", "--count=256").replace("--count=200 ", "--count=64 "))
        assert words[0] == "python"
        small = ["--linear_size=32"] if "train.py" in words[1] else []
        command = [sys.executable, str(repository / words[1]), *words[2:], *small]
        command = [w.replace("--flagfile=", f"--flagfile={repository}/") for w in command]
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert result.returncode == 0, line + result.stderr[-2000:]
    assert list(tmp_path.glob("experiments/pose3d/**/export/weights.npz"))


def test_mkdocs_builds_every_page_without_a_warning(repository, tmp_path):
    for name in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(name) is None:
            pytest.skip("MkDocs is not installed (pip install -e '.[docs]')")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert result.returncode == 0, result.stderr[-3000:]
    listed = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (repository / "docs").glob("*.md"):
        assert page.name in listed, f"{page.name} is not in mkdocs.yml"
