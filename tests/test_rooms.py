"""The order of the rooms: imports go one way, commands are imported by nobody, and every room says what it is for."""

import ast
import pathlib

import pytest

PACKAGES = ("tools", "tfrecords", "label_generator", "baseline_network")
# Each room may import those above it in its own list, and what its package may import.
ORDER = {
    "tools": ("cli", "files", "pose", "drawing", "detection", "engines", "training", "serving"),
    "tfrecords": (
        ("schema", "source", "storage", "formats", "conversion", "exports", "synthetic", "rendering")
        + ("reader", "writer", "sources")
    ),
    "label_generator": (
        ("stages", "networks", "lifting", "training", "labelling", "gallery", "evaluation", "importing")
    ),
    "baseline_network": ("images", "network", "prediction", "evaluation", "training", "exporting", "importing"),
}
MAY_IMPORT = {
    "tools": (),
    "tfrecords": ("tools",),
    "label_generator": ("tools", "tfrecords"),
    "baseline_network": ("tools", "tfrecords"),
}
# The sections of tools/benchmark.py measure everything; the review page reads labels and the pictures of their input.
ABOVE_ALL = ("tools.benchmarks", "tools.review_page")


@pytest.fixture(scope="module")
def imports(repository):
    """{module: set of imported modules of the project}, read from the code without running it."""
    files = {}
    for package in PACKAGES:
        for path in (repository / package).rglob("*.py"):
            parts = path.relative_to(repository).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    found[module].add(name if name in files else node.module)
            elif isinstance(node, ast.Import):
                found[module].update(alias.name for alias in node.names)
        found[module] = {name for name in found[module] if name in files and name != module}
    assert len(found) > 100
    return found


def is_command(repository, module):
    parts = module.split(".")
    if len(parts) != 2 or parts[0] == "tfrecords":
        return False
    return (repository / parts[0] / f"{parts[1]}.py").is_file()


def test_files_at_folder_level_are_commands(repository, imports):
    for module in filter(lambda name: is_command(repository, name), imports):
        text = (repository / pathlib.Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        assert 'if __name__ == "__main__":' in text, f"{module} stands at folder level, but is no command"


def test_no_module_imports_a_command(repository, imports):
    users = {(m, name) for m, names in imports.items() for name in names if is_command(repository, name)}
    assert not users


def test_imports_go_one_way(repository, imports):
    wrong = []
    for module, names in imports.items():
        package, *rest = module.split(".")
        room = rest[0] if rest else ""
        if f"{package}.{room}" in ABOVE_ALL or is_command(repository, module):
            continue
        for name in names:
            other, *below = name.split(".")
            if other != package:
                if other not in MAY_IMPORT[package]:
                    wrong.append(f"{module} -> {name}")
                continue
            target = below[0] if below else ""
            order = ORDER[package]
            if room and target and room != target and order.index(target) > order.index(room):
                wrong.append(f"{module} -> {name}")
    assert not wrong


def test_every_room_is_in_the_order_and_says_what_it_is_for(repository):
    for package in PACKAGES:
        for folder in (repository / package).iterdir():
            if not any(folder.glob("*.py")):
                continue
            assert folder.name in ORDER[package] or f"{package}.{folder.name}" in ABOVE_ALL, folder
            text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
            purpose, rule = text.split("\n\n")
            assert purpose.endswith("."), folder
            assert rule.startswith("May import "), folder
