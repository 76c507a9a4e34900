"""The page's own code: the modules of `page/` joined into one script, its style, its elements.

The modules are plain ES modules that a browser or Node imports as they are. A page that is opened from a disk can't
import files beside it, so each becomes a function of one script that returns what it exports.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent / "page"
MAIN = "main"
TITLE = "label review"
MARK = f"<title>{TITLE}</title>".encode("ascii")  # by which a page of this project is known
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)


def joined_modules(folder: pathlib.Path = FOLDER) -> str:
    """One script of all modules that `main.js` imports, directly or not, each after those that it imports."""
    parts: list[str] = []
    known: set[str] = set()

    def add(name: str) -> None:
        known.add(name)
        text = (folder / f"{name}.js").read_text(encoding="utf-8")
        for _, other in _IMPORT.findall(text):
            if other not in known:
                add(other)
        exported = [found[1] for found in _EXPORT.findall(text)]
        text = _IMPORT.sub(r"const {\1} = module_\2;", text)
        text = _EXPORT.sub(r"\1 \2", text)
        parts.append(f"const module_{name} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();\n")

    add(MAIN)
    return '"use strict";\n' + "".join(parts)


def head(title: str) -> str:
    """Everything before the data. title: shown while the page loads; of the page's own words only."""
    style, script = (FOLDER / "style.css").read_text(encoding="utf-8"), joined_modules()
    elements = (FOLDER / "page.html").read_text(encoding="utf-8")
    # Nothing but this style, this script and pictures beside the page: what a text might smuggle in can't run or send.
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<style>{style}</style>\n</head>\n<body data-tab="label">\n{elements}'
    )


def tail() -> str:
    """Everything after the data."""
    return f"<script>{joined_modules()}</script>\n</body>\n</html>\n"


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"
