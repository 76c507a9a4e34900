"""docs/security.md: every threat names a test, and there is such a test."""

import re


def test_every_threat_names_tests_that_exist(repository):
    page = (repository / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 20
    files = list((repository / "tests").rglob("*.py"))
    tests = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)}
    for threat, *_, shown_by in rows:
        named = re.findall(r"`([^`]+)`", shown_by)
        shown = [
            name
            for name in named
            if name in tests
            or ("/" in name and (repository / name).exists())
            or (name.endswith(".py") and any(path.name == name for path in files))
        ]
        missing = [name for name in named if name.startswith("test_") or "/" in name if name not in shown]
        assert shown, f"{threat}: no test"
        assert not missing, f"{threat}: no {missing}"
