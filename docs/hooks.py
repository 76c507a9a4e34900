"""What MkDocs runs while it builds the pages: the text of every command's --help goes into commands.md."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_FOLDERS = ("label_generator", "baseline_network", "tools")
_MARK = "<!-- help -->"


def commands() -> list[pathlib.Path]:
    """The scripts of all commands, relative to the repository."""
    scripts = (path for folder in _FOLDERS for path in sorted((_ROOT / folder).glob("*.py")))
    return [path.relative_to(_ROOT) for path in scripts if path.name != "__init__.py"]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs' hook: a section for each command in place of the mark."""
    if _MARK not in markdown:
        return markdown
    sections = []
    for script in commands():
        help_text = subprocess.run(
            [sys.executable, str(_ROOT / script), "--help"], capture_output=True, text=True, check=True, cwd=_ROOT
        ).stdout
        sections.append(f"## {script.as_posix()}\n\n```text\n{help_text}```\n")
    return markdown.replace(_MARK, "\n".join(sections))
