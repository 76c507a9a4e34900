"""The page's code: joined modules do what the modules do, and the page lets nothing else run."""

import base64
import hashlib
import json
import re
import shutil
import subprocess

import pytest

from tools.review_page import bundle


@pytest.fixture
def node():
    """Runs JavaScript in Node and returns what it prints."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node here")

    def run(script, **options):
        done = subprocess.run(
            [program, *options.pop("flags", []), "-"], input=script, capture_output=True, text=True, **options
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_what_is_imported_is_exported():
    for path in bundle.FOLDER.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert text.count("import ") - text.count("@import") == len(bundle._IMPORT.findall(text)), path
        for names, other in bundle._IMPORT.findall(text):
            exported = {name for _, name in bundle._EXPORT.findall((bundle.FOLDER / f"{other}.js").read_text())}
            assert {name.strip() for name in names.split(",")} <= exported, f"{path}: {other}"


def test_joined_modules(tmp_path, node):
    (tmp_path / "c.js").write_text("const hidden = 3;\nexport const three = hidden;\n")
    (tmp_path / "b.js").write_text(
        'import { three } from "./c.js";\nconst hidden = 2;\nexport function five() {\n  return hidden + three;\n}\n'
    )
    (tmp_path / "main.js").write_text(
        'import { five } from "./b.js";\nimport { three } from "./c.js";\nconsole.log(five(), three);\n'
    )
    assert node(bundle.joined_modules(tmp_path)) == "5 3\n"


def test_the_whole_script_is_sound_and_whole(tmp_path, node):
    script = bundle.joined_modules()
    names = {path.stem for path in bundle.FOLDER.glob("*.js")}
    assert set(re.findall(r"^const module_(\w+) = ", script, re.MULTILINE)) == names
    assert "</script" not in script.lower()
    assert "<!--" not in script
    (tmp_path / "all.js").write_text(script)
    node("", flags=["--check", str(tmp_path / "all.js")])


def test_the_policy_admits_this_script_and_this_style_alone():
    head, tail = bundle.head("t"), bundle.tail()
    policy = re.search(r'content="(default-src[^"]*)"', head)[1]
    for text, kind in (
        (re.search(r"<script>(.*)</script>", tail, re.DOTALL)[1], "script"),
        (re.search(r"<style>(.*)</style>", head, re.DOTALL)[1], "style"),
    ):
        mark = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{mark}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", head + tail)
    # Every element that the script names is there, once.
    wanted = set(re.findall(r'element\("([\w-]+)"\)', tail)) | set(
        re.findall(r'(?:click|menu|getElementById)\("([\w-]+)"', tail)
    )
    ids = re.findall(r'\bid="([\w-]+)"', head)
    assert wanted <= set(ids)
    assert len(ids) == len(set(ids))


def test_shown_texts(node):
    texts = ["plain é 漢字 😀", "a\u202eb", "\x00\x1b[0m", "x\u200by", "\ud800z", "a" * 500, "\u2028"]
    module = (bundle.FOLDER / "text.js").as_uri()
    script = f'import {{ visible, shortened }} from "{module}";\nconst texts = {json.dumps(texts)};\n'
    script += "console.log(JSON.stringify(texts.map((text) => [visible(text), shortened(text, 20)])));\n"
    shown = json.loads(node(script, flags=["--input-type=module"]))
    assert [one for one, _ in shown] == [
        "plain é 漢字 😀",
        "a\\u{202e}b",
        "\\u{0}\\u{1b}[0m",
        "x\\u{200b}y",
        "\\u{d800}z",
        "a" * 500,
        "\\u{2028}",
    ]
    assert [len(short) <= 20 for _, short in shown] == [True] * len(texts)
    assert shown[5][1] == "a" * 9 + "…" + "a" * 10
