"""The notebooks run from top to bottom, and what they show in the documentation is what they print."""

import importlib.util
import os

import pytest

NAMES = ("label_a_folder", "train_on_it", "look_at_it")


@pytest.fixture
def read(repository):
    if importlib.util.find_spec("nbformat") is None:
        pytest.skip("nbformat is not installed (pip install -e '.[test]')")
    import nbformat

    return lambda name: nbformat.read(repository / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_is_committed_executed(read, name):
    notebook = read(name)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert any(cell.outputs for cell in cells)
    text = str(notebook)
    assert "/root" not in text
    assert len(text) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_runs(read, repository, monkeypatch, name):
    for package in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install -e '.[test]')")
    import nbclient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")]))
    nbclient.NotebookClient(read(name), timeout=900, kernel_name="python3").execute()
